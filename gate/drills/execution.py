"""Run a drill: steady state, fault, observations, revert, recovery. The fault is always reverted."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar

from msgspec import Struct, field, structs

from gate.checks.attempts import run_check
from gate.checks.base import Attachment, Check, ObservationError, TargetDownError
from gate.checks.context import CheckContext
from gate.checks.events import as_event
from gate.core.errors import GateError
from gate.core.messages import Message, join_messages, msg
from gate.decode.quantities import format_duration
from gate.drills.monitors import InvariantMonitor, criterion_result
from gate.drills.spec import BuiltinCriterion, Criterion
from gate.drills.workload import PhaseTimes, Workload
from gate.model import CriterionResult, MetricSeries, Outcome, Status, SweepResult, Timeline, TimelineEvent
from gate.runtime.threads import Attempt
from gate.staging.faults.base import Fault, FaultStep

Result = TypeVar("Result")
# Seconds for a criterion of the recovery, and for an alert to resolve, without a `within`.
DEFAULT_RECOVERY_TIMEOUT = 30.0
_RETRY_INTERVAL = 0.2
_STABILITY_INTERVAL = 0.5
_JOIN_INTERVAL = 1.0


class DrillObservation(Struct):
    """The results of a drill so far. `ended` is set if the drill stopped early.

    `recovered_at` is the moment of the recovery in monotonic seconds.
    `fault_time` and `fault_unix_time` are the moment of the fault: monotonic and Unix seconds, 0 before it.
    `detected_after` is in seconds since the fault, `recovered_after` in seconds since its revert.
    """

    rows: list[CriterionResult] = field(default_factory=list)
    events: list[TimelineEvent] = field(default_factory=list)
    ended: tuple[Status, Message] | None = None
    not_reverted: Message | None = None
    detected_after: float | None = None
    recovered_after: float | None = None
    recovered_at: float | None = None
    fault_time: float = 0.0
    fault_unix_time: float = 0.0
    curves: list[MetricSeries] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    sweep: SweepResult | None = None

    @property
    def timeline(self) -> Timeline:
        """Return the events by time, with the curves."""
        return Timeline(
            events=tuple(sorted(self.events, key=lambda event: event.at)),
            curves=tuple(self.curves),
            detected_after=_rounded(self.detected_after),
            recovered_after=_rounded(self.recovered_after),
            sweep=self.sweep,
        )

    def end(self, status: Status, message: Message) -> None:
        """Stop the drill. Only the first call counts: the first cause is the one to report."""
        self.ended = self.ended or (status, message)

    def add_row(self, phase: str, title: Message, status: Status, message: Message, at: float | None = None) -> None:
        """Add a row that is not a criterion of the checklist. `at`: seconds since the fault."""
        passed_at = _rounded(at) if status is Status.PASS else None
        self.rows.append(CriterionResult(title=title, status=status, message=message, phase=phase, at=passed_at))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


class TargetRecovery(Struct, frozen=True):
    """A target that must respond again within `within` seconds. `verify` returns the proof, or None."""

    target: str
    within: float
    verify: Callable[[], Message | None]


class Injector(Protocol):
    """Injects and reverts the fault of a drill, and proves both: a fault of the gate or a user's script."""

    def inject(self) -> Message | None:
        """Inject the fault and return the proof; None if only `wait` can prove it. Raises FaultNotProvenError."""

    def change_to(self, fault: Fault) -> Message:
        """Change an injected fault to its next step and return the proof. Raises FaultNotProvenError."""

    def wait(self) -> Message | None:
        """Wait until a script has ended and return the proof; None for a fault. Raises FaultNotProvenError."""

    def revert(self) -> Message:
        """Revert the fault and return the proof. Raises FaultNotProvenError."""

    def recoveries(self) -> list[TargetRecovery]:
        """Return the targets that must respond again after the revert."""


class FaultNotProvenError(GateError):
    """The fault could not be proved to be injected, or to be reverted.

    `status` is FAIL if the target did not survive what was done to it, which is an observation.
    """

    def __init__(self, message: Message, status: Status = Status.ERROR) -> None:
        super().__init__(message)
        self.status = status


