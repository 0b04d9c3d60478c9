"""`prodgate plan`: what a run will start, stop and put back, and how long it takes at worst. Touches nothing."""

from __future__ import annotations

import argparse

from gate.commands._arguments import add_files, add_only, add_workers, select_items

SUMMARY = "say what a run will do and how long it takes at worst; touch nothing"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    add_files(parser)
    add_only(parser)
    add_workers(parser)


def main(options: argparse.Namespace) -> int:
    """Prints the plan."""
    from gate.checklist.load import load
    from gate.decode.quantities import format_duration
    from gate.run.plan import plan

    checklist = load(options.file).checklist
    made = plan(checklist, select_items(checklist, options.only), options.workers)
    for step in made.steps:
        print(f"{step.title}  (at worst {format_duration(step.max_duration)})")
        for line in step.lines:
            print(f"  - {line}")
    print(f"At worst {format_duration(made.max_duration)} in all. Nothing was touched.")
    return 0
