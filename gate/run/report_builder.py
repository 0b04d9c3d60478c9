"""Build the report of a run from the results of its items and the state of its targets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from msgspec import Struct, structs

import gate
from gate.checklist.cross_references import iter_target_refs
from gate.checklist.load import LoadedChecklist
from gate.checklist.models import Item, WaiverSpec
from gate.core.messages import Message, msg
from gate.model import (
    Artifact,
    ItemResult,
    Location,
    Outcome,
    Provenance,
    Report,
    SectionResult,
    TargetResult,
    VerdictReason,
    Waiver,
)
from gate.redaction.secrets import Redactor
from gate.redaction.structs import redact_struct
from gate.run.cancellation import CancellationToken
from gate.run.options import RunOptions
from gate.runtime.evidence import as_bytes
from gate.staging.target import RunningTarget
from gate.verdict import decide, is_active


class ReportBuilder(Struct, dict=True):
    """Builds redacted results of items and targets, and the report that contains them."""

    loaded: LoadedChecklist
    options: RunOptions
    secrets: Redactor
    ending: CancellationToken

    def __post_init__(self) -> None:
        self.started = datetime.now(UTC)
        self.checklist = self.loaded.checklist
        self.selected = {item.id for item in self.options.items}
        self.waivers = {spec.item: _waiver(spec) for spec in self.checklist.waivers}
        self.positions = {
            item.id: (number, position)
            for number, section in enumerate(self.checklist.sections)
            for position, item in enumerate(section.items)
        }

    def item_result(self, item: Item, outcome: Outcome) -> ItemResult:
        """Return the redacted result of an item."""
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
        source = self.loaded.place_of(number, position)
        return Location(file=source.file, line=source.line, column=source.column) if source else None

    def target_result(self, running: RunningTarget) -> TargetResult:
        """Return the result of a target. It is not redacted."""
        target = self.checklist.targets[running.name]
        message = (
            msg("ready") if target.readiness else msg("taken as it is: the checklist does not say when it is ready")
        )
        ports = ", ".join(f"{running.host}:{port}" for port in running.ports)
        return TargetResult(
            name=running.name,
            address=(running.base_url if target.url else ports) or running.base_url or running.host,
            kind=running.kind,
            ready=running.ready,
            message=running.failure or message,
            duration=round(running.duration, 4),
            log=running.log,
        )

    def report(
        self, results: Mapping[str, ItemResult], targets: Mapping[str, RunningTarget], failed: set[str]
    ) -> Report:
        """Return the report. `results` has every selected item; those in `failed` get the logs of their targets.

        Its sections are redacted; the rest is not yet.
        """
        artifacts = self._checklist_artifacts()
        target_results = tuple(self._with_log_artifact(running) for running in targets.values())
        sections = self._sections(results, {target.name: target.artifacts for target in target_results}, failed)
        waivers = tuple(self.waivers.values())
        unselected = tuple(item.id for item in self.checklist.items if item.id not in self.selected)
        verdict = decide(
            sections,
            waivers=waivers,
            today=self.started.date(),
            ended=self.ending.how,
            blockers=self.options.blockers,
            reservations=(*self.options.reservations, *self._missing_evidence()),
            left_out=unselected,
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
            targets=target_results,
            sections=sections,
            unselected_items=unselected,
            sections_left_out=self._unselected_sections(),
            waivers=waivers,
            verdict=verdict,
            notes=_provenance_notes(self.options.source),
        )

    def _checklist_artifacts(self) -> tuple[Artifact, ...]:
        """Save the checklist files as evidence and return the artifacts."""
        if self.options.evidence is None:
            return ()
        store = self.options.evidence.for_owner("checklist")
        paths = (self.options.root / name for name in self.loaded.files)
        artifacts = [store.save(path.name, path.read_bytes()) for path in paths if path.is_file()]
        return tuple(artifact for artifact in artifacts if artifact)

    def _with_log_artifact(self, running: RunningTarget) -> TargetResult:
        """Return the result of a target, with its log saved as evidence."""
        result = self.target_result(running)
        if self.options.evidence is None:
            return result
        artifact = self.options.evidence.for_owner(f"target.{running.name}").save("log", as_bytes(running.log))
        return result.replace(artifacts=(artifact,) if artifact else ())

    def _missing_evidence(self) -> tuple[VerdictReason, ...]:
        """Return a reservation if evidence could not be written."""
        problem = self.options.evidence.problem if self.options.evidence else None
        return (VerdictReason(message=problem),) if problem else ()

    def _sections(
        self, results: Mapping[str, ItemResult], logs: Mapping[str, tuple[Artifact, ...]], failed: set[str]
    ) -> tuple[SectionResult, ...]:
        section_results = []
        for section in self.checklist.sections:
            items = tuple(
                _with_logs(item, results[item.id], logs) if item.id in failed else results[item.id]
                for item in section.items
                if item.id in self.selected
            )
            if items:
                head = redact_struct(SectionResult(id=section.id, title=section.title, items=()), self.secrets)
                section_results.append(head.replace(items=items))
        return tuple(section_results)

    def _unselected_sections(self) -> tuple[str, ...]:
        """Return the sections of which no item is selected."""
        sections = self.checklist.sections
        return tuple(section.id for section in sections if all(item.id not in self.selected for item in section.items))


def named_targets(item: Item) -> list[str]:
    """Return the targets that an item requires or uses, each once."""
    return list(dict.fromkeys([*item.requires, *(name for _, name in iter_target_refs(item))]))


def _with_logs(item: Item, result: ItemResult, logs: Mapping[str, tuple[Artifact, ...]]) -> ItemResult:
    """Return the result of an item with the logs of its targets as evidence."""
    artifacts = tuple(artifact for name in named_targets(item) for artifact in logs.get(name, ()))
    evidence = result.outcome.evidence
    evidence = evidence.replace(artifacts=(*evidence.artifacts, *artifacts))
    return result.replace(outcome=result.outcome.replace(evidence=evidence))


def _provenance_notes(source: Provenance) -> tuple[Message, ...]:
    """Return notes about the checkout, such as uncommitted changes."""
    if not source.changed:
        return ()
    first, count = source.changed[0], len(source.changed)
    if count == 1:
        return (msg("This speaks of a checkout that is not the commit: {file} was changed", file=first),)
    return (msg("This speaks of a checkout that is not the commit: {file} and {count} more files were changed",
                file=first, count=count - 1),)  # fmt: skip


def _waiver(spec: WaiverSpec) -> Waiver:
    return Waiver(**structs.asdict(spec))
