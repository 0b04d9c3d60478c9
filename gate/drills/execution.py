"""The course of a drill, in the order of DESIGN, section 5. Whatever happens, the fault is taken back."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar

from msgspec import Struct, field, structs

from gate.checks.base import Check, ObservationError
from gate.checks.context import CheckContext
from gate.checks.entry import run_check
from gate.core.messages import Message, msg
from gate.decode.quantities import format_duration
from gate.drills.monitors import InvariantMonitor, TrafficGenerator, criterion_result
from gate.drills.spec import BuiltinCriterion, Criterion
from gate.model import CriterionResult, MetricSeries, Outcome, Status, Timeline, TimelineEvent
from gate.runtime.threads import Attempt

Result = TypeVar("Result")
_LOOK = 1.0
RECOVERY = 30.0
"""Seconds that a criterion of the recovery, and an alert's resolution, has where it has no `within` of its own."""

_AGAIN = 0.2


class DrillObservation(Struct):
    """What a drill has shown so far. `ended` is set where it came to an end before its course.

    `began` and `wall` are the moment of the fault, monotonic and as Unix time, in seconds.
    """

    rows: list[CriterionResult] = field(default_factory=list)
    moments: list[TimelineEvent] = field(default_factory=list)
    ended: tuple[Status, Message] | None = None
    unrestored: Message | None = None
    detect: float | None = None
    recover: float | None = None
    began: float = 0.0
    wall: float = 0.0
    curves: list[MetricSeries] = field(default_factory=list)

    @property
    def timeline(self) -> Timeline:
        """The moments in order of time."""
        ordered = tuple(sorted(self.moments, key=lambda moment: moment.at))
        return Timeline(
            events=ordered,
            curves=tuple(self.curves),
            detected_after=_rounded(self.detect),
            recovered_after=_rounded(self.recover),
        )

    def end(self, status: Status, message: Message) -> None:
        """Ends the course, with its first cause."""
        self.ended = self.ended or (status, message)

    def add(self, phase: str, what: Message, status: Status, message: Message, at: float | None = None) -> None:
        """A row of the drill's own."""
        observation = _rounded(at) if status is Status.PASS else None
        self.rows.append(CriterionResult(title=what, status=status, message=message, phase=phase, at=observation))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


class Answers(Struct, frozen=True):
    """A target that was broken. `proof` is that it answers again, for which it has `within` seconds."""

    target: str
    within: float
    proof: Callable[[], Message | None]


class Injector(Protocol):
    """What puts the fault in, proves it, takes it back, and proves it gone: a fault of ours, or a script."""

    def inject(self) -> Message | None:
        """Puts it in, and returns the proof; None where there is none before `end`. Raises NoProof."""

    def wait(self) -> Message | None:
        """Waits until what it has begun has ended by itself, and returns the proof of that. Raises NoProof."""

    def revert(self) -> Message:
        """Takes it back, and returns the proof. Raises NoProof."""

    def answers(self) -> list[Answers]:
        """Return what has to answer again afterwards."""


