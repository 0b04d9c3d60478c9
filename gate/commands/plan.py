"""`prodgate plan`: what a run will start, stop and put back, and how long it takes at worst. Touches nothing."""

from __future__ import annotations

import argparse

from gate.commands._options import add_files, add_only, add_workers, chosen

SUMMARY = "say what a run will do and how long it takes at worst; touch nothing"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    add_files(parser)
    add_only(parser)
    add_workers(parser)


def main(options: argparse.Namespace) -> int:
    """Prints the plan."""
    from gate.checklist.load import load
    from gate.plan import plan
    from gate.quantities import duration

    checklist = load(options.file).checklist
    made = plan(checklist, chosen(checklist, options.only), options.workers)
    for step in made.steps:
        print(f"{step.title}  (at worst {duration(step.worst)})")
        for line in step.lines:
            print(f"  - {line}")
    print(f"At worst {duration(made.worst)} in all. Nothing was touched.")
    return 0
