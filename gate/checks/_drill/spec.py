"""What a checklist says of a drill's parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Self

from msgspec import Meta

from gate.checks.asked import Asked
from gate.checks.world import World
from gate.messages import Message, say
from gate.model import Model, TargetName
from gate.quantities import Duration
from gate.staging.faults import FAULTS
from gate.staging.spec import Words
from gate.written import Mistake, Path_, form

_MOST = 200
"""Requests a second."""


class Criterion(Asked):
    """Something that a drill looks at, with a name of its own for the report."""

    title: Annotated[str, Meta(description="What people read; without it, what is asked.")] = ""

    def heading(self, world: World) -> Message:
        """What people read of it."""
        return say("{title}", title=self.title or self.check.asked(world))


class Named(Criterion, kw_only=True):
    """A criterion of the gate's own, whose name is a sentence of ours."""

    words: Message

    def heading(self, world: World) -> Message:
        return self.words


class FaultSpec(Model):
    """Exactly one fault: `stop: database`, or `slow: {target: database, latency: 2s}`."""

    fault: Any = None

    @classmethod
    def made_of(cls, value: Any) -> Self:
        """From a mapping with the fault under its own name."""
        kind, given = _fault(value)
        return cls(fault=FAULTS.load(kind).made_of(given))

    @classmethod
    def mistakes(cls, value: Any, path: Path_ = ()) -> Iterator[Mistake]:
        try:
            kind, given = _fault(value)
        except ValueError as error:
            yield Mistake(path, str(error), value, "whole")
        else:
            yield from FAULTS.load(kind).mistakes(given, (*path, kind))


def _fault(value: Any) -> tuple[str, Any]:
    """The one fault of a mapping, and what is said of it. Raises ValueError."""
    if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in FAULTS.names():
        raise ValueError(f"expected exactly one fault of {', '.join(FAULTS.names())}")
    ((kind, given),) = value.items()
    return kind, given


def _rate(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _MOST:
        raise ValueError(f"expected a number of more than 0 and at most {_MOST}")
    return float(value)


if TYPE_CHECKING:
    Rate = float
else:
    Rate = form(_rate, {"type": "number", "exclusiveMinimum": 0, "maximum": _MOST})


class Traffic(Model):
    """Requests that are sent while the fault is in place, so that there is something to notice it."""

    target: Annotated[TargetName, Meta(description="The target they are sent to.")]
    path: Annotated[str, Meta(description="The path.")] = "/"
    method: Annotated[str, Meta(pattern="^[A-Z]{1,20}$", description="The method.")] = "GET"
    rate: Annotated[Rate, Meta(description="How many a second.")] = 5.0


class Others(Model):
    """No alert may begin to fire during the drill but those that it awaits and those that are allowed here."""

    target: Annotated[TargetName, Meta(description="The Prometheus that knows.")]
    allow: Annotated[list[str], Meta(description="Alerts that may fire all the same.")] = []


class Curves(Model):
    """Metrics to draw below the drill's timeline."""

    target: Annotated[TargetName, Meta(description="The Prometheus that knows.")]
    queries: Annotated[
        dict[str, str], Meta(min_length=1, max_length=6, description="PromQL, by the name of the curve.")
    ]


class Script(Model):
    """A drill script of the user's own, with the gate's guarantees around it."""

    command: Annotated[Words, Meta(description="The command; it has to exit with 0.")]
    timeout: Annotated[Duration, Meta(description="How long it may take.")] = 300.0
    touches: Annotated[list[TargetName], Meta(description="The targets that it breaks: put back as they were.")] = []
