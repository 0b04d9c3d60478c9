"""What goes on during a drill: criteria that must hold throughout, and traffic."""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from urllib.parse import urlsplit

from msgspec import Struct, structs

from gate.checks.context import CheckContext
from gate.checks.entry import run_check
from gate.core.messages import msg
from gate.decode.quantities import format_duration
from gate.drills.spec import Criterion, Traffic
from gate.model import CriterionResult, Outcome, Status

_EVERY = 0.5
_ANSWER = 5.0
_IN_FLIGHT = 256
"""Requests that may wait for their answer at one time. Those that would be more are not sent, also not later."""
_ENOUGH = 0.5
"""The part of the requests that has to have been sent."""


def criterion_result(
    criterion: Criterion, outcome: Outcome, phase: str, context: CheckContext, at: float | None
) -> CriterionResult:
    """Return a criterion with its outcome. `at`: seconds from the fault until it was seen; dropped if it was not."""
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
    """Asks a criterion again and again, until it is over or does not hold.

    Twice a second can miss a short outage. `look` asks once more for certain, such as while the fault is in place.
    """

    def __init__(self, criterion: Criterion, context: CheckContext, since: float) -> None:
        self.criterion = criterion
        self.context = context
        self.since = since
        self.rounds = 0
        self.broken: tuple[float, Outcome] | None = None
        self.last: Outcome | None = None
        self._missed = False
        self._over = False
        self._wanted = self._looked = float("-inf")
        self._changed = threading.Condition()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        once = self.criterion.replace(within=None)
        try:
            while not self._over and not self.broken:
                began = time.monotonic()
                outcome = run_check(once, structs.replace(self.context, fresh_after=began, evidence=None))
                if self.context.cancelled.is_set():
                    return
                self._saw(outcome, began)
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()

    def _saw(self, outcome: Outcome, began: float) -> None:
        """Keep an outcome, and wait until the next one is due or wanted."""
        with self._changed:
            self.rounds += 1
            self.last = outcome
            self._looked = began
            if outcome.status is not Status.PASS:
                self.broken = (time.monotonic() - self.since, outcome)
                return
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._over or self._wanted > self._looked, _EVERY)

    def look(self) -> None:
        """Wait until the criterion was asked once more, from now on. If it was not, it is not known to hold."""
        with self._changed:
            self._wanted = now = time.monotonic()
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._over or self._looked >= now, final_attempt_timeout(self.criterion))
            self._missed = self._missed or self._looked < now

    def end(self) -> CriterionResult:
        """End it, after a last look, and return how it went."""
        self.look()
        with self._changed:
            self._over = True
            self._changed.notify_all()
        if self.broken:
            at, outcome = self.broken
            message = msg("{message} (after {at})", message=outcome.message, at=format_duration(at))
            return criterion_result(self.criterion, outcome.replace(message=message), "throughout", self.context, None)
        if self.last is None or self._missed:
            message = msg("It was never seen to hold: there was no time to look")
            outcome = Outcome(status=Status.ERROR, message=message)
            return criterion_result(self.criterion, outcome, "throughout", self.context, None)
        message = msg("held all along, {rounds} times: {message}", rounds=self.rounds, message=self.last.message)
        return criterion_result(self.criterion, self.last.replace(message=message), "throughout", self.context, None)


def final_attempt_timeout(criterion: Criterion) -> float:
    """Seconds to wait for the last try of a criterion."""
    limit = criterion.attempt_timeout
    return 2 * limit if limit != float("inf") else 60.0


class TrafficGenerator(Struct, dict=True):
    """Sends requests at a rate, whatever becomes of them, until it is ended. One that hangs delays none after it."""

    traffic: Traffic
    context: CheckContext
    sent: int = 0
    answered: int = 0

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._free = threading.Semaphore(_IN_FLIGHT)
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._keep_rate, daemon=True)
        self._thread.start()

    def _keep_rate(self) -> None:
        for number in itertools.count():
            due = self._began + number / self.traffic.rate
            if self._over.wait(max(0.0, due - time.monotonic())) or self.context.cancelled.is_set():
                return
            if self._free.acquire(blocking=False):
                self.sent += 1
                threading.Thread(target=self._send, daemon=True).start()

    def _send(self) -> None:
        answered = self._one()
        self._free.release()
        with self._lock:
            self.answered += answered

    def _one(self) -> bool:
        parts = urlsplit(self.context.url(self.traffic.target, self.traffic.path))
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=_ANSWER)
        try:
            connection.request(self.traffic.method, parts._replace(scheme="", netloc="").geturl() or "/")
            connection.getresponse().read(65536)
        except (OSError, http.client.HTTPException, ValueError):
            return False
        finally:
            connection.close()
        return True

    def end(self) -> CriterionResult:
        """Ends it and says how much was sent. Far less than was wanted is an ERROR: it may have been too little."""
        duration = time.monotonic() - self._began
        self._over.set()
        self._thread.join(_ANSWER)
        message = msg(
            "{sent} requests were sent in {took}, {achieved} a second; {answered} were answered",
            sent=self.sent,
            took=format_duration(duration),
            achieved=round(self.sent / duration, 1),
            answered=self.answered,
        )
        enough = self.sent >= _ENOUGH * self.traffic.rate * duration
        what = msg(
            "{method} {path}, {rate} a second",
            method=self.traffic.method,
            path=self.traffic.path,
            rate=self.traffic.rate,
        )
        return CriterionResult(
            title=what, status=Status.PASS if enough else Status.ERROR, message=message, phase="traffic"
        )
