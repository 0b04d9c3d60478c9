"""Implement `prodgate validate`: report every error of a checklist."""

from __future__ import annotations

import argparse

from gate.commands._arguments import add_files, require_timely_pages

SUMMARY = "check the checklist and report every error; run nothing"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    add_files(parser)


def run(options: argparse.Namespace) -> int:
    """Return 0 if the checklist is valid. Raise ChecklistError with all its errors otherwise."""
    from gate.checklist.load import load

    checklist = load(options.file).checklist
    require_timely_pages(checklist)
    items, sections = len(checklist.items), len(checklist.sections)
    print(f"{', '.join(options.file)}: {sections} sections, {items} items, {len(checklist.targets)} targets: valid")
    return 0
