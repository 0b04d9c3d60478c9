"""Implement `prodgate plan`: print what a run would do and its maximum duration, without running anything."""

from __future__ import annotations

import argparse

from gate.commands._arguments import add_files, add_only, add_workers, require_timely_pages, select_items

SUMMARY = "print what a run would do and its maximum duration; run nothing"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    add_files(parser)
    add_only(parser)
    add_workers(parser)


def run(options: argparse.Namespace) -> int:
    """Print the plan."""
    from gate.checklist.load import load
    from gate.decode.quantities import format_duration
    from gate.run.plan import plan

    checklist = load(options.file).checklist
    require_timely_pages(checklist)
    steps = plan(checklist, select_items(checklist, options.only), options.workers)
    for step in steps.steps:
        print(f"{step.title}  (at most {format_duration(step.max_duration)})")
        for line in step.lines:
            print(f"  - {line}")
    print(f"At most {format_duration(steps.max_duration)} in total. Nothing was run.")
    return 0