class DrillExecution(Struct):
    """One execution of a drill. `extra_invariants` may raise ObservationError."""

    context: CheckContext
    label: Message
    injector: Injector
    steady: list[Criterion]
    observe: list[Criterion]
    throughout: list[Criterion]
    recover: list[Criterion]
    stable_for: float
    extra_invariants: Callable[[], list[Criterion]]
    workloads: list[Workload] = field(default_factory=list)
    # Seconds for which the fault stays in place at least, and whether an observation must detect it.
    lasts: float = 0.0
    needs_detection: bool = True
    # The steps in which the fault is raised until the service breaks; none if it is not raised.
    steps: list[FaultStep] = field(default_factory=list)
    observation: DrillObservation = field(default_factory=DrillObservation)
    already_true: list[bool] = field(default_factory=list)
    monitors: list[InvariantMonitor] = field(default_factory=list)

    def run(self) -> DrillObservation:
        """Run the drill. Never raises after the fault was injected."""
        if not self._prepare() or self.context.cancelled.is_set():
            return self.observation
        try:
            if self._start_workloads() and not self.context.cancelled.is_set():
                self._run_from_fault()
        finally:
            for workload in self.workloads:
                workload.stop()
        return self.observation

    def _start_workloads(self) -> bool:
        """Start what runs beside the drill; return False if it shows that the drill could prove nothing."""
        try:
            for workload in self.workloads:
                workload.start()
        except ObservationError as error:
            self.observation.end(Status.ERROR, error.message)
        except TargetDownError as error:
            self.observation.end(Status.FAIL, error.message)
        if self.observation.ended is not None:
            return False
        rows = [row for workload in self.workloads for row in workload.check_before_fault()]
        self.observation.rows += rows
        for row in rows:
            self.observation.end(row.status, msg("{title}: {message}", title=row.title, message=row.message))
        return self.observation.ended is None

    def _run_from_fault(self) -> None:
        self.observation.fault_time, self.observation.fault_unix_time = time.monotonic(), time.time()
        try:
            for criterion in self.throughout:
                self.monitors.append(InvariantMonitor(criterion, self.context, self.observation.fault_time))
            self._inject_and_observe()
        except BaseException as error:  # noqa: BLE001 - whatever fails here, the fault must be reverted
            why = f"{type(error).__name__}: {error}"
            self.observation.end(Status.ERROR, msg("Internal error in the check: {error}", error=why))
        if self._revert() and self.observation.ended is None:
            self._recover()
        self._end_monitors()
        self._end_workloads()

    def _end_workloads(self) -> None:
        times = PhaseTimes(self.observation.fault_time, self.observation.recovered_at, bool(self.steps))
        for workload in self.workloads:
            result = workload.end(times)
            self.observation.rows += result.rows
            self.observation.curves += result.curves
            self.observation.events += result.events
            self.observation.attachments += result.attachments

    def _end_monitors(self) -> None:
        for monitor in self.monitors:
            row = monitor.end()
            self.observation.rows.append(row)
            if monitor.broken:
                self._add_event(monitor.broken[0], msg("did not hold: {what}", what=row.title), "missed")

    def _add_event(self, at: float, what: Message, kind: str) -> None:
        self.observation.events.append(TimelineEvent(at=round(at, 3), what=what, kind=kind))

    @property
    def since_fault(self) -> float:
        """Return the seconds since the fault."""
        return time.monotonic() - self.observation.fault_time

    def _run_criterion(self, criterion: Criterion) -> Outcome:
        return run_check(criterion, structs.replace(self.context, fresh_after=time.monotonic()))

    def _run_once(self, criterion: Criterion) -> Outcome:
        """Run one attempt of a criterion, without saving evidence."""
        once = criterion.replace(within=None)
        return run_check(once, structs.replace(self.context, fresh_after=time.monotonic(), evidence=None))

    def _prepare(self) -> bool:
        """Check everything before the fault; return False if the drill could prove nothing."""
        if not self._check_steady_state() or not self._check_preconditions():
            return False
        self.already_true = self._find_already_true()
        try:
            self.throughout = [*self.throughout, *self.extra_invariants()]
        except ObservationError as error:
            self.observation.end(Status.ERROR, error.message)
        return self.observation.ended is None

    def _check_steady_state(self) -> bool:
        for criterion in self.steady:
            outcome = self._run_criterion(criterion)
            self.observation.rows.append(criterion_result(criterion, outcome, "steady", self.context, None))
            if outcome.status is not Status.PASS:
                message = msg("The steady state does not hold before the fault: {why}", why=outcome.message)
                self.observation.end(Status.SKIP, message)
        return self.observation.ended is None

    def _check_preconditions(self) -> bool:
        """Return whether every event to observe is absent before the fault."""
        for criterion in self.observe:
            self._check_precondition(criterion)
        return self.observation.ended is None

    def _check_precondition(self, criterion: Criterion) -> None:
        event = as_event(criterion.check)
        check = event.precondition() if event else None
        if check is None:
            return
        outcome = self._run_once(criterion.replace(check=check))
        if outcome.status is not Status.PASS:
            title = criterion.display_title(self.context)
            message = msg("{what}: would not prove detection: {why}", what=title, why=outcome.message)
            self.observation.end(Status.ERROR, message)

    def _find_already_true(self) -> list[bool]:
        """Return, for each observation, whether it holds before the fault: then it detects nothing."""
        if not self.needs_detection:
            return [False for _ in self.observe]
        attempts = [Attempt(partial(self._run_once, criterion)) for criterion in self.observe]
        return [_join(attempt).status is Status.PASS for attempt in attempts]

    def _inject_and_observe(self) -> None:
        """Inject the fault and run the observations. A script is observed while it runs, and proved at its end."""
        self.context.log_progress(f"fault: {self.label}")
        self._add_event(0.0, self.label, "fault")
        try:
            self._add_fault_proof(self.injector.inject())
            if self.steps:
                self._sweep()
            else:
                self._observe_for_a_while(self._observe)
            for monitor in self.monitors:
                monitor.look()  # while the fault is still in place: the interval alone could miss a short one
            self._add_fault_proof(self.injector.wait())
        except FaultNotProvenError as error:
            self.observation.add_row("fault", self.label, error.status, error.message)
            why = error.message
            if error.status is Status.ERROR:
                why = msg("The fault could not be verified: {why}", why=error.message)
            self.observation.end(error.status, why)

    def _observe_for_a_while(self, observe: Callable[[], Result]) -> Result:
        """Observe, and let the fault stay in place for `lasts` seconds at least."""
        start = time.monotonic()
        result = observe()
        self.context.cancelled.wait(max(0.0, start + self.lasts - time.monotonic()))
        return result

    def _sweep(self) -> None:
        """Raise the fault step by step until the service breaks. Each step has a row."""
        holds = None
        for step in self.steps:
            title = msg("{fault}: {step}", fault=self.label, step=step.name)
            if step is not self.steps[0]:
                self._add_fault_proof(self.injector.change_to(step.fault))
            self._add_event(self.since_fault, title, "other")
            status, message = self._run_step(step)
            self.observation.add_row("observe", title, status, message, self.since_fault)
            # a sweep that did not end has no result: it would read as if the service held at the other steps, too
            if status is Status.ERROR or self.context.cancelled.is_set():
                return
            if status is not Status.PASS:
                self.observation.sweep = SweepResult(holds=holds, breaks=step.name)
                return
            holds = step.name
        self.observation.sweep = SweepResult(holds=holds)

    def _run_step(self, step: FaultStep) -> tuple[Status, Message]:
        """Observe a step; return its status and why: a step that need not be withstood is a SKIP if it breaks."""
        start = time.monotonic()
        tasks: list[Callable[[], CriterionResult]] = [
            partial(self._observe_criterion, criterion, False) for criterion in self.observe
        ]
        rows = self._observe_for_a_while(lambda: run_concurrently(tasks))
        end = time.monotonic()
        if self.context.cancelled.is_set():
            return Status.ERROR, msg("The run ended before this step was observed")
        problems = [msg("{title}: {message}", title=row.title, message=row.message)
                    for row in rows if row.status is not Status.PASS]  # fmt: skip
        problems += [message for workload in self.workloads for message in workload.violations_between(start, end)]
        if not problems:
            return Status.PASS, msg("the service holds")
        if any(row.status is Status.ERROR for row in rows):
            return Status.ERROR, join_messages(problems)
        if step.is_required:
            return Status.FAIL, msg("the service breaks: {why}", why=join_messages(problems))
        return Status.SKIP, msg("the service breaks, and need not withstand this: {why}", why=join_messages(problems))

    def _add_fault_proof(self, proof: Message | None) -> None:
        if proof is not None:
            self.observation.add_row("fault", self.label, Status.PASS, proof, self.since_fault)

    def _revert(self) -> bool:
        title = msg("The fault is reverted")
        try:
            self.context.log_progress(f"reverting: {self.label}")
            proof = self.injector.revert()
        except FaultNotProvenError as error:
            self.observation.not_reverted = error.message
        except BaseException as error:  # noqa: BLE001 - a fault that is not proved to be reverted is not reverted
            why = f"{type(error).__name__}: {error}"
            self.observation.not_reverted = msg("the revert failed: {why}", why=why)
        if self.observation.not_reverted is not None:
            self.observation.add_row("restore", title, Status.FAIL, self.observation.not_reverted, self.since_fault)
            return False
        self.observation.add_row("restore", title, Status.PASS, proof, self.since_fault)
        self._add_event(self.since_fault, msg("reverted"), "restored")
        return True

    def _observe(self) -> None:
        pairs = list(zip(self.observe, self.already_true, strict=True))
        rows = run_concurrently([partial(self._observe_criterion, *pair) for pair in pairs])
        self.observation.rows += rows
        new_rows = [row for row, already_true in zip(rows, self.already_true, strict=True) if not already_true]
        times = [row.at for row in new_rows if row.status is Status.PASS and row.at is not None]
        self.observation.detected_after = min(times, default=None) if self.needs_detection else None

    def _observe_criterion(self, criterion: Criterion, already_true: bool) -> CriterionResult:
        outcome = self._run_criterion(criterion)
        at = self.since_fault
        if outcome.status is Status.PASS and already_true:
            message = msg("{message} (already true before the fault; not counted as detection)",
                          message=outcome.message)  # fmt: skip
            row = criterion_result(criterion, outcome.replace(message=message), "observe", self.context, None)
            self._add_event(at, msg("no detection: {what}", what=row.title), "missed")
            return row
        row = criterion_result(criterion, outcome, "observe", self.context, at)
        if outcome.status is Status.PASS:
            self._add_event(at, event_label(criterion, row), _event_kind(criterion, row))
            self.context.log_progress(f"{row.title}: observed after {format_duration(at)}")
        else:
            self._add_event(at, msg("not observed: {what}", what=row.title), "missed")
            self.context.log_progress(f"{row.title}: not observed within {format_duration(at)}")
        return row

    def _recover(self) -> None:
        reverted_at = time.monotonic()
        recoveries = self.injector.recoveries()
        timeout = max([DEFAULT_RECOVERY_TIMEOUT, *(recovery.within for recovery in recoveries)])
        criteria = [with_default_timeout(criterion, timeout) for criterion in self.recover]
        rows = run_concurrently(
            [
                *(partial(self._await_target, recovery) for recovery in recoveries),
                *(partial(self._recover_criterion, criterion) for criterion in criteria),
            ]
        )
        self.observation.rows += rows
        if all(row.status is Status.PASS for row in rows):
            last = max((row.at or 0.0) for row in rows)
            self.observation.recovered_after = last - (reverted_at - self.observation.fault_time)
            self.observation.recovered_at = time.monotonic()
            self._add_event(self.since_fault, msg("recovered"), "recovered")
            self._check_stability()
        self.observation.rows += run_concurrently([partial(self._resolve, *pair) for pair in self._postconditions()])

    def _await_target(self, recovery: TargetRecovery) -> CriterionResult:
        end, proof = time.monotonic() + recovery.within, recovery.verify()
        while proof is None and time.monotonic() < end and not self.context.cancelled.wait(_RETRY_INTERVAL):
            proof = recovery.verify()
        why = msg("no response within {within}", within=format_duration(recovery.within))
        return CriterionResult(
            title=msg("{target} responds again", target=recovery.target),
            status=Status.FAIL if proof is None else Status.PASS,
            message=proof or why,
            phase="recover",
            at=_rounded(self.since_fault),
            within=recovery.within,
        )

    def _recover_criterion(self, criterion: Criterion) -> CriterionResult:
        outcome = self._run_criterion(criterion)
        row = criterion_result(criterion, outcome, "recover", self.context, self.since_fault)
        if outcome.status is not Status.PASS:
            self._add_event(self.since_fault, msg("not recovered: {what}", what=row.title), "missed")
        return row

    def _check_stability(self) -> None:
        """Check the recovery again and again for `stable_for` seconds."""
        end = time.monotonic() + self.stable_for
        interval = min(_STABILITY_INTERVAL, self.stable_for)
        while time.monotonic() < end and not self.context.cancelled.wait(interval):
            for criterion in self.recover:
                outcome = self._run_once(criterion)
                if outcome.status is not Status.PASS:
                    message = msg("Recovered, but did not stay healthy: {why}", why=outcome.message)
                    title = criterion.display_title(self.context)
                    self.observation.add_row("recover", title, Status.FAIL, message, self.since_fault)
                    self._add_event(self.since_fault, msg("did not stay recovered: {what}", what=title), "missed")
                    return

    def _postconditions(self) -> list[tuple[Criterion, Check[object]]]:
        events = [(criterion, as_event(criterion.check)) for criterion in self.observe]
        checks = [(criterion, event.postcondition()) for criterion, event in events if event]
        return [(criterion, check) for criterion, check in checks if check is not None]

    def _resolve(self, criterion: Criterion, check: Check[object]) -> CriterionResult:
        timeout = resolve_timeout(criterion, self.recover)
        title = msg("{what}: resolved", what=criterion.display_title(self.context))
        resolved = BuiltinCriterion(check=check, within=timeout, timeout=criterion.timeout, message_title=title)
        outcome = self._run_criterion(resolved)
        if outcome.status is Status.PASS:
            self._add_event(self.since_fault, title, "resolved")
        else:
            self._add_event(self.since_fault, msg("not observed: {what}", what=title), "missed")
        return criterion_result(resolved, outcome, "recover", self.context, self.since_fault)


