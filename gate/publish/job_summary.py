"""Appends the report's summary to the page of the workflow run.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#adding-a-job-summary
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from gate.model import Report
from gate.render import summary

LIMIT = 1024 * 1024
"""Bytes that a step may write; the runner drops a longer summary whole."""


def write(report: Report, environment: Mapping[str, str] = os.environ) -> None:
    """Appends to the file that the runner gave, in place, what fits into it. Nothing is done where it gave none.

    Raises OSError where the file cannot be written.
    """
    if not (path := environment.get("GITHUB_STEP_SUMMARY")):
        return
    there = Path(path).stat().st_size if Path(path).exists() else 0
    room = min(summary.LIMIT, LIMIT - there)
    content = summary.render(report, report.language, room).encode("utf-8", "replace")
    if len(content) <= LIMIT - there:
        with open(path, "ab") as file:
            file.write(content)
