"""Parse the environment and the event of a workflow run.

Variables: https://docs.github.com/en/actions/reference/workflows-and-actions/variables
Payloads: https://docs.github.com/en/webhooks/webhook-events-and-payloads
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gate.report.provenance import dig

_MERGE_QUEUE = re.compile(r"(?:refs/heads/)?gh-readonly-queue/(.+)/pr-\d+-[0-9a-f]+")


def find_token(env: Mapping[str, str]) -> str:
    """Return the token from the action's input, or from the variables of GitHub's own tools; "" if there is none."""
    names = ("INPUT_GITHUB-TOKEN", "GH_TOKEN", "GITHUB_TOKEN")
    return next((env[name].strip() for name in names if env.get(name, "").strip()), "")


def run_number(env: Mapping[str, str]) -> tuple[int, int]:
    """Return the id and the attempt of the workflow run: the larger pair is the newer run."""
    return _parse_number(env.get("GITHUB_RUN_ID")), _parse_number(env.get("GITHUB_RUN_ATTEMPT")) or 1


def _parse_number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 20 else 0


def workflow_file(env: Mapping[str, str]) -> str:
    """Return `file.yml` of a reference such as `owner/name/.github/workflows/file.yml@refs/heads/main`."""
    return env.get("GITHUB_WORKFLOW_REF", "").partition("@")[0].rpartition("/")[2]


def pull_request_number(payload: Any) -> int | None:
    """Return the number of the pull request that an event is about, or None."""
    workflow_pulls = dig(payload, "workflow_run", "pull_requests")
    first_pull = workflow_pulls[0] if isinstance(workflow_pulls, list) and workflow_pulls else None
    # A comment on a pull request is an event of its issue.
    issue = dig(payload, "issue", "number") if dig(payload, "issue", "pull_request") else None
    number = dig(payload, "pull_request", "number") or issue or dig(first_pull, "number")
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def head_label(payload: Any) -> str:
    """Return `owner:branch` of the head of a `workflow_run`, by which its pull request is found; "" if not known."""
    owner = dig(payload, "workflow_run", "head_repository", "owner", "login")
    branch = dig(payload, "workflow_run", "head_branch")
    return f"{owner}:{branch}" if owner and branch else ""


def target_branch(env: Mapping[str, str], payload: Any) -> str:
    """Return the branch whose rules decide about a merge.

    It is the base of a pull request or merge queue, else the branch that the event is about, else the default branch.
    """
    event, ref = env.get("GITHUB_EVENT_NAME", ""), env.get("GITHUB_REF_NAME", "")
    base = env.get("GITHUB_BASE_REF") or dig(payload, "pull_request", "base", "ref")
    if event == "merge_group":
        queue = _MERGE_QUEUE.fullmatch(ref)
        base = dig(payload, "merge_group", "base_ref") or (queue[1] if queue else "")
    is_branch = env.get("GITHUB_REF_TYPE", "branch") == "branch"
    if not base and is_branch and event in ("push", "schedule", "workflow_dispatch"):
        base = ref
    return str(base or dig(payload, "repository", "default_branch") or "").removeprefix("refs/heads/")


def base_commit(payload: Any) -> str:
    """Return the commit that the event's commit will be merged into; "" if the event names none, or several."""
    pulls = dig(payload, "workflow_run", "pull_requests")
    bases = {str(dig(pull, "base", "sha") or "") for pull in pulls} if isinstance(pulls, list) else set()
    workflow_base = bases.pop() if len(bases) == 1 else ""
    pull_base, queue_base = dig(payload, "pull_request", "base", "sha"), dig(payload, "merge_group", "base_sha")
    return str(pull_base or queue_base or workflow_base)


def is_on_default_branch(env: Mapping[str, str], payload: Any) -> bool:
    """Return whether the commit is on the default branch already, so that others are compared with it."""
    event, default = env.get("GITHUB_EVENT_NAME"), dig(payload, "repository", "default_branch")
    # A schedule runs on the default branch only. Its payload may hold nothing but the schedule.
    if event == "schedule":
        return True
    return event in ("push", "workflow_dispatch") and bool(default) and env.get("GITHUB_REF") == f"refs/heads/{default}"
