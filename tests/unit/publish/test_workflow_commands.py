"""What reaches the runner's log: commands of ours, and nothing of anybody else's."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gate.model import Evidence, Location, Severity, Status
from gate.publish.workflow_commands import (
    MAX_LENGTH,
    OF_ITEMS,
    PER_TYPE,
    Log,
    escape_workflow_commands,
    select_annotations,
    write,
)
from tests.support import reports
from tests.support.runner.log import commands


def logged(text: str) -> str:
    """Write a text to a log and return the log's output."""
    stream = io.StringIO()
    log = Log(stream)
    log.write(text)
    log.flush_partial()
    return stream.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "::set-output name=go::true",
        "  \t::error::x",
        "a\r::stop-commands::x",
        "a\r\n::add-mask::a",
        "deep ##[error]x",
        "##[set-output name=go]true",
        "\u200b::error::x",
        "\u3164::error::x",
        ":\u00ad:error::x",
        "#\u200b#\u200b[error]x",
        "\ufeff::warning::x",
    ],
)
def test_no_command_gets_through(text: str) -> None:
    """Whatever a service says, the runner finds no command in it."""
    assert commands(logged(text)) == []


@given(st.text(alphabet=st.sampled_from("::##[]er \r\n\t\u200b\u00ad\u2028|error")))
def test_no_text_makes_a_command(text: str) -> None:
    """No mixture of colons, hashes, line ends and invisible characters is a command."""
    assert commands(logged(text)) == []


@pytest.mark.parametrize("line", ["✅ PASS scrape.job: 3", "  indented", "host [::1]:80", "", "é", "NO-GO"])
def test_plain_lines_stay(line: str) -> None:
    """What can do no harm is left as it is."""
    assert line == escape_workflow_commands(line)


def test_no_control_character_in_a_command() -> None:
    """An annotation of ours has no control character of a service's: it would move the cursor of who reads the log."""
    stream = io.StringIO()
    Log(stream).command("error", "red \x1b[31m, \0 nothing, \x9b2J", title="a\x07b")
    assert stream.getvalue() == "::error title=a\ufffdb::red \ufffd[31m, \ufffd nothing, \ufffd2J\n"


def test_a_command_in_pieces() -> None:
    """Text that arrives in pieces is looked at as whole lines."""
    stream = io.StringIO()
    log = Log(stream)
    for piece in (":", ":err", "or::", "x\n"):
        log.write(piece)
    assert commands(stream.getvalue()) == []


def test_our_own_commands() -> None:
    """Properties and messages are escaped as the runner unescapes them."""
    stream = io.StringIO()
    Log(stream).command("error", "50%\nof\r::it", file="a,b:c.yml", line=3, col=None)
    assert stream.getvalue() == "::error file=a%2Cb%3Ac.yml,line=3::50%25%0Aof%0D::it\n"


def test_annotations_are_few_and_the_worst() -> None:
    """Fewer of a type than the runner takes, what failed before what was skipped."""
    skipped = [reports.item(f"s{number}", "S", Status.SKIP) for number in range(PER_TYPE)]
    failed = reports.item("f", "F", Status.FAIL)
    advisory = reports.item("a", "A", Status.FAIL, severity=Severity.ADVISORY)
    passed = reports.item("p", "P")
    report = reports.report([reports.section("x", "X", passed, *skipped, advisory, failed)])
    found = select_annotations(report)
    assert OF_ITEMS < PER_TYPE
    assert [("error", "f"), *(("error", f"s{number}") for number in range(OF_ITEMS - 1)), ("warning", "a")] == [
        (name, item.id) for name, item in found
    ]


def test_the_place_of_an_annotation() -> None:
    """An annotation leads to the file and line that the check found."""
    evidence = Evidence(locations=(Location(file="ops/alerts.yml", line=12),))
    report = reports.report([reports.section("x", "X", reports.item("f", "F", Status.FAIL, evidence=evidence))])
    stream = io.StringIO()
    write(report, Log(stream))
    (error,) = [command for command in commands(stream.getvalue()) if command.name == "error"]
    assert (error.properties["file"], error.properties["line"]) == ("ops/alerts.yml", "12")
    assert len(error.data) <= MAX_LENGTH


def test_a_hostile_report() -> None:
    """The log of a report full of traps holds groups and annotations of ours only."""
    item = reports.item(
        "f", reports.HOSTILE, Status.FAIL, evidence=Evidence(response=reports.HOSTILE, request="\r::x::")
    )
    stream = io.StringIO()
    write(reports.report([reports.section("x", "X", item)]), Log(stream))
    names = [command.name for command in commands(stream.getvalue())]
    assert names == ["group", "endgroup", "error"]


def test_control_characters() -> None:
    """Control characters do not reach the terminal of whoever reads the log; a tab does."""
    assert escape_workflow_commands("a\x1b[31mb\x07c\x00\td\x9b") == "a\ufffd[31mb\ufffdc\ufffd\td\ufffd"
