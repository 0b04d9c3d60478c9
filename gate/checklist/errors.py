"""Define the errors of a checklist, each with its location: `file:line:column: problem`."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from gate.core.errors import GateError
from gate.core.messages import Message


class SourceLocation(Struct, frozen=True, order=True):
    """A location in a file. Lines and columns count from 1; 0 means the whole file."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class Diagnostic(Struct, frozen=True, order=True):
    """One error of a checklist."""

    place: SourceLocation
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


class ChecklistError(GateError):
    """The checklist is not valid; `problems` holds every error. Nothing is run."""

    def __init__(self, problems: Iterable[Diagnostic]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__(Message(text="{problems}", args={"problems": "\n".join(map(str, self.problems))}))
