"""Define the interface of a fault: inject it, verify that it is in place, revert it, verify that it is reverted.

Actions on containers are journaled first and reverted by `gate.staging.revert`, during the run or after it crashed.
"""

from __future__ import annotations

import socket
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from msgspec import Meta, Struct, field

from gate.core.errors import GateError
from gate.core.messages import Message, msg
from gate.core.override import override
from gate.decode.structs import KeyPath, ValidationIssue
from gate.model import FrozenStruct, TargetName
from gate.staging.docker_client import ENGINE_SETTLE_TIMEOUT
from gate.staging.journal import FaultAction, Journal, RevertName
from gate.staging.revert import revert

if TYPE_CHECKING:
    from gate.staging.container import Container
    from gate.staging.process import Process
    from gate.staging.spec import Ready, Target
    from gate.staging.target import RunningTarget

# Seconds within which an injected fault must be in place, and a reverted one gone.
PROOF_TIMEOUT = 10.0
# Seconds that injecting and reverting take at most, with Docker's grace period for stopping a container.
_MAX_ACTION_DURATION = 15.0


class FaultError(GateError):
    """A fault cannot be injected, or has no effect."""


class OperationFailedError(FaultError):
    """A target did not survive what was done to it, such as a restart: observed, and not as expected."""


class FaultSite(Struct):
    """The target of a fault, and the journal with which the fault is reverted.

    `cancelled` is set if the run ends early: injecting must stop then, reverting must not.
    `network_configs` is the state of a container's networks before a network fault. `ready` is when the target is
    ready. `journal_removal` journals that what has the run's label is removed at the end of the run.
    """

    running: RunningTarget
    journal: Journal
    root: Path
    cancelled: threading.Event = field(default_factory=threading.Event)
    actions: list[FaultAction] = field(default_factory=list)
    network_configs: list[dict[str, Any]] = field(default_factory=list)
    ready: Ready | None = None
    journal_removal: Callable[[], None] = lambda: None
    # The instance of the target before the fault: see `instance`.
    instance_before: str = ""

    @property
    def instance(self) -> str:
        """Return what tells the running instance of the target from earlier ones; empty if it is not running."""
        if self.process:
            return self.process.instance
        state = self.container.handle.attrs["State"] if self.container.state == "running" else {}
        return f"{self.container.id} {state['StartedAt']}" if state else ""

    @contextmanager
    def journaled(
        self, revert_name: RevertName, *, settle_timeout: float = ENGINE_SETTLE_TIMEOUT, **arguments: Any
    ) -> Iterator[None]:
        """Journal an action on a container before the `with` block does it, and again when it is done."""
        action = self.journal_intent(revert_name, settle_timeout=settle_timeout, **arguments)
        yield
        self.journal.record_done(action)

    def journal_intent(self, revert_name: RevertName, *, settle_timeout: float = 0.0, **arguments: Any) -> FaultAction:
        """Journal how an action is reverted, before it is done."""
        action = self.journal.record_intent(revert_name, settle_timeout=settle_timeout, **arguments)
        self.actions.append(action)
        return action

    def mark_settled(self) -> None:
        """Journal that all actions have completed."""
        for action in self.actions:
            self.journal.record_done(action)

    def revert_all(self) -> None:
        """Revert all actions, the latest first. Raise ExceptionGroup with the errors after trying every one."""
        errors = []
        for action in reversed(self.actions):
            try:
                revert(action, self.journal.record_process)
                self.journal.record_reverted(action)
            except Exception as error:  # noqa: BLE001 - the other actions must be reverted all the same
                errors.append(error)
        if errors:
            raise ExceptionGroup("not every action could be reverted", errors)
        self.actions = []

    @property
    def container(self) -> Container:
        """Return the target's container. Raises FaultError if it has none."""
        if self.running.container is None:
            raise FaultError(msg("{target} is not a container that can be reached here", target=self.running.name))
        return self.running.container

    def record_networks(self) -> None:
        """Save the state of the container's networks. Raise FaultError if it would stay reachable without them."""
        container, name = self.container, self.running.name
        self.network_configs = container.network_configs
        networks = [str(config["network"]) for config in self.network_configs]
        permanent = [network for network in networks if network in ("host", "none")]
        if permanent or not networks:
            raise FaultError(
                msg(
                    "{target} cannot be disconnected from its network {network}",
                    target=name,
                    network=", ".join(permanent),
                )
            )
        if sharers := container.network_sharers():
            raise FaultError(
                msg(
                    "{target} would stay reachable for {others}: they share its network interfaces",
                    target=name,
                    others=", ".join(sharers),
                )
            )

    def networks_restored(self) -> bool:
        """Return whether the container is on the same networks, with the same aliases, as before the fault."""
        return set(map(_network_key, self.container.network_configs)) == set(map(_network_key, self.network_configs))

    @property
    def host(self) -> str:
        """Return the target's current address."""
        # Docker may assign another address each time a container is connected to a network.
        return self.running.container.host if self.running.container else self.running.host

    @property
    def process(self) -> Process | None:
        """Return the target's process; None if the gate did not start it as one."""
        return self.running.process


