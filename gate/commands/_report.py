"""What ends every run: the reports are written, the verdict is said, and the runner is told."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gate.model import Report
from gate.publish.session import publish_verdict
from gate.publish.settings import Settings

if TYPE_CHECKING:
    from gate.render.worker import RenderWorker


def write_and_publish(report: Report, folder: Path, wishes: Settings, helper: RenderWorker | None = None) -> int:
    """Writes the reports first; then says the verdict, on a runner to GitHub, too. The report has no secrets in it."""
    from gate.render import FORMATS
    from gate.render.output_folder import write_reports
    from gate.run.progress import wants_colour
    from gate.verdict import exit_code

    code = exit_code(report.verdict.decision, report.ended)
    try:
        written = write_reports(report, folder, helper)
    except (ExceptionGroup, OSError) as error:
        print(f"prodgate: {error}: {getattr(error, 'exceptions', '')}", file=sys.stderr)
        return publish_verdict(report if code else report.replace(ended="broken"), wishes, code or 3)
    print(FORMATS.import_module("terminal").render(report, report.language, colour=wants_colour(sys.stdout)))
    print(f"\n{written.get('md', folder)}")
    _publish(report, written)
    return publish_verdict(report, wishes, code)


def _publish(report: Report, written: dict[str, Path]) -> None:
    """On a runner: outputs, summary, annotations. Whatever becomes of them, the verdict stands."""
    from gate.publish import outputs, workflow_commands

    try_write_to_runner(lambda: outputs.write(outputs.outputs(report, written)))
    if os.environ.get("GITHUB_STEP_SUMMARY"):
        from gate.publish import job_summary

        try_write_to_runner(lambda: job_summary.write(report))
    if isinstance(sys.stdout, workflow_commands.Log):
        workflow_commands.write(report, sys.stdout)


def try_write_to_runner(tell: Callable[[], None]) -> None:
    """Tells the runner something. Where that fails it is said, and nothing else changes."""
    try:
        tell()
    except OSError as error:
        print(f"prodgate: the runner could not be told: {error}", file=sys.stderr)
