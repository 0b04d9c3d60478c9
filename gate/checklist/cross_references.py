"""Find references to unknown targets and items, duplicate ids, and dependency cycles in a checklist."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import date, timedelta
from functools import cache
from typing import Any, get_args

from msgspec import Struct

from gate.checklist.errors import Diagnostic, SourceLocation
from gate.checklist.models import Checklist, Item, WaiverPolicy
from gate.checks import CHECKS
from gate.checks.base import Check, TargetRef
from gate.checks.entry import CheckEntry
from gate.checks.tcp import Tcp
from gate.decode.structs import KeyPath, ValidationError, suggestion
from gate.decode.structs import decode_all_errors as read_as
from gate.decode.structs import fields_by_key as fields_of
from gate.drills.protocol import DrillCheck
from gate.model import FrozenStruct
from gate.staging.spec import Target


class ItemReferences(Struct, frozen=True):
    """The references of one item and its path in the file. `targets` are those that its check names."""

    path: KeyPath
    id: str
    requires: list[tuple[KeyPath, str]]
    needs: list[tuple[KeyPath, str]]
    targets: list[tuple[KeyPath, str]]


def check_references(
    data: Any, checklist: Checklist | None, places: Mapping[KeyPath, SourceLocation]
) -> list[Diagnostic]:
    """Return a diagnostic for every broken reference and duplicate id.

    Reads the plain data, so that no other error hides them. `checklist` is None if the data could not be decoded.
    """
    lines = list(_lines(data, checklist))
    problems = [
        *_duplicates(data, lines, places),
        *_targets(data, checklist, lines),
        *_needs(lines),
        *_waivers(data, lines),
    ]
    problems += [*_unsupported_faults(data, checklist), *_targets_without_port(data, checklist)]
    return [Diagnostic(_place(path, places), text) for path, text in problems]


def _place(path: KeyPath, places: Mapping[KeyPath, SourceLocation]) -> SourceLocation:
    while path not in places:
        path = path[:-1]
    return places[path]


Found = Iterator[tuple[KeyPath, str]]
_BRANCHES = (FrozenStruct, list, tuple, dict)


def _entries(data: Any, key: str) -> list[tuple[int, dict[str, Any]]]:
    """Return the mappings of the list under a key, with their indexes; nothing if there is no such list."""
    entries = data.get(key) if isinstance(data, dict) else None
    return (
        [(n, entry) for n, entry in enumerate(entries) if isinstance(entry, dict)] if isinstance(entries, list) else []
    )


def _names(data: dict[str, Any], path: KeyPath, key: str) -> list[tuple[KeyPath, str]]:
    entries = data.get(key)
    names = enumerate(entries) if isinstance(entries, list) else ()
    return [((*path, key, number), name) for number, name in names if isinstance(name, str)]


def _lines(data: Any, checklist: Checklist | None) -> Iterator[ItemReferences]:
    for number, section in _entries(data, "sections"):
        for position, item in _entries(section, "items"):
            path: KeyPath = ("sections", number, "items", position)
            named = (
                iter_target_refs(checklist.sections[number].items[position])
                if checklist
                else _targets_despite_errors(item)
            )
            yield ItemReferences(
                path,
                item["id"] if isinstance(item.get("id"), str) else "",
                _names(item, path, "requires"),
                _names(item, path, "needs"),
                [((*path, *where), name) for where, name in named],
            )


def _targets_despite_errors(data: Any) -> Iterator[tuple[KeyPath, str]]:
    """Yield the targets that an item's check names, as far as they can be found in data with errors."""
    for kind in [key for key in data if key in CHECKS.kinds()] if isinstance(data, dict) else []:
        model, fields = CHECKS.get_class(kind), data[kind]
        try:
            yield from iter_target_refs(read_as(fields, model), (kind,))
        except ValidationError:
            for name, value in fields.items() if isinstance(fields, dict) else ():
                if isinstance(value, str) and any(key == name and refers for _, key, refers in _fields(model)):
                    yield (kind, name), value
                for number, entry in enumerate(value) if isinstance(value, list) else ():
                    yield from (
                        ((kind, name, number, *where), target) for where, target in _targets_despite_errors(entry)
                    )


