"""The check `drill`: breaks something on purpose, and watches it being noticed and the service recover."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, field

from gate.checks._drill.breakers import FaultBreaker, ScriptBreaker, putting_back, site
from gate.checks._drill.course import RECOVERY, Breaker, Course, Seen
from gate.checks._drill.prometheus import draw, draw_alert, no_other_alert
from gate.checks._drill.spec import Criterion, Curves, FaultSpec, Others, Script, Traffic
from gate.checks._drill.watch import Sender, once_limit
from gate.checks.alert import Alert
from gate.checks.asked import Asked
from gate.checks.base import CannotObserve, Check, Judgement, failed, passed, unobserved
from gate.checks.world import World
from gate.messages import Message, say
from gate.model import Row, Status
from gate.quantities import Duration, duration
from gate.staging.engine import NoEngine
from gate.staging.faults.base import Fault, NoFault, TargetFault
from gate.staging.spec import Target
from gate.written import AsWritten

_DRAWING = 10.0
"""Seconds for asking Prometheus about what went on around the drill."""
_BAD = (Status.FAIL, Status.ERROR)


class Drill(Check[Seen]):
    """Steady state, fault, observation, restoration, recovery."""

    kind: ClassVar[str] = "drill"
    summary: ClassVar[str] = "something is broken on purpose; it is noticed, put back, and the service recovers"
    phase: ClassVar[Literal["main", "drill", "after"]] = "drill"
    time_limit: ClassVar[float | None] = None
    ends_itself: ClassVar[bool] = True
    elsewhere: ClassVar[Mapping[str, str]] = {
        **Check.elsewhere,
        **dict.fromkeys(("expect", "expects", "expected", "detect", "noticed", "notice"), "'observe'"),
        **dict.fromkeys(("steady_state", "before"), "'steady'"),
        **dict.fromkeys(("recovery", "after"), "'recover'"),
    }

    steady: Annotated[
        list[AsWritten[Criterion]],
        Meta(min_length=1, description="What must hold before the fault, and again after it."),
    ]
    fault: Annotated[AsWritten[FaultSpec] | None, Meta(description="What is broken: exactly one fault.")] = None
    script: Annotated[Script | None, Meta(description="A drill script of your own, instead of a fault.")] = None
    noticed: Annotated[
        list[AsWritten[Criterion]],
        Meta(min_length=1, description="What must be seen while the fault is in place, each `within` a time."),
    ] = field(default=[], name="observe")
    throughout: Annotated[list[AsWritten[Criterion]], Meta(min_length=1, description="What must hold all along.")] = []
    recover: Annotated[
        list[AsWritten[Criterion]],
        Meta(min_length=1, description="What must hold again afterwards; without it, the steady state."),
    ] = []
    stays: Annotated[Duration, Meta(description="How long the recovery must last.")] = 2.0
    traffic: Annotated[Traffic | None, Meta(description="Requests sent meanwhile.")] = None
    other_alerts: Annotated[Others | None, Meta(description="No other alert may begin to fire.")] = None
    curves: Annotated[
        Curves | None, Meta(description="Metrics to draw below the timeline; without it, what awaited alerts look at.")
    ] = None

    def __post_init__(self) -> None:
        if (self.fault is None) == (self.script is None):
            raise ValueError("expected exactly one of 'fault' and 'script'")
        if self.fault is not None and not self.noticed:
            raise ValueError("expected at least one criterion under 'observe'")
        if any(each.within is None for each in self.noticed):
            raise ValueError("expected a 'within' in every criterion under 'observe'")
        if any(each.kind == self.kind for each in self._criteria):
            raise ValueError("expected no drill in a drill: drills run one at a time")

    @property
    def what(self) -> Message:
        """What it does, in words."""
        if self.script is not None:
            return say("run {command}", command=shlex.join(self.script.command))
        assert self.fault is not None
        return say("{fault} {target}", fault=self.fault.fault.kind, target=self._target or "")

    @property
    def _target(self) -> str | None:
        fault = self.fault.fault if self.fault else None
        return getattr(fault, "target", None)

    def asked(self, world: World) -> str:
        return str(self.what)

    def reproduce(self, world: World) -> str:
        if self.script is not None:
            return shlex.join(self.script.command)
        return world.again

    @property
    def needs_engine(self) -> bool:
        return any(each.check.needs_engine for each in self._criteria)

    @property
    def _criteria(self) -> list[Asked]:
        return [each for group in self.criteria().values() for each in group]

    def effects(self) -> list[Message]:
        made = [self.fault.fault.effect() if self.fault else self.what]
        if self.script is not None and self.script.touches:
            made.append(
                say("{targets}: put back as before, where the script does not", targets=", ".join(self.script.touches))
            )
        return [*made, say("broken for {time} at worst", time=duration(self._broken))]

    def criteria(self) -> dict[str, list[Asked]]:
        return {
            "steady": [*self.steady],
            "observe": [*self.noticed],
            "throughout": [*self.throughout],
            "recover": [*self.recover],
        }

    def unfit(self, targets: Mapping[str, Target]) -> Iterator[tuple[str, str, str]]:
        fault = self.fault.fault if self.fault else None
        if isinstance(fault, TargetFault) and fault.target in targets:
            why = fault.unfit(targets[fault.target])
            yield from [("fault", fault.target, why)] if why else []
        for name in self.script.touches if self.script else ():
            if name in targets and not (targets[name].container or targets[name].start):
                yield "script", name, "expected a target with a 'container' or a 'start': nothing else can be put back"

    def hopeless(self, world: World) -> Message | None:
        found = (_too_short(criterion, world) for criterion in self.noticed)
        return next((why for why in found if why), None)

    @property
    def _broken(self) -> float:
        """Seconds from the first act of the fault until it is taken back, at most."""
        observed = max((each.patience for each in self.noticed), default=0.0)
        observed += sum(once_limit(each) for each in self.throughout)
        if self.script is not None:
            return max(observed, self.script.timeout) + putting_back(self.script)
        assert self.fault is not None
        fault: Fault = self.fault.fault
        return fault.takes() + observed

    def worst(self, asked: Asked) -> float:
        recovery = max([RECOVERY, *(each.patience for each in [*self.recover, *self.noticed] if each.within)])
        quiet = 2 * max((each.try_limit for each in self.noticed), default=0.0)
        before = sum(each.patience for each in self.steady) + quiet
        after = 2 * recovery + self.stays + sum(each.try_limit for each in self._criteria)
        return before + self._broken + after + 2 * _DRAWING

    def observe(self, world: World) -> Seen:
        try:
            breaker = self._breaker(world)
        except (NoFault, NoEngine) as error:
            return _ended(error.message)
        seen = self._course(world, breaker).go()
        if seen.wall and not world.cancelled.is_set():
            self._draw(seen, world.until(time.monotonic() + _DRAWING))
        return seen

    def _draw(self, seen: Seen, world: World) -> None:
        """Adds what Prometheus knows of the time of the drill; without `curves`, what its alerts look at is drawn."""
        if self.curves:
            draw(self.curves, seen, world)
        for criterion in self.noticed:
            if isinstance(criterion.check, Alert) and criterion.check.awaits():
                draw_alert(criterion.check, seen, world, curves=self.curves is None)

    def judge(self, seen: Seen) -> Judgement:
        evidence: dict[str, Any] = {
            "rows": tuple(seen.rows),
            "timeline": seen.timeline if seen.moments else None,
            "answer": "\n".join(_line(row) for row in seen.rows),
        }
        if seen.unrestored is not None:
            message = say("The fault could not be taken back: {why}", why=seen.unrestored)
            advice = say("Run `prodgate restore`, and look at {target} by hand", target=self._target or "staging")
            return failed(message, advice=advice, cause=f"unrestored:{self._target}", **evidence)
        if seen.ended is not None:
            return Judgement(seen.ended[0], seen.ended[1], **evidence)
        return _judged(seen, evidence, detects=bool(self.noticed))

    def _breaker(self, world: World) -> Breaker:
        if self.script is not None:
            return ScriptBreaker(world, self.script)
        assert self.fault is not None
        return FaultBreaker(world, self.fault.fault, site(world, self._target))

    def _alone(self, world: World) -> list[Criterion]:
        if self.other_alerts is None:
            return []
        awaited = [str(each.check.name) for each in self.noticed if each.check.awaits()]
        return [no_other_alert(self.other_alerts, awaited, world.until(time.monotonic() + _DRAWING))]

    def _course(self, world: World, breaker: Breaker) -> Course:
        traffic = self.traffic
        return Course(
            world=world,
            what=self.what,
            breaker=breaker,
            steady=self.steady,
            observe=self.noticed,
            throughout=self.throughout,
            recover=self.recover or self.steady,
            stays=self.stays,
            alone=lambda: self._alone(world),
            traffic=(lambda: Sender(traffic, world)) if traffic else None,
        )


def _too_short(criterion: Criterion, world: World) -> Message | None:
    """Why what is waited for can't come in time, as far as that can be known beforehand."""
    try:
        least = criterion.check.least_wait(world)
    except CannotObserve as error:
        return error.message
    if least is None or criterion.patience >= least[0]:
        return None
    return say(
        "{what}: `within: {within}` is too short, it takes up to {least}: {why}",
        what=criterion.heading(world),
        within=duration(criterion.patience),
        least=duration(least[0]),
        why=least[1],
    )


