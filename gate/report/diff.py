"""What has changed since an earlier report: pure, but for the commits, which git knows."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from gate.core.messages import Message, msg
from gate.model import Commit, DrillTimesDiff, ItemResult, Report, ReportDiff, Status
from gate.report.provenance import run_git

_BAD = (Status.FAIL, Status.ERROR)
COMMITS = 50
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class CommitRange(Struct, frozen=True):
    """The commits between two, the latest first; or why they are not known."""

    commits: tuple[Commit, ...] = ()
    unknown: Message | None = None


_NOTHING = CommitRange()


def diff_reports(report: Report, baseline: Report, between: CommitRange = _NOTHING) -> ReportDiff:
    """The changes from a baseline to a report, items in the order of the report."""
    now, before = {item.id: item for item in report.items}, {item.id: item for item in baseline.items}
    both = [(item, before[item.id]) for item in report.items if item.id in before]
    return ReportDiff(
        baseline=baseline.source.commit,
        baseline_decision=baseline.verdict.decision,
        newly_failing=_ids(item for item, old in both if _fails_newly(item, old)),
        newly_skipped=_ids(item for item, old in both if _skipped(item) and not _skipped(old)),
        fixed=_ids(item for item, old in both if _passed(item) and not _passed(old)),
        added=_ids(item for item in report.items if item.id not in before),
        removed=_ids(item for item in baseline.items if item.id not in now and item.id not in report.unselected_items),
        rate=report.counts.rate,
        rate_before=baseline.counts.rate,
        drills=tuple(times for item, old in both if (times := _times(item, old))),
        commits=between.commits,
        commits_unknown=between.unknown,
    )


def _ids(items: Iterable[ItemResult]) -> tuple[str, ...]:
    return tuple(item.id for item in items)


def _fails_newly(item: ItemResult, old: ItemResult) -> bool:
    """Whether an item fails that did not, or loses the waiver under which it did. A waiver hides no failure."""
    if item.status is Status.WAIVED:
        return old.status in (Status.PASS, Status.SKIP)
    return item.status in _BAD and old.status not in _BAD


def _skipped(item: ItemResult) -> bool:
    return item.status is Status.SKIP


def _passed(item: ItemResult) -> bool:
    return item.status is Status.PASS


def _times(item: ItemResult, old: ItemResult) -> DrillTimesDiff | None:
    now, before = item.outcome.timeline, old.outcome.timeline
    if now is None or before is None:
        return None
    return DrillTimesDiff(
        item=item.id,
        detect=now.detected_after,
        detect_before=before.detected_after,
        recover=now.recovered_after,
        recover_before=before.recovered_after,
    )


def git_log_between(root: Path, old: str, new: str) -> CommitRange:
    """The commits after `old` up to `new`, without merges, at most 50. Nothing but a whole id is given to git."""
    if old == new:
        return CommitRange()
    if not (_COMMIT.fullmatch(old) and _COMMIT.fullmatch(new)):
        return CommitRange(unknown=msg("one of the two reports does not say of which commit it is"))
    if why := _unknown(root, old, new):
        return CommitRange(unknown=why)
    listed = run_git(root, "log", f"--max-count={COMMITS}", "--no-merges", "--format=%H%x09%s", f"{old}..{new}", "--")
    pairs = [line.partition("\t") for line in listed.splitlines()]
    return CommitRange(tuple(Commit(id=commit, subject=subject) for commit, _, subject in pairs))


def _unknown(root: Path, old: str, new: str) -> Message | None:
    """Why git can't say what lies between two commits."""
    if not shutil.which("git"):
        return msg("there is no git here")
    if not (shallow := run_git(root, "rev-parse", "--is-shallow-repository")):
        return msg("this is no checkout of a repository")
    missing = [commit for commit in (old, new) if not run_git(root, "rev-parse", "--verify", f"{commit}^{{commit}}")]
    if shallow == "true" and (missing or not run_git(root, "merge-base", old, new)):
        return msg("the checkout has only a part of the history: give `actions/checkout` the input `fetch-depth: 0`")
    if missing:
        return msg("the commit {commit} is not in this repository", commit=missing[0])
    return None
