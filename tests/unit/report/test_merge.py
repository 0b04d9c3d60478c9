"""One report of many: the parts that the jobs of a matrix have run."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from gate.core.messages import msg
from gate.model import (
    Decision,
    Provenance,
    Report,
    SectionResult,
    Status,
    Verdict,
    VerdictReason,
    Waiver,
)
from gate.report.merge import UnmergeableReportsError, empty_merge, merge_reports
from gate.verdict import decide
from tests.support.reports import STARTED, part

TODAY = date(2026, 3, 1)


PASS, FAIL = Status.PASS, Status.FAIL


def test_one_verdict() -> None:
    """One part that is a NO-GO makes the whole one; all sections are there."""
    good = merge_reports({"a": part("a", PASS), "b": part("b", PASS)}, ["a", "b"], TODAY)
    assert (good.verdict.decision, [section.id for section in good.sections]) == (Decision.GO, ["a", "b"])
    assert merge_reports({"a": part("a", PASS), "b": part("b", FAIL)}, [], TODAY).verdict.decision == Decision.NO_GO


def test_a_part_that_is_missing() -> None:
    """A part that was expected and has left no report is a NO-GO that names it."""
    verdict = merge_reports({"a": part("a", PASS)}, ["a", "b"], TODAY).verdict
    assert (verdict.decision, str(verdict.reasons[0].message)) == (Decision.NO_GO, "b: the report is missing")


def test_no_part_at_all() -> None:
    """Where none of the parts that were expected has left a report, it is a NO-GO that names each of them."""
    found = empty_merge(["a", "b"], Provenance(commit="c"), STARTED)
    told = [str(reason.message) for reason in found.verdict.reasons]
    assert (found.verdict.decision, told) == (
        Decision.NO_GO,
        ["a: the report is missing", "b: the report is missing"],
    )


def partial(name: str, chosen: str, *left: str, service: str = "shop") -> Report:
    """Return a part that has run one item of its service's checklist."""
    made = part(name, PASS, service=service)
    item = made.items[0].replace(id=chosen)
    section = SectionResult(id="s", title="S", items=(item,))
    verdict = decide([section], today=TODAY, left_out=left)
    return made.replace(sections=(section,), unselected_items=left, verdict=verdict)


def test_parts_of_one_checklist() -> None:
    """Parts that have run all items of a checklist between them are a plain GO."""
    found = merge_reports({"a": partial("a", "x", "y"), "b": partial("b", "y", "x")}, [], TODAY)
    assert (found.verdict.decision, found.unselected_items, found.verdict.reservations) == (Decision.GO, (), ())


def test_what_no_part_has_run() -> None:
    """An item that none of the parts was to run is reserved, once."""
    found = merge_reports({"a": partial("a", "x", "y", "z"), "b": partial("b", "y", "x", "z")}, [], TODAY)
    told = [str(reason.message) for reason in found.verdict.reservations]
    assert (told, found.unselected_items) == (["Only 2 of the 3 items were chosen to run"], ("z",))


def test_what_another_service_has_run() -> None:
    """An item of one service is not made up for by one of the same name of another service."""
    found = merge_reports({"a": partial("a", "x", "y"), "b": partial("b", "y", service="other")}, [], TODAY)
    assert (found.verdict.decision, found.unselected_items) == (Decision.GO_WITH_RESERVATIONS, ("a/y",))


def test_reservations_of_the_parts() -> None:
    """What is reserved of no item, such as a checklist that was weakened, is kept, and said once."""
    held = VerdictReason(message=msg("The checklist was changed: {what}", what="x"))
    verdict = Verdict(decision=Decision.GO_WITH_RESERVATIONS, reservations=(held,))
    found = merge_reports({name: part(name, PASS, verdict=verdict) for name in "ab"}, [], TODAY)
    assert (found.verdict.decision, found.verdict.reservations) == (Decision.GO_WITH_RESERVATIONS, (held,))


def test_a_waiver_that_all_parts_have() -> None:
    """A waiver of the checklist that the parts share is one waiver, and stale once."""
    waiver = Waiver(item="a.0", reason="r", owner="o", expires=date(2026, 3, 2))
    found = merge_reports({name: part(name, PASS, waivers=(waiver,)) for name in "ab"}, [], TODAY)
    assert (found.waivers, len(found.verdict.reservations)) == ((waiver,), 1)


def test_different_commits() -> None:
    """Reports of different commits are refused."""
    with pytest.raises(UnmergeableReportsError, match="different commits"):
        merge_reports({"a": part("a", PASS), "b": part("b", PASS, commit="d")}, [], TODAY)


def whole(name: str, section: str, *others: str, **more: Any) -> Report:
    """Return a part that has run one section of a checklist with several."""
    left = tuple(f"{other}.0" for other in others)
    made = part(section, PASS, files=("prodgate.yml",), **more)
    return made.replace(
        unselected_items=left, sections_left_out=others, verdict=decide(made.sections, today=TODAY, left_out=left)
    )


