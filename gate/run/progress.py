"""What a person sees while the gate runs: one line an item in a log, a live line on a terminal."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from typing import TextIO

from gate.decode.quantities import format_duration
from gate.model import ItemResult, Status, TargetResult

MARKS = {Status.PASS: "✅", Status.FAIL: "❌", Status.ERROR: "💥", Status.SKIP: "⏭️ ", Status.WAIVED: "🟡"}
_COLOURS = {Status.PASS: "32", Status.FAIL: "31", Status.ERROR: "31;1", Status.SKIP: "33", Status.WAIVED: "33"}

Safe = Callable[[str], str]


def wants_colour(stream: TextIO) -> bool:
    """Whether to use colour: on a terminal that can, unless NO_COLOR is set (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Progress:
    """Plain lines, for a log. `safe` is applied to all text that came from outside."""

    def __init__(self, stream: TextIO, safe: Safe, language: str = "en") -> None:
        self.stream = stream
        self.safe = safe
        self.language = language
        self.total = 0
        self.done = 0
        self.lock = threading.Lock()

    def begin(self, total: int) -> None:
        """The run begins, with so many items."""
        self.total = total

    def note(self, text: str) -> None:
        """Something that happened."""
        self._line(self._shown(text))

    def target(self, target: TargetResult) -> None:
        """A target came up, or did not."""
        mark = "✅" if target.ready else "❌"
        self._line(
            self._shown(f"{mark} {target.name}: {self._said(target.message)} ({format_duration(target.duration)})")
        )

    def item(self, result: ItemResult) -> None:
        """An item has its outcome."""
        self.done += 1
        duration = format_duration(result.outcome.evidence.duration)
        head = f"{MARKS[result.status]} {result.status.upper():<6} {result.id}"
        self._line(self._shown(f"{head}: {self._said(result.outcome.message)} ({duration})"), result.status)

    def end(self) -> None:
        """The run is over."""

    def _shown(self, text: str) -> str:
        """A line without secrets, and without what a terminal would obey."""
        safe = self.safe(text)
        if safe.isprintable():
            return safe
        return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in safe)

    def _said(self, message: object) -> str:
        from gate.core.messages import Message
        from gate.i18n.language import translate

        text = translate(message, self.language) if isinstance(message, Message) else str(message)
        return " ".join(text.split())[:400]

    def _line(self, text: str, status: Status | None = None) -> None:
        with self.lock:
            self.stream.write(f"{text}\n")
            self.stream.flush()


class LiveProgress(Progress):
    """Colour, and a last line that says how far the run is."""

    def __init__(self, stream: TextIO, safe: Safe, language: str = "en") -> None:
        super().__init__(stream, safe, language)
        self.began = time.monotonic()
        self.over = threading.Event()
        with contextlib.suppress(RuntimeError):  # no thread can be started: the line stands still between results
            threading.Thread(target=self._tick, daemon=True).start()

    def end(self) -> None:
        self.over.set()
        with self.lock:
            self._clear()

    def _tick(self) -> None:
        while not self.over.wait(0.2):
            with self.lock:
                self._draw()

    def _line(self, text: str, status: Status | None = None) -> None:
        colour = _COLOURS.get(status) if status else None
        with self.lock:
            self._clear()
            print(f"\x1b[{colour}m{text}\x1b[0m" if colour else text, file=self.stream)
            self._draw()

    def _clear(self) -> None:
        self.stream.write("\r\x1b[K")
        self.stream.flush()

    def _draw(self) -> None:
        if self.over.is_set():
            return
        width = shutil.get_terminal_size().columns
        text = f"{self.done}/{self.total}  {format_duration(time.monotonic() - self.began)}"
        self.stream.write(f"\r\x1b[K\x1b[2m{text[: width - 1]}\x1b[0m")
        self.stream.flush()


def progress_for(stream: TextIO, safe: Safe, language: str) -> Progress:
    """Live on a terminal, plain lines otherwise."""
    return (LiveProgress if wants_colour(stream) else Progress)(stream, safe, language)


def stderr_progress(safe: Safe, language: str) -> Progress:
    """The progress of a command, on standard error."""
    return progress_for(sys.stderr, safe, language)
