"""The plain output of `go test`, with or without `-v`.

Without it a package shows only those of its tests that fail; one that is `ok` counts as one case.
"""

from __future__ import annotations

import re

from msgspec import structs

from gate.secrets import beginning_of
from gate.testresults.results import OUTPUT_LIMIT, Case, Ending, NotResults, Results, ending_of

_TEST = re.compile(r"^ *--- (PASS|FAIL|SKIP): (\S+) \(([0-9.]+)s\)")
_BEGINS = re.compile(r"^=== RUN\b")
_ONLY_BEFORE_AN_END = re.compile(
    r"^(?:=== (?:RUN|PAUSE|CONT|NAME)\b|--- (?:PASS|FAIL|SKIP|BENCH):|panic: |PASS$|# \S.*\n\S+\.go:\d+:)", re.MULTILINE
)
"""What a test, or a build that fails, says before its package ends."""
_PACKAGE = re.compile(r"^(ok|FAIL|---|\?)[ \t]+(\S+)(?:[ \t]+(.*))?$")
_TOOK = re.compile(r"^([0-9.]+)s\b")
_ENDINGS: dict[str, Ending] = {"PASS": "passed", "FAIL": "failed", "SKIP": "skipped"}


def looks_like(text: str) -> bool:
    """Whether a package or a test ends in it."""
    return any(_of_package(line) or _TEST.match(line) for line in text.split("\n"))


def parse(text: str) -> Results:
    """The cases of all packages. Raises NotResults where none ends, or another begins after the last that does."""
    cases: list[Case] = []
    waiting: list[Case] = []
    said: list[str] = []
    brief: set[str] = set()
    lines = [line.rstrip("\r") for line in text.split("\n")]
    for line in lines:
        test = _TEST.match(line)
        package = _of_package(line)
        if test:
            waiting.append(Case("", test[2], _ENDINGS[test[1]], float(test[3]), subtest="/" in test[2]))
            said.append(line)
        elif package:
            if not any(_BEGINS.match(before) for before in said):
                brief.add(package[2])
            cases += _package(package, waiting, ending_of("\n".join(said)))
            waiting, said = [], []
        elif line.strip():
            said.append(beginning_of(line, OUTPUT_LIMIT))
    if waiting or _ONLY_BEFORE_AN_END.search("\n".join(said)):
        raise NotResults("its last package never ended: the output is cut off")
    if "FAIL" in lines and not any(case.ending == "failed" for case in cases):
        raise NotResults("it says FAIL, but shows nothing that fails: the output is cut off")
    if not cases and not looks_like(text):
        raise NotResults("no package ends in it: it is no output of `go test`")
    return Results(tuple(cases), brief=frozenset(brief))


def _of_package(line: str) -> re.Match[str] | None:
    found = _PACKAGE.match(line)
    if not found or found[1] == "---":
        return None
    rest = found[3] or ""
    known = _TOOK.match(rest) or rest.startswith(("(cached)", "[", "coverage:"))
    return found if known else None


def _package(found: re.Match[str], tests: list[Case], said: str) -> list[Case]:
    """The cases of a package that ends: its tests, or itself where it shows none or broke without one."""
    name, rest = found[2], found[3] or ""
    took = _TOOK.match(rest)
    cases = [structs.replace(case, group=name, output=said if case.ending == "failed" else "") for case in tests]
    broke = found[1] == "FAIL" and not any(case.ending == "failed" for case in cases)
    if broke:
        return [*cases, Case(name, "", "failed", float(took[1]) if took else 0.0, f"{said}\n{rest}".strip())]
    if not cases and found[1] == "ok" and "[no tests to run]" not in rest:
        return [Case(name, "", "passed", float(took[1]) if took else 0.0)]
    return cases
