"""Threads in which checks are tried, used again for the next: starting one for every try costs more than the try.

A check that hangs keeps its thread. The gate goes on without it, and it does not keep the program from ending.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")

_idle: deque[_Thread] = deque()


class Try(Generic[Result]):
    """Some work that is under way in a thread of its own. What it returns is awaited with `wait`; it must not raise."""

    def __init__(self, work: Callable[[], Result]) -> None:
        self._work = work
        self._result: queue.SimpleQueue[Result] = queue.SimpleQueue()
        try:
            thread = _idle.pop()
        except IndexError:
            thread = _Thread()
        thread.todo.put(self)

    def run(self) -> None:
        """Does the work: the thread's side."""
        self._result.put(self._work())

    def wait(self, seconds: float) -> list[Result]:
        """The result, in a list; an empty one where it is not there after so many seconds."""
        try:
            return [self._result.get(timeout=seconds)]
        except queue.Empty:
            return []


class _Thread:
    """A thread that waits for a try, makes it, and waits for the next."""

    def __init__(self) -> None:
        self.todo: queue.SimpleQueue[Try[Any]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="try", daemon=True).start()

    def _run(self) -> None:
        while True:
            self.todo.get().run()
            _idle.append(self)
