"""From outcomes to a decision: pure, and made once (DESIGN, section 4). Nothing that comes after can change it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import PurePosixPath

from gate.core.messages import Message, msg
from gate.model import Decision, ItemResult, SectionResult, Severity, Status, Verdict, VerdictReason, Waiver

ENDED = {
    "deadline": VerdictReason(
        message=msg("The run reached its overall deadline before every item had run"),
        advice=msg("Give the run more time, or its items less"),
    ),
    "cancelled": VerdictReason(
        message=msg("The run was cancelled before every item had run"), advice=msg("Run the gate again")
    ),
    "broken": VerdictReason(
        message=msg("The gate itself broke before every item had run"),
        advice=msg("Report what its log says, and run it again"),
    ),
}
"""What a run that ended before its time says, by how it ended."""
IMPOSSIBLE = "impossible:"
"""The beginning of the cause of what is known to fail before it is tried, such as an alert's too short `within`."""
_DOWN = "target:"
_ORDER = (Status.FAIL, Status.ERROR, Status.SKIP)


def is_active(waiver: Waiver, today: date) -> bool:
    """Whether a waiver counts on a day: up to and including the day before it expires."""
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
    """The verdict of a run.

    `waivers` are all of the checklist's; those in force are also on the items they cover. `ended` says how the run
    ended. `against` and `reservations` are what others found: each of `against` is a NO-GO. `left_out` are the
    items that were not chosen to run.
    """
    items = [item for section in sections for item in section.items]
    cut_off = [item for item in items if _is_cut_off(item, ended)]
    whole = [item for item in items if not _is_cut_off(item, ended)]
    reasons = [*_about_the_run(sections, ended, cut_off), *blockers, *_against(whole)]
    held = [
        *reservations,
        *partial_run_reservation(len(items), left_out),
        *_reservations(items),
        *_about_waivers(items, waivers, today),
    ]
    if reasons:
        return Verdict(decision=Decision.NO_GO, reasons=tuple(reasons), reservations=tuple(held))
    decision = Decision.GO_WITH_RESERVATIONS if held else Decision.GO
    waived, quarantined = _ends(items)
    until = min((*waived, *quarantined), default=None)
    return Verdict(
        decision=decision,
        reservations=tuple(held),
        until=until,
        until_waivers=waived.get(until, ()) if until else (),
        until_quarantines=quarantined.get(until, ()) if until else (),
    )


_Ends = dict[date, tuple[str, ...]]


def _ends(items: Iterable[ItemResult]) -> tuple[_Ends, _Ends]:
    """The days on which something ends that a GO rests on: waivers of items, and of parts of items that passed.

    Only of items that would block: without its waiver, an advisory item is a reservation still.
    """
    waived: _Ends = {}
    quarantined: _Ends = {}
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


def _about_the_run(sections: Sequence[SectionResult], ended: str, cut_off: Iterable[ItemResult]) -> list[VerdictReason]:
    found = []
    if ended in ENDED:
        ids = tuple(item.id for item in cut_off if _blocks(item))
        found.append(ENDED[ended].replace(items=ids))
    if not any(section.items for section in sections):
        return [*found, VerdictReason(message=msg("Nothing was checked: nothing to check is no GO"))]
    empty = [section.title for section in sections if not section.items]
    return found + [
        VerdictReason(message=msg("Section {section} has nothing to check", section=title)) for title in empty
    ]


def partial_run_reservation(count: int, left_out: Sequence[str]) -> list[VerdictReason]:
    """A reservation where only a part of the checklist was run: what was not asked is not passed."""
    if not left_out:
        return []
    total = count + len(left_out)
    return [
        VerdictReason(message=msg("Only {count} of the {total} items were chosen to run", count=count, total=total))
    ]


def _blocks(item: ItemResult) -> bool:
    return item.severity is Severity.BLOCKING and item.status in _ORDER


def _against(items: Iterable[ItemResult]) -> list[VerdictReason]:
    """What stands against a GO, one reason a root cause: what was not there first, then fail, error and skip."""
    return _group_by_cause([item for item in items if _blocks(item)])