def _network_key(config: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    return str(config["network"]), tuple(sorted(set(config["aliases"])))


class Fault(FrozenStruct):
    """A kind of fault."""

    kind: ClassVar[str]
    summary: ClassVar[str]

    @property
    def needs_detection(self) -> bool:
        """Return whether an observation must detect it. If not, the observations must hold in spite of it."""
        return True

    def steps(self) -> list[FaultStep]:
        """Return the steps in which the fault is raised until the service breaks; none if it is not raised."""
        return []

    def change(self, site: FaultSite) -> None:
        """Change an injected fault of the same kind to this one. Raise FaultError if that fails."""
        raise NotImplementedError

    def prepare(self, site: FaultSite) -> None:
        """Do what takes long and changes nothing, such as pulling an image. Raise FaultError or StagingError."""

    @abstractmethod
    def inject(self, site: FaultSite) -> None:
        """Inject the fault. Raise FaultError if that fails."""

    @abstractmethod
    def verify_injected(self, site: FaultSite) -> Message | None:
        """Return the proof that the fault is in place, or None while it is not."""

    def revert(self, site: FaultSite) -> None:
        """Revert the fault."""
        site.revert_all()

    @abstractmethod
    def verify_reverted(self, site: FaultSite) -> Message | None:
        """Return the proof that the fault is reverted, or None while it is not."""

    def max_duration(self) -> float:
        """Return the seconds that injecting, reverting and both proofs take at most."""
        return _MAX_ACTION_DURATION + 2 * PROOF_TIMEOUT

    @abstractmethod
    def describe(self) -> Message:
        """Return what the fault does, for the plan."""


class FaultStep(Struct, frozen=True):
    """A step of a fault that is raised: the fault, its name for people, and whether the service must withstand it."""

    fault: Fault
    name: str
    is_required: bool


class TargetFault(Fault):
    """A fault of one target. `stop: database` is short for `stop: {target: database}`.

    `needs_port` is True if it is verified on a port of the target. `process_support` says whether it supports targets
    that are processes: `behind_proxy` means only those with a `listen` port.
    """

    needs_port: ClassVar[bool] = True
    process_support: ClassVar[Literal["yes", "behind_proxy", "no"]] = "yes"

    target: Annotated[TargetName, Meta(description="The target it is done to.")]

    @classmethod
    @override
    def decode(cls, value: Any) -> Self:
        return super().decode(_long_form(value))

    @classmethod
    @override
    def iter_issues(cls, value: Any, path: KeyPath = ()) -> Iterator[ValidationIssue]:
        return super().iter_issues(_long_form(value), path)

    def unsupported_reason(self, target: Target) -> str | None:
        """Return a checklist error if the fault does not support such a target, else None."""
        if not (target.container or target.start):
            return "expected a target with a 'container' or a 'start': faults support nothing else"
        process = target.start is not None and target.start.kind == "command"
        if process and self.process_support == "no":
            return f"expected a target that is a container: '{self.kind}' does not support processes"
        if process and self.process_support == "behind_proxy" and not target.listen:
            return f"expected a target with a 'listen': '{self.kind}' needs the gate's proxy in front of a process"
        if self.needs_port and not target.ports:
            return "expected a target with a 'port', a 'ready: {tcp: ...}' or a 'url': the fault is verified there"
        return None

    @override
    def describe(self) -> Message:
        return msg("{fault} {target}, then revert it", fault=self.kind, target=self.target)


def _long_form(value: Any) -> Any:
    return {"target": value} if isinstance(value, str) else value


def poll(proof: Callable[[], Message | None], timeout: float = PROOF_TIMEOUT) -> Message | None:
    """Call `proof` until it returns a message; return None if it has not within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        message = proof()
        if message is not None or time.monotonic() > deadline:
            return message
        time.sleep(0.1)


def first_open_port(site: FaultSite, timeout: float = 1.0) -> int | None:
    """Return the first of the target's own ports that accepts a connection; None if no port does."""
    for port in site.running.backend_ports:
        try:
            socket.create_connection((site.host, port), timeout).close()
        except OSError:
            continue
        return port
    return None


def port_list(site: FaultSite) -> str:
    """Return the target's ports, separated by commas."""
    return ", ".join(map(str, site.running.backend_ports))
