"""The Markdown report: all of the hand-run report, computed; nothing that a service said means anything in it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from gate.model import Report
from gate.render import FORMATS
from tests.support import reports

MADE: dict[str, Callable[[str], Report]] = {
    "down": reports.all_down,
    "go": reports.go,
    "reserved": reports.reserved,
    "hostile": reports.hostile,
    "changed": reports.changed,
    "traced": reports.traced,
}


def render(report: Report, code: str) -> str:
    """Render a report as Markdown."""
    return str(FORMATS.import_module("md").render(report, code))


def tokens(text: str) -> list[Token]:
    """Return every token of a Markdown text, also those inside lines."""
    found: list[Token] = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        found += [token, *(token.children or [])]
    return found


def rows(text: str) -> list[list[str]]:
    """Return the cells of every row of every table."""
    found: list[list[str]] = []
    inside = False
    for token in tokens(text):
        if token.type == "tr_open":
            found.append([])
        inside = token.type in ("th_open", "td_open") or (inside and token.type not in ("th_close", "td_close"))
        if inside and token.type == "inline":
            found[-1].append(token.content)
    return found


TABLE = [
    ["1. Prometheus scrape OK", "6", "1", "0", "0", "5", "0", "17\N{NO-BREAK SPACE}%"],
    ["2. Règles d'alerte chargées", "5", "3", "0", "0", "2", "0", "60\N{NO-BREAK SPACE}%"],
    ["3. Alerte vue et runbook suivi", "6", "2", "0", "0", "4", "0", "33\N{NO-BREAK SPACE}%"],
    ["4. Métriques clés vérifiées", "7", "0", "0", "0", "7", "0", "0\N{NO-BREAK SPACE}%"],
    ["5. Validation endpoints health", "3", "0", "3", "0", "0", "0", "0\N{NO-BREAK SPACE}%"],
    ["6. Tests opérationnels", "2", "0", "0", "0", "2", "0", "0\N{NO-BREAK SPACE}%"],
    ["7. Documentation", "4", "4", "0", "0", "0", "0", "100\N{NO-BREAK SPACE}%"],
    ["**TOTAL**", "**33**", "**10**", "**3**", "**0**", "**20**", "**0**", "**30\N{NO-BREAK SPACE}%**"],
]


def test_the_table_of_all_sections_is_that_of_the_hand_run_report() -> None:
    """With nothing running, the sections count as people counted them, and the total is right for once."""
    found = rows(render(reports.all_down("fr"), "fr"))
    start = found.index(["Section", "Items", "Pass", "Fail", "Error", "Skip", "Waived", "Taux"])
    assert found[start + 1 : start + 9] == TABLE


HEADINGS = [
    "Rapport PROD GATE - veza-backend-api",
    "Résumé exécutif",
    "1. Checklist (33 items)",
    "2. Drills opérationnels",
    "3. Cibles",
    "4. Verdict final",
    "5. Commandes pour reproduire",
    "6. Prochaines étapes",
    "7. Preuves",
]


def test_it_has_the_parts_of_the_hand_run_report() -> None:
    """The French report of a gate with nothing running has its parts in order."""
    found = tokens(render(reports.all_down("fr"), "fr"))
    texts = [
        after.content for token, after in pairwise(found) if token.type == "heading_open" and token.tag in ("h1", "h2")
    ]
    assert texts == HEADINGS


@pytest.mark.parametrize(
    "line",
    [
        "**Verdict**\N{NO-BREAK SPACE}: 🔴 **NO-GO**",
        "**Date**\N{NO-BREAK SPACE}: 15 décembre 2025 à 14:36:54 UTC  ",
        "**Commit**\N{NO-BREAK SPACE}: `feb7283cd4a17c4460be28697ac2d7e4b7476512`  ",
        "**Résultat**\N{NO-BREAK SPACE}: 1/6 (17\N{NO-BREAK SPACE}%)",
        "**Résultat**\N{NO-BREAK SPACE}: 3/5 (60\N{NO-BREAK SPACE}%)",
        "1. Démarrer api, ou corriger son adresse dans la checklist",
        "2. Démarrer prometheus, ou corriger son adresse dans la checklist",
        "1. api n'est pas prêt\N{NO-BREAK SPACE}: connection refused (13 items)",
        "| Endpoint `/metrics` accessible | ⏭️ SKIP | api n'est pas prêt\N{NO-BREAK SPACE}: connection refused |",
        "curl -sS -i http://api:8080/readyz",
    ],
)
def test_a_line_of_the_french_report(line: str) -> None:
    """The French report of a gate with nothing running says what the hand-run one said, in French."""
    assert line in render(reports.all_down("fr"), "fr").splitlines()


def test_a_root_cause_is_one_line() -> None:
    """What could not be verified is listed by root cause, with all the items it speaks of."""
    text = render(reports.all_down("en"), "en").split("### What could not be verified")[1].split("##")[0]
    assert [line.split(" - ")[1].split(":")[0] for line in text.strip().splitlines()] == ["13 items", "7 items"]


def test_reservations_and_waivers() -> None:
    """A waiver is shown with its owner, reason, expiry and issue; the GO says when it ends."""
    text = render(reports.reserved("en"), "en")
    assert "**End of validity**: Becomes NO-GO on 2026-03-31 (waiver of tests.unit)" in text.splitlines()
    owned = ["tests.unit", "backend-team", "servicemocks fails on the shared runner, issue 412", "31 March 2026"]
    assert [*owned, "412", "ops"] in rows(text)
    assert "| Unit tests | 🟡 WAIVED | 2 tests failed (waived until 2026-03-31 by backend-team) |" in text.splitlines()


@pytest.mark.parametrize(
    "line",
    [
        "**Taux**\N{NO-BREAK SPACE}: 100\N{NO-BREAK SPACE}%, contre 75\N{NO-BREAK SPACE}%",
        "- **Nouveaux échecs**\N{NO-BREAK SPACE}: `health.live`",
        "- **Corrigés**\N{NO-BREAK SPACE}: `health.readyz`",
        "- drills.database\N{NO-BREAK SPACE}: temps de détection 2,1 s, contre 0,9 s",
        "### Corrections",
    ],
)
def test_what_is_different_from_last_time(line: str) -> None:
    """A report with a baseline says what became of the items, the rate, the drill times, and by which commits."""
    assert (
        line.replace(" s,", "\N{NO-BREAK SPACE}s,").replace(",9 s", ",9\N{NO-BREAK SPACE}s")
        in render(reports.changed(), "fr").splitlines()
    )


def test_a_drill_has_its_rows_and_its_timeline() -> None:
    """A drill lists its criteria with the time from the fault, and its moments in order."""
    found = rows(render(reports.go("fr"), "fr"))
    observation = ["Observation", r"GET /readyz is 503, not\_ready", "✅ PASS", "0,9 s", "10,0 s", "seen as expected"]
    assert [text.replace(" s", "\N{NO-BREAK SPACE}s") if text.endswith(" s") else text for text in observation] in found
    assert [r"\+18,4" + "\N{NO-BREAK SPACE}s", "VezaDatabaseDown firing"] in found


def test_the_chain_of_each_alert() -> None:
    """Each alert has its severity, the place of its rule and every link; below stands how many were seen firing."""
    text = render(reports.traced("en"), "en")
    assert [row for row in rows(text) if row[0] in ("Alert", "HighErrors", "Bare")] == [
        ["Alert", "Severity", "Rule", "Loaded", "Exposed", "Fired", "Annotation", "Runbook", "Sections", "Status",
         "First broken link"],
        ["HighErrors", "critical", "`ops/alerts.yml:4`", *["yes"] * 6, "✅ PASS", "no link is broken"],
        ["HighErrors", "critical", "`ops/alerts.yml:9`", "yes", "yes", "**no**", "yes", "**no**", "yes", "❌ FAIL",
         "it was not seen firing in a drill"],
        ["Bare", "", "`ops/alerts.yml:14`", "yes", "yes", "yes", "**no**", "yes", "yes", "❌ FAIL",
         "it was not seen firing in a drill"],
    ]  # fmt: skip
    assert "**Seen firing**: 1 of 2 critical, 1 of 1 without severity, 1 of 1 " in text


@pytest.mark.parametrize("code", ["en", "fr"])
@pytest.mark.parametrize("name", MADE)
def test_every_row_has_as_many_cells_as_its_head(name: str, code: str) -> None:
    """No text breaks out of its cell: the parser finds every row that was written, and no other."""
    text = render(MADE[name](code), code)
    written = sum(1 for line in text.splitlines() if line.startswith("| "))
    assert written == len(rows(text))


@pytest.mark.parametrize("code", ["en", "fr"])
def test_hostile_text_means_nothing(code: str) -> None:
    """No link, image, HTML, mention or address comes from what a service said, and no fence is broken out of."""
    text = render(reports.hostile(code), code)
    found = tokens(text)
    assert set() == {token.type for token in found} & {"html_block", "html_inline", "image", "link_open"}
    prose = " ".join(token.content for token in found if token.type == "text")
    assert [bait for bait in ("@everyone", "#1", "https://evil", "http://evil") if bait in prose] == []
    assert [char for char in "\x00\x1b\u202e\ud800\ufffe" if char in text] == []


def test_what_was_observed_is_not_translated() -> None:
    """French and English reports hold the same evidence."""
    blocks = [
        [
            token.content
            for token in tokens(render(reports.all_down(), code))
            if token.type == "fence" and token.info == "text"
        ]
        for code in ("en", "fr")
    ]
    assert blocks[0] == blocks[1]
    assert "panic: dial tcp 127.0.0.1:5432: connect: connection refused\n" in blocks[0]
