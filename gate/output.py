"""Standard output and standard error of the program, with no secret in what is written to them."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, TextIO

from gate.secrets import Secrets, known


class Hiding(io.TextIOBase):
    """A text stream that hides what is secret in each text that is written."""

    def __init__(self, stream: TextIO, secrets: Secrets) -> None:
        self.stream = stream
        self.secrets = secrets

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.stream.encoding

    @property
    def buffer(self) -> BinaryIO:
        """Where bytes go in which nothing is secret any more."""
        return self.stream.buffer

    def fileno(self) -> int:
        return self.stream.fileno()

    def isatty(self) -> bool:
        return self.stream.isatty()

    def write(self, text: str) -> int:
        self.stream.write(self.secrets.hide(text))
        return len(text)

    def flush(self) -> None:
        self.stream.flush()

    def close(self) -> None:
        self.stream.close()


@contextmanager
def hiding() -> Iterator[None]:
    """Nothing secret is written meanwhile, not even by an error that nobody expected."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (Hiding(stream, known()) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