def _group_by_cause(items: list[ItemResult]) -> list[VerdictReason]:
    groups: dict[str, list[ItemResult]] = {}
    for item in items:
        groups.setdefault(item.outcome.cause or f"item:{item.id}", []).append(item)
    down = "\n".join(_said(item) for cause, group in groups.items() if cause.startswith(_DOWN) for item in group)
    ranked = sorted(groups.items(), key=lambda pair: _sort_key(pair[0], pair[1], down))
    return [_reason(cause, group) for cause, group in ranked]


def _said(item: ItemResult) -> str:
    """Return what is known of why a target is down: the reason, and its log."""
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
    """Return whether an item fails because of a file that a target which is down complains of."""
    if item.status is not Status.FAIL or (item.outcome.cause or "").startswith(_DOWN):
        return False
    names = {PurePosixPath(place.file).name for place in item.outcome.evidence.locations}
    return any(re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", down) for name in names if name)


def _reason(cause: str, group: list[ItemResult]) -> VerdictReason:
    """What is said is said of the worst: an item that was skipped because another failed is not the reason."""
    first = min(group, key=lambda item: _ORDER.index(item.status) if item.status in _ORDER else len(_ORDER))
    ids = tuple(item.id for item in group)
    if first.outcome.cause_message is None:
        message = msg("{item}: {message}", item=first.title, message=first.outcome.message)
    elif len(group) == 1:
        message = msg("{cause} (1 item)", cause=first.outcome.cause_message)
    else:
        message = msg("{cause} ({count} items)", cause=first.outcome.cause_message, count=len(group))
    return VerdictReason(message=message, items=ids, advice=first.outcome.advice)


def _reservations(items: list[ItemResult]) -> list[VerdictReason]:
    advisory = [item for item in items if item.severity is Severity.ADVISORY and item.status in _ORDER]
    found = _group_by_cause(advisory)
    for item in items:
        if item.status is Status.WAIVED and item.waiver:
            found.append(VerdictReason(message=_waived(item, item.waiver), items=(item.id,)))
        if item.status is Status.PASS:
            found += _item_reservations(item)
    return found


def _waived(item: ItemResult, waiver: Waiver) -> Message:
    return msg(
        "{item} is waived until {day} by {owner}: {reason}. {message}",
        item=item.title,
        day=waiver.expires.isoformat(),
        owner=waiver.owner,
        reason=waiver.reason,
        message=item.outcome.message,
    )


def _item_reservations(item: ItemResult) -> list[VerdictReason]:
    """What is to be said of an item that passed: more tries than one where one was expected, parts that are waived."""
    found = []
    if item.within is None and item.outcome.evidence.attempts > 1:
        message = msg("{item} passed only at try {tries}", item=item.title, tries=item.outcome.evidence.attempts)
        found.append(VerdictReason(message=message, items=(item.id,)))
    for row in item.outcome.rows:
        if row.status is Status.WAIVED:
            message = msg("{item}: {title}: {message}", item=item.title, title=row.title, message=row.message)
            found.append(VerdictReason(message=message, items=(item.id,)))
    return found


def _about_waivers(items: list[ItemResult], waivers: Sequence[Waiver], today: date) -> list[VerdictReason]:
    by_id = {item.id: item for item in items}
    found = []
    for waiver in waivers:
        item = by_id.get(waiver.item)
        if item is None:
            continue
        if not is_active(waiver, today):
            message = msg(
                "The waiver of {item} ended on {day} and counts for nothing", item=waiver.item, day=str(waiver.expires)
            )
            found.append(VerdictReason(message=message, items=(waiver.item,)))
        elif item.status is Status.PASS:
            message = msg("The waiver of {item} is stale: the item passes. Remove it", item=waiver.item)
            found.append(VerdictReason(message=message, items=(waiver.item,)))
    return found


def exit_code(decision: Decision, ended: str) -> int:
    """0 GO, 1 NO-GO, 3 the gate itself broke, 130 cancelled. (2 is a wrong checklist or call: there is no verdict.)"""
    if ended == "cancelled":
        return 130
    if ended == "broken":
        return 3
    return 1 if decision is Decision.NO_GO else 0
