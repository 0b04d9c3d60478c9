"""Brings the targets of a checklist up, all at once, and takes down at the end what it started."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from msgspec import Struct, structs

from gate.core.messages import Message, msg
from gate.decode.quantities import format_duration
from gate.http.client import HttpError
from gate.redaction.secrets import Redactor
from gate.staging.asking import PROBE_TIMEOUT, probe_status
from gate.staging.container import Container, acquire_lock, find_service_container, start_container
from gate.staging.docker_client import (
    ENGINE_SETTLE_TIMEOUT,
    RUN_LABEL,
    DockerUnavailableError,
    docker_client,
    gate_container,
    hostname,
    job_network,
)
from gate.staging.journal import Journal, journal_folder
from gate.staging.logs import error_line
from gate.staging.names import elsewhere, resolves
from gate.staging.process import Process
from gate.staging.provision import provision
from gate.staging.recovery import recover_dead_runs
from gate.staging.revert import revert
from gate.staging.spec import ADDRESS_REFERENCE, Start, Target
from gate.staging.target import RunningTarget, host_of

if TYPE_CHECKING:
    from gate.staging.proxy import ProxyThread

_PAUSE = 0.2
_CLOSE = 0.02
"""Seconds before its end at which an attempt has used up its time."""
_CLOSING = 60.0
"""Seconds that all targets together have to end: an engine answers within 30 s, or not at all."""
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_LATE = 3.0
"""Seconds that what is just being started has to notice that the run is over."""


class DependencyNotReadyError(DockerUnavailableError):
    """Another target that this one comes after is not ready. `cause` is what is behind that."""

    def __init__(self, message: Message, cause: str) -> None:
        super().__init__(message)
        self.cause = cause


class _Fate(Struct, frozen=True):
    """What has become of a target: why it is not ready, if it is not, its root cause, and what to do."""

    cause: str
    why: Message | None
    advice: Message | None = None


class StagingEnvironment:
    """The targets of one run. Use as a context: what it started is gone when it ends."""

    def __init__(
        self,
        targets: Mapping[str, Target],
        *,
        root: Path,
        run_id: str,
        secrets: Redactor,
        cancelled: threading.Event,
        note: Callable[[str], None],
    ) -> None:
        self.targets = targets
        self.root = root
        self.run_id = run_id
        self.secrets = secrets
        self.cancelled = cancelled
        self.note = note
        self.running: dict[str, RunningTarget] = {}
        self._journal: Journal | None = None
        self._lock = threading.Lock()
        self._done = {name: threading.Event() for name in targets}
        self._late = False
        """Whether something may still be started after everything was taken down."""
        self._held: set[str] = set()
        self._starts_containers = False
        self._closed = False
        self._threads: list[threading.Thread] = []
        self._network: str | None = None
        self._network_lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def journal(self) -> Journal:
        """The fault journal of this run, begun when it is first wanted."""
        with self._lock:
            if self._journal is None:
                try:
                    self._journal = Journal(self.run_id)
                except OSError as error:
                    raise _no_journal(error) from error
                self._journal.record_intent("end_processes", run_id=self.run_id)
            return self._journal

    def start(self) -> dict[str, RunningTarget]:
        """Every target, each ready or with the reason why it is not. Takes as long as the slowest of them."""
        self._restore_others()
        for name, target in self.targets.items():
            self.running[name] = _pending(name, target)
        self._threads = [
            threading.Thread(target=self._bring_up, args=pair, daemon=True) for pair in self.targets.items()
        ]
        for thread, name in zip(self._threads, self.targets, strict=True):
            self._begin(thread, name)
        for thread in self._threads:
            while thread.is_alive() and not self.cancelled.is_set():
                thread.join(_PAUSE)
        with self._lock:
            return {name: self.running[name] for name in self.targets}

    def stop(self) -> None:
        """Stop what was started, revert every fault that is still in place, and close the journal."""
        with self._lock:
            self._closed = True
            placed = list(self.running.values())
        threads = [threading.Thread(target=_end, args=(running,), daemon=True) for running in placed]
        for thread, running in zip(threads, placed, strict=True):
            try:
                thread.start()
            except RuntimeError:  # no thread can be started: one after the other, here
                _end(running)
        self._join(threads, _CLOSING)
        self._join(self._threads, _LATE)
        if self._journal is not None:
            self._close_journal(self._journal)

    def _join(self, threads: list[threading.Thread], seconds: float) -> None:
        """Wait for threads, at most so long. What one that goes on may leave stays in the journal."""
        end = time.monotonic() + seconds
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, end - time.monotonic()))
            self._late = self._late or thread.is_alive()

    def _begin(self, thread: threading.Thread, name: str) -> None:
        """Start the thread that brings a target up; if there can be none, the target is not ready."""
        try:
            thread.start()
        except (RuntimeError, MemoryError) as error:
            why = msg("it cannot be started: {why}", why=str(error) or type(error).__name__)
            self._register(structs.replace(self.running[name], failure=why))
            self._done[name].set()

    def _restore_others(self) -> None:
        """Undoes what runs before this one have left, if they are dead."""
        restored = recover_dead_runs()
        for line in restored.done:
            self.note(f"left by another run, undone: {line}")
        for line in restored.failed:
            self.note(f"left by another run, NOT undone: {line}")
        for line in restored.lost:
            self.note(f"left by another run, cannot be undone any more: {line}")

    def _close_journal(self, journal: Journal) -> None:
        for act in journal.open_actions:
            try:
                revert(act, journal.record_process)
                if not self._late:
                    journal.record_reverted(act)
            except Exception as error:  # noqa: BLE001 - the rest must be taken down all the same
                self.note(f"{act.revert} failed: {error}")
        journal.close()

    def tail_logs(self, names: Iterable[str]) -> dict[str, str]:
        """The last lines of what some targets have written."""
        return {name: _log(self.running[name]) for name in names}

    def lock_container(self, container: Container) -> None:
        """Keeps other runs from drilling a container until this one ends. Raises NoEngine where another one does."""
        if container.started or container.id in self._held:
            return
        act = self.journal.record_intent(
            "let_go", settle_timeout=ENGINE_SETTLE_TIMEOUT, container=container.lock_name, run_id=self.run_id
        )
        acquire_lock(container, self.run_id)
        self.journal.record_done(act)
        self._held.add(container.id)

    def _bring_up(self, name: str, target: Target) -> None:
        began = time.monotonic()
        try:
            fate = self._brought_up(name, target)
            self._settle(target, self.running[name], fate, time.monotonic() - began)
        finally:
            self._done[name].set()

    def _settle(self, target: Target, running: RunningTarget, fate: _Fate, duration: float) -> None:
        """Keep what has become of a target: why it is not ready, with the line of its log that tells most."""
        why, log, advice = fate.why, "", fate.advice
        if why is not None:
            log = _log(running)
            line = error_line(log, ended=_has_ended(running))
            why = msg("{why}: {line}", why=why, line=line) if line else why
            advice = advice or _advice(target, running)
        found = structs.replace(running, failure=why, advice=advice, root_cause=fate.cause, log=log, duration=duration)
        with contextlib.suppress(DockerUnavailableError):
            self._register(found)

    def _brought_up(self, name: str, target: Target) -> _Fate:
        """Bring a target up; return why it is not ready, if it is not."""
        cause = f"target:{name}"
        try:
            self._start_target(name, target, self.running[name])
            return _Fate(cause, self._await(target, self.running[name]))
        except DependencyNotReadyError as error:
            return _Fate(error.cause, error.message)
        except DockerUnavailableError as error:
            return _Fate(cause, error.message, error.advice)
        except OSError as error:
            return _Fate(cause, msg("it cannot be started: {why}", why=str(error)))
        except BaseException as error:  # noqa: BLE001 - whatever breaks, the target is not ready and the run goes on
            return _Fate(cause, msg("it cannot be started: {why}", why=f"{type(error).__name__}: {error}"))

    def _register(self, running: RunningTarget) -> None:
        """What has become of a target. Raises NoEngine once the stage is closed: nothing may be started any more."""
        with self._lock:
            if self._closed:
                raise DockerUnavailableError(msg("the run ended before it was started"))
            self.running[running.name] = running

    def _register_or_stop(self, placed: RunningTarget) -> None:
        try:
            self._register(placed)
        except DockerUnavailableError:
            _end(placed)
            raise

    def _start_target(self, name: str, target: Target, running: RunningTarget) -> None:
        """The target where it is: started, where the gate starts it."""
        self._await_others(target)
        url = target.url or ""
        if target.start and target.start.kind == "command":
            self._process(name, target, target.start, running)
            return
        if target.start:
            container = self._container(name, target.start)
        elif target.container:
            container = find_service_container(target.container)
        else:
            base = resolve_host_gateway(url)
            self._register(structs.replace(running, placed=True, base_url=base, host=host_of(base)))
            return
        host = container.host
        base = url or (f"http://{host}:{running.ports[0]}" if running.ports else "")
        placed = structs.replace(running, placed=True, base_url=base, host=host, container=container)
        self._register_or_stop(placed)
        for entry in target.provision:
            provision(entry, placed, self.root, target.ready_timeout, self.cancelled)

    def _await_others(self, target: Target) -> None:
        for name in target.depends_on:
            while name in self._done and not self._done[name].wait(_PAUSE):
                if self.cancelled.is_set():
                    raise DockerUnavailableError(msg("the run ended before it was started"))
            other = self.running.get(name)
            if other is None or other.failure is not None:
                why = other.failure if other and other.failure else msg("it is not part of this run")
                raise DependencyNotReadyError(
                    msg("{target}, which it comes after, is not ready: {why}", target=name, why=why),
                    other.root_cause if other else f"target:{name}",
                )

    def _will_start_containers(self) -> None:
        """Writes down, once, how all that is started is removed again. Raises NoEngine where nothing can be started."""
        docker_client()
        journal = self.journal
        with self._lock:
            if not self._starts_containers:
                self._starts_containers = True
                journal.record_intent("remove_labelled", run_id=self.run_id)

    def _substitute_addresses(self, start: Start) -> dict[str, str]:
        """Environment variables with `{database.address}`, `.host` and `.port` of other targets in place."""

        def value(found: re.Match[str]) -> str:
            other = self.running.get(found[1])
            if other is None:
                return found[0]
            named = other.container is not None and start.kind != "command"
            host = other.container.alias if other.container and named else other.host
            port = next(iter(other.ports), 0)
            return {"host": host, "port": str(port), "address": f"{host}:{port}"}[found[2]]

        return {key: ADDRESS_REFERENCE.sub(value, str(text)) for key, text in start.environment.items()}

    def _container(self, name: str, start: Start) -> Container:
        self._will_start_containers()
        start = start.replace(environment=self._substitute_addresses(start))
        self.note(f"starting {name} from {start.image or start.build}")
        return start_container(
            name,
            start,
            root=self.root,
            run_id=self.run_id,
            network=self._shared_network(),
            note=self.note,
            cancelled=self.cancelled,
        )

    @property
    def network(self) -> str | None:
        """The network on which everything else is: the job's, or this run's own, if it has one."""
        return self._network or job_network()

    def _shared_network(self) -> str:
        """The network of what is started: the job's, or one of this run's own, which the gate's container joins."""
        with self._network_lock:
            self._network = self._network or job_network() or self._own_network()
            return self._network

    def _own_network(self) -> str:
        name = f"prodgate-{self.run_id}"
        made = docker_client().networks.create(name, labels={RUN_LABEL: self.run_id})
        own = gate_container()
        if own is not None:
            made.connect(own)
        return name

    def _process(self, name: str, target: Target, start: Start, running: RunningTarget) -> None:
        _must_be_free(target)
        proxy = _proxy(target)
        number = getattr(signal, f"SIG{start.stop_signal}")
        process = Process(
            name,
            start.command or [],
            self._substitute_addresses(start),
            self.root,
            self.run_id,
            self.journal.record_process,
            number,
        )
        placed = structs.replace(
            running,
            placed=True,
            base_url=target.url or (f"http://127.0.0.1:{running.ports[0]}" if running.ports else ""),
            host=host_of(target.url or "") or "127.0.0.1",
            ports=(target.listen,) if target.listen else running.ports,
            process=process,
            proxy=proxy,
            backend_port=target.port if proxy else None,
        )
        self._register_or_stop(placed)
        process.start()

    def _await(self, target: Target, running: RunningTarget) -> Message | None:
        ready = target.ready
        if ready is None:
            return None
        end = time.monotonic() + ready.within
        last: Message | None = None
        while True:
            why = _probe(running, target, end)
            code = _exit_code(running)
            if code is not None:
                return msg("it has exited with {code}", code=str(code))
            if why is None:
                return None
            # The end cuts the last attempt short: that it timed out says less than what came back before.
            last = last if last and time.monotonic() >= end - _CLOSE else why
            if time.monotonic() + _PAUSE > end or self.cancelled.wait(_PAUSE) or time.monotonic() > end - _CLOSE:
                return msg("{why} (for {within})", why=last, within=format_duration(ready.within))