def _duplicates(data: Any, lines: list[ItemReferences], places: Mapping[KeyPath, SourceLocation]) -> Found:
    sections = [(("sections", number, "id"), section.get("id")) for number, section in _entries(data, "sections")]
    for word, ids in (("section", sections), ("item", [((*line.path, "id"), line.id) for line in lines])):
        first: dict[str, KeyPath] = {}
        for path, name in ids:
            if not isinstance(name, str) or not name:
                continue
            if name in first:
                where = places[first[name]]
                yield path, f"{word} '{name}' stands twice, expected every id once: first in {where}"
            first.setdefault(name, path)


def _targets(data: Any, checklist: Checklist | None, lines: list[ItemReferences]) -> Found:
    targets = data.get("targets", {}) if isinstance(data, dict) else {}
    if not isinstance(targets, dict):
        return
    yield from _start_dependencies(targets, checklist)
    for line in lines:
        for path, name in [*line.requires, *line.targets]:
            if name not in targets:
                yield path, _unknown("target", name, targets)


def _start_dependencies(targets: Mapping[str, Any], checklist: Checklist | None) -> Found:
    before = {name: list(_before(name, entry, checklist)) for name, entry in targets.items()}
    steps = {name: [dependency for _, dependency in names] for name, names in before.items()}
    for target, names in before.items():
        for path, name in names:
            if name not in targets:
                yield path, _unknown("target", name, targets)
            elif _has_cycle(name, target, steps):
                yield path, f"'{name}' comes after this target: expected no circle"


def _unsupported_faults(data: Any, checklist: Checklist | None) -> Found:
    """Yield the targets that don't support the fault of an item, if both can be decoded."""
    targets = checklist.targets if checklist else dict(_readable_targets(data))
    for path, kind, check in _readable_checks(data, checklist):
        for key, name, why in check.unsupported_targets(targets) if isinstance(check, DrillCheck) else ():
            places = {named: where for where, named in iter_target_refs(getattr(check, key), (kind, key))}
            yield (*path, *places[name]), f"target '{name}': {why}"


def _targets_without_port(data: Any, checklist: Checklist | None) -> Found:
    """Yield the items that ask the port of a process which has none; a container's are found in its image."""
    targets = checklist.targets if checklist else dict(_readable_targets(data))
    for path, kind, check in _readable_checks(data, checklist):
        target = targets.get(check.target or "") if isinstance(check, Tcp) and check.port is None else None
        is_process = target is not None and target.start is not None and target.start.kind == "command"
        if target and is_process and not target.url and target.port is None:
            yield (*path, kind, "target"), "the target has neither 'url' nor 'port'; add one to it, or 'port' here"


def _readable_targets(data: Any) -> Iterator[tuple[str, Target]]:
    targets = data.get("targets") if isinstance(data, dict) else None
    for name, entry in targets.items() if isinstance(targets, dict) else ():
        with suppress(ValidationError):
            yield name, read_as(entry, Target)


def _readable_checks(data: Any, checklist: Checklist | None) -> Iterator[tuple[KeyPath, str, Check[Any]]]:
    """Yield the checks that can be decoded, each with its item's path and its kind."""
    for number, section in _entries(data, "sections"):
        for position, item in _entries(section, "items"):
            path: KeyPath = ("sections", number, "items", position)
            if checklist:
                read = checklist.sections[number].items[position]
                yield path, read.kind, read.check
                continue
            for kind in [key for key in item if key in CHECKS.kinds()]:
                with suppress(ValidationError):
                    yield path, kind, read_as(item[kind], CHECKS.get_class(kind))


def _before(target: str, entry: Any, checklist: Checklist | None) -> Iterator[tuple[KeyPath, str]]:
    """Yield the targets that must start before one: those in its `after`, and those whose address it uses."""
    path: KeyPath = ("targets", target)
    named = _names(entry, path, "after") if isinstance(entry, dict) else []
    yield from named
    spec = checklist.targets[target] if checklist else None
    for name in spec.dependencies(target) if spec else ():
        if spec and spec.start and name not in [dependency for _, dependency in named]:
            key = next(key for key, texts in spec.start.texts.items() if any(f"{{{name}." in text for text in texts))
            yield (*path, "start", key), name


