"""How a run ends before its time: the overall deadline, Ctrl-C, SIGTERM. The reports are written all the same."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Literal

Ended = Literal["complete", "deadline", "cancelled"]


class Ending:
    """Whether a run is over, and why. The first cause counts."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.how: Ended = "complete"

    def end(self, how: Ended) -> None:
        """Ends the run."""
        if not self.event.is_set():
            self.how = how
            self.event.set()

    @contextmanager
    def after(self, seconds: float | None) -> Iterator[None]:
        """Ends the run after so many seconds, if it hasn't ended by then."""
        if seconds is None:
            yield
            return
        timer = threading.Timer(seconds, self.end, args=("deadline",))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    @contextmanager
    def on_signals(self, hurry: Callable[[], None]) -> Iterator[None]:
        """Ends the run on SIGINT, SIGTERM and SIGHUP, and calls `hurry` for whatever is waited for besides the run.

        A second one changes nothing: what was broken is put back.

        Afterwards they are ignored: the exit code is decided, and a late signal must not become it.
        """

        def handle(number: int, frame: FrameType | None) -> None:
            self.end("cancelled")
            hurry()

        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in numbers:
            signal.signal(number, handle)
        try:
            yield
        finally:
            for number in numbers:
                signal.signal(number, signal.SIG_IGN)
