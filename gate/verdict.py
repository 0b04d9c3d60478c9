"""Decide GO or NO-GO from the outcomes of a run. Pure functions.

The verdict is computed once, before anything is rendered or published, and nothing after it can change it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import PurePosixPath

from gate.core.messages import Message, msg
from gate.model import Decision, ItemResult, SectionResult, Severity, Status, Verdict, VerdictReason, Waiver

# The reason of a run that ended early, by how it ended.
ENDED = {
    "deadline": VerdictReason(
        message=msg("The run reached its overall deadline before every item had run"),
        advice=msg("Raise the run's deadline or shorten the items' timeouts"),
    ),
    "cancelled": VerdictReason(
        message=msg("The run was cancelled before every item had run"), advice=msg("Run the gate again")
    ),
    "broken": VerdictReason(
        message=msg("Internal error in the gate before every item had run"),
        advice=msg("Report the error in its log, and run the gate again"),
    ),
}
# Prefix of the cause of an item that is known to fail before it runs, such as a `within` too short for an alert.
IMPOSSIBLE = "impossible:"
_DOWN = "target:"
_ORDER = (Status.FAIL, Status.ERROR, Status.SKIP)


def is_active(waiver: Waiver, today: date) -> bool:
    """Return whether a waiver is in force on a day: until the day before `expires`."""
    return today < waiver.expires


def decide(
    sections: Sequence[SectionResult],
    *,
    waivers: Sequence[Waiver] = (),
    today: date,
    ended: str = "complete",
    blockers: Sequence[VerdictReason] = (),
    reservations: Sequence[VerdictReason] = (),
    left_out: Sequence[str] = (),
) -> Verdict:
    """Return the verdict of a run.

    `waivers` are all waivers of the checklist; an active waiver is also at its item. `ended` is how the run ended.
    Each of `blockers` is a NO-GO, each of `reservations` a reservation. `left_out` are the ids of unselected items.
    """
    items = [item for section in sections for item in section.items]
    cut_off = [item for item in items if _is_cut_off(item, ended)]
    completed = [item for item in items if not _is_cut_off(item, ended)]
    reasons = [*_run_reasons(sections, ended, cut_off), *blockers, *_blocking_reasons(completed)]
    all_reservations = [
        *reservations,
        *partial_run_reservation(len(items), left_out),
        *_reservations(items),
        *_waiver_reservations(items, waivers, today),
    ]
    if reasons:
        return Verdict(decision=Decision.NO_GO, reasons=tuple(reasons), reservations=tuple(all_reservations))
    decision = Decision.GO_WITH_RESERVATIONS if all_reservations else Decision.GO
    waived, quarantined = _expiry_dates(items)
    until = min((*waived, *quarantined), default=None)
    return Verdict(
        decision=decision,
        reservations=tuple(all_reservations),
        until=until,
        until_waivers=waived.get(until, ()) if until else (),
        until_quarantines=quarantined.get(until, ()) if until else (),
    )


_ExpiryDates = dict[date, tuple[str, ...]]


def _expiry_dates(items: Iterable[ItemResult]) -> tuple[_ExpiryDates, _ExpiryDates]:
    """Return the days on which waivers of items and quarantines of passed items expire, with the ids of the items.

    Only blocking items count: without its waiver, an advisory item is still only a reservation.
    """
    waived: _ExpiryDates = {}
    quarantined: _ExpiryDates = {}
    for item in items:
        if item.severity is not Severity.BLOCKING:
            continue
        if item.waiver and item.status is Status.WAIVED:
            waived[item.waiver.expires] = (*waived.get(item.waiver.expires, ()), item.id)
        if item.status is Status.PASS:
            for day in {row.expires for row in item.outcome.rows if row.expires}:
                quarantined[day] = (*quarantined.get(day, ()), item.id)
    return waived, quarantined


def _is_cut_off(item: ItemResult, ended: str) -> bool:
    return ended in ENDED and item.outcome.cause == f"ended:{ended}"


def _run_reasons(sections: Sequence[SectionResult], ended: str, cut_off: Iterable[ItemResult]) -> list[VerdictReason]:
    reasons = []
    if ended in ENDED:
        ids = tuple(item.id for item in cut_off if _blocks(item))
        reasons.append(ENDED[ended].replace(items=ids))
    if not any(section.items for section in sections):
        return [*reasons, VerdictReason(message=msg("Nothing was checked, so this cannot be a GO"))]
    empty = [section.title for section in sections if not section.items]
    return reasons + [
        VerdictReason(message=msg("Section {section} has nothing to check", section=title)) for title in empty
    ]


def partial_run_reservation(count: int, left_out: Sequence[str]) -> list[VerdictReason]:
    """Return a reservation if only a part of the checklist was run: an item that did not run has not passed."""
    if not left_out:
        return []
    total = count + len(left_out)
    return [
        VerdictReason(message=msg("Only {count} of the {total} items were chosen to run", count=count, total=total))
    ]


def _blocks(item: ItemResult) -> bool:
    return item.severity is Severity.BLOCKING and item.status in _ORDER


def _blocking_reasons(items: Iterable[ItemResult]) -> list[VerdictReason]:
    """Return the reasons for a NO-GO, one per root cause: targets first, then FAIL, ERROR and SKIP."""
    return _group_by_cause([item for item in items if _blocks(item)])


def _group_by_cause(items: list[ItemResult]) -> list[VerdictReason]:
    groups: dict[str, list[ItemResult]] = {}
    for item in items:
        groups.setdefault(item.outcome.cause or f"item:{item.id}", []).append(item)
    down = "\n".join(
        _failure_text(item) for cause, group in groups.items() if cause.startswith(_DOWN) for item in group
    )
    ranked = sorted(groups.items(), key=lambda pair: _sort_key(pair[0], pair[1], down))
    return [_reason(cause, group) for cause, group in ranked]


def _failure_text(item: ItemResult) -> str:
    """Return the text that may explain why a target is down: the reason and its log."""
    return f"{item.outcome.message}\n{item.outcome.evidence.response}"


def _sort_key(cause: str, group: list[ItemResult], down: str) -> int:
    """Return the place of a root cause: causes come before their consequences."""
    if cause.startswith("unrestored"):
        return 0
    if any(_explains(item, down) for item in group):
        return 1
    if cause.startswith(_DOWN):
        return 2
    if cause.startswith(IMPOSSIBLE):
        return 3
    return 4 + min(_ORDER.index(item.status) if item.status in _ORDER else 3 for item in group)


def _explains(item: ItemResult, down: str) -> bool:
    """Return whether an item fails because of a file that a down target mentions in its log."""
    if item.status is not Status.FAIL or (item.outcome.cause or "").startswith(_DOWN):
        return False
    names = {PurePosixPath(location.file).name for location in item.outcome.evidence.locations}
    return any(re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", down) for name in names if name)


def _reason(cause: str, group: list[ItemResult]) -> VerdictReason:
    """Return the reason of a root cause, worded after its worst item."""
    # An item that was skipped because another failed is a consequence, not the reason.
    first = min(group, key=lambda item: _ORDER.index(item.status) if item.status in _ORDER else len(_ORDER))
    ids = tuple(item.id for item in group)
    if first.outcome.cause_message is None:
        message = msg("{item}: {message}", item=first.title, message=first.outcome.message)
    else:
        cause_message = first.outcome.cause_message
        message = msg("{cause} ({count} item)", "{cause} ({count} items)", cause=cause_message, count=len(group))
    return VerdictReason(message=message, items=ids, advice=first.outcome.advice)


def _reservations(items: list[ItemResult]) -> list[VerdictReason]:
    advisory = [item for item in items if item.severity is Severity.ADVISORY and item.status in _ORDER]
    reservations = _group_by_cause(advisory)
    for item in items:
        if item.status is Status.WAIVED and item.waiver:
            reservations.append(VerdictReason(message=_waiver_message(item, item.waiver), items=(item.id,)))
        if item.status is Status.PASS:
            reservations += _item_reservations(item)
    return reservations


def _waiver_message(item: ItemResult, waiver: Waiver) -> Message:
    return msg(
        "{item} is waived until {day} by {owner}: {reason}. {message}",
        item=item.title,
        day=waiver.expires.isoformat(),
        owner=waiver.owner,
        reason=waiver.reason,
        message=item.outcome.message,
    )


def _item_reservations(item: ItemResult) -> list[VerdictReason]:
    """Return the reservations of an item that passed: retries outside a `within`, and waived parts."""
    reservations = []
    if item.within is None and item.outcome.evidence.attempts > 1:
        message = msg(
            "{item} passed only at attempt {attempts}", item=item.title, attempts=item.outcome.evidence.attempts
        )
        reservations.append(VerdictReason(message=message, items=(item.id,)))
    for row in item.outcome.rows:
        if row.status is Status.WAIVED:
            message = msg("{item}: {title}: {message}", item=item.title, title=row.title, message=row.message)
            reservations.append(VerdictReason(message=message, items=(item.id,)))
    return reservations


def _waiver_reservations(items: list[ItemResult], waivers: Sequence[Waiver], today: date) -> list[VerdictReason]:
    by_id = {item.id: item for item in items}
    reservations = []
    for waiver in waivers:
        item = by_id.get(waiver.item)
        if item is None:
            continue
        if not is_active(waiver, today):
            message = msg(
                "The waiver for {item} expired on {day} and is ignored", item=waiver.item, day=str(waiver.expires)
            )
            reservations.append(VerdictReason(message=message, items=(waiver.item,)))
        elif item.status is Status.PASS:
            message = msg("The waiver for {item} is stale: the item passes. Remove the waiver", item=waiver.item)
            reservations.append(VerdictReason(message=message, items=(waiver.item,)))
    return reservations


def exit_code(decision: Decision, ended: str) -> int:
    """Return the exit code: 0 GO, 1 NO-GO, 3 internal error, 130 cancelled; 2 is a usage error, without a verdict."""
    if ended == "cancelled":
        return 130
    if ended == "broken":
        return 3
    return 1 if decision is Decision.NO_GO else 0
