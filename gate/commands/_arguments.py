"""Define the options that several subcommands share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gate.checklist.models import Checklist, Item

DEFAULT_FILE = "prodgate.yml"
# Enough to run a usual checklist at once, and too few to put the service under load.
WORKERS = 40
DEFAULT_OUT = "prodgate-out"


class _Files(argparse.Action):
    """Collects `--file` options; the first one replaces the default."""

    def __call__(self, parser: object, namespace: argparse.Namespace, value: object, option: object = None) -> None:
        namespace._files = [*getattr(namespace, "_files", []), str(value)]
        namespace.file = namespace._files


def add_files(parser: argparse.ArgumentParser) -> None:
    """Add `--file`, which may be repeated: later files override earlier ones."""
    parser.add_argument(
        "-f",
        "--file",
        action=_Files,
        default=[DEFAULT_FILE],
        metavar="FILE",
        help=f"read this checklist; repeat to merge several, later ones override (default: {DEFAULT_FILE})",
    )


def add_out(parser: argparse.ArgumentParser) -> None:
    """Add `--out`."""
    parser.add_argument(
        "-o",
        "--out",
        type=_folder,
        default=DEFAULT_OUT,
        metavar="DIR",
        help="write the reports to this folder (default: %(default)s)",
    )


def _folder(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("the value is empty; expected a folder, such as prodgate-out")
    return text


def add_only(parser: argparse.ArgumentParser) -> None:
    """Add `--only`, which may be repeated and names sections and items."""
    parser.add_argument(
        "--only", action="append", default=[], metavar="ID", help="run only this section or item (default: all)"
    )


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add `--workers`."""
    parser.add_argument(
        "--workers",
        type=_count,
        default=WORKERS,
        metavar="N",
        help="run at most this many items at a time (default: %(default)s)",
    )


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!a} is not a valid count; expected a whole number from 1 on")
    return int(text)


def select_items(checklist: Checklist, texts: list[str]) -> list[Item]:
    """Return the items that `--only` selects, or all if it is not given.

    Raise ChecklistError for the name of no section or item.
    """
    from gate.checklist.errors import ChecklistError, Diagnostic, SourceLocation
    from gate.decode.structs import suggestion

    only = {name for text in texts for name in text.replace(",", " ").split()}
    ids = {section.id for section in checklist.sections} | {item.id for item in checklist.items}
    if only - ids:
        raise ChecklistError(
            Diagnostic(SourceLocation("--only"), f"unknown section or item '{name}'{suggestion(name, ids)}")
            for name in sorted(only - ids)
        )
    sections = checklist.sections
    return [item for section in sections for item in section.items if not only or section.id in only or item.id in only]


def parse_seconds_argument(text: str) -> float:
    """Return the seconds of a duration such as `10m`."""
    from gate.decode.quantities import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def parse_image_argument(text: str) -> str:
    """Return an image reference with its digest. Raise ArgumentTypeError if it has none."""
    from gate.report.seal import is_image

    if not is_image(text):
        raise argparse.ArgumentTypeError(
            f"{text!a} has no digest; expected an image such as ghcr.io/me/api@sha256:<64 hex digits>"
        )
    return text


def require_timely_pages(checklist: Checklist) -> None:
    """Raise ChecklistError for each page that a drill does not wait for long enough, as the files here show."""
    from gate.checklist.errors import ChecklistError, Diagnostic, SourceLocation
    from gate.drills.page_deadlines import late_pages

    checks = [(item.id, item.check) for item in checklist.items]
    found = late_pages(checks, checklist.targets, Path.cwd())
    problems = [Diagnostic(SourceLocation(file, line, 1), str(problem)) for file, line, problem in found]
    if problems:
        raise ChecklistError(problems)
