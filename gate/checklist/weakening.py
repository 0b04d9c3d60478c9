"""What a change of the checklist makes weaker: a gate that its own commit loosens is walked around. Pure.

Whatever an item or a target says otherwise than before is told, unless it is known to only ask more.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple, get_args

from msgspec import structs

from gate.checklist.models import Checklist, Item
from gate.checks.entry import CheckEntry
from gate.core.messages import Message, msg
from gate.core.strictness import UNCLASSIFIED, Change, Strictness, find_strictness
from gate.decode.quantities import DurationSeconds, PositiveDurationSeconds, Quantity, format_duration
from gate.decode.structs import default_of, fields_by_key
from gate.matchers import MISSING, Matcher, json_equal, to_short_json
from gate.model import FrozenStruct, Severity, VerdictReason

_SAID = ("id", "title")


class _FieldChange(NamedTuple):
    """What stands at a path now, and what stood there."""

    path: str
    old: Any
    new: Any


def find_weakenings(base: Checklist, changed: Checklist) -> list[VerdictReason]:
    """Every way in which `changed` asks less than `base`, or other things: one reservation each, in base's order."""
    items = {item.id: item for item in changed.items}
    found = list(_head(base, changed))
    found += [message for item in base.items for message in _item(item, items.get(item.id))]
    found += [message for name in base.targets for message in _target(name, base, changed)]
    found += _waivers(base, changed)
    return [VerdictReason(message=msg("The checklist was changed: {what}", what=message)) for message in found]


def _item(old: Item, new: Item | None) -> Iterator[Message]:
    if new is None:
        yield msg("{item} was removed", item=old.id)
        return
    if old.severity is Severity.BLOCKING and new.severity is Severity.ADVISORY:
        yield msg("{item} is advisory, was blocking", item=old.id)
    if old.kind != new.kind:
        yield msg("{item} asks {new}, asked {old}", item=old.id, new=new.kind, old=old.kind)
    else:
        yield from (_told(old.id, change) for change in _asked(old, new, ""))


def _target(name: str, base: Checklist, changed: Checklist) -> Iterator[Message]:
    subject = msg("target {name}", name=name)
    if name not in changed.targets:
        yield msg("{item} was removed", item=subject)
    else:
        yield from (_told(subject, change) for change in _model(base.targets[name], changed.targets[name], ""))


def _told(subject: str | Message, change: _FieldChange) -> Message:
    at, was, now = change.path, to_short_json(_plain(change.old)), to_short_json(_plain(change.new))
    if _absent(change.new):
        return msg("{item}: {key} is no longer expected, was {was}", item=subject, key=at, was=was)
    if _absent(change.old):
        return msg("{item}: {key} is new: {now}", item=subject, key=at, now=now)
    return msg("{item}: {key} is {now}, was {was}", item=subject, key=at, now=now, was=was)


def _absent(value: Any) -> bool:
    return value is MISSING or value is None or value in ([], {})


def _asked(old: CheckEntry, new: CheckEntry, at: str) -> Iterator[_FieldChange]:
    """What is asked, and how patiently: `timeout` counts as it is where the checklist does not say it."""
    yield from _patience(old, new, at)
    yield from _fields(old, new, at, [name for name in type(old).__struct_fields__ if name not in (*_LIMITS, *_SAID)])
    if old.kind != new.kind:
        yield _FieldChange(at, old.kind, new.kind)
    else:
        yield from _model(old.check, new.check, at)


_LIMITS = ("within", "timeout", "check", "severity")
"""Fields of an item that are compared in a way of their own."""


def _patience(old: CheckEntry, new: CheckEntry, at: str) -> Iterator[_FieldChange]:
    tries_longer = new.within is not None and (old.within is None or new.within > old.within)
    if tries_longer or (new.within is None and old.within is not None and new.total_timeout > old.total_timeout):
        yield _FieldChange(_join(at, "within"), _seconds(old.within), _seconds(new.within))
    if new.attempt_timeout > old.attempt_timeout:
        yield _FieldChange(_join(at, "timeout"), _seconds(old.attempt_timeout), _seconds(new.attempt_timeout))


def _seconds(value: float | None) -> Quantity | None:
    return None if value is None or math.isinf(value) else Quantity(value, format_duration(value))


def _model(old: FrozenStruct, new: FrozenStruct, at: str) -> Iterator[_FieldChange]:
    if type(old) is type(new):
        yield from _fields(old, new, at, list(type(old).__struct_fields__))
    else:
        yield _FieldChange(at, old, new)


def _fields(old: FrozenStruct, new: FrozenStruct, at: str, names: list[str]) -> Iterator[_FieldChange]:
    for name in names:
        known = _known(type(old))[name]
        key, was, now = known.encode_name, getattr(old, name), getattr(new, name)
        if _is_duration(known.type):
            was, now = _seconds(was), _seconds(now)
        yield from _differences(was, now, _join(at, key), find_strictness(known.type) or UNCLASSIFIED)


def _known(model: type[FrozenStruct]) -> dict[str, structs.FieldInfo]:
    """A model's fields by their own names."""
    return {field.name: field for field in fields_by_key(model).values()}


def _is_duration(wanted: Any) -> bool:
    return wanted in (DurationSeconds, PositiveDurationSeconds) or any(map(_is_duration, get_args(wanted)))


