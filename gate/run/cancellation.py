"""How a run ends before its time: the overall deadline, Ctrl-C, SIGTERM. The reports are written all the same."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Literal

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

    def is_set(self) -> bool:
        """Return whether it was set, or its deadline has passed."""
        return super().is_set() or time.monotonic() >= self.deadline

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, at most so long."""
        left = self.deadline - time.monotonic()
        limit = left if timeout is None else min(timeout, left)
        super().wait(None if limit == float("inf") else max(0.0, min(limit, threading.TIMEOUT_MAX)))
        return self.is_set()


class CancellationToken:
    """Whether a run is over, and why. The first cause counts."""

    def __init__(self) -> None:
        self.event = Over()
        self._how: EndCause = "complete"

    @property
    def how(self) -> EndCause:
        """How the run ended, as far as it has."""
        return "deadline" if self._how == "complete" and self.event.is_set() else self._how

    def cancel(self, how: EndCause) -> None:
        """Ends the run."""
        if not self.event.is_set():
            self._how = how
            self.event.set()

    @contextmanager
    def cancel_after(self, seconds: float | None) -> Iterator[None]:
        """Ends the run after so many seconds, if it hasn't ended by then."""
        if seconds is not None:
            self.event.deadline = time.monotonic() + seconds
        try:
            yield
        finally:
            self._how = self.how
            self.event.deadline = float("inf")

    @contextmanager
    def cancel_on_signals(self, hurry: Callable[[], None]) -> Iterator[None]:
        """Ends the run on SIGINT, SIGTERM and SIGHUP, and calls `hurry` for whatever is waited for besides the run.

        A second one changes nothing: what was broken is put back.

        Afterwards they are ignored: the exit code is decided, and a late signal must not become it.
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
