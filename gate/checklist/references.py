"""Finds what a checklist names that is not there: targets, items; and ids that stand twice."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import date, timedelta
from functools import cache
from typing import Any, get_args

from msgspec import Struct

from gate.checklist.models import Checklist, Item, WaiverPolicy
from gate.checklist.problems import Place, Problem
from gate.checks import CHECKS
from gate.checks.asked import Asked
from gate.checks.base import Check, Refers
from gate.model import Model
from gate.staging.spec import Target
from gate.written import Mistaken, Path_, nearest
from gate.written import fields as fields_of
from gate.written import read as read_as


class Line(Struct, frozen=True):
    """What an item says of others, and where it stands. `targets` are those that its check names."""

    path: Path_
    id: str
    requires: list[tuple[Path_, str]]
    needs: list[tuple[Path_, str]]
    targets: list[tuple[Path_, str]]


def references(data: Any, checklist: Checklist | None, places: Mapping[Path_, Place]) -> list[Problem]:
    """Every broken reference and duplicate id, with its place.

    Read from the plain data, so that nothing else that is wrong with a checklist hides them: `checklist` is None then.
    """
    lines = list(_lines(data, checklist))
    found = [*_duplicates(data, lines), *_targets(data, checklist, lines), *_needs(lines), *_waivers(data, lines)]
    found += _unfit(data, checklist)
    return [Problem(_place(path, places), text) for path, text in found]


def _place(path: Path_, places: Mapping[Path_, Place]) -> Place:
    while path not in places:
        path = path[:-1]
    return places[path]


Found = Iterator[tuple[Path_, str]]
_BRANCHES = (Model, list, tuple, dict)


def _entries(data: Any, key: str) -> list[tuple[int, dict[str, Any]]]:
    """The mappings of a list under a key, with their numbers; none where no such list is."""
    found = data.get(key) if isinstance(data, dict) else None
    return [(n, entry) for n, entry in enumerate(found) if isinstance(entry, dict)] if isinstance(found, list) else []


def _names(data: dict[str, Any], path: Path_, key: str) -> list[tuple[Path_, str]]:
    found = data.get(key)
    names = enumerate(found) if isinstance(found, list) else ()
    return [((*path, key, number), name) for number, name in names if isinstance(name, str)]


def _lines(data: Any, checklist: Checklist | None) -> Iterator[Line]:
    for number, section in _entries(data, "sections"):
        for position, item in _entries(section, "items"):
            path: Path_ = ("sections", number, "items", position)
            named = named_targets(checklist.sections[number].items[position]) if checklist else _named_anyway(item)
            yield Line(
                path,
                item["id"] if isinstance(item.get("id"), str) else "",
                _names(item, path, "requires"),
                _names(item, path, "needs"),
                [((*path, *where), name) for where, name in named],
            )


def _named_anyway(asked: Any) -> Iterator[tuple[Path_, str]]:
    """The targets that an item's check names, as far as they can be told where it, or another part, is wrong."""
    for kind in [key for key in asked if key in CHECKS.names()] if isinstance(asked, dict) else []:
        model, given = CHECKS.load(kind), asked[kind]
        try:
            yield from named_targets(read_as(given, model), (kind,))
        except Mistaken:
            for name, value in given.items() if isinstance(given, dict) else ():
                if isinstance(value, str) and any(key == name and refers for _, key, refers in _fields(model)):
                    yield (kind, name), value
                for number, entry in enumerate(value) if isinstance(value, list) else ():
                    yield from (((kind, name, number, *where), target) for where, target in _named_anyway(entry))


def _duplicates(data: Any, lines: list[Line]) -> Found:
    sections = [(("sections", number, "id"), section.get("id")) for number, section in _entries(data, "sections")]
    for word, ids in (("section", sections), ("item", [((*line.path, "id"), line.id) for line in lines])):
        seen: set[str] = set()
        for path, name in ids:
            if not isinstance(name, str) or not name:
                continue
            if name in seen:
                yield path, f"{word} '{name}' stands twice, expected every id once"
            seen.add(name)


def _targets(data: Any, checklist: Checklist | None, lines: list[Line]) -> Found:
    known = data.get("targets", {}) if isinstance(data, dict) else {}
    if not isinstance(known, dict):
        return
    yield from _befores(known, checklist)
    for line in lines:
        for path, name in [*line.requires, *line.targets]:
            if name not in known:
                yield path, _unknown("target", name, known)


def _befores(known: Mapping[str, Any], checklist: Checklist | None) -> Found:
    before = {name: list(_before(name, entry, checklist)) for name, entry in known.items()}
    steps = {name: [other for _, other in names] for name, names in before.items()}
    for target, names in before.items():
        for path, name in names:
            if name not in known:
                yield path, _unknown("target", name, known)
            elif _reaches(name, target, steps):
                yield path, f"'{name}' comes after this target: expected no circle"


def _unfit(data: Any, checklist: Checklist | None) -> Found:
    """Targets to which it can't be done what an item does, where both can be read."""
    targets = checklist.targets if checklist else dict(_readable_targets(data))
    for path, kind, check in _readable_checks(data, checklist):
        for key, name, why in check.unfit(targets):
            places = {named: where for where, named in named_targets(getattr(check, key), (kind, key))}
            yield (*path, *places[name]), f"target '{name}': {why}"


