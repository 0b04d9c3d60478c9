"""Runs a checklist: brings the targets up, asks the items, and makes the report with its verdict."""

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
from gate.checklist.load import Loaded
from gate.checklist.models import Item, WaiverSpec
from gate.checklist.references import named_targets, wanted
from gate.checks.asked import CUT_OFF, ask, described
from gate.checks.base import LOOKING
from gate.checks.world import Memo, World
from gate.evidence import Store, as_bytes
from gate.masked import masked
from gate.messages import Message, say
from gate.model import (
    Artifact,
    Evidence,
    ItemResult,
    Location,
    Outcome,
    Reason,
    Report,
    SectionResult,
    Source,
    Status,
    TargetResult,
    Waiver,
)
from gate.run.ending import Ending
from gate.run.progress import Progress
from gate.run.schedule import Work, run_all
from gate.secrets import Secrets
from gate.staging.logs import error_line
from gate.staging.stage import Stage
from gate.staging.staged import Staged
from gate.verdict import ENDED, IMPOSSIBLE, decide, in_force

_FOREVER = float("inf")
_FINISHING = 8
"""Items that may be asked already, and have their evidence kept while others are asked."""


class Options(Struct, frozen=True):
    """How to run, and which items. `deadline` is in seconds, for the whole run."""

    root: Path
    items: tuple[Item, ...]
    workers: int
    deadline: float | None = None
    language: str | None = None
    source: Source = field(default_factory=Source)
    against: tuple[Reason, ...] = ()
    reservations: tuple[Reason, ...] = ()
    evidence: Store | None = None