def _no_journal(error: OSError) -> DockerUnavailableError:
    """Return the error of a fault journal that can't be written: nothing may be started or broken without it."""
    why = f"{error.filename or journal_folder()}: {error.strerror or error}"
    return DockerUnavailableError(
        msg("the fault journal cannot be written: {why}", why=why),
        advice=msg("Set XDG_STATE_HOME to a folder that the gate can write to"),
    )


def _must_be_free(target: Target) -> None:
    """Raises NoEngine where another program has a port of a process: its answers would be taken for the process's."""
    host = host_of(target.url or "") or "127.0.0.1"
    for port in [target.port] if target.listen else target.ports:
        if port and host in _LOOPBACK and _accepts(host, port):
            raise DockerUnavailableError(msg("another program has its port {port} already", port=port))


def _accepts(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=PROBE_TIMEOUT).close()
    except OSError:
        return False
    return True


def _exit_code(running: RunningTarget) -> int | None:
    """What a target that the gate has started has exited with; None while it runs."""
    if running.process:
        return None if running.process.running else running.process.exit_code
    return running.container.exit_code if running.container and running.container.started else None


def _has_ended(running: RunningTarget) -> bool:
    """Return whether a target that the gate has started has exited, as far as that can be known."""
    try:
        return _exit_code(running) is not None
    except Exception:  # noqa: BLE001 - the engine does not answer: what it is asked for is only the reason's wording
        return False


