"""What a check is: an expectation (its fields), an observation (`observe`) and a judgement (`judge`).

Retries, time limits, evidence and ids are not a check's business: `gate.checks.entry` does them for all.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from msgspec import Struct, field

from gate.checks.context import CheckContext
from gate.core.messages import Message, msg
from gate.decode.structs import fields_by_key
from gate.model import CriterionResult, FrozenStruct, Location, Status, TargetName, TargetRef, Timeline

if TYPE_CHECKING:
    from gate.checks.entry import CheckEntry
    from gate.staging.spec import Target

ObservationT = TypeVar("ObservationT")
DRILL_PRECHECK_TIMEOUT = 30.0
"""Seconds in which all drills together have to find out whether they could prove anything."""


__all__ = [
    "Attachment",
    "Check",
    "CheckResult",
    "ObservationError",
    "TargetName",
    "TargetRef",
    "errored",
    "failed",
    "passed",
]


class Attachment(Struct, frozen=True):
    """Raw evidence to keep as a file of its own, such as a response's body. Cut it to a bounded size first."""

    name: str
    content: bytes


class ObservationError(Exception):
    """The question got no answer that could be judged: Prometheus did not answer, a file is not readable, no time left.

    Makes the outcome an ERROR, never a PASS and never a FAIL. `final`: no retry can change it.
    """

    def __init__(
        self,
        message: Message,
        *,
        response: str = "",
        advice: Message | None = None,
        attachments: tuple[Attachment, ...] = (),
        final: bool = False,
    ) -> None:
        super().__init__(str(message))
        self.message = message
        self.response = response
        self.advice = advice
        self.attachments = attachments
        self.final = final


class TargetDownError(Exception):
    """The target that a check is about was not found or started: a FAIL, as if it refused the connection."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


def must_be_there(context: CheckContext, target: str) -> None:
    """Raise TargetDownError if a target was not found or started."""
    if why := context.not_there(target):
        raise TargetDownError(why)


def base_url(context: CheckContext, target: str) -> str:
    """Return the URL of the target that a check is about. Raises TargetDownError, and CannotObserve if it has none."""
    must_be_there(context, target)
    if not context.targets[target].base_url:
        raise no_url(target)
    return context.targets[target].base_url


def no_url(target: str) -> ObservationError:
    """Return the error of a target to which the checklist gives no URL."""
    why = msg("the checklist gives it none")
    return ObservationError(msg("{target} has no URL: {why}", target=target, why=why), final=True)


class CheckResult(Struct, frozen=True):
    """What a check says of what it saw. `message` is the proof in one sentence; `answer` what came back, as text."""

    status: Status
    message: Message
    response: str = ""
    advice: Message | None = None
    locations: tuple[Location, ...] = ()
    rows: tuple[CriterionResult, ...] = ()
    timeline: Timeline | None = None
    cause: str | None = None
    """The same for all outcomes with one root cause; `unrestored` ends the drills."""
    attachments: tuple[Attachment, ...] = field(default=())
    final: bool = False
    """Whether no retry can change it: none is made, however long `within` is."""


def passed(message: Message, **evidence: Any) -> CheckResult:
    """Observed, and as expected."""
    return CheckResult(Status.PASS, message, **evidence)


def failed(message: Message, **evidence: Any) -> CheckResult:
    """Observed, and not as expected."""
    return CheckResult(Status.FAIL, message, **evidence)


def errored(message: Message, **evidence: Any) -> CheckResult:
    """Could not be observed."""
    return CheckResult(Status.ERROR, message, **evidence)


class Check(FrozenStruct, Generic[ObservationT]):
    """One kind of question. Its fields are the expectation, loaded from the checklist and exported as JSON Schema."""

    kind: ClassVar[str]
    summary: ClassVar[str]
    """One line: what it asks."""
    phase: ClassVar[Literal["main", "drill", "after"]] = "main"
    """`main` checks run in parallel, `drill` checks one at a time after all of them, `after` checks last of all."""
    time_limit: ClassVar[float | None] = 10.0
    """Seconds that one try may take where the item has no `timeout`; None where the check bounds itself."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        name: f"'{name}' beside the check, not under it"
        for name in ("within", "timeout", "severity", "needs", "requires", "id", "title")
    }

    expectation_keys: ClassVar[tuple[str, ...]] = ()
    """The keys of which a checklist has to give at least one, as `tls.expires_in`; none where no key can be missed."""

    schema_extra: ClassVar[Mapping[str, Any]] = {}
    """What the JSON Schema has beyond what the fields say."""

    needs_cleanup: ClassVar[bool] = False
    """Whether it has something to put back: when the run ends early, it is waited for until it has done so."""

    @property
    def needs_engine(self) -> bool:
        """Whether it can't be asked without a container engine."""
        return False

    @abstractmethod
    def describe(self, context: CheckContext) -> str:
        """What is asked, in one line: `GET http://api:8080/readyz`."""

    @abstractmethod
    def reproduce_command(self, context: CheckContext) -> str:
        """One command that asks the same by hand. Quote with `shlex`; never put a secret in it."""

    @abstractmethod
    def observe(self, context: CheckContext) -> ObservationT:
        """Does the I/O, within `world.remaining()` seconds and bounded memory. May raise `CannotObserve`."""

    @abstractmethod
    def judge(self, observation: ObservationT) -> CheckResult:
        """Judges what was seen. Pure: no I/O, no clock."""

    def effects(self) -> list[Message]:
        """What asking changes in staging, in order, for `prodgate plan`. Most checks change nothing."""
        return []

    def precheck(self, context: CheckContext) -> Message | None:
        """Why asking it could prove nothing, found before any drill breaks anything; None where it could."""
        return None

    def max_duration(self, asked: CheckEntry) -> float:
        """Seconds that asking takes at most, tries and putting back included."""
        return asked.total_timeout

    def criteria(self) -> dict[str, list[CheckEntry]]:
        """The criteria that it is made of, by phase, such as a drill's; empty where it asks by itself."""
        return {}

    def is_event(self) -> bool:
        """Whether it waits for an event, such as an alert: one that is there before a fault proves nothing of it."""
        return False

    def minimum_delay(self, context: CheckContext) -> tuple[float, Message] | None:
        """Seconds that must pass at least between a cause and this check's pass, and why; None where it is nothing.

        May raise `CannotObserve`.
        """
        return None

    def precondition(self) -> Check[Any] | None:
        """What must hold before the cause, such as an alert that is quiet, else this check's pass proves nothing of it.

        None where it is nothing.
        """
        return None

    def postcondition(self) -> Check[Any] | None:
        """What must hold again once the cause is gone, such as an alert that resolves; None where it is nothing."""
        return None

    def unsupported_targets(self, targets: Mapping[str, Target]) -> Iterator[tuple[str, str, str]]:
        """Targets with which it can't be done what this check does: the key that names one, its name, and why.

        They are errors of the checklist.
        """
        yield from ()

    def missing_expectation(self) -> str | None:
        """None, or why this check expects nothing (`expected at least one of ...`): an error of the checklist."""
        if not self.expectation_keys or any(_is_there(self, path.split(".")) for path in self.expectation_keys):
            return None
        *names, last = [f"'{path}'" for path in self.expectation_keys]
        return f"expected at least one of {', '.join(names)} and {last}" if names else f"expected {last}"


def _is_there(model: FrozenStruct, path: list[str]) -> bool:
    """Whether a checklist says something under a key, given as the path to it."""
    value = getattr(model, fields_by_key(type(model))[path[0]].name)
    if path[1:]:
        return _is_there(value, path[1:])
    return value is not None and value not in ([], {}, "")
