"""Compute what several formats show of a report: marks, root causes, next steps."""

from __future__ import annotations

import math
from collections.abc import Iterable

from msgspec import Struct

from gate.core.messages import Message, msg
from gate.i18n.language import Language
from gate.model import (
    Counts,
    Decision,
    ItemResult,
    MetricSeries,
    Report,
    ReportDiff,
    SectionResult,
    Severity,
    Status,
    SweepResult,
    Timeline,
    TimelineEvent,
    VerdictReason,
    Waiver,
    count_statuses,
)

# The mark of each status, distinct, and the same in every language.
MARKS = {
    Status.PASS: "✅ PASS",
    Status.FAIL: "❌ FAIL",
    Status.ERROR: "💥 ERROR",
    Status.SKIP: "⏭️ SKIP",
    Status.WAIVED: "🟡 WAIVED",
}

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
    "ledger": msg("Ledger"),
    "curve": msg("Curve"),
}

# The links of an alert's chain, as headings of a table.
LINKS = {
    "loaded": msg("Loaded"),
    "exposed": msg("Exposed"),
    "tested": msg("Tested"),
    "fired": msg("Fired"),
    "routed": msg("Routed"),
    "paged": msg("Paged"),
    "annotation": msg("Annotation"),
    "runbook": msg("Runbook"),
    "sections": msg("Sections"),
}

_BLOCKS = "▁▂▃▄▅▆▇█"
# Seconds, about four months: an event further from the fault would make a chart unreadable.
_MAX_DISTANCE = 1e7


class Step(Struct, frozen=True):
    """An action, with the items that it is for."""

    message: Message
    items: tuple[ItemResult, ...]


class Cause(Struct, frozen=True):
    """A root cause, with the items that share it."""

    message: Message
    advice: Message | None
    items: tuple[ItemResult, ...]


def item_count(items: int) -> Message:
    """Return a number of items in words, such as `33 items`."""
    return msg("1 item") if items == 1 else msg("{count} items", count=items)


def section_counts(section: SectionResult) -> Counts:
    """Return the counts of a section by status."""
    return count_statuses(section.items)


def causes(items: Iterable[ItemResult]) -> list[Cause]:
    """Group items by root cause, in the order in which each cause appears first."""
    groups: dict[str, list[ItemResult]] = {}
    for item in items:
        groups.setdefault(item.outcome.cause or f"item:{item.id}", []).append(item)
    return [_cause(group) for group in groups.values()]


def _cause(group: list[ItemResult]) -> Cause:
    outcome = group[0].outcome
    message = outcome.cause_message or msg("{item}: {message}", item=group[0].title, message=outcome.message)
    advice = next((item.outcome.advice for item in group if item.outcome.advice), None)
    return Cause(message, advice, tuple(group))


def unverified_causes(report: Report) -> list[Cause]:
    """Return the skipped and the failed-to-observe items (SKIP and ERROR) by root cause."""
    return causes(item for item in report.items if item.status in (Status.SKIP, Status.ERROR))


def steps(report: Report, severity: Severity) -> list[Step]:
    """Return the distinct actions for the items of a severity that did not pass."""
    open_items = [
        item for item in report.items if item.severity is severity and item.status not in (Status.PASS, Status.WAIVED)
    ]
    by_message: dict[str, Step] = {}
    for cause in causes(open_items):
        message = cause.advice or _make_pass(cause.items)
        step = by_message.get(str(message), Step(message, ()))
        by_message[str(message)] = Step(message, step.items + cause.items)
    return list(by_message.values())


def waived_items(report: Report) -> list[ItemResult]:
    """Return the items that failed under a waiver in force."""
    return [item for item in report.items if item.status is Status.WAIVED]


def actions(report: Report) -> list[Message]:
    """Return the distinct actions that lead to a GO, in the order of the reasons."""
    return _deduplicate(_action(reason, report) for reason in report.verdict.reasons)


def recommendations(report: Report) -> list[Message]:
    """Return the distinct actions for the reasons, then for the reservations."""
    advice = [reason.advice for reason in report.verdict.reservations if reason.advice]
    return _deduplicate([*actions(report), *advice])


def _action(reason: VerdictReason, report: Report) -> Message:
    if reason.advice:
        return reason.advice
    items = tuple(item for item in report.items if item.id in reason.items)
    return _make_pass(items) if items else reason.message


def _make_pass(items: tuple[ItemResult, ...]) -> Message:
    if len(items) == 1:
        return msg("Make this item pass: {item}", item=items[0].title)
    return msg("Make these items pass: {item}; {count} more", item=items[0].title, count=len(items) - 1)


def _deduplicate(messages: Iterable[Message]) -> list[Message]:
    return list({str(message): message for message in messages}.values())


def drills(report: Report) -> list[ItemResult]:
    """Return the items that are drills, or have a timeline."""
    return [item for item in report.items if item.outcome.timeline or item.check == "drill"]


def traces(report: Report) -> list[ItemResult]:
    """Return the traceability items that found alerts."""
    return [item for item in report.items if item.check == "traceability" and item.outcome.rows]


