"""The check `drill`: breaks something on purpose, and watches it being noticed and the service recover."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, field

from gate.checks.alert import Alert
from gate.checks.base import Check, CheckResult, ObservationError, errored, failed, passed
from gate.checks.context import CheckContext
from gate.checks.entry import CheckEntry
from gate.core.messages import Message, msg
from gate.decode.quantities import DurationSeconds, format_duration
from gate.decode.structs import ShortForm
from gate.drills.alerts import add_alert_transitions, add_curves, no_other_alert
from gate.drills.execution import RECOVERY, DrillExecution, DrillObservation, Injector
from gate.drills.injectors import FaultInjector, ScriptInjector, lock_fault_site, max_revert_duration
from gate.drills.monitors import TrafficGenerator, final_attempt_timeout
from gate.drills.spec import Criterion, FaultSpec, MetricCurves, OtherAlerts, Script, Traffic
from gate.model import CriterionResult, Status
from gate.staging.docker_client import DockerUnavailableError
from gate.staging.faults.base import Fault, FaultError, TargetFault
from gate.staging.spec import Target

_DRAWING = 10.0
"""Seconds for asking Prometheus about what went on around the drill."""
_BAD = (Status.FAIL, Status.ERROR)


class Drill(Check[DrillObservation]):
    """Steady state, fault, observation, restoration, recovery."""

    kind: ClassVar[str] = "drill"
    summary: ClassVar[str] = "something is broken on purpose; it is noticed, put back, and the service recovers"
    phase: ClassVar[Literal["main", "drill", "after"]] = "drill"
    time_limit: ClassVar[float | None] = None
    needs_cleanup: ClassVar[bool] = True
    elsewhere: ClassVar[Mapping[str, str]] = {
        **Check.elsewhere,
        **dict.fromkeys(("expect", "expects", "expected", "detect", "noticed", "notice"), "'observe'"),
        **dict.fromkeys(("steady_state", "before"), "'steady'"),
        **dict.fromkeys(("recovery", "after"), "'recover'"),
    }

    steady: Annotated[
        list[ShortForm[Criterion]],
        Meta(min_length=1, description="What must hold before the fault, and again after it."),
    ]
    fault: Annotated[ShortForm[FaultSpec] | None, Meta(description="What is broken: exactly one fault.")] = None
    script: Annotated[Script | None, Meta(description="A drill script of your own, instead of a fault.")] = None
    noticed: Annotated[
        list[ShortForm[Criterion]],
        Meta(min_length=1, description="What must be seen while the fault is in place, each `within` a time."),
    ] = field(default=[], name="observe")
    throughout: Annotated[list[ShortForm[Criterion]], Meta(min_length=1, description="What must hold all along.")] = []
    recover: Annotated[
        list[ShortForm[Criterion]],
        Meta(min_length=1, description="What must hold again afterwards; without it, the steady state."),
    ] = []
    stays: Annotated[DurationSeconds, Meta(description="How long the recovery must last.")] = 2.0
    traffic: Annotated[Traffic | None, Meta(description="Requests sent meanwhile.")] = None
    other_alerts: Annotated[OtherAlerts | None, Meta(description="No other alert may begin to fire.")] = None
    curves: Annotated[
        MetricCurves | None,
        Meta(description="Metrics to draw below the timeline; without it, what awaited alerts look at."),
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
            return msg("run {command}", command=shlex.join(self.script.command))
        assert self.fault is not None
        return msg("{fault} {target}", fault=self.fault.fault.kind, target=self._target or "")

    @property
    def _target(self) -> str | None:
        fault = self.fault.fault if self.fault else None
        return getattr(fault, "target", None)

    def describe(self, context: CheckContext) -> str:
        return str(self.what)

    def reproduce_command(self, context: CheckContext) -> str:
        if self.script is not None:
            return shlex.join(self.script.command)
        return context.rerun_command

    @property
    def needs_engine(self) -> bool:
        return any(each.check.needs_engine for each in self._criteria)

    @property
    def _criteria(self) -> list[CheckEntry]:
        return [each for group in self.criteria().values() for each in group]

    def effects(self) -> list[Message]:
        made = [self.fault.fault.describe() if self.fault else self.what]
        if self.script is not None and self.script.touches:
            made.append(
                msg("{targets}: put back as before, where the script does not", targets=", ".join(self.script.touches))
            )
        return [*made, msg("broken for {time} at worst", time=format_duration(self._broken))]

    def criteria(self) -> dict[str, list[CheckEntry]]:
        return {
            "steady": [*self.steady],
            "observe": [*self.noticed],
            "throughout": [*self.throughout],
            "recover": [*self.recover],
        }

    def unsupported_targets(self, targets: Mapping[str, Target]) -> Iterator[tuple[str, str, str]]:
        fault = self.fault.fault if self.fault else None
        if isinstance(fault, TargetFault) and fault.target in targets:
            why = fault.unsupported_reason(targets[fault.target])
            yield from [("fault", fault.target, why)] if why else []
        for name in self.script.touches if self.script else ():
            if name in targets and not (targets[name].container or targets[name].start):
                yield "script", name, "expected a target with a 'container' or a 'start': nothing else can be put back"

    def precheck(self, context: CheckContext) -> Message | None:
        found = (_too_short(criterion, context) for criterion in self.noticed)
        return next((why for why in found if why), None)

    @property
    def _broken(self) -> float:
        """Seconds from the first act of the fault until it is taken back, at most."""
        observed = max((each.total_timeout for each in self.noticed), default=0.0)
        observed += sum(final_attempt_timeout(each) for each in self.throughout)
        if self.script is not None:
            return max(observed, self.script.timeout) + max_revert_duration(self.script)
        assert self.fault is not None
        fault: Fault = self.fault.fault
        return fault.max_duration() + observed

    def max_duration(self, asked: CheckEntry) -> float:
        recovery = max([RECOVERY, *(each.total_timeout for each in [*self.recover, *self.noticed] if each.within)])
        quiet = 2 * max((each.attempt_timeout for each in self.noticed), default=0.0)
        before = sum(each.total_timeout for each in self.steady) + quiet
        after = 2 * recovery + self.stays + sum(each.attempt_timeout for each in self._criteria)
        return before + self._broken + after + 2 * _DRAWING

    def observe(self, context: CheckContext) -> DrillObservation:
        try:
            breaker = self._breaker(context)
        except (FaultError, DockerUnavailableError) as error:
            return _ended(error.message)
        observation = self._course(context, breaker).run()
        if observation.wall and not context.cancelled.is_set():
            self._draw(observation, context.with_deadline(time.monotonic() + _DRAWING))
        return observation

    def _draw(self, observation: DrillObservation, context: CheckContext) -> None:
        """Adds what Prometheus knows of the time of the drill; without `curves`, what its alerts look at is drawn."""
        if self.curves:
            add_curves(self.curves, observation, context)
        for criterion in self.noticed:
            if isinstance(criterion.check, Alert) and criterion.check.is_event():
                add_alert_transitions(criterion.check, observation, context, curves=self.curves is None)

    def judge(self, observation: DrillObservation) -> CheckResult:
        evidence: dict[str, Any] = {
            "rows": tuple(observation.rows),
            "timeline": observation.timeline if observation.moments else None,
            "response": "\n".join(_line(row) for row in observation.rows),
        }
        if observation.unrestored is not None:
            message = msg("The fault could not be taken back: {why}", why=observation.unrestored)
            advice = msg("Run `prodgate restore`, and look at {target} by hand", target=self._target or "staging")
            return failed(message, advice=advice, cause=f"unrestored:{self._target}", **evidence)
        if observation.ended is not None:
            return CheckResult(observation.ended[0], observation.ended[1], **evidence)
        return _judged(observation, evidence, detects=bool(self.noticed))

    def _breaker(self, context: CheckContext) -> Injector:
        if self.script is not None:
            return ScriptInjector(context, self.script)
        assert self.fault is not None
        return FaultInjector(context, self.fault.fault, lock_fault_site(context, self._target))

    def _alone(self, context: CheckContext) -> list[Criterion]:
        if self.other_alerts is None:
            return []
        awaited = [str(each.check.name) for each in self.noticed if each.check.is_event()]
        return [no_other_alert(self.other_alerts, awaited, context.with_deadline(time.monotonic() + _DRAWING))]

    def _course(self, context: CheckContext, breaker: Injector) -> DrillExecution:
        traffic = self.traffic
        return DrillExecution(
            context=context,
            what=self.what,
            breaker=breaker,
            steady=self.steady,
            observe=self.noticed,
            throughout=self.throughout,
            recover=self.recover or self.steady,
            stays=self.stays,
            alone=lambda: self._alone(context),
            traffic=(lambda: TrafficGenerator(traffic, context)) if traffic else None,
        )


def _too_short(criterion: Criterion, context: CheckContext) -> Message | None:
    """Why what is waited for can't come in time, as far as that can be known beforehand."""
    try:
        least = criterion.check.minimum_delay(context)
    except ObservationError as error:
        return error.message
    if least is None or criterion.total_timeout >= least[0]:
        return None
    return msg(
        "{what}: `within: {within}` is too short, it takes up to {least}: {why}",
        what=criterion.display_title(context),
        within=format_duration(criterion.total_timeout),
        least=format_duration(least[0]),
        why=least[1],
    )


