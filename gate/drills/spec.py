"""Define the parts of a drill as a checklist writes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Self

from msgspec import Meta

from gate.checks.context import CheckContext
from gate.checks.entry import CheckEntry
from gate.core.messages import Message, msg
from gate.core.override import override
from gate.core.strictness import stricter
from gate.decode.quantities import DurationSeconds
from gate.decode.structs import KeyPath, ValidationIssue, custom_type
from gate.model import FrozenStruct, TargetName
from gate.staging.faults import FAULTS
from gate.staging.spec import CommandLine

# Requests per second.
_MAX_RATE = 200


class Criterion(CheckEntry):
    """A check inside a drill, with a title for the report."""

    title: Annotated[
        str, Meta(description="The title in reports; by default what the check requests.", extra=stricter("never"))
    ] = ""

    def display_title(self, context: CheckContext) -> Message:
        """Return the title, or what the check requests."""
        return msg("{title}", title=self.title or self.check.describe(context))


class BuiltinCriterion(Criterion, kw_only=True):
    """A criterion that the gate adds to a drill. Its title is translated."""

    message_title: Message

    @override
    def display_title(self, context: CheckContext) -> Message:
        return self.message_title


class FaultSpec(FrozenStruct):
    """Exactly one fault: `stop: database`, or `slow: {target: database, latency: 2s}`."""

    fault: Any = None

    @classmethod
    @override
    def decode(cls, value: Any) -> Self:
        """Decode a mapping that holds the fault under its kind. Raises ValueError or msgspec.ValidationError."""
        kind, settings = _single_fault(value)
        return cls(fault=FAULTS.get_class(kind).decode(settings))

    @classmethod
    @override
    def iter_issues(cls, value: Any, path: KeyPath = ()) -> Iterator[ValidationIssue]:
        try:
            kind, settings = _single_fault(value)
        except ValueError as error:
            yield ValidationIssue(path, str(error), value, "whole")
        else:
            yield from FAULTS.get_class(kind).iter_issues(settings, (*path, kind))


def _single_fault(value: Any) -> tuple[str, Any]:
    """Return the kind and the settings of the only fault of a mapping. Raises ValueError."""
    if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in FAULTS.kinds():
        raise ValueError(f"expected exactly one fault of {', '.join(FAULTS.kinds())}")
    ((kind, settings),) = value.items()
    return kind, settings


def _parse_rate(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _MAX_RATE:
        raise ValueError(f"expected a number of more than 0 and at most {_MAX_RATE}")
    return float(value)


if TYPE_CHECKING:
    Rate = float
else:
    Rate = custom_type(_parse_rate, {"type": "number", "exclusiveMinimum": 0, "maximum": _MAX_RATE})


class Traffic(FrozenStruct):
    """Requests that are sent during the fault, so that metrics and alerts can show it."""

    target: Annotated[TargetName, Meta(description="The target to send them to.", extra=stricter("never"))]
    path: Annotated[str, Meta(description="The path.", extra=stricter("never"))] = "/"
    method: Annotated[str, Meta(pattern="^[A-Z]{1,20}$", description="The method.", extra=stricter("never"))] = "GET"
    rate: Annotated[Rate, Meta(description="Requests per second.", extra=stricter("never"))] = 5.0


class OtherAlerts(FrozenStruct):
    """No alert may begin to fire during the drill, except the awaited and the allowed ones."""

    target: Annotated[TargetName, Meta(description="The Prometheus to query.", extra=stricter("never"))]
    allow: Annotated[list[str], Meta(description="Alerts that may fire.", extra=stricter("never"))] = []


class MetricCurves(FrozenStruct):
    """Metrics to draw below the drill's timeline."""

    target: Annotated[TargetName, Meta(description="The Prometheus to query.", extra=stricter("never"))]
    queries: Annotated[
        dict[str, str],
        Meta(min_length=1, max_length=6, description="PromQL queries, by the curve's name.", extra=stricter("never")),
    ]


class Script(FrozenStruct):
    """A drill script of the user. The gate bounds it and restores the targets that it touches."""

    command: Annotated[CommandLine, Meta(description="The command; it must exit with 0.", extra=stricter("never"))]
    timeout: Annotated[DurationSeconds, Meta(description="How long it may take.", extra=stricter("lower"))] = 300.0
    touches: Annotated[
        list[TargetName],
        Meta(description="The targets that it breaks; the gate restores them afterwards.", extra=stricter("never")),
    ] = []
