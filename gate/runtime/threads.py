"""Run attempts of checks in pooled daemon threads.

A check that hangs keeps its thread: the gate continues without it, and the thread does not keep the program alive.
"""

# Threads are reused, because starting one costs more than most attempts.

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")

_idle: deque[_WorkerThread] = deque()


class Attempt(Generic[Result]):
    """A callable running in a pooled daemon thread. Raises RuntimeError if no thread can be started."""

    def __init__(self, work: Callable[[], Result]) -> None:
        self._work = work
        self._result: queue.SimpleQueue[tuple[list[Result], BaseException | None]] = queue.SimpleQueue()
        try:
            self._thread = _idle.pop()
        except IndexError:
            self._thread = _WorkerThread()
        self._thread.todo.put(self)

    def run(self) -> None:
        """Do the work: the thread's side."""
        try:
            result: tuple[list[Result], BaseException | None] = ([self._work()], None)
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
            result = ([], error)
        self._result.put(result)

    def wait(self, seconds: float) -> list[Result]:
        """Return [result], or [] on timeout. Raises what the work raised, and RuntimeError if its thread died."""
        alive = self._thread.alive  # asked first: a thread that ends after it has left a result behind
        try:
            result, error = self._result.get(timeout=min(seconds, threading.TIMEOUT_MAX))
        except queue.Empty:
            if not alive:
                raise RuntimeError("its thread died") from None
            return []
        if error is not None:
            raise error
        return result


class _WorkerThread:
    """A thread that runs one attempt after another."""

    def __init__(self) -> None:
        self.todo: queue.SimpleQueue[Attempt[Any]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="try", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Return whether the thread is running."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while True:
            self.todo.get().run()
            _idle.append(self)
