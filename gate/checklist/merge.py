"""Merge several checklists into one, as Compose files merge: later ones override.

Mappings merge key by key; `null` removes a key. Sections and items are found again by `id`, waivers by `item`; new ones
are added at the end. Any other list, and any item's check, is replaced whole: half an expectation is none.
"""

from __future__ import annotations

from gate.checklist.yaml_reader import Mapping, Scalar, Sequence, Tree

_IDS = {"sections": "id", "items": "id", "waivers": "item"}


def merge(base: Tree, over: Tree, key: str = "") -> Tree:
    """Return `base` overridden by `over`. `key` is the key that holds both."""
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        return _mappings(base, over, key)
    if isinstance(base, Sequence) and isinstance(over, Sequence) and key in _IDS:
        return _lists(base, over, key)
    return over


def _mappings(base: Mapping, over: Mapping, key: str) -> Mapping:
    merged = Mapping(over.place, dict(base.entries), dict(base.keys))
    if key == "items":
        _drop_replaced_check(merged, over)
    for name, value in over.entries.items():
        base_value = base.entries.get(name)
        if base_value is not None and isinstance(value, Scalar) and value.value is None and not value.blank:
            del merged.entries[name], merged.keys[name]
            continue
        whole = base_value is None or key == "items"
        merged.entries[name] = value if whole or base_value is None else merge(base_value, value, name)
        merged.keys[name] = over.keys[name]
    return merged


def _drop_replaced_check(merged: Mapping, over: Mapping) -> None:
    from gate.checks import CHECKS

    if any(name in CHECKS.kinds() for name in over.entries):
        for name in [name for name in merged.entries if name in CHECKS.kinds()]:
            del merged.entries[name], merged.keys[name]


def _lists(base: Sequence, over: Sequence, key: str) -> Sequence:
    entries = list(base.entries)
    where = {_id(entry, key): number for number, entry in enumerate(entries)}
    for entry in over.entries:
        number = where.get(_id(entry, key))
        if number is None or _id(entry, key) is None:
            entries.append(entry)
        else:
            entries[number] = merge(entries[number], entry, key)
    return Sequence(base.place, entries)


def _id(entry: Tree, key: str) -> str | None:
    value = entry.entries.get(_IDS[key]) if isinstance(entry, Mapping) else None
    return str(value.value) if isinstance(value, Scalar) else None
