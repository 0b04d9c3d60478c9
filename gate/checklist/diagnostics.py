"""Gives the mistakes of a checklist their places, and makes sentences of them: what was expected, what is there."""

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
    """A problem for each mistake. `values` and `keys`: where each value stands, and the key that leads to it.

    Where a part of the checklist could not be read, and it is not `whole`, nothing is said of what may stand there.
    """
    told = (each for each in mistakes if whole or not _of_something_missing(each))
    return [Diagnostic(_place(each, values, keys), _sentence(each)) for each in told]


def _of_something_missing(mistake: ValidationIssue) -> bool:
    """Whether a mistake speaks of a mapping as a whole: something may be missing from it."""
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