def _pending(name: str, target: Target) -> RunningTarget:
    kind = target.start.kind if target.start else "container" if target.container else "url"
    why = msg("the run ended before it was ready")
    return RunningTarget(
        name=name,
        kind=kind,
        base_url=target.url or "",
        host=host_of(target.url or ""),
        ports=tuple(target.ports),
        placed=False,
        root_cause=f"target:{name}",
        failure=why,
    )


def _advice(target: Target, running: RunningTarget) -> Message:
    """Return what to do for a target that is not ready: it depends on who starts it."""
    if target.start:
        return msg(
            "Correct what {target} is started with, under its `start`; its log says what is wrong", target=running.name
        )
    if target.container:
        return msg(
            "Look at the log of the container {name}, or correct the name under `container`", name=target.container
        )
    return elsewhere(running.name, running.host) or msg(
        "Start {target}, or correct its address in the checklist", target=running.name
    )


def _end(running: RunningTarget) -> None:
    if running.proxy:
        running.proxy.close()
    if running.process:
        running.process.terminate()
    if running.container and running.container.started:
        running.container.remove()


def _log(running: RunningTarget) -> str:
    if running.process:
        return running.process.log
    return running.container.tail if running.container else ""


def resolve_host_gateway(url: str) -> str:
    """The URL with the runner's own address for `host.docker.internal`, where that name leads nowhere.

    From a container that is its gateway; a gate that is in none of this engine is on the host itself.
    """
    host = host_of(url)
    if host != "host.docker.internal" or resolves(host):
        return url
    address = _gateway() if _in_container() else "127.0.0.1"
    return url.replace(host, address, 1) if address else url


