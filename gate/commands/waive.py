"""Implement `prodgate waive`: write waivers for what failed in the last report, and remove those that are stale."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from gate.commands._arguments import add_files
from gate.commands.explain import LAST_REPORT

if TYPE_CHECKING:
    from gate.checklist.models import Checklist, WaiverSpec
    from gate.model import ItemResult, Report

SUMMARY = "write waivers for the items that failed in the last report, or remove stale ones"
_WAIVERS = "prodgate.waivers.yml"
_REASON = 300
_MAX_DAYS = 36_500


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--failing", action="store_true", help="waive each item that failed without a waiver in force")
    action.add_argument(
        "--prune", action="store_true", help="remove waivers that expired, or whose item passed or is gone"
    )
    parser.add_argument("--days", type=_days, metavar="N", help="let the waivers end in N days; --failing needs it")
    parser.add_argument("--owner", metavar="NAME", help="name who answers for them; --failing needs it")
    parser.add_argument(
        "--report", default=LAST_REPORT, metavar="FILE", help="read the results from this report (default: %(default)s)"
    )
    parser.add_argument(
        "--waivers", default=_WAIVERS, metavar="FILE", help="keep the waivers in this file (default: %(default)s)"
    )
    add_files(parser)


def _days(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:9]) <= _MAX_DAYS):
        raise argparse.ArgumentTypeError(f"{text!a} is not a valid number of days; expected 1 to {_MAX_DAYS}")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Return 0 if the file of waivers is as it should be; 2 if the policy or the options do not allow it."""
    from gate.checklist.load import load
    from gate.checklist.waiver_file import read_waivers
    from gate.report.serialization import read_report

    if options.failing and not (options.days and options.owner):
        print("prodgate: --failing: no end or no owner; give --days N and --owner NAME", file=sys.stderr)
        return 2
    # The file of waivers may name items that are gone: it is read on its own.
    options.file = [file for file in options.file if Path(file) != Path(options.waivers)]
    checklist = load(options.file).checklist
    report = read_report(Path(options.report))
    known = read_waivers(Path(options.waivers))
    try:
        return (_prune if options.prune else _waive)(options, checklist, report, known)
    except OSError as error:
        print(f"prodgate: {options.waivers}: cannot be written: {error.strerror}", file=sys.stderr)
        return 2


def _waive(options: argparse.Namespace, checklist: Checklist, report: Report, known: list[WaiverSpec]) -> int:
    """Add a waiver for each item that failed, within the limits of the policy."""
    from gate.checklist.waiver_file import write_waivers

    policy = checklist.waiver_policy
    days = min(options.days, policy.max_days or options.days)
    added = _new_waivers(options.owner, date.today() + timedelta(days=days), checklist, report, known)
    names = {waiver.item for waiver in added}
    waivers = [*(waiver for waiver in known if waiver.item not in names), *added]
    total = len(checklist.waivers) + len(waivers)
    if added and policy.max is not None and total > policy.max:
        text = f"{total} waivers are too many, waiver_policy allows {policy.max}; fix items first, or change the policy"
        print(f"prodgate: {options.waivers}: {text}", file=sys.stderr)
        return 2
    if days < options.days:
        print(f"{options.days} days are shortened to {days}: waiver_policy allows no more")
    for waiver in added:
        print(f"waived until {waiver.expires}: {waiver.item}: {waiver.reason}")
    _print_not_waived(checklist, report)
    if not added:
        print("Nothing to waive: no item of the checklist failed without a waiver in force")
        return 0
    write_waivers(Path(options.waivers), waivers)
    words = [word for file in [*options.file, options.waivers] for word in ("--file", file)]
    print(f"{options.waivers}: written. Next: {shlex.join(['prodgate', 'run', *words])}")
    return 0


def _new_waivers(
    owner: str, expires: date, checklist: Checklist, report: Report, known: list[WaiverSpec]
) -> list[WaiverSpec]:
    """Return a waiver for each item that failed and that no waiver in force covers."""
    from gate.checklist.models import WaiverSpec
    from gate.model import Status

    in_force = {waiver.item for waiver in [*checklist.waivers, *known] if waiver.expires > date.today()}
    # A waiver of the checklist that expired has to be renewed there: two for one item are an error.
    waivable = {item.id for item in checklist.items} - in_force - {waiver.item for waiver in checklist.waivers}
    failed = [item for item in report.items if item.outcome.status in (Status.FAIL, Status.ERROR)]
    uncovered = [item for item in failed if item.id in waivable]
    return [WaiverSpec(item=item.id, reason=_reason(item), owner=owner, expires=expires) for item in uncovered]


def _print_not_waived(checklist: Checklist, report: Report) -> None:
    """Print what a waiver of this file does not cover although it did not pass."""
    from gate.model import Status

    for waiver in checklist.waivers:
        if waiver.expires <= date.today():
            print(f"expired in the checklist, renew or remove it there: {waiver.item}")
    if skipped := sum(item.outcome.status is Status.SKIP for item in report.items):
        print(f"skipped, which no waiver covers: {skipped} {'item' if skipped == 1 else 'items'}")


def _reason(item: ItemResult) -> str:
    """Return the first line of an item's message, as the report has redacted it."""
    lines = str(item.outcome.message).strip().splitlines()
    return (lines[0] if lines else "it failed")[:_REASON]


def _prune(options: argparse.Namespace, checklist: Checklist, report: Report, known: list[WaiverSpec]) -> int:
    """Remove the stale waivers of the file, and name those of the checklist itself."""
    from gate.checklist.waiver_file import write_waivers

    stale = dict(_stale([*known, *checklist.waivers], checklist, report))
    kept = [waiver for waiver in known if waiver.item not in stale]
    for waiver in known:
        if waiver.item in stale:
            print(f"removed: {waiver.item}: {stale[waiver.item]}")
    for waiver in checklist.waivers:
        if waiver.item in stale:
            print(f"stale in the checklist, remove it there: {waiver.item}: {stale[waiver.item]}")
    if len(kept) < len(known):
        write_waivers(Path(options.waivers), kept)
    print(f"{options.waivers}: {len(kept)} {'waiver' if len(kept) == 1 else 'waivers'} left")
    return 0


def _stale(waivers: list[WaiverSpec], checklist: Checklist, report: Report) -> Iterator[tuple[str, str]]:
    """Yield the item of each stale waiver, and why it is stale."""
    from gate.model import Status

    ids = {item.id for item in checklist.items}
    passed = {item.id for item in report.items if item.outcome.status is Status.PASS}
    for waiver in waivers:
        if waiver.item not in ids:
            yield waiver.item, "the checklist has no such item"
        elif waiver.expires <= date.today():
            yield waiver.item, f"it ended on {waiver.expires}"
        elif waiver.item in passed:
            yield waiver.item, "its item passed in the last report"
