"""Write through a fault, and read every acknowledged write after the recovery: none may be lost.

A write is acknowledged if its check passes. A write whose response never came is in doubt: the service may or may not
have it, and either is right. Such writes are counted apart.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from msgspec import Struct

from gate.checks.base import Attachment, ObservationError, TargetDownError
from gate.checks.context import CheckContext
from gate.checks.http import Http
from gate.core.messages import Message, join_messages, msg
from gate.decode.quantities import format_duration
from gate.drills.spec import Ledger, with_id
from gate.drills.workload import PhaseTimes, WorkloadResult, lead_time, wait_for_phase
from gate.http.content import parse_json
from gate.model import CriterionResult, Status, TimelineEvent

WriteState = Literal["acknowledged", "refused", "in doubt"]
# Phases of a request in which the service has not received it.
_BEFORE_SENDING = ("request", "look-up", "connect", "tls")
_MAX_IN_FLIGHT = 64
_READERS = 8
# Seconds in which all acknowledged writes must have been read, beside the `within` of the read.
_READ_TIMEOUT = 60.0
_RETRY_INTERVAL = 0.25
_SHOWN_IDS = 10


class Write(Struct):
    """A write: when it was answered (`time.monotonic()`), and what became of it.

    `id` is the id with which it is read; None if it is only known from a response that never came.
    """

    id: Any
    at: float
    state: WriteState
    why: Message | None = None
    # Set after the recovery: whether the read found it; None if the read got no answer.
    readable: bool | None = None


class LedgerKeeper:
    """Writes at a fixed rate from before the fault until after the recovery, then reads."""

    def __init__(self, ledger: Ledger, context: CheckContext) -> None:
        self.ledger = ledger
        self.context = context
        self.writes: list[Write] = []
        # Ids that no earlier run has written.
        self._prefix = f"prodgate-{uuid.uuid4().hex[:8]}"
        self._start = 0.0
        self._over = threading.Event()
        self._slots = threading.Semaphore(_MAX_IN_FLIGHT)
        self._changed = threading.Condition()
        self._waiting = 0
        self._thread = threading.Thread(target=self._keep_rate, name="ledger", daemon=True)

    @property
    def lead(self) -> float:
        """Return the seconds for which writes are sent before the fault, and after the recovery, at least."""
        return lead_time(self.ledger.rate)

    def start(self) -> None:
        """Begin to write. Raise ObservationError if the read would also find what was never written."""
        never_written = f"{self._prefix}-never-written"
        if self._read(never_written):
            raise ObservationError(
                msg("the ledger's `read` passes for the id {id}, which was never written: it proves nothing",
                    id=never_written)
            )  # fmt: skip
        self._start = time.monotonic()
        self._thread.start()

    def check_before_fault(self) -> list[CriterionResult]:
        """Write for a while; return a row if no write is acknowledged, or if one cannot be read."""
        self.context.cancelled.wait(self.lead)
        with self._changed:
            self._changed.wait_for(lambda: bool(self.writes), self._timeout(self.ledger.write.attempt_timeout))
        acknowledged = self._in_state("acknowledged")
        if not acknowledged:
            why = next((write.why for write in self.writes if write.why), msg("no response"))
            return [self._row(Status.FAIL, msg("no write was acknowledged before the fault: {why}", why=why))]
        first = acknowledged[0]
        self._read_all([first])
        if first.readable:
            return []
        why = first.why or msg("the read does not find it")
        return [self._row(Status.FAIL, msg("the acknowledged write {id} cannot be read before the fault: {why}",
                                           id=str(first.id), why=why))]  # fmt: skip

    def violations_between(self, start: float, end: float) -> list[Message]:
        """Return nothing: what is lost is only known after the recovery."""
        return []

    def stop(self) -> None:
        """Stop writing, and wait for the last responses."""
        self._over.set()
        if self._thread.ident is None:
            return
        timeout = self._timeout(self.ledger.write.attempt_timeout)
        self._thread.join(timeout)
        with self._changed:
            self._changed.wait_for(lambda: self._waiting == 0, timeout)

    def end(self, times: PhaseTimes) -> WorkloadResult:
        """Stop, read every acknowledged write, and return a row that names those that are lost."""
        wait_for_phase(times, self.lead, self.context)
        self.stop()
        if times.recovered is None:
            message = msg("not read: the drill ended before the recovery; {counts}", counts=self._counts())
            return self._result([self._row(Status.SKIP, message)], times)
        acknowledged, in_doubt = self._in_state("acknowledged"), self._in_state("in doubt")
        self._read_all([*acknowledged, *(write for write in in_doubt if write.id is not None)])
        return self._result([self._judge(acknowledged, times)], times)

    def _judge(self, acknowledged: list[Write], times: PhaseTimes) -> CriterionResult:
        lost = [write for write in acknowledged if write.readable is False]
        unread = [write for write in acknowledged if write.readable is None]
        mismatch = self.ledger.lost.mismatch(len(lost), "lost")
        if mismatch is not None:
            message = mismatch
            if lost:
                message = msg("{mismatch}: {writes}", mismatch=mismatch, writes=_name_writes(lost, times.fault))
            return self._row(Status.FAIL, msg("{message}; {counts}", message=message, counts=self._counts()))
        if unread:
            why = unread[0].why or msg("no response")
            message = msg("acknowledged writes that could not be read: {count}: {why}", count=len(unread), why=why)
            return self._row(Status.ERROR, msg("{message}; {counts}", message=message, counts=self._counts()))
        found = msg("every acknowledged write can be read")
        if lost:
            found = msg("lost writes: {writes}", writes=_name_writes(lost, times.fault))
        return self._row(Status.PASS, msg("{message}; {counts}", message=found, counts=self._counts()))

    def _result(self, rows: list[CriterionResult], times: PhaseTimes) -> WorkloadResult:
        lost = [write for write in self.writes if write.state == "acknowledged" and write.readable is False]
        events = []
        if lost:
            what = msg("acknowledged, and lost: {count} write", "acknowledged, and lost: {count} writes",
                       count=len(lost))  # fmt: skip
            events.append(TimelineEvent(at=round(min(write.at for write in lost) - times.fault, 3), what=what,
                                        kind="missed"))  # fmt: skip
        return WorkloadResult(rows=rows, events=events, attachments=[self._attachment(times.fault)])

    def _attachment(self, fault: float) -> Attachment:
        """Return all writes as CSV: id, seconds since the fault, state, and whether it can be read."""
        readable = {True: "yes", False: "no", None: ""}
        lines = ["id,seconds since the fault,state,readable"]
        lines += [f"{'' if write.id is None else write.id},{write.at - fault:.3f},{write.state},"
                  f"{readable[write.readable]}" for write in self.writes]  # fmt: skip
        return Attachment("ledger.csv", "\n".join([*lines, ""]).encode())

    def _row(self, status: Status, message: Message) -> CriterionResult:
        title = msg("ledger: {write}", write=self._write_check.describe(self.context))
        return CriterionResult(title=title, status=status, message=message, phase="ledger")

    def _counts(self) -> Message:
        in_doubt = self._in_state("in doubt")
        written = sum(write.readable is True for write in in_doubt)
        return join_messages([
            msg("acknowledged: {count}", count=len(self._in_state("acknowledged"))),
            msg("refused: {count}", count=len(self._in_state("refused"))),
            msg("in flight without a response: {count}, of which written: {written}", count=len(in_doubt),
                written=written),
        ])  # fmt: skip

    def _in_state(self, state: WriteState) -> list[Write]:
        with self._changed:
            return [write for write in self.writes if write.state == state]

    @property
    def _write_check(self) -> Http:
        check: Http = self.ledger.write.check
        return check

    def _keep_rate(self) -> None:
        number = 0
        while True:
            due = self._start + number / self.ledger.rate
            if self._over.wait(max(0.0, due - time.monotonic())) or self.context.cancelled.is_set():
                return
            number += 1
            # a write that cannot be sent now is not sent later: it was promised to nobody
            if self._slots.acquire(blocking=False):
                with self._changed:
                    self._waiting += 1
                self._begin(f"{self._prefix}-{number}")

    def _begin(self, own_id: str) -> None:
        """Write in a thread of its own."""
        try:
            threading.Thread(target=self._write, args=(own_id,), daemon=True).start()
        except (RuntimeError, MemoryError):
            why = msg("not sent: no thread could be started")
            self._finish(Write(None, time.monotonic(), "refused", why))

    def _write(self, own_id: str) -> None:
        try:
            write = self._attempt_write(own_id)
        except Exception as error:  # noqa: BLE001 - whatever a service sends, only this write is in doubt
            why = msg("{why}", why=f"{type(error).__name__}: {error}")
            write = Write(own_id if self.ledger.id is None else None, time.monotonic(), "in doubt", why)
        self._finish(write)

    def _finish(self, write: Write) -> None:
        self._slots.release()
        with self._changed:
            self.writes.append(write)
            self._waiting -= 1
            self._changed.notify_all()

    def _attempt_write(self, own_id: str) -> Write:
        check = with_id(self._write_check, own_id)
        try:
            observation = check.observe(self._attempt_context(self.ledger.write.attempt_timeout))
        except (ObservationError, TargetDownError) as error:
            return Write(None, time.monotonic(), "refused", error.message)
        now, known_id = time.monotonic(), own_id if self.ledger.id is None else None
        if observation.failure is not None:
            was_sent = observation.failure.phase not in _BEFORE_SENDING
            return Write(known_id, now, "in doubt" if was_sent else "refused", observation.failure.message)
        result = check.judge(observation)
        if result.status is not Status.PASS:
            return Write(known_id, now, "refused" if result.status is Status.FAIL else "in doubt", result.message)
        assert observation.response is not None
        if self.ledger.id is not None:
            try:
                known_id = _value_at(parse_json(observation.response.body), self.ledger.id)
            except (ValueError, KeyError, TypeError):
                return Write(None, now, "in doubt", msg("its response has no {path}", path=self.ledger.id))
        return Write(known_id, now, "acknowledged")

    def _read(self, id_: Any) -> bool:
        """Return whether a read finds an id. Raise ObservationError or TargetDownError if it cannot be sent."""
        check = with_id(self.ledger.read.check, id_)
        return check.judge(check.observe(self._attempt_context(self.ledger.read.attempt_timeout))).status is Status.PASS

    def _read_all(self, writes: list[Write]) -> None:
        """Read each write until it is found, at most for the `within` of the read."""
        deadline = time.monotonic() + (self.ledger.read.within or 0.0)
        end = deadline + _READ_TIMEOUT
        missing = writes
        while missing:
            with ThreadPoolExecutor(_READERS) as pool:
                list(pool.map(lambda write: self._try_read(write, end), missing))
            missing = [write for write in missing if not write.readable]
            if time.monotonic() + _RETRY_INTERVAL > deadline or self.context.cancelled.wait(_RETRY_INTERVAL):
                return

    def _try_read(self, write: Write, end: float) -> None:
        """Set whether a write is readable. A read without an answer leaves that open."""
        if time.monotonic() > end or self.context.cancelled.is_set():
            write.why = msg("the time for reading was over")
            return
        check = with_id(self.ledger.read.check, write.id)
        try:
            observation = check.observe(self._attempt_context(self.ledger.read.attempt_timeout))
        except (ObservationError, TargetDownError) as error:
            write.readable, write.why = None, error.message
            return
        result = check.judge(observation)
        if result.status is Status.PASS:
            write.readable, write.why = True, None
            return
        answered = observation.response is not None and observation.response.status < 500
        write.readable, write.why = (False if answered and result.status is Status.FAIL else None), result.message

    def _attempt_context(self, timeout: float) -> CheckContext:
        return self.context.with_deadline(time.monotonic() + self._timeout(timeout))

    @staticmethod
    def _timeout(seconds: float) -> float:
        return min(seconds, _READ_TIMEOUT)


def max_ledger_duration(ledger: Ledger) -> float:
    """Return the seconds that a ledger adds to a drill at most."""
    reading = 2 * ((ledger.read.within or 0.0) + _READ_TIMEOUT) + ledger.read.attempt_timeout
    return 2 * lead_time(ledger.rate) + 2 * ledger.write.attempt_timeout + reading


def _value_at(value: Any, path: str) -> Any:
    """Return a text or a number inside a JSON object. Raise KeyError or TypeError if there is none."""
    for key in path.split("."):
        value = value[key]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError(path)
    return value


def _name_writes(writes: Iterable[Write], fault: float) -> Message:
    """Return the ids of writes, each with the time of its acknowledgement since the fault."""
    ordered = sorted(writes, key=lambda write: write.at)
    named = [
        msg("{id} (acknowledged {time})", id=str(write.id), time=_since_fault(write.at - fault))
        for write in ordered[:_SHOWN_IDS]
    ]
    if len(ordered) > _SHOWN_IDS:
        named.append(msg("{count} more", count=len(ordered) - _SHOWN_IDS))
    return join_messages(named)


def _since_fault(seconds: float) -> Message:
    if seconds < 0:
        return msg("{time} before the fault", time=format_duration(-seconds))
    return msg("{time} after the fault", time=format_duration(seconds))
