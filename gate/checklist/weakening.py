"""Compare a checklist with that of the base branch and report everything that the change may weaken. Pure.

Every difference of an item or a target is reported unless the metadata of its field (`gate.core.strictness`) says that
such a change only makes the check stricter: a commit must not be able to loosen its own gate unnoticed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple, get_args

from gate.checklist.models import Checklist, Item
from gate.checks.entry import CheckEntry
from gate.core.messages import Message, msg
from gate.core.strictness import UNCLASSIFIED, Change, Strictness, find_strictness
from gate.decode.quantities import DurationSeconds, PositiveDurationSeconds, Quantity, format_duration
from gate.decode.structs import default_of, fields_by_key
from gate.matchers import MISSING, Matcher, json_equal, to_short_json
from gate.model import FrozenStruct, Severity, VerdictReason

# Fields of an item that say nothing about what it checks.
_LABEL_FIELDS = ("id", "title")
# Fields of an item that are compared apart from the others.
_LIMIT_FIELDS = ("within", "timeout", "check", "severity")


class _FieldChange(NamedTuple):
    """The values of a field before and after the change; MISSING if it has none."""

    path: str
    old: Any
    new: Any


def find_weakenings(base: Checklist, changed: Checklist) -> list[VerdictReason]:
    """Return a reservation for each change that may weaken the checklist, in the order of `base`."""
    items = {item.id: item for item in changed.items}
    messages = list(_compare_head(base, changed))
    messages += [message for item in base.items for message in _compare_items(item, items.get(item.id))]
    messages += [message for name in base.targets for message in _compare_targets(name, base, changed)]
    messages += _compare_waivers(base, changed)
    return [VerdictReason(message=msg("The checklist was changed: {what}", what=message)) for message in messages]


def _compare_items(old: Item, new: Item | None) -> Iterator[Message]:
    if new is None:
        yield msg("{item} was removed", item=old.id)
        return
    if old.severity is Severity.BLOCKING and new.severity is Severity.ADVISORY:
        yield msg("{item} is advisory, was blocking", item=old.id)
    if old.kind != new.kind:
        yield msg("{item} asks {new}, asked {old}", item=old.id, new=new.kind, old=old.kind)
    else:
        yield from (_describe(old.id, change) for change in _compare_entries(old, new, ""))


def _compare_targets(name: str, base: Checklist, changed: Checklist) -> Iterator[Message]:
    subject = msg("target {name}", name=name)
    if name not in changed.targets:
        yield msg("{item} was removed", item=subject)
    else:
        yield from (
            _describe(subject, change) for change in _compare_structs(base.targets[name], changed.targets[name], "")
        )


def _describe(subject: str | Message, change: _FieldChange) -> Message:
    path, was, now = change.path, to_short_json(_to_plain_data(change.old)), to_short_json(_to_plain_data(change.new))
    if _is_absent(change.new):
        return msg("{item}: {key} is no longer expected, was {was}", item=subject, key=path, was=was)
    if _is_absent(change.old):
        return msg("{item}: {key} is new: {now}", item=subject, key=path, now=now)
    return msg("{item}: {key} is {now}, was {was}", item=subject, key=path, now=now, was=was)


def _is_absent(value: Any) -> bool:
    return value is MISSING or value is None or value in ([], {})


def _compare_entries(old: CheckEntry, new: CheckEntry, path: str) -> Iterator[_FieldChange]:
    """Yield the changes of a check and of its limits."""
    yield from _compare_limits(old, new, path)
    names = [name for name in type(old).__struct_fields__ if name not in (*_LIMIT_FIELDS, *_LABEL_FIELDS)]
    yield from _compare_fields(old, new, path, names)
    if old.kind != new.kind:
        yield _FieldChange(path, old.kind, new.kind)
    else:
        yield from _compare_structs(old.check, new.check, path)


def _compare_limits(old: CheckEntry, new: CheckEntry, path: str) -> Iterator[_FieldChange]:
    """Yield `within` and `timeout` if the check is given more time. A default counts like the same value written."""
    retries_longer = new.within is not None and (old.within is None or new.within > old.within)
    if retries_longer or (new.within is None and old.within is not None and new.total_timeout > old.total_timeout):
        yield _FieldChange(_join_path(path, "within"), _as_duration(old.within), _as_duration(new.within))
    if new.attempt_timeout > old.attempt_timeout:
        old_timeout, new_timeout = _as_duration(old.attempt_timeout), _as_duration(new.attempt_timeout)
        yield _FieldChange(_join_path(path, "timeout"), old_timeout, new_timeout)


def _as_duration(seconds: float | None) -> Quantity | None:
    """Return seconds as a value that is displayed with its unit; None for no limit."""
    return None if seconds is None or math.isinf(seconds) else Quantity(seconds, format_duration(seconds))


def _compare_structs(old: FrozenStruct, new: FrozenStruct, path: str) -> Iterator[_FieldChange]:
    if type(old) is type(new):
        yield from _compare_fields(old, new, path, list(type(old).__struct_fields__))
    else:
        yield _FieldChange(path, old, new)


def _compare_fields(old: FrozenStruct, new: FrozenStruct, path: str, names: list[str]) -> Iterator[_FieldChange]:
    fields = {field.name: field for field in fields_by_key(type(old)).values()}
    for name in names:
        field, was, now = fields[name], getattr(old, name), getattr(new, name)
        if _is_duration(field.type):
            was, now = _as_duration(was), _as_duration(now)
        strictness = find_strictness(field.type) or UNCLASSIFIED
        yield from _compare_values(was, now, _join_path(path, field.encode_name), strictness)


def _is_duration(field_type: Any) -> bool:
    return field_type in (DurationSeconds, PositiveDurationSeconds) or any(map(_is_duration, get_args(field_type)))


def _join_path(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _compare_values(old: Any, new: Any, path: str, strictness: Strictness) -> Iterator[_FieldChange]:
    """Yield the smallest parts that differ, without changes that only make the check stricter."""
    changes = strictness.changes
    if "fewer" in changes and isinstance(old, list | None) and isinstance(new, list | None):
        yield from _compare_exemptions(old or [], new or [], path, strictness.entry_key)
        return
    if _is_stricter(old, new, changes):
        return
    if isinstance(old, CheckEntry) and isinstance(new, CheckEntry):
        yield from _compare_entries(old, new, path)
    elif isinstance(old, FrozenStruct) and isinstance(new, FrozenStruct):
        yield from _compare_structs(old, new, path)
    elif isinstance(old, dict) and isinstance(new, dict):
        yield from _compare_members(old, new, {key: _join_path(path, str(key)) for key in (*old, *new)}, strictness)
    elif isinstance(old, list) and isinstance(new, list):
        old_entries = dict(enumerate(old))
        new_entries = dict(enumerate(_in_order_of(old, new) if "more" in changes else new))
        paths = {number: f"{path}[{number}]" for number in (*old_entries, *new_entries)}
        yield from _compare_members(old_entries, new_entries, paths, strictness)
    else:
        yield _FieldChange(path, old, new)


def _compare_exemptions(old: list[Any], new: list[Any], path: str, key: str) -> Iterator[_FieldChange]:
    """Yield exemptions that are new, last longer or have another owner.

    `key` is the field that identifies one; exemptions without a key are texts, each its own name.
    """
    if not key:
        yield from (_FieldChange(f"{path}[{entry}]", MISSING, entry) for entry in new if entry not in old)
        return
    old_entries = {getattr(entry, key): entry for entry in old}
    for entry in new:
        name = getattr(entry, key)
        before, entry_path = old_entries.get(name), f"{path}[{name}]"
        if before is None:
            exemption = f"may fail until {entry.expires.isoformat()} ({entry.owner}: {entry.reason})"
            yield _FieldChange(entry_path, MISSING, exemption)
            continue
        if entry.expires > before.expires:
            yield _FieldChange(f"{entry_path}.expires", before.expires.isoformat(), entry.expires.isoformat())
        if entry.owner != before.owner:
            yield _FieldChange(f"{entry_path}.owner", before.owner, entry.owner)


def _is_stricter(old: Any, new: Any, changes: frozenset[Change]) -> bool:
    """Return whether the values are equal or the new one only makes the check stricter."""
    if isinstance(old, Matcher) and isinstance(new, Matcher):
        is_expectation = bool(changes & {"set", "narrower", "more"})
        return new.is_stricter_than(old) if is_expectation else json_equal(old.spec, new.spec)
    if _is_absent(old) and not _is_absent(new):
        return "set" in changes
    if changes & {"lower", "higher"} and not _is_absent(new):
        return bool(new <= old) if "lower" in changes else bool(new >= old)
    plain = not isinstance(old, FrozenStruct | Matcher | dict | list)
    return plain and json_equal(old, new)


def _compare_members(
    old: dict[Any, Any], new: dict[Any, Any], paths: dict[Any, str], strictness: Strictness
) -> Iterator[_FieldChange]:
    """Yield the changes of the members of two mappings, or of two lists by number."""
    for key in dict.fromkeys([*old, *(() if "more" in strictness.changes else new)]):
        yield from _compare_values(old.get(key, MISSING), new.get(key, MISSING), paths[key], strictness)


def _in_order_of(old: list[Any], new: list[Any]) -> list[Any]:
    """Return the entries of `new` at their places in `old`: another order of names is no change."""
    if not all(isinstance(entry, str) for entry in (*old, *new)):
        return new
    return [entry if entry in new else MISSING for entry in old]


def _to_plain_data(value: Any) -> Any:
    """Return a value as the checklist could give it, without keys that have their default."""
    if isinstance(value, Matcher):
        return value.spec
    if isinstance(value, FrozenStruct):
        kind, fields = getattr(type(value), "kind", None), sorted(fields_by_key(type(value)).items())
        values = {key: (getattr(value, field.name), default_of(field)) for key, field in fields}
        plain = {key: _to_plain_data(current) for key, (current, default) in values.items() if current != default}
        return {kind: plain} if isinstance(kind, str) else plain
    if isinstance(value, dict):
        return {str(key): _to_plain_data(entry) for key, entry in value.items()}
    return [_to_plain_data(entry) for entry in value] if isinstance(value, list | tuple) else value


def _compare_head(base: Checklist, changed: Checklist) -> Iterator[Message]:
    for name in ("service", "environment"):
        before, after = getattr(base, name), getattr(changed, name)
        if before != after:
            yield msg("{key} is {now}, was {was}", key=name, now=to_short_json(after), was=to_short_json(before))
    yield from (_describe("compose", change) for change in _compare_structs(base.compose, changed.compose, ""))


def _compare_waivers(base: Checklist, changed: Checklist) -> Iterator[Message]:
    old_waivers = {waiver.item: waiver for waiver in base.waivers}
    for waiver in changed.waivers:
        old = old_waivers.get(waiver.item)
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
