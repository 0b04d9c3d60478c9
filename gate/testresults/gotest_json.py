"""Parse `go test -json`: one event a line (https://pkg.go.dev/cmd/test2json).

A failed build is a failed package. Before Go 1.24 it is reported as plain text between the events.
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

_OUTCOMES: dict[str, CaseOutcome] = {"pass": "passed", "bench": "passed", "fail": "failed", "skip": "skipped"}
_ACTIONS = frozenset(
    (*_OUTCOMES, "start", "run", "pause", "cont", "output", "attr", "artifacts", "build-output", "build-fail")
)
# The first of these counts for a test that ran more than once (`-count`).
_WORST: tuple[CaseOutcome, ...] = ("failed", "passed", "skipped")
_EVENT = re.compile(r'\{"(?:Time|Action|ImportPath|Package)"')
_STARTS = re.compile(r"=== RUN   (\S+)$", re.MULTILINE)
# The first line of the messages of the compiler or `go vet` about a package.
_BUILD = re.compile(r"^# (\S+)(?: \[\S+\])?$")
_COMPILER_ERROR = re.compile(r"^\S+\.go:\d+:\d+: ")
# Lines between the events that never explain a failure on their own.
_HARMLESS = re.compile(
    r"^(?:\s*$|(?:FAIL|PASS)$|exit status 1$|go: (?:downloading|finding|extracting|added|upgraded|downgraded|creating) "
    r"|make(?:\[\d+\])?: |\t\S+\t\tcoverage: |coverage: |(?:[+$>] *)*(?:\w+=\S* +)*go (?:test|tool|run|vet|build) )"
)


def looks_like(text: str) -> bool:
    """Return True if a line of it is an event."""
    return any(_event(line) for line in text.split("\n") if '"Action"' in line)


def parse(text: str, still_time: StillTime = lambda: None) -> Results:
    """Return the cases of all packages. Raise InvalidResultsError if there is none or the output is cut off."""
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
    """Split a line into the text before an event, and the event: the text may lack its line break."""
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
        raise InvalidResultsError(f"line {number}: an event is cut off, or not valid JSON")
    return line, None


def _event(line: str) -> bool:
    event = _json(line) if _EVENT.match(line) else None
    return isinstance(event, dict) and event.get("Action") in _ACTIONS


def _json(line: str) -> Any:
    """Decode a line of JSON; return None if it is not valid."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


