"""Parse TAP, versions 12 to 14 (https://testanything.org/tap-version-14-specification.html).

Subtests count as part of their parent, which fails if one of them does.
"""

from __future__ import annotations

import re

from msgspec import Struct, field

from gate.redaction.secrets import redacted_head
from gate.testresults.base import (
    OUTPUT_LIMIT,
    CaseOutcome,
    CaseResult,
    InvalidResultsError,
    Results,
    StillTime,
    output_tail,
)

_PLAN = re.compile(r"^1\.\.(\d{1,9})\s*(?:#\s*(.*))?$")
_POINT = re.compile(r"^(not )?ok\b(?:[ \t]+(\d{1,9}))?[ \t]*(?:-[ \t]*)?(.*)$")
_DIRECTIVE = re.compile(r"\s#\s*(skip\S*|todo)\b\s*(.*)$", re.IGNORECASE)
_BAIL_OUT = re.compile(r"Bail out!")
_FOOTER = re.compile(r"^# (?:fail|cancelled|failed)\s*:?\s+(\d{1,9})$")
# Perl's Test::More writes this if a program did not follow its plan.
_DIED = re.compile(
    r"^# Looks like (?:you planned|your test (?:exited|died)|your test run)|^# No tests run!", re.IGNORECASE
)
_MAX_DEPTH = 50
_LINES_PER_TIME_CHECK = 5000


class _Point(Struct):
    """A test point whose output may continue."""

    title: str
    outcome: CaseOutcome
    has_directive: bool
    output_lines: list[str] = field(default_factory=list)
    size: int = 0

    def add(self, line: str) -> None:
        """Add a line of its output, up to a size."""
        if self.size <= OUTPUT_LIMIT:
            self.output_lines.append(line)
            self.size += len(line)

    @property
    def output(self) -> str:
        """Return its output, if it failed."""
        return output_tail("\n".join(self.output_lines)) if self.outcome == "failed" else ""


class _Level(Struct):
    """The test points of one depth: of the whole, or of a test's subtests.

    `inside` is why subtests did not pass whose own test point has not come yet.
    """

    indent: int
    points: list[_Point] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    planned: int | None = None
    inside: str = ""

    @property
    def failed(self) -> _Point | None:
        """Return the first point that failed."""
        return next((point for point in self.points if point.outcome == "failed"), None)

    @property
    def problem(self) -> str:
        """Return how its points contradict its plan; "" if they do not."""
        if self.planned is None:
            return "it has no plan: not valid TAP, or cut off"
        if self.planned != len(self.points):
            return f"{self.planned} tests were planned, but {len(self.points)} came"
        if missing := set(range(1, self.planned + 1)) - set(self.numbers):
            return f"test {min(missing)} was planned, but did not come"
        return ""


def looks_like(text: str) -> bool:
    """Return True if one of the first lines is a version, a plan or a test point."""
    head = [line.rstrip("\r") for line in text.split("\n", 50)[:50]]
    return any(line.startswith("TAP version ") or _PLAN.match(line) or _is_point(line) for line in head)


def _is_point(line: str) -> bool:
    match = _POINT.match(line)
    return bool(match and (match[2] or match[1]))


def parse(text: str, still_time: StillTime = lambda: None) -> Results:
    """Return the test points. Raise InvalidResultsError if the run bailed out or did not follow its plan."""
    reader = _Reader()
    for number, raw in enumerate(text.split("\n")):
        if not number % _LINES_PER_TIME_CHECK:
            still_time()
        reader.add(raw.rstrip("\r"))
    return Results(tuple(reader.cases()))


