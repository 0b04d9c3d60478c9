"""Start the targets of a checklist concurrently, and stop at the end what was started."""

from __future__ import annotations

import contextlib
import re
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from msgspec import Struct, structs

from gate.core.messages import Message, msg
from gate.redaction.secrets import Redactor
from gate.staging.container import Container, acquire_lock, find_service_container, start_container
from gate.staging.docker_client import ENGINE_SETTLE_TIMEOUT, docker_client
from gate.staging.errors import DependencyNotReadyError, StagingError
from gate.staging.host_names import explain_unresolved
from gate.staging.journal import Journal, journal_folder
from gate.staging.logs import find_error_line
from gate.staging.networks import SharedNetwork, gate_address, resolve_host_gateway
from gate.staging.process import Process
from gate.staging.provision import provision
from gate.staging.readiness import has_exited, require_free_ports, wait_until_ready
from gate.staging.recovery import recover_dead_runs
from gate.staging.revert import revert
from gate.staging.spec import ADDRESS_REFERENCE, Pages, Start, Target
from gate.staging.target import RunningTarget, host_of

if TYPE_CHECKING:
    from gate.staging.pages import PageInbox
    from gate.staging.proxy import ProxyThread

_POLL_INTERVAL = 0.2
# Seconds in which all targets together must stop: Docker responds within its client's timeout of 30 s, or not at all.
_STOP_TIMEOUT = 60.0
# Seconds that threads which are still starting a target get to notice that the run is over.
_START_ABORT_TIMEOUT = 3.0


class _StartResult(Struct, frozen=True):
    """The result of starting a target: its root cause, why it is not ready (None if it is), and what to do."""

    root_cause: str
    failure: Message | None
    advice: Message | None = None


