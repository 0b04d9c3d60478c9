"""The report that a run is compared with: a file, or that of the base branch's last run. It never changes a verdict."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from gate.commands._base_branch import BY_API
from gate.core.messages import Message, msg
from gate.publish.session import emit_notices
from gate.publish.settings import Notice, Settings

if TYPE_CHECKING:
    from gate.checklist.models import Checklist
    from gate.model import Report
    from gate.report.diff import CommitRange


class Baseline(Struct, frozen=True):
    """The earlier report, and what lies between it and now; or why there is none. Nothing where none is wished."""

    report: Report | None = None
    between: CommitRange | None = None
    note: Message | None = None

    def apply_to(self, report: Report) -> Report:
        """The report with what has changed since the earlier one, or with the note that nothing was compared."""
        from gate.report.diff import diff_reports

        if self.note:
            return report.replace(notes=(*report.notes, self.note))
        if self.report is None or self.between is None:
            return report
        return report.replace(changes=diff_reports(report, self.report, self.between))


def load_baseline(
    wish: str | None, checklist: Checklist, ids: Collection[str], wishes: Settings, commit: str
) -> Baseline:
    """What comes of `--baseline`, with the commits up to the one that is judged. Raises NotAReport for no report.

    GitHub is asked now for all of it: after the last item nothing keeps the reports from being written.
    """
    if not wish:
        return Baseline()
    from gate.publish.baseline import BaselineQuery, BaselineUnavailableError, find_baseline
    from gate.report.serialization import read_report

    try:
        wanted = BaselineQuery(checklist.service, wishes.context, ids)
        report = find_baseline(wishes, wanted) if wish == BY_API else read_report(Path(wish))
    except BaselineUnavailableError as error:
        emit_notices([Notice(error.message)])
        return Baseline(note=error.message)
    return Baseline(report, _between(report.source.commit, commit, wishes))


def _between(old: str, new: str, wishes: Settings) -> CommitRange:
    """The commits between the two: as git knows them, else as GitHub does, where it is to be asked."""
    from gate.publish.baseline import commits
    from gate.publish.github import GitHubError
    from gate.report.diff import CommitRange, git_log_between

    between = git_log_between(Path.cwd(), old, new)
    if between.unknown is None or not (old and new and wishes.token and wishes.repository):
        return between
    try:
        return CommitRange(commits(wishes, old, new))
    except GitHubError as error:
        return CommitRange(unknown=msg("{why}; {also}", why=between.unknown, also=error.message))
