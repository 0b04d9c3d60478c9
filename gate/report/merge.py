"""Makes one report of many: the parts that the jobs of a matrix have run. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import TypeVar

import gate
from gate.core.messages import msg
from gate.model import Decision, ItemResult, Provenance, Report, SectionResult, Verdict, VerdictReason, Waiver
from gate.verdict import decide, is_active, partial_run_reservation

_WORST = ("broken", "cancelled", "deadline", "complete")


Entry = TypeVar("Entry")


class UnmergeableReportsError(Exception):
    """Reports that can't be merged: they speak of different commits, or there are none."""


def merge_reports(reports: Mapping[str, Report], expected: Sequence[str], today: date) -> Report:
    """Make one report of the parts, by their names. A part that is expected and missing is a NO-GO.

    Raise NotOneRun for reports that are not parts of one whole, and for an expected part that ran other sections.
    """
    parts = {name: reports[name] for name in sorted(reports)}
    if not parts:
        raise UnmergeableReportsError("there is no report to merge, expected at least one")
    _one_commit(parts)
    _one_checklist(parts)
    _as_expected(parts, [name for name in dict.fromkeys(expected) if name in parts])
    several = len({report.service for report in parts.values()}) > 1
    sections = _joined([section for name, part in parts.items() for section in _sections(name, part, several, today)])
    waivers = list(dict.fromkeys(waiver for name, part in parts.items() for waiver in _waivers(name, part, several)))
    missing = [name for name in dict.fromkeys(expected) if name not in parts]
    left_out = _left_out(parts, several)
    ended = min((report.ended for report in parts.values()), key=_WORST.index)
    first = next(iter(parts.values()))
    verdict = decide(
        sections,
        waivers=waivers,
        today=today,
        ended=ended,
        blockers=[*map(_missing, missing), *_other_blockers(parts)],
        reservations=_carried_reservations(parts),
        left_out=left_out,
    )
    return first.replace(
        service=", ".join(dict.fromkeys(report.service for report in parts.values())),
        environment=", ".join(dict.fromkeys(report.environment for report in parts.values())),
        started=min(report.started for report in parts.values()),
        finished=max(report.finished for report in parts.values()),
        ended=ended,
        files=_each_once(report.files for report in parts.values()),
        targets=tuple(target for report in parts.values() for target in report.targets),
        sections=tuple(sections),
        unselected_items=tuple(left_out),
        sections_left_out=() if several else tuple(_sections_left_out(parts)),
        waivers=tuple(waivers),
        verdict=verdict,
        changes=None,
        source=first.source.replace(changed=_each_once(p.source.changed for p in parts.values())),
        notes=_each_once(report.notes for report in parts.values()),
    )


def empty_merge(expected: Sequence[str], source: Provenance, now: datetime) -> Report:
    """The report where none of the expected parts has left one: a NO-GO that names each."""
    return Report(
        gate=gate.__version__,
        service=", ".join(dict.fromkeys(expected)),
        environment="",
        started=now,
        finished=now,
        source=source,
        verdict=Verdict(decision=Decision.NO_GO, reasons=tuple(map(_missing, dict.fromkeys(expected)))),
    )


def _each_once(parts: Iterable[tuple[Entry, ...]]) -> tuple[Entry, ...]:
    """The entries of all parts, each once by what it says."""
    return tuple({str(entry): entry for part in parts for entry in part}.values())


def _one_commit(parts: Mapping[str, Report]) -> None:
    by_commit: dict[str, list[str]] = {}
    for name, report in parts.items():
        by_commit.setdefault(report.source.commit, []).append(name)
    if len(by_commit) > 1:
        told = "; ".join(f"{commit or 'no commit'}: {', '.join(names)}" for commit, names in by_commit.items())
        raise UnmergeableReportsError(f"the reports are of different commits, expected one: {told}")


def _one_checklist(parts: Mapping[str, Report]) -> None:
    """Refuse parts of one service that were made with different checklists."""
    for service in dict.fromkeys(report.service for report in parts.values()):
        own = {name: report for name, report in parts.items() if report.service == service}
        files = {report.files: name for name, report in reversed(own.items()) if report.files}
        if len(files) > 1:
            told = "; ".join(f"{name}: {', '.join(each)}" for each, name in files.items())
            raise UnmergeableReportsError(f"the reports of {service} are of different checklists, expected one: {told}")
        if not any(report.unselected_items for report in own.values()):
            continue
        items = {name: {*(item.id for item in report.items), *report.unselected_items} for name, report in own.items()}
        first, *others = items
        if other := next((name for name in others if items[name] != items[first]), None):
            odd = sorted(items[first] ^ items[other])[0]
            raise UnmergeableReportsError(
                f"the reports of {service} are of different checklists: of {first} and {other}, one has no item {odd}"
            )


