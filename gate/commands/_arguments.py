"""Options that several subcommands share."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gate.checklist.models import Checklist, Item

DEFAULT_FILE = "prodgate.yml"
WORKERS = 40
"""Items asked at a time, where nothing is said: a usual checklist goes at once, and a service is not put under load."""
DEFAULT_OUT = "prodgate-out"


class _Files(argparse.Action):
    """Collects `--file` options; the first one given takes the place of the default."""

    def __call__(self, parser: object, namespace: argparse.Namespace, value: object, option: object = None) -> None:
        given = getattr(namespace, "_files", [])
        namespace._files = [*given, str(value)]
        namespace.file = namespace._files


def add_files(parser: argparse.ArgumentParser) -> None:
    """`--file`, several times: later ones override."""
    parser.add_argument(
        "-f",
        "--file",
        action=_Files,
        default=[DEFAULT_FILE],
        metavar="FILE",
        help=f"the checklist; several are merged, later ones override (default: {DEFAULT_FILE})",
    )


def add_out(parser: argparse.ArgumentParser) -> None:
    """`--out`."""
    parser.add_argument(
        "-o", "--out", type=_folder, default=DEFAULT_OUT, metavar="DIR", help="where the reports go (%(default)s)"
    )


def _folder(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("expected a folder, such as prodgate-out")
    return text


def add_only(parser: argparse.ArgumentParser) -> None:
    """`--only`, several times: sections and items."""
    parser.add_argument("--only", action="append", default=[], metavar="ID", help="this section or item only")


def add_workers(parser: argparse.ArgumentParser) -> None:
    """`--workers`."""
    parser.add_argument(
        "--workers", type=_count, default=WORKERS, metavar="N", help="items asked at a time (%(default)s)"
    )


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"expected a number from 1 on, got {text!a}")
    return int(text)


def select_items(checklist: Checklist, texts: list[str]) -> list[Item]:
    """The items that `--only` names, all of them where it names none. Raises ChecklistError for an unknown name."""
    from gate.checklist.errors import ChecklistError, Diagnostic, SourceLocation
    from gate.decode.structs import suggestion

    only = {name for text in texts for name in text.replace(",", " ").split()}
    known = {section.id for section in checklist.sections} | {item.id for item in checklist.items}
    if only - known:
        texts = [f"no section or item is called '{name}'{suggestion(name, known)}" for name in sorted(only - known)]
        raise ChecklistError([Diagnostic(SourceLocation("--only"), text) for text in texts])
    sections = checklist.sections
    return [item for section in sections for item in section.items if not only or section.id in only or item.id in only]


def parse_seconds_argument(text: str) -> float:
    """A duration of the command line, such as 10m, in seconds."""
    from gate.decode.quantities import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def parse_image_argument(text: str) -> str:
    """An image of the command line, named by its digest."""
    from gate.report.seal import is_image

    if not is_image(text):
        raise argparse.ArgumentTypeError(
            "expected an image by its digest, such as ghcr.io/me/api@sha256:<64 hex digits>"
        )
    return text
