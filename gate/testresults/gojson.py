"""`go test -json`: one event a line (https://pkg.go.dev/cmd/test2json). A build that fails is a package that fails."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from gate.secrets import REACH
from gate.testresults.results import OUTPUT_LIMIT, Case, Ending, NotResults, Results, ending_of

_ENDINGS: dict[str, Ending] = {"pass": "passed", "bench": "passed", "fail": "failed", "skip": "skipped"}
_WORST: tuple[Ending, ...] = ("failed", "passed", "skipped")
"""Of a test that ran more than once (`-count`), the ending that counts is the first of these."""


def looks_like(text: str) -> bool:
    """Whether one of its first lines is an event."""
    return any(_event(line) is not None for line in text.split("\n", 50)[:50])


def parse(text: str) -> Results:
    """The cases of all packages. Raises NotResults where none is there, one never ended, or the last line is cut off.

    A line that only looks like an event is one of a program beside the tests, but for the last one.
    """
    reader = _Reader()
    count = 0
    lines = text.rstrip().split("\n")
    for line in lines:
        event = _event(line)
        if event is not None:
            count += 1
            reader.add(event)
    if _looks_like_one(lines[-1]) and _json(lines[-1]) is None:
        raise NotResults("its last line is cut off, or is no JSON")
    if not count:
        raise NotResults("there is no event of `go test -json` in it")
    return reader.results()


def _looks_like_one(line: str) -> bool:
    return line.lstrip().startswith("{") and '"Action"' in line


def _event(line: str) -> dict[str, Any] | None:
    event = _json(line) if _looks_like_one(line) else None
    return event if isinstance(event, dict) and isinstance(event.get("Action"), str) else None


def _json(line: str) -> Any:
    """What a line says; None where it is no JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


class _Reader:
    """Makes cases of events."""

    def __init__(self) -> None:
        self.said: dict[tuple[str, str], str] = {}
        self.ended: dict[tuple[str, str], tuple[Ending, float]] = {}
        self.begun: dict[tuple[str, str], None] = {}
        self.open: set[tuple[str, str]] = set()
        self.unbuilt: dict[str, None] = {}
        self.written: datetime | None = None

    def add(self, event: dict[str, Any]) -> None:
        action = event["Action"]
        if action.startswith("build-"):
            self._build(event, str(event.get("ImportPath") or "").partition(" ")[0])
        else:
            self._test(event, action, str(event.get("Package") or ""), str(event.get("Test") or ""))
        self._time(event.get("Time"))

    def _build(self, event: dict[str, Any], group: str) -> None:
        """A package is built for a test, and perhaps can't be: then it, or what needs it, fails later."""
        if event["Action"] == "build-fail":
            self.unbuilt[group] = None
        self._say((group, ""), event)

    def _test(self, event: dict[str, Any], action: str, group: str, test: str) -> None:
        key = (group, test)
        if action in _ENDINGS:
            self.begun[key] = None
            self._end(key, _ENDINGS[action], event.get("Elapsed"))
            if not test and action == "fail":
                self.unbuilt.pop(str(event.get("FailedBuild") or group).partition(" ")[0], None)
            return
        self.open.add((group, ""))
        if action in ("run", "start"):
            self.begun[key] = None
            self.open.add(key)
        self._say(key, event)

    def _say(self, key: tuple[str, str], event: dict[str, Any]) -> None:
        self.said[key] = (self.said.get(key, "") + str(event.get("Output", "")))[-OUTPUT_LIMIT - 2 * REACH :]

    def _end(self, key: tuple[str, str], ending: Ending, elapsed: Any) -> None:
        before, took = self.ended.get(key, (ending, 0.0))
        took += float(elapsed) if isinstance(elapsed, int | float) else 0.0
        self.ended[key] = min(before, ending, key=_WORST.index), took
        self.open.discard(key)

    def _time(self, value: Any) -> None:
        try:
            found = datetime.fromisoformat(value) if isinstance(value, str) else None
        except ValueError:
            return
        if found and found.tzinfo and (self.written is None or found > self.written):
            self.written = found

    def results(self) -> Results:
        groups = dict.fromkeys(group for group, _ in [*self.begun, *sorted(self.open)])
        never = [group for group in groups if (group, "") in self.open or (group, "") not in self.ended]
        if never:
            raise NotResults(f"package {never[0]} never ended: the results are cut off")
        tests = [self._case(key) for key in self.begun if key[1]]
        broken = {case.group for case in tests if case.ending == "failed"}
        packages = [group for (group, test), (ending, _) in self.ended.items() if not test and ending == "failed"]
        alone = dict.fromkeys([*(group for group in packages if group not in broken), *self.unbuilt])
        return Results((*tests, *(self._case((group, "")) for group in alone)), self.written)

    def _case(self, key: tuple[str, str]) -> Case:
        """A test that never ended has failed; a benchmark, of which no end is told, ends as its package does."""
        benchmark = key[1].startswith("Benchmark")
        ending, took = self.ended.get(key) or (self.ended[key[0], ""][0] if benchmark else "failed", 0.0)
        never = not benchmark and (key in self.open or key not in self.ended)
        said = self.said.get(key, "") + ("(it never ended)" if never else "")
        failed = never or ending == "failed"
        return Case(key[0], key[1], "failed" if failed else ending, took, ending_of(said) if failed else "",
                    subtest="/" in key[1])  # fmt: skip
