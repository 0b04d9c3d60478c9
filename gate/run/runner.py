"""Run a checklist: start the targets, run the items, and build the report with its verdict."""

from __future__ import annotations

import shlex
import threading
import time
import uuid
from collections.abc import Mapping
from functools import cached_property

from msgspec import Struct, field, structs

from gate.checklist.cross_references import iter_target_refs, required_targets
from gate.checklist.drilled_targets import dependency_targets, drilled_faults
from gate.checklist.load import LoadedChecklist
from gate.checklist.models import Item
from gate.checks.attempts import CAUSE_RUN_ENDED, describe_safely, run_check
from gate.checks.context import CheckContext, SingleFlightCache
from gate.core.messages import Message, msg
from gate.drills.protocol import DRILL_PRECHECK_TIMEOUT, DrillCheck
from gate.model import (
    Evidence,
    ItemResult,
    Outcome,
    Report,
    Status,
)
from gate.redaction.secrets import Redactor
from gate.redaction.structs import redact_struct
from gate.run.cancellation import CancellationToken
from gate.run.options import RunOptions
from gate.run.progress import Progress
from gate.run.report_builder import ReportBuilder, named_targets
from gate.run.scheduler import Work, run_items
from gate.staging.environment import StagingEnvironment
from gate.staging.logs import find_error_line
from gate.staging.target import RunningTarget
from gate.verdict import ENDED, IMPOSSIBLE

NO_DEADLINE = float("inf")
# Maximum number of finished items whose evidence is still being saved while others run.
EVIDENCE_BACKLOG = 8


