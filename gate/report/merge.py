"""Merge the reports of a matrix's jobs into one report with one verdict."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import TypeVar

import gate
from gate.core.errors import GateError
from gate.core.messages import msg
from gate.model import Decision, ItemResult, Provenance, Report, SectionResult, Verdict, VerdictReason, Waiver
from gate.verdict import decide, is_active, partial_run_reservation

# How a run can end, worst first.
_ENDINGS = ("broken", "cancelled", "deadline", "complete")

Entry = TypeVar("Entry")


class UnmergeableReportsError(GateError):
    """The reports are not parts of one run, such as reports of different commits, or there is no report."""


def merge_reports(reports: Mapping[str, Report], expected: Sequence[str], today: date) -> Report:
    """Return the report of all parts, given by name. An expected part that is missing is a NO-GO.

    Raise UnmergeableReportsError if the reports are not parts of one run, or an expected part ran other sections.
    """
    parts = {name: reports[name] for name in sorted(reports)}
    if not parts:
        raise UnmergeableReportsError(msg("no report to merge; expected at least one"))
    _check_commits(parts)
    _check_checklists(parts)
    _check_expected_parts(parts, [name for name in dict.fromkeys(expected) if name in parts])
    several = len({report.service for report in parts.values()}) > 1
    sections = _join_sections(
        [section for name, part in parts.items() for section in _sections(name, part, several, today)]
    )
    waivers = list(dict.fromkeys(waiver for name, part in parts.items() for waiver in _waivers(name, part, several)))
    missing = [name for name in dict.fromkeys(expected) if name not in parts]
    unselected = _unselected_items(parts, several)
    ended = min((report.ended for report in parts.values()), key=_ENDINGS.index)
    first = next(iter(parts.values()))
    verdict = decide(
        sections,
        waivers=waivers,
        today=today,
        ended=ended,
        blockers=[*map(_missing_part_reason, missing), *_other_blockers(parts)],
        reservations=_carried_reservations(parts),
        left_out=unselected,
    )
    return first.replace(
        service=", ".join(dict.fromkeys(report.service for report in parts.values())),
        environment=", ".join(dict.fromkeys(report.environment for report in parts.values())),
        started=min(report.started for report in parts.values()),
        finished=max(report.finished for report in parts.values()),
        ended=ended,
        files=_deduplicate(report.files for report in parts.values()),
        targets=tuple(target for report in parts.values() for target in report.targets),
        sections=tuple(sections),
        unselected_items=tuple(unselected),
        sections_left_out=() if several else tuple(_sections_left_out(parts)),
        waivers=tuple(waivers),
        verdict=verdict,
        changes=None,
        source=first.source.replace(changed=_deduplicate(report.source.changed for report in parts.values())),
        notes=_deduplicate(report.notes for report in parts.values()),
    )


def empty_merge(expected: Sequence[str], source: Provenance, now: datetime) -> Report:
    """Return the report for a run in which no expected part left one: a NO-GO with a reason for each part."""
    return Report(
        gate=gate.__version__,
        service=", ".join(dict.fromkeys(expected)),
        environment="",
        started=now,
        finished=now,
        source=source,
        verdict=Verdict(decision=Decision.NO_GO, reasons=tuple(map(_missing_part_reason, dict.fromkeys(expected)))),
    )


def _deduplicate(parts: Iterable[tuple[Entry, ...]]) -> tuple[Entry, ...]:
    """Return the entries of all parts, only the last of those with equal text."""
    return tuple({str(entry): entry for part in parts for entry in part}.values())


def _check_commits(parts: Mapping[str, Report]) -> None:
    """Raise UnmergeableReportsError if the parts are of different commits."""
    by_commit: dict[str, list[str]] = {}
    for name, report in parts.items():
        by_commit.setdefault(report.source.commit, []).append(name)
    if len(by_commit) > 1:
        commits = "; ".join(f"{commit or 'no commit'}: {', '.join(names)}" for commit, names in by_commit.items())
        raise UnmergeableReportsError(msg("reports of different commits, expected one: {commits}", commits=commits))


def _check_checklists(parts: Mapping[str, Report]) -> None:
    """Raise UnmergeableReportsError if two parts of one service ran different checklists."""
    for service in dict.fromkeys(report.service for report in parts.values()):
        own_parts = {name: report for name, report in parts.items() if report.service == service}
        files = {report.files: name for name, report in reversed(own_parts.items()) if report.files}
        if len(files) > 1:
            checklists = "; ".join(f"{name}: {', '.join(paths)}" for paths, name in files.items())
            raise UnmergeableReportsError(
                msg(
                    "{service}: reports of different checklists, expected one: {checklists}",
                    service=service,
                    checklists=checklists,
                )
            )
        if not any(report.unselected_items for report in own_parts.values()):
            continue
        items = {
            name: {*(item.id for item in report.items), *report.unselected_items} for name, report in own_parts.items()
        }
        first, *others = items
        if second := next((name for name in others if items[name] != items[first]), None):
            raise UnmergeableReportsError(
                msg(
                    "{service}: reports of different checklists: only one of {first} and {second} has the item {item}",
                    service=service,
                    first=first,
                    second=second,
                    item=min(items[first] ^ items[second]),
                )
            )


def _check_expected_parts(parts: Mapping[str, Report], expected: Sequence[str]) -> None:
    """Raise UnmergeableReportsError if an expected part has the right name only: another service, or other sections."""
    by_files: dict[tuple[str, ...], dict[str, str]] = {}
    for name in expected:
        report = parts[name]
        by_files.setdefault(report.files, {})[report.service] = name
        if section := _section_not_run(name, parts, report):
            raise UnmergeableReportsError(
                msg("{part}: the report did not run the section {section}", part=name, section=section)
            )
    for files, services in by_files.items():
        named_after_service = all(service in name for service, name in services.items())
        if files and len(services) > 1 and not named_after_service:
            pairs = ", ".join(f"{name}: {service}" for service, name in services.items())
            raise UnmergeableReportsError(
                msg("expected parts of different services: {parts}; name each part after its service", parts=pairs)
            )


def _section_not_run(name: str, parts: Mapping[str, Report], report: Report) -> str:
    """Return the section that a part is named after (`drills`, `part-drills`) but did not run; "" if there is none."""
    sections_run = {section.id for section in report.sections if section.items}
    section_ids = {
        section_id
        for part in parts.values()
        if part.service == report.service
        for section_id in (*(section.id for section in part.sections), *part.sections_left_out)
    }
    endings = [section for section in section_ids if re.search(rf"(?:^|[-_./ ]){re.escape(section)}$", name)]
    longest = max(endings, key=len, default="")
    return "" if longest in sections_run else longest


def _sections_left_out(parts: Mapping[str, Report]) -> list[str]:
    """Return the sections that no part ran."""
    sections_run = {section.id for report in parts.values() for section in report.sections}
    left_out = dict.fromkeys(section for report in parts.values() for section in report.sections_left_out)
    return [section for section in left_out if section not in sections_run]


def _missing_part_reason(name: str) -> VerdictReason:
    message = msg("{part}: the report is missing", part=name)
    return VerdictReason(message=message, advice=msg("Find out why the job of {part} left no report", part=name))


def _other_blockers(parts: Mapping[str, Report]) -> list[VerdictReason]:
    """Return the reasons of the parts that are not about items, such as an empty section."""
    reasons = []
    for name, report in parts.items():
        # The first reason of a run that ended early says so; the merged verdict has that reason already.
        for reason in report.verdict.reasons[0 if report.ended == "complete" else 1 :]:
            if not reason.items:
                message = msg("{part}: {message}", part=name, message=reason.message)
                reasons.append(reason.replace(message=message))
    return reasons


def _carried_reservations(parts: Mapping[str, Report]) -> list[VerdictReason]:
    """Return the distinct reservations of the parts that the merged verdict would lack.

    It finds those of items, and the one of a partial run, itself.
    """
    carried: list[VerdictReason] = []
    for report in parts.values():
        partial_run = partial_run_reservation(len(report.items), report.unselected_items)
        for reason in report.verdict.reservations:
            if not reason.items and reason not in partial_run and reason not in carried:
                carried.append(reason)
    return carried


def _unselected_items(parts: Mapping[str, Report], several: bool) -> list[str]:
    """Return the items of each service's checklist that no part selected."""
    items_run = {(report.service, item.id) for report in parts.values() for item in report.items}
    unselected = [(name, report.service, item) for name, report in parts.items() for item in report.unselected_items]
    first_parts = {
        (service, item): name for name, service, item in reversed(unselected) if (service, item) not in items_run
    }
    return [f"{name}/{item}" if several else item for (_, item), name in first_parts.items()]


