"""Counts plays beside the requests, and writes them to the database in batches."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

_ATTEMPTS = 3


@dataclass
class Job:
    """Plays to write, by track, and how often that was tried."""

    plays: dict[int, int] = field(default_factory=dict)
    attempts: int = 0


class PlaybackAnalyticsWorker:
    """Plays are kept until `flush`; a batch that can't be written is tried three times."""

    def __init__(self, write: Callable[[int, int], None]) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._plays: Counter[int] = Counter()
        self.failed: list[Job] = []

    def played(self, track: int) -> None:
        """Count one play of a track."""
        with self._lock:
            self._plays[track] += 1

    def flush(self) -> None:
        """Write the plays since the last flush."""
        with self._lock:
            plays, self._plays = self._plays, Counter()
        if plays:
            self._try(Job(dict(plays)))

    def retry_failed_jobs(self) -> None:
        """Retry failed batches, and drop those that were tried three times."""
        jobs, self.failed = self.failed, []
        for job in jobs:
            if job.attempts + 1 < _ATTEMPTS:
                self._try(job)

    def _try(self, job: Job) -> None:
        job.attempts += 1
        try:
            for track, plays in list(job.plays.items()):
                self._write(track, plays)
                del job.plays[track]
        except OSError:
            self.failed.append(job)
