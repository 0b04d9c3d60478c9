"""Redact everything that the program writes to standard output and standard error, and survive broken streams."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from gate.redaction.secrets import Redactor, default_redactor

# Maximum characters of a line that is held back until its end.
_PENDING = 64 * 1024


class RedactingStream:
    """A text stream that redacts what is written, line by line. Nothing it does raises an error of the stream.

    A line may be written in pieces, so it waits for its end or a flush. A flush keeps back only what may be the
    beginning of a secret. It only wraps the stream: a real text stream would close it when it is collected.
    """

    def __init__(self, stream: TextIO, secrets: Redactor) -> None:
        self.stream = stream
        self.secrets = secrets
        self.failed = False
        """Whether the stream has not taken something that was written to it."""
        self._pending = ""
        # Reentrant: a signal handler may write while the main thread does.
        self._lock = threading.RLock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write complete lines without any secret. What the stream's encoding does not have becomes `?`."""
        with self._lock:
            lines, end, self._pending = (self._pending + text).rpartition("\n")
            if end:
                self._write(self.secrets.redact(lines + end))
            if len(self._pending) > _PENDING:
                self._write_pending()
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts, likewise."""
        for line in lines:
            self.write(line)

    def write_bytes(self, data: bytes) -> None:
        """Write bytes that have been redacted already."""
        self.flush()
        with self._undisturbed():
            self.stream.buffer.write(data)
            self.stream.flush()

    def flush(self) -> None:
        """Write what waits, but for the beginning of a secret whose end may still come."""
        with self._lock:
            self._write_pending()
        with self._undisturbed():
            self.stream.flush()

    def finish(self) -> None:
        """Write all that waits, because nothing comes after it."""
        with self._lock:
            pending, self._pending = self._pending, ""
            if pending:
                self._write(self.secrets.redact_head(pending))
        self.flush()

    def _write_pending(self) -> None:
        whole, self._pending = self.secrets.split(self._pending)
        if whole:
            self._write(whole)

    def _write(self, hidden: str) -> None:
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        with self._undisturbed():
            self.stream.write(hidden.encode(encoding, "replace").decode(encoding))

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        # A full disk, a reader that is gone (`2>&1 | tee` after Ctrl-C): the text is lost, but an exception from here
        # could end a drill before its fault is reverted, or turn a verdict into another exit code.
        try:
            yield
        except (OSError, ValueError):  # ValueError: the stream is closed
            self.failed = True


@contextmanager
def redact_std_streams() -> Iterator[RedactingStream]:
    """Redact standard output and standard error inside the context, even tracebacks. Yield standard output.

    If the caller has closed a stream, Python has none: what is written there is discarded.
    """
    before = sys.stdout, sys.stderr
    streams = [stream or open(os.devnull, "w", encoding="utf-8") for stream in before]  # noqa: SIM115 - as long as we are
    out, err = (RedactingStream(stream, default_redactor()) for stream in streams)
    sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, err)
    try:
        yield out
    finally:
        sys.stdout, sys.stderr = before
        out.finish()
        err.finish()