def _ended(message: Message) -> Seen:
    """A drill that did not begin."""
    seen = Seen()
    seen.end(Status.ERROR, message)
    return seen


def _judged(seen: Seen, evidence: dict[str, Any], *, detects: bool) -> Judgement:
    """Judge a drill that ran its course: the first criterion that failed, else that could not be seen, else a pass.

    With `detects` it has observations: a fault that none of them noticed proves nothing.
    """
    bad = sorted((row for row in seen.rows if row.status in _BAD), key=lambda row: _BAD.index(row.status))
    if not bad and detects and seen.detect is None:
        message = say("The fault was not noticed: all that stands under `observe` held before it, too")
        advice = say("Observe what the fault changes; what must keep holding belongs under `throughout`")
        return failed(message, advice=advice, **evidence)
    if not bad:
        return passed(_success(seen), **evidence)
    message = say("{title}: {message}", title=bad[0].title, message=bad[0].message)
    if len(bad) > 1:
        message = say("{first}; and {count} more", first=message, count=len(bad) - 1)
    return (failed if bad[0].status is Status.FAIL else unobserved)(message, **evidence)


def _success(seen: Seen) -> Message:
    recover = duration(seen.recover or 0.0)
    if seen.detect is None:
        return say("recovered after {recover}", recover=recover)
    return say("noticed after {detect}, recovered after {recover}", detect=duration(seen.detect), recover=recover)


def _line(row: Row) -> str:
    at = "" if row.at is None else f" (+{duration(row.at)})"
    return f"{row.phase:<10} {row.status.upper():<5} {row.title}: {row.message}{at}"
