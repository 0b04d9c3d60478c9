"""The report on a terminal and in a log: coloured or plain, folded, and deaf to what a service sends."""

from __future__ import annotations

import re

import pytest

from gate.core.messages import msg
from gate.model import Status
from gate.render.terminal import render
from tests.support import reports

DOWN = """\
1. Prometheus scrape OK  1/6 (17%)
  PASS    Job configuré dans `prometheus.yml` - ops/prometheus/prometheus.yml exists (8.0 KiB)
  SKIP    scrape.endpoint, scrape.metrics, scrape.format - api is not ready: connection refused
  SKIP    scrape.active, scrape.visible - prometheus is not ready: connection refused
"""

TABLE = """\
Section                          Items    Pass    Fail   Error    Skip  Waived     Rate
1. Prometheus scrape OK              6       1       0       0       5       0      17%  ██░░░░░░░░
2. Règles d'alerte chargées          5       3       0       0       2       0      60%  ██████░░░░
3. Alerte vue et runbook suivi       6       2       0       0       4       0      33%  ███░░░░░░░
4. Métriques clés vérifiées          7       0       0       0       7       0       0%  ░░░░░░░░░░
5. Validation endpoints health       3       0       3       0       0       0       0%  ░░░░░░░░░░
6. Tests opérationnels               2       0       0       0       2       0       0%  ░░░░░░░░░░
7. Documentation                     4       4       0       0       0       0     100%  ██████████
TOTAL                               33      10       3       0      20       0      30%  ███░░░░░░░

Verdict: NO-GO

Reasons
  1. api is not ready: connection refused (13 items)
     → Start api, or correct its address in the checklist
"""


def test_sections_fold_what_has_one_cause() -> None:
    """Items that were skipped for one reason are one line."""
    assert render(reports.all_down(), "en").startswith(DOWN)


def test_the_table_and_the_reasons() -> None:
    """The table of all sections, then the verdict, its reasons, and what to do about each."""
    assert TABLE in render(reports.all_down(), "en")


def test_without_colour_there_is_no_escape_sequence() -> None:
    """A log has plain lines, whatever a service sent."""
    assert [char for char in render(reports.hostile(), "en") if ord(char) < 32 and char != "\n"] == []


def test_colour_is_all_that_colour_adds() -> None:
    """With colour the text is the same."""
    coloured = render(reports.hostile(), "fr", colour=True, width=100)
    assert re.sub(r"\x1b\[[0-9;]+m", "", coloured) == render(reports.hostile(), "fr", width=100)
    assert "\x1b[1;37;41m" in coloured


@pytest.mark.parametrize("width", [60, 80, 120])
def test_it_is_wrapped_to_the_width(width: int) -> None:
    """On a terminal no sentence runs out of the window."""
    report = reports.reserved()
    text = render(report, "en", width=width).split("Section")[0]
    assert [line for line in text.splitlines() if len(line) > width] == []


@pytest.mark.parametrize(
    "bait", ["::error::x", "##[error]x", "\r::error::x", "\n::set-output name=go::true", "\u2028::error::x"]
)
def test_no_line_is_a_workflow_command(bait: str) -> None:
    """In the log of a runner nothing a service said starts a line, or is a command anywhere in it."""
    item = reports.item("a", bait, Status.FAIL, msg("{m}", m=bait))
    text = render(reports.report([reports.section("s", bait, item)], environment=bait, service=bait), "en")
    assert [line for line in text.splitlines() if line.strip().startswith("::") or "##[" in line] == []
