"""What a fault is: put in, proved in place, taken back, proved gone.

Whatever it does to a container is written into the journal before it is done, and taken back by `gate.staging.revert`,
the same way whether the run does it itself or somebody does it after the run's death.
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

from gate.core.messages import Message, msg
from gate.decode.structs import KeyPath, ValidationIssue
from gate.model import FrozenStruct, TargetName
from gate.staging.docker_client import ENGINE_SETTLE_TIMEOUT
from gate.staging.journal import FaultAction, Journal, RevertName
from gate.staging.revert import revert

if TYPE_CHECKING:
    from gate.staging.container import Container
    from gate.staging.process import Process
    from gate.staging.spec import Target
    from gate.staging.target import RunningTarget

PROOF_TIMEOUT = 10.0
"""Seconds that a fault may take to be in place, or gone."""
_TAKES = 15.0
"""Seconds that putting in and taking back take at most, an engine's way of stopping a container included."""


class FaultError(Exception):
    """The fault cannot be put in, or has no effect. `message` says why, for a report."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


class FaultSite(Struct):
    """Where a fault goes: the target, and the journal that knows how to take it back."""

    running: RunningTarget
    journal: Journal
    root: Path
    cancelled: threading.Event = field(default_factory=threading.Event)
    """Set when the run ends early: what puts a fault in must watch it, what takes it back must not."""
    acts: list[FaultAction] = field(default_factory=list)
    places: list[dict[str, Any]] = field(default_factory=list)
    """The container's places on its networks before a fault of the network."""

    @contextmanager
    def journaled(
        self, revert_name: RevertName, *, settle_timeout: float = ENGINE_SETTLE_TIMEOUT, **arguments: Any
    ) -> Iterator[None]:
        """Around an act on a container: written down before it is done, and when it has been."""
        made = self.journal_intent(revert_name, settle_timeout=settle_timeout, **arguments)
        yield
        self.journal.record_done(made)

    def journal_intent(self, revert_name: RevertName, *, settle_timeout: float = 0.0, **arguments: Any) -> FaultAction:
        """Writes down how something that is about to be done is taken back."""
        made = self.journal.record_intent(revert_name, settle_timeout=settle_timeout, **arguments)
        self.acts.append(made)
        return made

    def mark_settled(self) -> None:
        """Writes down that nothing of all this is under way any more."""
        for act in self.acts:
            self.journal.record_done(act)

    def revert_all(self) -> None:
        """Undoes all acts, the latest first. Raises what keeps one from being undone, after trying all."""
        errors = []
        for act in reversed(self.acts):
            try:
                revert(act, self.journal.record_process)
                self.journal.record_reverted(act)
            except Exception as error:  # noqa: BLE001 - the others must be undone all the same
                errors.append(error)
        self.acts = [] if not errors else self.acts
        if errors:
            raise ExceptionGroup("not all could be taken back", errors)

    @property
    def container(self) -> Container:
        """The target's container. Raises NoFault where it has none."""
        if self.running.container is None:
            raise FaultError(msg("{target} is no container that can be reached here", target=self.running.name))
        return self.running.container

    def keep_places(self) -> None:
        """Note how the container stands on its networks. Raise NoFault if a way to it could not be cut off."""
        container, name = self.container, self.running.name
        self.places = container.places
        fixed = [str(place["network"]) for place in self.places if place["network"] in ("host", "none")]
        if fixed or not self.places:
            raise FaultError(msg("{target} cannot leave its network {network}", target=name, network=", ".join(fixed)))
        if sharing := container.sharing():
            raise FaultError(msg("{target} would stay within reach of {others}: they use its network interfaces",
                              target=name, others=", ".join(sharing)))  # fmt: skip

    def is_back(self) -> bool:
        """Return whether the container has the places again that it had before."""
        return {_place(place) for place in self.container.places} == {_place(place) for place in self.places}

    @property
    def host(self) -> str:
        """Where the target is now: an engine may give a container another address each time it is connected."""
        return self.running.container.host if self.running.container else self.running.host

    @property
    def process(self) -> Process | None:
        """The target's process, where the gate started one."""
        return self.running.process


def _place(place: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    return str(place["network"]), tuple(sorted(set(place["aliases"])))


class Fault(FrozenStruct):
    """One kind of fault."""

    kind: ClassVar[str]
    summary: ClassVar[str]

    @abstractmethod
    def inject(self, site: FaultSite) -> None:
        """Puts it in. Raises NoFault where that can't be done."""

    @abstractmethod
    def verify_injected(self, site: FaultSite) -> Message | None:
        """The proof that it is in place, or None as long as it isn't."""

    def revert(self, site: FaultSite) -> None:
        """Takes it back."""
        site.revert_all()

    @abstractmethod
    def verify_reverted(self, site: FaultSite) -> Message | None:
        """The proof that it is gone, or None as long as it isn't."""

    def max_duration(self) -> float:
        """Seconds that putting in, proving, taking back and proving gone take at most, in all."""
        return _TAKES + 2 * PROOF_TIMEOUT

    @abstractmethod
    def describe(self) -> Message:
        """What it does, for the plan."""


class TargetFault(Fault):
    """A fault done to one target. `stop: database` is short for `stop: {target: database}`."""

    needs_port: ClassVar[bool] = True
    """Whether it is proved on a port."""
    process_support: ClassVar[Literal["yes", "behind", "no"]] = "yes"
    """Whether it can be done to a process: `behind` only where ours stands in front of it."""

    target: Annotated[TargetName, Meta(description="The target it is done to.")]

    @classmethod
    def decode(cls, value: Any) -> Self:
        return super().decode(_long_form(value))

    @classmethod
    def iter_issues(cls, value: Any, path: KeyPath = ()) -> Iterator[ValidationIssue]:
        return super().iter_issues(_long_form(value), path)

    def unsupported_reason(self, target: Target) -> str | None:
        """Why it can't be done to such a target, for an error of the checklist; None where it can."""
        if not (target.container or target.start):
            return "expected a target with a 'container' or a 'start': nothing else can be broken"
        process = target.start is not None and target.start.kind == "command"
        if process and self.process_support == "no":
            return f"expected a target that is a container: '{self.kind}' can't be done to a process"
        if process and self.process_support == "behind" and not target.listen:
            return "expected a target with a 'listen': nothing of ours stands in front of this process"
        if self.needs_port and not target.ports:
            return "expected a target with a 'port', a 'ready: {tcp: ...}' or a 'url': the fault is proved there"
        return None

    def describe(self) -> Message:
        return msg("{fault} {target}, and put it back", fault=self.kind, target=self.target)


def _long_form(value: Any) -> Any:
    return {"target": value} if isinstance(value, str) else value


def poll(proof: Callable[[], Message | None], patience: float = PROOF_TIMEOUT) -> Message | None:
    """The proof as soon as there is one, None where there is none in time."""
    end = time.monotonic() + patience
    while True:
        found = proof()
        if found is not None or time.monotonic() > end:
            return found
        time.sleep(0.1)


def first_open_port(site: FaultSite, timeout: float = 1.0) -> int | None:
    """The first of the target's own ports that accepts a connection. None where none does, or it has none."""
    for port in site.running.backend_ports:
        try:
            socket.create_connection((site.host, port), timeout).close()
        except OSError:
            continue
        return port
    return None


def port_list(site: FaultSite) -> str:
    """The target's ports, for a sentence."""
    return ", ".join(map(str, site.running.backend_ports))
