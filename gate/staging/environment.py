"""Start the targets of a checklist concurrently, and stop at the end what was started."""

from __future__ import annotations

import contextlib
import signal
import socket
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
from gate.staging.env_file import read_env_file
from gate.staging.errors import DependencyNotReadyError, StagingError
from gate.staging.host_names import explain_unresolved
from gate.staging.journal import Journal, journal_folder
from gate.staging.logs import find_error_line, last_lines
from gate.staging.networks import SharedNetwork, gate_address, join_networks, resolve_host_gateway
from gate.staging.process import Process
from gate.staging.provision import provision
from gate.staging.readiness import has_exited, require_free_ports, wait_until_ready
from gate.staging.recovery import recover_dead_runs
from gate.staging.revert import revert
from gate.staging.spec import AUTO_PORT, ComposeProject, Pages, Start, Target
from gate.staging.target import RunningTarget, fill_addresses, host_of

if TYPE_CHECKING:
    from gate.staging.compose import Project
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
        compose: ComposeProject | None = None,
        root: Path,
        run_id: str,
        secrets: Redactor,
        cancelled: threading.Event,
        log_progress: Callable[[str], None],
    ) -> None:
        self.targets = assign_ports(targets)
        self.compose = compose or ComposeProject()
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
        self._project: Project | None = None
        self._project_failure: StagingError | None = None

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
        self._prepare_project()
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

    def _prepare_project(self) -> None:
        """Bring the Compose project up if it is not, and join the networks of its services. Never raises."""
        services = [target.service for target in self.targets.values() if target.service]
        if not services:
            return
        from gate.staging.compose import Project  # imported late: most checklists have no Compose project

        self._project = Project(self.compose, services, self.root)
        try:
            networks = self._project.prepare(lambda: self.journal, self.cancelled, self.log_progress)
            join_networks(networks, lambda: self.journal)
        except StagingError as error:
            self._project_failure = error
        except Exception as error:  # noqa: BLE001 - whatever breaks, the services are not ready and the run goes on
            self._project_failure = StagingError(msg("the Compose project cannot be used: {why}",
                                                     why=f"{type(error).__name__}: {error}"))  # fmt: skip

    def refresh_address(self, name: str) -> None:
        """Look up the current address of a target's container."""
        running = self.running[name].refreshed()
        with contextlib.suppress(StagingError):
            self._register(running)

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
            line = last_lines(log) if target.once else find_error_line(log, exited=has_exited(running))
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
            running = self.running[name]
            failure = wait_until_ready(target.readiness, running, self.cancelled, once=target.once)
            return _StartResult(cause, failure)
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
        self._await_dependencies(name, target)
        url = target.url or ""
        if target.start and target.start.kind == "command":
            self._start_process(name, target, target.start, running)
            return
        replicas: list[Container] = []
        if target.start:
            containers = [self._start_container(name, target, target.start)]
        elif target.container:
            containers = [find_service_container(target.container)]
        elif target.service:
            containers, replicas = self._find_service(target.service, target.replica)
        else:
            base_url = resolve_host_gateway(url)
            self._register(structs.replace(running, located=True, base_url=base_url, host=host_of(base_url)))
            return
        host = containers[0].host
        base_url = url or (f"http://{host}:{running.ports[0]}" if running.ports else "")
        running = structs.replace(
            running, located=True, base_url=base_url, host=host, containers=tuple(containers), replicas=tuple(replicas)
        ).refreshed()
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

    def _find_service(self, service: str, replica: int | None) -> tuple[list[Container], list[Container]]:
        """Return the containers of a Compose service that a target consists of, and all of them."""
        if self._project_failure is not None:
            raise self._project_failure
        assert self._project is not None
        return self._project.find(service, replica)

    def _await_dependencies(self, own_name: str, target: Target) -> None:
        """Wait for the targets that must be ready first. Raise DependencyNotReadyError if one is not."""
        for name in target.dependencies(own_name):
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

    def _resolved(self, own_name: str, start: Start) -> Start:
        """Return a start with the references to targets replaced, and its `env_file` read."""
        in_container, target = start.kind != "command", self.targets[own_name]
        # Its own port is the one on which it listens itself, not that of the proxy in front of it.
        own_ports = (target.port,) if isinstance(target.port, int) else tuple(target.ports)
        own = RunningTarget(own_name, host=own_name if in_container else "127.0.0.1", ports=own_ports)
        targets = {**self.running, own_name: own}

        def fill(text: object) -> str:
            filled = fill_addresses(str(text), targets, in_container=in_container)
            for name in self.running:
                filled = filled.replace(f"{{{name}.config}}", str(self._page_config(name)))
            return filled

        environment = {key: fill(value) for key, value in start.environment.items()}
        for path in reversed(start.env_file):
            environment = {**read_env_file(checkout_path(self.root, path)), **environment}
        return start.replace(command=list(map(fill, start.command or [])) or None, environment=environment)

    def _start_container(self, name: str, target: Target, start: Start) -> Container:
        self.journal_removal()
        start = self._resolved(name, start)
        self.log_progress(f"starting {name} from {start.image or start.build}")
        others = [self.running[other] for other in target.dependencies(name) if other in self.running]
        return start_container(
            name,
            start,
            root=self.root,
            run_id=self.run_id,
            network=self._network.ensure(),
            dependencies=[container for other in others if other.kind == "service" for container in other.containers],
            log_progress=self.log_progress,
            cancelled=self.cancelled,
        )

    def _start_process(self, name: str, target: Target, start: Start, running: RunningTarget) -> None:
        require_free_ports(target)
        start = self._resolved(name, start)
        folder = checkout_path(self.root, start.cwd) if start.cwd else self.root
        if not folder.is_dir():
            raise StagingError(msg("{path} is not a folder of the checkout", path=start.cwd or ""))
        proxy = _start_proxy(target)
        inbox = self._write_pages(name, target.pages) if target.pages else None
        process = Process(
            name,
            start.command or [],
            start.environment,
            folder,
            self.run_id,
            self.journal.record_process,
            getattr(signal, f"SIG{start.stop_signal or 'TERM'}"),
            start.user,
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


def assign_ports(targets: Mapping[str, Target]) -> dict[str, Target]:
    """Return the targets, with a free port of this machine for each `auto`."""
    with contextlib.ExitStack() as sockets:

        def assigned(port: int | str | None) -> int | str | None:
            if port != AUTO_PORT:
                return port
            # Held until every port is chosen, so that no two targets get the same one.
            held = sockets.enter_context(socket.socket())
            held.bind(("127.0.0.1", 0))
            return int(held.getsockname()[1])

        return {name: target.replace(port=assigned(target.port), listen=assigned(target.listen))
                for name, target in targets.items()}  # fmt: skip


def checkout_path(root: Path, name: str) -> Path:
    """Return a path of the checkout. Raise StagingError if a symbolic link leads out of it."""
    path = (root / name).resolve()
    if not path.is_relative_to(root.resolve()):
        raise StagingError(msg("{path} leads out of the checkout", path=name))
    return path


def _journal_error(error: OSError) -> StagingError:
    """Return the error of a journal that cannot be written: nothing may be started or broken without one."""
    why = f"{error.filename or journal_folder()}: {error.strerror or error}"
    return StagingError(
        msg("the fault journal cannot be written: {why}", why=why),
        advice=msg("Set XDG_STATE_HOME to a folder that the gate can write to"),
    )


def _pending(name: str, target: Target) -> RunningTarget:
    """Return the state of a target before it is started."""
    found = "container" if target.container else "service" if target.service else "url"
    return RunningTarget(
        name=name,
        kind=target.start.kind if target.start else found,  # type: ignore[arg-type]
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
    if target.service:
        return msg("Read the log of the service: `docker compose logs {name}`", name=target.service)
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
    for container in running.containers:
        if container.started:
            container.remove()


def _log_tail(running: RunningTarget) -> str:
    if running.process:
        return running.process.log
    if len(running.containers) > 1:
        return "\n".join(f"{container.name}:\n{container.log_tail}" for container in running.containers)
    return running.container.log_tail if running.container else ""


def _start_proxy(target: Target) -> ProxyThread | None:
    """Start the fault proxy of a process that has a `listen` port; return None for other targets."""
    if not isinstance(target.listen, int) or not isinstance(target.port, int):
        return None
    from gate.staging.proxy import ProxyThread  # imported late: asyncio is slow to load

    return ProxyThread(target.listen, target.port)
