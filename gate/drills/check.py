"""The check `drill`: inject a fault, observe that it is detected, revert it, and observe the recovery."""

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
from gate.checks.events import as_event
from gate.core.messages import Message, msg
from gate.core.override import override
from gate.core.strictness import stricter
from gate.decode.quantities import DurationSeconds, format_duration
from gate.decode.structs import ShortForm
from gate.drills.alerts import add_alert_transitions, add_curves, other_alerts_criterion
from gate.drills.execution import DEFAULT_RECOVERY_TIMEOUT, DrillExecution, DrillObservation, Injector, resolve_timeout
from gate.drills.injectors import FaultInjector, ScriptInjector, lock_fault_site, max_revert_duration
from gate.drills.ledger import LedgerKeeper, max_ledger_duration
from gate.drills.monitors import final_attempt_timeout
from gate.drills.spec import Criterion, FaultSpec, Ledger, MetricCurves, OtherAlerts, Script, Traffic
from gate.drills.traffic import TrafficGenerator
from gate.drills.workload import Workload, lead_time
from gate.model import CriterionResult, Status
from gate.staging.errors import StagingError
from gate.staging.faults.base import Fault, FaultError, FaultStep, TargetFault
from gate.staging.spec import Target

# Seconds for the queries to Prometheus around a drill: alerts that fire before it, curves after it.
_PROMETHEUS_TIMEOUT = 10.0
# Seconds for which a fault without observations stays in place.
_UNOBSERVED_FAULT_DURATION = 5.0
# By precedence: the first failure is the drill's message, an error only if nothing failed.
_NOT_PASSED = (Status.FAIL, Status.ERROR)


