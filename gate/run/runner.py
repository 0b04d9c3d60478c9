"""Run a checklist: start the targets, run the items, and build the report with its verdict."""

from __future__ import annotations

import shlex
import threading
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from msgspec import Struct, field, structs

import gate
from gate.checklist.cross_references import iter_target_refs, required_targets
from gate.checklist.load import LoadedChecklist
from gate.checklist.models import Item, WaiverSpec
from gate.checks.attempts import CAUSE_RUN_ENDED, describe_safely, run_check
from gate.checks.context import CheckContext, SingleFlightCache
from gate.core.messages import Message, msg
from gate.drills.protocol import DRILL_PRECHECK_TIMEOUT, DrillCheck
from gate.model import (
    Artifact,
    Evidence,
    ItemResult,
    Location,
    Outcome,
    Provenance,
    Report,
    SectionResult,
    Status,
    TargetResult,
    VerdictReason,
    Waiver,
)
from gate.redaction.secrets import Redactor
from gate.redaction.structs import redact_struct
from gate.run.cancellation import CancellationToken
from gate.run.progress import Progress
from gate.run.scheduler import Work, run_items
from gate.runtime.evidence import EvidenceStore, as_bytes
from gate.staging.environment import StagingEnvironment
from gate.staging.logs import find_error_line
from gate.staging.target import RunningTarget
from gate.verdict import ENDED, IMPOSSIBLE, decide, is_active

NO_DEADLINE = float("inf")
# Maximum number of finished items whose evidence is still being saved while others run.
EVIDENCE_BACKLOG = 8


class RunOptions(Struct, frozen=True):
    """The options of a run. `deadline` is in seconds, for the whole run."""

    root: Path
    items: tuple[Item, ...]
    workers: int
    deadline: float | None = None
    language: str | None = None
    source: Provenance = field(default_factory=Provenance)
    blockers: tuple[VerdictReason, ...] = ()
    reservations: tuple[VerdictReason, ...] = ()
    evidence: EvidenceStore | None = None


