"""`prodgate merge REPORT...`: one verdict, one JUnit file and one report of the parts that many jobs have run."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gate.commands._arguments import add_out
from gate.core.messages import msg
from gate.publish.session import add_publishing, branch_rule_notes, pending_status, publish_settings_from

if TYPE_CHECKING:
    from gate.model import Report
    from gate.publish.settings import Settings
    from gate.run.cancellation import CancellationToken

SUMMARY = "make one verdict of the reports of many jobs"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("reports", nargs="*", metavar="REPORT", help="report.json files, or folders with such files")
    parser.add_argument("--expect", action="append", default=[], metavar="NAME", help="a part that must be there")
    add_out(parser)
    parser.add_argument("--language", choices=("en", "fr"), help="of the reports (default: that of the first part)")
    add_publishing(parser)


def main(options: argparse.Namespace) -> int:
    """The exit code of the verdict; 2 where the reports cannot be merged."""
    from gate.report.merge import UnmergeableReportsError
    from gate.run.cancellation import CancellationToken

    wishes, ending = publish_settings_from(options), CancellationToken()
    try:
        with pending_status(wishes, ending):
            return _merge(options, wishes, ending)
    except UnmergeableReportsError as error:
        print(f"prodgate: {error}", file=sys.stderr)
        return 2


def _merge(options: argparse.Namespace, wishes: Settings, ending: CancellationToken) -> int:
    from gate.commands._report import try_write_to_runner, write_and_publish
    from gate.publish import outputs
    from gate.redaction.structs import redact_struct
    from gate.render.output_folder import remove_reports
    from gate.report.merge import UnmergeableReportsError, empty_merge, merge_reports
    from gate.report.provenance import detect_provenance

    try_write_to_runner(lambda: outputs.write(outputs.NO_VERDICT))
    notes = branch_rule_notes(wishes)
    expected = [name for text in options.expect for name in text.replace(",", " ").split()]
    files = collect_report_files(map(Path, options.reports), expected=bool(expected))
    try:
        remove_reports(Path(options.out), keep=files)
    except OSError as error:
        why = error.strerror or str(error)
        raise UnmergeableReportsError(
            msg("{folder}: cannot hold the reports: {why}; nothing was merged", folder=options.out, why=why)
        ) from error
    now, parts = datetime.now(UTC), _read(files)
    _check_run(parts)
    none = expected and not parts
    report = (
        empty_merge(expected, detect_provenance(Path.cwd()), now)
        if none
        else merge_reports(parts, expected, now.date())
    )
    if wishes.enabled and report.source.commit != wishes.commit:
        raise UnmergeableReportsError(
            msg(
                "reports of commit {commit}, but this run judges {expected}",
                commit=report.source.commit or "(none)",
                expected=wishes.commit or "no commit",
            )
        )
    if options.language:
        report = report.replace(language=options.language)
    report = report.replace(notes=(*report.notes, *notes))
    if ending.event.is_set():
        raise KeyboardInterrupt
    return write_and_publish(redact_struct(report, wishes.secrets), Path(options.out), wishes)


def _check_run(parts: Mapping[str, Report]) -> None:
    """Raise NotOneRun for reports of an earlier run, which on a runner each names.

    A run that follows another one (`workflow_run`) may merge the reports of that.
    """
    from gate.report.merge import UnmergeableReportsError
    from gate.report.provenance import event_payload

    run = os.environ.get("GITHUB_RUN_ID", "") if os.environ.get("GITHUB_ACTIONS") == "true" else ""
    if not run:
        return
    followed = event_payload(os.environ)
    followed = followed.get("workflow_run") if isinstance(followed, dict) else None
    runs = {run, str(followed.get("id")) if isinstance(followed, dict) else run}
    for name, report in parts.items():
        if report.source.run_id not in runs:
            of = f"run {report.source.run_id}" if report.source.run_id else "no run"
            raise UnmergeableReportsError(
                msg("{part}: the report is of {found}, expected one of this run ({run})", part=name, found=of, run=run)
            )


def collect_report_files(paths: Iterable[Path], *, expected: bool) -> list[Path]:
    """The files that some paths stand for.

    Where parts are expected, a path at which nothing stands has none of them, and what is missing is told by name.
    """
    there = [path for path in paths if path.exists() or not expected]
    return [file for path in there for file in (_in_folder(path) if path.is_dir() else [path])]


def _read(files: list[Path]) -> dict[str, Report]:
    """The reports by the name of their part: the folder of a `report.json`, or the file's own name."""
    from gate.report.merge import UnmergeableReportsError
    from gate.report.serialization import read_report

    found: dict[str, Report] = {}
    for path in files:
        name = path.parent.name if path.name == "report.json" else path.stem
        if name in found:
            raise UnmergeableReportsError(
                msg("{part}: two reports have this name; put each part into a folder of its own", part=name)
            )
        found[name] = read_report(path)
    return found


def _in_folder(folder: Path) -> list[Path]:
    """Every `report.json` below a folder; where there is none, the files of JSON in it, each named as its part."""
    return sorted(folder.rglob("report.json")) or sorted(folder.glob("*.json"))