class _Reader:
    """A parser of lines. `levels` are the whole, and the subtests that have not ended."""

    def __init__(self) -> None:
        self.levels = [_Level(0)]
        self.yaml = -1
        self.stated_failures = 0

    def add(self, line: str) -> None:
        text = line.lstrip(" ")
        indent = len(line) - len(text)
        plan, point = _PLAN.match(text), _POINT.match(text)
        if not text or self._is_yaml(text, indent) or (indent and not plan and not _is_point(text)):
            self._other(line, text)
        elif plan:
            self._leave(indent)
            self._plan(indent, int(plan[1]))
        elif point:
            self._leave(indent)
            self._point(indent, point)
        else:
            self._other(line, text)

    def _is_yaml(self, text: str, indent: int) -> bool:
        """Return True for a line of a diagnostic in YAML, which may hold anything."""
        if self.yaml >= 0 and indent >= self.yaml:
            self.yaml = -1 if text.rstrip() == "..." and indent == self.yaml else self.yaml
            return True
        begins = text.rstrip() == "---" and indent > 0
        self.yaml = indent if begins else -1
        return begins

    def _other(self, line: str, text: str) -> None:
        """Read a line that is neither a plan nor a test point: a comment, the end of subtests, or output."""
        in_yaml = self.yaml >= 0
        if not in_yaml and _BAIL_OUT.search(text) and not text.startswith("#"):
            raise InvalidResultsError(f"the tests gave up: {redacted_head(text.strip(), 200)}")
        if not in_yaml and _DIED.match(text):
            raise InvalidResultsError(redacted_head(text.removeprefix("# "), 200))
        if footer := _FOOTER.match(line):
            self.stated_failures += int(footer[1])
        elif text == "}" and not in_yaml:
            self._leave(len(line) - len(text))
            self._take_in(self.levels[-1])
        elif text.strip() and self.levels[-1].points:
            self.levels[-1].points[-1].add(line)

    def _leave(self, indent: int) -> None:
        """End the subtests that are deeper than a line."""
        while len(self.levels) > 1 and self.levels[-1].indent > indent:
            level = self.levels.pop()
            failed = level.failed
            why = f"its subtest {failed.title} failed\n{failed.output}" if failed else ""
            # Output that only looks like subtests has no plan.
            why = why or (level.problem if level.planned is not None else "")
            self.levels[-1].inside = self.levels[-1].inside or why.strip()

    def _level(self, indent: int) -> _Level:
        if indent > self.levels[-1].indent:
            if len(self.levels) > _MAX_DEPTH:
                raise InvalidResultsError("its subtests are nested too deeply")
            self.levels.append(_Level(indent))
        return self.levels[-1]

    def _plan(self, indent: int, planned: int) -> None:
        level = self._level(indent)
        if level.planned is not None:
            raise InvalidResultsError("it has two plans")
        level.planned = planned

    def _point(self, indent: int, match: re.Match[str]) -> None:
        level = self._level(indent)
        level.points.append(_parse_point(match, len(level.points) + 1))
        level.numbers.append(int(match[2]) if match[2] else len(level.points))
        if not match[3].rstrip().endswith("{"):
            self._take_in(level)

    def _take_in(self, level: _Level) -> None:
        """Fail the latest point if its subtests failed, unless a directive excuses both."""
        if level.inside and level.points:
            point = level.points[-1]
            point.add(level.inside)
            if not point.has_directive:
                point.outcome = "failed"
        level.inside = ""

    def cases(self) -> list[CaseResult]:
        """Return all points as cases. Raise InvalidResultsError if they do not match the plan."""
        self._leave(0)
        whole = self.levels[0]
        if whole.problem:
            raise InvalidResultsError(whole.problem)
        if whole.inside:
            raise InvalidResultsError(f"it is cut off behind subtests: {redacted_head(whole.inside, 200)}")
        if self.stated_failures and not whole.failed:
            raise InvalidResultsError(f"it says that {self.stated_failures} tests failed, but shows none")
        return [CaseResult("", point.title, point.outcome, output=point.output) for point in whole.points]


def _parse_point(match: re.Match[str], number: int) -> _Point:
    directive = _DIRECTIVE.search(" " + match[3])
    title = (" " + match[3])[: directive.start()].strip() if directive else match[3].strip()
    title = title.removesuffix("{").rstrip()  # its subtests follow, in braces
    outcome: CaseOutcome = "failed" if match[1] else "passed"
    if directive and (directive[1].lower().startswith("skip") or match[1]):
        outcome = "skipped"
    return _Point(title or f"test {number}", outcome, directive is not None)
