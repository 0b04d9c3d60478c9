"""Send traffic during a drill and judge what its users got: errors and latency before, during and after the fault.

The load is open-loop: requests are sent when they are due, however slow the target is. The latency of a request counts
from when it was due, so that a request that had to wait is not taken for a fast one ("coordinated omission").
"""

from __future__ import annotations

import math
import resource
import threading
import time
from array import array
from collections import Counter
from collections.abc import Iterable

from msgspec import Struct

from gate.checks.context import CheckContext
from gate.core.messages import Message, join_messages, msg
from gate.decode.quantities import format_duration, format_share
from gate.drills.spec import LatencyLimits, Traffic, TrafficPhase
from gate.drills.workload import PhaseTimes, WorkloadResult, lead_time, phase_title, wait_for_phase
from gate.http.client import open_stream
from gate.http.errors import BodyTooLargeError, HttpError
from gate.http.models import Request
from gate.matchers import ShareMatcher
from gate.model import CriterionResult, MetricSeries, Status, TimelineEvent

# Bytes of a response that are read.
_RESPONSE_LIMIT = 1024 * 1024
# Share of the requests that must have been sent for the traffic to count.
_MIN_SENT_SHARE = 0.9
# Requests that may wait for their response at once: a thread and a file descriptor each.
_MAX_IN_FLIGHT = 2048
# File descriptors that the rest of the gate may need.
_OTHER_FILES = 256
# Different reasons for errors that are counted; all others are counted together.
_MAX_REASONS = 20
_SHOWN_REASONS = 3
_SHOWN_PERCENTILES = ("p50", "p95", "p99", "max")
_MAX_POINTS = 200
_MIN_BUCKET = 0.5
_NO_REASON = -1


