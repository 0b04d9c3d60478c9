"""Define the interface of a fault: inject it, verify that it is in place, revert it, verify that it is reverted.

Actions on containers are journaled first and reverted by `gate.staging.revert`, during the run or after it crashed.
"""

from __future__ import annotations

import socket
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from msgspec import Meta, Struct, field, structs

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
    `network_configs` is the state of the containers' networks before a network fault, and `open_endpoints` which
    addresses and ports accepted connections then, without the addresses, which may change. `ready` is when the target
    is ready. `journal_removal` journals that what has the run's label is removed at the end of the run.
    """

    running: RunningTarget
    journal: Journal
    root: Path
    cancelled: threading.Event = field(default_factory=threading.Event)
    actions: list[FaultAction] = field(default_factory=list)
    network_configs: list[dict[str, Any]] = field(default_factory=list)
    open_endpoints: set[tuple[str, str, int]] = field(default_factory=set)
    ready: Ready | None = None
    journal_removal: Callable[[], None] = lambda: None
    # The instances of the target before the fault.
    instances_before: frozenset[str] = frozenset()

    @property
    def instances(self) -> frozenset[str]:
        """Return what tells the running instances of the target from earlier ones; empty unless all are running."""
        if self.process:
            return frozenset([self.process.instance]) - {""}
        if any(container.state != "running" for container in self.containers):
            return frozenset()
        return frozenset(
            f"{container.id} {container.handle.attrs['State']['StartedAt']}" for container in self.containers
        )

    @contextmanager
    def journaled(
        self, revert_name: RevertName, *, settle_timeout: float = ENGINE_SETTLE_TIMEOUT, **arguments: Any
    ) -> Iterator[None]:
        """Journal an action on a container before the `with` block does it, and again when it is done."""
        action = self.journal_intent(revert_name, settle_timeout=settle_timeout, **arguments)
        yield
        self.journal.record_done(action)

    def act_on_containers(
        self,
        revert_name: RevertName,
        act: Callable[[Container], None],
        settle_timeout: float = ENGINE_SETTLE_TIMEOUT,
    ) -> None:
        """Do an action on all containers at once, each journaled first. Raise what an action raises."""
        from concurrent.futures import ThreadPoolExecutor  # imported late: most checklists are only validated

        with ExitStack() as actions, ThreadPoolExecutor(len(self.containers)) as pool:
            for container in self.containers:
                actions.enter_context(
                    self.journaled(revert_name, settle_timeout=settle_timeout, container=container.id)
                )
            list(pool.map(act, self.containers))

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
        self.actions.clear()

    @property
    def containers(self) -> tuple[Container, ...]:
        """Return the target's containers. Raises FaultError if it has none."""
        if not self.running.containers:
            raise FaultError(msg("{target} is not a container that can be reached here", target=self.running.name))
        return self.running.containers

    def with_all_replicas(self) -> FaultSite:
        """Return the site of the same target with all containers that answer to its name."""
        everything = self.running.service_containers
        return structs.replace(self, running=structs.replace(self.running, containers=everything))

    def record_networks(self) -> None:
        """Save the state of the containers' networks. Raise FaultError if one would stay reachable without them."""
        for container in self.containers:
            self._require_disconnectable(container)
        self.network_configs[:] = self.current_network_configs()
        self.open_endpoints |= open_endpoints(self.containers, self.running.backend_ports)

    def current_network_configs(self) -> list[dict[str, Any]]:
        """Return one entry for each network of each container."""
        return [config for container in self.containers for config in container.network_configs]

    def _require_disconnectable(self, container: Container) -> None:
        name = self.running.name
        networks = [str(config["network"]) for config in container.network_configs]
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
        """Return whether networks, aliases and the ports that accept connections are the same as before the fault."""
        configs = self.current_network_configs()
        if set(map(_network_key, configs)) != set(map(_network_key, self.network_configs)):
            return False
        return self.open_endpoints <= open_endpoints(self.containers, self.running.backend_ports)

    @property
    def hosts(self) -> list[str]:
        """Return the addresses of the target itself: of each container, on each network that the gate can reach."""
        # Docker may assign another address each time a container is connected to a network.
        addresses = [address for container in self.running.containers for address in container.addresses]
        return addresses or [container.alias for container in self.running.containers] or [self.running.host]

    @property
    def process(self) -> Process | None:
        """Return the target's process; None if the gate did not start it as one."""
        return self.running.process


def _network_key(config: dict[str, Any]) -> tuple[str, str, tuple[str, ...]]:
    return str(config["container"]), str(config["network"]), tuple(sorted(set(config["aliases"])))


def open_endpoints(containers: Iterable[Container], ports: Iterable[int]) -> set[tuple[str, str, int]]:
    """Return container, network and port of everything that accepts connections, as far as the gate can reach it."""
    return {
        (container.id, network, port)
        for container in containers
        for network, address in container.addresses_by_network.items()
        for port in ports
        if accepts_connections(address, port)
    }


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
        if not (target.found or target.start):
            return "expected a target with a 'container', a 'service' or a 'start': faults support nothing else"
        if target.once:
            return "expected a target that keeps running: one that ends (`once`) cannot be broken"
        process = target.start is not None and target.start.kind == "command"
        if process and self.process_support == "no":
            return f"expected a target that is a container: '{self.kind}' does not support processes"
        if process and self.process_support == "behind_proxy" and not target.listen:
            return f"expected a target with a 'listen': '{self.kind}' needs the gate's proxy in front of a process"
        if self.needs_port and not target.has_port:
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


def first_open_port(site: FaultSite) -> int | None:
    """Return the first of the target's own ports that accepts a connection, on any network; None if no port does."""
    return next((port for host in site.hosts for port in site.running.backend_ports if accepts_connections(host, port)),
                None)  # fmt: skip


def accepts_connections(host: str, port: int, timeout: float = 1.0) -> bool:
    """Return whether a port accepts a connection."""
    try:
        socket.create_connection((host, port), timeout).close()
    except OSError:
        return False
    return True


def port_list(site: FaultSite) -> str:
    """Return the target's ports, separated by commas."""
    return ", ".join(map(str, site.running.backend_ports))
