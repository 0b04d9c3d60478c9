"""The time that a process spends on GitHub: all its requests share it, and a signal leaves little of it."""

from __future__ import annotations

import threading
import time

SECONDS = 60.0
HURRY = 4.0
"""Seconds that are left once the run is cancelled: the runner ends what takes longer."""
_TURN = 0.1


class TimeBudget:
    """Counts the seconds that were waited. `silent`: the last request was given up without an answer of use."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.spent = 0.0
        self.limit = seconds
        self.hurried = False
        self.silent = False

    def shrink(self) -> None:
        """Leaves little. A signal's handler may call it in the middle of a wait: it takes no lock."""
        self.limit = min(self.limit, self.spent + HURRY)
        self.hurried = True

    def share(self, seconds: float | None) -> Allowance:
        """A part of it for one purpose; None for all that is left."""
        return Allowance(self, seconds)


class Allowance:
    """What one purpose may spend. One with a bound of its own is dropped in a hurry: the rest is for the verdict."""

    def __init__(self, budget: TimeBudget, seconds: float | None) -> None:
        self.budget = budget
        self.end = None if seconds is None else budget.spent + seconds

    @property
    def remaining(self) -> float:
        """Seconds that may still be spent."""
        if self.end is None:
            return max(0.0, self.budget.limit - self.budget.spent)
        return 0.0 if self.budget.hurried else max(0.0, min(self.end, self.budget.limit) - self.budget.spent)

    def wait(self, seconds: float, over: threading.Event) -> bool:
        """Waits, in short turns because a signal may shorten what is left. Says whether it is over."""
        end = self.budget.spent + seconds
        while not over.is_set() and (rest := min(self.remaining, end - self.budget.spent)) > 0:
            began = time.monotonic()
            over.wait(min(rest, _TURN))
            self.budget.spent += time.monotonic() - began
        return over.is_set()
