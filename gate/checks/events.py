"""Define the protocol of checks that wait for an event, such as an alert that fires."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from gate.checks.base import Check
    from gate.checks.context import CheckContext
    from gate.core.messages import Message


@runtime_checkable
class EventCheck(Protocol):
    """A check that can wait for an event. An event that was there before a fault does not prove its detection."""

    name: str

    def is_event(self) -> bool:
        """Return whether this check waits for an event: an alert that fires, not one that is quiet."""

    def minimum_delay(self, context: CheckContext) -> tuple[float, Message] | None:
        """Return the seconds that pass at least between a cause and its event, and why; None if there is no bound.

        Raises ObservationError.
        """

    def recovery_timeout(self) -> float | None:
        """Return the seconds within which `postcondition` must pass; None for the drill's own limit."""

    def recovery_problem(self, context: CheckContext, timeout: float) -> Message | None:
        """Return why `postcondition` can never pass within some seconds; None if it can. Raises ObservationError."""

    def precondition(self) -> Check[Any] | None:
        """Return the check that must pass before the cause, such as a quiet alert; None if this is no event."""

    def postcondition(self) -> Check[Any] | None:
        """Return the check that must pass after the cause is gone: the alert resolves. None if this is no event."""


def as_event(check: Check[Any]) -> EventCheck | None:
    """Return the check if it waits for an event, else None."""
    return check if isinstance(check, EventCheck) and check.is_event() else None
