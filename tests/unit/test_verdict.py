"""The verdict: every combination of outcome, severity and waiver, and what is said of it."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import product

import pytest

from gate.core.messages import msg
from gate.model import (
    CriterionResult,
    Decision,
    Evidence,
    ItemResult,
    Location,
    Outcome,
    SectionResult,
    Severity,
    Status,
    VerdictReason,
    Waiver,
)
from gate.verdict import decide, exit_code

TODAY = date(2026, 3, 30)
GO, HELD, NO_GO = Decision.GO, Decision.GO_WITH_RESERVATIONS, Decision.NO_GO


def waiver(days: int = 1) -> Waiver:
    """Return a waiver that expires in `days` days."""
    return Waiver(item="a", reason="issue 412", owner="team", expires=TODAY + timedelta(days=days))


def item(
    status: Status, severity: Severity = Severity.BLOCKING, covered: Waiver | None = None, **more: object
) -> ItemResult:
    """Return an item with this status."""
    outcome = Outcome(status=status, message=msg("seen"), evidence=Evidence(attempts=1), **more)
    return ItemResult(id="a", title="A", severity=severity, check="file", outcome=outcome, waiver=covered)


def section(*items: ItemResult, id: str = "s") -> SectionResult:
    """Return a section of these items."""
    return SectionResult(id=id, title="S", items=items)


PASS, FAIL, ERROR, SKIP = Status.PASS, Status.FAIL, Status.ERROR, Status.SKIP
BLOCKING, ADVISORY = Severity.BLOCKING, Severity.ADVISORY

TABLE = {
    (PASS, BLOCKING, "none"): GO,
    (PASS, ADVISORY, "none"): GO,
    (FAIL, BLOCKING, "none"): NO_GO,
    (ERROR, BLOCKING, "none"): NO_GO,
    (SKIP, BLOCKING, "none"): NO_GO,
    (FAIL, ADVISORY, "none"): HELD,
    (ERROR, ADVISORY, "none"): HELD,
    (SKIP, ADVISORY, "none"): HELD,
    (PASS, BLOCKING, "in force"): HELD,
    (PASS, ADVISORY, "in force"): HELD,
    (FAIL, BLOCKING, "in force"): HELD,
    (ERROR, BLOCKING, "in force"): HELD,
    (SKIP, BLOCKING, "in force"): NO_GO,
    (FAIL, ADVISORY, "in force"): HELD,
    (ERROR, ADVISORY, "in force"): HELD,
    (SKIP, ADVISORY, "in force"): HELD,
    (PASS, BLOCKING, "ended"): HELD,
    (PASS, ADVISORY, "ended"): HELD,
    (FAIL, BLOCKING, "ended"): NO_GO,
    (ERROR, BLOCKING, "ended"): NO_GO,
    (SKIP, BLOCKING, "ended"): NO_GO,
    (FAIL, ADVISORY, "ended"): HELD,
    (ERROR, ADVISORY, "ended"): HELD,
    (SKIP, ADVISORY, "ended"): HELD,
}


def test_table_is_whole() -> None:
    """The table holds every combination."""
    assert set(TABLE) == set(product((PASS, FAIL, ERROR, SKIP), Severity, ("none", "in force", "ended")))


@pytest.mark.parametrize(("status", "severity", "state"), TABLE)
def test_decision(status: Status, severity: Severity, state: str) -> None:
    """One item alone decides as the table says."""
    given = {"none": None, "in force": waiver(1), "ended": waiver(0)}[state]
    covered = given if state == "in force" else None
    verdict = decide([section(item(status, severity, covered))], waivers=[given] if given else [], today=TODAY)
    assert verdict.decision == TABLE[status, severity, state]


@pytest.mark.parametrize(("first", "second"), list(product(TABLE, TABLE)))
def test_decision_of_two(first: tuple[Status, Severity, str], second: tuple[Status, Severity, str]) -> None:
    """Two items decide as the worse of the two."""
    made, given = [], []
    for name, (status, severity, state) in zip("ab", (first, second), strict=True):
        own = {"none": None, "in force": waiver(1), "ended": waiver(0)}[state]
        covered = own.replace(item=name) if own else None
        given += [covered] if covered else []
        result = item(status, severity, covered if state == "in force" else None)
        made.append(result.replace(id=name))
    worst = max((TABLE[first], TABLE[second]), key=[GO, HELD, NO_GO].index)
    assert decide([section(*made)], waivers=given, today=TODAY).decision == worst


def test_nothing_to_check() -> None:
    """Nothing to check is no GO: no section, and a section without items."""
    assert decide([], today=TODAY).decision == NO_GO
    assert decide([section()], today=TODAY).decision == NO_GO
    assert decide([section(item(PASS)), section(id="t")], today=TODAY).decision == NO_GO


@pytest.mark.parametrize("ended", ["deadline", "cancelled", "broken"])
def test_a_run_that_ended_early(ended: str) -> None:
    """A run that did not come to its end is a NO-GO, even where all that ran passed."""
    assert decide([section(item(PASS))], today=TODAY, ended=ended).decision == NO_GO


def test_one_root_cause_once() -> None:
    """Items with one root cause are one reason, with their number; what was not there comes before what failed."""
    down = {"cause": "target:api", "cause_message": msg("api is not ready")}
    items = [item(FAIL), item(SKIP, **down), item(SKIP, **down)]
    reasons = decide([section(*items)], today=TODAY).reasons
    assert [str(reason.message) for reason in reasons] == ["api is not ready (2 items)", "A: seen"]


def test_what_explains_that_a_target_is_down_comes_first() -> None:
    """An item that fails for a file that a dead target complains of comes before the target, and no other does."""
    down = item(SKIP, cause="target:prometheus", cause_message=msg("prometheus is not ready"))
    said = Evidence(response='level=ERROR err="/etc/prometheus/alerts.yml: 9:13: parse error"')
    down = down.replace(outcome=down.outcome.replace(evidence=said))

    def fails(name: str, file: str) -> ItemResult:
        found = item(FAIL).replace(id=name)
        places = Evidence(locations=(Location(file=file, line=9),))
        return found.replace(outcome=found.outcome.replace(evidence=places))

    items = [
        down,
        fails("other", "ops/other.yml"),
        fails("like", "ops/old-alerts.yml"),
        fails("rules", "ops/alerts.yml"),
    ]
    reasons = decide([section(*items)], today=TODAY).reasons
    assert [reason.items for reason in reasons] == [("rules",), ("a",), ("other",), ("like",)]


def test_what_is_known_before_it_is_tried_comes_before_what_follows_from_it() -> None:
    """A drill that can't be won, as with a too short `within`, comes before an alert that no drill has shown."""
    items = [item(FAIL).replace(id="chain"), item(ERROR, cause="impossible:drill").replace(id="drill")]
    reasons = decide([section(*items)], today=TODAY).reasons
    assert [(reason.items, str(reason.message)) for reason in reasons] == [
        (("drill",), "A: seen"),
        (("chain",), "A: seen"),
    ]


