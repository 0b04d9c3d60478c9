"""`prodgate init`: looks at the repository and writes a first checklist and workflow. Overwrites nothing."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

SUMMARY = "look at the repository and write a first checklist and workflow; overwrite nothing"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("root", nargs="?", default=".", metavar="DIR", help="the repository (default: here)")
    parser.add_argument("--service", help="the name of the service (default: the folder's name)")


def main(options: argparse.Namespace) -> int:
    """0 where both files are there now, written or kept; 2 where the folder cannot be used."""
    from gate.checklist.load import load_text
    from gate.scaffold.checklist import checklist
    from gate.scaffold.scan import scan
    from gate.scaffold.wiring import wire
    from gate.scaffold.workflow import workflow

    root = Path(options.root)
    if not root.is_dir():
        print(f"prodgate: {root} is no folder, expected a repository", file=sys.stderr)
        return 2
    found = scan(root)
    made = wire(found)
    text = checklist(found, made, options.service or root.resolve().name or "service")
    load_text(text, "prodgate.yml", {})
    try:
        _put(root / "prodgate.yml", text)
        _put(root / ".github" / "workflows" / "prodgate.yml", workflow(found, made))
    except OSError as error:
        print(f"prodgate: {error.filename} cannot be written: {error.strerror}", file=sys.stderr)
        return 2
    print("Next: prodgate validate, prodgate plan, prodgate run")
    return 0


def _put(path: Path, text: str) -> None:
    """Writes a file that is not there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
        print(f"{path}: written")
    except FileExistsError:
        print(f"{path}: kept, it is there already")
