"""The order of a run: items in parallel, those that need others after them, drills one at a time after all else."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from gate.checklist.models import Item
from gate.checklist.order import Order, by_phase
from gate.model import ItemResult

Ask = Callable[[Item], ItemResult]
Tell = Callable[[ItemResult], None]


def run_all(items: list[Item], ask: Ask, tell: Tell, threads: int) -> None:
    """Asks all items: each as soon as those that it needs are done, by so many threads, drills one by one.

    A drill's result is told before the next one is asked: what it has left broken is known there.
    """
    for name, group in by_phase(items).items():
        _run_phase(Order(group), ask, tell, 1 if name == "drill" else threads)


def _run_phase(order: Order, ask: Ask, tell: Tell, threads: int) -> None:
    todo: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[ItemResult] = queue.SimpleQueue()
    count = min(threads, len(order.items))
    _start(count, todo, done, ask)
    asked, ahead = 0, 2 * count if count > 1 else 1  # a worker that is free finds its next item there
    while order.ready or asked:
        while order.ready and asked < ahead:
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
