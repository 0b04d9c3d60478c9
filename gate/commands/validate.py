"""`prodgate validate`: reads a checklist and says what is wrong with it, all at once."""

from __future__ import annotations

import argparse

from gate.commands._arguments import add_files

SUMMARY = "read the checklist and say what is wrong with it; run nothing"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    add_files(parser)


def main(options: argparse.Namespace) -> int:
    """0 where the checklist can be run; raises ChecklistError with all its errors otherwise."""
    from gate.checklist.load import load

    checklist = load(options.file).checklist
    items, sections = len(checklist.items), len(checklist.sections)
    print(f"{', '.join(options.file)}: {sections} sections, {items} items, {len(checklist.targets)} targets: valid")
    return 0
