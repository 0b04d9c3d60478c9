"""Order items by their dependencies, and drills after all other items."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from gate.checklist.models import Item

PHASES = ("main", "drill", "after")


class DependencyQueue:
    """A queue of the items that may run, because all items that they need are done, in the checklist's order."""

    def __init__(self, items: Iterable[Item]) -> None:
        self.items = {item.id: item for item in items}
        self.waiting = {name: len(self.items.keys() & item.needs) for name, item in self.items.items()}
        self.needed_by: dict[str, list[str]] = {name: [] for name in self.items}
        for name, item in self.items.items():
            for dependency in self.items.keys() & item.needs:
                self.needed_by[dependency].append(name)
        self.ready = deque(item for name, item in self.items.items() if not self.waiting[name])

    def mark_done(self, name: str) -> None:
        """Mark an item as done, and queue the items that were waiting only for it."""
        for dependent in self.needed_by[name]:
            self.waiting[dependent] -= 1
            if not self.waiting[dependent]:
                self.ready.append(self.items[dependent])

    def __iter__(self) -> Iterator[Item]:
        """Yield all items, each after those that it needs."""
        while self.ready:
            item = self.ready.popleft()
            yield item
            self.mark_done(item.id)


def group_by_phase(items: Iterable[Item]) -> dict[str, list[Item]]:
    """Return the items by phase: the check's own phase, or the later phase of an item that it needs."""
    unique = list(items)
    phases: dict[str, int] = {}
    for item in DependencyQueue(unique):
        needed = [phases[name] for name in item.needs if name in phases]
        phases[item.id] = max([PHASES.index(item.check.phase), *needed])
    return {name: [item for item in unique if phases[item.id] == number] for number, name in enumerate(PHASES)}
