"""Run beside a drill: monitors of the criteria that must hold throughout, and traffic."""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from urllib.parse import urlsplit

from msgspec import Struct, structs

from gate.checks.attempts import run_check
from gate.checks.context import CheckContext
from gate.core.messages import msg
from gate.decode.quantities import format_duration
from gate.drills.spec import Criterion, Traffic
from gate.model import CriterionResult, Outcome, Status

_INTERVAL = 0.5
_RESPONSE_TIMEOUT = 5.0
_RESPONSE_LIMIT = 65536
# Seconds to wait for the last attempt of a criterion that bounds itself.
_UNBOUNDED_ATTEMPT_TIMEOUT = 60.0
# Requests that may wait for their response at once. Requests beyond that are dropped, not queued: a queue would send
# them as a burst when the target recovers.
_MAX_IN_FLIGHT = 256
# Share of the requests that must have been sent for the traffic to count.
_MIN_SENT_SHARE = 0.5


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


class TrafficGenerator(Struct, dict=True):
    """Sends requests at a fixed rate until it is ended. A request that hangs does not delay the next."""

    traffic: Traffic
    context: CheckContext
    sent: int = 0
    answered: int = 0

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._free_slots = threading.Semaphore(_MAX_IN_FLIGHT)
        self._lock = threading.Lock()
        self._start = time.monotonic()
        self._thread = threading.Thread(target=self._keep_rate, daemon=True)
        self._thread.start()

    def _keep_rate(self) -> None:
        for number in itertools.count():
            due = self._start + number / self.traffic.rate
            if self._over.wait(max(0.0, due - time.monotonic())) or self.context.cancelled.is_set():
                return
            if self._free_slots.acquire(blocking=False):
                self.sent += 1
                threading.Thread(target=self._send, daemon=True).start()

    def _send(self) -> None:
        answered = self._request()
        self._free_slots.release()
        with self._lock:
            self.answered += answered

    def _request(self) -> bool:
        """Send one request and return whether a response came."""
        parts = urlsplit(self.context.url(self.traffic.target, self.traffic.path))
        connection_class = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = connection_class(parts.hostname or "", parts.port, timeout=_RESPONSE_TIMEOUT)
        try:
            connection.request(self.traffic.method, parts._replace(scheme="", netloc="").geturl() or "/")
            connection.getresponse().read(_RESPONSE_LIMIT)
        except (OSError, http.client.HTTPException, ValueError):
            return False
        finally:
            connection.close()
        return True

    def end(self) -> CriterionResult:
        """Stop and return how much was sent. Far less than the rate is an ERROR: it may not have shown the fault."""
        duration = time.monotonic() - self._start
        self._over.set()
        self._thread.join(_RESPONSE_TIMEOUT)
        message = msg(
            "requests sent: {sent} in {took}, {achieved} per second; responses: {answered}",
            sent=self.sent,
            took=format_duration(duration),
            achieved=round(self.sent / duration, 1),
            answered=self.answered,
        )
        is_enough = self.sent >= _MIN_SENT_SHARE * self.traffic.rate * duration
        title = msg(
            "{method} {path}, {rate} per second",
            method=self.traffic.method,
            path=self.traffic.path,
            rate=self.traffic.rate,
        )
        return CriterionResult(
            title=title, status=Status.PASS if is_enough else Status.ERROR, message=message, phase="traffic"
        )