def test_fail_comes_before_error_and_skip() -> None:
    """What was observed and is wrong comes before what could not be observed."""
    reasons = decide(
        [section(*(item(status).replace(id=status) for status in (SKIP, ERROR, FAIL)))], today=TODAY
    ).reasons
    assert [reason.items for reason in reasons] == [("fail",), ("error",), ("skip",)]


def test_end_of_a_go() -> None:
    """A GO that rests on waivers says when it ends; a NO-GO does not."""
    held = decide([section(item(FAIL, covered=waiver(5)))], waivers=[waiver(5)], today=TODAY)
    assert (held.until, held.until_waivers) == (TODAY + timedelta(days=5), ("a",))
    worse = section(item(FAIL, covered=waiver(5)), item(FAIL))
    assert decide([worse], waivers=[waiver(5)], today=TODAY).until is None


def test_an_advisory_item_ends_no_go() -> None:
    """An advisory item that fails without its waiver, or without a part's quarantine, is a reservation and no NO-GO."""
    row = CriterionResult(
        title=msg("TestX"), status=Status.WAIVED, message=msg("quarantined"), expires=TODAY + timedelta(days=5)
    )
    waived, passed = item(FAIL, ADVISORY, waiver(5)), item(PASS, ADVISORY, rows=(row,))
    held = decide([section(waived, passed.replace(id="b"))], waivers=[waiver(5)], today=TODAY)
    assert (held.decision, held.until) == (HELD, None)


