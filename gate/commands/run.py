"""`prodgate run`: runs the checklist, writes the reports, and exits with the verdict."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gate.commands._arguments import (
    add_files,
    add_only,
    add_out,
    add_workers,
    parse_image_argument,
    parse_seconds_argument,
    select_items,
)
from gate.commands._base_branch import BY_API, resolve_base_checklist
from gate.commands._baseline import load_baseline
from gate.commands._report import try_write_to_runner, write_and_publish
from gate.publish.session import add_publishing, branch_rule_notes, pending_status, publish_settings_from

if TYPE_CHECKING:
    from gate.publish.settings import Settings
    from gate.run.cancellation import CancellationToken

SUMMARY = "run the checklist, write the reports, exit with the verdict"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    add_files(parser)
    add_out(parser)
    parser.add_argument("--language", choices=("en", "fr"), help="of the reports (default: as the checklist says)")
    add_only(parser)
    parser.add_argument(
        "--deadline", type=parse_seconds_argument, metavar="10m", help="end the whole run after this long"
    )
    parser.add_argument(
        "--baseline",
        metavar="REPORT",
        help=f"an earlier report.json, or `{BY_API}`, that of the base branch's last run: say what has changed since",
    )
    parser.add_argument(
        "--image",
        action="append",
        type=parse_image_argument,
        default=[],
        metavar="NAME@sha256:...",
        help="an image that is judged, too",
    )
    parser.add_argument(
        "--compare",
        metavar="FILE",
        help=f"the base branch's checklist, or `{BY_API}` to ask GitHub for it: say what this one has weakened",
    )
    parser.add_argument(
        "--policy",
        choices=("report", "base"),
        default="report",
        help="with --compare: `base` runs that one (%(default)s)",
    )
    add_publishing(parser)
    add_workers(parser)


def main(options: argparse.Namespace) -> int:
    """The exit code of the verdict: 0 GO, 1 NO-GO, 130 cancelled. `helper` of the options renders meanwhile."""
    from gate.run.cancellation import CancellationToken

    wishes, ending = publish_settings_from(options), CancellationToken()
    try:
        with pending_status(wishes, ending):
            return _run(options, wishes, ending)
    except OutputFolderError as error:
        print(f"prodgate: {error}", file=sys.stderr)
        return 2


class OutputFolderError(Exception):
    """The folder of the reports can't hold them."""


def _run(options: argparse.Namespace, wishes: Settings, ending: CancellationToken) -> int:
    from gate.checklist.load import load
    from gate.publish import outputs
    from gate.redaction.structs import redact_struct
    from gate.report.provenance import detect_provenance
    from gate.run.progress import stderr_progress
    from gate.run.runner import Runner, RunOptions
    from gate.runtime.evidence import EvidenceStore

    try_write_to_runner(lambda: outputs.write(outputs.NO_VERDICT))
    judged = detect_provenance(Path.cwd()).replace(images=tuple(options.image), context=wishes.context)
    with _without_old_reports(Path(options.out), options.baseline):
        found = resolve_base_checklist(load(options.file), options.compare, options.policy, wishes)
        loaded = found.loaded
        items = tuple(select_items(loaded.checklist, options.only))
        before = load_baseline(options.baseline, loaded.checklist, {item.id for item in items}, wishes, judged.commit)
    secrets = wishes.secrets
    language = options.language or loaded.checklist.language
    if options.helper:
        options.helper.warm_up(language)
    settings = RunOptions(
        root=Path.cwd(),
        workers=options.workers,
        deadline=options.deadline,
        items=items,
        language=language,
        source=judged,
        blockers=found.blockers,
        reservations=found.reservations,
        evidence=EvidenceStore(Path(options.out), secrets),
    )
    _check_writable(Path(options.out))
    notes = branch_rule_notes(wishes)
    report = Runner(loaded, settings, secrets, stderr_progress(secrets.redact, language), ending).run()
    report = report.replace(notes=(*report.notes, *notes))
    report = before.apply_to(report)
    report = redact_struct(report.replace(sections=()), secrets).replace(
        sections=report.sections
    )  # they are masked as they are made
    return write_and_publish(report, Path(options.out), wishes, options.helper)


@contextmanager
def _without_old_reports(out: Path, baseline: str | None) -> Iterator[None]:
    """Without an earlier run's reports: whatever becomes of this one, they don't speak for it.

    The baseline may be one of them, and goes once it is read. Raises NoPlace where they can't go.
    """
    from gate.render.output_folder import remove_reports

    with _translate_os_errors(out):
        remove_reports(out, keep=[Path(baseline)] if baseline else [])
    try:
        yield
    finally:
        with _translate_os_errors(out):
            remove_reports(out)


def _check_writable(out: Path) -> None:
    """Raises NoPlace where no report can be written: found now, and not after the drills."""
    with _translate_os_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()


@contextmanager
def _translate_os_errors(out: Path) -> Iterator[None]:
    """Raises NoPlace for what can't be done in the folder of the reports."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise OutputFolderError(f"{out} can't hold the reports: {why}; nothing was run") from error
