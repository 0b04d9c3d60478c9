"""Gives the mistakes of a checklist their places, and makes sentences of them: what was expected, what is there."""

from __future__ import annotations

from collections.abc import Mapping

from gate.checklist.problems import Place, Problem
from gate.matchers import show
from gate.written import Mistake, Path_


def explain(
    mistakes: list[Mistake], values: Mapping[Path_, Place], keys: Mapping[Path_, Place], *, whole: bool = True
) -> list[Problem]:
    """A problem for each mistake. `values` and `keys`: where each value stands, and the key that leads to it.

    Where a part of the checklist could not be read, and it is not `whole`, nothing is said of what may stand there.
    """
    told = (each for each in mistakes if whole or not _of_something_missing(each))
    return [Problem(_place(each, values, keys), _sentence(each)) for each in told]


def _of_something_missing(mistake: Mistake) -> bool:
    """Whether a mistake speaks of a mapping as a whole: something may be missing from it."""
    return mistake.about != "key" and isinstance(mistake.value, dict | None)


def _place(mistake: Mistake, values: Mapping[Path_, Place], keys: Mapping[Path_, Place]) -> Place:
    path = mistake.path
    while path not in values:  # a list of one that is written as its entry
        path = path[:-1]
    return keys.get(path, values[path]) if mistake.about == "key" else values[path]


def _sentence(mistake: Mistake) -> str:
    return f"{mistake.text}, got {show(mistake.value)}" if mistake.about == "value" else mistake.text
