"""TAP, versions 12 to 14 (https://testanything.org/tap-version-14-specification.html).

Subtests count by their parent.
"""

from __future__ import annotations

import re

from gate.secrets import beginning_of
from gate.testresults.results import OUTPUT_LIMIT, Case, Ending, NotResults, Results, ending_of

_PLAN = re.compile(r"^1\.\.(\d{1,9})\s*(?:#\s*(.*))?$")
_POINT = re.compile(r"^(not )?ok\b(?:[ \t]+(\d{1,9}))?[ \t]*(?:-[ \t]*)?(.*)$")
_DIRECTIVE = re.compile(r"\s#\s*(skip\S*|todo)\b\s*(.*)$", re.IGNORECASE)


def looks_like(text: str) -> bool:
    """Whether one of its first lines is a version, a plan or a test point."""
    head = [line.rstrip("\r") for line in text.split("\n", 50)[:50]]
    return any(line.startswith("TAP version ") or _PLAN.match(line) or _is_point(line) for line in head)


def _is_point(line: str) -> bool:
    found = _POINT.match(line)
    return bool(found and (found[2] or found[1]))


def parse(text: str) -> Results:
    """The test points. Raises NotResults for a run that bailed out, has no plan, or not the tests that were planned."""
    cases: list[Case] = []
    numbers: list[int] = []
    planned: int | None = None
    for raw in text.split("\n"):
        line = raw.rstrip("\r")
        plan, point = _PLAN.match(line), _POINT.match(line)
        if line.lstrip().startswith("Bail out!"):
            raise NotResults(f"the tests gave up: {beginning_of(line.strip(), 200)}")
        if plan:
            if planned is not None:
                raise NotResults("it has two plans")
            planned = int(plan[1])
        elif point:
            numbers.append(int(point[2]) if point[2] else len(cases) + 1)
            cases.append(_case(point, numbers[-1]))
        elif cases and cases[-1].ending == "failed" and line.strip():
            cases[-1] = _with(cases[-1], line)
    if planned is None:
        raise NotResults("it has no plan: it is no TAP, or it is cut off")
    if planned != len(cases):
        raise NotResults(f"{planned} tests were planned, but {len(cases)} came")
    if missing := set(range(1, planned + 1)) - set(numbers):
        raise NotResults(f"test {min(missing)} was planned, but did not come")
    return Results(tuple(cases))


def _case(point: re.Match[str], number: int) -> Case:
    directive = _DIRECTIVE.search(" " + point[3])
    title = (" " + point[3])[: directive.start()].strip() if directive else point[3].strip()
    ending: Ending = "failed" if point[1] else "passed"
    if directive and (directive[1].lower().startswith("skip") or point[1]):
        ending = "skipped"
    return Case("", title or f"test {number}", ending)


def _with(case: Case, line: str) -> Case:
    """The case with a line more of what it said."""
    if len(case.output) > OUTPUT_LIMIT:
        return case
    return Case(case.group, case.name, case.ending, case.took, ending_of(f"{case.output}\n{line}"))
