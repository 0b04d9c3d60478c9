"""Define the errors of a checklist, each with its location: `file:line:column: problem`."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from msgspec import Struct

from gate.core.errors import GateError
from gate.core.messages import Message

# Characters of a line that are shown of a longer one.
_EXCERPT_LIMIT = 100


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


def excerpt(place: SourceLocation) -> str:
    """Return the line at a place in a file, and a caret below the column; "" if the file has no such line."""
    try:
        with open(place.file, encoding="utf-8-sig") as file:
            line = next(islice(file, max(place.line - 1, 0), None), "") if place.line else ""
    except (OSError, ValueError):
        return ""
    start = max(0, place.column - 1 - _EXCERPT_LIMIT // 2)
    shown = line.rstrip()[start : start + _EXCERPT_LIMIT].expandtabs(1)
    if not shown.isprintable() or not shown:
        return ""
    return f"    {shown}\n    {' ' * (place.column - 1 - start)}^"


class ChecklistError(GateError):
    """The checklist is not valid; `problems` holds every error. Nothing is run."""

    def __init__(self, problems: Iterable[Diagnostic]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__(Message(text="{problems}", args={"problems": "\n".join(map(str, self.problems))}))
