"""`go test -json`: one event a line (https://pkg.go.dev/cmd/test2json). A build that fails is a package that fails."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from gate.secrets import REACH
from gate.testresults.results import OUTPUT_LIMIT, Case, Ending, NotResults, Results, ending_of

_ENDINGS: dict[str, Ending] = {"pass": "passed", "bench": "passed", "fail": "failed", "skip": "skipped"}


def looks_like(text: str) -> bool:
    """Whether one of its first lines is an event."""
    return any(_event(line) is not None for line in text.split("\n", 50)[:50])


def parse(text: str) -> Results:
    """The cases of all packages. Raises NotResults where there is no event, or a package never ended."""
    reader = _Reader()
    count = 0
    for line in text.split("\n"):
        event = _event(line)
        if event is not None:
            count += 1
            reader.add(event)
    if not count:
        raise NotResults("there is no event of `go test -json` in it")
    return reader.results()


def _event(line: str) -> dict[str, Any] | None:
    line = line.strip()
    if not (line.startswith("{") and '"Action"' in line):
        return None
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        raise NotResults("a line of it is cut off, or is no JSON") from None
    return event if isinstance(event, dict) and isinstance(event.get("Action"), str) else None


class _Reader:
    """Makes cases of events."""

    def __init__(self) -> None:
        self.said: dict[tuple[str, str], str] = {}
        self.ended: dict[tuple[str, str], tuple[Ending, float]] = {}
        self.begun: dict[tuple[str, str], None] = {}
        self.written: datetime | None = None

    def add(self, event: dict[str, Any]) -> None:
        group = str(event.get("Package") or event.get("ImportPath") or "")
        key, action = (group, str(event.get("Test") or "")), event["Action"]
        if action == "build-output":
            key = (group.partition(" ")[0], "")
        if action in ("output", "build-output"):
            self.said[key] = (self.said.get(key, "") + str(event.get("Output", "")))[-OUTPUT_LIMIT - 2 * REACH :]
        elif action in ("run", "start"):
            self.begun[key] = None
        elif action in _ENDINGS:
            self.begun[key] = None
            elapsed = event.get("Elapsed")
            self.ended[key] = _ENDINGS[action], float(elapsed) if isinstance(elapsed, int | float) else 0.0
        self._time(event.get("Time"))

    def _time(self, value: Any) -> None:
        try:
            found = datetime.fromisoformat(value) if isinstance(value, str) else None
        except ValueError:
            return
        if found and found.tzinfo and (self.written is None or found > self.written):
            self.written = found

    def results(self) -> Results:
        never = [group for group, test in self.begun if not test and (group, "") not in self.ended]
        if never:
            raise NotResults(f"package {never[0]} never ended: the results are cut off")
        tests = [self._case(key) for key in self.begun if key[1]]
        broken = {case.group for case in tests if case.ending == "failed"}
        packages = [key for key, (ending, _) in self.ended.items() if not key[1] and ending == "failed"]
        return Results((*tests, *(self._case(key) for key in packages if key[0] not in broken)), self.written)

    def _case(self, key: tuple[str, str]) -> Case:
        ending, took = self.ended.get(key, ("failed", 0.0))
        said = self.said.get(key, "") if ending == "failed" else ""
        if key not in self.ended:
            said += "(it never ended)"
        return Case(key[0], key[1], ending, took, ending_of(said))