class Run(Struct, dict=True):
    """One run of a checklist. `go` may be called once."""

    loaded: Loaded
    options: Options
    secrets: Secrets
    progress: Progress
    ending: Ending
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    def __post_init__(self) -> None:
        self.started = datetime.now(UTC)
        self.checklist = self.loaded.checklist
        self.results: dict[str, ItemResult] = {}
        self.targets: Mapping[str, Staged] = {}
        self.selected = list(self.options.items)
        self.waivers = {spec.item: _waiver(spec) for spec in self.checklist.waivers}
        self.world: World | None = None
        self.positions = {
            item.id: (number, position)
            for number, section in enumerate(self.checklist.sections)
            for position, item in enumerate(section.items)
        }
        self.unrestored: Outcome | None = None
        self.turns = threading.Semaphore(self.options.workers)

    def go(self) -> Report:
        """Runs everything, and always comes back with a report."""
        self.progress.begin(len(self.selected))
        with self.ending.after(self.options.deadline), self._stage() as stage:
            self.targets = stage.up()
            self._tell_targets()
            self.world = self._world(stage)
            work = Work(self._ask, self._tell, self._broken, self.ending.event)
            run_all(self.selected, work, self.options.workers + _FINISHING)
            self._keep_logs(stage)
        self.progress.end()
        return self.report()

    def _keep_logs(self, stage: Stage) -> None:
        """The last words of the targets that an item names which was not as it has to be."""
        blamed = {name for item in self.selected if self._bad(item) for name in _names(item)}
        logs = stage.logs(name for name in self.targets if name in blamed)
        self.targets = {
            name: structs.replace(each, log=logs.get(name, each.log)) for name, each in self.targets.items()
        }

    def _bad(self, item: Item) -> bool:
        result = self.results.get(item.id)
        return result is not None and result.outcome.status in (Status.FAIL, Status.ERROR)

    def _stage(self) -> Stage:
        known = self.checklist.targets
        targets = {name: known[name] for name in wanted(self.selected, known)}
        return Stage(
            targets,
            root=self.options.root,
            run_id=self.run_id,
            secrets=self.secrets,
            cancelled=self.ending.event,
            note=self.progress.note,
        )

    def _world(self, stage: Stage) -> World:
        return World(
            root=self.options.root,
            targets=self.targets,
            secrets=self.secrets,
            deadline=_FOREVER,
            fresh=time.monotonic(),
            cancelled=self.ending.event,
            memo=Memo(),
            results=self.results,
            stage=stage,
            scrape_jobs=self.checklist.scrape_jobs,
            run_id=self.run_id,
            drill_report=self.progress.note,
        )

    def _tell_targets(self) -> None:
        for staged in self.targets.values():
            self.progress.target(masked(self._target_result(staged), self.secrets))

    def _tell(self, result: ItemResult) -> None:
        self.results[result.id] = result
        if result.outcome.cause and result.outcome.cause.startswith("unrestored"):
            self.unrestored = result.outcome
        self.progress.item(result)

    def _ask(self, item: Item, since: float) -> ItemResult:
        """Ask an item, which sees nothing older than `since` (monotonic): by then all that it needs had ended."""
        assert self.world is not None
        outcome = self._not_asked(item)
        if outcome is None:
            store = self.options.evidence
            kept = store.of(item.id) if store else None
            world = structs.replace(self.world, fresh=since, again=self._again(item), evidence=kept)
            outcome = self._with_log(item, self._with_cause(item, ask(item, world, self.turns)))
        else:
            outcome = self._with_question(item, outcome)
        return self._result(item, outcome)

    def _broken(self, item: Item, why: str) -> ItemResult:
        """Return the ERROR of an item whose worker broke."""
        return self._result(
            item, Outcome(status=Status.ERROR, message=say("The check itself broke: {error}", error=why))
        )

    def _again(self, item: Item) -> str:
        files = [word for name in self.loaded.files for word in ("--file", name)]
        return shlex.join(["prodgate", "run", *files, "--only", item.id])

    def _not_asked(self, item: Item) -> Outcome | None:
        """Why an item is not asked at all, if it is not."""
        if self.ending.event.is_set():
            return self._cut_off(_unasked(Status.ERROR, say("Not run: the run ended before"), CUT_OFF))
        for name in item.requires:
            if not self.targets[name].ready:
                return self._target_down(Status.SKIP, self.targets[name])
        for name in item.needs:
            needed = self.results.get(name)
            if needed is None or needed.status is not Status.PASS:
                return _needs(name, needed)
        return self._not_drilled(item) if item.check.phase == "drill" else None

    def _not_drilled(self, item: Item) -> Outcome | None:
        if item.id in self._hopeless:
            found = Outcome(status=Status.ERROR, message=self._hopeless[item.id])
            known = self._with_cause(item, found)
            return known if known.cause else found.but(cause=f"{IMPOSSIBLE}{item.id}")
        if self.unrestored:
            message = say("Not run: an earlier drill could not be put back")
            return _unasked(Status.SKIP, message, self.unrestored.cause or "unrestored")
        return None

    @cached_property
    def _hopeless(self) -> dict[str, Message]:
        """The drills that could prove nothing, found and said before the first of them breaks anything."""
        assert self.world is not None
        world = self.world.until(time.monotonic() + LOOKING)
        drills = [item for item in self.selected if item.check.phase == "drill"]
        found = {item.id: why for item in drills if (why := item.check.hopeless(world))}
        for name, why in found.items():
            self.progress.note(f"{name} will not be run: {why}")
        return found

    def _target_down(self, status: Status, staged: Staged) -> Outcome:
        message = say("{target} is not ready: {why}", target=staged.name, why=staged.why_not or "")
        cause = staged.cause or f"target:{staged.name}"
        blamed = self.targets.get(cause.removeprefix("target:"), staged)
        return Outcome(
            status=status,
            message=message,
            cause=cause,
            cause_message=message,
            advice=blamed.advice or staged.advice,
            evidence=Evidence(answer=staged.log),
        )

    def _with_cause(self, item: Item, outcome: Outcome) -> Outcome:
        """An outcome that has the run's end, or a target that never came up, behind it belongs to that root cause."""
        if outcome.cause == CUT_OFF:
            return self._cut_off(outcome)
        if outcome.status not in (Status.FAIL, Status.ERROR) or outcome.cause:
            return outcome
        for _, name in named_targets(item):
            if name in self.targets and not self.targets[name].ready:
                down = self._target_down(outcome.status, self.targets[name])
                changes = {"cause": down.cause, "cause_message": down.cause_message, "advice": down.advice}
                return outcome.but(**changes)
        return outcome

    def _with_log(self, item: Item, outcome: Outcome) -> Outcome:
        """Add the last error in the logs of the targets that an item names: it tells apart causes that look alike."""
        if outcome.status not in (Status.FAIL, Status.ERROR) or outcome.cause or self.world is None:
            return outcome
        if item.check.phase == "drill":  # what is broken on purpose fills the logs with errors
            return outcome
        ready = [name for name in _names(item) if name in self.targets and self.targets[name].ready]
        logs = self.world.stage.logs(ready) if self.world.stage else {}
        message = outcome.message
        for name in ready:
            if line := error_line(logs.get(name, "")):
                message = say("{message} (log of {target}: {line})", message=message, target=name, line=line)
        return outcome.but(message=message)

    def _cut_off(self, outcome: Outcome) -> Outcome:
        """One line for all that the end of the run has cut off, begun or not."""
        why = ENDED.get(self.ending.how, ENDED["broken"])
        changes = {"cause": f"ended:{self.ending.how}", "cause_message": why.message, "advice": why.advice}
        return outcome.but(**changes)

    def _with_question(self, item: Item, outcome: Outcome) -> Outcome:
        """With what would have been asked, and how to ask it by hand, where the addresses are known."""
        targets = [self.targets.get(name) for _, name in named_targets(item)]
        if self.world is None or not all(target and (target.base_url or target.host) for target in targets):
            return outcome
        asked, reproduce = described(item.check, structs.replace(self.world, again=self._again(item)))
        evidence = outcome.evidence.but(asked=asked, reproduce=reproduce)
        return outcome.but(evidence=evidence)

    def _result(self, item: Item, outcome: Outcome) -> ItemResult:
        waiver = self.waivers.get(item.id)
        result = ItemResult(
            id=item.id,
            title=item.title,
            severity=item.severity,
            check=item.kind,
            outcome=outcome,
            waiver=waiver if waiver and in_force(waiver, self.started.date()) else None,
            within=item.within,
            needs=tuple(item.needs),
            requires=tuple(item.requires),
            location=self._location(item),
        )
        return masked(result, self.secrets)

    def _location(self, item: Item) -> Location | None:
        number, position = self.positions[item.id]
        place = self.loaded.place_of(number, position)
        return Location(file=place.file, line=place.line, column=place.column) if place else None

    def report(self) -> Report:
        """The report of what has been found so far; what has no outcome is an error.

        Its sections have no secrets in them; what else it says from outside is yet to be masked.
        """
        artifacts, targets = self._checklists(), tuple(self._target(staged) for staged in self.targets.values())
        sections = self._sections({target.name: target.artifacts for target in targets})
        waivers, left_out = tuple(self.waivers.values()), self._left_out()
        verdict = decide(
            sections,
            waivers=waivers,
            today=self.started.date(),
            ended=self.ending.how,
            against=self.options.against,
            reservations=(*self.options.reservations, *self._unkept()),
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
            left_out=left_out,
            sections_left_out=self._sections_left_out(),
            waivers=waivers,
            verdict=verdict,
            notes=_about(self.options.source),
        )

    def _checklists(self) -> tuple[Artifact, ...]:
        """The files of the checklist as evidence of what was asked."""
        if self.options.evidence is None:
            return ()
        keeper = self.options.evidence.of("checklist")
        files = (self.options.root / name for name in self.loaded.files)
        kept = [keeper.keep(path.name, path.read_bytes()) for path in files if path.is_file()]
        return tuple(artifact for artifact in kept if artifact)

    def _target_result(self, staged: Staged) -> TargetResult:
        target = self.checklist.targets[staged.name]
        asked = say("ready") if target.ready else say("taken as it is: the checklist does not say when it is ready")
        ports = ", ".join(f"{staged.host}:{port}" for port in staged.ports)
        return TargetResult(
            name=staged.name,
            address=(staged.base_url if target.url else ports) or staged.base_url or staged.host,
            kind=staged.kind,
            ready=staged.ready,
            message=staged.why_not or asked,
            duration=round(staged.duration, 4),
            log=staged.log,
        )

    def _target(self, staged: Staged) -> TargetResult:
        made = self._target_result(staged)
        if self.options.evidence is None:
            return made
        kept = self.options.evidence.of(f"target.{staged.name}").keep("log", as_bytes(staged.log))
        return made.but(artifacts=(kept,) if kept else ())

    def _unkept(self) -> tuple[Reason, ...]:
        """A reservation where raw evidence is missing from the folder."""
        problem = self.options.evidence.problem if self.options.evidence else None
        return (Reason(message=problem),) if problem else ()

    def _sections(self, logs: Mapping[str, tuple[Artifact, ...]]) -> tuple[SectionResult, ...]:
        chosen = {item.id for item in self.selected}
        made = []
        for section in self.checklist.sections:
            items = tuple(self._found(item, logs) for item in section.items if item.id in chosen)
            if items:
                head = masked(SectionResult(id=section.id, title=section.title, items=()), self.secrets)
                made.append(head.but(items=items))
        return tuple(made)

    def _left_out(self) -> tuple[str, ...]:
        chosen = {item.id for item in self.selected}
        return tuple(item.id for item in self.checklist.items if item.id not in chosen)

    def _sections_left_out(self) -> tuple[str, ...]:
        chosen = {item.id for item in self.selected}
        sections = self.checklist.sections
        return tuple(section.id for section in sections if all(item.id not in chosen for item in section.items))

    def _found(self, item: Item, logs: Mapping[str, tuple[Artifact, ...]]) -> ItemResult:
        """What became of an item, with the logs of its targets where it was not as it has to be."""
        found = self.results.get(item.id) or self._never_asked(item)
        if not self._bad(item):
            return found
        more = tuple(artifact for name in _names(item) for artifact in logs.get(name, ()))
        evidence = found.outcome.evidence
        shown = evidence.but(artifacts=(*evidence.artifacts, *more))
        return found.but(outcome=found.outcome.but(evidence=shown))

    def _never_asked(self, item: Item) -> ItemResult:
        unasked = self._cut_off(_unasked(Status.ERROR, say("Not run: the run ended before"), CUT_OFF))
        return self._result(item, self._with_question(item, unasked))


