"""Implement `prodgate verify`: verify the checksums, the verdict and the rendered files of a report folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import gate

if TYPE_CHECKING:
    from gate.model import Report

SUMMARY = "verify the checksums of a report folder"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("folder", metavar="DIR", help="verify this folder, as written by `run --out`")


def run(options: argparse.Namespace) -> int:
    """Return 0 if every file is unchanged, else 1."""
    from gate.render.formats import FILE_NAMES
    from gate.report import seal
    from gate.report.serialization import read_report

    folder = Path(options.folder)
    report = read_report(folder / seal.REPORT)
    problems = seal.verify_seal(report, folder, list(FILE_NAMES.values()))
    if not problems:
        problems = [
            f"{file}: does not match {seal.REPORT}{_version_hint(report)}"
            for name, file in FILE_NAMES.items()
            if not _is_rendered_from(report, name, folder / file)
        ]
    if problems:
        print("\n".join(f"❌ {problem}" for problem in problems))
        print(f"prodgate: {folder}: changed since it was written")
        return 1
    count = len(FILE_NAMES) + len(seal.artifacts(report)) + 3
    print(f"prodgate: all {count} files are unchanged; the verdict is {report.verdict.decision}")
    print("To verify who signed the statement, run `gh attestation verify`.")
    return 0


def _version_hint(report: Report) -> str:
    """Return which version to verify with, if another one wrote the report: it may render differently."""
    if report.gate == gate.__version__:
        return ""
    return f" as rendered by prodgate {gate.__version__}; {report.gate} wrote it, so verify it with that version"


def _is_rendered_from(report: Report, name: str, path: Path) -> bool:
    from gate.render.formats import render_format

    return path.read_bytes() == render_format(report, name)
