"""What readers of JUnit XML that teams use make of the gate's file: counts, names and times."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from junit2htmlreport.parser import Junit
from junitparser import Error, Failure, JUnitXml, Skipped, TestSuite

from gate.model import Decision, Report, Severity, Status
from gate.render import FORMATS
from tests.support import npm, reports

REPORTS = ("go", "reserved", "all_down")


@pytest.fixture(params=REPORTS)
def report(request: pytest.FixtureRequest) -> Report:
    """Return a report of each verdict."""
    made: Report = getattr(reports, request.param)()
    return made


@pytest.fixture
def junit(report: Report, tmp_path: Path) -> Path:
    """Return the JUnit file of the report."""
    path = tmp_path / "junit.xml"
    path.write_text(FORMATS.import_module("junit").render(report, "en"))
    return path


@pytest.fixture(scope="module")
def packages() -> Path:
    """Return the folder of the readers from npm."""
    return npm.install("junit-readers")


def expected_counts(report: Report) -> Counter[str]:
    """Return how many cases a reader should show as passed, failed and skipped, the verdict included."""
    red = report.verdict.decision is Decision.NO_GO
    counts = Counter({"failed": int(red), "passed": int(not red)})
    for section in report.sections:
        for item in section.items:
            blocking = item.severity is Severity.BLOCKING and item.status in (Status.FAIL, Status.ERROR)
            counts["passed" if item.status is Status.PASS else "failed" if blocking else "skipped"] += 1
    return +counts


def names(report: Report) -> list[str]:
    """Return the names of all cases."""
    return [*(f"{item.id}: {item.title}" for section in report.sections for item in section.items), "verdict"]


def test_junitparser(report: Report, junit: Path) -> None:
    """It has the cases, their results, and the run's duration at the root."""
    document = JUnitXml.fromfile(str(junit))
    cases = [case for suite in document if isinstance(suite, TestSuite) for case in suite]
    words = {Failure: "failed", Error: "failed", Skipped: "skipped"}
    counts = Counter(next((words[type(entry)] for entry in case.result), "passed") for case in cases)
    assert counts == expected_counts(report)
    assert [case.name for case in cases] == names(report)
    assert document.time == pytest.approx((report.finished - report.started).total_seconds(), abs=0.001)


def test_junit2html(report: Report, junit: Path) -> None:
    """It has a suite per section and a page with each case."""
    document = Junit(filename=str(junit))
    cases = [case for suite in document.suites for group in suite.classes.values() for case in group.cases]
    counts = Counter("failed" if case.failed() else "skipped" if case.skipped else "passed" for case in cases)
    assert counts == expected_counts(report)
    assert sorted(case.name for case in cases) == sorted(names(report))
    assert [suite.name for suite in document.suites] == [*(section.title for section in report.sections), "verdict"]
    assert "verdict" in document.html()


def test_ctrf(report: Report, junit: Path, packages: Path) -> None:
    """Its summary has the counts, and its tests the durations in ms."""
    target = junit.parent / "ctrf.json"
    command = [packages / "node_modules/.bin/junit-to-ctrf", "junit.xml", "-o", str(target)]
    subprocess.run(command, cwd=junit.parent, check=True, capture_output=True)
    results = json.loads(target.read_text())["results"]
    assert +Counter({word: results["summary"][word] for word in ("passed", "failed", "skipped")}) == expected_counts(
        report
    )
    durations = {entry["name"].split(": ", 1)[1]: entry["duration"] for entry in results["tests"]}
    assert durations["verdict"] == 0
    assert list(durations) == names(report)


def test_xunit_viewer(report: Report, junit: Path, packages: Path) -> None:
    """Its summary line has the counts, and its list each name."""
    command = [packages / "node_modules/.bin/xunit-viewer", "-r", "junit.xml", "-c", "--no-color", "-o", "page.html"]
    done = subprocess.run(command, cwd=junit.parent, check=True, capture_output=True, text=True)
    summary = re.search(r"^\d+ \w+(, \d+ \w+)*$(?=\s+Written to)", done.stdout, re.M)
    assert summary, done.stdout[-300:]
    counts = Counter({word: int(number) for number, word in (part.split() for part in summary[0].split(", "))})
    wanted = expected_counts(report)
    # It calls a case with `<failure>` a failure, and shows no count of 0.
    assert counts == Counter({{"failed": "failure"}.get(word, word): number for word, number in wanted.items()})
    for name in names(report):
        assert name in done.stdout
