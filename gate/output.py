"""Redact everything that the program writes to standard output and standard error, and survive broken streams."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from gate.secrets import Secrets, known


class Hiding:
    """A text stream that redacts each text written to it. Nothing it does raises an error of the stream.

    It only wraps the stream: a real text stream would close it when it is collected.
    """

    def __init__(self, stream: TextIO, secrets: Secrets) -> None:
        self.stream = stream
        self.secrets = secrets
        self.failed = False
        """Whether the stream has not taken something that was written to it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write a text without any secret in it. What the stream's encoding does not have becomes `?`."""
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        hidden = self.secrets.hide(text).encode(encoding, "replace").decode(encoding)
        with self._undisturbed():
            self.stream.write(hidden)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts, likewise."""
        for line in lines:
            self.write(line)

    def write_bytes(self, data: bytes) -> None:
        """Write bytes that have been redacted already."""
        with self._undisturbed():
            self.stream.flush()
            self.stream.buffer.write(data)
        self.flush()

    def flush(self) -> None:
        """Flush the stream."""
        with self._undisturbed():
            self.stream.flush()

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        # A full disk, a reader that is gone (`2>&1 | tee` after Ctrl-C): the text is lost, but an exception from here
        # could end a drill before its fault is reverted, or turn a verdict into another exit code.
        try:
            yield
        except (OSError, ValueError):  # ValueError: the stream is closed
            self.failed = True


@contextmanager
def hiding() -> Iterator[Hiding]:
    """Redact standard output and standard error inside the context, even tracebacks. Yield standard output.

    If the caller has closed a stream, Python has none: what is written there is discarded.
    """
    before = sys.stdout, sys.stderr
    streams = [stream or open(os.devnull, "w", encoding="utf-8") for stream in before]  # noqa: SIM115 - as long as we are
    out, err = (Hiding(stream, known()) for stream in streams)
    sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, err)
    try:
        yield out
    finally:
        sys.stdout, sys.stderr = before
        out.flush()
        err.flush()
