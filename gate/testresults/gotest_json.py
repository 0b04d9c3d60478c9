"""Parse `go test -json`: one event a line (https://pkg.go.dev/cmd/test2json).

A build that fails is a package that fails. Before Go 1.24 it is told in plain text between the events.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from gate.redaction.secrets import OVERLAP, redacted_head
from gate.testresults import gotest
from gate.testresults.base import (
    OUTPUT_LIMIT,
    CaseOutcome,
    CaseResult,
    InvalidResultsError,
    Results,
    StillTime,
    output_tail,
)

_ENDINGS: dict[str, CaseOutcome] = {"pass": "passed", "bench": "passed", "fail": "failed", "skip": "skipped"}
_ACTIONS = frozenset(
    (*_ENDINGS, "start", "run", "pause", "cont", "output", "attr", "artifacts", "build-output", "build-fail")
)
# Of a test that ran more than once (`-count`), the ending that counts is the first of these.
_WORST: tuple[CaseOutcome, ...] = ("failed", "passed", "skipped")
_EVENT = re.compile(r'\{"(?:Time|Action|ImportPath|Package)"')
_STARTS = re.compile(r"=== RUN   (\S+)$", re.MULTILINE)
# The head of what a compiler or `go vet` says of a package.
_BUILD = re.compile(r"^# (\S+)(?: \[\S+\])?$")
_MISTAKE = re.compile(r"^\S+\.go:\d+:\d+: ")
# Lines between the events that say nothing of a failure that another line does not say, too.
_HARMLESS = re.compile(
    r"^(?:\s*$|(?:FAIL|PASS)$|exit status 1$|go: (?:downloading|finding|extracting|added|upgraded|downgraded|creating) "
    r"|make(?:\[\d+\])?: |\t\S+\t\tcoverage: |coverage: |(?:[+$>] *)*(?:\w+=\S* +)*go (?:test|tool|run|vet|build) )"
)


def looks_like(text: str) -> bool:
    """Return True if a line of it is an event."""
    return any(_event(line) for line in text.split("\n") if '"Action"' in line)


def parse(text: str, still_time: StillTime = lambda: None) -> Results:
    """Return the cases of all packages. Raise NotResults if there is none, one never ended, or an event is cut off."""
    reader = _Reader()
    count = 0
    for number, line in enumerate(text.rstrip().split("\n")):
        if not number % gotest.LINES_PER_TIME_CHECK:
            still_time()
        plain, event = _parts(line.rstrip("\r"), number + 1)
        if plain.strip():
            reader.add_plain(plain)
        if event is not None:
            count += 1
            reader.add(event)
    if not count:
        raise InvalidResultsError("there is no event of `go test -json` in it")
    return reader.results()


def _parts(line: str, number: int) -> tuple[str, dict[str, Any] | None]:
    """Return what stands before an event, and the event: a text without a line break may be on its line."""
    if '"Action"' not in line:
        return line, None
    start = _EVENT.search(line)
    at = start.start() if start else 0
    value = _json(line[at:])
    if isinstance(value, dict) and isinstance(value.get("Action"), str):
        if value["Action"] not in _ACTIONS:
            raise InvalidResultsError(f"line {number}: the action '{redacted_head(value['Action'], 50)}' is not known")
        return line[:at], value
    if value is None and line[at : at + 1] == "{":
        raise InvalidResultsError(f"line {number}: an event is cut off, or is no JSON")
    return line, None


def _event(line: str) -> bool:
    event = _json(line) if _EVENT.match(line) else None
    return isinstance(event, dict) and event.get("Action") in _ACTIONS


def _json(line: str) -> Any:
    """Return what a line says; None if it is no JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