class FaultNotProvenError(Exception):
    """The fault is not in place, or not gone."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


class DrillExecution(Struct):
    """One drill, once."""

    context: CheckContext
    what: Message
    breaker: Injector
    steady: list[Criterion]
    observe: list[Criterion]
    throughout: list[Criterion]
    recover: list[Criterion]
    stays: float
    alone: Callable[[], list[Criterion]]
    """What must hold throughout, too, as far as it does before the fault. May raise CannotObserve."""
    traffic: Callable[[], TrafficGenerator] | None = None
    observation: DrillObservation = field(default_factory=DrillObservation)
    held: list[bool] = field(default_factory=list)
    watches: list[InvariantMonitor] = field(default_factory=list)

    def run(self) -> DrillObservation:
        """Runs it to its end."""
        if not self._may_begin() or self.context.cancelled.is_set():
            return self.observation
        self.observation.began, self.observation.wall = time.monotonic(), time.time()
        sender = None
        try:
            for criterion in self.throughout:
                self.watches.append(InvariantMonitor(criterion, self.context, self.observation.began))
            sender = self.traffic() if self.traffic else None
            self._break()
        except BaseException as error:  # noqa: BLE001 - whatever breaks, what follows is that the fault is taken back
            why = f"{type(error).__name__}: {error}"
            self.observation.end(Status.ERROR, msg("The check itself broke: {error}", error=why))
        if self._take_back() and self.observation.ended is None:
            self._recover()
        self._end_watches()
        self.observation.rows += [sender.end()] if sender else []
        return self.observation

    def _end_watches(self) -> None:
        for watch in self.watches:
            made = watch.end()
            self.observation.rows.append(made)
            if watch.broken:
                self._mark(watch.broken[0], msg("did not hold: {what}", what=made.title), "missed")

    def _mark(self, at: float, what: Message, kind: str) -> None:
        self.observation.moments.append(TimelineEvent(at=round(at, 3), what=what, kind=kind))

    @property
    def at(self) -> float:
        """Seconds since the fault."""
        return time.monotonic() - self.observation.began

    def _ask(self, criterion: Criterion) -> Outcome:
        return run_check(criterion, structs.replace(self.context, fresh_after=time.monotonic()))

    def _ask_once(self, criterion: Criterion) -> Outcome:
        """As it is now, however long it may take, and without evidence of its own."""
        once = criterion.replace(within=None)
        return run_check(once, structs.replace(self.context, fresh_after=time.monotonic(), evidence=None))

    def _may_begin(self) -> bool:
        """Whether something could be proved; looks at everything as it is without the fault."""
        if not self._steady_holds() or not self._alerts_are_quiet():
            return False
        self.held = self._held()
        try:
            self.throughout = [*self.throughout, *self.alone()]
        except ObservationError as error:
            self.observation.end(Status.ERROR, error.message)
        return self.observation.ended is None

    def _steady_holds(self) -> bool:
        for criterion in self.steady:
            outcome = self._ask(criterion)
            self.observation.rows.append(criterion_result(criterion, outcome, "steady", self.context, None))
            if outcome.status is not Status.PASS:
                message = msg("The steady state does not hold before the fault: {why}", why=outcome.message)
                self.observation.end(Status.SKIP, message)
        return self.observation.ended is None

    def _alerts_are_quiet(self) -> bool:
        """Whether what is waited for is not there yet."""
        for criterion in self.observe:
            self._is_not_there(criterion)
        return self.observation.ended is None

    def _is_not_there(self, criterion: Criterion) -> None:
        check = criterion.check.precondition()
        if check is None:
            return
        before = self._ask_once(criterion.replace(check=check))
        if before.status is not Status.PASS:
            what = criterion.display_title(self.context)
            message = msg("{what}: it could prove nothing of the fault: {why}", what=what, why=before.message)
            self.observation.end(Status.ERROR, message)

    def _held(self) -> list[bool]:
        """Of each observation, whether it holds without the fault: then seeing it is no detection."""
        asked = [Attempt(partial(self._ask_once, criterion)) for criterion in self.observe]
        return [_result(each).status is Status.PASS for each in asked]

    def _break(self) -> None:
        """Puts the fault in and observes. A script is observed while it runs, and has its proof at its end."""
        self.context.log_progress(f"fault: {self.what}")
        self._mark(0.0, self.what, "fault")
        try:
            self._proved(self.breaker.inject())
            self._observe()
            for watch in self.watches:
                watch.look()
            self._proved(self.breaker.wait())
        except FaultNotProvenError as error:
            self.observation.add("fault", self.what, Status.ERROR, error.message)
            self.observation.end(Status.ERROR, msg("The fault is not in place: {why}", why=error.message))

    def _proved(self, proof: Message | None) -> None:
        if proof is not None:
            self.observation.add("fault", self.what, Status.PASS, proof, self.at)

    def _take_back(self) -> bool:
        what = msg("The fault is taken back")
        try:
            self.context.log_progress(f"taking back: {self.what}")
            proof = self.breaker.revert()
        except FaultNotProvenError as error:
            self.observation.unrestored = error.message
        except BaseException as error:  # noqa: BLE001 - what can't be told to be gone is not restored
            self.observation.unrestored = msg(
                "it could not be taken back: {why}", why=f"{type(error).__name__}: {error}"
            )
        if self.observation.unrestored is not None:
            self.observation.add("restore", what, Status.FAIL, self.observation.unrestored, self.at)
            return False
        self.observation.add("restore", what, Status.PASS, proof, self.at)
        self._mark(self.at, msg("restored"), "restored")
        return True

    def _observe(self) -> None:
        pairs = list(zip(self.observe, self.held, strict=True))
        rows = run_concurrently([partial(self._observed, *pair) for pair in pairs])
        self.observation.rows += rows
        news = [found for found, (_, held) in zip(rows, pairs, strict=True) if not held]
        times = [found.at for found in news if found.status is Status.PASS and found.at is not None]
        self.observation.detect = min(times, default=None)

    def _observed(self, criterion: Criterion, held: bool) -> CriterionResult:
        outcome = self._ask(criterion)
        at = self.at
        if outcome.status is Status.PASS and held:
            message = msg("{message} (so it was before the fault: no detection)", message=outcome.message)
            made = criterion_result(criterion, outcome.replace(message=message), "observe", self.context, None)
            self._mark(at, msg("no detection: {what}", what=made.title), "missed")
            return made
        made = criterion_result(criterion, outcome, "observe", self.context, at)
        if outcome.status is Status.PASS:
            self._mark(at, event_label(criterion, made), _kind(criterion, made))
            self.context.log_progress(f"{made.title}: seen after {format_duration(at)}")
        else:
            self._mark(at, msg("not seen: {what}", what=made.title), "missed")
            self.context.log_progress(f"{made.title}: not seen in {format_duration(at)}")
        return made

    def _recover(self) -> None:
        since = time.monotonic()
        answers = self.breaker.answers()
        patience = max([RECOVERY, *(each.within for each in answers)])
        criteria = [with_default_timeout(criterion, patience) for criterion in self.recover]
        rows = run_concurrently(
            [
                *(partial(self._answers, each) for each in answers),
                *(partial(self._recovered, criterion) for criterion in criteria),
            ]
        )
        self.observation.rows += rows
        if all(found.status is Status.PASS for found in rows):
            self.observation.recover = max((found.at or 0.0) for found in rows) - (since - self.observation.began)
            self._mark(self.at, msg("recovered"), "recovered")
            self._stays()
        self.observation.rows += run_concurrently([partial(self._resolved, *pair) for pair in self._alerts()])

    def _answers(self, each: Answers) -> CriterionResult:
        end, proof = time.monotonic() + each.within, each.proof()
        while proof is None and time.monotonic() < end and not self.context.cancelled.wait(_AGAIN):
            proof = each.proof()
        why = msg("it did not within {within}", within=format_duration(each.within))
        return CriterionResult(
            title=msg("{target} answers again", target=each.target),
            status=Status.FAIL if proof is None else Status.PASS,
            message=proof or why,
            phase="recover",
            at=_rounded(self.at),
            within=each.within,
        )

    def _recovered(self, criterion: Criterion) -> CriterionResult:
        outcome = self._ask(criterion)
        made = criterion_result(criterion, outcome, "recover", self.context, self.at)
        if outcome.status is not Status.PASS:
            self._mark(self.at, msg("not recovered: {what}", what=made.title), "missed")
        return made

    def _stays(self) -> None:
        end = time.monotonic() + self.stays
        while time.monotonic() < end and not self.context.cancelled.wait(min(0.5, self.stays)):
            for criterion in self.recover:
                outcome = self._ask_once(criterion)
                if outcome.status is not Status.PASS:
                    message = msg("It recovered, and did not stay so: {why}", why=outcome.message)
                    what = criterion.display_title(self.context)
                    self.observation.add("recover", what, Status.FAIL, message, self.at)
                    self._mark(self.at, msg("did not stay recovered: {what}", what=what), "missed")
                    return

    def _alerts(self) -> list[tuple[Criterion, Check[object]]]:
        found = [(criterion, criterion.check.postcondition()) for criterion in self.observe]
        return [(criterion, check) for criterion, check in found if check is not None]

    def _resolved(self, criterion: Criterion, check: Check[object]) -> CriterionResult:
        patience = max(
            [RECOVERY, criterion.total_timeout, *(each.total_timeout for each in self.recover if each.within)]
        )
        what = msg("{what}: resolved", what=criterion.display_title(self.context))
        after = BuiltinCriterion(check=check, within=patience, timeout=criterion.timeout, words=what)
        outcome = self._ask(after)
        if outcome.status is Status.PASS:
            self._mark(self.at, what, "resolved")
        else:
            self._mark(self.at, msg("not seen: {what}", what=what), "missed")
        return criterion_result(after, outcome, "recover", self.context, self.at)


def with_default_timeout(criterion: Criterion, patience: float) -> Criterion:
    return criterion if criterion.within is not None else criterion.replace(within=patience)


def _kind(criterion: Criterion, made: CriterionResult) -> str:
    """An alert's moment is of the state that it was seen in, where that is one alone."""
    if not criterion.check.is_event():
        return "noticed"
    states = str(made.message.args.get("states", ""))
    return states if states in ("pending", "firing") else "alert"