def _as_expected(parts: Mapping[str, Report], expected: Sequence[str]) -> None:
    """Refuse an expected part that is there by its folder's name alone: of another service, or other sections."""
    by_files: dict[tuple[str, ...], dict[str, str]] = {}
    for name in expected:
        report = parts[name]
        by_files.setdefault(report.files, {})[report.service] = name
        if section := _named_section(name, parts, report):
            raise UnmergeableReportsError(f"the report of {name} has not run the section {section}")
    for files, services in by_files.items():
        named = all(service in name for service, name in services.items())
        if files and len(services) > 1 and not named:
            told = ", ".join(f"{name}: {service}" for service, name in services.items())
            raise UnmergeableReportsError(
                f"expected parts are of different services: {told}; name each part after its service"
            )


def _named_section(name: str, parts: Mapping[str, Report], report: Report) -> str:
    """Return the section that a part is named after (`drills`, `part-drills`) and has not run; "" if there is none."""
    own = {section.id for section in report.sections if section.items}
    known = {
        section
        for other in parts.values()
        if other.service == report.service
        for section in (*(each.id for each in other.sections), *other.sections_left_out)
    }
    after = sorted((each for each in known if re.search(rf"(?:^|[-_./ ]){re.escape(each)}$", name)), key=len)
    return "" if not after or after[-1] in own else after[-1]


def _sections_left_out(parts: Mapping[str, Report]) -> list[str]:
    run = {section.id for report in parts.values() for section in report.sections}
    return [
        name for name in dict.fromkeys(each for p in parts.values() for each in p.sections_left_out) if name not in run
    ]


def _missing(name: str) -> VerdictReason:
    message = msg("The report of {name} is missing", name=name)
    return VerdictReason(message=message, advice=msg("Look why the job of {name} left no report", name=name))


def _other_blockers(parts: Mapping[str, Report]) -> list[VerdictReason]:
    """What stood against a part and not against an item of it, such as an empty section. How it ended is known."""
    found = []
    for name, report in parts.items():
        for reason in report.verdict.reasons[0 if report.ended == "complete" else 1 :]:
            if not reason.items:
                message = msg("{part}: {message}", part=name, message=reason.message)
                found.append(reason.replace(message=message))
    return found


def _carried_reservations(parts: Mapping[str, Report]) -> list[VerdictReason]:
    """Those reservations of the parts, each once, that are not found anew: not of items, nor of what was left out."""
    found: list[VerdictReason] = []
    for report in parts.values():
        of_the_part = partial_run_reservation(len(report.items), report.unselected_items)
        held = [reason for reason in report.verdict.reservations if not reason.items and reason not in of_the_part]
        found += [reason for reason in held if reason not in found]
    return found


def _left_out(parts: Mapping[str, Report], several: bool) -> list[str]:
    """The items of a service's checklist that none of its parts was to run."""
    run = {(report.service, item.id) for report in parts.values() for item in report.items}
    left = [(name, report.service, item) for name, report in parts.items() for item in report.unselected_items]
    first = {(service, item): name for name, service, item in reversed(left) if (service, item) not in run}
    return [f"{name}/{item}" if several else item for (_, item), name in first.items()]


def _sections(name: str, report: Report, several: bool, today: date) -> list[SectionResult]:
    if not several:
        return [_current(section, today) for section in report.sections]
    return [
        section.replace(
            id=f"{name}/{section.id}",
            title=f"{report.service}: {section.title}",
            items=tuple(item.replace(id=f"{name}/{item.id}") for item in section.items),
        )
        for section in (_current(section, today) for section in report.sections)
    ]


def _joined(sections: list[SectionResult]) -> list[SectionResult]:
    """Sections of one id made one: parts of a checklist may share a section. Raises NotOneRun for an item twice."""
    found: dict[str, SectionResult] = {}
    for section in sections:
        known = found.get(section.id)
        items = (*known.items, *section.items) if known else section.items
        found[section.id] = section.replace(items=items)
    ids = [item.id for section in found.values() for item in section.items]
    twice = sorted({name for name in ids if ids.count(name) > 1}) if len(set(ids)) < len(ids) else []
    if twice:
        raise UnmergeableReportsError(f"items stand in several reports, expected each in one: {', '.join(twice[:10])}")
    return list(found.values())


def _current(section: SectionResult, today: date) -> SectionResult:
    """The section without the waivers that have ended meanwhile."""
    return section.replace(items=tuple(_without_waiver(item, today) for item in section.items))


def _without_waiver(item: ItemResult, today: date) -> ItemResult:
    ended = item.waiver is not None and not is_active(item.waiver, today)
    return item.replace(waiver=None) if ended else item


def _waivers(name: str, report: Report, several: bool) -> list[Waiver]:
    if not several:
        return list(report.waivers)
    return [waiver.replace(item=f"{name}/{waiver.item}") for waiver in report.waivers]
