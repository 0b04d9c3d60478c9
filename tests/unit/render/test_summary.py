"""The job summary: what matters first, never too large, and nothing in it that a service said means anything."""

from __future__ import annotations

import re

import pytest
from markdown_it import MarkdownIt

from gate.core.messages import msg
from gate.model import Report, Status
from gate.render.summary import LIMIT, render
from tests.support import reports


def blocks(text: str, info: str) -> list[str]:
    """Return the contents of the code blocks of a language."""
    found = MarkdownIt("commonmark").parse(text)
    return [token.content for token in found if token.type == "fence" and token.info == info]


def test_the_verdict_and_its_reasons_come_first() -> None:
    """The first lines say what a person wants to know: the verdict, and what stands against a GO."""
    lines = [line for line in render(reports.all_down("fr"), "fr").splitlines() if line]
    assert lines[0] == "## 🔴 NO-GO - veza-backend-api"
    assert lines[2] == "### Raisons"
    assert lines[3].startswith("1. api n'est pas prêt")


def test_the_rates_have_a_bar() -> None:
    """A section's rate is also a bar, which is full at 100 % and empty at 0 % only."""
    bars = re.findall(r"`([█░]+)` \**(\d+)%", render(reports.all_down(), "en"))
    assert [(bar.count("█"), int(rate)) for bar, rate in bars] == [
        (2, 17), (6, 60), (3, 33), (0, 0), (0, 0), (0, 0), (10, 100), (3, 30),
    ]  # fmt: skip


CHART = """gantt
    title DB down drill
    dateFormat x
    axisFormat %M:%S
    Fault :crit, 0, 30000
    +0.0 s Fault database stopped :milestone, 0, 0
    +0.9 s GET /readyz answers 503 :milestone, 900, 900
    +3.1 s VezaDatabaseDown pending :milestone, 3100, 3100
    +18.4 s VezaDatabaseDown firing :milestone, 18400, 18400
    +30.0 s Database started again :milestone, 30000, 30000
    +33.1 s GET /readyz answers 200 :milestone, 33100, 33100
    +41.7 s VezaDatabaseDown resolved :milestone, 41700, 41700
"""


def test_a_drill_has_a_mermaid_chart() -> None:
    """A drill's timeline is a Gantt chart: the fault as a bar, every moment as a milestone."""
    assert blocks(render(reports.go(), "en"), "mermaid")[0] == CHART


def test_a_hostile_chart_keeps_its_form() -> None:
    """A label has nothing in it that Mermaid reads: every line is a title, a setting, or a milestone."""
    (chart,) = blocks(render(reports.hostile(), "en"), "mermaid")
    form = re.compile(
        r"gantt|    (title|dateFormat|axisFormat) [^:;#<>%]*(%M:%S)?|    [^:;#<>%]+ :(milestone|crit), \d+, \d+"
    )
    assert [line for line in chart.splitlines() if not form.fullmatch(line)] == []


@pytest.mark.parametrize("code", ["en", "fr"])
def test_hostile_text_means_nothing(code: str) -> None:
    """No link, image or mention comes from what a service said, also in the summaries of folded sections."""
    text = render(reports.hostile(code), code)
    found = [
        token
        for line in MarkdownIt("commonmark").enable("table").parse(text)
        for token in [line, *(line.children or [])]
    ]
    assert {token.type for token in found} & {"image", "link_open"} == set()
    tags = {
        tag for token in found if token.type.startswith("html") for tag in re.findall(r"</?\w+[^>]*>", token.content)
    }
    assert tags <= {"<br>", "<details>", "</details>", "<summary>", "</summary>"}
    outside = re.sub(r"(`+)[^`].*?\1", "", text)
    assert [bait for bait in ("@everyone", "https://evil", "http://evil") if bait in outside] == []


def test_a_chart_has_no_more_than_it_can_show() -> None:
    """A drill with a thousand moments still makes a small chart."""
    drill = reports.drill()
    assert drill.outcome.timeline is not None
    moments = drill.outcome.timeline.events * 200
    timeline = drill.outcome.timeline.replace(events=moments)
    outcome = drill.outcome.replace(timeline=timeline)
    report = reports.report([reports.section("d", "D", drill.replace(outcome=outcome))])
    assert len(blocks(render(report, "en"), "mermaid")[0].splitlines()) == 45


def huge() -> Report:
    """Far more than a summary takes: long titles, long messages, many sections."""
    long = "é🟢x " * 500
    return reports.report(
        reports.section(
            f"s{part}", long, *(reports.item(f"s{part}.{n}", long, Status.FAIL, msg("{m}", m=long)) for n in range(50))
        )
        for part in range(200)
    )


@pytest.mark.parametrize("limit", [LIMIT, 60_000, 3_000])
def test_it_is_cut_by_whole_blocks_and_says_so(limit: int) -> None:
    """A summary keeps its limit, starts with the verdict, closes what it opens, and says what is missing."""
    text = render(huge(), "en", limit)
    assert len(text.encode()) <= limit
    assert text.startswith("## 🔴 NO-GO")
    assert text.count("<details>") == text.count("</details>")
    assert re.search(r"\nParts left out because of their size: \d+; report\.md is complete\.\n\Z", text)
