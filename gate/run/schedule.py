"""The order of a run: items in parallel, those that need others after them, drills one at a time after all else."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from gate.checklist.models import Item
from gate.model import ItemResult

PHASES = ("main", "drill", "after")

Ask = Callable[[Item], ItemResult]
Tell = Callable[[ItemResult], None]


class _Order:
    """Which of some items may run: those whose needs among them are done, in the order of the checklist."""

    def __init__(self, items: Iterable[Item]) -> None:
        self.items = {item.id: item for item in items}
        self.waiting = {name: len(self.items.keys() & item.needs) for name, item in self.items.items()}
        self.needed_by: dict[str, list[str]] = {name: [] for name in self.items}
        for name, item in self.items.items():
            for other in self.items.keys() & item.needs:
                self.needed_by[other].append(name)
        self.ready = deque(item for name, item in self.items.items() if not self.waiting[name])

    def done(self, name: str) -> None:
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
            self.done(item.id)


def by_phase(items: Iterable[Item]) -> dict[str, list[Item]]:
    """Items by the phase they run in: their check's own, or that of an item they need, where it is later."""
    known = list(items)
    found: dict[str, int] = {}
    for item in _Order(known):
        needed = [found[name] for name in item.needs if name in found]
        found[item.id] = max([PHASES.index(item.check.phase), *needed])
    return {name: [item for item in known if found[item.id] == number] for number, name in enumerate(PHASES)}


def run_all(items: list[Item], ask: Ask, tell: Tell, workers: int) -> None:
    """Asks all items: each as soon as those that it needs are done, at most `workers` at a time, drills one by one.

    A result is told before the next item is asked in its place: what a drill has left broken is known to the next one.
    """
    for name, group in by_phase(items).items():
        _run_phase(_Order(group), ask, tell, 1 if name == "drill" else workers)


def _run_phase(order: _Order, ask: Ask, tell: Tell, workers: int) -> None:
    todo: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[ItemResult] = queue.SimpleQueue()
    count = min(workers, len(order.items))
    _start(count, todo, done, ask)
    asked = 0
    while order.ready or asked:
        while order.ready and asked < count:
            todo.put(order.ready.popleft())
            asked += 1
        result = done.get()
        asked -= 1
        tell(result)
        order.done(result.id)
    for _ in range(count):
        todo.put(None)


def _start(count: int, todo: queue.SimpleQueue[Item | None], done: queue.SimpleQueue[ItemResult], ask: Ask) -> None:
    def work() -> None:
        while (item := todo.get()) is not None:
            done.put(ask(item))

    for number in range(count):
        threading.Thread(target=work, name=f"worker-{number}", daemon=True).start()
