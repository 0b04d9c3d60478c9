"""Standard output and standard error of the program, with no secret in what is written to them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from gate.secrets import Secrets, known


class Hiding:
    """A text stream that hides what is secret in each text that is written; `buffer` is for what is hidden already.

    It is all that the stream is, and no stream of its own: one of those would close it when it is collected.
    """

    def __init__(self, stream: TextIO, secrets: Secrets) -> None:
        self.stream = stream
        self.secrets = secrets

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Writes it without any secret in it."""
        self.stream.write(self.secrets.hide(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes several, likewise."""
        for line in lines:
            self.write(line)


@contextmanager
def hiding() -> Iterator[None]:
    """Nothing secret is written meanwhile, not even by an error that nobody expected.

    What the caller has closed goes nowhere: Python has no stream there.
    """
    before = sys.stdout, sys.stderr
    streams = [stream or open(os.devnull, "w", encoding="utf-8") for stream in before]  # noqa: SIM115 - as long as we are
    sys.stdout, sys.stderr = (cast(TextIO, Hiding(stream, known())) for stream in streams)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
