"""Every format lists every waiver of the checklist, whatever became of its item, and says what a GO's end rests on."""

from __future__ import annotations

import re
from datetime import date

import pytest

from gate.core.messages import msg
from gate.i18n.language import language
from gate.model import Decision, Report, Status, Verdict, Waiver
from gate.render import FORMATS, presenter
from tests.support import reports

FOR_PEOPLE = ["md", "html", "summary", "comment", "terminal", "junit"]


def waiver(name: str, expires: date) -> Waiver:
    """Return a waiver that differs from all others in each field."""
    return Waiver(
        item=name,
        reason=f"why{name}",
        owner=f"owner{name}",
        expires=expires,
        issue=f"no{name}",
        approved_by=f"ok{name}",
    )


def waived() -> Report:
    """Return waivers that are active, stale, expired, and of a skipped item."""
    given = (
        waiver("force", date(2026, 3, 31)),
        waiver("stale", date(2026, 4, 1)),
        waiver("ended", date(2025, 1, 2)),
        waiver("skipped", date(2026, 4, 3)),
    )
    items = (
        reports.item("force", "Force", Status.FAIL, waiver=given[0]),
        reports.item("stale", "Stale", waiver=given[1]),
        reports.item("ended", "Ended", Status.FAIL),
        reports.skipped("skipped", "Skipped"),
    )
    return reports.report([reports.section("s", "S", *items)], waivers=given)


@pytest.mark.parametrize("name", FOR_PEOPLE)
def test_every_waiver_is_listed(name: str) -> None:
    """Owner, reason, expiry, issue and who approved it are said of each waiver."""
    text = FORMATS.import_module(name).render(waived(), "en")
    said = [f"{word}{each}" for each in ("force", "stale", "ended", "skipped") for word in ("why", "owner", "no", "ok")]
    assert [word for word in said if word not in text] == []
    days = [("2026-03-31", "31 March 2026"), ("2026-04-01", "1 April 2026"), ("2025-01-02", "2 January 2025")]
    assert [day for day in days if not re.search("|".join(day), text)] == []


@pytest.mark.parametrize("name", FOR_PEOPLE)
def test_without_waivers_there_is_no_list(name: str) -> None:
    """A report without waivers does not speak of them."""
    assert "Waivers" not in FORMATS.import_module(name).render(reports.go(), "en")


@pytest.mark.parametrize(
    ("waivers", "quarantines", "why"),
    [
        (("a", "b"), (), "waiver of a, b"),
        ((), ("t",), "quarantine of t"),
        (("a",), ("t",), "waiver of a; quarantine of t"),
    ],
)
def test_what_ends_with_a_go(waivers: tuple[str, ...], quarantines: tuple[str, ...], why: str) -> None:
    """A quarantine is not called a waiver."""
    verdict = Verdict(
        decision=Decision.GO_WITH_RESERVATIONS,
        until=date(2026, 3, 31),
        until_waivers=waivers,
        until_quarantines=quarantines,
    )
    end = presenter.expiry_note(reports.go().replace(verdict=verdict))
    assert language("en").message(end or msg("")) == f"Becomes NO-GO on 2026-03-31 ({why})"
