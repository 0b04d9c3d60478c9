"""Processes uploads beside the requests; a client polls for the result."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import count

from internal.metrics import Metrics


class UploadWorker:
    """Uploads by number: `pending`, then `done` or `failed`."""

    def __init__(self, process: Callable[[bytes], None], metrics: Metrics) -> None:
        self._process = process
        self._metrics = metrics
        self._lock = threading.Lock()
        self._numbers = count(1)
        self._pending: dict[int, tuple[float, bytes]] = {}
        self._state: dict[int, str] = {}

    def submit(self, content: bytes) -> int:
        """Accept an upload and return its number, for polling."""
        with self._lock:
            number = next(self._numbers)
            self._pending[number] = (time.monotonic(), content)
            self._state[number] = "pending"
        return number

    def state(self, number: int) -> str | None:
        """Return the state of an upload; None if there is no such upload."""
        return self._state.get(number)

    def work(self) -> None:
        """Process pending uploads, oldest first."""
        for number, (_, content) in sorted(self._pending.items()):
            try:
                self._process(content)
                state = "done"
            except ValueError:
                self._metrics.upload_failures.inc()
                state = "failed"
            with self._lock:
                del self._pending[number]
                self._state[number] = state

    def measure(self) -> None:
        """Update the metrics of pending uploads: how many, and the oldest one's age."""
        with self._lock:
            since = [taken for taken, _ in self._pending.values()]
        self._metrics.uploads_pending.set(len(since))
        self._metrics.uploads_oldest.set(time.monotonic() - min(since) if since else 0)


def checked(content: bytes) -> None:
    """Raise ValueError unless the content starts like an audio file."""
    if not content.startswith((b"ID3", b"RIFF", b"fLaC", b"OggS")):
        raise ValueError("this is no audio file")
