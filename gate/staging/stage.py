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

from gate.http import HttpFailure
from gate.messages import Message, say
from gate.quantities import duration
from gate.secrets import Secrets
from gate.staging.asking import TRY, status
from gate.staging.container import Container, find, hold, launch
from gate.staging.engine import RUN_LABEL, SETTLES, NoEngine, client, hostname, job_network, own_container
from gate.staging.journal import Journal, folder
from gate.staging.logs import error_line
from gate.staging.names import elsewhere, resolves
from gate.staging.process import Process
from gate.staging.provision import provision
from gate.staging.spec import REFERENCE, Start, Target
from gate.staging.staged import Staged, host_of
from gate.staging.undo import restore, undo

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


class _NotBefore(NoEngine):
    """Another target that this one comes after is not ready. `cause` is what is behind that."""

    def __init__(self, message: Message, cause: str) -> None:
        super().__init__(message)
        self.cause = cause


class _Fate(Struct, frozen=True):
    """What has become of a target: why it is not ready, if it is not, its root cause, and what to do."""

    cause: str
    why: Message | None
    advice: Message | None = None


class Stage:
    """The targets of one run. Use as a context: what it started is gone when it ends."""

    def __init__(
        self,
        targets: Mapping[str, Target],
        *,
        root: Path,
        run_id: str,
        secrets: Secrets,
        cancelled: threading.Event,
        note: Callable[[str], None],
    ) -> None:
        self.targets = targets
        self.root = root
        self.run_id = run_id
        self.secrets = secrets
        self.cancelled = cancelled
        self.note = note
        self.staged: dict[str, Staged] = {}
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
        self.close()

    @property
    def journal(self) -> Journal:
        """The fault journal of this run, begun when it is first wanted."""
        with self._lock:
            if self._journal is None:
                try:
                    self._journal = Journal(self.run_id)
                except OSError as error:
                    raise _no_journal(error) from error
                self._journal.before("end_processes", run_id=self.run_id)
            return self._journal

    def up(self) -> dict[str, Staged]:
        """Every target, each ready or with the reason why it is not. Takes as long as the slowest of them."""
        self._restore_others()
        for name, target in self.targets.items():
            self.staged[name] = _not_yet(name, target)
        self._threads = [threading.Thread(target=self._one, args=pair, daemon=True) for pair in self.targets.items()]
        for thread, name in zip(self._threads, self.targets, strict=True):
            self._begin(thread, name)
        for thread in self._threads:
            while thread.is_alive() and not self.cancelled.is_set():
                thread.join(_PAUSE)
        with self._lock:
            return {name: self.staged[name] for name in self.targets}

    def close(self) -> None:
        """Stop what was started, revert every fault that is still in place, and close the journal."""
        with self._lock:
            self._closed = True
            placed = list(self.staged.values())
        threads = [threading.Thread(target=_end, args=(staged,), daemon=True) for staged in placed]
        for thread, staged in zip(threads, placed, strict=True):
            try:
                thread.start()
            except RuntimeError:  # no thread can be started: one after the other, here
                _end(staged)
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
            why = say("it cannot be started: {why}", why=str(error) or type(error).__name__)
            self._put(structs.replace(self.staged[name], why_not=why))
            self._done[name].set()

    def _restore_others(self) -> None:
        """Undoes what runs before this one have left, if they are dead."""
        restored = restore()
        for line in restored.done:
            self.note(f"left by another run, undone: {line}")
        for line in restored.failed:
            self.note(f"left by another run, NOT undone: {line}")
        for line in restored.lost:
            self.note(f"left by another run, cannot be undone any more: {line}")

    def _close_journal(self, journal: Journal) -> None:
        for act in journal.open_acts:
            try:
                undo(act, journal.born)
                if not self._late:
                    journal.undone(act)
            except Exception as error:  # noqa: BLE001 - the rest must be taken down all the same
                self.note(f"{act.undo} failed: {error}")
        journal.close()

    def logs(self, names: Iterable[str]) -> dict[str, str]:
        """The last lines of what some targets have written."""
        return {name: _log(self.staged[name]) for name in names}

    def hold(self, container: Container) -> None:
        """Keeps other runs from drilling a container until this one ends. Raises NoEngine where another one does."""
        if container.started or container.id in self._held:
            return
        act = self.journal.before("let_go", settles=SETTLES, container=container.hold, run_id=self.run_id)
        hold(container, self.run_id)
        self.journal.done(act)
        self._held.add(container.id)

    def _one(self, name: str, target: Target) -> None:
        began = time.monotonic()
        try:
            fate = self._brought_up(name, target)
            self._settle(target, self.staged[name], fate, time.monotonic() - began)
        finally:
            self._done[name].set()

    def _settle(self, target: Target, staged: Staged, fate: _Fate, took: float) -> None:
        """Keep what has become of a target: why it is not ready, with the line of its log that tells most."""
        why, log, advice = fate.why, "", fate.advice
        if why is not None:
            log = _log(staged)
            line = error_line(log, ended=_has_ended(staged))
            why = say("{why}: {line}", why=why, line=line) if line else why
            advice = advice or _advice(target, staged)
        found = structs.replace(staged, why_not=why, advice=advice, cause=fate.cause, log=log, duration=took)
        with contextlib.suppress(NoEngine):
            self._put(found)

    def _brought_up(self, name: str, target: Target) -> _Fate:
        """Bring a target up; return why it is not ready, if it is not."""
        cause = f"target:{name}"
        try:
            self._placed(name, target, self.staged[name])
            return _Fate(cause, self._await(target, self.staged[name]))
        except _NotBefore as error:
            return _Fate(error.cause, error.message)
        except NoEngine as error:
            return _Fate(cause, error.message, error.advice)
        except OSError as error:
            return _Fate(cause, say("it cannot be started: {why}", why=str(error)))
        except BaseException as error:  # noqa: BLE001 - whatever breaks, the target is not ready and the run goes on
            return _Fate(cause, say("it cannot be started: {why}", why=f"{type(error).__name__}: {error}"))

    def _put(self, staged: Staged) -> None:
        """What has become of a target. Raises NoEngine once the stage is closed: nothing may be started any more."""
        with self._lock:
            if self._closed:
                raise NoEngine(say("the run ended before it was started"))
            self.staged[staged.name] = staged

    def _put_or_end(self, placed: Staged) -> None:
        try:
            self._put(placed)
        except NoEngine:
            _end(placed)
            raise

    def _placed(self, name: str, target: Target, staged: Staged) -> None:
        """The target where it is: started, where the gate starts it."""
        self._await_others(target)
        url = target.url or ""
        if target.start and target.start.kind == "command":
            self._process(name, target, target.start, staged)
            return
        if target.start:
            container = self._container(name, target.start)
        elif target.container:
            container = find(target.container)
        else:
            base = reachable(url)
            self._put(structs.replace(staged, placed=True, base_url=base, host=host_of(base)))
            return
        host = container.host
        base = url or (f"http://{host}:{staged.ports[0]}" if staged.ports else "")
        placed = structs.replace(staged, placed=True, base_url=base, host=host, container=container)
        self._put_or_end(placed)
        for entry in target.provision:
            provision(entry, placed, self.root, target.patience, self.cancelled)

    def _await_others(self, target: Target) -> None:
        for name in target.awaits:
            while name in self._done and not self._done[name].wait(_PAUSE):
                if self.cancelled.is_set():
                    raise NoEngine(say("the run ended before it was started"))
            other = self.staged.get(name)
            if other is None or other.why_not is not None:
                why = other.why_not if other and other.why_not else say("it is not part of this run")
                raise _NotBefore(
                    say("{target}, which it comes after, is not ready: {why}", target=name, why=why),
                    other.cause if other else f"target:{name}",
                )

    def _will_start_containers(self) -> None:
        """Writes down, once, how all that is started is removed again. Raises NoEngine where nothing can be started."""
        client()
        journal = self.journal
        with self._lock:
            if not self._starts_containers:
                self._starts_containers = True
                journal.before("remove_labelled", run_id=self.run_id)

    def _filled(self, start: Start) -> dict[str, str]:
        """Environment variables with `{database.address}`, `.host` and `.port` of other targets in place."""

        def value(found: re.Match[str]) -> str:
            other = self.staged.get(found[1])
            if other is None:
                return found[0]
            named = other.container is not None and start.kind != "command"
            host = other.container.alias if other.container and named else other.host
            port = next(iter(other.ports), 0)
            return {"host": host, "port": str(port), "address": f"{host}:{port}"}[found[2]]

        return {key: REFERENCE.sub(value, str(text)) for key, text in start.environment.items()}

    def _container(self, name: str, start: Start) -> Container:
        self._will_start_containers()
        start = start.but(environment=self._filled(start))
        self.note(f"starting {name} from {start.image or start.build}")
        return launch(
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
        made = client().networks.create(name, labels={RUN_LABEL: self.run_id})
        own = own_container()
        if own is not None:
            made.connect(own)
        return name

    def _process(self, name: str, target: Target, start: Start, staged: Staged) -> None:
        _must_be_free(target)
        proxy = _proxy(target)
        number = getattr(signal, f"SIG{start.stop_signal}")
        process = Process(
            name, start.command or [], self._filled(start), self.root, self.run_id, self.journal.born, number
        )
        placed = structs.replace(
            staged,
            placed=True,
            base_url=target.url or (f"http://127.0.0.1:{staged.ports[0]}" if staged.ports else ""),
            host=host_of(target.url or "") or "127.0.0.1",
            ports=(target.listen,) if target.listen else staged.ports,
            process=process,
            proxy=proxy,
            behind=target.port if proxy else None,
        )
        self._put_or_end(placed)
        process.start()

    def _await(self, target: Target, staged: Staged) -> Message | None:
        ready = target.ready
        if ready is None:
            return None
        end = time.monotonic() + ready.within
        last: Message | None = None
        while True:
            why = _asked(staged, target, end)
            code = _exit_code(staged)
            if code is not None:
                return say("it has exited with {code}", code=str(code))
            if why is None:
                return None
            # The end cuts the last attempt short: that it timed out says less than what came back before.
            last = last if last and time.monotonic() >= end - _CLOSE else why
            if time.monotonic() + _PAUSE > end or self.cancelled.wait(_PAUSE) or time.monotonic() > end - _CLOSE:
                return say("{why} (for {within})", why=last, within=duration(ready.within))


def _no_journal(error: OSError) -> NoEngine:
    """Return the error of a fault journal that can't be written: nothing may be started or broken without it."""
    why = f"{error.filename or folder()}: {error.strerror or error}"
    return NoEngine(
        say("the fault journal cannot be written: {why}", why=why),
        advice=say("Set XDG_STATE_HOME to a folder that the gate can write to"),
    )


def _must_be_free(target: Target) -> None:
    """Raises NoEngine where another program has a port of a process: its answers would be taken for the process's."""
    host = host_of(target.url or "") or "127.0.0.1"
    for port in [target.port] if target.listen else target.ports:
        if port and host in _LOOPBACK and _accepts(host, port):
            raise NoEngine(say("another program has its port {port} already", port=port))


def _accepts(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=TRY).close()
    except OSError:
        return False
    return True


def _exit_code(staged: Staged) -> int | None:
    """What a target that the gate has started has exited with; None while it runs."""
    if staged.process:
        return None if staged.process.running else staged.process.exit_code
    return staged.container.exit_code if staged.container and staged.container.started else None


def _has_ended(staged: Staged) -> bool:
    """Return whether a target that the gate has started has exited, as far as that can be known."""
    try:
        return _exit_code(staged) is not None
    except Exception:  # noqa: BLE001 - the engine does not answer: what it is asked for is only the reason's wording
        return False


def _not_yet(name: str, target: Target) -> Staged:
    kind = target.start.kind if target.start else "container" if target.container else "url"
    why = say("the run ended before it was ready")
    return Staged(
        name=name,
        kind=kind,
        base_url=target.url or "",
        host=host_of(target.url or ""),
        ports=tuple(target.ports),
        placed=False,
        cause=f"target:{name}",
        why_not=why,
    )


def _advice(target: Target, staged: Staged) -> Message:
    """Return what to do for a target that is not ready: it depends on who starts it."""
    if target.start:
        return say(
            "Correct what {target} is started with, under its `start`; its log says what is wrong", target=staged.name
        )
    if target.container:
        return say(
            "Look at the log of the container {name}, or correct the name under `container`", name=target.container
        )
    return elsewhere(staged.name, staged.host) or say(
        "Start {target}, or correct its address in the checklist", target=staged.name
    )


def _end(staged: Staged) -> None:
    if staged.proxy:
        staged.proxy.close()
    if staged.process:
        staged.process.close()
    if staged.container and staged.container.started:
        staged.container.remove()


def _log(staged: Staged) -> str:
    if staged.process:
        return staged.process.log
    return staged.container.log if staged.container else ""


def reachable(url: str) -> str:
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
        return own_container() is not None
    except NoEngine:
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


def _asked(staged: Staged, target: Target, end: float) -> Message | None:
    ready = target.ready
    assert ready is not None
    base = staged.base_url or f"http://{staged.host}"
    parts = urlsplit(base)
    port = ready.tcp or parts.port or (443 if parts.scheme == "https" else 80)
    host = (staged.host if ready.tcp else parts.hostname) or staged.host
    why: Message | str
    try:
        if ready.path is None:
            socket.create_connection((host, port), timeout=max(_PAUSE, min(TRY, end - time.monotonic()))).close()
            return None
        answered = status("GET", base.rstrip("/") + ready.path, end)
    except HttpFailure as error:
        why = error.message
    except OSError as error:
        why = str(error) or type(error).__name__
    else:
        mismatch = ready.status.mismatch(answered)
        return say("{path} answers with another status: {why}", path=ready.path, why=mismatch) if mismatch else None
    return say("{host}:{port} does not answer: {why}", host=host, port=port, why=why)
