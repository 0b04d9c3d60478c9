"""`prodgate restore`: undoes what runs that died have left of their faults, containers and processes."""

from __future__ import annotations

import argparse
import sys

from gate.commands._arguments import parse_seconds_argument
from gate.publish.session import add_context, emit_notices, publish_settings_from, saved_end_state

SUMMARY = "undo what a run that was killed has left behind"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command: on a runner, of which commit status a leftover `pending` becomes an error."""
    add_context(parser)
    parser.add_argument(
        "--end",
        type=parse_seconds_argument,
        metavar="1m",
        help="wait so long for runs that are still alive, then end them, too",
    )


def main(options: argparse.Namespace) -> int:
    """0 where nothing is left but what living runs will undo, 3 where something could not be undone."""
    from gate.publish.status import fix_stale_pending
    from gate.staging.recovery import recover_dead_runs

    found = recover_dead_runs(end_after=options.end)
    for line in found.done:
        print(f"undone: {line}")
    for line in found.failed:
        print(f"prodgate: NOT undone: {line}", file=sys.stderr)
    for line in found.lost:
        print(f"prodgate: cannot be undone any more: {line}", file=sys.stderr)
    for run_id in found.alive:
        print(f"prodgate: run {run_id} is still alive: what it has broken was let be", file=sys.stderr)
    if not (found.done or found.failed or found.lost or found.alive):
        print("nothing was left behind")
    notices = fix_stale_pending(publish_settings_from(options), saved_end_state())
    emit_notices(notices)
    broken = found.failed or (found.alive and options.end is not None)
    return 3 if broken or any(notice.not_published for notice in notices) else 0
