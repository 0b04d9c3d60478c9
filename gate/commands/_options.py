"""Options that several subcommands share."""

from __future__ import annotations

import argparse

DEFAULT_FILE = "prodgate.yml"


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


def seconds(text: str) -> float:
    """A duration of the command line, such as 10m, in seconds."""
    from gate.quantities import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
