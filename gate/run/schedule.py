"""The order of a run: items in parallel, those that need others after them, drills one at a time after all else."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable

from gate.checklist.models import Item
from gate.model import ItemResult

PHASES = ("main", "drill", "after")

Ask = Callable[[Item], ItemResult]
Tell = Callable[[ItemResult], None]


def by_phase(items: Iterable[Item]) -> dict[str, list[Item]]:
    """Items by the phase they run in: their check's own, or that of an item they need, where it is later."""
    known = {item.id: item for item in items}
    found: dict[str, int] = {}

    def phase(item: Item) -> int:
        if item.id not in found:
            needed = [phase(known[name]) for name in item.needs if name in known]
            found[item.id] = max([PHASES.index(item.check.phase), *needed])
        return found[item.id]

    phases: dict[str, list[Item]] = {name: [] for name in PHASES}
    for item in known.values():
        phases[PHASES[phase(item)]].append(item)
    return phases


def run_all(items: list[Item], ask: Ask, tell: Tell, workers: int) -> None:
    """Asks all items: each as soon as those that it needs are done, at most `workers` at a time, drills one by one."""
    for name, group in by_phase(items).items():
        _run_phase(group, ask, tell, 1 if name == "drill" else workers)


def _run_phase(items: list[Item], ask: Ask, tell: Tell, workers: int) -> None:
    by_id = {item.id: item for item in items}
    waiting = {item.id: by_id.keys() & item.needs for item in items}
    todo: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[ItemResult] = queue.SimpleQueue()
    _start(min(workers, len(items)), todo, done, ask)
    for _ in range(len(items)):
        for name in [name for name, needs in waiting.items() if not needs]:
            del waiting[name]
            todo.put(by_id[name])
        result = done.get()
        tell(result)
        for needs in waiting.values():
            needs.discard(result.id)
    for _ in range(min(workers, len(items))):
        todo.put(None)


def _start(count: int, todo: queue.SimpleQueue[Item | None], done: queue.SimpleQueue[ItemResult], ask: Ask) -> None:
    def work() -> None:
        while (item := todo.get()) is not None:
            done.put(ask(item))

    for number in range(count):
        threading.Thread(target=work, name=f"worker-{number}", daemon=True).start()
