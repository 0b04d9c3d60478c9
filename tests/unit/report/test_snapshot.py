"""What a comment remembers of a report, and what a report looks like without secrets."""

from __future__ import annotations

import base64
import zlib

import pytest

from gate.core.messages import msg
from gate.model import ItemResult, Report, Severity, Status, TargetResult
from gate.redaction.secrets import Redactor
from gate.redaction.structs import redact_struct
from gate.render import FORMATS
from gate.report.diff import diff_items
from gate.report.serialization import to_json
from gate.report.snapshot import Snapshot, decode, encode, take_snapshot
from tests.support import reports


def report(*items: ItemResult) -> Report:
    """Return a report of these items."""
    return reports.report([reports.section("s", "S", *items)])


def test_what_is_remembered_is_read_back() -> None:
    """Packed and unpacked, a memory is the same."""
    memory = take_snapshot(reports.reserved())
    assert decode(encode(memory, 10_000)) == memory


def test_a_packed_memory_can_stand_in_a_hidden_line() -> None:
    """It has no character that could end an HTML comment."""
    text = encode(take_snapshot(reports.hostile()), 10_000)
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")


def test_a_large_report_is_remembered_in_part() -> None:
    """Where all items are too many, those that did not pass are remembered; where they are too many, nothing is."""
    memory = take_snapshot(reports.many(2000))
    part = decode(encode(memory, 3000))
    assert part is not None
    assert part.complete is False
    assert len(part.items) == 200
    assert decode(encode(memory, 200)) == Snapshot({}, complete=False)
    changed = diff_items(reports.many(10), part)
    assert (changed.removed, changed.added) == ((), ())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "AAAA",
        "é",
        base64.b64encode(zlib.compress(b"[]")).decode(),
        base64.b64encode(zlib.compress(b'{"items": [["a", "maybe", 0, null]], "all": true}')).decode(),
        base64.b64encode(zlib.compress(b'{"items": [[]], "all": true}')).decode(),
        base64.b64encode(zlib.compress(b"[" * 100_000)).decode(),
        base64.b64encode(zlib.compress(b" " * 2**26)).decode(),
    ],
)
def test_a_broken_memory_is_none(text: str) -> None:
    """Whatever stands there, it is a memory or none; what would unpack without end is none."""
    assert decode(text) is None


def test_weakened() -> None:
    """No longer blocking, longer to wait, newly waived: asked for less than before."""
    before = [reports.item(name, name) for name in ("advisory", "longer", "waived", "same")]
    after = [
        reports.item("advisory", "advisory", severity=Severity.ADVISORY),
        reports.item("longer", "longer").replace(within=60.0),
        reports.item("waived", "waived", Status.FAIL, waiver=reports.WAIVER),
        reports.item("same", "same"),
    ]
    found = diff_items(report(*after), take_snapshot(report(*before)))
    assert [item.id for item in found.weakened] == ["advisory", "longer", "waived"]


def test_the_comment_removes_no_item_that_was_not_selected() -> None:
    """An item that `--only` left out of this run is not reported as removed; one that left the checklist is."""
    before = take_snapshot(report(*(reports.item(name, name) for name in ("run", "unselected", "gone"))))
    partial = report(reports.item("run", "run")).replace(unselected_items=("unselected",))
    assert diff_items(partial, before).removed == ("gone",)


def test_a_waiver_is_no_failure_and_no_fix_in_the_comment() -> None:
    """A comment lists a newly waived item as weakened only, and one that passes without its waiver not at all."""
    waived = reports.item("a", "a", Status.FAIL, waiver=reports.WAIVER)
    passed = reports.item("a", "a")
    covered = diff_items(report(waived), take_snapshot(report(passed)))
    assert [item.id for item in covered.weakened] == ["a"]
    assert covered.failing == ()
    assert not diff_items(report(passed), take_snapshot(report(waived)))


def test_nothing_changed() -> None:
    """The same report twice: no change."""
    assert not diff_items(reports.all_down(), take_snapshot(reports.all_down()))


def test_masked_everywhere() -> None:
    """A secret is hidden in titles, messages, evidence, addresses and logs; words of ours stay, also where equal."""
    item = reports.item(
        "a", "has hunter22", Status.FAIL, msg("{text}", text="hunter22"), evidence=reports.proof("hunter22")
    )
    target = TargetResult(name="api", address="http://me:pw12@x/", ready=True, message=msg("up"), log="hunter22")
    given = report(item).replace(targets=(target,), notes=(msg("{x}", x="hunter22"),))
    found = redact_struct(given, Redactor(["hunter22", "complete", "fail"]))
    text = to_json(found)
    assert "hunter22" not in text
    assert "pw12" not in text
    assert (found.ended, found.items[0].status) == ("complete", Status.FAIL)


def test_masking_nothing_changes_nothing() -> None:
    """Without a secret in it a report stays as it is."""
    assert redact_struct(reports.all_down(), Redactor(["not-there"])) == reports.all_down()


@pytest.mark.parametrize("name", ["md", "summary", "html", "comment", "terminal"])
def test_notes_are_shown(name: str) -> None:
    """What people should know stands in every format for people."""
    given = reports.go().replace(notes=(msg("Mind the gap"),))
    assert "Mind the gap" in FORMATS.import_module(name).render(given, "en")
