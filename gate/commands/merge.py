"""Implement `prodgate merge`: combine the reports of several jobs into one report with one verdict."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gate.commands._arguments import add_out
from gate.commands._publish_arguments import add_publish_arguments, publish_settings_from
from gate.core.messages import msg
from gate.publish.session import branch_rule_notes, pending_status

if TYPE_CHECKING:
    from gate.model import Report
    from gate.publish.settings import Settings
    from gate.run.cancellation import CancellationToken

SUMMARY = "merge the reports of several jobs into one verdict"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("reports", nargs="*", metavar="REPORT", help="merge these report.json files or folders of them")
    parser.add_argument(
        "--expect", action="append", default=[], metavar="NAME", help="require this part (default: none is required)"
    )
    add_out(parser)
    parser.add_argument(
        "--language", choices=("en", "fr"), help="write the reports in this language (default: the first part's)"
    )
    add_publish_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Merge the reports and return the exit code of the verdict, or 2 if they can't be merged."""
    from gate.report.merge import UnmergeableReportsError
    from gate.run.cancellation import CancellationToken

    settings, cancellation = publish_settings_from(options), CancellationToken()
    try:
        with pending_status(settings, cancellation) as settings:
            return _merge(options, settings, cancellation)
    except UnmergeableReportsError as error:
        print(f"prodgate: {error}", file=sys.stderr)
        return 2


def _merge(options: argparse.Namespace, settings: Settings, cancellation: CancellationToken) -> int:
    from gate.publish import outputs
    from gate.publish.reports import write_and_publish
    from gate.publish.session import try_write_to_runner
    from gate.redaction.structs import redact_struct
    from gate.render.output_folder import remove_reports
    from gate.report.merge import UnmergeableReportsError, empty_merge, merge_reports
    from gate.report.provenance import detect_provenance

    try_write_to_runner(lambda: outputs.write(outputs.NO_VERDICT))
    notes = branch_rule_notes(settings)
    expected = [name for text in options.expect for name in text.replace(",", " ").split()]
    files = collect_report_files(map(Path, options.reports), expected=bool(expected))
    try:
        remove_reports(Path(options.out), keep=files)
    except OSError as error:
        why = error.strerror or str(error)
        raise UnmergeableReportsError(
            msg("{folder}: cannot hold the reports: {why}; nothing was merged", folder=options.out, why=why)
        ) from error
    now, parts = datetime.now(UTC), _read_parts(files)
    _check_run(parts)
    if expected and not parts:
        report = empty_merge(expected, detect_provenance(Path.cwd()), now)
    else:
        report = merge_reports(parts, expected, now.date())
    if settings.enabled and report.source.commit != settings.commit:
        raise UnmergeableReportsError(
            msg(
                "reports of commit {commit}, but this run judges {expected}",
                commit=report.source.commit or "(none)",
                expected=settings.commit or "no commit",
            )
        )
    if options.language:
        report = report.replace(language=options.language)
    report = report.replace(notes=(*report.notes, *notes))
    if cancellation.event.is_set():
        raise KeyboardInterrupt
    return write_and_publish(redact_struct(report, settings.secrets), Path(options.out), settings)


def _check_run(parts: Mapping[str, Report]) -> None:
    """Raise UnmergeableReportsError for a report of another workflow run. Off a runner, any run is accepted.

    A run triggered by another one (`workflow_run`) may merge the reports of either.
    """
    from gate.report.merge import UnmergeableReportsError
    from gate.report.provenance import event_payload

    run = os.environ.get("GITHUB_RUN_ID", "") if os.environ.get("GITHUB_ACTIONS") == "true" else ""
    if not run:
        return
    event = event_payload(os.environ)
    trigger = event.get("workflow_run") if isinstance(event, dict) else None
    accepted = {run, str(trigger.get("id")) if isinstance(trigger, dict) else run}
    for name, report in parts.items():
        if report.source.run_id not in accepted:
            of = f"run {report.source.run_id}" if report.source.run_id else "no run"
            raise UnmergeableReportsError(
                msg("{part}: the report is of {found}, expected one of this run ({run})", part=name, found=of, run=run)
            )


def collect_report_files(paths: Iterable[Path], *, expected: bool) -> list[Path]:
    """Return the report files at some paths, which may be files or folders.

    If parts are `expected`, skip a path that does not exist: the missing part is reported by its name later.
    """
    existing = [path for path in paths if path.exists() or not expected]
    return [file for path in existing for file in (_report_files_in(path) if path.is_dir() else [path])]


def _read_parts(files: list[Path]) -> dict[str, Report]:
    """Return the reports by part name: the folder of a `report.json`, otherwise the stem of the file."""
    from gate.report.merge import UnmergeableReportsError
    from gate.report.serialization import read_report

    parts: dict[str, Report] = {}
    for path in files:
        name = path.parent.name if path.name == "report.json" else path.stem
        if name in parts:
            raise UnmergeableReportsError(
                msg("{part}: two reports have this name; put each part into a folder of its own", part=name)
            )
        parts[name] = read_report(path)
    return parts


def _report_files_in(folder: Path) -> list[Path]:
    """Return every `report.json` below a folder; if there is none, the JSON files directly in it."""
    return sorted(folder.rglob("report.json")) or sorted(folder.glob("*.json"))
