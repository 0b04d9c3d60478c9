"""Render `report.md`, the full report in Markdown."""

from __future__ import annotations

from functools import partial
from itertools import count

from gate.i18n.language import language
from gate.model import Report, Severity
from gate.render import presenter
from gate.render._jinja import markdown_page


def render(report: Report, code: str) -> str:
    """Return the report in GitHub Flavored Markdown."""
    return markdown_page(
        "report.md.j2",
        report,
        language(code),
        number=partial(next, count(1)),
        actions=presenter.actions(report),
        unverified=presenter.unverified_causes(report),
        drills=presenter.drills(report),
        traces=presenter.traces(report),
        blocking=presenter.steps(report, Severity.BLOCKING),
        optional=presenter.steps(report, Severity.ADVISORY),
        advised=presenter.recommendations(report),
        proofs=presenter.ordered_evidence(report),
    )
