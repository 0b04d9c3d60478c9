"""The order of items: those that need others after them, and drills after all else."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from gate.checklist.models import Item

PHASES = ("main", "drill", "after")


class DependencyQueue:
    """Which of some items may run: those whose needs among them are done, in the order of the checklist."""

    def __init__(self, items: Iterable[Item]) -> None:
        self.items = {item.id: item for item in items}
        self.waiting = {name: len(self.items.keys() & item.needs) for name, item in self.items.items()}
        self.needed_by: dict[str, list[str]] = {name: [] for name in self.items}
        for name, item in self.items.items():
            for other in self.items.keys() & item.needs:
                self.needed_by[other].append(name)
        self.ready = deque(item for name, item in self.items.items() if not self.waiting[name])

    def mark_done(self, name: str) -> None:
        """Makes ready what has waited for this item alone."""
        for other in self.needed_by[name]:
            self.waiting[other] -= 1
            if not self.waiting[other]:
                self.ready.append(self.items[other])

    def __iter__(self) -> Iterator[Item]:
        """All items, each after those that it needs."""
        while self.ready:
            item = self.ready.popleft()
            yield item
            self.mark_done(item.id)


def group_by_phase(items: Iterable[Item]) -> dict[str, list[Item]]:
    """Items by the phase they run in: their check's own, or that of an item they need, where it is later."""
    known = list(items)
    found: dict[str, int] = {}
    for item in DependencyQueue(known):
        needed = [found[name] for name in item.needs if name in found]
        found[item.id] = max([PHASES.index(item.check.phase), *needed])
    return {name: [item for item in known if found[item.id] == number] for number, name in enumerate(PHASES)}
