"""Write the reports of a run, print the verdict and publish it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gate.model import Report
from gate.publish.session import publish_verdict, try_write_to_runner
from gate.publish.settings import Settings

if TYPE_CHECKING:
    from gate.render.worker import RenderWorker


def write_and_publish(report: Report, folder: Path, settings: Settings, worker: RenderWorker | None = None) -> int:
    """Write the reports, print the verdict, publish it and return the exit code.

    The report must be redacted already. Return 3 instead of 0 if a report can't be written.
    """
    from gate.render import FORMATS
    from gate.render.output_folder import write_reports
    from gate.run.progress import wants_colour
    from gate.verdict import exit_code

    code = exit_code(report.verdict.decision, report.ended)
    try:
        written = write_reports(report, folder, worker)
    except (ExceptionGroup, OSError) as error:
        print(f"prodgate: {error}: {getattr(error, 'exceptions', '')}", file=sys.stderr)
        return publish_verdict(report if code else report.replace(ended="broken"), settings, code or 3)
    print(FORMATS.import_module("terminal").render(report, report.language, colour=wants_colour(sys.stdout)))
    print(f"\n{written.get('md', folder)}")
    _publish(report, written)
    return publish_verdict(report, settings, code)


def _publish(report: Report, written: dict[str, Path]) -> None:
    """Write outputs, job summary and annotations on a runner. A failure never changes the verdict."""
    from gate.publish import outputs, workflow_commands

    try_write_to_runner(lambda: outputs.write(outputs.outputs(report, written)))
    if os.environ.get("GITHUB_STEP_SUMMARY"):
        from gate.publish import job_summary

        try_write_to_runner(lambda: job_summary.write(report))
    if isinstance(sys.stdout, workflow_commands.Log):
        workflow_commands.write(report, sys.stdout)
