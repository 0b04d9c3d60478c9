"""Print progress: one line per item in a log, and a live status line on a terminal."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from typing import TextIO

from gate.core.override import override
from gate.decode.quantities import format_duration
from gate.model import ItemResult, Status, TargetResult

MARKS = {Status.PASS: "✅", Status.FAIL: "❌", Status.ERROR: "💥", Status.SKIP: "⏭️ ", Status.WAIVED: "🟡"}
_COLOURS = {Status.PASS: "32", Status.FAIL: "31", Status.ERROR: "31;1", Status.SKIP: "33", Status.WAIVED: "33"}

Safe = Callable[[str], str]


def wants_colour(stream: TextIO) -> bool:
    """Return whether to use colour: on a capable terminal, unless NO_COLOR is set (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Progress:
    """Prints plain lines, for a log. `safe` redacts all text that came from outside."""

    def __init__(self, stream: TextIO, safe: Safe, language: str = "en") -> None:
        self.stream = stream
        self.safe = safe
        self.language = language
        self.total = 0
        self.done = 0
        self.lock = threading.Lock()

    def begin(self, total: int) -> None:
        """Start the run of `total` items."""
        self.total = total

    def note(self, text: str) -> None:
        """Print an event."""
        self._line(self._shown(text))

    def target(self, target: TargetResult) -> None:
        """Print whether a target is ready."""
        mark = "✅" if target.ready else "❌"
        self._line(
            self._shown(f"{mark} {target.name}: {self._localize(target.message)} ({format_duration(target.duration)})")
        )

    def item(self, result: ItemResult) -> None:
        """Print the outcome of an item."""
        self.done += 1
        duration = format_duration(result.outcome.evidence.duration)
        head = f"{MARKS[result.status]} {result.status.upper():<6} {result.id}"
        self._line(self._shown(f"{head}: {self._localize(result.outcome.message)} ({duration})"), result.status)

    def end(self) -> None:
        """End the run."""

    def _shown(self, text: str) -> str:
        """Return a line without secrets and control characters."""
        safe = self.safe(text)
        if safe.isprintable():
            return safe
        return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in safe)

    def _localize(self, message: object) -> str:
        from gate.core.messages import Message
        from gate.i18n.language import translate

        text = translate(message, self.language) if isinstance(message, Message) else str(message)
        return " ".join(text.split())[:400]

    def _line(self, text: str, status: Status | None = None) -> None:
        with self.lock:
            self.stream.write(f"{text}\n")
            self.stream.flush()


class LiveProgress(Progress):
    """Prints coloured lines, and a live status line below them."""

    def __init__(self, stream: TextIO, safe: Safe, language: str = "en") -> None:
        super().__init__(stream, safe, language)
        self.began = time.monotonic()
        self.over = threading.Event()
        with contextlib.suppress(RuntimeError):  # no thread can be started: the line stands still between results
            threading.Thread(target=self._tick, daemon=True).start()

    @override
    def end(self) -> None:
        """End the run and clear the status line."""
        self.over.set()
        with self.lock:
            self._clear()

    def _tick(self) -> None:
        while not self.over.wait(0.2):
            with self.lock:
                self._draw()

    @override
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
    """Return live progress for a terminal, plain lines otherwise."""
    return (LiveProgress if wants_colour(stream) else Progress)(stream, safe, language)


def stderr_progress(safe: Safe, language: str) -> Progress:
    """Return the progress of a command, on standard error."""
    return progress_for(sys.stderr, safe, language)
