"""Parse the plain output of `go test`, with or without `-v`.

Without it a package shows only those of its tests that fail; one that is `ok` counts as one case.
"""

from __future__ import annotations

import re

from msgspec import Struct, structs

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

# The end of a test. It may be in the middle of a line, behind output without a line break.
_TEST = re.compile(r"--- (PASS|FAIL|SKIP): (\S+) \(([0-9.]+)(?:s| seconds)\)")
_RUN_LINE = re.compile(r"^=== RUN\b")
# Lines of a test, or of a failed build, that come only before the end of a package.
_BEFORE_PACKAGE_END = re.compile(
    r"^(?:=== (?:RUN|PAUSE|CONT|NAME)\b|--- (?:PASS|FAIL|SKIP|BENCH):|panic: |PASS$|# \S.*\n\S+\.go:\d+:)", re.MULTILINE
)
_PACKAGE = re.compile(r"^(ok|FAIL|---|\?)[ \t]+(\S+)(?:[ \t]+(.*))?$")
# The end of a package in the middle of a line, as Go before 1.18 writes it.
_LATE_PACKAGE = re.compile(
    r"(ok(?=  \t)|FAIL(?=\t)|\?(?=   \t))[ ]*\t([^\s\[(]+)[ \t]+([0-9.]+s\b.*|\(cached\).*|\[[a-z ]+\].*)$"
)
_DURATION = re.compile(r"^([0-9.]+)s\b")
_OUTCOMES: dict[str, CaseOutcome] = {"PASS": "passed", "FAIL": "failed", "SKIP": "skipped"}
# Lines after the end of all tests that explain why the program failed.
_TROUBLE = re.compile(
    r"^(?:panic: |fatal error: |signal: |exec: |\*\*\* Test |exit status (?:[2-9]|\d\d)|Found \d+ data race)"
)
_AFTER_TESTS = re.compile(r"^(?:coverage: |exit status 1$|\s*$)")
_RACE_OUTSIDE = "race detected outside of test execution"
# Lines between two checks of the deadline.
LINES_PER_TIME_CHECK = 5000


class ProgramEnd(Struct):
    """Track whether a test program ran to its end, by its output."""

    # `testing` writes PASS or FAIL on a line of its own when all tests have ended. A panic, a timeout and os.Exit end
    # the program before: nobody can tell which tests did not run.
    completed: bool = False
    at_end: bool = False
    trouble: str = ""
    crash: str = ""

    def add(self, line: str) -> None:
        """Read a line of its output."""
        if _RACE_OUTSIDE in line or ((self.completed or self.at_end) and _TROUBLE.match(line)):
            self.trouble = self.trouble or line
        elif line in ("FAIL", "PASS"):
            self.completed = True
        elif not _AFTER_TESTS.match(line):
            # Behind output without a line break, PASS or FAIL counts only at the end of the line.
            self.at_end = line.endswith(("FAIL", "PASS"))
            self.crash = self.crash or (line if _TROUBLE.match(line) else "")

    @property
    def problem(self) -> str:
        """Return why the program failed apart from its tests; "" if the tests explain it."""
        if self.trouble or self.completed or self.at_end:
            return self.trouble
        return f"it ended before all of its tests had run: {self.crash}".removesuffix(": ")


def looks_like(text: str) -> bool:
    """Return True if a package or a test ends in it."""
    return any(match_package(line) or _TEST.search(line) for line in text.split("\n"))


def test_outcomes(line: str) -> list[tuple[str, CaseOutcome, float]]:
    """Return the tests that end in a line: name, outcome and seconds."""
    return [(match[2], _OUTCOMES[match[1]], _number(match[3])) for match in _TEST.finditer(line)]


def parse(text: str, still_time: StillTime = lambda: None) -> Results:
    """Return the cases of all packages. Raise InvalidResultsError if the output is cut off."""
    cases: list[CaseResult] = []
    pending: list[CaseResult] = []
    output_lines: list[str] = []
    hides_passing: set[str] = set()
    end = ProgramEnd()
    lines = [line.rstrip("\r") for line in text.split("\n")]
    for number, line in enumerate(lines):
        if not number % LINES_PER_TIME_CHECK:
            still_time()
        package = match_package(line)
        before = line[: package.start()] if package else line
        for name, outcome, duration in test_outcomes(before):
            pending.append(CaseResult("", name, outcome, duration, subtest="/" in name))
        if before.strip():
            output_lines.append(redacted_head(before, OUTPUT_LIMIT))
            end.add(before)
        if package:
            if not any(_RUN_LINE.match(before) for before in output_lines):
                hides_passing.add(package[2])
            cases += _package(package, pending, output_lines, end)
            pending, output_lines, end = [], [], ProgramEnd()
    if pending or _BEFORE_PACKAGE_END.search("\n".join(output_lines)):
        raise InvalidResultsError("its last package never ended: the output is cut off")
    if "FAIL" in lines and not any(case.outcome == "failed" for case in cases):
        raise InvalidResultsError("it says FAIL, but shows nothing that fails: the output is cut off")
    if not cases and not looks_like(text):
        raise InvalidResultsError("no package ends in it: not the output of `go test`")
    return Results(tuple(cases), hides_passing=frozenset(hides_passing))


def match_package(line: str) -> re.Match[str] | None:
    """Match a line that ends a package, as its word, name and rest; None for any other line."""
    match = _PACKAGE.match(line)
    if match and match[1] != "---":
        rest = match[3] or ""
        if _DURATION.match(rest) or rest.startswith(("(cached)", "[", "coverage:")):
            return match
    return _LATE_PACKAGE.search(line)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _package(match: re.Match[str], tests: list[CaseResult], lines: list[str], end: ProgramEnd) -> list[CaseResult]:
    """Return the cases of a package; also the package itself if it has no tests or failed for another reason."""
    name, rest, output = match[2], match[3] or "", output_tail("\n".join(lines))
    duration = _DURATION.match(rest)
    cases = [structs.replace(case, group=name, output=output if case.outcome == "failed" else "") for case in tests]
    whole = CaseResult(name, "", "passed", _number(duration[1]) if duration else 0.0)
    if match[1] == "FAIL":
        explained = any(case.outcome == "failed" for case in cases)
        if explained and not end.problem:
            return cases
        why = end.problem if explained else rest
        return [*cases, structs.replace(whole, outcome="failed", output=f"{output}\n{why}".strip())]
    if not cases and match[1] == "ok" and "[no tests to run]" not in rest:
        return [whole]
    return cases
