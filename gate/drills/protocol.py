"""Define what the checklist, the plan and the runner need from a drill, without loading faults and monitors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from gate.checks.context import CheckContext
    from gate.checks.entry import CheckEntry
    from gate.core.messages import Message
    from gate.staging.spec import Target

# Seconds for the prechecks of all drills together, before the first fault.
DRILL_PRECHECK_TIMEOUT = 30.0


@runtime_checkable
class DrillCheck(Protocol):
    """A check that changes staging, observes the effect and reverts it."""

    def precheck(self, context: CheckContext) -> Message | None:
        """Return why this drill could never pass, before any fault is injected; None if it can run."""

    def effects(self) -> list[Message]:
        """Return what the drill changes in staging, in order, for `prodgate plan`."""

    def criteria(self) -> dict[str, list[CheckEntry]]:
        """Return the checks of the drill by phase: `steady`, `observe`, `throughout`, `recover`."""

    def max_duration(self) -> float:
        """Return the seconds that the drill takes at most, revert and recovery included."""

    def unsupported_targets(self, targets: Mapping[str, Target]) -> Iterator[tuple[str, str, str]]:
        """Yield targets that the drill can't break or restore: the key that names one, its name, and why."""


def max_duration(entry: CheckEntry) -> float:
    """Return the seconds that an entry takes at most, all attempts and reverts included."""
    return entry.check.max_duration() if isinstance(entry.check, DrillCheck) else entry.total_timeout
