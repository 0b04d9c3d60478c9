"""Limit the total time that a process waits for GitHub. All requests share it, and a signal cuts it short."""

from __future__ import annotations

import threading
import time

# Seconds for all requests of a process.
SECONDS = 60.0
# Seconds left once the run is cancelled: the runner kills the container 10 s after the signal.
GRACE_SECONDS = 4.0
# Seconds after which a wait looks again at the budget, which a signal may have cut.
_POLL_INTERVAL = 0.1


class TimeBudget:
    """Count the seconds spent waiting. `unresponsive`: the last request was given up without a usable response."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.spent = 0.0
        self.limit = seconds
        self.shrunk = False
        self.unresponsive = False

    def shrink(self) -> None:
        """Leave only GRACE_SECONDS."""
        # A signal handler may call this in the middle of a wait, so it must not take a lock.
        self.limit = min(self.limit, self.spent + GRACE_SECONDS)
        self.shrunk = True

    def allowance(self, seconds: float | None) -> Allowance:
        """Return an allowance of at most `seconds` for one purpose; None gives it everything that is left."""
        return Allowance(self, seconds)


class Allowance:
    """The part of a budget that one purpose may spend.

    An allowance with a limit ends when the budget is shrunk: what is left then is for the verdict's status.
    """

    def __init__(self, budget: TimeBudget, seconds: float | None) -> None:
        self.budget = budget
        self.end = None if seconds is None else budget.spent + seconds

    @property
    def remaining(self) -> float:
        """Return the seconds that may still be spent."""
        if self.end is None:
            return max(0.0, self.budget.limit - self.budget.spent)
        return 0.0 if self.budget.shrunk else max(0.0, min(self.end, self.budget.limit) - self.budget.spent)

    def wait(self, seconds: float, event: threading.Event) -> bool:
        """Wait for an event for at most `seconds` of the budget. Return whether it is set."""
        end = self.budget.spent + seconds
        while not event.is_set() and (rest := min(self.remaining, end - self.budget.spent)) > 0:
            started = time.monotonic()
            event.wait(min(rest, _POLL_INTERVAL))
            self.budget.spent += time.monotonic() - started
        return event.is_set()
