"""The course of a drill, in the order of DESIGN, section 5. Whatever happens, the fault is taken back."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar

from msgspec import Struct, field, structs

from gate.checks._drill.spec import Criterion, Named
from gate.checks._drill.watch import Sender, Watch, row
from gate.checks._tries import Try
from gate.checks.asked import ask
from gate.checks.base import CannotObserve, Check
from gate.checks.world import World
from gate.messages import Message, say
from gate.model import Curve, Moment, Outcome, Row, Status, Timeline
from gate.quantities import duration

Result = TypeVar("Result")
_LOOK = 1.0
RECOVERY = 30.0
"""Seconds that a criterion of the recovery, and an alert's resolution, has where it has no `within` of its own."""

_AGAIN = 0.2


class Seen(Struct):
    """What a drill has shown so far. `ended` is set where it came to an end before its course.

    `began` and `wall` are the moment of the fault, monotonic and as Unix time, in seconds.
    """

    rows: list[Row] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    ended: tuple[Status, Message] | None = None
    unrestored: Message | None = None
    detect: float | None = None
    recover: float | None = None
    began: float = 0.0
    wall: float = 0.0
    curves: list[Curve] = field(default_factory=list)

    @property
    def timeline(self) -> Timeline:
        """The moments in order of time."""
        ordered = tuple(sorted(self.moments, key=lambda moment: moment.at))
        return Timeline(
            moments=ordered, curves=tuple(self.curves), detect=_rounded(self.detect), recover=_rounded(self.recover)
        )

    def end(self, status: Status, message: Message) -> None:
        """Ends the course, with its first cause."""
        self.ended = self.ended or (status, message)

    def add(self, phase: str, what: Message, status: Status, message: Message, at: float | None = None) -> None:
        """A row of the drill's own."""
        seen = _rounded(at) if status is Status.PASS else None
        self.rows.append(Row(title=what, status=status, message=message, phase=phase, at=seen))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


class Answers(Struct, frozen=True):
    """A target that was broken. `proof` is that it answers again, for which it has `within` seconds."""

    target: str
    within: float
    proof: Callable[[], Message | None]


class Breaker(Protocol):
    """What puts the fault in, proves it, takes it back, and proves it gone: a fault of ours, or a script."""

    def put_in(self) -> Message | None:
        """Puts it in, and returns the proof; None where there is none before `end`. Raises NoProof."""

    def end(self) -> Message | None:
        """Waits until what it has begun has ended by itself, and returns the proof of that. Raises NoProof."""

    def take_back(self) -> Message:
        """Takes it back, and returns the proof. Raises NoProof."""

    def answers(self) -> list[Answers]:
        """Return what has to answer again afterwards."""


