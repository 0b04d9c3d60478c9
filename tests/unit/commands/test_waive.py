"""`prodgate waive` writes waivers for what failed, within the policy, and removes those that are stale."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from gate.__main__ import main
from gate.checklist.load import load

ITEMS = """version: 1
service: shop
{policy}
sections:
  - id: files
    title: Files
    items:
      - {{id: there, title: There, file: {{path: there.txt, exists: true}}}}
      - {{id: gone, title: Gone, file: {{path: gone.txt, exists: true}}}}
      - {{id: lost, title: "Lost: ${{NOBODY:-it}}", file: {{path: lost.txt, exists: true}}}}
      - {{id: after, title: After, needs: [gone], file: {{path: there.txt, exists: true}}}}
"""
WAIVE = ("waive", "--failing", "--days", "30", "--owner", "backend-team")
BOTH = ("--file", "prodgate.yml", "--file", "prodgate.waivers.yml")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a checklist of which two items fail and one is skipped, after a run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.txt").write_text("here\n")
    checklist(tmp_path)
    assert main(["run"]) == 1
    return tmp_path


def checklist(folder: Path, policy: str = "") -> None:
    """Write the checklist."""
    (folder / "prodgate.yml").write_text(ITEMS.format(policy=policy))


def waived() -> dict[str, date]:
    """Return the waivers of the merged checklist: the end of each item's."""
    return {waiver.item: waiver.expires for waiver in load(BOTH[1::2]).checklist.waivers}


def in_days(days: int) -> date:
    """Return the day that is so many days ahead."""
    return date.today() + timedelta(days=days)


def test_what_failed_is_waived_in_a_file_that_merges(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each item that failed gets owner, end and its reason; a skip does not. The next run has reservations for them."""
    assert main([*WAIVE]) == 0
    assert waived() == {"gone": in_days(30), "lost": in_days(30)}
    waiver = load(BOTH[1::2]).checklist.waivers[0]
    assert (waiver.owner, waiver.reason) == ("backend-team", "gone.txt does not exist")
    assert "skipped, which no waiver covers: 1 item" in capsys.readouterr().out
    assert main(["run", *BOTH]) == 1
    items = json.loads((shop / "prodgate-out" / "report.json").read_text())["sections"][0]["items"]
    assert [item["id"] for item in items if item.get("waiver")] == ["gone", "lost"]


def test_a_second_time_changes_nothing(shop: Path) -> None:
    """A waiver in force stays as it is, also after it was edited; one that expired is written anew."""
    assert main([*WAIVE]) == 0
    file = shop / "prodgate.waivers.yml"
    edited = file.read_text().replace('"backend-team"', '"me"').replace(in_days(30).isoformat(), "2020-01-01", 1)
    file.write_text(edited)
    assert main([*WAIVE, *BOTH]) == 0
    waivers = {waiver.item: waiver for waiver in load(BOTH[1::2]).checklist.waivers}
    assert {name: (waiver.owner, waiver.expires) for name, waiver in waivers.items()} == {
        "gone": ("backend-team", in_days(30)),
        "lost": ("me", in_days(30)),
    }


def test_the_policy_shortens_the_days(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No waiver reaches further than `max_days`."""
    checklist(shop, "waiver_policy: {max_days: 14}")
    assert main([*WAIVE]) == 0
    assert set(waived().values()) == {in_days(14)}
    assert "30 days are shortened to 14" in capsys.readouterr().out


def test_the_policy_limits_the_number(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """If more waivers are needed than allowed, nothing is written."""
    checklist(shop, "waiver_policy: {max: 1}")
    assert main([*WAIVE]) == 2
    assert not (shop / "prodgate.waivers.yml").exists()
    assert "2 waivers are too many, waiver_policy allows 1" in capsys.readouterr().err


def test_stale_waivers_are_removed(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One whose item passed, one that expired and one whose item is gone go; the others stay."""
    assert main([*WAIVE]) == 0
    entry = '  - {item: %s, reason: "a $$b", owner: me, expires: %s}\n'
    with (shop / "prodgate.waivers.yml").open("a") as file:
        file.write(entry % ("there", "2099-01-01") + entry % ("nobody", "2099-01-01") + entry % ("after", "2020-01-01"))
    assert main(["waive", "--prune"]) == 0
    assert waived() == {"gone": in_days(30), "lost": in_days(30)}
    out = capsys.readouterr().out
    for line in (
        "removed: there: its item passed in the last report",
        "removed: nobody: the checklist has no such item",
        "removed: after: it ended on 2020-01-01",
    ):
        assert line in out
    before = (shop / "prodgate.waivers.yml").read_text()
    assert main(["waive", "--prune"]) == 0
    assert (shop / "prodgate.waivers.yml").read_text() == before


def test_waivers_of_the_checklist_are_named(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The checklist is the user's: a stale waiver in it is named, and one in force is not written twice."""
    entry = "{{item: {}, reason: a, owner: me, expires: {}}}"
    waivers = ", ".join([entry.format("gone", "2099-01-01"), entry.format("there", "2099-01-01")])
    checklist(shop, f"waivers: [{waivers}]")
    assert main([*WAIVE]) == 0
    assert set(waived()) == {"gone", "there", "lost"}
    assert main(["waive", "--prune"]) == 0
    assert "stale in the checklist, remove it there: there: its item passed" in capsys.readouterr().out


def test_nothing_to_waive(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After a run in which nothing failed no file is written."""
    for name in ("gone.txt", "lost.txt"):
        (shop / name).write_text("here\n")
    assert main(["run"]) == 0
    assert main([*WAIVE]) == 0
    assert not (shop / "prodgate.waivers.yml").exists()
    assert "Nothing to waive" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["waive", "--failing", "--owner", "a"], "give --days N and --owner NAME"),
        (["waive", "--failing", "--days", "0", "--owner", "a"], "not a valid number of days"),
        (["waive"], "one of the arguments --failing --prune is required"),
        ([*WAIVE, "--report", "none.json"], "none.json: no such file"),
        ([*WAIVE, "--waivers", "broken.yml"], "broken.yml:1:1: unknown key 'waiver'"),
        ([*WAIVE, "--waivers", "no/such/folder.yml"], "no/such/folder.yml: cannot be written"),
    ],
)
def test_usage_errors(words: list[str], expected: str, shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A call that can't be carried out names what is missing, and exits with 2."""
    (shop / "broken.yml").write_text("waiver: []\n")
    try:
        code = main(words)
    except SystemExit as error:
        code = int(str(error.code))
    assert code == 2
    assert expected in capsys.readouterr().err