class RequestLog:
    """The requests of a drill: when each was due, how long it took from then, and why it failed.

    Takes 19 bytes for each request. Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._due = array("d")
        self._seconds = array("d")
        self._reason = array("h")
        self._timed = array("b")
        self._reasons: dict[str, int] = {}
        self._messages: list[Message] = []

    def add(self, due: float, seconds: float, failure: Message | None, *, timed: bool) -> None:
        """Add a request. `timed`: its duration is a latency: it got a response, or waited for one in vain."""
        with self._lock:
            self._due.append(due)
            self._seconds.append(seconds)
            self._reason.append(_NO_REASON if failure is None else self._number(failure))
            self._timed.append(timed)

    def _number(self, failure: Message) -> int:
        if len(self._messages) >= _MAX_REASONS:
            failure = msg("other reasons")
        number = self._reasons.setdefault(str(failure), len(self._messages))
        if number == len(self._messages):
            self._messages.append(failure)
        return number

    def window(self, start: float, end: float) -> RequestWindow:
        """Return the requests that overlap a time: due before `end`, and done at `start` or later."""
        with self._lock:
            numbers = [
                number for number, due in enumerate(self._due) if due < end and due + self._seconds[number] >= start
            ]
            return self._summarize(numbers)

    def done_before(self, end: float) -> RequestWindow:
        """Return the requests that were done before a time."""
        with self._lock:
            return self._summarize(
                [number for number, due in enumerate(self._due) if due + self._seconds[number] < end]
            )

    def due_from(self, start: float) -> RequestWindow:
        """Return the requests that were due at a time or later."""
        with self._lock:
            return self._summarize([number for number, due in enumerate(self._due) if due >= start])

    def _summarize(self, numbers: Iterable[int]) -> RequestWindow:
        count, latencies, reasons = 0, [], Counter[int]()
        for number in numbers:
            count += 1
            if self._timed[number]:
                latencies.append(self._seconds[number])
            if self._reason[number] != _NO_REASON:
                reasons[self._reason[number]] += 1
        latencies.sort()
        return RequestWindow(
            count=count,
            latencies=latencies,
            reasons=[(self._messages[reason], times) for reason, times in reasons.most_common()],
        )

    def curves(self, origin: float) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        """Return the share of errors in percent and the 95th percentile of the latency in ms, by the time due.

        Times are in seconds since `origin`.
        """
        with self._lock:
            if not self._due:
                return [], []
            first, last = min(self._due), max(self._due)
            width = max(_MIN_BUCKET, (last - first) / _MAX_POINTS)
            buckets: dict[int, list[int]] = {}
            for number, due in enumerate(self._due):
                buckets.setdefault(int((due - first) / width), []).append(number)
            errors, latencies = [], []
            for bucket, numbers in sorted(buckets.items()):
                at, window = round(first + bucket * width - origin, 3), self._summarize(numbers)
                errors.append((at, round(100 * window.error_share, 2)))
                if window.latencies:
                    latencies.append((at, round(1000 * window.percentile("p95"), 2)))
            return errors, latencies


class RequestWindow(Struct, frozen=True):
    """The requests of a time: how many, the sorted latencies in seconds, and how many failed for each reason."""

    count: int
    latencies: list[float]
    reasons: list[tuple[Message, int]]

    @property
    def errors(self) -> int:
        """Return how many failed."""
        return sum(times for _, times in self.reasons)

    @property
    def error_share(self) -> float:
        """Return the share that failed; 0 if there were no requests."""
        return self.errors / self.count if self.count else 0.0

    def percentile(self, name: str) -> float:
        """Return a percentile such as `p95`, or `max`, by the nearest rank. Needs at least one latency."""
        share = 1.0 if name == "max" else float(name.removeprefix("p")) / 100
        rank = math.ceil(share * len(self.latencies) - 1e-9)
        return self.latencies[max(0, rank - 1)]

    def summary(self) -> Message:
        """Return the numbers for people."""
        errors = msg("errors: {share}", share=format_share(self.error_share))
        if self.reasons:
            shown = [msg("{why} ({times})", why=why, times=times) for why, times in self.reasons[:_SHOWN_REASONS]]
            errors = msg("errors: {share}: {reasons}", share=format_share(self.error_share),
                         reasons=join_messages(shown))  # fmt: skip
        parts = [msg("requests: {sent}", sent=self.count), errors]
        if self.latencies:
            parts.append(msg("{percentiles}", percentiles=", ".join(
                f"{name} {format_duration(self.percentile(name))}" for name in _SHOWN_PERCENTILES)))  # fmt: skip
        return join_messages(parts)

    def violations(self, errors: ShareMatcher | None, latency: LatencyLimits | None) -> list[Message]:
        """Return the limits that do not hold. Without requests none can be judged: see `count`."""
        mismatches = [errors.mismatch(self.error_share, "errors")] if errors is not None else []
        for name, limit in latency.by_percentile().items() if latency else ():
            if self.latencies:
                mismatches.append(limit.mismatch(self.percentile(name), name))
            else:
                mismatches.append(msg("{percentile}: no request got a response", percentile=name))
        return [problem for problem in mismatches if problem is not None]


class TrafficGenerator:
    """Sends requests at a fixed rate until it is ended. A request that hangs does not delay the next."""

    def __init__(self, traffic: Traffic, context: CheckContext) -> None:
        self.traffic = traffic
        self.context = context
        self.log = RequestLog()
        self.sent = 0
        self._request: Request | None = None
        self._over = threading.Event()
        self._slots = threading.Semaphore(_in_flight_limit())
        self._lock = threading.Lock()
        self._done = threading.Condition()
        self._waiting = 0
        self._start = self._end = 0.0
        self._thread = threading.Thread(target=self._keep_rate, name="traffic", daemon=True)

    @property
    def lead(self) -> float:
        """Return the seconds for which it is sent before the fault, and after the recovery, at least."""
        return lead_time(self.traffic.rate)

    def start(self) -> None:
        """Begin to send. Raise ObservationError or TargetDownError if the target has no address."""
        self._request = self.traffic.http.request(self.context)
        self._start = time.monotonic()
        self._thread.start()

    def check_before_fault(self) -> list[CriterionResult]:
        """Send for a while; return the rows that keep the drill from injecting its fault."""
        self.context.cancelled.wait(self.lead)
        with self._done:
            # a slow target: at least one request must be done
            self._done.wait_for(lambda: self.log.done_before(math.inf).count > 0, self.traffic.timeout)
        row = self._row("before", self.log.done_before(math.inf))
        return [row] if row.status in (Status.FAIL, Status.ERROR) else []

    def violations_between(self, start: float, end: float) -> list[Message]:
        """Return the limits of the fault that the traffic of a time violates, with its numbers."""
        window = self.log.window(start, end)
        problems = window.violations(*self.traffic.limits("during"))
        return [*problems, window.summary()] if problems else []

    def stop(self) -> None:
        """Stop sending, and wait for the last responses."""
        self._over.set()
        self._thread.join(self.traffic.timeout)
        self._end = self._end or time.monotonic()
        with self._done:
            self._done.wait_for(lambda: self._waiting == 0, self.traffic.timeout + 1)

    def end(self, times: PhaseTimes) -> WorkloadResult:
        """Stop, and return a row for the rate and for each phase, and the curves."""
        wait_for_phase(times, self.lead, self.context)
        self.stop()
        rows = [self._rate_row(), self._row("before", self.log.done_before(times.fault))]
        end = times.recovered if times.recovered is not None else math.inf
        during = self.log.window(times.fault, end)
        rows.append(self._row("during", during, judged=not times.steps))
        if times.recovered is None:
            title = self._title("after")
            message = msg("not reached: the drill ended before the recovery")
            rows.append(CriterionResult(title=title, status=Status.SKIP, message=message, phase="traffic"))
        else:
            rows.append(self._row("after", self.log.due_from(times.recovered)))
        errors, latencies = self.log.curves(times.fault)
        name = f"{self.traffic.http.method_name} {self.traffic.path}"
        curves = [MetricSeries(name=f"{name}: errors, %", points=tuple(errors)),
                  MetricSeries(name=f"{name}: p95, ms", points=tuple(latencies))]  # fmt: skip
        began = TimelineEvent(
            at=round(self._start - times.fault, 3), what=msg("traffic begins: {what}", what=name), kind="other"
        )
        return WorkloadResult(rows=rows, curves=[curve for curve in curves if curve.points], events=[began])

    def _title(self, phase: TrafficPhase) -> Message:
        return msg("{method} {path}, {phase}", method=self.traffic.http.method_name, path=self.traffic.path,
                   phase=phase_title(phase))  # fmt: skip

    def _row(self, phase: TrafficPhase, window: RequestWindow, *, judged: bool = True) -> CriterionResult:
        status, message = self._judge(phase, window) if judged else (Status.SKIP, window.summary())
        return CriterionResult(title=self._title(phase), status=status, message=message, phase="traffic")

    def _judge(self, phase: TrafficPhase, window: RequestWindow) -> tuple[Status, Message]:
        errors, latency = self.traffic.limits(phase)
        if phase == "before" and errors is None and window.count and window.errors == window.count:
            return Status.FAIL, msg("no request succeeded before the fault: {numbers}", numbers=window.summary())
        if not self.traffic.has_limits(phase):
            return Status.SKIP, msg("not judged, it has no limit: {numbers}", numbers=window.summary())
        if not window.count:
            return Status.ERROR, msg("no request in this phase; raise the `rate` of the traffic")
        problems = window.violations(errors, latency)
        if problems:
            return Status.FAIL, msg("{problems}: {numbers}", problems=join_messages(problems),
                                    numbers=window.summary())  # fmt: skip
        return Status.PASS, window.summary()

    def _rate_row(self) -> CriterionResult:
        """Return how much was sent. Far less than the rate is an ERROR: it may not have shown the fault."""
        duration = self._end - self._start
        is_enough = self.sent >= _MIN_SENT_SHARE * self.traffic.rate * duration
        return CriterionResult(
            title=msg("{method} {path}, {rate} per second", method=self.traffic.http.method_name,
                      path=self.traffic.path, rate=self.traffic.rate),
            status=Status.PASS if is_enough else Status.ERROR,
            message=msg("requests sent: {sent} in {took}, {achieved} per second", sent=self.sent,
                        took=format_duration(duration), achieved=round(self.sent / duration, 1)),
            phase="traffic",
        )  # fmt: skip

    def _keep_rate(self) -> None:
        number = 0
        while True:
            due = self._start + number / self.traffic.rate
            if self._over.wait(max(0.0, due - time.monotonic())) or self.context.cancelled.is_set():
                self._end = time.monotonic()
                return
            number += 1
            self._begin(due)

    def _begin(self, due: float) -> None:
        """Send a request in a thread of its own."""
        if not self._slots.acquire(blocking=False):
            self.log.add(due, 0.0, msg("not sent: too many requests wait for a response"), timed=False)
            return
        with self._done:
            self._waiting += 1
        try:
            threading.Thread(target=self._send, args=(due,), daemon=True).start()
        except (RuntimeError, MemoryError):
            self.log.add(due, 0.0, msg("not sent: no thread could be started"), timed=False)
            self._finish()
            return
        self.sent += 1

    def _send(self, due: float) -> None:
        failure, has_latency = self._exchange()
        self.log.add(due, time.monotonic() - due, failure, timed=has_latency)
        self._finish()

    def _finish(self) -> None:
        self._slots.release()
        with self._done:
            self._waiting -= 1
            self._done.notify_all()

    def _exchange(self) -> tuple[Message | None, bool]:
        """Send the request; return why it failed, None if it did not, and whether its duration is a latency."""
        assert self._request is not None
        try:
            with open_stream(self._request, time.monotonic() + self.traffic.timeout) as stream:
                try:
                    for _ in stream.chunks():
                        pass
                except BodyTooLargeError:
                    pass  # a response, of which the rest is not needed
                return self._status_failure(stream.head.status), True
        except HttpError as error:
            if error.timeout:
                return msg("no response within {within}", within=format_duration(self.traffic.timeout)), True
            return error.message, False
        except Exception as error:  # noqa: BLE001 - whatever a service sends, it is an error of this request only
            return msg("{why}", why=f"{type(error).__name__}: {error}"), False

    def _status_failure(self, status: int) -> Message | None:
        expected = self.traffic.status
        is_error = status >= 500 if expected is None else expected.mismatch(status) is not None
        return msg("status {status}", status=status) if is_error else None


def _in_flight_limit() -> int:
    """Return how many requests may wait at once; raise the limit of open files for them if that is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MAX_IN_FLIGHT
    needed = _MAX_IN_FLIGHT + _OTHER_FILES
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, min(_MAX_IN_FLIGHT, soft - _OTHER_FILES))
