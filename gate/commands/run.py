"""`prodgate run`: runs the checklist, writes the reports, and exits with the verdict."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gate.commands._base import BY_API, compared
from gate.commands._baseline import baseline
from gate.commands._finish import finish, tell_step
from gate.commands._options import add_files, add_only, add_out, add_workers, chosen, image, seconds
from gate.commands._publishing import add_publishing, announced, noted, wished

if TYPE_CHECKING:
    from gate.publish.settings import Settings
    from gate.run.ending import Ending

SUMMARY = "run the checklist, write the reports, exit with the verdict"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    add_files(parser)
    add_out(parser)
    parser.add_argument("--language", choices=("en", "fr"), help="of the reports (default: as the checklist says)")
    add_only(parser)
    parser.add_argument("--deadline", type=seconds, metavar="10m", help="end the whole run after this long")
    parser.add_argument(
        "--baseline",
        metavar="REPORT",
        help=f"an earlier report.json, or `{BY_API}`, that of the base branch's last run: say what has changed since",
    )
    parser.add_argument(
        "--image",
        action="append",
        type=image,
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
    from gate.run.ending import Ending

    wishes, ending = wished(options), Ending()
    try:
        with announced(wishes, ending):
            return _run(options, wishes, ending)
    except NoPlace as error:
        print(f"prodgate: {error}", file=sys.stderr)
        return 2


class NoPlace(Exception):
    """The folder of the reports can't hold them."""


def _run(options: argparse.Namespace, wishes: Settings, ending: Ending) -> int:
    from gate.checklist.load import load
    from gate.evidence import Store
    from gate.masked import masked
    from gate.publish import outputs
    from gate.report.source import source
    from gate.run.progress import stderr_progress
    from gate.run.runner import Options, Run

    tell_step(lambda: outputs.write(outputs.UNDECIDED))
    judged = source(Path.cwd()).but(images=tuple(options.image), context=wishes.context)
    with _afresh(Path(options.out), options.baseline):
        found = compared(load(options.file), options.compare, options.policy, wishes)
        loaded = found.loaded
        items = tuple(chosen(loaded.checklist, options.only))
        before = baseline(options.baseline, loaded.checklist, {item.id for item in items}, wishes, judged.commit)
    secrets = wishes.secrets
    language = options.language or loaded.checklist.language
    if options.helper:
        options.helper.expect(language)
    settings = Options(
        root=Path.cwd(),
        workers=options.workers,
        deadline=options.deadline,
        items=items,
        language=language,
        source=judged,
        against=found.against,
        reservations=found.reservations,
        evidence=Store(Path(options.out), secrets),
    )
    _needs_place(Path(options.out))
    notes = noted(wishes)
    report = Run(loaded, settings, secrets, stderr_progress(secrets.hide, language), ending).go()
    report = report.but(notes=(*report.notes, *notes))
    report = before.on(report)
    report = masked(report.but(sections=()), secrets).but(sections=report.sections)  # they are masked as they are made
    return finish(report, Path(options.out), wishes, options.helper)


@contextmanager
def _afresh(out: Path, baseline: str | None) -> Iterator[None]:
    """Without an earlier run's reports: whatever becomes of this one, they don't speak for it.

    The baseline may be one of them, and goes once it is read. Raises NoPlace where they can't go.
    """
    from gate.render.folder import clear

    with _as_place(out):
        clear(out, keep=[Path(baseline)] if baseline else [])
    try:
        yield
    finally:
        with _as_place(out):
            clear(out)


def _needs_place(out: Path) -> None:
    """Raises NoPlace where no report can be written: found now, and not after the drills."""
    with _as_place(out):
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()


@contextmanager
def _as_place(out: Path) -> Iterator[None]:
    """Raises NoPlace for what can't be done in the folder of the reports."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise NoPlace(f"{out} can't hold the reports: {why}; nothing was run") from error
