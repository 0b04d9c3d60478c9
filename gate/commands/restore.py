"""`prodgate restore`: undoes what runs that died have left of their faults, containers and processes."""

from __future__ import annotations

import argparse
import sys

SUMMARY = "undo what a run that was killed has left behind"


def arguments(parser: argparse.ArgumentParser) -> None:
    """This command has no options."""


def main(options: argparse.Namespace) -> int:
    """0 where nothing is left, 3 where something could not be undone."""
    from gate.staging.undo import restore

    done, failed = restore()
    for line in done:
        print(f"undone: {line}")
    for line in failed:
        print(f"prodgate: NOT undone: {line}", file=sys.stderr)
    if not done and not failed:
        print("nothing was left behind")
    return 3 if failed else 0
