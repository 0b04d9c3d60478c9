"""`prodgate run`: runs the checklist, writes the reports, and exits with the verdict."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from gate.commands._base import BY_API, compared
from gate.commands._finish import finish, tell_step
from gate.commands._options import add_files, add_only, add_workers, chosen, image, seconds
from gate.commands._publishing import add_publishing, announced, wished

if TYPE_CHECKING:
    from gate.publish.settings import Settings

SUMMARY = "run the checklist, write the reports, exit with the verdict"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    add_files(parser)
    parser.add_argument("-o", "--out", default="prodgate-out", metavar="DIR", help="where the reports go (%(default)s)")
    parser.add_argument("--language", choices=("en", "fr"), help="of the reports (default: as the checklist says)")
    add_only(parser)
    parser.add_argument("--deadline", type=seconds, metavar="10m", help="end the whole run after this long")
    parser.add_argument("--baseline", metavar="REPORT", help="an earlier report.json: say what has changed since")
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
    """The exit code of the verdict: 0 GO, 1 NO-GO, 130 cancelled."""
    wishes = wished(options)
    with announced(wishes):
        return _run(options, wishes)


def _run(options: argparse.Namespace, wishes: Settings) -> int:
    from gate.checklist.load import load
    from gate.evidence import Store
    from gate.publish import outputs
    from gate.report.changes import commits_between, compare
    from gate.report.document import read
    from gate.report.source import source
    from gate.run.ending import Ending
    from gate.run.progress import stderr_progress
    from gate.run.runner import Options, Run

    tell_step(lambda: outputs.write(outputs.UNDECIDED))
    baseline = read(Path(options.baseline)) if options.baseline else None
    found = compared(load(options.file), options.compare, options.policy, wishes)
    loaded = found.loaded
    secrets = wishes.secrets
    language = options.language or loaded.checklist.language
    items = tuple(chosen(loaded.checklist, options.only))
    settings = Options(
        root=Path.cwd(),
        workers=max(1, options.workers),
        deadline=options.deadline,
        items=items,
        language=language,
        source=source(Path.cwd()).model_copy(update={"images": tuple(options.image)}),
        against=found.against,
        reservations=found.reservations,
        evidence=Store(Path(options.out), secrets),
    )
    refused = _unwritable(Path(options.out))
    if refused:
        print(f"prodgate: {options.out} can't hold the reports: {refused}; nothing was run", file=sys.stderr)
        return 2
    ending = Ending()
    with ending.on_signals():
        report = Run(loaded, settings, secrets, stderr_progress(secrets.hide, language), ending).go()
        if baseline is not None:
            commits = commits_between(Path.cwd(), baseline.source.commit, report.source.commit)
            report = report.model_copy(update={"changes": compare(report, baseline, commits)})
        return finish(report, Path(options.out), wishes)


def _unwritable(out: Path) -> str:
    """Why no report can be written there; empty where it can. Found now, and not after the drills."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            return ""
    except OSError as error:
        return error.strerror or str(error)