def _join(at: str, key: str) -> str:
    return f"{at}.{key}" if at else key


def _differences(old: Any, new: Any, at: str, strictness: Strictness) -> Iterator[_FieldChange]:
    """Where `new` is not `old`, down to the smallest part, without what is known to only ask more."""
    changes = strictness.changes
    if "fewer" in changes and isinstance(old, list) and isinstance(new, list):
        yield from _exemptions(old, new, at, strictness.entry_key)
        return
    if _asks_more(old, new, changes):
        return
    if isinstance(old, CheckEntry) and isinstance(new, CheckEntry):
        yield from _asked(old, new, at)
    elif isinstance(old, FrozenStruct) and isinstance(new, FrozenStruct):
        yield from _model(old, new, at)
    elif isinstance(old, dict) and isinstance(new, dict):
        yield from _entries(old, new, {key: _join(at, str(key)) for key in (*old, *new)}, strictness)
    elif isinstance(old, list) and isinstance(new, list):
        numbered = dict(enumerate(old)), dict(enumerate(_in_order(old, new) if "more" in changes else new))
        yield from _entries(*numbered, {number: f"{at}[{number}]" for one in numbered for number in one}, strictness)
    else:
        yield _FieldChange(at, old, new)


def _exemptions(old: list[Any], new: list[Any], at: str, key: str) -> Iterator[_FieldChange]:
    """Yield what may fail that might not before, or for longer, or under another owner."""
    known = {getattr(entry, key): entry for entry in old}
    for entry in new:
        name = getattr(entry, key)
        before, place = known.get(name), f"{at}[{name}]"
        if before is None:
            yield _FieldChange(
                place, MISSING, f"may fail until {entry.expires.isoformat()} ({entry.owner}: {entry.reason})"
            )
            continue
        if entry.expires > before.expires:
            yield _FieldChange(f"{place}.expires", before.expires.isoformat(), entry.expires.isoformat())
        if entry.owner != before.owner:
            yield _FieldChange(f"{place}.owner", before.owner, entry.owner)


def _asks_more(old: Any, new: Any, changes: frozenset[Change]) -> bool:
    """Whether the two are the same, or the new one is known to only ask more."""
    if isinstance(old, Matcher) and isinstance(new, Matcher):
        is_expectation = bool(changes & {"set", "narrower", "more"})
        return new.is_stricter_than(old) if is_expectation else json_equal(old.spec, new.spec)
    if _absent(old) and not _absent(new):
        return "set" in changes
    if changes & {"lower", "higher"} and not _absent(new):
        return bool(new <= old) if "lower" in changes else bool(new >= old)
    plain = not isinstance(old, FrozenStruct | Matcher | dict | list)
    return plain and json_equal(old, new)


def _entries(
    old: dict[Any, Any], new: dict[Any, Any], at: dict[Any, str], strictness: Strictness
) -> Iterator[_FieldChange]:
    for key in dict.fromkeys([*old, *(() if "more" in strictness.changes else new)]):
        yield from _differences(old.get(key, MISSING), new.get(key, MISSING), at[key], strictness)


def _in_order(old: list[Any], new: list[Any]) -> list[Any]:
    """The entries of `new` that stand in `old`, too, at their place there: names may be put in another order."""
    if not all(isinstance(entry, str) for entry in (*old, *new)):
        return new
    return [entry if entry in new else MISSING for entry in old]


def _plain(value: Any) -> Any:
    """What a checklist says, as plain data, without what it leaves to the defaults."""
    if isinstance(value, Matcher):
        return value.spec
    if isinstance(value, FrozenStruct):
        kind, inside = getattr(type(value), "kind", None), fields_by_key(type(value))
        given = {key: (getattr(value, field.name), default_of(field)) for key, field in sorted(inside.items())}
        said = {key: _plain(now) for key, (now, unsaid) in given.items() if now != unsaid}
        return {kind: said} if isinstance(kind, str) else said
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value


def _head(base: Checklist, changed: Checklist) -> Iterator[Message]:
    """What is judged, and where: another service or environment is another question."""
    for name in ("service", "environment"):
        before, after = getattr(base, name), getattr(changed, name)
        if before != after:
            yield msg("{key} is {now}, was {was}", key=name, now=to_short_json(after), was=to_short_json(before))


def _waivers(base: Checklist, changed: Checklist) -> Iterator[Message]:
    known = {waiver.item: waiver for waiver in base.waivers}
    for waiver in changed.waivers:
        old = known.get(waiver.item)
        if old is None:
            day = waiver.expires.isoformat()
            yield msg("{item} is waived until {day} by {owner}", item=waiver.item, day=day, owner=waiver.owner)
        elif waiver.expires > old.expires:
            now, was = waiver.expires.isoformat(), old.expires.isoformat()
            yield msg("the waiver of {item} lasts until {now}, was {was}", item=waiver.item, now=now, was=was)
        if old is not None and waiver.owner != old.owner:
            yield msg("the waiver of {item} is answered for by {now}, was by {was}",
                      item=waiver.item, now=waiver.owner, was=old.owner)  # fmt: skip
    for name in ("max", "max_days"):
        before, after = getattr(base.waiver_policy, name), getattr(changed.waiver_policy, name)
        if before is not None and (after is None or after > before):
            yield msg("waiver_policy.{key} is {now}, was {was}", key=name, now=to_short_json(after), was=before)
