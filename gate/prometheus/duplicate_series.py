"""Tells whether a series was given before, in memory that does not grow with how many there are."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterator
from typing import IO

HELD = 40_000
"""Hashes held in memory; more are put on disk and looked at in the end."""
_PARTS = 64


class DuplicateDetector:
    """A set of 64-bit hashes, each with the line it was seen on first.

    Two different series share a hash once in 10^7 expositions of a million series, or less often.
    """

    def __init__(self, held: int = HELD) -> None:
        self._held = held
        self._recent: dict[int, int] = {}
        self._disk: IO[bytes] | None = None
        self._runs: list[list[tuple[int, int]]] = [[] for _ in range(_PARTS)]

    def first_line(self, key: int, line: int) -> int | None:
        """The line on which it was seen before, as far as memory reaches, or None; it counts as seen from now on."""
        known = self._recent.setdefault(key, line)
        if known != line:
            return known
        if len(self._recent) >= self._held:
            self._put_on_disk()
        return None

    def reset(self) -> None:
        """Starts anew: what comes now cannot be what came before."""
        if self._disk is None:
            self._recent.clear()

    def duplicates(self) -> Iterator[tuple[int, int]]:
        """(line, line before) of each that was seen again and that `before` could not tell."""
        if self._disk is None:
            return
        self._put_on_disk()
        for runs in self._runs:
            first: dict[int, int] = {}
            for start, count in runs:
                self._disk.seek(start)
                keys, lines = array("q"), array("q")
                keys.fromfile(self._disk, count)
                lines.fromfile(self._disk, count)
                for key, line in zip(keys, lines, strict=True):
                    known = first.setdefault(key, line)
                    if known != line:
                        yield line, known

    def close(self) -> None:
        """Gives back the disk space."""
        if self._disk is not None:
            self._disk.close()

    def _put_on_disk(self) -> None:
        """Moves what is in memory to a file, sorted into parts that each fit into memory again."""
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
