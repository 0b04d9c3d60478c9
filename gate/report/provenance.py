"""What was judged: the commit and the run, from GitHub's environment or from git."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gate.model import Provenance

_EVENT_LIMIT = 32 * 2**20


def detect_provenance(root: Path, environment: Mapping[str, str] | None = None) -> Provenance:
    """The source as far as it is known: nothing here can fail a run."""
    known = os.environ if environment is None else environment
    if known.get("GITHUB_ACTIONS") != "true":
        commit, _, ref = run_git(root, "rev-parse", "HEAD", "--abbrev-ref", "HEAD").partition("\n")
        return Provenance(commit=commit, ref=ref, changed=_changed(root) if commit else ())
    run_id, repository = known.get("GITHUB_RUN_ID", ""), known.get("GITHUB_REPOSITORY", "")
    server = known.get("GITHUB_SERVER_URL", "https://github.com")
    return Provenance(
        commit=judged_commit(known),
        changed=_changed(root),
        ref=known.get("GITHUB_HEAD_REF") or known.get("GITHUB_REF_NAME", ""),
        repository=repository,
        event=known.get("GITHUB_EVENT_NAME", ""),
        run_id=run_id,
        run_attempt=known.get("GITHUB_RUN_ATTEMPT", ""),
        url=f"{server}/{repository}/actions/runs/{run_id}" if run_id and repository else "",
    )


def _changed(root: Path) -> tuple[str, ...]:
    """The files under git's control that are not as the commit has them. What is built beside them is none of these."""
    return tuple(run_git(root, "diff", "--name-only", "--no-renames", "-z", "HEAD", "--").split("\0")[:-1])


def judged_commit(known: Mapping[str, str]) -> str:
    """The commit that a verdict is about: of a pull request its head, never the test-merge commit.

    Empty where an event that is about another commit than the workflow's does not say which. Events: https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows
    """
    payload = event_payload(known)
    name = known.get("GITHUB_EVENT_NAME", "")
    if name.startswith("pull_request"):
        return str(_at(payload, "pull_request", "head", "sha") or "")
    if name == "workflow_run":
        return str(_at(payload, "workflow_run", "head_sha") or "")
    return known.get("GITHUB_SHA", "")


def event_payload(known: Mapping[str, str]) -> Any:
    """The payload of the event that started the workflow, or an empty mapping where it can't be read."""
    path = known.get("GITHUB_EVENT_PATH")
    try:
        if path and Path(path).stat().st_size <= _EVENT_LIMIT:
            return json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return {}


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def run_git(root: Path, *words: str) -> str:
    """What git says to a command, or nothing where it fails. The checkout may belong to somebody else."""
    command = ["git", "-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-C", str(root), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
