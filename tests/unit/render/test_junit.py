"""JUnit XML: what readers make of it, for every kind of outcome and for any text a service can send."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gate.core.messages import msg
from gate.model import Decision, Report, Severity, Status
from gate.render import FORMATS
from tests.support import reports


def parsed(report: Report, code: str = "en") -> ET.Element:
    """Parse the bytes of the JUnit file."""
    text = FORMATS.import_module("junit").render(report, code)
    return ET.fromstring(text.encode("utf-8"))


def case(document: ET.Element, name: str) -> ET.Element:
    """Return the test case of an item."""
    (found,) = [entry for entry in document.iter("testcase") if (entry.get("name") or "").split(": ")[0] == name]
    return found


def test_suites_are_the_sections_in_order_and_the_verdict_is_last() -> None:
    """Name suites by the sections' titles, and cases by id and title; the class name is the section's stable id."""
    report = reports.all_down()
    document = parsed(report)
    assert [suite.get("name") for suite in document] == [*(section.title for section in report.sections), "verdict"]
    for suite, section in zip(document, report.sections, strict=False):
        named = [(entry.get("classname"), entry.get("name")) for entry in suite.iter("testcase")]
        assert named == [(section.id, f"{item.id}: {item.title}") for item in section.items]


@pytest.mark.parametrize("made", ["go", "reserved", "all_down", "hostile"])
def test_only_the_verdict_and_blocking_items_are_red(made: str) -> None:
    """No case fails on a GO; on a NO-GO an advisory failure is skipped with its reason."""
    report = getattr(reports, made)()
    red = {
        entry.get("name") for entry in parsed(report).iter("testcase") if {"failure", "error"} & {e.tag for e in entry}
    }
    blocking = {
        f"{item.id}: {item.title}"
        for section in report.sections
        for item in section.items
        if item.status in (Status.FAIL, Status.ERROR) and item.severity is Severity.BLOCKING
    }
    wanted = {*blocking, "verdict"} if report.verdict.decision is Decision.NO_GO else set()
    assert {name and name.split(": ")[0] for name in red} == {name.split(": ")[0] for name in wanted}


@pytest.mark.parametrize(("status", "word"), [(Status.FAIL, "FAIL"), (Status.ERROR, "ERROR")])
def test_an_advisory_failure_is_skipped_with_its_reason(status: Status, word: str) -> None:
    """A gate that is green is not red in a reader of this file."""
    item = reports.item("a.b", "A", status, msg("because"), severity=Severity.ADVISORY)
    (skipped,) = case(parsed(reports.report([reports.section("a", "A", item)])), "a.b").findall("skipped")
    assert skipped.get("message") == f"Advisory {word}: because"


def test_counts_add_up() -> None:
    """33 items and the verdict: 4 failures, 20 skipped; each suite's numbers are those of its cases."""
    document = parsed(reports.all_down())
    assert tuple(document.get(key) for key in ("tests", "failures", "errors")) == ("34", "4", "0")
    assert sum(int(suite.get("skipped", "")) for suite in document) == 20
    for suite in document:
        assert suite.get("tests") == str(len(suite.findall("testcase")))
        assert suite.get("skipped") == str(len(suite.findall("testcase/skipped")))


KINDS = {"pass": None, "fail": "failure", "error": "error", "skip": "skipped"}


@pytest.mark.parametrize("status", KINDS)
def test_statuses(status: str) -> None:
    """Each outcome has its element, and a pass has none."""
    item = reports.item("a.b", "A", Status(status), msg("because"))
    found = case(parsed(reports.report([reports.section("a", "A", item)])), "a.b")
    assert [kind for kind in KINDS.values() if kind == KINDS[status] and kind] == [
        child.tag for child in found if child.tag != "system-out"
    ]
    assert [child.get("message") for child in found if child.tag != "system-out"] == ["because"][: len(found) - 1]


def test_a_waived_item_is_skipped_with_reason_and_expiry() -> None:
    """A reader of the JUnit file alone sees who allowed it, why, and until when."""
    (skipped,) = case(parsed(reports.reserved()), "tests.unit").findall("skipped")
    wanted = (
        "Waived until 2026-03-31 by backend-team: servicemocks fails on the shared runner, issue 412. 2 tests failed"
    )
    assert wanted == skipped.get("message")


@pytest.mark.parametrize(("made", "failures"), [("all_down", 1), ("go", 0), ("reserved", 0), ("hostile", 1)])
def test_the_verdict_is_red_exactly_on_no_go(made: str, failures: int) -> None:
    """The case `verdict` fails on NO-GO."""
    found = case(parsed(getattr(reports, made)()), "verdict")
    assert failures == len(found.findall("failure"))


def test_the_verdict_of_a_skip_alone_is_red() -> None:
    """Where every case is skipped and none failed, the verdict still is red."""
    document = parsed(reports.report([reports.section("a", "A", reports.skipped("a.b", "B"))]))
    assert (document.get("failures"), document[0].get("failures")) == ("1", "0")


