"""Load the report to compare with: a file, or the report of the base branch's last run."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from gate.commands._base_branch import FETCH_FROM_BASE
from gate.core.messages import msg
from gate.publish.session import emit_notices
from gate.publish.settings import Notice, Settings

if TYPE_CHECKING:
    from gate.checklist.models import Checklist
    from gate.report.baseline import Baseline
    from gate.report.diff import CommitRange


def load_baseline(
    source: str | None, checklist: Checklist, ids: Collection[str], settings: Settings, commit: str
) -> Baseline:
    """Load the baseline that `--baseline` names, with the commits from it up to `commit`.

    A baseline that can't be fetched becomes a note. Raise InvalidReportError if a file is not a report.
    """
    # Everything is fetched before the run: after the last item, nothing may delay the reports.
    from gate.report.baseline import Baseline

    if not source:
        return Baseline()
    from gate.publish.baseline import BaselineQuery, BaselineUnavailableError, find_baseline
    from gate.report.serialization import read_report

    try:
        query = BaselineQuery(checklist.service, settings.context, ids)
        report = find_baseline(settings, query) if source == FETCH_FROM_BASE else read_report(Path(source))
    except BaselineUnavailableError as error:
        emit_notices([Notice(error.message)])
        return Baseline(note=error.message)
    return Baseline(report, _commits_between(report.source.commit, commit, settings))


def _commits_between(old: str, new: str, settings: Settings) -> CommitRange:
    """Return the commits from git, or from GitHub if git does not have them and there is a token."""
    from gate.publish.baseline import list_commits
    from gate.publish.github import GitHubError
    from gate.report.diff import CommitRange, git_log_between

    local = git_log_between(Path.cwd(), old, new)
    if local.unknown is None or not (old and new and settings.token and settings.repository):
        return local
    try:
        return CommitRange(list_commits(settings, old, new))
    except GitHubError as error:
        return CommitRange(unknown=msg("{why}; {also}", why=local.unknown, also=error.message))
