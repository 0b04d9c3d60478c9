"""`prodgate verify`: recomputes everything that proves a report, and finds a changed byte."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import gate

if TYPE_CHECKING:
    from gate.model import Report

SUMMARY = "recompute the proof of a report folder: a changed byte is found"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("folder", metavar="DIR", help="what a run has written with --out")


def main(options: argparse.Namespace) -> int:
    """0 where every byte is as it was, 1 where one is not."""
    from gate.render.formats import FILE_NAMES
    from gate.report import seal
    from gate.report.serialization import read_report

    folder = Path(options.folder)
    report = read_report(folder / seal.REPORT)
    found = seal.verify_seal(report, folder, list(FILE_NAMES.values()))
    if not found:
        other = [name for name, file in FILE_NAMES.items() if not _same(report, name, folder / file)]
        found = [f"{FILE_NAMES[name]}: does not match {seal.REPORT}{_told_by(report)}" for name in other]
    if found:
        print("\n".join(f"❌ {problem}" for problem in found))
        print(f"prodgate: {folder} is not as it was written")
        return 1
    count = len(FILE_NAMES) + len(seal.artifacts(report)) + 3
    print(f"prodgate: all {count} files are as they were written; the verdict is {report.verdict.decision}")
    print("Whether the statement was signed, and by whom, is for `gh attestation verify` to say.")
    return 0


def _told_by(report: Report) -> str:
    """Which version can say more: another one may write the same report differently."""
    if report.gate == gate.__version__:
        return ""
    return f", as prodgate {gate.__version__} writes it; {report.gate} wrote it, so verify it with that version"


def _same(report: Report, name: str, path: Path) -> bool:
    from gate.render.formats import render_format

    return path.read_bytes() == render_format(report, name)
