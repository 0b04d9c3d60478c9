"""What has changed since an earlier report."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gate.commands.history import format_trend
from gate.core.messages import msg
from gate.model import (
    Decision,
    ItemResult,
    Outcome,
    Provenance,
    Report,
    SectionResult,
    Severity,
    Status,
    SweepResult,
    Timeline,
    Verdict,
)
from gate.render import FORMATS
from gate.render.markdown_report import render
from gate.report.diff import CommitRange, diff_reports, git_log_between

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def item(name: str, status: Status, timeline: Timeline | None = None) -> ItemResult:
    """Return an item with this status and timeline."""
    outcome = Outcome(status=status, message=msg("seen"), timeline=timeline)
    return ItemResult(id=name, title=name, severity=Severity.BLOCKING, check="file", outcome=outcome)


def report(*items: ItemResult, commit: str = "") -> Report:
    """Return a report of these items."""
    section = SectionResult(id="s", title="S", items=items)
    verdict = Verdict(decision=Decision.GO)
    return Report(
        gate="1", service="shop", environment="e", started=NOW, finished=NOW, sections=(section,), verdict=verdict,
        source=Provenance(commit=commit),
    )  # fmt: skip


PASS, FAIL, ERROR, SKIP, WAIVED = Status.PASS, Status.FAIL, Status.ERROR, Status.SKIP, Status.WAIVED


def test_compare() -> None:
    """Every way in which an item can change has its list, in the order of the report."""
    before = report(
        item("a", PASS), item("b", FAIL), item("c", PASS), item("d", PASS), item("e", FAIL), item("f", PASS)
    )
    after = report(
        item("a", ERROR), item("b", PASS), item("c", SKIP), item("e", ERROR), item("f", PASS), item("g", PASS)
    )
    found = diff_reports(after, before)
    assert (found.newly_failing, found.newly_skipped, found.fixed) == (("a",), ("c",), ("b",))
    assert (found.added, found.removed) == (("g",), ("d",))
    assert (found.rate, found.rate_before) == (50, 67)


@pytest.mark.parametrize(
    ("old", "new", "newly"),
    [
        (PASS, WAIVED, True),
        (SKIP, WAIVED, True),
        (FAIL, WAIVED, False),
        (WAIVED, WAIVED, False),
        (WAIVED, FAIL, True),
        (SKIP, FAIL, True),
        (ERROR, FAIL, False),
    ],
)
def test_newly_failing(old: Status, new: Status, newly: bool) -> None:
    """An item that begins to fail does so under a waiver, too; and one that loses its waiver fails anew."""
    assert diff_reports(report(item("a", new)), report(item("a", old))).newly_failing == (("a",) if newly else ())


def test_items_that_are_not_chosen_are_not_removed() -> None:
    """An item that the checklist still has, and that this run was not to ask, was not removed."""
    before = report(item("a", PASS), item("b", PASS), item("c", PASS))
    after = report(item("b", PASS)).replace(unselected_items=("a",))
    assert diff_reports(after, before).removed == ("c",)


def test_drill_times() -> None:
    """A drill that both have is compared by its times."""
    before = report(item("a", PASS, Timeline(detected_after=0.9, recovered_after=3.0)))
    after = report(item("a", PASS, Timeline(detected_after=2.1, recovered_after=2.0)))
    (times,) = diff_reports(after, before).drills
    assert (times.detect, times.detect_before, times.recover, times.recover_before) == (2.1, 0.9, 2.0, 3.0)
    changed = after.replace(changes=diff_reports(after, before))
    assert "time to detect 2.1 s, was 0.9 s" in render(changed, "en")


@pytest.mark.parametrize("name", ["md", "html", "summary"])
@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (
            SweepResult(holds="1 s", breaks="5 s"),
            SweepResult(holds="50 ms", breaks="0.2 s"),
            "a: breaks at 0.2 s, holds at 50 ms; before: breaks at 5 s, holds at 1 s",
        ),
        (
            SweepResult(breaks="50 ms"),
            SweepResult(holds="5 s"),
            "a: holds at every step, up to 5 s; before: breaks at 50 ms, the first step",
        ),
        (None, SweepResult(holds="5 s"), None),
        (SweepResult(holds="5 s"), None, None),
    ],
    ids=["earlier", "no longer", "new", "unfinished"],
)
def test_sweep_beside_that_of_the_previous_run(
    name: str, before: SweepResult | None, now: SweepResult | None, expected: str | None
) -> None:
    """The step at which a service breaks now is shown beside the previous one, if both sweeps came to an end."""
    old = report(item("a", PASS, Timeline(recovered_after=1.0, sweep=before)))
    new = report(item("a", PASS, Timeline(recovered_after=1.0, sweep=now)))
    changes = diff_reports(new, old)
    (times,) = changes.drills
    assert (times.sweep, times.sweep_before) == (now, before)
    text = FORMATS.import_module(name).render(new.replace(changes=changes), "en")
    assert "time to recover 1.0 s, was 1.0 s" in text
    assert ("; before: " in text) == (expected is not None)
    assert expected is None or expected in text


def test_commits(tmp_path: Path) -> None:
    """The commits between the two are those that git knows, the latest first."""
    ids = repository(tmp_path, "one", "two", "three")
    between = git_log_between(tmp_path, ids[0], ids[2])
    assert ([commit.subject for commit in between.commits], between.unknown) == (["three", "two"], None)
    assert git_log_between(tmp_path, ids[2], ids[2]) == CommitRange()


def repository(folder: Path, *subjects: str) -> list[str]:
    """Create a repository with these commits and return their ids."""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-C", str(folder)]
    subprocess.run([*git, "init", "-q"], check=True)
    for subject in subjects:
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", subject], check=True)
    listed = subprocess.run([*git, "log", "--reverse", "--format=%H"], check=True, capture_output=True, text=True)
    return listed.stdout.split()


def why(folder: Path, old: str, new: str) -> str:
    """Why the commits between two are not known, as the report says it."""
    changes = diff_reports(report(commit=new), report(commit=old), git_log_between(folder, old, new))
    text = render(report().replace(changes=changes), "en")
    (found,) = [line for line in text.splitlines() if "could not be found" in line]
    return found


def test_commits_that_are_not_in_the_checkout(tmp_path: Path) -> None:
    """A checkout of the last commit alone, as `actions/checkout` makes it, is told apart from a foreign commit."""
    (tmp_path / "whole").mkdir()
    ids = repository(tmp_path / "whole", "one", "two", "three")
    clone = ["git", "clone", "-q", "--depth=1", f"file://{tmp_path}/whole", str(tmp_path / "shallow")]
    subprocess.run(clone, check=True)
    assert "give `actions/checkout` the input `fetch-depth: 0`" in why(tmp_path / "shallow", ids[0], ids[2])
    assert f"the commit {'0' * 40} is not in this repository" in why(tmp_path / "whole", "0" * 40, ids[2])
    assert "does not name its commit" in why(tmp_path / "whole", "", ids[2])
    assert "not a git checkout" in why(tmp_path, ids[0], ids[2])


def test_no_word_of_a_report_reaches_git(tmp_path: Path) -> None:
    """A baseline's commit that is an option of git's is no commit."""
    (new,) = repository(tmp_path, "one")
    assert "does not name its commit" in why(tmp_path, f"--output={tmp_path}/written", new)
    assert not list(tmp_path.glob("written*"))


def test_trend() -> None:
    """The history shows every run, the course of the rate, and that of each drill's times."""
    runs = [
        report(item("a", PASS, Timeline(detected_after=0.9)), commit="a" * 40),
        report(item("a", FAIL), commit="b" * 40),
    ]
    assert format_trend(runs) == [
        "started              commit    verdict                rate  passed/total",
        "2026-03-01 12:00:00  aaaaaaaa  GO                     100%  1/1",
        "2026-03-01 12:00:00  bbbbbbbb  GO                       0%  0/1",
        "",
        "rate       █ ",
        "detect     █   a: 0.9 s, 0.9 to 0.9 s",
    ]
