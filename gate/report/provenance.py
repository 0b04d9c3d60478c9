"""Detect which commit a run judges, and the workflow run it belongs to, from GitHub's environment or from git."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gate.model import Provenance
from gate.source.git_index import head_commit

# Bytes of an event's payload.
_EVENT_LIMIT = 32 * 2**20
# Events whose GITHUB_SHA is the commit that they are about. Of any other, such as `issue_comment`, it is the newest
# commit of the default branch, whatever the workflow checks out.
_EVENTS_OF_A_COMMIT = (
    "create",
    "deployment",
    "deployment_status",
    "merge_group",
    "push",
    "release",
    "repository_dispatch",
    "schedule",
    "workflow_dispatch",
)
# Prefixes of events whose payload names the commit: without it, the payload is broken, and no commit is known.
NAMING_EVENTS = ("pull_request", "workflow_run", "check_", "status")
# Seconds: no run may fail, or wait long, because git is slow.
_GIT_TIMEOUT = 5


def detect_provenance(root: Path, environment: Mapping[str, str] | None = None) -> Provenance:
    """Return the provenance of a run, with empty fields for what cannot be detected. Never raises."""
    env = os.environ if environment is None else environment
    if env.get("GITHUB_ACTIONS") != "true":
        commit, _, ref = run_git(root, "rev-parse", "HEAD", "--abbrev-ref", "HEAD").partition("\n")
        return Provenance(commit=commit, ref=ref, changed=_changed_files(root) if commit else ())
    run_id, repository = env.get("GITHUB_RUN_ID", ""), env.get("GITHUB_REPOSITORY", "")
    server = env.get("GITHUB_SERVER_URL", "https://github.com")
    return Provenance(
        # An event that is not about a commit, such as a comment: what is judged is what is checked out.
        commit=judged_commit(env)
        or ("" if env.get("GITHUB_EVENT_NAME", "").startswith(NAMING_EVENTS) else head_commit(root)),
        changed=_changed_files(root),
        ref=env.get("GITHUB_HEAD_REF") or env.get("GITHUB_REF_NAME", ""),
        repository=repository,
        event=env.get("GITHUB_EVENT_NAME", ""),
        run_id=run_id,
        run_attempt=env.get("GITHUB_RUN_ATTEMPT", ""),
        url=f"{server}/{repository}/actions/runs/{run_id}" if run_id and repository else "",
    )


def _changed_files(root: Path) -> tuple[str, ...]:
    """Return the tracked files that differ from the commit. Untracked files, such as build output, do not count."""
    return tuple(run_git(root, "diff", "--name-only", "--no-renames", "-z", "HEAD", "--").split("\0")[:-1])


def judged_commit(env: Mapping[str, str]) -> str:
    """Return the commit that a verdict is about, or "" if the event should name one and does not.

    Events: https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows
    """
    # Of a pull request GITHUB_SHA is the test merge commit, on which nobody sees a status; of a `workflow_run` it is
    # the newest commit of the default branch. Without the event's own commit, no commit is better than the wrong one.
    payload = event_payload(env)
    name = env.get("GITHUB_EVENT_NAME", "")
    if name.startswith("pull_request"):
        return str(dig(payload, "pull_request", "head", "sha") or "")
    if name in ("workflow_run", "check_run", "check_suite"):
        return str(dig(payload, name, "head_sha") or "")
    if name == "status":
        return str(dig(payload, "sha") or "")
    return env.get("GITHUB_SHA", "") if name in _EVENTS_OF_A_COMMIT else ""


def event_payload(env: Mapping[str, str]) -> Any:
    """Return the payload of the event that started the workflow; an empty mapping if it cannot be read."""
    path = env.get("GITHUB_EVENT_PATH")
    try:
        if path and Path(path).stat().st_size <= _EVENT_LIMIT:
            return json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return {}


def dig(value: Any, *keys: str) -> Any:
    """Return the value at a path of keys in nested mappings, or None."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def run_git(root: Path, *arguments: str) -> str:
    """Return the output of a git command without surrounding white space; "" if it fails."""
    # In a container action the checkout belongs to another user, which git refuses unless the directory is safe. A
    # file system monitor is a program of the checkout's choice.
    command = ["git", "-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-C", str(root), *arguments]
    try:
        process = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_GIT_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return process.stdout.strip() if process.returncode == 0 else ""
