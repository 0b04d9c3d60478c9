"""Implement `prodgate init`: scan the repository and write a first checklist and workflow."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

SUMMARY = "scan the repository and write a first checklist and workflow; keep existing files"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("root", nargs="?", default=".", metavar="DIR", help="scan this repository (default: .)")
    parser.add_argument("--service", metavar="NAME", help="name the service (default: the folder's name)")


def run(options: argparse.Namespace) -> int:
    """Return 0 if both files exist now, written or kept; 2 if the folder can't be used."""
    from gate.checklist.load import load_text
    from gate.scaffold.checklist import checklist
    from gate.scaffold.scan import scan
    from gate.scaffold.wiring import wire
    from gate.scaffold.workflow import workflow

    root = Path(options.root)
    if not root.is_dir():
        print(f"prodgate: {root}: not a folder; expected a repository", file=sys.stderr)
        return 2
    found = scan(root)
    wiring = wire(found)
    text = checklist(found, wiring, options.service or root.resolve().name or "service")
    load_text(text, "prodgate.yml", {})
    try:
        _write_if_missing(root / "prodgate.yml", text)
        _write_if_missing(root / ".github" / "workflows" / "prodgate.yml", workflow(found, wiring))
    except OSError as error:
        print(f"prodgate: {error.filename}: cannot be written: {error.strerror}", file=sys.stderr)
        return 2
    print("Next: prodgate validate, prodgate plan, prodgate run")
    return 0


def _write_if_missing(path: Path, text: str) -> None:
    """Write a file unless it exists, and print which."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
        print(f"{path}: written")
    except FileExistsError:
        print(f"{path}: kept, it exists already")
