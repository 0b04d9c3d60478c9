"""Tests that are known to fail: each with an owner, a reason and the day on which it counts for nothing any more.

In the checklist, in a YAML file, or in a Markdown table with the columns test, owner, reason and expires.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints, ValidationError, WithJsonSchema
from pydantic_core import PydanticCustomError

from gate.model import Model
from gate.secrets import beginning_of

Text = Annotated[str, StringConstraints(min_length=1, max_length=2000, strip_whitespace=True)]
_COLUMNS = {
    "test": "test", "test id": "test", "id": "test",
    "owner": "owner", "responsable": "owner",
    "reason": "reason", "raison": "reason",
    "expires": "expires", "expire": "expires", "échéance": "expires",
    "issue": "issue", "ticket": "issue",
}  # fmt: skip
_NEEDED = ("test", "owner", "reason", "expires")


class NoQuarantine(ValueError):
    """A file that is no quarantine: what is wrong, with the line where it is known."""


def _day(value: Any) -> Any:
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value)) if len(str(value)) == 10 else _no_day()
    except ValueError:
        return _no_day()


def _no_day() -> Any:
    raise PydanticCustomError("day", "expected a day such as 2026-03-31")


class Entry(Model):
    """A test that may fail."""

    test: Text = Field(description="Its id, or that of its package.")
    owner: Text = Field(description="Who answers for it.")
    reason: Text = Field(description="Why it may fail.")
    expires: Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})] = Field(
        description="The first day on which it may not any more."
    )
    issue: Text | None = Field(None, description="Where it is worked on.")

    def covers(self, group: str, identity: str) -> bool:
        """Whether a case is this test, a part of it (`TestA/sub`), or one of this package."""
        return self.test in (group, identity) or identity.startswith(f"{self.test}/")


def read(text: str, name: str) -> list[Entry]:
    """The entries of a file. Raises NoQuarantine."""
    entries = _table(text) if name.lower().endswith((".md", ".markdown")) else _yaml(text)
    found, seen = [], set()
    for where, entry in entries:
        try:
            made = Entry.model_validate(entry)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(str(part) for part in first["loc"]) or "entry"
            raise NoQuarantine(f"{where}: {key}: {first['msg']}") from None
        if made.test in seen:
            raise NoQuarantine(f"{where}: {made.test} stands twice")
        seen.add(made.test)
        found.append(made)
    return found


def _yaml(text: str) -> list[tuple[str, Any]]:
    import yaml

    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise NoQuarantine(f"it is no YAML: {beginning_of(' '.join(str(error).split()), 200)}") from None
    entries = data.get("quarantine") if isinstance(data, dict) else data
    if entries is None:
        return []
    if not isinstance(entries, list):
        raise NoQuarantine("expected a list of entries, each with test, owner, reason and expires")
    return [(f"entry {number}", entry) for number, entry in enumerate(entries, 1)]


def _table(text: str) -> list[tuple[str, Any]]:
    columns: list[str | None] = []
    found: list[tuple[str, Any]] = []
    for number, line in enumerate(text.split("\n"), 1):
        cells = _cells(line)
        if not cells:
            columns = []
        elif not columns:
            columns = [_COLUMNS.get(cell.lower().strip("*` ")) for cell in cells]
            if "test" not in columns:
                columns = [None] * len(cells)
            elif missing := [name for name in _NEEDED if name not in columns]:
                raise NoQuarantine(f"line {number}: the table has no column '{missing[0]}'")
        elif "test" in columns and not re.fullmatch(r"[\s|:-]+", line):
            entry = {name: cell for name, cell in zip(columns, cells, strict=False) if name and cell}
            found.append((f"line {number}", entry))
    return found


def _cells(line: str) -> list[str]:
    """The cells of a row of a Markdown table; none where it is no row."""
    line = line.strip()
    if not line.startswith("|"):
        return []
    parts = re.split(r"(?<!\\)\|", line.strip("|"))
    return [_plain(part) for part in parts]


def _plain(cell: str) -> str:
    cell = cell.strip().replace("\\|", "|")
    return cell[1:-1].strip() if len(cell) > 1 and cell[0] == cell[-1] == "`" else cell