class Runner(Struct, dict=True):
    """One run of a checklist. Call `run` once."""

    loaded: LoadedChecklist
    options: RunOptions
    secrets: Redactor
    progress: Progress
    ending: CancellationToken
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    def __post_init__(self) -> None:
        self.checklist = self.loaded.checklist
        self.builder = ReportBuilder(self.loaded, self.options, self.secrets, self.ending)
        self.results: dict[str, ItemResult] = {}
        self.targets: Mapping[str, RunningTarget] = {}
        self.selected = list(self.options.items)
        self.context: CheckContext | None = None
        self.unrestored: Outcome | None = None
        self.slots = threading.Semaphore(self.options.workers)

    def run(self) -> Report:
        """Run everything and return the report, whatever happens."""
        self.progress.begin(len(self.selected))
        with self.ending.cancel_after(self.options.deadline), self._environment() as stage:
            self.targets = stage.start()
            self._report_targets()
            self.context = self._check_context(stage)
            work = Work(self._run_item, self._record, self._crashed, self.ending.event)
            run_items(self.selected, work, self.options.workers + EVIDENCE_BACKLOG)
            self._attach_logs(stage)
        self.progress.end()
        return self.report()

    def _attach_logs(self, stage: StagingEnvironment) -> None:
        """Attach the log tail to each target that a failed item names."""
        failed = self._failed_items()
        blamed = {name for item in self.selected if item.id in failed for name in named_targets(item)}
        logs = stage.tail_logs(name for name in self.targets if name in blamed)
        self.targets = {
            name: structs.replace(target, log=logs.get(name, target.log)) for name, target in self.targets.items()
        }

    def _failed_items(self) -> set[str]:
        """Return the items that have run and did not pass."""
        return {name for name, result in self.results.items() if result.outcome.status in (Status.FAIL, Status.ERROR)}

    def _environment(self) -> StagingEnvironment:
        required = required_targets(self.selected, self.checklist.targets)
        targets = {name: self.checklist.targets[name] for name in required}
        return StagingEnvironment(
            targets,
            compose=self.checklist.compose,
            root=self.options.root,
            run_id=self.run_id,
            secrets=self.secrets,
            cancelled=self.ending.event,
            log_progress=self.progress.note,
        )

    def _check_context(self, stage: StagingEnvironment) -> CheckContext:
        return CheckContext(
            root=self.options.root,
            targets=stage.running,
            secrets=self.secrets,
            deadline=NO_DEADLINE,
            fresh_after=time.monotonic(),
            cancelled=self.ending.event,
            memo=SingleFlightCache(),
            results=self.results,
            stage=stage,
            scrape_jobs=self.checklist.scrape_jobs,
            prometheus_targets=tuple(name for name in self.checklist.prometheus_targets if name in self.targets),
            dependencies=dependency_targets(self.checklist),
            drilled_faults=drilled_faults(self.checklist.items),
            run_id=self.run_id,
            log_progress=self.progress.note,
        )

    def _report_targets(self) -> None:
        for running in self.targets.values():
            self.progress.target(redact_struct(self.builder.target_result(running), self.secrets))

    def _record(self, result: ItemResult) -> None:
        self.results[result.id] = result
        if result.outcome.cause and result.outcome.cause.startswith("unrestored"):
            self.unrestored = result.outcome
        self.progress.item(result)

    def _run_item(self, item: Item, since: float) -> ItemResult:
        """Run an item. It must not use observations older than `since` (monotonic), when its dependencies had ended."""
        assert self.context is not None
        outcome = self._skip_reason(item)
        if outcome is None:
            store = self.options.evidence
            evidence = store.for_owner(item.id) if store else None
            context = structs.replace(
                self.context, fresh_after=since, rerun_command=self._rerun_command(item), evidence=evidence
            )
            outcome = self._with_log(item, self._with_cause(item, run_check(item, context, self.slots)))
        else:
            outcome = self._with_request(item, outcome)
        return self.builder.item_result(item, outcome)

    def _crashed(self, item: Item, why: str) -> ItemResult:
        """Return an ERROR result for an item whose worker crashed."""
        message = msg("Internal error in the check: {error}", error=why)
        return self.builder.item_result(item, Outcome(status=Status.ERROR, message=message))

    def _rerun_command(self, item: Item) -> str:
        files = [argument for name in self.loaded.files for argument in ("--file", name)]
        return shlex.join(["prodgate", "run", *files, "--only", item.id])

    def _skip_reason(self, item: Item) -> Outcome | None:
        """Return the outcome of an item that must not run; None if it may."""
        if self.ending.event.is_set():
            return self._cut_off(_not_run(Status.ERROR, msg("Not run: the run ended before"), CAUSE_RUN_ENDED))
        for name in item.requires:
            if not self.targets[name].ready:
                return self._target_down(Status.SKIP, self.targets[name])
        for name in item.needs:
            needed = self.results.get(name)
            if needed is None or needed.status is not Status.PASS:
                return _dependency_skip(name, needed)
        return self._drill_skip_reason(item) if item.check.phase == "drill" else None

    def _drill_skip_reason(self, item: Item) -> Outcome | None:
        if item.id in self._unprovable_drills:
            outcome = self._with_cause(item, Outcome(status=Status.ERROR, message=self._unprovable_drills[item.id]))
            return outcome if outcome.cause else outcome.replace(cause=f"{IMPOSSIBLE}{item.id}")
        if self.unrestored:
            message = msg("Not run: an earlier drill could not be put back")
            return _not_run(Status.SKIP, message, self.unrestored.cause or "unrestored")
        return None

    @cached_property
    def _unprovable_drills(self) -> dict[str, Message]:
        """Return the drills that could not prove anything, with the reason, before any fault is injected."""
        assert self.context is not None
        context = self.context.with_deadline(time.monotonic() + DRILL_PRECHECK_TIMEOUT)
        drills = [item for item in self.selected if isinstance(item.check, DrillCheck)]
        reasons = {item.id: why for item in drills if (why := item.check.precheck(context))}
        for name, why in reasons.items():
            self.progress.note(f"{name} will not be run: {why}")
        return reasons

    def _target_down(self, status: Status, running: RunningTarget) -> Outcome:
        message = msg("{target} is not ready: {why}", target=running.name, why=running.failure or "")
        cause = running.root_cause or f"target:{running.name}"
        blamed = self.targets.get(cause.removeprefix("target:"), running)
        return Outcome(
            status=status,
            message=message,
            cause=cause,
            cause_message=message,
            advice=blamed.advice or running.advice,
            evidence=Evidence(response=running.log),
        )

    def _with_cause(self, item: Item, outcome: Outcome) -> Outcome:
        """Return the outcome with its root cause: the end of the run, or a target that is not ready."""
        if outcome.cause == CAUSE_RUN_ENDED:
            return self._cut_off(outcome)
        if outcome.status not in (Status.FAIL, Status.ERROR) or outcome.cause:
            return outcome
        for _, name in iter_target_refs(item):
            if name in self.targets and not self.targets[name].ready:
                down = self._target_down(outcome.status, self.targets[name])
                changes = {"cause": down.cause, "cause_message": down.cause_message, "advice": down.advice}
                return outcome.replace(**changes)
        return outcome

    def _with_log(self, item: Item, outcome: Outcome) -> Outcome:
        """Add the last error in the logs of the targets that an item names, to tell similar causes apart."""
        if outcome.status not in (Status.FAIL, Status.ERROR) or outcome.cause or self.context is None:
            return outcome
        if item.check.phase == "drill":  # what is broken on purpose fills the logs with errors
            return outcome
        ready = [name for name in named_targets(item) if name in self.targets and self.targets[name].ready]
        logs = self.context.stage.tail_logs(ready) if self.context.stage else {}
        message = outcome.message
        for name in ready:
            if line := find_error_line(logs.get(name, "")):
                message = msg("{message} (log of {target}: {line})", message=message, target=name, line=line)
        return outcome.replace(message=message)

    def _cut_off(self, outcome: Outcome) -> Outcome:
        """Return the outcome with the end of the run as its cause, so that all such items share one line."""
        why = ENDED.get(self.ending.how, ENDED["broken"])
        changes = {"cause": f"ended:{self.ending.how}", "cause_message": why.message, "advice": why.advice}
        return outcome.replace(**changes)

    def _with_request(self, item: Item, outcome: Outcome) -> Outcome:
        """Add the request and the command to reproduce it, if the addresses are known."""
        targets = [self.targets.get(name) for _, name in iter_target_refs(item)]
        if self.context is None or not all(target and (target.base_url or target.host) for target in targets):
            return outcome
        context = structs.replace(self.context, rerun_command=self._rerun_command(item))
        request, reproduce = describe_safely(item.check, context)
        evidence = outcome.evidence.replace(request=request, reproduce_command=reproduce)
        return outcome.replace(evidence=evidence)

    def report(self) -> Report:
        """Return the report of the results so far; an item without a result is an ERROR."""
        results = {item.id: self.results.get(item.id) or self._never_ran(item) for item in self.selected}
        return self.builder.report(results, self.targets, self._failed_items())

    def _never_ran(self, item: Item) -> ItemResult:
        outcome = self._cut_off(_not_run(Status.ERROR, msg("Not run: the run ended before"), CAUSE_RUN_ENDED))
        return self.builder.item_result(item, self._with_request(item, outcome))


def _not_run(status: Status, message: Message, cause: str) -> Outcome:
    return Outcome(status=status, message=message, cause=cause, cause_message=message)


def _dependency_skip(name: str, needed: ItemResult | None) -> Outcome:
    if needed is None:
        return _not_run(Status.SKIP, msg("Needs {item}, which was not run", item=name), f"item:{name}")
    message = msg("Needs {item}, which did not pass", item=name)
    outcome = _not_run(Status.SKIP, message, needed.outcome.cause or f"item:{name}")
    if needed.outcome.cause_message:
        return outcome.replace(cause_message=needed.outcome.cause_message)
    return outcome.replace(cause_message=None)
