"""`prodgate restore`: undoes what runs that died have left of their faults, containers and processes."""

from __future__ import annotations

import argparse
import sys

from gate.commands._publishing import add_context, left, tell, wished

SUMMARY = "undo what a run that was killed has left behind"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command: on a runner, of which commit status a leftover `pending` becomes an error."""
    add_context(parser)


def main(options: argparse.Namespace) -> int:
    """0 where nothing is left, 3 where something could not be undone."""
    from gate.publish.status import leftover
    from gate.staging.undo import restore

    done, failed = restore()
    for line in done:
        print(f"undone: {line}")
    for line in failed:
        print(f"prodgate: NOT undone: {line}", file=sys.stderr)
    if not done and not failed:
        print("nothing was left behind")
    notices = leftover(wished(options), left())
    tell(notices)
    return 3 if failed or any(notice.untold for notice in notices) else 0