def event_label(criterion: Criterion, made: CriterionResult) -> Message:
    name = getattr(criterion.check, "name", None)
    if criterion.check.is_event() and isinstance(name, str):
        return msg("{message}", message=made.message, alert=name)
    return made.title


def run_concurrently(works: list[Callable[[], CriterionResult]]) -> list[CriterionResult]:
    """Do all at once, and return the results in order. One that breaks is an ERROR, and does not end the drill."""
    return [_row_of(each) for each in [_begun(work) for work in works]]


def _begun(work: Callable[[], CriterionResult]) -> Attempt[CriterionResult] | Exception:
    try:
        return Attempt(work)
    except (RuntimeError, MemoryError) as error:
        return error


def _row_of(begun: Attempt[CriterionResult] | Exception) -> CriterionResult:
    try:
        if isinstance(begun, Exception):
            raise begun
        return _result(begun)
    except BaseException as error:  # noqa: BLE001 - a row that breaks must not end the drill
        message = msg("The check itself broke: {error}", error=f"{type(error).__name__}: {error}")
        return CriterionResult(title=msg("a criterion"), status=Status.ERROR, message=message)


def _result(attempt: Attempt[Result]) -> Result:
    """Wait for what was asked: `ask` has its own limits. Raises what it raised."""
    while not (found := attempt.wait(_LOOK)):
        pass
    return found[0]