class Drill(Check[DrillObservation]):
    """Steady state, fault, observation, revert, recovery."""

    kind: ClassVar[str] = "drill"
    summary: ClassVar[str] = "inject a fault; it is detected and reverted, and the service recovers"
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
        Meta(min_length=1, description="What must hold before the fault, and again after it.", extra=stricter("more")),
    ]
    fault: Annotated[
        ShortForm[FaultSpec] | None, Meta(description="The fault to inject: exactly one.", extra=stricter("never"))
    ] = None
    script: Annotated[
        Script | None,
        Meta(description="A script of your own that injects and reverts, instead of a fault.", extra=stricter("never")),
    ] = None
    observations: Annotated[
        list[ShortForm[Criterion]],
        Meta(
            min_length=1,
            description="What must be observed during the fault, each `within` a time.",
            extra=stricter("more"),
        ),
    ] = field(default=[], name="observe")
    throughout: Annotated[
        list[ShortForm[Criterion]],
        Meta(min_length=1, description="What must hold during the whole drill.", extra=stricter("more")),
    ] = []
    recover: Annotated[
        list[ShortForm[Criterion]],
        Meta(
            min_length=1,
            description="What must hold after the revert; by default the steady state.",
            extra=stricter("never"),
        ),
    ] = []
    stays: Annotated[
        DurationSeconds, Meta(description="How long the recovery must last.", extra=stricter("higher"))
    ] = 2.0
    traffic: Annotated[
        Traffic | None, Meta(description="Requests to send during the drill.", extra=stricter("never"))
    ] = None
    ledger: Annotated[
        Ledger | None,
        Meta(
            description="Writes during the drill, of which none may be lost that was acknowledged.",
            extra=stricter("set"),
        ),
    ] = None
    lasts: Annotated[
        DurationSeconds | None,
        Meta(
            description="How long the fault stays in place at least; by default as long as the observations take, "
            "and `5s` without any.",
            extra=stricter("higher"),
        ),
    ] = None
    other_alerts: Annotated[
        OtherAlerts | None, Meta(description="Reject every other alert that begins to fire.", extra=stricter("never"))
    ] = None
    curves: Annotated[
        MetricCurves | None,
        Meta(
            description="Metrics to draw below the timeline; by default those of the awaited alerts.",
            extra=stricter("never"),
        ),
    ] = None

    def __post_init__(self) -> None:
        if (self.fault is None) == (self.script is None):
            raise ValueError("expected exactly one of 'fault' and 'script'")
        if self.fault is not None and not self._has_expectation:
            raise ValueError(
                "expected at least one criterion under 'observe' or 'throughout', a limit under 'traffic', "
                "or a 'ledger'"
            )
        if any(criterion.within is None for criterion in self.observations):
            raise ValueError("expected a 'within' in every criterion under 'observe'")
        if any(criterion.kind == self.kind for criterion in self._criteria):
            raise ValueError("expected no drill in a drill: drills run one at a time")

    @property
    def _has_expectation(self) -> bool:
        """Return whether anything is expected while the fault is in place."""
        judges_traffic = self.traffic is not None and (
            self.traffic.has_limits("during") or self.traffic.has_limits("after")
        )
        return bool(self.observations or self.throughout or judges_traffic or self.ledger)

    @property
    def _needs_detection(self) -> bool:
        """Return whether an observation must detect the fault."""
        return bool(self.observations) and (self.fault is None or self.fault.fault.needs_detection)

    @property
    def _steps(self) -> list[FaultStep]:
        """Return the steps in which the fault is raised; none if it is not."""
        return self.fault.fault.steps() if self.fault is not None else []

    @property
    def _min_fault_duration(self) -> float:
        """Return the seconds for which the fault stays in place at least."""
        if self.lasts is not None:
            return self.lasts
        if not self.observations and self.script is None:
            return _UNOBSERVED_FAULT_DURATION
        # a step is judged by its own traffic
        return lead_time(self.traffic.rate) if self.traffic and self._steps else 0.0

    @property
    def label(self) -> Message:
        """Return the fault with its target, or the script's command, for people."""
        if self.script is not None:
            return msg("run {command}", command=shlex.join(self.script.command))
        assert self.fault is not None
        return msg("{fault} {target}", fault=self.fault.fault.kind, target=self._target or "")

    @property
    def _target(self) -> str | None:
        fault = self.fault.fault if self.fault else None
        return getattr(fault, "target", None)

    @override
    def describe(self, context: CheckContext) -> str:
        return str(self.label)

    @override
    def reproduce_command(self, context: CheckContext) -> str:
        if self.script is not None:
            return shlex.join(self.script.command)
        return context.rerun_command

    @property
    @override
    def needs_engine(self) -> bool:
        return any(criterion.check.needs_engine for criterion in self._criteria)

    @property
    def _criteria(self) -> list[CheckEntry]:
        return [criterion for group in self.criteria().values() for criterion in group]

    def effects(self) -> list[Message]:
        """Return what the fault or script does, what is restored after it, and how long it lasts."""
        effects = [self.fault.fault.describe() if self.fault else self.label]
        if self.script is not None and self.script.touches:
            targets = ", ".join(self.script.touches)
            effects.append(msg("{targets}: restored if the script does not do so", targets=targets))
        effects += [workload.effect() for workload in (self.traffic, self.ledger) if workload is not None]
        return [*effects, msg("the fault lasts at most {time}", time=format_duration(self._max_fault_duration))]

    def criteria(self) -> dict[str, list[CheckEntry]]:
        """Return the checks by phase, as the checklist names the phases."""
        return {
            "steady": [*self.steady],
            "observe": [*self.observations],
            "throughout": [*self.throughout],
            "recover": [*self.recover],
        }

    def unsupported_targets(self, targets: Mapping[str, Target]) -> Iterator[tuple[str, str, str]]:
        """Yield targets that the fault can't break, or that can't be restored after the script."""
        fault = self.fault.fault if self.fault else None
        if isinstance(fault, TargetFault) and fault.target in targets:
            why = fault.unsupported_reason(targets[fault.target])
            yield from [("fault", fault.target, why)] if why else []
        for name in self.script.touches if self.script else ():
            if name in targets and (targets[name].once or not (targets[name].found or targets[name].start)):
                yield "script", name, "expected a running container, service or process: nothing else can be restored"

    def precheck(self, context: CheckContext) -> Message | None:
        """Return why an awaited alert could not fire within the time that it is given."""
        reasons = [_too_short_reason(criterion, context) for criterion in self.observations]
        reasons += [
            _recovery_problem(criterion, self.recover or self.steady, context) for criterion in self.observations
        ]
        return next((reason for reason in reasons if reason), None)

    @property
    def _max_fault_duration(self) -> float:
        """Return the seconds from the first action of the fault until it is reverted, at most."""
        observing = max((criterion.total_timeout for criterion in self.observations), default=0.0)
        observing = max(observing, self._min_fault_duration) * max(1, len(self._steps))
        observing += sum(step.fault.max_duration() for step in self._steps[1:])
        observing += sum(final_attempt_timeout(criterion) for criterion in self.throughout)
        if self.script is not None:
            return max(observing, self.script.timeout) + max_revert_duration(self.script)
        assert self.fault is not None
        fault: Fault = self.fault.fault
        return fault.max_duration() + observing

    def max_duration(self) -> float:
        """Return the seconds of all phases together, each waited out."""
        retried = [criterion for criterion in [*self.recover, *self.observations] if criterion.within]
        resolving = [resolve_timeout(criterion, self.recover or self.steady) for criterion in self.observations]
        recovery = max([DEFAULT_RECOVERY_TIMEOUT, *resolving, *(criterion.total_timeout for criterion in retried)])
        # each observation is checked twice before the fault: that its alert is quiet, and whether it already holds
        beforehand = 2 * max((criterion.attempt_timeout for criterion in self.observations), default=0.0)
        before = sum(criterion.total_timeout for criterion in self.steady) + beforehand
        # recovery and resolved alerts come one after the other; `stays` may end in one more attempt of each criterion
        after = 2 * recovery + self.stays + sum(criterion.attempt_timeout for criterion in self._criteria)
        workload = 2 * (lead_time(self.traffic.rate) + self.traffic.timeout) if self.traffic else 0.0
        workload += max_ledger_duration(self.ledger) if self.ledger else 0.0
        return before + self._max_fault_duration + after + workload + 2 * _PROMETHEUS_TIMEOUT

    @override
    def observe(self, context: CheckContext) -> DrillObservation:
        try:
            injector = self._injector(context)
        except (FaultError, StagingError) as error:
            return _not_started(error.message)
        observation = self._execution(context, injector).run()
        if observation.fault_unix_time and not context.cancelled.is_set():
            self._add_prometheus_data(observation, context.with_deadline(time.monotonic() + _PROMETHEUS_TIMEOUT))
        return observation

    def _add_prometheus_data(self, observation: DrillObservation, context: CheckContext) -> None:
        """Add the curves and the states of the awaited alerts that Prometheus recorded during the drill."""
        if self.curves:
            add_curves(self.curves, observation, context)
        for criterion in self.observations:
            if isinstance(criterion.check, Alert) and criterion.check.is_event():
                add_alert_transitions(criterion.check, observation, context, with_curves=self.curves is None)

    @override
    def judge(self, observation: DrillObservation) -> CheckResult:
        evidence: dict[str, Any] = {
            "rows": tuple(observation.rows),
            "timeline": observation.timeline if observation.events else None,
            "attachments": tuple(observation.attachments),
            "response": "\n".join(_format_row(row) for row in observation.rows),
        }
        if observation.not_reverted is not None:
            message = msg("The fault could not be reverted: {why}", why=observation.not_reverted)
            if observation.ended is not None and observation.ended[0] is Status.FAIL:
                message = msg("{first}; then: {message}", first=observation.ended[1], message=message)
            advice = msg("Run `prodgate restore`, then check {target} by hand", target=self._target or "staging")
            return failed(message, advice=advice, cause=f"unrestored:{self._target}", **evidence)
        if observation.ended is not None:
            return CheckResult(observation.ended[0], observation.ended[1], **evidence)
        return _judge_complete(observation, evidence, needs_detection=self._needs_detection)

    def _injector(self, context: CheckContext) -> Injector:
        if self.script is not None:
            return ScriptInjector(context, self.script)
        assert self.fault is not None
        site = lock_fault_site(context, self._target)
        self.fault.fault.prepare(site)
        return FaultInjector(context, self.fault.fault, site)

    def _extra_invariants(self, context: CheckContext) -> list[Criterion]:
        if self.other_alerts is None:
            return []
        events = [event for criterion in self.observations if (event := as_event(criterion.check))]
        names = [event.name for event in events]
        query_context = context.with_deadline(time.monotonic() + _PROMETHEUS_TIMEOUT)
        return [other_alerts_criterion(self.other_alerts, names, query_context)]

    def _execution(self, context: CheckContext, injector: Injector) -> DrillExecution:
        return DrillExecution(
            context=context,
            label=self.label,
            injector=injector,
            steady=self.steady,
            observe=self.observations,
            throughout=self.throughout,
            recover=self.recover or self.steady,
            stable_for=self.stays,
            lasts=self._min_fault_duration,
            needs_detection=self._needs_detection,
            steps=self._steps,
            extra_invariants=lambda: self._extra_invariants(context),
            workloads=self._workloads(context),
        )

    def _workloads(self, context: CheckContext) -> list[Workload]:
        traffic: list[Workload] = [TrafficGenerator(self.traffic, context)] if self.traffic else []
        return [*traffic, LedgerKeeper(self.ledger, context)] if self.ledger else traffic


