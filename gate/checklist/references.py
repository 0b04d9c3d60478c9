"""Finds what a checklist names that is not there: targets, items; and ids that stand twice."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel

from gate.checklist.document import Path_
from gate.checklist.models import Checklist, Item
from gate.checklist.problems import Place, Problem, nearest
from gate.checks.asked import Asked
from gate.checks.base import Refers
from gate.staging.spec import Target


def references(checklist: Checklist, places: Mapping[Path_, Place]) -> list[Problem]:
    """Every broken reference and duplicate id, with its place."""
    found = [*_duplicates(checklist), *_targets(checklist), *_needs(checklist), *_waivers(checklist)]
    found += _unfit(checklist)
    return [Problem(_place(path, places), text) for path, text in found]


def _place(path: Path_, places: Mapping[Path_, Place]) -> Place:
    while path not in places:
        path = path[:-1]
    return places[path]


Found = Iterator[tuple[Path_, str]]


def _item_paths(checklist: Checklist) -> Iterator[tuple[Path_, BaseModel]]:
    for number, section in enumerate(checklist.sections):
        for position, item in enumerate(section.items):
            yield ("sections", number, "items", position), item


def _duplicates(checklist: Checklist) -> Found:
    seen: set[str] = set()
    for number, section in enumerate(checklist.sections):
        if section.id in seen:
            yield ("sections", number, "id"), f"section '{section.id}' stands twice, expected every id once"
        seen.add(section.id)
    seen = set()
    for path, item in _item_paths(checklist):
        name = item.id  # type: ignore[attr-defined]
        if name in seen:
            yield (*path, "id"), f"item '{name}' stands twice, expected every id once"
        seen.add(name)


def _targets(checklist: Checklist) -> Found:
    known = checklist.targets
    yield from _befores(checklist)
    for path, item in _item_paths(checklist):
        for number, name in enumerate(item.requires):  # type: ignore[attr-defined]
            if name not in known:
                yield (*path, "requires", number), _unknown("target", name, known)
        for where, name in named_targets(item):
            if name not in known:
                yield (*path, *where), _unknown("target", name, known)


def _unfit(checklist: Checklist) -> Found:
    """Targets to which it can't be done what an item does."""
    for path, item in _item_paths(checklist):
        places = {name: where for where, name in named_targets(item)}
        for name, why in item.check.unfit(checklist.targets):  # type: ignore[attr-defined]
            yield (*path, *places[name]), f"target '{name}': {why}"


def _befores(checklist: Checklist) -> Found:
    known = {name: target.awaits for name, target in checklist.targets.items()}
    for target, names in known.items():
        for number, name in enumerate(names):
            if name not in known:
                yield _before(checklist, target, number), _unknown("target", name, known)
            elif _reaches(name, target, known):
                yield _before(checklist, target, number), f"'{name}' comes after this target: expected no circle"


def _before(checklist: Checklist, target: str, number: int) -> Path_:
    named = number < len(checklist.targets[target].after)
    return ("targets", target, "after", number) if named else ("targets", target, "start", "environment")


def named_targets(value: object, path: Path_ = ()) -> Iterator[tuple[Path_, str]]:
    """Every field of type `TargetName` below a model, with its path and value."""
    if isinstance(value, list | tuple):
        for number, entry in enumerate(value):
            yield from named_targets(entry, (*path, number))
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield from named_targets(entry, (*path, key))
    elif isinstance(value, BaseModel):
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


def _named_in(model: BaseModel, path: Path_) -> Iterator[tuple[Path_, str]]:
    for name, alias, refers in _fields(type(model)):
        value = getattr(model, name)
        key = model.kind if isinstance(model, Asked) and name == "check" else alias
        if not refers:
            yield from named_targets(value, (*path, key))
        elif isinstance(value, str):
            yield (*path, key), value
        elif isinstance(value, list | tuple):
            yield from (((*path, key, number), entry) for number, entry in enumerate(value))


@cache
def _fields(model: type[BaseModel]) -> tuple[tuple[str, str, bool], ...]:
    """Each field's name, how a checklist writes it, and whether it names targets. Once a model: items are many."""
    return tuple(
        (name, field.alias or name, _refers(field.metadata) or _refers(get_args(field.annotation)))
        for name, field in model.model_fields.items()
    )


def _refers(parts: Iterable[Any]) -> bool:
    """Whether `Refers` stands anywhere in the metadata or the type arguments of a field."""
    return any(
        part is Refers or isinstance(part, Refers) or _refers((*get_args(part), *getattr(part, "__metadata__", ())))
        for part in parts
    )


def _needs(checklist: Checklist) -> Found:
    items = {item.id: item.needs for item in checklist.items}
    for path, item in _item_paths(checklist):
        for number, name in enumerate(item.needs):  # type: ignore[attr-defined]
            if name not in items:
                yield (*path, "needs", number), _unknown("item", name, items)
            elif _reaches(name, item.id, items):  # type: ignore[attr-defined]
                yield (*path, "needs", number), f"needs '{name}', which needs this item: expected no circle"


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


def _waivers(checklist: Checklist) -> Found:
    items = {item.id: item for item in checklist.items}
    seen: set[str] = set()
    for number, waiver in enumerate(checklist.waivers):
        if waiver.item not in items:
            yield ("waivers", number, "item"), _unknown("item", waiver.item, items)
        if waiver.item in seen:
            yield ("waivers", number, "item"), f"item '{waiver.item}' is waived twice, expected it once"
        seen.add(waiver.item)
    days = checklist.waiver_policy.max_days
    latest = date.today() + timedelta(days=days) if days is not None else date.max
    for number, waiver in enumerate(checklist.waivers):
        if waiver.expires > latest:
            text = f"reaches until {waiver.expires}, expected {latest} at the latest: {days} days (waiver_policy)"
            yield ("waivers", number, "expires"), text
    most = checklist.waiver_policy.max
    if most is not None and len(checklist.waivers) > most:
        yield ("waivers",), f"{len(checklist.waivers)} waivers stand here, expected at most {most} (waiver_policy)"


def _unknown(word: str, name: str, known: Mapping[str, object]) -> str:
    names = ", ".join(f"'{each}'" for each in list(known)[:12]) or "none: there are none"
    return f"unknown {word} '{name}', expected one of {names}{nearest(name, known)}"