def _sections(name: str, report: Report, several: bool, today: date) -> list[SectionResult]:
    if not several:
        return [_without_expired_waivers(section, today) for section in report.sections]
    return [
        section.replace(
            id=f"{name}/{section.id}",
            title=f"{report.service}: {section.title}",
            items=tuple(item.replace(id=f"{name}/{item.id}") for item in section.items),
        )
        for section in (_without_expired_waivers(section, today) for section in report.sections)
    ]


def _join_sections(sections: list[SectionResult]) -> list[SectionResult]:
    """Join sections with the same id, which parts may share. Raise UnmergeableReportsError for duplicate items."""
    joined: dict[str, SectionResult] = {}
    for section in sections:
        earlier = joined.get(section.id)
        items = (*earlier.items, *section.items) if earlier else section.items
        joined[section.id] = section.replace(items=items)
    counts = Counter(item.id for section in joined.values() for item in section.items)
    if duplicates := sorted(item_id for item_id, count in counts.items() if count > 1):
        raise UnmergeableReportsError(
            msg("duplicate items, expected each in one report: {items}", items=", ".join(duplicates[:10]))
        )
    return list(joined.values())


def _without_expired_waivers(section: SectionResult, today: date) -> SectionResult:
    """Return a section without the waivers that expired since its part ran."""
    return section.replace(items=tuple(_without_waiver(item, today) for item in section.items))


def _without_waiver(item: ItemResult, today: date) -> ItemResult:
    expired = item.waiver is not None and not is_active(item.waiver, today)
    return item.replace(waiver=None) if expired else item


def _waivers(name: str, report: Report, several: bool) -> list[Waiver]:
    if not several:
        return list(report.waivers)
    return [waiver.replace(item=f"{name}/{waiver.item}") for waiver in report.waivers]
