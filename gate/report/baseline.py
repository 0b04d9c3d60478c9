"""Apply an earlier report to a run's: what changed since then. A baseline never changes a verdict."""

from __future__ import annotations

from msgspec import Struct

from gate.core.messages import Message
from gate.model import Report
from gate.report.diff import CommitRange, diff_reports


class Baseline(Struct, frozen=True):
    """An earlier report and the commits since then, or the note why there is none. Empty if none was requested."""

    report: Report | None = None
    commits: CommitRange | None = None
    note: Message | None = None

    def apply_to(self, report: Report) -> Report:
        """Return the report with its changes since the baseline, or with the note that nothing was compared."""
        if self.note:
            return report.replace(notes=(*report.notes, self.note))
        if self.report is None or self.commits is None:
            return report
        return report.replace(changes=diff_reports(report, self.report, self.commits))
