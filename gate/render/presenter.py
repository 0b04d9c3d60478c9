"""What several formats say of a report: marks, root causes, steps to take. All computed, nothing typed."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from gate.core.messages import Message, msg
from gate.i18n.language import Language
from gate.model import (
    Counts,
    Decision,
    ItemResult,
    Report,
    ReportDiff,
    SectionResult,
    Severity,
    Status,
    Timeline,
    TimelineEvent,
    VerdictReason,
    Waiver,
    count_statuses,
)

MARKS = {
    Status.PASS: "✅ PASS",
    Status.FAIL: "❌ FAIL",
    Status.ERROR: "💥 ERROR",
    Status.SKIP: "⏭️ SKIP",
    Status.WAIVED: "🟡 WAIVED",
}
"""One mark a status, the same in every language; no two share one."""

DECISION_MARKS = {Decision.GO: "🟢", Decision.GO_WITH_RESERVATIONS: "🟠", Decision.NO_GO: "🔴"}

DECISIONS = {
    Decision.GO: msg("GO"),
    Decision.GO_WITH_RESERVATIONS: msg("GO with reservations"),
    Decision.NO_GO: msg("NO-GO"),
}

ENDINGS = {
    "complete": msg("The run is complete"),
    "deadline": msg("The run ended at its overall deadline, before every item had run"),
    "cancelled": msg("The run was cancelled before every item had run"),
    "broken": msg("Internal error in the gate before every item had run"),
}

PHASES = {
    "steady": msg("Steady state"),
    "fault": msg("Fault"),
    "observe": msg("Observation"),
    "throughout": msg("Throughout"),
    "restore": msg("Restoration"),
    "recover": msg("Recovery"),
    "traffic": msg("Traffic"),
    "curve": msg("Curve"),
}

LINKS = {
    "loaded": msg("Loaded"),
    "exposed": msg("Exposed"),
    "fired": msg("Fired"),
    "annotation": msg("Annotation"),
    "runbook": msg("Runbook"),
    "sections": msg("Sections"),
}
"""The links of an alert's chain, as headings of a table."""

_DRAWN = 1e7


class Step(Struct, frozen=True):
    """Something to do, with the items that it is for."""

    message: Message
    items: tuple[ItemResult, ...]


class Cause(Struct, frozen=True):
    """Why some items are as they are: one root cause, said once."""

    message: Message
    advice: Message | None
    items: tuple[ItemResult, ...]


def item_count(items: int) -> Message:
    """`1 item`, `33 items`."""
    return msg("1 item") if items == 1 else msg("{count} items", count=items)


def section_counts(section: SectionResult) -> Counts:
    """The counts of a section."""
    return count_statuses(section.items)


def causes(items: Iterable[ItemResult]) -> list[Cause]:
    """Items by root cause, in the order in which each cause appears first."""
    groups: dict[str, list[ItemResult]] = {}
    for item in items:
        groups.setdefault(item.outcome.cause or f"item:{item.id}", []).append(item)
    return [_cause(group) for group in groups.values()]


def _cause(group: list[ItemResult]) -> Cause:
    outcome = group[0].outcome
    shared = outcome.cause_message
    message = shared or msg("{item}: {message}", item=group[0].title, message=outcome.message)
    advice = next((item.outcome.advice for item in group if item.outcome.advice), None)
    return Cause(message, advice, tuple(group))


def unverified_causes(report: Report) -> list[Cause]:
    """What could not be verified, by root cause: items that were skipped, and those that could not be observed."""
    return causes(item for item in report.items if item.status in (Status.SKIP, Status.ERROR))


def steps(report: Report, severity: Severity) -> list[Step]:
    """What to do about the items of a severity that did not pass, a step for each thing to do."""
    open_items = [
        item for item in report.items if item.severity is severity and item.status not in (Status.PASS, Status.WAIVED)
    ]
    found: dict[str, Step] = {}
    for cause in causes(open_items):
        message = cause.advice or _make_pass(cause.items)
        before = found.get(str(message), Step(message, ()))
        found[str(message)] = Step(message, before.items + cause.items)
    return list(found.values())


def waived_items(report: Report) -> list[ItemResult]:
    """The items that a waiver in force covers."""
    return [item for item in report.items if item.status is Status.WAIVED]


def actions(report: Report) -> list[Message]:
    """What stands between this commit and a GO, each once, in the order of the reasons."""
    return _each_once(_action(reason, report) for reason in report.verdict.reasons)


def recommendations(report: Report) -> list[Message]:
    """What should be done about the reasons, then about the reservations, each once."""
    found = [reason.advice for reason in report.verdict.reservations if reason.advice]
    return _each_once([*actions(report), *found])


def _action(reason: VerdictReason, report: Report) -> Message:
    if reason.advice:
        return reason.advice
    named = [item for item in report.items if item.id in reason.items]
    return _make_pass(tuple(named)) if named else reason.message


def _make_pass(items: tuple[ItemResult, ...]) -> Message:
    if len(items) == 1:
        return msg("Make this item pass: {item}", item=items[0].title)
    return msg("Make {item} and {count} more items pass", item=items[0].title, count=len(items) - 1)


def _each_once(messages: Iterable[Message]) -> list[Message]:
    return list({str(message): message for message in messages}.values())