def _in_container() -> bool:
    try:
        return gate_container() is not None
    except DockerUnavailableError:
        return hostname() is not None


def _gateway() -> str | None:
    """The default gateway, which on a container's network is its host (proc_net_route, hexadecimal, little-endian)."""
    try:
        rows = Path("/proc/net/route").read_text().splitlines()[1:]
    except OSError:
        return None
    found = [row.split()[2] for row in rows if row.split()[1] == "00000000"]
    return socket.inet_ntoa(bytes.fromhex(found[0])[::-1]) if found else None


def _proxy(target: Target) -> ProxyThread | None:
    """The proxy before a target that wants one; what it stands on is only then loaded."""
    if not target.listen or not target.port:
        return None
    from gate.staging.proxy import ProxyThread

    return ProxyThread(target.listen, target.port)


def _probe(running: RunningTarget, target: Target, end: float) -> Message | None:
    ready = target.ready
    assert ready is not None
    base = running.base_url or f"http://{running.host}"
    parts = urlsplit(base)
    port = ready.tcp or parts.port or (443 if parts.scheme == "https" else 80)
    host = (running.host if ready.tcp else parts.hostname) or running.host
    why: Message | str
    try:
        if ready.path is None:
            socket.create_connection(
                (host, port), timeout=max(_PAUSE, min(PROBE_TIMEOUT, end - time.monotonic()))
            ).close()
            return None
        answered = probe_status("GET", base.rstrip("/") + ready.path, end)
    except HttpError as error:
        why = error.message
    except OSError as error:
        why = str(error) or type(error).__name__
    else:
        mismatch = ready.status.mismatch(answered)
        return msg("{path} answers with another status: {why}", path=ready.path, why=mismatch) if mismatch else None
    return msg("{host}:{port} does not answer: {why}", host=host, port=port, why=why)
