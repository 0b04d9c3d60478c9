"""Detect duplicate series in memory that does not grow with the number of series."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterator
from typing import IO

# Hashes held in memory; more go to disk and are compared at the end.
HELD = 40_000
_PARTS = 64


class DuplicateDetector:
    """A set of 64-bit hashes of series, each with its first line.

    Two different series share a hash at most once in 10^7 expositions of a million series.
    """

    def __init__(self, held: int = HELD) -> None:
        self._held = held
        self._recent: dict[int, int] = {}
        self._disk: IO[bytes] | None = None
        self._runs: list[list[tuple[int, int]]] = [[] for _ in range(_PARTS)]

    def first_line(self, key: int, line: int) -> int | None:
        """Add a series; return the line on which it came before, or None.

        Hashes on disk are not looked up: `duplicates` finds those.
        """
        first = self._recent.setdefault(key, line)
        if first != line:
            return first
        if len(self._recent) >= self._held:
            self._put_on_disk()
        return None

    def reset(self) -> None:
        """Forget the series in memory: the ones to come cannot be duplicates of them."""
        if self._disk is None:
            self._recent.clear()

    def duplicates(self) -> Iterator[tuple[int, int]]:
        """Yield (line, first line) of each duplicate that `first_line` could not find."""
        if self._disk is None:
            return
        self._put_on_disk()
        for runs in self._runs:
            first_lines: dict[int, int] = {}
            for start, count in runs:
                self._disk.seek(start)
                keys, lines = array("q"), array("q")
                keys.fromfile(self._disk, count)
                lines.fromfile(self._disk, count)
                for key, line in zip(keys, lines, strict=True):
                    first = first_lines.setdefault(key, line)
                    if first != line:
                        yield line, first

    def close(self) -> None:
        """Close and delete the file on disk."""
        if self._disk is not None:
            self._disk.close()

    def _put_on_disk(self) -> None:
        """Move the hashes in memory to a file, in parts that each fit into memory again."""
        if self._disk is None:
            self._disk = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as this object, see `close`
        keys = [array("q") for _ in range(_PARTS)]
        lines = [array("q") for _ in range(_PARTS)]
        for key, line in self._recent.items():
            part = key % _PARTS
            keys[part].append(key)
            lines[part].append(line)
        self._recent.clear()
        self._disk.seek(0, 2)
        for part in range(_PARTS):
            self._runs[part].append((self._disk.tell(), len(keys[part])))
            keys[part].tofile(self._disk)
            lines[part].tofile(self._disk)