class Runner(Struct, dict=True):
    """One run of a checklist. Call `run` once."""

    loaded: LoadedChecklist
    options: RunOptions
    secrets: Redactor
    progress: Progress
    ending: CancellationToken
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    def __post_init__(self) -> None:
        self.started = datetime.now(UTC)
        self.checklist = self.loaded.checklist
        self.results: dict[str, ItemResult] = {}
        self.targets: Mapping[str, RunningTarget] = {}
        self.selected = list(self.options.items)
        self.waivers = {spec.item: _waiver(spec) for spec in self.checklist.waivers}
        self.context: CheckContext | None = None
        self.positions = {
            item.id: (number, position)
            for number, section in enumerate(self.checklist.sections)
            for position, item in enumerate(section.items)
        }
        self.unrestored: Outcome | None = None
        self.turns = threading.Semaphore(self.options.workers)

    def run(self) -> Report:
        """Run everything and return the report, whatever happens."""
        self.progress.begin(len(self.selected))
        with self.ending.cancel_after(self.options.deadline), self._stage() as stage:
            self.targets = stage.start()
            self._report_targets()
            self.context = self._world(stage)
            work = Work(self._run_item, self._record, self._broken, self.ending.event)
            run_items(self.selected, work, self.options.workers + EVIDENCE_BACKLOG)
            self._attach_logs(stage)
        self.progress.end()
        return self.report()

    def _attach_logs(self, stage: StagingEnvironment) -> None:
        """Attach the log tail to each target that a failed item names."""
        blamed = {name for item in self.selected if self._failed(item) for name in _names(item)}
        logs = stage.tail_logs(name for name in self.targets if name in blamed)
        self.targets = {
            name: structs.replace(each, log=logs.get(name, each.log)) for name, each in self.targets.items()
        }

    def _failed(self, item: Item) -> bool:
        result = self.results.get(item.id)
        return result is not None and result.outcome.status in (Status.FAIL, Status.ERROR)

    def _stage(self) -> StagingEnvironment:
        known = self.checklist.targets
        targets = {name: known[name] for name in required_targets(self.selected, known)}
        return StagingEnvironment(
            targets,
            root=self.options.root,
            run_id=self.run_id,
            secrets=self.secrets,
            cancelled=self.ending.event,
            log_progress=self.progress.note,
        )

    def _world(self, stage: StagingEnvironment) -> CheckContext:
        return CheckContext(
            root=self.options.root,
            targets=self.targets,
            secrets=self.secrets,
            deadline=NO_DEADLINE,
            fresh_after=time.monotonic(),
            cancelled=self.ending.event,
            memo=SingleFlightCache(),
            results=self.results,
            stage=stage,
            scrape_jobs=self.checklist.scrape_jobs,
            run_id=self.run_id,
            log_progress=self.progress.note,
        )

    def _report_targets(self) -> None:
        for running in self.targets.values():
            self.progress.target(redact_struct(self._target_result(running), self.secrets))

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
            kept = store.for_owner(item.id) if store else None
            context = structs.replace(
                self.context, fresh_after=since, rerun_command=self._rerun_command(item), evidence=kept
            )
            outcome = self._with_log(item, self._with_cause(item, run_check(item, context, self.turns)))
        else:
            outcome = self._with_question(item, outcome)
        return self._result(item, outcome)

    def _broken(self, item: Item, why: str) -> ItemResult:
        """Return an ERROR result for an item whose worker crashed."""
        return self._result(
            item, Outcome(status=Status.ERROR, message=msg("Internal error in the check: {error}", error=why))
        )

    def _rerun_command(self, item: Item) -> str:
        files = [word for name in self.loaded.files for word in ("--file", name)]
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
            found = Outcome(status=Status.ERROR, message=self._unprovable_drills[item.id])
            known = self._with_cause(item, found)
            return known if known.cause else found.replace(cause=f"{IMPOSSIBLE}{item.id}")
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
        found = {item.id: why for item in drills if (why := item.check.precheck(context))}
        for name, why in found.items():
            self.progress.note(f"{name} will not be run: {why}")
        return found

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
        ready = [name for name in _names(item) if name in self.targets and self.targets[name].ready]
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

    def _with_question(self, item: Item, outcome: Outcome) -> Outcome:
        """Add the request and the command to reproduce it, if the addresses are known."""
        targets = [self.targets.get(name) for _, name in iter_target_refs(item)]
        if self.context is None or not all(target and (target.base_url or target.host) for target in targets):
            return outcome
        asked, reproduce = describe_safely(
            item.check, structs.replace(self.context, rerun_command=self._rerun_command(item))
        )
        evidence = outcome.evidence.replace(request=asked, reproduce_command=reproduce)
        return outcome.replace(evidence=evidence)

    def _result(self, item: Item, outcome: Outcome) -> ItemResult:
        waiver = self.waivers.get(item.id)
        result = ItemResult(
            id=item.id,
            title=item.title,
            severity=item.severity,
            check=item.kind,
            outcome=outcome,
            waiver=waiver if waiver and is_active(waiver, self.started.date()) else None,
            within=item.within,
            needs=tuple(item.needs),
            requires=tuple(item.requires),
            location=self._location(item),
        )
        return redact_struct(result, self.secrets)

    def _location(self, item: Item) -> Location | None:
        number, position = self.positions[item.id]
        place = self.loaded.place_of(number, position)
        return Location(file=place.file, line=place.line, column=place.column) if place else None

    def report(self) -> Report:
        """Return the report of the results so far; an item without a result is an ERROR.

        Its sections are redacted; the rest is not yet.
        """
        artifacts, targets = self._checklists(), tuple(self._target(running) for running in self.targets.values())
        sections = self._sections({target.name: target.artifacts for target in targets})
        waivers, left_out = tuple(self.waivers.values()), self._left_out()
        verdict = decide(
            sections,
            waivers=waivers,
            today=self.started.date(),
            ended=self.ending.how,
            blockers=self.options.blockers,
            reservations=(*self.options.reservations, *self._missing_evidence()),
            left_out=left_out,
        )
        return Report(
            gate=gate.__version__,
            service=self.checklist.service,
            environment=self.checklist.environment,
            language=self.options.language or self.checklist.language,
            started=self.started,
            finished=datetime.now(UTC),
            ended=self.ending.how,
            source=self.options.source,
            files=self.loaded.files,
            artifacts=artifacts,
            targets=targets,
            sections=sections,
            unselected_items=left_out,
            sections_left_out=self._sections_left_out(),
            waivers=waivers,
            verdict=verdict,
            notes=_provenance_notes(self.options.source),
        )

    def _checklists(self) -> tuple[Artifact, ...]:
        """Save the checklist files as evidence and return the artifacts."""
        if self.options.evidence is None:
            return ()
        keeper = self.options.evidence.for_owner("checklist")
        files = (self.options.root / name for name in self.loaded.files)
        kept = [keeper.save(path.name, path.read_bytes()) for path in files if path.is_file()]
        return tuple(artifact for artifact in kept if artifact)

    def _target_result(self, running: RunningTarget) -> TargetResult:
        target = self.checklist.targets[running.name]
        asked = msg("ready") if target.ready else msg("taken as it is: the checklist does not say when it is ready")
        ports = ", ".join(f"{running.host}:{port}" for port in running.ports)
        return TargetResult(
            name=running.name,
            address=(running.base_url if target.url else ports) or running.base_url or running.host,
            kind=running.kind,
            ready=running.ready,
            message=running.failure or asked,
            duration=round(running.duration, 4),
            log=running.log,
        )

    def _target(self, running: RunningTarget) -> TargetResult:
        made = self._target_result(running)
        if self.options.evidence is None:
            return made
        kept = self.options.evidence.for_owner(f"target.{running.name}").save("log", as_bytes(running.log))
        return made.replace(artifacts=(kept,) if kept else ())

    def _missing_evidence(self) -> tuple[VerdictReason, ...]:
        """Return a reservation if evidence could not be written."""
        problem = self.options.evidence.problem if self.options.evidence else None
        return (VerdictReason(message=problem),) if problem else ()

    def _sections(self, logs: Mapping[str, tuple[Artifact, ...]]) -> tuple[SectionResult, ...]:
        chosen = {item.id for item in self.selected}
        made = []
        for section in self.checklist.sections:
            items = tuple(self._result_with_logs(item, logs) for item in section.items if item.id in chosen)
            if items:
                head = redact_struct(SectionResult(id=section.id, title=section.title, items=()), self.secrets)
                made.append(head.replace(items=items))
        return tuple(made)

    def _left_out(self) -> tuple[str, ...]:
        chosen = {item.id for item in self.selected}
        return tuple(item.id for item in self.checklist.items if item.id not in chosen)

    def _sections_left_out(self) -> tuple[str, ...]:
        chosen = {item.id for item in self.selected}
        sections = self.checklist.sections
        return tuple(section.id for section in sections if all(item.id not in chosen for item in section.items))

    def _result_with_logs(self, item: Item, logs: Mapping[str, tuple[Artifact, ...]]) -> ItemResult:
        """Return the result of an item, with the logs of its targets if it failed."""
        found = self.results.get(item.id) or self._never_ran(item)
        if not self._failed(item):
            return found
        more = tuple(artifact for name in _names(item) for artifact in logs.get(name, ()))
        evidence = found.outcome.evidence
        shown = evidence.replace(artifacts=(*evidence.artifacts, *more))
        return found.replace(outcome=found.outcome.replace(evidence=shown))

    def _never_ran(self, item: Item) -> ItemResult:
        unasked = self._cut_off(_not_run(Status.ERROR, msg("Not run: the run ended before"), CAUSE_RUN_ENDED))
        return self._result(item, self._with_question(item, unasked))


def _names(item: Item) -> list[str]:
    """Return the targets that an item requires or uses, each once."""
    return list(dict.fromkeys([*item.requires, *(name for _, name in iter_target_refs(item))]))


def _provenance_notes(source: Provenance) -> tuple[Message, ...]:
    """Return notes about the checkout, such as uncommitted changes."""
    if not source.changed:
        return ()
    first, count = source.changed[0], len(source.changed)
    if count == 1:
        return (msg("This speaks of a checkout that is not the commit: {file} was changed", file=first),)
    return (msg("This speaks of a checkout that is not the commit: {file} and {count} more files were changed",
                file=first, count=count - 1),)  # fmt: skip


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


def _waiver(spec: WaiverSpec) -> Waiver:
    return Waiver(**structs.asdict(spec))
