"""What the checks that ask a Prometheus have in common."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from gate.checks._paths import find, shown
from gate.checks.base import CannotObserve
from gate.checks.world import World
from gate.messages import Message, say
from gate.model import Location
from gate.prometheus.api import Api, PrometheusError
from gate.prometheus.rules import RuleFile, read
from gate.prometheus.tree import FILE_LIMIT

_AT_ONCE = 50
"""Metrics that one query asks for."""
_PLAIN = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


@contextmanager
def asking(world: World, target: str) -> Iterator[Api]:
    """The API of a target; what it does not answer cannot be observed."""
    if not world.targets[target].base_url:
        why = world.targets[target].why_not or say("the checklist gives it none")
        raise CannotObserve(say("{target} has no URL: {why}", target=target, why=why))
    try:
        yield Api(world.url(target), world.deadline)
    except PrometheusError as error:
        raise CannotObserve(error.message, answer=error.answer) from error


def exposed(api: Api, names: set[str]) -> set[str]:
    """Those of the metrics that have a series now; not those that Prometheus only remembers. May raise PrometheusError.

    A name with `~` in front is a pattern, as in `gate.prometheus.expressions.metrics`.
    """
    plain = sorted(name for name in names if _PLAIN.fullmatch(name))
    found: set[str] = set()
    for start in range(0, len(plain), _AT_ONCE):
        pattern = "|".join(plain[start : start + _AT_ONCE])
        series = api.query(f'group by (__name__) ({{__name__=~"{pattern}"}})')
        found |= {each.labels.get("__name__", "") for each in series}
    for name in names - set(plain):
        operator, text = ("=~", name[1:]) if name.startswith("~") else ("=", name)
        if api.query(f"group ({{__name__{operator}{json.dumps(text, ensure_ascii=False)}}})"):
            found.add(name)
    return found


def no_files(pattern: str) -> Message:
    """A rule file that is not there."""
    return say("{pattern} matches no file", pattern=pattern)


class ReadFile(Struct, frozen=True):
    """A rule file of the checkout, by its path."""

    path: str
    content: RuleFile

    def at(self, line: int, column: int | None = None, text: str = "") -> Location:
        """A place in it."""
        return Location(file=self.path, line=line, column=column, text=text)


def rule_files(world: World, pattern: str) -> tuple[ReadFile, ...]:
    """The rule files that a path or glob names, read once for all checks. May raise CannotObserve."""
    root = world.root.resolve()
    return tuple(_read_once(world, path, root) for path in find(world, pattern))


def _read_once(world: World, path: Path, root: Path) -> ReadFile:
    def make() -> ReadFile:
        return _read(path, root)

    return world.memo.get(("rules", path), make, not_before=world.fresh, remaining=world.remaining())


def _read(path: Path, root: Path) -> ReadFile:
    name = shown(path, root)
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_LIMIT + 1)
    except OSError as error:
        raise CannotObserve(say("{path} can't be read: {why}", path=name, why=error.strerror or "")) from error
    return ReadFile(name, read(raw))