class _Reader:
    """A parser of events, and of the plain text between them. Keys are (package, test); a package has no test."""

    def __init__(self) -> None:
        self.outputs: dict[tuple[str, str], str] = {}
        self.outcomes: dict[tuple[str, str], tuple[CaseOutcome, float]] = {}
        self.started: dict[tuple[str, str], None] = {}
        self.open: set[tuple[str, str]] = set()
        self.printed_outcomes: dict[tuple[str, str], CaseOutcome] = {}
        self.ends: dict[str, gotest.ProgramEnd] = {}
        self.truncations: dict[str, str] = {}
        self.build_failures: dict[str, None] = {}
        self.with_compiler_errors: dict[str, None] = {}
        self.building = ""
        self.compiler: dict[str, str] = {}
        self.stray = ""
        self.has_fail_line = False
        self.timestamp: datetime | None = None

    def add(self, event: dict[str, Any]) -> None:
        self.building = ""
        action = event["Action"]
        if action.startswith("build-"):
            self._build(event, str(event.get("ImportPath") or "").partition(" ")[0])
        else:
            self._test(event, action, str(event.get("Package") or ""), str(event.get("Test") or ""))
        self._time(event.get("Time"))

    def add_plain(self, line: str) -> None:
        """Read a line of plain text. The first one without an explanation is kept as `stray`."""
        package, build = gotest.match_package(line), _BUILD.match(line)
        if package:
            self.building = ""
            if package[1] == "FAIL":
                self.build_failures[package[2]] = None
                self._add_output((package[2], ""), line + "\n")
        elif build:
            self.building = build[1]
        elif self.building:
            self.compiler[self.building] = output_tail(f"{self.compiler.get(self.building, '')}{line}\n") + "\n"
            if _COMPILER_ERROR.match(line):
                self.with_compiler_errors[self.building] = None
        elif not _HARMLESS.match(line):
            self.stray = self.stray or redacted_head(line.strip(), 200)
        self.has_fail_line |= line == "FAIL"

    def _build(self, event: dict[str, Any], group: str) -> None:
        """Read an event of a build. If it fails, its package or a dependent one fails later."""
        if event["Action"] == "build-fail":
            self.build_failures[group] = None
        self._add_output((group, ""), str(event.get("Output", "")))

    def _test(self, event: dict[str, Any], action: str, group: str, test: str) -> None:
        key = (group, test)
        if action in _OUTCOMES:
            self.started[key] = None
            self._end(key, _OUTCOMES[action], event.get("Elapsed"))
            if not test and action == "fail":
                self.build_failures.pop(str(event.get("FailedBuild") or group).partition(" ")[0], None)
            return
        self.open.add((group, ""))
        if action in ("run", "start"):
            self.started[key] = None
            self.open.add(key)
            self.printed_outcomes.pop(key, None)
        output = str(event.get("Output", ""))
        self._add_output(key, output)
        for line in output.splitlines():
            self._output(group, line)

    def _output(self, group: str, line: str) -> None:
        """Read a line of a package's output."""
        # Output without a line break hides the lines of `testing` behind it from the tool that makes events.
        for name in _STARTS.findall(line):
            self.started.setdefault((group, name))
        for name, outcome, _ in gotest.test_outcomes(line):
            self.printed_outcomes[group, name] = outcome
        end = self.ends.setdefault(group, gotest.ProgramEnd())
        package = gotest.match_package(line)
        if package and package[1] == "FAIL" and package[2] == group and not (package[3] or "").startswith("["):
            self.truncations[group] = end.problem
        else:
            end.add(line)

    def _add_output(self, key: tuple[str, str], text: str) -> None:
        self.outputs[key] = (self.outputs.get(key, "") + text)[-OUTPUT_LIMIT - 2 * OVERLAP :]

    def _end(self, key: tuple[str, str], outcome: CaseOutcome, elapsed: Any) -> None:
        before, duration = self.outcomes.get(key, (outcome, 0.0))
        duration += float(elapsed) if isinstance(elapsed, int | float) else 0.0
        self.outcomes[key] = min(before, outcome, key=_WORST.index), duration
        self.open.discard(key)

    def _time(self, value: Any) -> None:
        try:
            timestamp = datetime.fromisoformat(value) if isinstance(value, str) else None
        except ValueError:
            return
        if timestamp and timestamp.tzinfo and (self.timestamp is None or timestamp > self.timestamp):
            self.timestamp = timestamp

    def results(self) -> Results:
        groups = dict.fromkeys(group for group, _ in [*self.started, *sorted(self.open)])
        unfinished = [group for group in groups if (group, "") in self.open or (group, "") not in self.outcomes]
        if unfinished:
            raise InvalidResultsError(f"package {unfinished[0]} never ended: the results are cut off")
        tests = [self._case(key) for key in self.started if key[1]]
        broken = {case.group for case in tests if case.outcome == "failed"}
        failed = [group for (group, test), (outcome, _) in self.outcomes.items() if not test and outcome == "failed"]
        self.truncations = {group: why for group, why in self.truncations.items() if group in broken}
        failed_packages = dict.fromkeys(group for group in failed if group not in broken or self.truncations.get(group))
        failed_packages |= self.build_failures
        if not self.build_failures:  # otherwise the compiler's errors explain the packages that were not built
            failed_packages |= {group: None for group in self.with_compiler_errors if (group, "") not in self.outcomes}
        cases = (*tests, *(self._case((group, "")) for group in failed_packages))
        if self.has_fail_line and not any(case.outcome == "failed" for case in cases):
            raise InvalidResultsError("it says FAIL, but shows nothing that fails: the output is cut off")
        return Results(cases, self.timestamp, stray=self.stray)

    def _case(self, key: tuple[str, str]) -> CaseResult:
        """Return a test or a package as a case."""
        outcome, duration = self.outcomes.get(key) or ("failed", 0.0)
        unfinished = key in self.open or key not in self.outcomes
        # A test without an end has passed if its package has. So has a benchmark, which reports no end. Otherwise the
        # printed outcome counts, or the test has failed.
        if unfinished and key[1]:
            package = self.outcomes[key[0], ""][0]
            printed = self.printed_outcomes.get(key)
            if package != "failed":
                outcome, unfinished = ("skipped" if printed == "skipped" else "passed"), False
            elif key[1].startswith("Benchmark"):
                unfinished = False
            elif printed:
                outcome, unfinished = printed, False
        output = self.outputs.get(key, "")
        if not key[1]:
            output = (self.compiler.get(key[0], "") if key not in self.outcomes else "") + output
            output += self.truncations.get(key[0], "")
        output += "(it never ended)" if unfinished else ""
        failed = unfinished or outcome == "failed"
        return CaseResult(
            group=key[0],
            name=key[1],
            outcome="failed" if failed else outcome,
            duration=duration,
            output=output_tail(output) if failed else "",
            subtest="/" in key[1],
        )