def test_a_case_has_time_place_and_evidence() -> None:
    """Time, file and line where known, and what was asked, what came back and the command, in system-out."""
    found = case(parsed(reports.all_down()), "rules.file")
    assert {key: found.get(key) for key in ("time", "file", "line")} == {
        "time": "0.012",
        "file": "ops/prometheus/alerts.yml",
        "line": "1",
    }
    output = found.findtext("system-out") or ""
    assert "-rw-r--r-- 8192 ops/prometheus/alerts.yml" in output.splitlines()
    assert "$ ls -la ops/prometheus/alerts.yml" in output.splitlines()


def test_times_are_the_runs_the_suites_and_the_cases_own() -> None:
    """The root has the run's time, a suite the sum of its cases' times, and the verdict none."""
    report = reports.all_down()
    document = parsed(report)
    assert document.get("time") == f"{(report.finished - report.started).total_seconds():.3f}"
    for suite, section in zip(document, report.sections, strict=False):
        assert suite.get("time") == f"{sum(item.outcome.evidence.duration for item in section.items):.3f}"
    assert case(document, "verdict").get("time") == "0.000"


# What Jenkins' junit-10.xsd allows: https://github.com/jenkinsci/xunit-plugin. It has no `file` and `line` of a case.
ATTRIBUTES = {
    "testsuites": {"name", "time", "tests", "failures", "errors"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time", "timestamp", "package"},
    "testcase": {"name", "classname", "time", "file", "line"},
    "failure": {"type", "message"},
    "error": {"type", "message"},
    "skipped": {"type", "message"},
    "properties": set(),
    "property": {"name", "value"},
    "system-out": set(),
}
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase"},
    "testcase": {"skipped", "error", "failure", "system-out"},
    "properties": {"property"},
}


@pytest.mark.parametrize("made", ["go", "reserved", "all_down", "hostile"])
def test_the_document_is_valid_under_jenkins_schema(made: str) -> None:
    """Each element has only attributes and children that the schema has, and times in its form."""
    for element in parsed(getattr(reports, made)()).iter():
        assert set(element.attrib) <= ATTRIBUTES[element.tag]
        assert {child.tag for child in element} <= CHILDREN.get(element.tag, set())
        if element.tag.startswith("test"):
            assert re.fullmatch(r"\d+\.\d{3}", element.get("time") or "")


def test_every_failing_case_has_a_line() -> None:
    """A reader that annotates files finds the item's line if the check has no better one, and the verdict's cause."""
    item = reports.item("a.b", "A", Status.FAIL, msg("because"), evidence=reports.proof("", ""))
    document = parsed(reports.report([reports.section("a", "A", item)]))
    assert [(entry.get("file"), entry.get("line")) for entry in document.iter("testcase")] == [
        ("prodgate.yml", "7")
    ] * 2


def test_sentences_are_in_the_language() -> None:
    """A French file has French sentences."""
    (failure,) = case(parsed(reports.all_down(), "fr"), "verdict").findall("failure")
    assert failure.get("message") == "NO-GO: api n'est pas prêt\N{NO-BREAK SPACE}: connection refused (13 items)"


@settings(max_examples=200)
@given(st.text(alphabet=st.characters(), max_size=50))
def test_any_text_is_valid_xml(text: str) -> None:
    """Whatever text a service sends, lone surrogates and all, the file parses and what XML can hold is kept."""
    item = reports.item("a", text, Status.FAIL, msg("{t}", t=text), evidence=reports.proof(text, text, text))
    found = case(parsed(reports.report([reports.section("s", text, item)], service=text)), "a")
    letters = [char for char in text if char.isascii() and char.isalnum()]
    assert (
        letters
        == [char for char in (found.find("failure").get("message") or "") if char.isascii() and char.isalnum()][  # type: ignore[union-attr]
            : len(letters)
        ]
    )


@pytest.mark.parametrize(
    "bait", ["\ud800", "\ufffe", "\uffff", "\x00", "\x1b", "\x0b", "]]>", "\U0001fffe", "\x7f", "\r"]
)
def test_characters_that_xml_cannot_hold(bait: str) -> None:
    """Each of these in evidence costs nothing but itself."""
    item = reports.item("a", "A", evidence=reports.proof("asked", f"before{bait}after"))
    output = case(parsed(reports.report([reports.section("s", "S", item)])), "a").findtext("system-out") or ""
    assert "before" in output
    assert "after" in output


def test_ten_megabytes_of_anything() -> None:
    """10 MB of output are cut to both ends, and the file stays valid and smaller than that."""
    response = "first" + "\x00\ud800<&" * 2_500_000 + "last"
    item = reports.item("a", "A", Status.ERROR, msg("{answer}", answer=response), evidence=reports.proof("", response))
    report = reports.report([reports.section("s", "S", item)])
    output = case(parsed(report), "a").findtext("system-out") or ""
    assert output.endswith("last")
    assert len(FORMATS.import_module("junit").render(report, "en")) < 8_000_000


def test_hostile_report_is_valid() -> None:
    """Hostile text everywhere still makes a document with every case in it."""
    names = [(entry.get("name") or "").split(": ")[0] for entry in parsed(reports.hostile()).iter("testcase")]
    wanted = ["pass", "fail", "error", "skip", "waived", "drill"]
    assert [*(f"hostile.{name}" for name in wanted), "verdict"] == names
