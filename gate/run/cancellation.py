"""Cancel a run at its deadline, on Ctrl-C or on SIGTERM. The reports are written all the same."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Literal

from gate.core.override import override

EndCause = Literal["complete", "deadline", "cancelled"]


class Over(threading.Event):
    """An event that is also set as soon as its deadline (monotonic) has passed.

    The deadline needs no timer: where no thread can be started, the run has to end all the same.
    """

    def __init__(self) -> None:
        super().__init__()
        # A signal handler sets the event in the main thread, which may be inside `wait`: a plain lock would deadlock.
        self._cond = threading.Condition(threading.RLock())
        self.deadline = float("inf")

    @override
    def is_set(self) -> bool:
        """Return whether it was set, or its deadline has passed."""
        return super().is_set() or time.monotonic() >= self.deadline

    @override
    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, for at most `timeout` seconds, and return whether it is."""
        left = self.deadline - time.monotonic()
        limit = left if timeout is None else min(timeout, left)
        super().wait(None if limit == float("inf") else max(0.0, min(limit, threading.TIMEOUT_MAX)))
        return self.is_set()


class CancellationToken:
    """Holds whether a run has ended, and why. The first cause wins."""

    def __init__(self) -> None:
        self.event = Over()
        self._how: EndCause = "complete"

    @property
    def how(self) -> EndCause:
        """Return how the run ended, `complete` if it was not cut short."""
        return "deadline" if self._how == "complete" and self.event.is_set() else self._how

    def cancel(self, how: EndCause) -> None:
        """End the run, unless it has ended already."""
        if not self.event.is_set():
            self._how = how
            self.event.set()

    @contextmanager
    def cancel_after(self, seconds: float | None) -> Iterator[None]:
        """End the run after some seconds; None for no deadline."""
        if seconds is not None:
            self.event.deadline = time.monotonic() + seconds
        try:
            yield
        finally:
            self._how = self.how
            self.event.deadline = float("inf")

    @contextmanager
    def cancel_on_signals(self, hurry: Callable[[], None]) -> Iterator[None]:
        """End the run on SIGINT, SIGTERM and SIGHUP, and call `hurry` to shorten other waits.

        A second signal changes nothing: faults are reverted first.

        The signals are ignored afterwards: a late one must not change the exit code.
        """

        def handle(number: int, frame: FrameType | None) -> None:
            self.cancel("cancelled")
            hurry()

        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in numbers:
            signal.signal(number, handle)
        try:
            yield
        finally:
            for number in numbers:
                signal.signal(number, signal.SIG_IGN)
