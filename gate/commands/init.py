"""Implement `prodgate init`: scan the repository and write a first checklist and workflow."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

SUMMARY = "scan the repository and write a first checklist and workflow; keep existing files"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        "root", nargs="?", default=".", metavar="DIR", help="scan this repository, or a folder of it (default: .)"
    )
    parser.add_argument(
        "--compose", action="store_true", help="use the services of the Compose project as targets, as they are"
    )
    parser.add_argument(
        "--job-network",
        action="store_true",
        help="with --compose: make the job's network the project's default network",
    )
    parser.add_argument("--service", metavar="NAME", help="name the service (default: the folder's name)")


def run(options: argparse.Namespace) -> int:
    """Return 0 if both files exist now, written or kept; 2 if the folder can't be used."""
    from gate.checklist.load import load_text
    from gate.scaffold.proposals.compose import OVERRIDE, propose_project
    from gate.scaffold.proposals.drills import propose_drills
    from gate.scaffold.proposals.wiring import wire
    from gate.scaffold.scan import scan
    from gate.scaffold.writers.checklist import checklist
    from gate.scaffold.writers.compose import override
    from gate.scaffold.writers.summary import summary
    from gate.scaffold.writers.workflow import job_services, workflow

    folder = Path(options.root)
    if not folder.is_dir():
        print(f"prodgate: {folder}: not a folder; expected a repository", file=sys.stderr)
        return 2
    result = scan(folder)
    project = propose_project(result, job_network=options.job_network) if options.compose else None
    if options.compose and project is None:
        print(f"prodgate: {folder}: no Compose file was found; leave out --compose", file=sys.stderr)
        return 2
    wiring = wire(result, project)
    if options.job_network and not (project and job_services(result, wiring)):
        # GitHub gives a job a network only if it has services.
        why = "the workflow has no `services:`" if project else "--compose is missing"
        print(f"prodgate: --job-network: {why}; add it, or leave out --job-network", file=sys.stderr)
        return 2
    drills = propose_drills(result, wiring)
    service = options.service or folder.resolve().name or "service"
    text = checklist(result, wiring, drills, service)
    load_text(text, "prodgate.yml", {})
    below = result.files.folder != "."
    path = f"{result.files.folder}/prodgate.yml" if below else "prodgate.yml"
    name = f"prodgate-{folder.resolve().name}" if below else "prodgate"
    job = workflow(result, wiring, path, f"prodgate/{folder.resolve().name}" if below else "")
    try:
        _write_if_missing(folder / "prodgate.yml", text)
        if project and (changes := override(project)):
            _write_if_missing(folder / OVERRIDE, changes)
        # GitHub reads workflows at the root of the repository only.
        top = result.files.root if below else folder
        _write_if_missing(top / ".github" / "workflows" / f"{name}.yml", job)
    except OSError as error:
        print(f"prodgate: {error.filename}: cannot be written: {error.strerror}", file=sys.stderr)
        return 2
    print(summary(result, wiring, drills, path))
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