def fired(item: ItemResult) -> list[Message]:
    """Return how many alerts of each severity were seen firing, in the order in which the severities appear."""
    by_severity: dict[str, list[bool]] = {}
    for row in item.outcome.rows:
        by_severity.setdefault(row.severity, []).extend(link.holds for link in row.links if link.name == "fired")
    return [
        msg(
            "{fired} of {count} {severity}",
            fired=sum(states),
            count=len(states),
            severity=severity or msg("without severity"),
        )
        for severity, states in by_severity.items()
    ]


def events(timeline: Timeline, limit: int) -> list[TimelineEvent]:
    """Return the first `limit` events that a chart can show, in order of time."""
    near = (event for event in timeline.events if abs(event.at) < _MAX_DISTANCE)
    return sorted(near, key=lambda event: event.at)[:limit]


def sparkline(series: MetricSeries, width: int = 40) -> str:
    """Return the course of a metric in `width` columns of text at most, from its lowest to its highest value."""
    values = [value for _, value in series.points if math.isfinite(value)]
    if not values:
        return ""
    size = -(-len(values) // width)
    # the highest value of each column: a short outage must not vanish between two columns
    columns = [max(values[start : start + size]) for start in range(0, len(values), size)]
    low, high = min(values), max(values)
    steps = [0.0 if high == low else (value / 2 - low / 2) / (high / 2 - low / 2) for value in columns]
    return "".join(_BLOCKS[round(step * (len(_BLOCKS) - 1))] for step in steps)


def lowest_and_highest(series: MetricSeries) -> tuple[float, float]:
    """Return the lowest and the highest value of a metric, to four digits. Needs at least one point."""
    values = [value for _, value in series.points]
    return float(f"{min(values):.4g}"), float(f"{max(values):.4g}")


def main_reason(report: Report) -> Message:
    """Return the first reason, else the first reservation, else that every item passed."""
    if report.verdict.reasons:
        return report.verdict.reasons[0].message
    if report.verdict.reservations:
        return report.verdict.reservations[0].message
    return msg("Every item passed")


def expiry_note(report: Report) -> Message | None:
    """Return when and why this GO ends, or None if it does not."""
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
    """Return a line for each waiver of the checklist, also for those whose item passed."""
    return [waiver_line(waiver) for waiver in report.waivers]


def waiver_line(waiver: Waiver) -> Message:
    """Return a waiver with all its fields in one line."""
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
    """Return the ids of changed items under a title for each kind of change that occurred."""
    groups = [
        (msg("Newly failing"), changes.newly_failing),
        (msg("Newly skipped"), changes.newly_skipped),
        (msg("Fixed"), changes.fixed),
        (msg("New"), changes.added),
        (msg("Removed"), changes.removed),
    ]
    return [(title, ids) for title, ids in groups if ids]


def drill_times(changes: ReportDiff, words: Language) -> list[Message]:
    """Return the times to detect and to recover, and the sweep, of each drill, now and before."""
    messages = []
    for times in changes.drills:
        if times.detect is not None and times.detect_before is not None:
            now, before = words.duration(times.detect), words.duration(times.detect_before)
            messages.append(msg("{item}: time to detect {now}, was {before}", item=times.item, now=now, before=before))
        if times.recover is not None and times.recover_before is not None:
            now, before = words.duration(times.recover), words.duration(times.recover_before)
            messages.append(msg("{item}: time to recover {now}, was {before}", item=times.item, now=now, before=before))
        if times.sweep is not None and times.sweep_before is not None:
            messages.append(
                msg(
                    "{item}: {now}; before: {before}",
                    item=times.item,
                    now=sweep_result(times.sweep),
                    before=sweep_result(times.sweep_before),
                )
            )
    return messages


def sweep_result(sweep: SweepResult) -> Message:
    """Return the step at which a service broke, and the last one at which it held."""
    if sweep.breaks is None:
        return msg("holds at every step, up to {holds}", holds=sweep.holds or "-")
    if sweep.holds is None:
        return msg("breaks at {breaks}, the first step", breaks=sweep.breaks)
    return msg("breaks at {breaks}, holds at {holds}", breaks=sweep.breaks, holds=sweep.holds)


def ordered_evidence(report: Report) -> list[ItemResult]:
    """Return the items that have evidence, in the order of the checklist."""
    return [item for item in report.items if item.outcome.evidence.request or item.outcome.evidence.response]


def progress_bar(rate: int, width: int = 10) -> str:
    """Return a rate in whole percent as a text bar; only 100 is full, and only 0 is empty."""
    full = min(width - 1, max(1, round(rate * width / 100))) if 0 < rate < 100 else rate * width // 100
    return "█" * full + "░" * (width - full)


def expanded_items(section: SectionResult) -> list[ItemResult]:
    """Return the items of a section that are shown one by one: all except those skipped for a root cause."""
    return [item for item in section.items if item.status is not Status.SKIP or not item.outcome.cause]


def collapsed_items(section: SectionResult) -> list[Cause]:
    """Return the items of a section that were skipped for a root cause, by cause."""
    return causes(item for item in section.items if item.status is Status.SKIP and item.outcome.cause)


def mark_of(counts: Counts) -> str:
    """Return the mark of a section's worst status."""
    worst = (
        (counts.failed, Status.FAIL),
        (counts.errors, Status.ERROR),
        (counts.skipped, Status.SKIP),
        (counts.waived, Status.WAIVED),
    )
    return MARKS[next((status for number, status in worst if number), Status.PASS)]
