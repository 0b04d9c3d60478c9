"""Monitor the criteria that must hold throughout a drill."""

from __future__ import annotations

import threading
import time

from msgspec import structs

from gate.checks.attempts import run_check
from gate.checks.context import CheckContext
from gate.core.messages import msg
from gate.decode.quantities import format_duration
from gate.drills.spec import Criterion
from gate.model import CriterionResult, Outcome, Status

_INTERVAL = 0.5
# Seconds to wait for the last attempt of a criterion that bounds itself.
_UNBOUNDED_ATTEMPT_TIMEOUT = 60.0


def criterion_result(
    criterion: Criterion, outcome: Outcome, phase: str, context: CheckContext, at: float | None
) -> CriterionResult:
    """Return the row of a criterion. `at`: seconds since the fault; dropped unless the criterion passed."""
    return CriterionResult(
        title=criterion.display_title(context),
        status=outcome.status,
        message=outcome.message,
        phase=phase,
        at=round(at, 3) if at is not None and outcome.status is Status.PASS else None,
        within=criterion.within,
        evidence=outcome.evidence,
    )


class InvariantMonitor:
    """Runs a criterion in the background, twice a second, until it fails or the monitor is ended.

    An outage between two attempts can be missed; `look` forces an attempt at a moment that matters.
    """

    def __init__(self, criterion: Criterion, context: CheckContext, fault_time: float) -> None:
        self.criterion = criterion
        self.context = context
        self.fault_time = fault_time
        self.attempts = 0
        self.broken: tuple[float, Outcome] | None = None
        self.last: Outcome | None = None
        self._missed_look = False
        self._is_over = False
        self._requested_at = self._last_started_at = float("-inf")
        self._changed = threading.Condition()
        threading.Thread(target=self._monitor, daemon=True).start()

    def _monitor(self) -> None:
        once = self.criterion.replace(within=None)
        try:
            while not self._is_over and not self.broken:
                start = time.monotonic()
                outcome = run_check(once, structs.replace(self.context, fresh_after=start, evidence=None))
                if self.context.cancelled.is_set():
                    return
                self._record(outcome, start)
        finally:
            with self._changed:
                self._is_over = True
                self._changed.notify_all()

    def _record(self, outcome: Outcome, start: float) -> None:
        """Record an outcome, then wait until the next attempt is due or requested."""
        with self._changed:
            self.attempts += 1
            self.last = outcome
            self._last_started_at = start
            if outcome.status is not Status.PASS:
                self.broken = (time.monotonic() - self.fault_time, outcome)
                return
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_over or self._requested_at > self._last_started_at, _INTERVAL)

    def look(self) -> None:
        """Request an attempt that starts after this call, and wait for it. If none ends in time, `end` is an ERROR."""
        with self._changed:
            self._requested_at = now = time.monotonic()
            self._changed.notify_all()
            timeout = final_attempt_timeout(self.criterion)
            self._changed.wait_for(lambda: self._is_over or self._last_started_at >= now, timeout)
            self._missed_look = self._missed_look or self._last_started_at < now

    def end(self) -> CriterionResult:
        """Make a last attempt, stop, and return the result of all attempts."""
        self.look()
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        if self.broken:
            at, outcome = self.broken
            message = msg("{message} (after {at})", message=outcome.message, at=format_duration(at))
            return criterion_result(self.criterion, outcome.replace(message=message), "throughout", self.context, None)
        if self.last is None or self._missed_look:
            message = msg("Not observed: no attempt finished in time")
            outcome = Outcome(status=Status.ERROR, message=message)
            return criterion_result(self.criterion, outcome, "throughout", self.context, None)
        message = msg("held throughout (observations: {count}): {message}", count=self.attempts,
                      message=self.last.message)  # fmt: skip
        return criterion_result(self.criterion, self.last.replace(message=message), "throughout", self.context, None)


def final_attempt_timeout(criterion: Criterion) -> float:
    """Return the seconds to wait for a requested attempt: one that is under way may have to end first."""
    timeout = criterion.attempt_timeout
    return 2 * timeout if timeout != float("inf") else _UNBOUNDED_ATTEMPT_TIMEOUT
