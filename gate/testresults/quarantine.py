"""Parse quarantines: tests that are known to fail, each with an owner, a reason and an expiry date.

A quarantine is part of the checklist, a YAML file, or a Markdown table with the columns test, owner, reason and
expires.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from msgspec import Meta

from gate.core.errors import GateError
from gate.decode import structs
from gate.decode.types import Date, DisplayText
from gate.model import FrozenStruct
from gate.redaction.secrets import redacted_head
from gate.source import markdown
from gate.testresults.base import CaseResult, StillTime

_COLUMNS = {
    "test": "test", "test id": "test", "id": "test",
    "owner": "owner", "responsable": "owner",
    "reason": "reason", "raison": "reason",
    "expires": "expires", "expire": "expires", "échéance": "expires",
    "issue": "issue", "ticket": "issue",
}  # fmt: skip
_NEEDED = ("test", "owner", "reason", "expires")


class InvalidQuarantineError(GateError):
    """A file is not a valid quarantine; the message has the line if it is known."""


class QuarantineEntry(FrozenStruct):
    """A test that may fail."""

    test: Annotated[DisplayText, Meta(description="Its id, or the name of its group.")]
    owner: Annotated[DisplayText, Meta(description="Who answers for it.")]
    reason: Annotated[DisplayText, Meta(description="Why it may fail.")]
    expires: Annotated[Date, Meta(description="The first day on which it may not any more.")]
    issue: Annotated[DisplayText | None, Meta(description="Where it is worked on.")] = None


class Quarantine:
    """An index of entries by the cases that they name or cover."""

    def __init__(self, entries: Iterable[QuarantineEntry]) -> None:
        self.entries = tuple(entries)
        self._by_test: dict[str, list[int]] = {}
        # By the parts of a name between slashes: a subtest's parents are found on the way to its own name.
        self._tree = _Node()
        for number, entry in enumerate(self.entries):
            self._by_test.setdefault(entry.test, []).append(number)
            if "::" in entry.test:
                node = self._tree
                for part in entry.test.split("/"):
                    node = node.inside.setdefault(part, _Node())
                node.entries.append(number)
        self._sorted = sorted(self._by_test)

    def naming(self, case: CaseResult) -> list[int]:
        """Return the numbers of the entries that name this test or its group."""
        return [number for test in {case.group, case.id} for number in self._by_test.get(test, ())]

    def covering(self, case: CaseResult) -> list[int]:
        """Return the numbers of the entries that name a case or its parent (`p::TestA` for `p::TestA/sub`)."""
        return [*self.naming(case), *(self._above(case.id) if case.subtest else ())]

    def _above(self, name: str) -> Iterator[int]:
        node, at = self._tree, 0
        while (end := name.find("/", at)) >= 0:
            child = node.inside.get(name[at:end])
            if child is None:
                return
            node, at = child, end + 1
            yield from node.entries

    def in_group(self, group: str) -> list[int]:
        """Return the numbers of the entries of tests in a group, or in one below it."""
        names, numbers = self._sorted, []
        for start in (f"{group}::", f"{group}."):
            at = bisect_left(names, start)
            while at < len(names) and names[at].startswith(start):
                numbers += self._by_test[names[at]]
                at += 1
        return numbers


class _Node:
    """A part of a name between slashes: the entries that end with it, and the parts that follow."""

    def __init__(self) -> None:
        self.entries: list[int] = []
        self.inside: dict[str, _Node] = {}


def parse_quarantine(text: str, name: str, still_time: StillTime = lambda: None) -> list[QuarantineEntry]:
    """Return the entries of a file. Raise InvalidQuarantineError."""
    entries = _table(text) if name.lower().endswith((".md", ".markdown")) else _yaml(text)
    quarantine, tests = [], set()
    for where, entry in entries:
        still_time()
        try:
            decoded = structs.decode_all_errors(entry, QuarantineEntry)
        except structs.ValidationError as error:
            first = error.issues[0]
            key = f"{first.path[0]}: " if first.path and first.scope == "value" else ""
            raise InvalidQuarantineError(f"{where}: {key}{first.text}") from None
        if decoded.test in tests:
            raise InvalidQuarantineError(f"{where}: {decoded.test} stands twice")
        tests.add(decoded.test)
        quarantine.append(decoded)
    return quarantine


def _yaml(text: str) -> list[tuple[str, Any]]:
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        root, data = yaml.compose(text, Loader=loader), yaml.load(text, Loader=loader)  # noqa: S506 - both are safe
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidQuarantineError(f"not valid YAML: {redacted_head(' '.join(str(error).split()), 200)}") from None
    _check_keys(root)
    if isinstance(data, dict) and list(data) != ["quarantine"]:
        raise InvalidQuarantineError(f"expected the key 'quarantine' alone, got {', '.join(map(str, data)) or 'none'}")
    entries = data["quarantine"] if isinstance(data, dict) else data
    if entries is None:
        return []
    if not isinstance(entries, list):
        raise InvalidQuarantineError("expected a list of entries, each with test, owner, reason and expires")
    return [(f"entry {number}", entry) for number, entry in enumerate(entries, 1)]


def _check_keys(root: Any) -> None:
    """Raise InvalidQuarantineError for a duplicate key in a mapping."""
    # YAML keeps the last of two equal keys silently: one of two dates would be lost.
    pending, visited = [root], set()
    while pending:
        node = pending.pop()
        if id(node) in visited or node is None or isinstance(node.value, str):
            continue
        visited.add(id(node))
        names = set()
        for child in node.value:
            key, parts = (child[0], child) if isinstance(child, tuple) else (None, (child,))
            if key is not None and isinstance(key.value, str):
                if key.value in names:
                    raise InvalidQuarantineError(f"line {key.start_mark.line + 1}: the key '{key.value}' stands twice")
                names.add(key.value)
            pending += parts


def _table(text: str) -> list[tuple[str, Any]]:
    """Return the rows of all quarantine tables.

    Raise InvalidQuarantineError if there are tables, and none of them is one.
    """
    rows: list[tuple[str, Any]] = []
    tables = markdown.tables(text)
    chosen = [(table, columns) for table in tables if (columns := _columns(table))]
    if tables and not chosen:
        raise InvalidQuarantineError(f"line {tables[0].line}: no table has the columns {', '.join(_NEEDED)}")
    for table, columns in chosen:
        for line, cells in table.rows:
            entry = {name: _plain(cell) for name, cell in zip(columns, cells, strict=True) if name and cell}
            rows.append((f"line {line}", entry))
    return rows


def _columns(table: markdown.Table) -> list[str | None]:
    """Return the fields of a quarantine table's columns; none for another table."""
    columns = [_COLUMNS.get(title.lower().strip("*` ")) for title in table.head]
    fields = {name for name in columns if name}
    if "test" not in fields and len(fields) < 2:
        return []
    if missing := [name for name in _NEEDED if name not in fields]:
        raise InvalidQuarantineError(f"line {table.line}: the table has no column '{missing[0]}'")
    return columns


def _plain(cell: str) -> str:
    return cell[1:-1].strip() if len(cell) > 1 and cell[0] == cell[-1] == "`" else cell
