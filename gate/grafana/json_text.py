"""Parse JSON as Grafana does, and find where a value stands in the text."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from msgspec import Struct

from gate.core.errors import GateError
from gate.core.messages import Message, msg

# Lists and objects in one file. An empty one takes 60 bytes of memory, so that small files can grow large.
_CONTAINER_LIMIT = 500_000
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|[^\\]", re.DOTALL
)
# What leads to a value: keys of objects and indices of lists.
Path = tuple[str | int, ...]


class JsonSyntaxError(GateError):
    """Text that is not valid JSON. Lines and columns count from 1."""

    def __init__(self, message: Message, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.line, self.column = line, column


class Value(Struct, frozen=True):
    """Where a value begins in a JSON text, and its first token: a string with its quotes, a number, a bracket."""

    line: int
    column: int
    token: str

    def column_of(self, offset: int) -> int:
        """Return the column of a character of a decoded string."""
        column = self.column + (self.token[0] == '"')
        if "\\" not in self.token:
            return column + offset
        for number, part in enumerate(_ESCAPE.finditer(self.token, 1)):
            if number == offset:
                break
            column += len(part[0])
        return column


def parse(text: str) -> Any:
    """Return the value of a JSON text. Of duplicate keys the last one counts. Raise JsonSyntaxError."""
    if text.count("{") + text.count("[") > _CONTAINER_LIMIT:
        raise JsonSyntaxError(msg("the file has more than {count} lists and objects", count=_CONTAINER_LIMIT))
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        # Go's decoder takes no byte order mark, and neither does this one.
        raise JsonSyntaxError(msg("not valid JSON: {what}", what=error.msg), error.lineno, error.colno) from None
    except RecursionError:
        raise JsonSyntaxError(msg("not valid JSON: {what}", what="nested too deeply")) from None
    except ValueError as error:
        raise JsonSyntaxError(msg("not valid JSON: {what}", what=str(error))) from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a value of JSON")


def locate(text: str, paths: Collection[Path]) -> dict[Path, Value]:
    """Return where the values at some paths of a valid JSON text begin."""
    # Only called if there is something to report: the positions of all values would cost more than parsing them.
    found: dict[Path, Value] = {}
    ends = {path[-1] for path in paths if path}
    wanted = set(paths)
    here: list[str | int] = []
    # Whether each open object or list is an object.
    objects: list[bool] = []
    key_next = False
    line, counted = 1, 0
    for match in _TOKEN.finditer(text):
        token, start = match[0], match.start()
        first = token[0]
        if first == '"' and key_next:
            here[-1] = json.loads(token) if "\\" in token else token[1:-1]
            key_next = False
            continue
        if first in "}]":
            objects.pop()
            here.pop()
            continue
        if first == ",":
            key_next = objects[-1]
            if not key_next:
                here[-1] += 1  # type: ignore[operator]
            continue
        if first == ":":
            continue
        if here and here[-1] in ends and (path := tuple(here)) in wanted:
            line, counted = line + text.count("\n", counted, start), start
            found[path] = Value(line, start - text.rfind("\n", 0, start), token)
        if first in "{[":
            key_next = first == "{"
            objects.append(key_next)
            here.append("" if key_next else 0)
    return found