def test_parts_that_are_as_expected() -> None:
    """Parts of one checklist that have run the sections that they are named after are one GO."""
    for names in (("unit", "drills"), ("part-unit", "part-drills"), ("one", "two")):
        parts = {names[0]: whole("a", "unit", "drills"), names[1]: whole("b", "drills", "unit")}
        found = merge_reports(parts, names, TODAY)
        assert (found.verdict.decision, found.sections_left_out) == (Decision.GO, ())


def test_what_is_left_out_of_all_parts() -> None:
    """A section that none of the parts has run stays left out."""
    found = merge_reports({"a": whole("a", "a", "b", "c"), "b": whole("b", "b", "a", "c")}, ["a", "b"], TODAY)
    assert (found.unselected_items, found.sections_left_out) == (("c.0",), ("c",))


@pytest.mark.parametrize(
    ("unit", "drills", "why"),
    [
        (whole("a", "unit", "drills"), whole("b", "health", "unit", "drills"), "different checklists"),
        (whole("a", "unit", "health", "drills"), whole("b", "health", "unit", "drills"),
         "drills: the report did not run the section drills"),
        (whole("a", "drills", "unit"), whole("b", "unit", "drills"), "unit: the report did not run the section unit"),
        (whole("a", "unit"), whole("b", "drills", service="other"), "expected parts of different services"),
        (whole("a", "unit"), part("drills", PASS, files=("small.yml",)), "different checklists, expected one"),
        (whole("a", "unit"), whole("a", "unit"), "duplicate items, expected each in one report"),
    ],
    ids=["other items", "other section", "swapped", "other service", "other checklist", "the same twice"],
)  # fmt: skip
def test_a_part_by_its_name_alone(unit: Report, drills: Report, why: str) -> None:
    """A report is not the expected part because it lies in a folder of that name."""
    with pytest.raises(UnmergeableReportsError, match=why):
        merge_reports({"unit": unit, "drills": drills}, ["unit", "drills"], TODAY)


def test_parts_that_are_named_after_their_services() -> None:
    """Parts of several services may use a checklist of the same name, each in its own folder."""
    parts = {f"part-{name}": whole(name, "s", service=name) for name in ("api", "web")}
    assert merge_reports(parts, [*parts], TODAY).verdict.decision == Decision.GO


def test_several_services() -> None:
    """Parts of several services keep their items apart, though they have the same ids."""
    found = merge_reports({"a": part("s", PASS, service="a"), "b": part("s", PASS, service="b")}, [], TODAY)
    assert [item.id for item in found.items] == ["a/s.0", "b/s.0"]
    assert found.service == "a, b"


def test_an_item_twice() -> None:
    """An item of one service in two parts is refused: nothing decides which of them counts."""
    with pytest.raises(UnmergeableReportsError, match=r"s\.0"):
        merge_reports({"a": part("s", PASS), "b": part("s", PASS)}, [], TODAY)


def test_a_part_of_a_changed_checkout() -> None:
    """Files that one part had changed are changed for the whole, and its notes are kept, each once."""
    notes = (msg("This speaks of a checkout that is not the commit: {file} was changed", file="x"),)
    changed = part("b", PASS, source=Provenance(commit="c", changed=("x",)), notes=notes)
    found = merge_reports({"a": part("a", PASS), "b": changed, "d": part("d", PASS, notes=notes)}, [], TODAY)
    assert (found.source.changed, found.notes) == (("x",), notes)


def test_a_part_that_did_not_end() -> None:
    """A part whose run was cut short makes the whole a NO-GO."""
    found = merge_reports({"a": part("a", PASS), "b": part("b", PASS, ended="deadline")}, [], TODAY)
    assert (found.verdict.decision, found.ended) == (Decision.NO_GO, "deadline")


def test_a_reason_without_items() -> None:
    """What stood against a part and is of no item stands against the whole."""
    verdict = Verdict(decision=Decision.NO_GO, reasons=(VerdictReason(message=msg("Nothing was checked")),))
    found = merge_reports({"a": part("a", PASS), "b": part("b", verdict=verdict, sections=())}, [], TODAY)
    assert str(found.verdict.reasons[0].message) == "b: Nothing was checked"


def test_a_waiver_that_has_ended_meanwhile() -> None:
    """A waiver that was in force when a part ran and is not any more does not count."""
    waiver = Waiver(item="a.0", reason="r", owner="o", expires=date(2026, 3, 2))
    given = part("a", FAIL, waivers=(waiver,))
    waived = given.items[0].replace(waiver=waiver)
    given = given.replace(sections=(SectionResult(id="a", title="a", items=(waived,)),))
    assert merge_reports({"a": given}, [], date(2026, 3, 1)).verdict.decision == Decision.GO_WITH_RESERVATIONS
    assert merge_reports({"a": given}, [], date(2026, 3, 2)).verdict.decision == Decision.NO_GO
