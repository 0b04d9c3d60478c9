"""Compare a report with an earlier one, and list the commits between the two.

`diff_items` is the only comparison of items. A snapshot of the earlier report is enough for it, so it serves the
comment on a pull request (a snapshot from the comment itself) and the report (a snapshot of the baseline) alike.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Container, Iterable
from pathlib import Path

from msgspec import Struct

from gate.core.messages import Message, msg
from gate.model import Commit, DrillTimesDiff, ItemResult, Report, ReportDiff, Severity, Status
from gate.report.provenance import run_git
from gate.report.snapshot import ItemSnapshot, Snapshot, take_snapshot

MAX_COMMITS = 50
_FAILED = (Status.FAIL, Status.ERROR)
_COMMIT_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class ItemDiff(Struct, frozen=True):
    """The items that changed since a snapshot, in the order of the report; each of `removed` by its id.

    A waiver hides no change: an item that a waiver began to cover is in `waived` if it did not fail before, and an item
    that passes without its waiver is in `unwaived`. `weakened` items became advisory or waived, or may take longer.
    """

    failing: tuple[ItemResult, ...] = ()
    fixed: tuple[ItemResult, ...] = ()
    skipped: tuple[ItemResult, ...] = ()
    weakened: tuple[ItemResult, ...] = ()
    added: tuple[ItemResult, ...] = ()
    removed: tuple[str, ...] = ()
    waived: tuple[ItemResult, ...] = ()
    unwaived: tuple[ItemResult, ...] = ()

    def __bool__(self) -> bool:
        """Return whether anything changed that a reader of the comment is shown."""
        return any((self.failing, self.fixed, self.skipped, self.weakened, self.added, self.removed))


def diff_items(report: Report, before: Snapshot) -> ItemDiff:
    """Return the changes from a snapshot to a report.

    An incomplete snapshot does not hold the items that passed: an item that it lacks counts as passed if it fails now,
    and nothing is reported as added or removed. Items that the run did not select are not removed.
    """
    pairs = [(item, before.items[item.id]) for item in report.items if item.id in before.items]
    missing = [item for item in report.items if item.id not in before.items]
    failing = {item.id for item, old in pairs if item.status in _FAILED and old.status not in _FAILED}
    if not before.complete:
        failing |= {item.id for item in missing if item.status in _FAILED}
    present = {item.id for item in report.items}.union(report.unselected_items)
    passing = [(item, old) for item, old in pairs if item.status is Status.PASS and old.status is not Status.PASS]
    return ItemDiff(
        failing=tuple(item for item in report.items if item.id in failing),
        fixed=tuple(item for item, old in passing if old.status is not Status.WAIVED),
        skipped=tuple(item for item, old in pairs if item.status is Status.SKIP and old.status is not Status.SKIP),
        weakened=tuple(item for item, old in pairs if _is_weaker(item, old)),
        added=tuple(missing) if before.complete else (),
        removed=tuple(item_id for item_id in before.items if item_id not in present) if before.complete else (),
        waived=tuple(
            item for item, old in pairs if item.status is Status.WAIVED and old.status in (Status.PASS, Status.SKIP)
        ),
        unwaived=tuple(item for item, old in passing if old.status is Status.WAIVED),
    )


def _is_weaker(item: ItemResult, old: ItemSnapshot) -> bool:
    """Return whether an item became advisory, may take longer, or is newly under a waiver."""
    takes_longer = item.within is not None and (old.within is None or item.within > old.within)
    became_advisory = item.severity is Severity.ADVISORY and old.severity is Severity.BLOCKING
    became_waived = item.status is Status.WAIVED and old.status is not Status.WAIVED
    return became_advisory or takes_longer or became_waived


class CommitRange(Struct, frozen=True):
    """The commits between two commits, newest first; `unknown` explains why they could not be listed."""

    commits: tuple[Commit, ...] = ()
    unknown: Message | None = None


_NO_COMMITS = CommitRange()


def diff_reports(report: Report, baseline: Report, commit_range: CommitRange = _NO_COMMITS) -> ReportDiff:
    """Return the changes from a baseline to a report, items in the order of the report."""
    diff = diff_items(report, take_snapshot(baseline))
    return ReportDiff(
        baseline=baseline.source.commit,
        baseline_decision=baseline.verdict.decision,
        newly_failing=_ids_in_order(report, _ids(diff.failing + diff.waived)),
        newly_skipped=_ids(diff.skipped),
        fixed=_ids_in_order(report, _ids(diff.fixed + diff.unwaived)),
        added=_ids(diff.added),
        removed=diff.removed,
        rate=report.counts.rate,
        rate_before=baseline.counts.rate,
        drills=_diff_drill_times(report, baseline),
        commits=commit_range.commits,
        commits_unknown=commit_range.unknown,
    )


def _ids(items: Iterable[ItemResult]) -> tuple[str, ...]:
    return tuple(item.id for item in items)


def _ids_in_order(report: Report, ids: Container[str]) -> tuple[str, ...]:
    return tuple(item.id for item in report.items if item.id in ids)


def _diff_drill_times(report: Report, baseline: Report) -> tuple[DrillTimesDiff, ...]:
    """Return the times of each drill that has a timeline in both reports."""
    old_timelines = {item.id: item.outcome.timeline for item in baseline.items}
    return tuple(
        DrillTimesDiff(
            item=item.id,
            detect=timeline.detected_after,
            detect_before=old_timeline.detected_after,
            recover=timeline.recovered_after,
            recover_before=old_timeline.recovered_after,
            sweep=timeline.sweep,
            sweep_before=old_timeline.sweep,
        )
        for item in report.items
        if (timeline := item.outcome.timeline) and (old_timeline := old_timelines.get(item.id))
    )


def git_log_between(root: Path, old: str, new: str) -> CommitRange:
    """Return the commits after `old` up to `new`, without merges, newest first, at most MAX_COMMITS.

    `old` and `new` must be full commit ids: a report is untrusted, and git would take anything else as an option or a
    revision expression.
    """
    if old == new:
        return CommitRange()
    if not (_COMMIT_ID.fullmatch(old) and _COMMIT_ID.fullmatch(new)):
        return CommitRange(unknown=msg("one of the two reports does not name its commit"))
    if why := _explain_missing_history(root, old, new):
        return CommitRange(unknown=why)
    log = run_git(root, "log", f"--max-count={MAX_COMMITS}", "--no-merges", "--format=%H%x09%s", f"{old}..{new}", "--")
    lines = [line.partition("\t") for line in log.splitlines()]
    return CommitRange(tuple(Commit(id=commit, subject=subject) for commit, _, subject in lines))


def _explain_missing_history(root: Path, old: str, new: str) -> Message | None:
    """Return why git cannot list the commits between two commits; None if it can."""
    if not shutil.which("git"):
        return msg("git is not installed")
    if not (shallow := run_git(root, "rev-parse", "--is-shallow-repository")):
        return msg("this is not a git checkout")
    missing = [commit for commit in (old, new) if not run_git(root, "rev-parse", "--verify", f"{commit}^{{commit}}")]
    if shallow == "true" and (missing or not run_git(root, "merge-base", old, new)):
        return msg("the checkout has only a part of the history: give `actions/checkout` the input `fetch-depth: 0`")
    if missing:
        return msg("the commit {commit} is not in this repository", commit=missing[0])
    return None
