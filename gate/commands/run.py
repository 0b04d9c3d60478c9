"""Implement `prodgate run`: run the checklist, write the reports and exit with the verdict."""

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
from gate.commands._publish_arguments import add_publish_arguments, publish_settings_from
from gate.core.errors import GateError
from gate.core.messages import msg
from gate.publish.base_checklist import resolve_base_checklist
from gate.publish.reports import write_and_publish
from gate.publish.session import branch_rule_notes, pending_status, try_write_to_runner
from gate.publish.settings import FETCH_FROM_BASE

if TYPE_CHECKING:
    from gate.publish.settings import Settings
    from gate.run.cancellation import CancellationToken

SUMMARY = "run the checklist, write the reports, exit with the verdict"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    add_files(parser)
    add_out(parser)
    parser.add_argument(
        "--language", choices=("en", "fr"), help="write the reports in this language (default: the checklist's)"
    )
    add_only(parser)
    parser.add_argument(
        "--deadline", type=parse_seconds_argument, metavar="10m", help="end the run after this long (default: no limit)"
    )
    parser.add_argument(
        "--baseline",
        metavar="REPORT",
        help="report what changed since this earlier report.json "
        f"(`{FETCH_FROM_BASE}` fetches the base branch's last one; default: none)",
    )
    parser.add_argument(
        "--image",
        action="append",
        type=parse_image_argument,
        default=[],
        metavar="NAME@sha256:...",
        help="also attest this image, by digest; may be repeated (default: none)",
    )
    parser.add_argument(
        "--compare",
        metavar="FILE",
        help="report what was weakened since the base branch's checklist "
        f"(a file, or `{FETCH_FROM_BASE}` to fetch it from GitHub; default: none)",
    )
    parser.add_argument(
        "--policy",
        choices=("report", "base"),
        default="report",
        help="with --compare, run this checklist (`report`) or the base branch's (`base`; default: %(default)s)",
    )
    add_publish_arguments(parser)
    add_workers(parser)


def run(options: argparse.Namespace) -> int:
    """Run the checklist and return the exit code of the verdict: 0 GO, 1 NO-GO, 130 cancelled.

    `options.render_worker` renders the reports in another process, if there is one.
    """
    from gate.run.cancellation import CancellationToken

    settings, cancellation = publish_settings_from(options), CancellationToken()
    try:
        with pending_status(settings, cancellation) as settings:
            return _run_checklist(options, settings, cancellation)
    except OutputFolderError as error:
        print(f"prodgate: {error}", file=sys.stderr)
        return 2


class OutputFolderError(GateError):
    """The reports can't be written to the output folder."""


def _run_checklist(options: argparse.Namespace, settings: Settings, cancellation: CancellationToken) -> int:
    from gate.checklist.load import load
    from gate.publish import outputs
    from gate.redaction.structs import redact_struct
    from gate.report.baseline import Baseline
    from gate.report.provenance import detect_provenance
    from gate.run.options import RunOptions
    from gate.run.progress import stderr_progress
    from gate.run.runner import Runner
    from gate.runtime.evidence import EvidenceStore

    try_write_to_runner(lambda: outputs.write(outputs.NO_VERDICT))
    provenance = detect_provenance(Path.cwd())
    commit = settings.commit or provenance.commit
    provenance = provenance.replace(commit=commit, images=tuple(options.image), context=settings.context)
    with _without_old_reports(Path(options.out), options.baseline):
        comparison = resolve_base_checklist(load(options.file), options.compare, options.policy, settings)
        loaded = comparison.loaded
        items = tuple(select_items(loaded.checklist, options.only))
        ids = {item.id for item in items}
        baseline = Baseline()
        if options.baseline:
            from gate.publish.baseline import load_baseline

            baseline = load_baseline(options.baseline, loaded.checklist, ids, settings, provenance.commit)
    secrets = settings.secrets
    language = options.language or loaded.checklist.language
    if options.render_worker:
        options.render_worker.warm_up(language)
    run_options = RunOptions(
        root=Path.cwd(),
        workers=options.workers,
        deadline=options.deadline,
        items=items,
        language=language,
        source=provenance,
        blockers=comparison.blockers,
        reservations=comparison.reservations,
        evidence=EvidenceStore(Path(options.out), secrets),
    )
    _check_writable(Path(options.out))
    notes = branch_rule_notes(settings)
    progress = stderr_progress(secrets.redact, language)
    report = Runner(loaded, run_options, secrets, progress, cancellation).run()
    report = baseline.apply_to(report.replace(notes=(*report.notes, *notes)))
    # The runner redacts each section when its results arrive: redacting them twice would cost time after the last item.
    report = redact_struct(report.replace(sections=()), secrets).replace(sections=report.sections)
    return write_and_publish(report, Path(options.out), settings, options.render_worker)


@contextmanager
def _without_old_reports(out: Path, baseline: str | None) -> Iterator[None]:
    """Remove earlier reports, so that they cannot be mistaken for this run's.

    The baseline may be one of them: remove it on exit, after it was read. Raise OutputFolderError if that fails.
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
    """Raise OutputFolderError if no report can be written to the folder, before any drill runs."""
    with _translate_os_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()


@contextmanager
def _translate_os_errors(out: Path) -> Iterator[None]:
    """Raise OutputFolderError for an OSError in the output folder."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise OutputFolderError(
            msg(
                "{folder}: the reports can't be written to this folder: {why}; nothing was run",
                folder=str(out),
                why=why,
            )
        ) from error