def drills(report: Report) -> list[ItemResult]:
    """The items that are drills: those with criteria or a timeline of their own."""
    return [item for item in report.items if item.outcome.timeline or item.check == "drill"]


def traces(report: Report) -> list[ItemResult]:
    """The items that follow alerts to their runbooks, and did so."""
    return [item for item in report.items if item.check == "traceability" and item.outcome.rows]


def fired(item: ItemResult) -> list[Message]:
    """How many alerts of each severity were seen firing, in the order in which the severities appear."""
    by: dict[str, list[bool]] = {}
    for row in item.outcome.rows:
        by.setdefault(row.severity, []).extend(link.holds for link in row.links if link.name == "fired")
    return [
        msg(
            "{fired} of {count} {severity}",
            fired=sum(held),
            count=len(held),
            severity=severity or msg("without severity"),
        )
        for severity, held in by.items()
    ]


def moments(timeline: Timeline, limit: int) -> list[TimelineEvent]:
    """The moments that can be drawn, in order of time: those within four months of the fault."""
    found = (moment for moment in timeline.events if abs(moment.at) < _DRAWN)
    return sorted(found, key=lambda moment: moment.at)[:limit]


def main_reason(report: Report) -> Message:
    """The first thing that stands against a GO; without one, what is reserved; without that, that all is well."""
    if report.verdict.reasons:
        return report.verdict.reasons[0].message
    if report.verdict.reservations:
        return report.verdict.reservations[0].message
    return msg("Every item passed")


def expiry_note(report: Report) -> Message | None:
    """When and why this GO ends, where it does."""
    verdict = report.verdict
    if verdict.until is None:
        return None
    waivers = msg("waiver of {items}", items=", ".join(verdict.until_waivers))
    quarantines = msg("quarantine of {items}", items=", ".join(verdict.until_quarantines))
    if verdict.until_waivers and verdict.until_quarantines:
        why = msg("{waivers}; {quarantines}", waivers=waivers, quarantines=quarantines)
    else:
        why = waivers if verdict.until_waivers else quarantines
    return msg("Becomes NO-GO on {day} ({why})", day=verdict.until.isoformat(), why=why)


def waivers(report: Report) -> list[Message]:
    """A line for each waiver of the checklist, whatever became of its item."""
    return [waiver_line(waiver) for waiver in report.waivers]


def waiver_line(waiver: Waiver) -> Message:
    """A waiver in one line, with all that it says."""
    line = msg(
        "{item}: until {day} by {owner}: {reason}",
        item=waiver.item,
        day=waiver.expires.isoformat(),
        owner=waiver.owner,
        reason=waiver.reason,
    )
    if waiver.issue:
        line = msg("{line}; issue: {issue}", line=line, issue=waiver.issue)
    if waiver.approved_by:
        line = msg("{line}; approved by {who}", line=line, who=waiver.approved_by)
    return line


def differences(changes: ReportDiff) -> list[tuple[Message, tuple[str, ...]]]:
    """The items that are not as they were, by what became of them; only what there is."""
    found = [
        (msg("Newly failing"), changes.newly_failing),
        (msg("Newly skipped"), changes.newly_skipped),
        (msg("Fixed"), changes.fixed),
        (msg("New"), changes.added),
        (msg("Removed"), changes.removed),
    ]
    return [(title, ids) for title, ids in found if ids]


def drill_times(changes: ReportDiff, words: Language) -> list[Message]:
    """How fast each drill was noticed and recovered from, against before."""
    found = []
    for times in changes.drills:
        if times.detect is not None and times.detect_before is not None:
            now, before = words.duration(times.detect), words.duration(times.detect_before)
            found.append(msg("{item}: time to detect {now}, was {before}", item=times.item, now=now, before=before))
        if times.recover is not None and times.recover_before is not None:
            now, before = words.duration(times.recover), words.duration(times.recover_before)
            found.append(msg("{item}: time to recover {now}, was {before}", item=times.item, now=now, before=before))
    return found


def ordered_evidence(report: Report) -> list[ItemResult]:
    """The items that have evidence to show, in the checklist's order."""
    return [item for item in report.items if item.outcome.evidence.request or item.outcome.evidence.response]


def progress_bar(rate: int, width: int = 10) -> str:
    """A rate in whole percent as a bar; full at 100 only, empty at 0 only."""
    full = min(width - 1, max(1, round(rate * width / 100))) if 0 < rate < 100 else rate * width // 100
    return "█" * full + "░" * (width - full)


def expanded_items(section: SectionResult) -> list[ItemResult]:
    """The items of a section that have a line of their own: all but those that were skipped for a root cause."""
    return [item for item in section.items if item.status is not Status.SKIP or not item.outcome.cause]


def collapsed_items(section: SectionResult) -> list[Cause]:
    """The other items of a section, under their root causes."""
    return causes(item for item in section.items if item.status is Status.SKIP and item.outcome.cause)


def mark_of(counts: Counts) -> str:
    """The mark of a whole section: that of its worst item."""
    worst = (
        (counts.failed, Status.FAIL),
        (counts.errors, Status.ERROR),
        (counts.skipped, Status.SKIP),
        (counts.waived, Status.WAIVED),
    )
    return MARKS[next((status for number, status in worst if number), Status.PASS)]
