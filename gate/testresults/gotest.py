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

# How a test ended. It may come in the middle of a line: behind what the test printed without a line break.
_TEST = re.compile(r"--- (PASS|FAIL|SKIP): (\S+) \(([0-9.]+)(?:s| seconds)\)")
_BEGINS = re.compile(r"^=== RUN\b")
# What a test, or a build that fails, says before its package ends.
_ONLY_BEFORE_AN_END = re.compile(
    r"^(?:=== (?:RUN|PAUSE|CONT|NAME)\b|--- (?:PASS|FAIL|SKIP|BENCH):|panic: |PASS$|# \S.*\n\S+\.go:\d+:)", re.MULTILINE
)
_PACKAGE = re.compile(r"^(ok|FAIL|---|\?)[ \t]+(\S+)(?:[ \t]+(.*))?$")
# A package that ends in the middle of a line, as Go before 1.18 lets it.
_LATE_PACKAGE = re.compile(
    r"(ok(?=  \t)|FAIL(?=\t)|\?(?=   \t))[ ]*\t([^\s\[(]+)[ \t]+([0-9.]+s\b.*|\(cached\).*|\[[a-z ]+\].*)$"
)
_TOOK = re.compile(r"^([0-9.]+)s\b")
_OUTCOMES: dict[str, CaseOutcome] = {"PASS": "passed", "FAIL": "failed", "SKIP": "skipped"}
# What says, after all tests have ended, why their program failed all the same.
_TROUBLE = re.compile(
    r"^(?:panic: |fatal error: |signal: |exec: |\*\*\* Test |exit status (?:[2-9]|\d\d)|Found \d+ data race)"
)
_AFTER_THE_END = re.compile(r"^(?:coverage: |exit status 1$|\s*$)")
_RACE_OUTSIDE = "race detected outside of test execution"
# Lines after which to look whether there is still time.
LINES_PER_TIME_CHECK = 5000


class ProgramEnd(Struct):
    """Whether a test program ran to its end, by what it writes.

    `testing` writes PASS or FAIL on a line when all tests have ended. A panic, a timeout and os.Exit end a program
    before: then nobody knows which tests did not run.
    """

    observation: bool = False
    at_end: bool = False
    trouble: str = ""
    crash: str = ""

    def add(self, line: str) -> None:
        """Take in a line of its output."""
        if _RACE_OUTSIDE in line or ((self.observation or self.at_end) and _TROUBLE.match(line)):
            self.trouble = self.trouble or line
        elif line in ("FAIL", "PASS"):
            self.observation = True
        elif not _AFTER_THE_END.match(line):
            # Behind what was printed without a line break it counts only where it can be that line: at the end.
            self.at_end = line.endswith(("FAIL", "PASS"))
            self.crash = self.crash or (line if _TROUBLE.match(line) else "")

    @property
    def problem(self) -> str:
        """Return why its tests alone do not explain that it failed; nothing if they do."""
        if self.trouble or self.observation or self.at_end:
            return self.trouble
        return f"it ended before all of its tests had run: {self.crash}".removesuffix(": ")


def looks_like(text: str) -> bool:
    """Return True if a package or a test ends in it."""
    return any(match_package(line) or _TEST.search(line) for line in text.split("\n"))


def test_outcomes(line: str) -> list[tuple[str, CaseOutcome, float]]:
    """Return the tests that end in a line: name, ending and seconds."""
    return [(found[2], _OUTCOMES[found[1]], _number(found[3])) for found in _TEST.finditer(line)]


def parse(text: str, still_time: StillTime = lambda: None) -> Results:
    """Return the cases of all packages. Raise NotResults if none ends, or another begins after the last that does."""
    cases: list[CaseResult] = []
    waiting: list[CaseResult] = []
    said: list[str] = []
    brief: set[str] = set()
    end = ProgramEnd()
    lines = [line.rstrip("\r") for line in text.split("\n")]
    for number, line in enumerate(lines):
        if not number % LINES_PER_TIME_CHECK:
            still_time()
        package = match_package(line)
        before = line[: package.start()] if package else line
        for name, ending, duration in test_outcomes(before):
            waiting.append(CaseResult("", name, ending, duration, subtest="/" in name))
        if before.strip():
            said.append(redacted_head(before, OUTPUT_LIMIT))
            end.add(before)
        if package:
            if not any(_BEGINS.match(before) for before in said):
                brief.add(package[2])
            cases += _package(package, waiting, said, end)
            waiting, said, end = [], [], ProgramEnd()
    if waiting or _ONLY_BEFORE_AN_END.search("\n".join(said)):
        raise InvalidResultsError("its last package never ended: the output is cut off")
    if "FAIL" in lines and not any(case.outcome == "failed" for case in cases):
        raise InvalidResultsError("it says FAIL, but shows nothing that fails: the output is cut off")
    if not cases and not looks_like(text):
        raise InvalidResultsError("no package ends in it: it is no output of `go test`")
    return Results(tuple(cases), hides_passing=frozenset(brief))


def match_package(line: str) -> re.Match[str] | None:
    """Return the match of a line that ends a package: its word, its name, and the rest; None for any other line."""
    found = _PACKAGE.match(line)
    if found and found[1] != "---":
        rest = found[3] or ""
        if _TOOK.match(rest) or rest.startswith(("(cached)", "[", "coverage:")):
            return found
    return _LATE_PACKAGE.search(line)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _package(found: re.Match[str], tests: list[CaseResult], lines: list[str], end: ProgramEnd) -> list[CaseResult]:
    """Return the cases of a package that ends: its tests; and itself if it shows none, or failed for another reason."""
    name, rest, said = found[2], found[3] or "", output_tail("\n".join(lines))
    duration = _TOOK.match(rest)
    cases = [structs.replace(case, group=name, output=said if case.outcome == "failed" else "") for case in tests]
    whole = CaseResult(name, "", "passed", _number(duration[1]) if duration else 0.0)
    if found[1] == "FAIL":
        explained = any(case.outcome == "failed" for case in cases)
        if explained and not end.problem:
            return cases
        why = end.problem if explained else rest
        return [*cases, structs.replace(whole, outcome="failed", output=f"{said}\n{why}".strip())]
    if not cases and found[1] == "ok" and "[no tests to run]" not in rest:
        return [whole]
    return cases
