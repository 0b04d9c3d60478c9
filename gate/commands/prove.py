"""Implement `prodgate prove`: find checks that can't fail, by mutation testing of the checklist."""

from __future__ import annotations

import argparse

from gate.commands._arguments import add_files, add_only, add_workers, select_items

SUMMARY = "find checks that can't fail: run each against nothing, then inverted; commands are executed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    add_files(parser)
    add_only(parser)
    add_workers(parser)
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="print how each item was proven (default: only unproven items)"
    )


def run(options: argparse.Namespace) -> int:
    """Return 0 if every item is proven to be able to fail, else 1."""
    from gate.checklist.load import load
    from gate.run.mutation import check_falsifiability

    checklist = load(options.file).checklist
    proofs = check_falsifiability(checklist, select_items(checklist, options.only), options.workers)
    unproven = [proof for proof in proofs if not proof.proven]
    for proof in proofs:
        if options.verbose or not proof.proven:
            print(f"{'proven  ' if proof.proven else 'UNPROVEN'}  {proof.item.id}: {proof.how}")
    print(f"{len(proofs) - len(unproven)} of {len(proofs)} items can fail, {len(unproven)} unproven")
    return 1 if unproven else 0