def resolve_timeout(criterion: Criterion, recover: list[Criterion]) -> float:
    """Return the seconds within which a criterion's event must be over after the revert."""
    event = as_event(criterion.check)
    own = event.recovery_timeout() if event else None
    if own is not None:
        return own
    recover_timeouts = (entry.total_timeout for entry in recover if entry.within)
    return max([DEFAULT_RECOVERY_TIMEOUT, criterion.total_timeout, *recover_timeouts])


def with_default_timeout(criterion: Criterion, timeout: float) -> Criterion:
    """Return the criterion, with `within: timeout` if it has none."""
    return criterion if criterion.within is not None else criterion.replace(within=timeout)


def _event_kind(criterion: Criterion, row: CriterionResult) -> str:
    """Return the kind of a timeline event: the state of an alert if it was observed in one state only."""
    if as_event(criterion.check) is None:
        return "noticed"
    states = str(row.message.args.get("states", ""))
    return states if states in ("pending", "firing") else "alert"


def event_label(criterion: Criterion, row: CriterionResult) -> Message:
    """Return the text of a timeline event. An alert's carries its name as the argument `alert`."""
    event = as_event(criterion.check)
    return msg("{message}", message=row.message, alert=event.name) if event else row.title


def run_concurrently(tasks: list[Callable[[], CriterionResult]]) -> list[CriterionResult]:
    """Run all tasks at once and return their results in order. A task that crashes yields an ERROR row."""
    return [_join_row(attempt) for attempt in [_start(task) for task in tasks]]


def _start(task: Callable[[], CriterionResult]) -> Attempt[CriterionResult] | Exception:
    try:
        return Attempt(task)
    except (RuntimeError, MemoryError) as error:
        return error


def _join_row(started: Attempt[CriterionResult] | Exception) -> CriterionResult:
    try:
        if isinstance(started, Exception):
            raise started
        return _join(started)
    except BaseException as error:  # noqa: BLE001 - a row that crashes must not end the drill: the fault is in place
        message = msg("Internal error in the check: {error}", error=f"{type(error).__name__}: {error}")
        return CriterionResult(title=msg("a criterion"), status=Status.ERROR, message=message)


def _join(attempt: Attempt[Result]) -> Result:
    """Wait for the result, without a timeout: `run_check` has its own. Raises what the attempt raised."""
    while not (results := attempt.wait(_JOIN_INTERVAL)):
        pass
    return results[0]
