"""`prodgate prove`: tries each check with nothing there, then inverted, and lists those that still pass."""

from __future__ import annotations

import argparse

from gate.commands._arguments import add_files, add_only, add_workers, select_items

SUMMARY = "try each check with nothing there and inverted, and list those that can't fail; commands are run"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    add_files(parser)
    add_only(parser)
    add_workers(parser)
    parser.add_argument("-v", "--verbose", action="store_true", help="say of each item how it was proven")


def main(options: argparse.Namespace) -> int:
    """0 where every item can fail, 1 where one was not proven."""
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