def test_the_end_of_a_quarantine() -> None:
    """Where a GO ends because tests leave quarantine, no waiver is said to end."""
    row = CriterionResult(
        title=msg("TestX"), status=Status.WAIVED, message=msg("quarantined"), expires=TODAY + timedelta(days=5)
    )
    both = [item(PASS, rows=(row, row)).replace(id="q"), item(FAIL, covered=waiver(9))]
    held = decide([section(*both)], waivers=[waiver(9)], today=TODAY)
    assert (held.until, held.until_waivers, held.until_quarantines) == (TODAY + timedelta(days=5), (), ("q",))


def test_stale_and_ended_waivers() -> None:
    """A waiver whose item passes is stale, one past its date counts for nothing: both are said."""
    stale = decide([section(item(PASS, covered=waiver(1)))], waivers=[waiver(1)], today=TODAY)
    assert str(stale.reservations[0].message) == "The waiver for a is stale: the item passes. Remove the waiver"
    ended = decide([section(item(FAIL))], waivers=[waiver(0)], today=TODAY)
    assert str(ended.reservations[0].message) == "The waiver for a expired on 2026-03-30 and is ignored"


def test_waived_says_who_and_why() -> None:
    """A waived item is a reservation that names the day, the owner, the reason and what was seen."""
    held = decide([section(item(FAIL, covered=waiver(1)))], waivers=[waiver(1)], today=TODAY)
    assert [str(entry.message) for entry in held.reservations] == [
        "A is waived until 2026-03-31 by team: issue 412. seen"
    ]


def test_more_tries_than_one() -> None:
    """A pass at a later try is a reservation, unless the item has a `within`."""
    late = item(PASS)
    outcome = late.outcome.replace(evidence=Evidence(attempts=3))
    late = late.replace(outcome=outcome)
    assert decide([section(late)], today=TODAY).decision == HELD
    assert decide([section(late.replace(within=5.0))], today=TODAY).decision == GO


def test_waived_rows() -> None:
    """A tolerated part of a passed item, such as a quarantined test, is a reservation."""
    row = CriterionResult(title=msg("TestX"), status=Status.WAIVED, message=msg("quarantined"))
    assert decide([section(item(PASS, rows=(row,)))], today=TODAY).decision == HELD


def test_what_others_found() -> None:
    """Reasons from outside are a NO-GO, reservations from outside a reservation."""
    found = VerdictReason(message=msg("report missing"))
    assert decide([section(item(PASS))], today=TODAY, blockers=[found]).decision == NO_GO
    assert decide([section(item(PASS))], today=TODAY, reservations=[found]).decision == HELD


@pytest.mark.parametrize(
    ("decision", "ended", "code"),
    [
        (GO, "complete", 0), (HELD, "complete", 0), (NO_GO, "complete", 1), (NO_GO, "deadline", 1),
        (NO_GO, "cancelled", 130), (NO_GO, "broken", 3), (GO, "cancelled", 130), (GO, "broken", 3),
    ],
)  # fmt: skip
def test_exit_code(decision: Decision, ended: str, code: int) -> None:
    """Each end has its own exit code."""
    assert exit_code(decision, ended) == code


def test_a_reason_is_what_failed() -> None:
    """An item that is skipped because a later one failed does not speak for both: the one that failed does."""
    early = ItemResult(
        id="early",
        title="Early",
        severity=BLOCKING,
        check="file",
        outcome=Outcome(status=SKIP, message=msg("needs late"), cause="item:late"),
    )
    late = ItemResult(
        id="late", title="Late", severity=BLOCKING, check="file", outcome=Outcome(status=FAIL, message=msg("broken"))
    )
    verdict = decide([section(early, late)], today=TODAY)
    assert [(str(reason.message), reason.items) for reason in verdict.reasons] == [("Late: broken", ("early", "late"))]