class StagingEnvironment:
    """The targets of one run. Use it as a context manager: on exit, it stops what it started."""

    def __init__(
        self,
        targets: Mapping[str, Target],
        *,
        root: Path,
        run_id: str,
        secrets: Redactor,
        cancelled: threading.Event,
        log_progress: Callable[[str], None],
    ) -> None:
        self.targets = targets
        self.root = root
        self.run_id = run_id
        self.secrets = secrets
        self.cancelled = cancelled
        self.log_progress = log_progress
        self.running: dict[str, RunningTarget] = {}
        self._journal: Journal | None = None
        self._lock = threading.Lock()
        self._finished = {name: threading.Event() for name in targets}
        # Set if a thread may still start something after everything was stopped: the journal then stays.
        self._threads_left = False
        self._locked_containers: set[str] = set()
        self._journaled_removal = False
        self._closed = False
        self._threads: list[threading.Thread] = []
        self._network = SharedNetwork(run_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def journal(self) -> Journal:
        """Return the fault journal of this run, created when it is first needed."""
        with self._lock:
            if self._journal is None:
                try:
                    self._journal = Journal(self.run_id)
                except OSError as error:
                    raise _journal_error(error) from error
                self._journal.record_intent("end_processes", run_id=self.run_id)
            return self._journal

    @property
    def network(self) -> str | None:
        """Return the network of the targets: the job's, or the one created for this run, if there is one."""
        return self._network.name

    def start(self) -> dict[str, RunningTarget]:
        """Start all targets concurrently. Return each of them, ready or with the reason why it is not."""
        self._recover_dead_runs()
        for name, target in self.targets.items():
            self.running[name] = _pending(name, target)
        self._threads = [
            threading.Thread(target=self._bring_up, args=item, daemon=True) for item in self.targets.items()
        ]
        for thread, name in zip(self._threads, self.targets, strict=True):
            self._start_thread(thread, name)
        for thread in self._threads:
            while thread.is_alive() and not self.cancelled.is_set():
                thread.join(_POLL_INTERVAL)
        with self._lock:
            return {name: self.running[name] for name in self.targets}

    def stop(self) -> None:
        """Stop what was started, revert every fault that is still in place, and close the journal."""
        with self._lock:
            self._closed = True
            targets = list(self.running.values())
        threads = [threading.Thread(target=_stop_target, args=(running,), daemon=True) for running in targets]
        for thread, running in zip(threads, targets, strict=True):
            try:
                thread.start()
            except RuntimeError:  # no more threads can be started: stop it in this one
                _stop_target(running)
        self._join(threads, _STOP_TIMEOUT)
        self._join(self._threads, _START_ABORT_TIMEOUT)
        if self._journal is not None:
            self._close_journal(self._journal)

    def _join(self, threads: list[threading.Thread], timeout: float) -> None:
        """Wait for threads, `timeout` seconds in all, and note if one is still alive."""
        deadline = time.monotonic() + timeout
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
            self._threads_left = self._threads_left or thread.is_alive()

    def _start_thread(self, thread: threading.Thread, name: str) -> None:
        """Start the thread of a target; if that fails, the target is not ready."""
        try:
            thread.start()
        except (RuntimeError, MemoryError) as error:
            failure = msg("it cannot be started: {why}", why=str(error) or type(error).__name__)
            self._register(structs.replace(self.running[name], failure=failure))
            self._finished[name].set()

    def _recover_dead_runs(self) -> None:
        """Revert what dead runs left, and log the result."""
        result = recover_dead_runs()
        for line in result.done:
            self.log_progress(f"reverted, left by a dead run: {line}")
        for line in result.failed:
            self.log_progress(f"NOT reverted, left by a dead run: {line}")
        for line in result.lost:
            self.log_progress(f"cannot be reverted any more, left by a dead run: {line}")

    def _close_journal(self, journal: Journal) -> None:
        for action in journal.open_actions:
            try:
                revert(action, journal.record_process)
                if not self._threads_left:
                    journal.record_reverted(action)
            except Exception as error:  # noqa: BLE001 - the other actions must be reverted all the same
                self.log_progress(f"{action.revert} failed: {error}")
        journal.close()

    def tail_logs(self, names: Iterable[str]) -> dict[str, str]:
        """Return the last lines of the logs of some targets."""
        return {name: _log_tail(self.running[name]) for name in names}

    def lock_container(self, container: Container) -> None:
        """Keep other runs from drilling a container until this run ends. Raise StagingError if another one does."""
        if container.started or container.id in self._locked_containers:
            return
        action = self.journal.record_intent(
            "let_go", settle_timeout=ENGINE_SETTLE_TIMEOUT, container=container.lock_name, run_id=self.run_id
        )
        acquire_lock(container, self.run_id)
        self.journal.record_done(action)
        self._locked_containers.add(container.id)

    def _bring_up(self, name: str, target: Target) -> None:
        """Thread entry point: start a target and record the result, whatever happens."""
        started_at = time.monotonic()
        try:
            result = self._start_and_wait(name, target)
            self._record_result(target, self.running[name], result, time.monotonic() - started_at)
        finally:
            self._finished[name].set()

    def _record_result(self, target: Target, running: RunningTarget, result: _StartResult, duration: float) -> None:
        """Register a target with its result. A failure gets the log and its error line."""
        failure, log, advice = result.failure, "", result.advice
        if failure is not None:
            log = _log_tail(running)
            line = find_error_line(log, exited=has_exited(running))
            failure = msg("{why}: {line}", why=failure, line=line) if line else failure
            advice = advice or _advice(target, running)
        running = structs.replace(
            running, failure=failure, advice=advice, root_cause=result.root_cause, log=log, duration=duration
        )
        with contextlib.suppress(StagingError):
            self._register(running)

    def _start_and_wait(self, name: str, target: Target) -> _StartResult:
        """Start a target and wait until it is ready. Never raises."""
        cause = f"target:{name}"
        try:
            self._start_target(name, target, self.running[name])
            return _StartResult(cause, wait_until_ready(target.ready, self.running[name], self.cancelled))
        except DependencyNotReadyError as error:
            return _StartResult(error.root_cause, error.message)
        except StagingError as error:
            return _StartResult(cause, error.message, error.advice)
        except OSError as error:
            return _StartResult(cause, msg("it cannot be started: {why}", why=str(error)))
        except BaseException as error:  # noqa: BLE001 - whatever breaks, the target is not ready and the run goes on
            return _StartResult(cause, msg("it cannot be started: {why}", why=f"{type(error).__name__}: {error}"))

    def _register(self, running: RunningTarget) -> None:
        """Record the state of a target. Raise StagingError if everything was stopped meanwhile."""
        with self._lock:
            if self._closed:
                raise StagingError(msg("the run ended before it was started"))
            self.running[running.name] = running

    def _register_or_stop(self, running: RunningTarget) -> None:
        """Record the state of a target; stop the target if nobody else will."""
        try:
            self._register(running)
        except StagingError:
            _stop_target(running)
            raise

    def _start_target(self, name: str, target: Target, running: RunningTarget) -> None:
        """Start or find a target and register it with its address. Raise StagingError if that fails."""
        self._await_dependencies(target)
        url = target.url or ""
        if target.start and target.start.kind == "command":
            self._start_process(name, target, target.start, running)
            return
        if target.start:
            container = self._start_container(name, target.start)
        elif target.container:
            container = find_service_container(target.container)
        else:
            base_url = resolve_host_gateway(url)
            self._register(structs.replace(running, located=True, base_url=base_url, host=host_of(base_url)))
            return
        host = container.host
        base_url = url or (f"http://{host}:{running.ports[0]}" if running.ports else "")
        running = structs.replace(running, located=True, base_url=base_url, host=host, container=container)
        self._register_or_stop(running)
        for entry in target.provision:
            provision(entry, running, self.root, target.ready_timeout, self.cancelled)
        if target.pages:
            self._load_pages(target, target.pages, running)

    def _load_pages(self, target: Target, pages: Pages, running: RunningTarget) -> None:
        """Have an Alertmanager in a container notify the gate. Raise StagingError if that fails."""
        from gate.staging.pages import load_into_container, open_inbox

        assert running.container is not None
        inbox = open_inbox(pages.config, self.root, gate_address(running.container.network))
        self._register_or_stop(structs.replace(running, inbox=inbox))
        load_into_container(inbox, pages.to or "", running, self.journal, target.ready_timeout, self.cancelled)

    def _write_pages(self, name: str, pages: Pages) -> PageInbox:
        """Write the file that an Alertmanager in a process reads, and listen for its notifications."""
        from gate.staging.pages import open_inbox, write_private

        inbox = open_inbox(pages.config, self.root, "127.0.0.1")
        path = self._page_config(name)
        self.journal.record_intent("remove_file", path=str(path))
        write_private(path, inbox.document)
        return inbox

    def _page_config(self, name: str) -> Path:
        return journal_folder() / f"{self.run_id}-{name}.alertmanager.yml"

    def _await_dependencies(self, target: Target) -> None:
        """Wait for the targets that must be ready first. Raise DependencyNotReadyError if one is not."""
        for name in target.depends_on:
            while name in self._finished and not self._finished[name].wait(_POLL_INTERVAL):
                if self.cancelled.is_set():
                    raise StagingError(msg("the run ended before it was started"))
            dependency = self.running.get(name)
            if dependency is None or dependency.failure is not None:
                failure = dependency.failure if dependency else None
                why = failure or msg("it is not part of this run")
                raise DependencyNotReadyError(
                    msg("its dependency {target} is not ready: {why}", target=name, why=why),
                    dependency.root_cause if dependency else f"target:{name}",
                )

    def journal_removal(self) -> None:
        """Journal, once, that everything with the run's label is to be removed. Raise StagingError without Docker."""
        docker_client()
        journal = self.journal
        with self._lock:
            if not self._journaled_removal:
                self._journaled_removal = True
                journal.record_intent("remove_labelled", run_id=self.run_id)

    def _substitute_addresses(self, start: Start) -> Start:
        """Return a start whose command and environment have the references to targets replaced."""

        def replacement(reference: re.Match[str]) -> str:
            target = self.running.get(reference[1])
            if target is None:
                return reference[0]
            # A container resolves aliases on its network; a process reaches other targets as the gate does.
            uses_alias = target.container is not None and start.kind != "command"
            host = target.container.alias if target.container and uses_alias else target.host
            port = next(iter(target.ports), 0)
            config = str(self._page_config(target.name))
            return {"host": host, "port": str(port), "address": f"{host}:{port}", "config": config}[reference[2]]

        environment = {key: ADDRESS_REFERENCE.sub(replacement, str(value)) for key, value in start.environment.items()}
        command = [ADDRESS_REFERENCE.sub(replacement, word) for word in start.command or []] or None
        return start.replace(environment=environment, command=command)

    def _start_container(self, name: str, start: Start) -> Container:
        self.journal_removal()
        start = self._substitute_addresses(start)
        self.log_progress(f"starting {name} from {start.image or start.build}")
        return start_container(
            name,
            start,
            root=self.root,
            run_id=self.run_id,
            network=self._network.ensure(),
            log_progress=self.log_progress,
            cancelled=self.cancelled,
        )

    def _start_process(self, name: str, target: Target, start: Start, running: RunningTarget) -> None:
        require_free_ports(target)
        proxy = _start_proxy(target)
        inbox = self._write_pages(name, target.pages) if target.pages else None
        start = self._substitute_addresses(start)
        process = Process(
            name,
            start.command or [],
            start.environment,
            self.root,
            self.run_id,
            self.journal.record_process,
            getattr(signal, f"SIG{start.stop_signal}"),
        )
        running = structs.replace(
            running,
            located=True,
            base_url=target.url or (f"http://127.0.0.1:{running.ports[0]}" if running.ports else ""),
            host=host_of(target.url or "") or "127.0.0.1",
            ports=(target.listen,) if target.listen else running.ports,
            process=process,
            proxy=proxy,
            inbox=inbox,
            backend_port=target.port if proxy else None,
        )
        # Register before starting: `stop` must find the process, however early the run ends.
        self._register_or_stop(running)
        process.start()


def _journal_error(error: OSError) -> StagingError:
    """Return the error of a journal that cannot be written: nothing may be started or broken without one."""
    why = f"{error.filename or journal_folder()}: {error.strerror or error}"
    return StagingError(
        msg("the fault journal cannot be written: {why}", why=why),
        advice=msg("Set XDG_STATE_HOME to a folder that the gate can write to"),
    )


def _pending(name: str, target: Target) -> RunningTarget:
    """Return the state of a target before it is started."""
    kind = target.start.kind if target.start else "container" if target.container else "url"
    return RunningTarget(
        name=name,
        kind=kind,
        base_url=target.url or "",
        host=host_of(target.url or ""),
        ports=tuple(target.ports),
        located=False,
        root_cause=f"target:{name}",
        failure=msg("the run ended before it was ready"),
    )


def _advice(target: Target, running: RunningTarget) -> Message:
    """Return what to do about a target that is not ready, depending on who starts it."""
    if target.start:
        return msg("Read the log of {target} and correct its `start`", target=running.name)
    if target.container:
        return msg("Read the log of the container {name}, or correct the name under `container`", name=target.container)
    return explain_unresolved(running.name, running.host) or msg(
        "Start {target}, or correct its address in the checklist", target=running.name
    )


def _stop_target(running: RunningTarget) -> None:
    if running.inbox:
        running.inbox.close()
    if running.proxy:
        running.proxy.close()
    if running.process:
        running.process.terminate()
    if running.container and running.container.started:
        running.container.remove()


def _log_tail(running: RunningTarget) -> str:
    if running.process:
        return running.process.log
    return running.container.log_tail if running.container else ""


def _start_proxy(target: Target) -> ProxyThread | None:
    """Start the fault proxy of a process that has a `listen` port; return None for other targets."""
    if not target.listen or not target.port:
        return None
    from gate.staging.proxy import ProxyThread  # imported late: asyncio is slow to load

    return ProxyThread(target.listen, target.port)
