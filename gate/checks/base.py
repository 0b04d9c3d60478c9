"""Define what every kind of check provides: an expectation (its fields), an observation and a judgement.

Retries, timeouts and evidence are the business of `gate.checks.attempts`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, Literal, TypeVar

from msgspec import Struct, field

from gate.checks.context import CheckContext
from gate.core.errors import GateError
from gate.core.messages import Message, msg
from gate.decode.structs import fields_by_key
from gate.model import CriterionResult, FrozenStruct, Location, Status, TargetName, TargetRef, Timeline

ObservationT = TypeVar("ObservationT")

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
    """Raw evidence to save as a file, such as the body of a response. `content` must have a bounded size."""

    name: str
    content: bytes


class ObservationError(GateError):
    """Nothing could be observed: Prometheus did not respond, a file is not readable, the time was over.

    The outcome is an ERROR, never a PASS or a FAIL. `final`: a retry can't change it.
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
        super().__init__(message)
        self.response = response
        self.advice = advice
        self.attachments = attachments
        self.final = final


class TargetDownError(GateError):
    """The target of a check was not found or did not start: a FAIL, as if it had refused the connection."""


def require_target(context: CheckContext, target: str) -> None:
    """Raise TargetDownError if a target was not found or did not start."""
    if why := context.not_there(target):
        raise TargetDownError(why)


def base_url(context: CheckContext, target: str) -> str:
    """Return the URL of a target. Raises TargetDownError, and ObservationError if the target has no URL."""
    require_target(context, target)
    if not context.targets[target].base_url:
        raise no_url(target)
    return context.targets[target].base_url


def no_url(target: str) -> ObservationError:
    """Return the error for a target that has no URL in the checklist."""
    return ObservationError(msg("{target} has no URL; add `url` to the target", target=target), final=True)


class CheckResult(Struct, frozen=True):
    """What a check concludes from its observation: `message` is the proof in one sentence, `response` the raw text."""

    status: Status
    message: Message
    response: str = ""
    advice: Message | None = None
    locations: tuple[Location, ...] = ()
    rows: tuple[CriterionResult, ...] = ()
    timeline: Timeline | None = None
    # Equal for all outcomes with one root cause; a cause that starts with `unrestored` stops further drills.
    cause: str | None = None
    attachments: tuple[Attachment, ...] = field(default=())
    # No retry can change the result: none is made, however long `within` is.
    final: bool = False


def passed(message: Message, **evidence: Any) -> CheckResult:
    """Return the result of an observation that is as expected."""
    return CheckResult(Status.PASS, message, **evidence)


def failed(message: Message, **evidence: Any) -> CheckResult:
    """Return the result of an observation that is not as expected."""
    return CheckResult(Status.FAIL, message, **evidence)


def errored(message: Message, **evidence: Any) -> CheckResult:
    """Return the result if nothing could be observed."""
    return CheckResult(Status.ERROR, message, **evidence)


class Check(FrozenStruct, Generic[ObservationT]):
    """One kind of check. Its fields are the expectation, decoded from the checklist and exported as JSON Schema."""

    kind: ClassVar[str]
    # One line for the schema and the catalogue of checks.
    summary: ClassVar[str]
    # `main` checks run in parallel, `drill` checks one at a time after them, `after` checks last.
    phase: ClassVar[Literal["main", "drill", "after"]] = "main"
    # Seconds for one attempt if the item has no `timeout`; None if the check bounds itself.
    time_limit: ClassVar[float | None] = 10.0

    elsewhere: ClassVar[Mapping[str, str]] = {
        name: f"'{name}' beside the check, not under it"
        for name in ("within", "timeout", "severity", "needs", "requires", "id", "title")
    }

    # Keys of which the checklist must give at least one, such as `tls.expires_in`; empty if a check needs none.
    expectation_keys: ClassVar[tuple[str, ...]] = ()

    # Additions to the JSON Schema that the fields can't express.
    schema_extra: ClassVar[Mapping[str, Any]] = {}

    # The check has something to revert: when the run ends early, its attempt is awaited nevertheless.
    needs_cleanup: ClassVar[bool] = False

    @property
    def needs_engine(self) -> bool:
        """Return whether the check needs a container engine."""
        return False

    @abstractmethod
    def describe(self, context: CheckContext) -> str:
        """Return what the check requests, in one line: `GET http://api:8080/readyz`."""

    @abstractmethod
    def reproduce_command(self, context: CheckContext) -> str:
        """Return a shell command that makes the same request. Quote with `shlex`; it must not hold a secret."""

    @abstractmethod
    def observe(self, context: CheckContext) -> ObservationT:
        """Do the I/O within `context.remaining()` seconds and bounded memory. May raise ObservationError."""

    @abstractmethod
    def judge(self, observation: ObservationT) -> CheckResult:
        """Compare the observation with the expectation. Pure: no I/O, no clock."""

    def missing_expectation(self) -> str | None:
        """Return an error message if none of `expectation_keys` has a value, else None."""
        if not self.expectation_keys or any(_has_value(self, path.split(".")) for path in self.expectation_keys):
            return None
        *names, last = [f"'{path}'" for path in self.expectation_keys]
        return f"expected at least one of {', '.join(names)} and {last}" if names else f"expected {last}"


def _has_value(model: FrozenStruct, path: list[str]) -> bool:
    """Return whether a checklist gives a value under a key, named by its path."""
    value = getattr(model, fields_by_key(type(model))[path[0]].name)
    if path[1:]:
        return _has_value(value, path[1:])
    return value is not None and value not in ([], {}, "")
