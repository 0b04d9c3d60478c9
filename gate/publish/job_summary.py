"""Append the report's summary to the page of the workflow run.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#adding-a-job-summary
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from gate.model import Report
from gate.render import summary

# Bytes that a step may write; the runner drops a longer summary entirely.
LIMIT = 1024 * 1024


def write(report: Report, environment: Mapping[str, str] = os.environ) -> None:
    """Append as much of the summary as fits to the file that GITHUB_STEP_SUMMARY names, if it does.

    Raise OSError if the file cannot be written.
    """
    if not (path := environment.get("GITHUB_STEP_SUMMARY")):
        return
    # Earlier commands of the same step may have written to the file, too.
    size = Path(path).stat().st_size if Path(path).exists() else 0
    room = min(summary.LIMIT, LIMIT - size)
    content = summary.render(report, report.language, room).encode("utf-8", "replace")
    if len(content) <= LIMIT - size:
        with open(path, "ab") as file:
            file.write(content)