def iter_target_refs(value: object, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Yield every field of type `TargetName` below a model, with its path and value."""
    if isinstance(value, list | tuple):
        for number, entry in enumerate(value):
            yield from iter_target_refs(entry, (*path, number))
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield from iter_target_refs(entry, (*path, key))
    elif isinstance(value, FrozenStruct):
        yield from _named_in(value, path)


def required_targets(items: Iterable[Item], targets: Mapping[str, Target]) -> list[str]:
    """Return the targets that some items require or use, and those they depend on, in the checklist's order."""
    waiting = [name for item in items for name in [*item.requires, *(name for _, name in iter_target_refs(item))]]
    required: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in targets and name not in required:
            required.add(name)
            waiting.extend(targets[name].dependencies(name))
    return [name for name in targets if name in required]


def _named_in(model: FrozenStruct, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    for name, alias, refers in _fields(type(model)):
        value = getattr(model, name)
        key = model.kind if name == "check" and isinstance(model, CheckEntry) else alias
        if not refers:
            if isinstance(value, _BRANCHES):
                yield from iter_target_refs(value, (*path, key))
        elif isinstance(value, str):
            yield (*path, key), value
        elif isinstance(value, list | tuple):
            yield from (((*path, key, number), entry) for number, entry in enumerate(value))


@cache
def _fields(model: type[FrozenStruct]) -> tuple[tuple[str, str, bool], ...]:
    """Return the fields that may name targets: field name, key in the file, and whether it names one directly."""
    fields = ((field.name, name, field.type, _is_target_ref((field.type,))) for name, field in fields_of(model).items())
    return tuple(
        (name, alias, refers)
        for name, alias, field_type, refers in fields
        if refers or _may_contain_targets(field_type)
    )


def _may_contain_targets(field_type: Any) -> bool:
    """Return whether a value of this type may name a target, directly or at any depth."""
    model = getattr(field_type, "model", field_type)
    if isinstance(model, type) and issubclass(model, FrozenStruct):
        return bool(_fields(model))
    return field_type is Any or any(map(_may_contain_targets, get_args(field_type)))


def _is_target_ref(parts: Iterable[Any]) -> bool:
    """Return whether `TargetRef` is in the metadata or the type arguments of a field."""
    return any(
        part is TargetRef
        or isinstance(part, TargetRef)
        or _is_target_ref((*get_args(part), *getattr(part, "__metadata__", ())))
        for part in parts
    )


def _needs(lines: list[ItemReferences]) -> Found:
    items = {line.id: [name for _, name in line.needs] for line in lines if line.id}
    for line in lines:
        for path, name in line.needs:
            if name not in items:
                yield path, _unknown("item", name, items)
            elif _has_cycle(name, line.id, items):
                yield path, f"needs '{name}', which needs this item: expected no circle"


def _has_cycle(start: str, goal: str, steps: Mapping[str, list[str]]) -> bool:
    observation, waiting = set(), deque([start])
    while waiting:
        name = waiting.popleft()
        if name == goal:
            return True
        if name not in observation and name in steps:
            observation.add(name)
            waiting.extend(steps[name])
    return False


def _waivers(data: Any, lines: list[ItemReferences]) -> Found:
    items = {line.id: line for line in lines if line.id}
    waivers = _entries(data, "waivers")
    observation: set[str] = set()
    for number, waiver in waivers:
        name, path = waiver.get("item"), ("waivers", number, "item")
        if not isinstance(name, str):
            continue
        if name not in items:
            yield path, _unknown("item", name, items)
        if name in observation:
            yield path, f"item '{name}' is waived twice, expected it once"
        observation.add(name)
    yield from _against_policy(data, waivers)


def _against_policy(data: dict[str, Any], waivers: list[tuple[int, dict[str, Any]]]) -> Found:
    try:
        policy = read_as(data.get("waiver_policy", {}), WaiverPolicy)
    except ValidationError:
        return
    latest = date.today() + timedelta(days=policy.max_days) if policy.max_days is not None else date.max
    for number, waiver in waivers:
        expires = _day(waiver.get("expires"))
        if expires is not None and expires > latest:
            text = f"reaches until {expires}, expected {latest} at the latest: {policy.max_days} days (waiver_policy)"
            yield ("waivers", number, "expires"), text
    if policy.max is not None and len(waivers) > policy.max:
        yield ("waivers",), f"{len(waivers)} waivers stand here, expected at most {policy.max} (waiver_policy)"


def _day(value: Any) -> date | None:
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        return None


def _unknown(word: str, name: str, choices: Mapping[str, object]) -> str:
    names = ", ".join(f"'{choice}'" for choice in list(choices)[:12]) or "none: there are none"
    return f"unknown {word} '{name}', expected one of {names}{suggestion(name, choices)}"