def _ended(message: Message) -> DrillObservation:
    """A drill that did not begin."""
    observation = DrillObservation()
    observation.end(Status.ERROR, message)
    return observation


def _judged(observation: DrillObservation, evidence: dict[str, Any], *, detects: bool) -> CheckResult:
    """Judge a drill that ran its course: the first criterion that failed, else that could not be seen, else a pass.

    With `detects` it has observations: a fault that none of them noticed proves nothing.
    """
    bad = sorted((row for row in observation.rows if row.status in _BAD), key=lambda row: _BAD.index(row.status))
    if not bad and detects and observation.detect is None:
        message = msg("The fault was not noticed: all that stands under `observe` held before it, too")
        advice = msg("Observe what the fault changes; what must keep holding belongs under `throughout`")
        return failed(message, advice=advice, **evidence)
    if not bad:
        return passed(_success(observation), **evidence)
    message = msg("{title}: {message}", title=bad[0].title, message=bad[0].message)
    if len(bad) > 1:
        message = msg("{first}; and {count} more", first=message, count=len(bad) - 1)
    return (failed if bad[0].status is Status.FAIL else errored)(message, **evidence)


def _success(observation: DrillObservation) -> Message:
    recover = format_duration(observation.recover or 0.0)
    if observation.detect is None:
        return msg("recovered after {recover}", recover=recover)
    return msg(
        "noticed after {detect}, recovered after {recover}", detect=format_duration(observation.detect), recover=recover
    )


def _line(row: CriterionResult) -> str:
    at = "" if row.at is None else f" (+{format_duration(row.at)})"
    return f"{row.phase:<10} {row.status.upper():<5} {row.title}: {row.message}{at}"
