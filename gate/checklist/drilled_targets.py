"""Find the targets that something under test depends on, and those that drills break."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gate.checklist.cross_references import iter_target_refs
from gate.checklist.models import Checklist, Item
from gate.checks.context import DrilledFault
from gate.staging.spec import Target

# Keys whose target is a Prometheus, an Alertmanager or a Grafana: they observe what is under test.
_OBSERVER_KEYS = frozenset(
    {"alert", "curves", "dashboards", "loaded_rules", "other_alerts", "page", "promql", "scrape_target", "traceability"}
)
# The keys of a drill under which stands what it breaks.
_BREAKING_KEYS = ("fault", "script")


def drilled_faults(items: Iterable[Item]) -> tuple[DrilledFault, ...]:
    """Return what the drills among some items break."""
    return tuple(
        DrilledFault(item.id, item.check.fault.fault.kind if item.check.fault else "", target)
        for item in items
        if item.kind == "drill"
        for path, target in iter_target_refs(item)
        if path[1] in _BREAKING_KEYS
    )


def dependency_targets(checklist: Checklist) -> tuple[str, ...]:
    """Return the targets that something under test depends on, in the checklist's order.

    Those are targets that others come after or refer to, that a drill breaks to judge another target, and those of
    which nothing says what they are for: they depend on nothing, and no check but `tcp` asks them anything.
    """
    observers = _observers(checklist)
    by_start = {name: set(_start_dependencies(name, checklist.targets)) for name in checklist.targets}
    found = {name for target, names in by_start.items() if target not in observers for name in names}
    found |= {fault.target for fault in _observed_by_others(checklist.items, observers)}
    asked = {name for item in checklist.items for key, name in _asked(item) if key != "tcp"}
    found |= {
        name
        for name, target in checklist.targets.items()
        if (target.found or target.start) and not by_start[name] and name not in asked
    }
    return tuple(
        name
        for name, target in checklist.targets.items()
        if name in found and name not in observers and not target.once
    )


def _observers(checklist: Checklist) -> set[str]:
    """Return the targets that observe what is under test, such as the Prometheus that checks query."""
    queried = {name for item in checklist.items for key, name in _asked(item) if key in _OBSERVER_KEYS}
    return queried | {name for name, target in checklist.targets.items() if target.pages}


def _asked(item: Item) -> Iterator[tuple[str | int, str]]:
    """Yield the targets that an item asks, not those that it only breaks or covers, each with the key of the check."""
    for path, name in iter_target_refs(item):
        if item.kind != "coverage" and not (item.kind == "drill" and path[1] in _BREAKING_KEYS):
            yield path[-2], name


def _start_dependencies(name: str, targets: dict[str, Target]) -> Iterator[str]:
    """Yield what a target needs to start. A target that ends, such as a migration, stands for what it needs itself.

    Yields nothing for one that ends: it is no system under test.
    """
    if targets[name].once:
        return
    waiting, visited = targets[name].dependencies(name), {name}
    while waiting:
        dependency = waiting.pop()
        if dependency in visited:
            continue
        visited.add(dependency)
        if targets[dependency].once:
            waiting.extend(targets[dependency].dependencies(dependency))
        else:
            yield dependency


def _observed_by_others(items: Iterable[Item], observers: set[str]) -> Iterator[DrilledFault]:
    """Yield what drills break to judge another target. A restart of the target that is judged is not among them."""
    for item in items:
        judged = {name for key, name in _asked(item) if key != "tcp"} - observers
        yield from (fault for fault in drilled_faults([item]) if judged - {fault.target})