class NoProof(Exception):
    """The fault is not in place, or not gone."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


class Course(Struct):
    """One drill, once."""

    world: World
    what: Message
    breaker: Breaker
    steady: list[Criterion]
    observe: list[Criterion]
    throughout: list[Criterion]
    recover: list[Criterion]
    stays: float
    alone: Callable[[], list[Criterion]]
    """What must hold throughout, too, as far as it does before the fault. May raise CannotObserve."""
    traffic: Callable[[], Sender] | None = None
    seen: Seen = field(default_factory=Seen)
    held: list[bool] = field(default_factory=list)
    watches: list[Watch] = field(default_factory=list)

    def go(self) -> Seen:
        """Runs it to its end."""
        if not self._may_begin() or self.world.cancelled.is_set():
            return self.seen
        self.seen.began, self.seen.wall = time.monotonic(), time.time()
        sender = None
        try:
            for criterion in self.throughout:
                self.watches.append(Watch(criterion, self.world, self.seen.began))
            sender = self.traffic() if self.traffic else None
            self._break()
        except BaseException as error:  # noqa: BLE001 - whatever breaks, what follows is that the fault is taken back
            why = f"{type(error).__name__}: {error}"
            self.seen.end(Status.ERROR, say("The check itself broke: {error}", error=why))
        if self._take_back() and self.seen.ended is None:
            self._recover()
        self._end_watches()
        self.seen.rows += [sender.end()] if sender else []
        return self.seen

    def _end_watches(self) -> None:
        for watch in self.watches:
            made = watch.end()
            self.seen.rows.append(made)
            if watch.broken:
                self._mark(watch.broken[0], say("did not hold: {what}", what=made.title), "missed")

    def _mark(self, at: float, what: Message, kind: str) -> None:
        self.seen.moments.append(Moment(at=round(at, 3), what=what, kind=kind))

    @property
    def at(self) -> float:
        """Seconds since the fault."""
        return time.monotonic() - self.seen.began

    def _ask(self, criterion: Criterion) -> Outcome:
        return ask(criterion, structs.replace(self.world, fresh=time.monotonic()))

    def _ask_once(self, criterion: Criterion) -> Outcome:
        """As it is now, however long it may take, and without evidence of its own."""
        once = criterion.but(within=None)
        return ask(once, structs.replace(self.world, fresh=time.monotonic(), evidence=None))

    def _may_begin(self) -> bool:
        """Whether something could be proved; looks at everything as it is without the fault."""
        if not self._steady_holds() or not self._alerts_are_quiet():
            return False
        self.held = self._held()
        try:
            self.throughout = [*self.throughout, *self.alone()]
        except CannotObserve as error:
            self.seen.end(Status.ERROR, error.message)
        return self.seen.ended is None

    def _steady_holds(self) -> bool:
        for criterion in self.steady:
            outcome = self._ask(criterion)
            self.seen.rows.append(row(criterion, outcome, "steady", self.world, None))
            if outcome.status is not Status.PASS:
                message = say("The steady state does not hold before the fault: {why}", why=outcome.message)
                self.seen.end(Status.SKIP, message)
        return self.seen.ended is None

    def _alerts_are_quiet(self) -> bool:
        """Whether what is waited for is not there yet."""
        for criterion in self.observe:
            self._is_not_there(criterion)
        return self.seen.ended is None

    def _is_not_there(self, criterion: Criterion) -> None:
        check = criterion.check.beforehand()
        if check is None:
            return
        before = self._ask_once(criterion.but(check=check))
        if before.status is not Status.PASS:
            what = criterion.heading(self.world)
            message = say("{what}: it could prove nothing of the fault: {why}", what=what, why=before.message)
            self.seen.end(Status.ERROR, message)

    def _held(self) -> list[bool]:
        """Of each observation, whether it holds without the fault: then seeing it is no detection."""
        asked = [Try(partial(self._ask_once, criterion)) for criterion in self.observe]
        return [_result(each).status is Status.PASS for each in asked]

    def _break(self) -> None:
        """Puts the fault in and observes. A script is observed while it runs, and has its proof at its end."""
        self.world.drill_report(f"fault: {self.what}")
        self._mark(0.0, self.what, "fault")
        try:
            self._proved(self.breaker.put_in())
            self._observe()
            for watch in self.watches:
                watch.look()
            self._proved(self.breaker.end())
        except NoProof as error:
            self.seen.add("fault", self.what, Status.ERROR, error.message)
            self.seen.end(Status.ERROR, say("The fault is not in place: {why}", why=error.message))

    def _proved(self, proof: Message | None) -> None:
        if proof is not None:
            self.seen.add("fault", self.what, Status.PASS, proof, self.at)

    def _take_back(self) -> bool:
        what = say("The fault is taken back")
        try:
            self.world.drill_report(f"taking back: {self.what}")
            proof = self.breaker.take_back()
        except NoProof as error:
            self.seen.unrestored = error.message
        except BaseException as error:  # noqa: BLE001 - what can't be told to be gone is not restored
            self.seen.unrestored = say("it could not be taken back: {why}", why=f"{type(error).__name__}: {error}")
        if self.seen.unrestored is not None:
            self.seen.add("restore", what, Status.FAIL, self.seen.unrestored, self.at)
            return False
        self.seen.add("restore", what, Status.PASS, proof, self.at)
        self._mark(self.at, say("restored"), "restored")
        return True

    def _observe(self) -> None:
        pairs = list(zip(self.observe, self.held, strict=True))
        rows = _together([partial(self._observed, *pair) for pair in pairs])
        self.seen.rows += rows
        news = [found for found, (_, held) in zip(rows, pairs, strict=True) if not held]
        times = [found.at for found in news if found.status is Status.PASS and found.at is not None]
        self.seen.detect = min(times, default=None)

    def _observed(self, criterion: Criterion, held: bool) -> Row:
        outcome = self._ask(criterion)
        at = self.at
        if outcome.status is Status.PASS and held:
            message = say("{message} (so it was before the fault: no detection)", message=outcome.message)
            made = row(criterion, outcome.but(message=message), "observe", self.world, None)
            self._mark(at, say("no detection: {what}", what=made.title), "missed")
            return made
        made = row(criterion, outcome, "observe", self.world, at)
        if outcome.status is Status.PASS:
            self._mark(at, _noticed(criterion, made), _kind(criterion, made))
            self.world.drill_report(f"{made.title}: seen after {duration(at)}")
        else:
            self._mark(at, say("not seen: {what}", what=made.title), "missed")
            self.world.drill_report(f"{made.title}: not seen in {duration(at)}")
        return made

    def _recover(self) -> None:
        since = time.monotonic()
        answers = self.breaker.answers()
        patience = max([RECOVERY, *(each.within for each in answers)])
        criteria = [_patient(criterion, patience) for criterion in self.recover]
        rows = _together(
            [
                *(partial(self._answers, each) for each in answers),
                *(partial(self._recovered, criterion) for criterion in criteria),
            ]
        )
        self.seen.rows += rows
        if all(found.status is Status.PASS for found in rows):
            self.seen.recover = max((found.at or 0.0) for found in rows) - (since - self.seen.began)
            self._mark(self.at, say("recovered"), "recovered")
            self._stays()
        self.seen.rows += _together([partial(self._resolved, *pair) for pair in self._alerts()])

    def _answers(self, each: Answers) -> Row:
        end, proof = time.monotonic() + each.within, each.proof()
        while proof is None and time.monotonic() < end and not self.world.cancelled.wait(_AGAIN):
            proof = each.proof()
        why = say("it did not within {within}", within=duration(each.within))
        return Row(
            title=say("{target} answers again", target=each.target),
            status=Status.FAIL if proof is None else Status.PASS,
            message=proof or why,
            phase="recover",
            at=_rounded(self.at),
            within=each.within,
        )

    def _recovered(self, criterion: Criterion) -> Row:
        outcome = self._ask(criterion)
        made = row(criterion, outcome, "recover", self.world, self.at)
        if outcome.status is not Status.PASS:
            self._mark(self.at, say("not recovered: {what}", what=made.title), "missed")
        return made

    def _stays(self) -> None:
        end = time.monotonic() + self.stays
        while time.monotonic() < end and not self.world.cancelled.wait(min(0.5, self.stays)):
            for criterion in self.recover:
                outcome = self._ask_once(criterion)
                if outcome.status is not Status.PASS:
                    message = say("It recovered, and did not stay so: {why}", why=outcome.message)
                    what = criterion.heading(self.world)
                    self.seen.add("recover", what, Status.FAIL, message, self.at)
                    self._mark(self.at, say("did not stay recovered: {what}", what=what), "missed")
                    return

    def _alerts(self) -> list[tuple[Criterion, Check[object]]]:
        found = [(criterion, criterion.check.afterwards()) for criterion in self.observe]
        return [(criterion, check) for criterion, check in found if check is not None]

    def _resolved(self, criterion: Criterion, check: Check[object]) -> Row:
        patience = max([RECOVERY, criterion.patience, *(each.patience for each in self.recover if each.within)])
        what = say("{what}: resolved", what=criterion.heading(self.world))
        after = Named(check=check, within=patience, timeout=criterion.timeout, words=what)
        outcome = self._ask(after)
        if outcome.status is Status.PASS:
            self._mark(self.at, what, "resolved")
        else:
            self._mark(self.at, say("not seen: {what}", what=what), "missed")
        return row(after, outcome, "recover", self.world, self.at)


def _patient(criterion: Criterion, patience: float) -> Criterion:
    return criterion if criterion.within is not None else criterion.but(within=patience)


def _kind(criterion: Criterion, made: Row) -> str:
    """An alert's moment is of the state that it was seen in, where that is one alone."""
    if not criterion.check.awaits():
        return "noticed"
    states = str(made.message.args.get("states", ""))
    return states if states in ("pending", "firing") else "alert"


def _noticed(criterion: Criterion, made: Row) -> Message:
    name = getattr(criterion.check, "name", None)
    if criterion.check.awaits() and isinstance(name, str):
        return say("{message}", message=made.message, alert=name)
    return made.title


def _together(works: list[Callable[[], Row]]) -> list[Row]:
    """Do all at once, and return the results in order. One that breaks is an ERROR, and does not end the drill."""
    return [_row_of(each) for each in [_begun(work) for work in works]]


def _begun(work: Callable[[], Row]) -> Try[Row] | Exception:
    try:
        return Try(work)
    except (RuntimeError, MemoryError) as error:
        return error


def _row_of(begun: Try[Row] | Exception) -> Row:
    try:
        if isinstance(begun, Exception):
            raise begun
        return _result(begun)
    except BaseException as error:  # noqa: BLE001 - a row that breaks must not end the drill
        message = say("The check itself broke: {error}", error=f"{type(error).__name__}: {error}")
        return Row(title=say("a criterion"), status=Status.ERROR, message=message)


def _result(attempt: Try[Result]) -> Result:
    """Wait for what was asked: `ask` has its own limits. Raises what it raised."""
    while not (found := attempt.wait(_LOOK)):
        pass
    return found[0]
