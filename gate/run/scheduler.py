"""Schedule a run: items in parallel, dependants after what they need, drills one at a time at the end.

The main thread never waits without a limit: it polls the workers, and the end of the run, five times a second.
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

_POLL_INTERVAL = 0.2
# Seconds that running items have to end after the run was cancelled, besides reverting faults.
_SHUTDOWN_TIMEOUT = 10.0


class Work(Struct, frozen=True):
    """The callbacks that run an item and take its result."""

    # Run an item that was queued at a time (monotonic): everything that it needs had ended by then.
    ask: Callable[[Item, float], ItemResult]
    # Receive a result, in the main thread.
    tell: Callable[[ItemResult], None]
    # Return an ERROR result for an item whose worker crashed.
    broken: Callable[[Item, str], ItemResult]
    # Set when the run ends early.
    over: threading.Event


def run_items(items: list[Item], work: Work, threads: int) -> None:
    """Run all items with `threads` workers, each as soon as its dependencies are done, and drills one at a time.

    A drill's result is recorded before the next drill starts, which may have to be skipped. An item that does not
    end after the run was cancelled has no result.
    """
    for name, group in group_by_phase(items).items():
        _Phase(DependencyQueue(group), work, 1 if name == "drill" else threads).run()


class _Phase:
    """Runs one phase: hands items to workers and takes their results."""

    def __init__(self, order: DependencyQueue, work: Work, threads: int) -> None:
        self.order = order
        self.work = work
        self.pool = _WorkerPool(work, min(threads, len(order.items)))
        self.running: dict[str, Item] = {}
        self.leave = float("inf")

    def run(self) -> None:
        """Run the phase to its end, or to the end of the run."""
        while (self.order.ready or self.running) and time.monotonic() < self.leave:
            self._submit_ready()
            for result in self.pool.results(self.running.values()):
                if self.running.pop(result.id, None):
                    self.work.tell(result)
                    self.order.mark_done(result.id)
            if self.work.over.is_set():
                self.leave = min(self.leave, time.monotonic() + self._shutdown_timeout())
        self.pool.stop()

    def _submit_ready(self) -> None:
        while self.order.ready and len(self.running) < self.pool.ahead:
            item = self.order.ready.popleft()
            self.running[item.id] = item
            self.pool.todo.put((item, time.monotonic()))

    def _shutdown_timeout(self) -> float:
        """Return the seconds to wait for running items: a drill has to revert its fault."""
        drills = [item for item in self.running.values() if item.check.needs_cleanup]
        return _SHUTDOWN_TIMEOUT + sum(max_duration(item) for item in drills)


class _WorkerPool:
    """The workers of one phase."""

    def __init__(self, work: Work, count: int) -> None:
        self.work = work
        self.count = count
        self.ahead = 2 * count if count > 1 else 1  # a worker that is free finds its next item there
        self.todo: queue.SimpleQueue[tuple[Item, float] | None] = queue.SimpleQueue()
        self.done: queue.SimpleQueue[ItemResult] = queue.SimpleQueue()
        self.workers: list[_Worker] = []
        self.why = ""
        self._start_workers()

    def results(self, running: Iterable[Item]) -> list[ItemResult]:
        """Return the results of the last fifth of a second, including an ERROR for each item whose worker died."""
        try:
            return [self.done.get(timeout=_POLL_INTERVAL if self.workers else 0.0)]
        except queue.Empty:
            pass
        dead = [worker for worker in self.workers if not worker.thread.is_alive()]
        self.workers = [worker for worker in self.workers if worker not in dead]
        lost = [worker.item for worker in dead if worker.item is not None]
        self._start_workers()
        if not self.workers:
            lost = list(running)
            self._drain_queue()
        return [self.work.broken(item, self.why or "its worker died") for item in lost]

    def stop(self) -> None:
        """Stop the workers."""
        self._drain_queue()
        for _ in self.workers:
            self.todo.put(None)

    def _drain_queue(self) -> None:
        """Empty the queue of items that no worker has started, so that they never run after the phase."""
        with contextlib.suppress(queue.Empty):
            while True:
                self.todo.get_nowait()

    def _start_workers(self) -> None:
        """Start missing workers, as many as the machine allows."""
        while len(self.workers) < self.count:
            try:
                self.workers.append(_Worker(self.work, self.todo, self.done))
            except (RuntimeError, MemoryError) as error:
                self.why = str(error) or type(error).__name__
                return


class _Worker:
    """A thread that runs one item after the other. `item` is the one that is running."""

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