def _too_short_reason(criterion: Criterion, context: CheckContext) -> Message | None:
    """Return why a criterion's event can't come `within` its time, as far as Prometheus' configuration shows."""
    event = as_event(criterion.check)
    try:
        delay = event.minimum_delay(context) if event else None
    except ObservationError as error:
        return error.message
    if delay is None or criterion.total_timeout >= delay[0]:
        return None
    return msg(
        "{what}: `within: {within}` is too short; the event can take {least}: {why}",
        what=criterion.display_title(context),
        within=format_duration(criterion.total_timeout),
        least=format_duration(delay[0]),
        why=delay[1],
    )


def _recovery_problem(criterion: Criterion, recover: list[Criterion], context: CheckContext) -> Message | None:
    """Return why a criterion's event can't be over in time, as far as the configuration shows."""
    event = as_event(criterion.check)
    if event is None:
        return None
    try:
        problem = event.recovery_problem(context, resolve_timeout(criterion, recover))
    except ObservationError as error:
        return error.message
    return msg("{what}: {why}", what=criterion.display_title(context), why=problem) if problem else None


def _not_started(message: Message) -> DrillObservation:
    """Return the observation of a drill that could not start."""
    observation = DrillObservation()
    observation.end(Status.ERROR, message)
    return observation


def _judge_complete(observation: DrillObservation, evidence: dict[str, Any], *, needs_detection: bool) -> CheckResult:
    """Judge a drill that ran to its end by its first failure, else its first error, else as passed.

    With `needs_detection`, a fault that no observation detected is a FAIL.
    """
    rows = [row for row in observation.rows if row.status in _NOT_PASSED]
    problems = sorted(rows, key=lambda row: _NOT_PASSED.index(row.status))
    if not problems and needs_detection and observation.detected_after is None:
        message = msg("The fault was not detected: every criterion under `observe` already held before it")
        advice = msg("Observe what the fault changes; what must keep holding belongs under `throughout`")
        return failed(message, advice=advice, **evidence)
    if not problems:
        return passed(_success_message(observation), **evidence)
    message = msg("{title}: {message}", title=problems[0].title, message=problems[0].message)
    if len(problems) > 1:
        message = msg("{first}; and {count} more", first=message, count=len(problems) - 1)
    return (failed if problems[0].status is Status.FAIL else errored)(message, **evidence)


def _success_message(observation: DrillObservation) -> Message:
    recover = format_duration(observation.recovered_after or 0.0)
    if observation.sweep is not None:
        sweep = observation.sweep
        if sweep.breaks is None:
            return msg("held at every step, up to {holds}; recovered after {recover}", holds=sweep.holds or "-",
                       recover=recover)  # fmt: skip
        return msg("broke at {breaks}, held at {holds}; recovered after {recover}", breaks=sweep.breaks,
                   holds=sweep.holds or "-", recover=recover)  # fmt: skip
    if observation.detected_after is None:
        return msg("recovered after {recover}", recover=recover)
    detect = format_duration(observation.detected_after)
    return msg("detected after {detect}, recovered after {recover}", detect=detect, recover=recover)


def _format_row(row: CriterionResult) -> str:
    at = "" if row.at is None else f" (+{format_duration(row.at)})"
    return f"{row.phase:<10} {row.status.upper():<5} {row.title}: {row.message}{at}"