def _names(item: Item) -> list[str]:
    """The targets that an item requires or talks to, each once."""
    return list(dict.fromkeys([*item.requires, *(name for _, name in named_targets(item))]))


def _about(source: Source) -> tuple[Message, ...]:
    """What people should know of what was judged."""
    if not source.changed:
        return ()
    first, count = source.changed[0], len(source.changed)
    if count == 1:
        return (say("This speaks of a checkout that is not the commit: {file} was changed", file=first),)
    return (say("This speaks of a checkout that is not the commit: {file} and {count} more files were changed",
                file=first, count=count - 1),)  # fmt: skip


def _unasked(status: Status, message: Message, cause: str) -> Outcome:
    return Outcome(status=status, message=message, cause=cause, cause_message=message)


def _needs(name: str, needed: ItemResult | None) -> Outcome:
    if needed is None:
        return _unasked(Status.SKIP, say("Needs {item}, which was not run", item=name), f"item:{name}")
    message = say("Needs {item}, which did not pass", item=name)
    outcome = _unasked(Status.SKIP, message, needed.outcome.cause or f"item:{name}")
    if needed.outcome.cause_message:
        return outcome.but(cause_message=needed.outcome.cause_message)
    return outcome.but(cause_message=None)


def _waiver(spec: WaiverSpec) -> Waiver:
    return Waiver(**structs.asdict(spec))