class _Reader:
    """Makes cases of events, and of the plain text between them."""

    def __init__(self) -> None:
        self.said: dict[tuple[str, str], str] = {}
        self.ended: dict[tuple[str, str], tuple[CaseOutcome, float]] = {}
        self.begun: dict[tuple[str, str], None] = {}
        self.open: set[tuple[str, str]] = set()
        self.printed: dict[tuple[str, str], CaseOutcome] = {}
        self.ends: dict[str, gotest.ProgramEnd] = {}
        self.cut_short: dict[str, str] = {}
        self.unbuilt: dict[str, None] = {}
        self.mistaken: dict[str, None] = {}
        self.building = ""
        self.compiler: dict[str, str] = {}
        self.stray = ""
        self.says_fail = False
        self.written: datetime | None = None

    def add(self, event: dict[str, Any]) -> None:
        self.building = ""
        action = event["Action"]
        if action.startswith("build-"):
            self._build(event, str(event.get("ImportPath") or "").partition(" ")[0])
        else:
            self._test(event, action, str(event.get("Package") or ""), str(event.get("Test") or ""))
        self._time(event.get("Time"))

    def add_plain(self, line: str) -> None:
        """Take in a line of plain text. The first one that can't be explained is kept."""
        package, build = gotest.match_package(line), _BUILD.match(line)
        if package:
            self.building = ""
            if package[1] == "FAIL":
                self.unbuilt[package[2]] = None
                self._say((package[2], ""), line + "\n")
        elif build:
            self.building = build[1]
        elif self.building:
            self.compiler[self.building] = output_tail(f"{self.compiler.get(self.building, '')}{line}\n") + "\n"
            if _MISTAKE.match(line):
                self.mistaken[self.building] = None
        elif not _HARMLESS.match(line):
            self.stray = self.stray or redacted_head(line.strip(), 200)
        self.says_fail |= line == "FAIL"

    def _build(self, event: dict[str, Any], group: str) -> None:
        """A package is built for a test, and perhaps can't be: then it, or what needs it, fails later."""
        if event["Action"] == "build-fail":
            self.unbuilt[group] = None
        self._say((group, ""), str(event.get("Output", "")))

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
            self.printed.pop(key, None)
        output = str(event.get("Output", ""))
        self._say(key, output)
        for line in output.splitlines():
            self._output(group, line)

    def _output(self, group: str, line: str) -> None:
        """Take in a line of a package's output.

        A test that prints without a line break hides what `testing` writes behind it from the tool that makes events.
        """
        for name in _STARTS.findall(line):
            self.begun.setdefault((group, name))
        for name, ending, _ in gotest.test_outcomes(line):
            self.printed[group, name] = ending
        end = self.ends.setdefault(group, gotest.ProgramEnd())
        package = gotest.match_package(line)
        if package and package[1] == "FAIL" and package[2] == group and not (package[3] or "").startswith("["):
            self.cut_short[group] = end.problem
        else:
            end.add(line)

    def _say(self, key: tuple[str, str], text: str) -> None:
        self.said[key] = (self.said.get(key, "") + text)[-OUTPUT_LIMIT - 2 * OVERLAP :]

    def _end(self, key: tuple[str, str], ending: CaseOutcome, elapsed: Any) -> None:
        before, duration = self.ended.get(key, (ending, 0.0))
        duration += float(elapsed) if isinstance(elapsed, int | float) else 0.0
        self.ended[key] = min(before, ending, key=_WORST.index), duration
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
            raise InvalidResultsError(f"package {never[0]} never ended: the results are cut off")
        tests = [self._case(key) for key in self.begun if key[1]]
        broken = {case.group for case in tests if case.outcome == "failed"}
        failed = [group for (group, test), (ending, _) in self.ended.items() if not test and ending == "failed"]
        self.cut_short = {group: why for group, why in self.cut_short.items() if group in broken}
        alone = dict.fromkeys(group for group in failed if group not in broken or self.cut_short.get(group))
        alone |= self.unbuilt
        if not self.unbuilt:  # else what the compiler says is why those were not built
            alone |= {group: None for group in self.mistaken if (group, "") not in self.ended}
        cases = (*tests, *(self._case((group, "")) for group in alone))
        if self.says_fail and not any(case.outcome == "failed" for case in cases):
            raise InvalidResultsError("it says FAIL, but shows nothing that fails: the output is cut off")
        return Results(cases, self.written, stray=self.stray)

    def _case(self, key: tuple[str, str]) -> CaseResult:
        """Return a test or a package as a case.

        A test without an end has passed if its package has, and so has a benchmark, of which no end is told. Else it
        ended as it is printed, or has failed.
        """
        ending, duration = self.ended.get(key) or ("failed", 0.0)
        never = key in self.open or key not in self.ended
        if never and key[1]:
            package = self.ended[key[0], ""][0]
            printed = self.printed.get(key)
            if package != "failed":
                ending, never = ("skipped" if printed == "skipped" else "passed"), False
            elif key[1].startswith("Benchmark"):
                never = False
            elif printed:
                ending, never = printed, False
        said = self.said.get(key, "")
        if not key[1]:
            said = (self.compiler.get(key[0], "") if key not in self.ended else "") + said
            said += self.cut_short.get(key[0], "")
        said += "(it never ended)" if never else ""
        failed = never or ending == "failed"
        return CaseResult(key[0], key[1], "failed" if failed else ending, duration, output_tail(said) if failed else "",
                    subtest="/" in key[1])  # fmt: skip
