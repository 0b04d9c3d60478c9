"""The report as Markdown, with the sections of the gate that people ran by hand."""

from __future__ import annotations

from functools import partial
from itertools import count

from gate.language import language
from gate.model import Report, Severity
from gate.render import _view
from gate.render._templates import markdown_page


def render(report: Report, code: str) -> str:
    """The Markdown report, in GitHub's dialect."""
    return markdown_page(
        "report.md.j2",
        report,
        language(code),
        number=partial(next, count(1)),
        actions=_view.actions(report),
        unverified=_view.unverified(report),
        drills=_view.drills(report),
        traces=_view.traces(report),
        blocking=_view.steps(report, Severity.BLOCKING),
        optional=_view.steps(report, Severity.ADVISORY),
        advised=_view.recommendations(report),
        proofs=_view.ordered_evidence(report),
    )
