"""Define what runs beside a drill and is judged by its phases: traffic, and the writes of a ledger."""

from __future__ import annotations

import time
from typing import Protocol

from msgspec import Struct, field

from gate.checks.base import Attachment
from gate.checks.context import CheckContext
from gate.core.messages import Message, msg
from gate.drills.spec import TrafficPhase
from gate.model import CriterionResult, MetricSeries, TimelineEvent

# Requests that are wanted in a phase, and the seconds that a phase lasts for them.
_WANTED_REQUESTS = 20
_MIN_LEAD, _MAX_LEAD = 1.0, 4.0


class PhaseTimes(Struct, frozen=True):
    """When the phases of a drill began, in `time.monotonic()` seconds. `recovered` is None if it did not recover.

    `steps`: the fault was raised step by step, and the traffic was judged in each step.
    """

    fault: float
    recovered: float | None = None
    steps: bool = False


class WorkloadResult(Struct, frozen=True):
    """The rows, curves, events and files of a workload."""

    rows: list[CriterionResult]
    curves: list[MetricSeries] = field(default_factory=list)
    events: list[TimelineEvent] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)


class Workload(Protocol):
    """Runs beside a drill, from before its fault until after its recovery."""

    def start(self) -> None:
        """Begin. Raise ObservationError or TargetDownError if that is not possible."""

    def check_before_fault(self) -> list[CriterionResult]:
        """Wait until there is enough to compare with; return the rows that keep the drill from injecting its fault."""

    def violations_between(self, start: float, end: float) -> list[Message]:
        """Return what the workload of a time violates, in `time.monotonic()` seconds: for a step of a sweep."""

    def stop(self) -> None:
        """Stop without a result."""

    def end(self, times: PhaseTimes) -> WorkloadResult:
        """Stop and judge."""


def lead_time(rate: float) -> float:
    """Return the seconds for which a workload runs before the fault, and after the recovery."""
    return min(_MAX_LEAD, max(_MIN_LEAD, _WANTED_REQUESTS / rate))


def wait_for_phase(times: PhaseTimes, lead: float, context: CheckContext) -> None:
    """Wait until the service has been recovered for `lead` seconds."""
    if times.recovered is not None:
        context.cancelled.wait(max(0.0, times.recovered + lead - time.monotonic()))


def phase_title(phase: TrafficPhase) -> Message:
    """Return the name of a phase for people."""
    titles = {
        "before": msg("before the fault"),
        "during": msg("from the fault until the recovery"),
        "after": msg("after the recovery"),
    }
    return titles[phase]
