"""The order of a run: items in parallel, those that need others after them, drills one at a time after all else.

The main thread never waits without a limit: it looks at the workers, and at the end of the run, five times a second.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterable

from msgspec import Struct

from gate.checklist.dependencies import DependencyQueue, group_by_phase
from gate.checklist.models import Item
from gate.drills.protocol import max_duration
from gate.model import ItemResult

_LOOK = 0.2
_LEAVING = 10.0
"""Seconds that items under way have to end once the run is over, putting back apart."""


class Work(Struct, frozen=True):
    """What to do with each item, and when to leave."""

    ask: Callable[[Item, float], ItemResult]
    """Ask an item that was handed over at a moment (monotonic): all that it needs had ended by then."""
    tell: Callable[[ItemResult], None]
    """Take a result, in the main thread."""
    broken: Callable[[Item, str], ItemResult]
    """Return the ERROR of an item whose worker broke."""
    over: threading.Event
    """Set when the run ends early."""


def run_items(items: list[Item], work: Work, threads: int) -> None:
    """Ask all items: each as soon as those that it needs are done, by so many threads, drills one by one.

    A drill's result is told before the next one is asked: what it has left broken is known there. An item that does not
    end although the run is over is left without a result.
    """
    for name, group in group_by_phase(items).items():
        _Phase(DependencyQueue(group), work, 1 if name == "drill" else threads).run()


class _Phase:
    """One phase of a run: hands items over, and takes their results."""

    def __init__(self, order: DependencyQueue, work: Work, threads: int) -> None:
        self.order = order
        self.work = work
        self.crew = _Crew(work, min(threads, len(order.items)))
        self.under_way: dict[str, Item] = {}
        self.leave = float("inf")

    def run(self) -> None:
        """Run it to its end, or to the end of the run."""
        while (self.order.ready or self.under_way) and time.monotonic() < self.leave:
            self._hand_over()
            for result in self.crew.results(self.under_way.values()):
                if self.under_way.pop(result.id, None):
                    self.work.tell(result)
                    self.order.mark_done(result.id)
            if self.work.over.is_set():
                self.leave = min(self.leave, time.monotonic() + self._patience())
        self.crew.dismiss()

    def _hand_over(self) -> None:
        while self.order.ready and len(self.under_way) < self.crew.ahead:
            item = self.order.ready.popleft()
            self.under_way[item.id] = item
            self.crew.todo.put((item, time.monotonic()))

    def _patience(self) -> float:
        """Return how long to wait for what is under way: a drill has to put back what it broke."""
        drills = [item for item in self.under_way.values() if item.check.needs_cleanup]
        return _LEAVING + sum(max_duration(item) for item in drills)


class _Crew:
    """The workers of one phase."""

    def __init__(self, work: Work, count: int) -> None:
        self.work = work
        self.count = count
        self.ahead = 2 * count if count > 1 else 1  # a worker that is free finds its next item there
        self.todo: queue.SimpleQueue[tuple[Item, float] | None] = queue.SimpleQueue()
        self.done: queue.SimpleQueue[ItemResult] = queue.SimpleQueue()
        self.workers: list[_Worker] = []
        self.why = ""
        self._staff()

    def results(self, under_way: Iterable[Item]) -> list[ItemResult]:
        """Return what has come within a fifth of a second: a result, or the ERRORs of items whose worker died."""
        try:
            return [self.done.get(timeout=_LOOK if self.workers else 0.0)]
        except queue.Empty:
            pass
        dead = [worker for worker in self.workers if not worker.thread.is_alive()]
        self.workers = [worker for worker in self.workers if worker not in dead]
        lost = [worker.item for worker in dead if worker.item is not None]
        self._staff()
        if not self.workers:
            lost = list(under_way)
            self._take_away()
        return [self.work.broken(item, self.why or "its worker died") for item in lost]

    def dismiss(self) -> None:
        """Send the workers home."""
        self._take_away()
        for _ in self.workers:
            self.todo.put(None)

    def _take_away(self) -> None:
        """Take back what no worker has begun: it is never asked after it was given up."""
        with contextlib.suppress(queue.Empty):
            while True:
                self.todo.get_nowait()

    def _staff(self) -> None:
        """Start the workers that are missing, as far as the machine lets us."""
        while len(self.workers) < self.count:
            try:
                self.workers.append(_Worker(self.work, self.todo, self.done))
            except (RuntimeError, MemoryError) as error:
                self.why = str(error) or type(error).__name__
                return


class _Worker:
    """A thread that asks one item after the other. `item` is the one that it is asking."""

    def __init__(
        self, work: Work, todo: queue.SimpleQueue[tuple[Item, float] | None], done: queue.SimpleQueue[ItemResult]
    ) -> None:
        self.work = work
        self.todo = todo
        self.done = done
        self.item: Item | None = None
        self.thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while (entry := self.todo.get()) is not None:
            self.item, since = entry
            self.done.put(self._result(self.item, since))
            self.item = None

    def _result(self, item: Item, since: float) -> ItemResult:
        try:
            return self.work.ask(item, since)
        except BaseException as error:  # noqa: BLE001 - even SystemExit of a library must not leave an item without a result
            return self.work.broken(item, f"{type(error).__name__}: {error}")
