"""Turn validation issues into diagnostics with a source location."""

from __future__ import annotations

from collections.abc import Mapping

from gate.checklist.errors import Diagnostic, SourceLocation
from gate.decode.structs import KeyPath, ValidationIssue
from gate.matchers import to_short_json


def to_diagnostics(
    mistakes: list[ValidationIssue],
    values: Mapping[KeyPath, SourceLocation],
    keys: Mapping[KeyPath, SourceLocation],
    *,
    whole: bool = True,
) -> list[Diagnostic]:
    """Return a diagnostic for each issue. `values` and `keys` are the locations of each value and of its key.

    If a file could not be read (not `whole`), skip issues about missing keys: they may be in that file.
    """
    reported = (issue for issue in mistakes if whole or not _of_something_missing(issue))
    return [Diagnostic(_place(issue, values, keys), _sentence(issue)) for issue in reported]


def _of_something_missing(mistake: ValidationIssue) -> bool:
    """Return whether an issue is about a mapping as a whole, such as a missing key."""
    return mistake.scope != "key" and isinstance(mistake.value, dict | None)


def _place(
    mistake: ValidationIssue, values: Mapping[KeyPath, SourceLocation], keys: Mapping[KeyPath, SourceLocation]
) -> SourceLocation:
    path = mistake.path
    while path not in values:  # a list of one that is written as its entry
        path = path[:-1]
    return keys.get(path, values[path]) if mistake.scope == "key" else values[path]


def _sentence(mistake: ValidationIssue) -> str:
    return f"{mistake.text}, got {to_short_json(mistake.value)}" if mistake.scope == "value" else mistake.text
