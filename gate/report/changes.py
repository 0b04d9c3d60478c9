"""What has changed since an earlier report: pure, but for the commits, which git knows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gate.model import Changes, Commit, DrillTimes, ItemResult, Report, Status
from gate.report.source import git

_BAD = (Status.FAIL, Status.ERROR)
_COMMITS = 50


def compare(report: Report, baseline: Report, commits: tuple[Commit, ...] = ()) -> Changes:
    """The changes from a baseline to a report, items in the order of the report."""
    now, before = {item.id: item for item in report.items}, {item.id: item for item in baseline.items}
    both = [(item, before[item.id]) for item in report.items if item.id in before]
    return Changes(
        baseline=baseline.source.commit,
        baseline_decision=baseline.verdict.decision,
        newly_failing=_ids(item for item, old in both if item.status in _BAD and old.status not in _BAD),
        newly_skipped=_ids(item for item, old in both if _skipped(item) and not _skipped(old)),
        fixed=_ids(item for item, old in both if _passed(item) and not _passed(old)),
        added=_ids(item for item in report.items if item.id not in before),
        removed=_ids(item for item in baseline.items if item.id not in now),
        rate=report.counts.rate,
        rate_before=baseline.counts.rate,
        drills=tuple(times for item, old in both if (times := _times(item, old))),
        commits=commits,
    )


def _ids(items: Iterable[ItemResult]) -> tuple[str, ...]:
    return tuple(item.id for item in items)


def _skipped(item: ItemResult) -> bool:
    return item.status is Status.SKIP


def _passed(item: ItemResult) -> bool:
    return item.status is Status.PASS


def _times(item: ItemResult, old: ItemResult) -> DrillTimes | None:
    now, before = item.outcome.timeline, old.outcome.timeline
    if now is None or before is None:
        return None
    return DrillTimes(
        item=item.id,
        detect=now.detect,
        detect_before=before.detect,
        recover=now.recover,
        recover_before=before.recover,
    )


def commits_between(root: Path, old: str, new: str) -> tuple[Commit, ...]:
    """The commits after `old` up to `new`, the latest first, at most 50; none where git does not know them."""
    if not old or not new or old == new:
        return ()
    listed = git(root, "log", f"--max-count={_COMMITS}", "--no-merges", "--format=%H%x09%s", f"{old}..{new}", "--")
    pairs = [line.partition("\t") for line in listed.splitlines()]
    return tuple(Commit(id=commit, subject=subject) for commit, _, subject in pairs)
