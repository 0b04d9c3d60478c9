"""What a checklist says of a drill's parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Self

from msgspec import Meta

from gate.checks.context import CheckContext
from gate.checks.entry import CheckEntry
from gate.core.messages import Message, msg
from gate.decode.quantities import DurationSeconds
from gate.decode.structs import KeyPath, ValidationIssue, custom_type
from gate.model import FrozenStruct, TargetName
from gate.staging.faults import FAULTS
from gate.staging.spec import CommandLine

_MOST = 200
"""Requests a second."""


class Criterion(CheckEntry):
    """Something that a drill looks at, with a name of its own for the report."""

    title: Annotated[str, Meta(description="What people read; without it, what is asked.")] = ""

    def display_title(self, context: CheckContext) -> Message:
        """What people read of it."""
        return msg("{title}", title=self.title or self.check.describe(context))


class BuiltinCriterion(Criterion, kw_only=True):
    """A criterion of the gate's own, whose name is a sentence of ours."""

    words: Message

    def display_title(self, context: CheckContext) -> Message:
        return self.words


class FaultSpec(FrozenStruct):
    """Exactly one fault: `stop: database`, or `slow: {target: database, latency: 2s}`."""

    fault: Any = None

    @classmethod
    def decode(cls, value: Any) -> Self:
        """From a mapping with the fault under its own name."""
        kind, given = _fault(value)
        return cls(fault=FAULTS.get_class(kind).decode(given))

    @classmethod
    def iter_issues(cls, value: Any, path: KeyPath = ()) -> Iterator[ValidationIssue]:
        try:
            kind, given = _fault(value)
        except ValueError as error:
            yield ValidationIssue(path, str(error), value, "whole")
        else:
            yield from FAULTS.get_class(kind).iter_issues(given, (*path, kind))


def _fault(value: Any) -> tuple[str, Any]:
    """The one fault of a mapping, and what is said of it. Raises ValueError."""
    if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in FAULTS.kinds():
        raise ValueError(f"expected exactly one fault of {', '.join(FAULTS.kinds())}")
    ((kind, given),) = value.items()
    return kind, given


def _rate(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _MOST:
        raise ValueError(f"expected a number of more than 0 and at most {_MOST}")
    return float(value)


if TYPE_CHECKING:
    Rate = float
else:
    Rate = custom_type(_rate, {"type": "number", "exclusiveMinimum": 0, "maximum": _MOST})


class Traffic(FrozenStruct):
    """Requests that are sent while the fault is in place, so that there is something to notice it."""

    target: Annotated[TargetName, Meta(description="The target they are sent to.")]
    path: Annotated[str, Meta(description="The path.")] = "/"
    method: Annotated[str, Meta(pattern="^[A-Z]{1,20}$", description="The method.")] = "GET"
    rate: Annotated[Rate, Meta(description="How many a second.")] = 5.0


class OtherAlerts(FrozenStruct):
    """No alert may begin to fire during the drill but those that it awaits and those that are allowed here."""

    target: Annotated[TargetName, Meta(description="The Prometheus that knows.")]
    allow: Annotated[list[str], Meta(description="Alerts that may fire all the same.")] = []


class MetricCurves(FrozenStruct):
    """Metrics to draw below the drill's timeline."""

    target: Annotated[TargetName, Meta(description="The Prometheus that knows.")]
    queries: Annotated[
        dict[str, str], Meta(min_length=1, max_length=6, description="PromQL, by the name of the curve.")
    ]


class Script(FrozenStruct):
    """A drill script of the user's own, with the gate's guarantees around it."""

    command: Annotated[CommandLine, Meta(description="The command; it has to exit with 0.")]
    timeout: Annotated[DurationSeconds, Meta(description="How long it may take.")] = 300.0
    touches: Annotated[list[TargetName], Meta(description="The targets that it breaks: put back as they were.")] = []
