"""What is wrong with a checklist, and where: `file:line:column: what, expected what, nearest name`."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct


class SourceLocation(Struct, frozen=True, order=True):
    """A place in a file. Lines and columns from 1; 0 stands for the file as a whole."""

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


class ChecklistError(Exception):
    """A checklist that cannot be used, with everything that is wrong with it. Nothing is run from it."""

    def __init__(self, problems: Iterable[Diagnostic]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))