def _readable_targets(data: Any) -> Iterator[tuple[str, Target]]:
    known = data.get("targets") if isinstance(data, dict) else None
    for name, entry in known.items() if isinstance(known, dict) else ():
        with suppress(Mistaken):
            yield name, read_as(entry, Target)


def _readable_checks(data: Any, checklist: Checklist | None) -> Iterator[tuple[Path_, str, Check[Any]]]:
    """The checks that can be read: where their items stand, their kinds, and themselves."""
    for number, section in _entries(data, "sections"):
        for position, item in _entries(section, "items"):
            path: Path_ = ("sections", number, "items", position)
            if checklist:
                read = checklist.sections[number].items[position]
                yield path, read.kind, read.check
                continue
            for kind in [key for key in item if key in CHECKS.names()]:
                with suppress(Mistaken):
                    yield path, kind, read_as(item[kind], CHECKS.load(kind))


def _before(target: str, entry: Any, checklist: Checklist | None) -> Iterator[tuple[Path_, str]]:
    """The targets that come before one: those of its `after`, and those whose address it gets."""
    path: Path_ = ("targets", target)
    named = _names(entry, path, "after") if isinstance(entry, dict) else []
    yield from named
    for name in checklist.targets[target].awaits if checklist else ():
        if name not in [other for _, other in named]:
            yield (*path, "start", "environment"), name


def named_targets(value: object, path: Path_ = ()) -> Iterator[tuple[Path_, str]]:
    """Every field of type `TargetName` below a model, with its path and value."""
    if isinstance(value, list | tuple):
        for number, entry in enumerate(value):
            yield from named_targets(entry, (*path, number))
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield from named_targets(entry, (*path, key))
    elif isinstance(value, Model):
        yield from _named_in(value, path)


def wanted(items: Iterable[Item], targets: Mapping[str, Target]) -> list[str]:
    """The targets that some items require or talk to, and those that come before them, in the checklist's order."""
    waiting = [name for item in items for name in [*item.requires, *(name for _, name in named_targets(item))]]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in targets and name not in found:
            found.add(name)
            waiting.extend(targets[name].awaits)
    return [name for name in targets if name in found]


def _named_in(model: Model, path: Path_) -> Iterator[tuple[Path_, str]]:
    for name, alias, refers in _fields(type(model)):
        value = getattr(model, name)
        key = model.kind if name == "check" and isinstance(model, Asked) else alias
        if not refers:
            if isinstance(value, _BRANCHES):
                yield from named_targets(value, (*path, key))
        elif isinstance(value, str):
            yield (*path, key), value
        elif isinstance(value, list | tuple):
            yield from (((*path, key, number), entry) for number, entry in enumerate(value))


@cache
def _fields(model: type[Model]) -> tuple[tuple[str, str, bool], ...]:
    """The fields in or below which targets may be named: their names, how a checklist writes them, whether they do."""
    known = ((field.name, name, field.type, _refers((field.type,))) for name, field in fields_of(model).items())
    return tuple((name, alias, refers) for name, alias, wanted, refers in known if refers or _leads_on(wanted))


def _leads_on(wanted: Any) -> bool:
    """Whether there may be a name of a target below a type: in a check or a fault, or in a model that names some."""
    model = getattr(wanted, "model", wanted)
    if isinstance(model, type) and issubclass(model, Model):
        return bool(_fields(model))
    return wanted is Any or any(map(_leads_on, get_args(wanted)))


def _refers(parts: Iterable[Any]) -> bool:
    """Whether `Refers` stands anywhere in the metadata or the type arguments of a field."""
    return any(
        part is Refers or isinstance(part, Refers) or _refers((*get_args(part), *getattr(part, "__metadata__", ())))
        for part in parts
    )


def _needs(lines: list[Line]) -> Found:
    items = {line.id: [name for _, name in line.needs] for line in lines if line.id}
    for line in lines:
        for path, name in line.needs:
            if name not in items:
                yield path, _unknown("item", name, items)
            elif _reaches(name, line.id, items):
                yield path, f"needs '{name}', which needs this item: expected no circle"


def _reaches(start: str, goal: str, steps: Mapping[str, list[str]]) -> bool:
    seen, waiting = set(), deque([start])
    while waiting:
        name = waiting.popleft()
        if name == goal:
            return True
        if name not in seen and name in steps:
            seen.add(name)
            waiting.extend(steps[name])
    return False


def _waivers(data: Any, lines: list[Line]) -> Found:
    items = {line.id: line for line in lines if line.id}
    waivers = _entries(data, "waivers")
    seen: set[str] = set()
    for number, waiver in waivers:
        name, path = waiver.get("item"), ("waivers", number, "item")
        if not isinstance(name, str):
            continue
        if name not in items:
            yield path, _unknown("item", name, items)
        if name in seen:
            yield path, f"item '{name}' is waived twice, expected it once"
        seen.add(name)
    yield from _against_policy(data, waivers)


def _against_policy(data: dict[str, Any], waivers: list[tuple[int, dict[str, Any]]]) -> Found:
    try:
        policy = read_as(data.get("waiver_policy", {}), WaiverPolicy)
    except Mistaken:
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


def _unknown(word: str, name: str, known: Mapping[str, object]) -> str:
    names = ", ".join(f"'{each}'" for each in list(known)[:12]) or "none: there are none"
    return f"unknown {word} '{name}', expected one of {names}{nearest(name, known)}"
