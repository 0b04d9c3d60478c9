"""Implement `prodgate restore`: revert what crashed runs left behind: faults, containers and processes."""

from __future__ import annotations

import argparse
import sys

from gate.commands._arguments import parse_seconds_argument
from gate.commands._publish_arguments import add_publish_arguments, publish_settings_from
from gate.publish.session import emit_notices, replace_unfinished_verdict

SUMMARY = "revert faults and remove containers left by a killed run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command, including those of the status and the comment that the run may have left."""
    add_publish_arguments(parser)
    parser.add_argument(
        "--end",
        type=parse_seconds_argument,
        metavar="1m",
        help="wait this long for runs that are still alive, then kill them (default: leave them running)",
    )


def run(options: argparse.Namespace) -> int:
    """Return 0 if nothing is left that a living run would not revert itself, else 3."""
    from gate.staging.recovery import recover_dead_runs

    recovery = recover_dead_runs(end_after=options.end)
    for line in recovery.done:
        print(f"reverted: {line}")
    for line in recovery.failed:
        print(f"prodgate: NOT reverted: {line}", file=sys.stderr)
    for line in recovery.lost:
        print(f"prodgate: can no longer be reverted: {line}", file=sys.stderr)
    for run_id in recovery.alive:
        print(f"prodgate: run {run_id} is still alive; its faults were not reverted", file=sys.stderr)
    if not (recovery.done or recovery.failed or recovery.lost or recovery.alive):
        print("nothing to revert")
    notices = replace_unfinished_verdict(publish_settings_from(options))
    emit_notices(notices)
    incomplete = recovery.failed or (recovery.alive and options.end is not None)
    return 3 if incomplete or any(notice.not_published for notice in notices) else 0
