"""What publishing needs to know: who we are, where GitHub is, which commit and pull request are judged, what is wished.

Read from what the runner gives: https://docs.github.com/en/actions/reference/workflows-and-actions/variables
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, field

from gate.core.messages import Message
from gate.publish.time_budget import TimeBudget
from gate.redaction.secrets import Redactor
from gate.redaction.secrets import default_redactor as known_secrets
from gate.report.provenance import event_payload, judged_commit

CONTEXT = "prodgate"
MODES = ("always", "changes", "problems", "off")
Mode = Literal["always", "changes", "problems", "off"]
PERMISSIONS = "permissions: {contents: read, statuses: write, pull-requests: write}"
_MERGE_QUEUE = re.compile(r"(?:refs/heads/)?gh-readonly-queue/(.+)/pr-\d+-[0-9a-f]+")


class Notice(Struct, frozen=True):
    """Something to tell the people who read the log. `untold`: a status was wished, and GitHub has not taken it."""

    message: Message
    level: Literal["notice", "warning", "error"] = "warning"
    not_published: bool = False


class RetryPolicy(Struct, frozen=True):
    """How long GitHub is waited for, in seconds: at a request, the first pause, between writes."""

    timeout: float = 15.0
    initial_delay: float = 1.0
    write_interval: float = 1.0


class Settings(Struct, frozen=True):
    """Where and what to publish. `run` is the run's id and attempt: the larger one is the newer.

    `base_commit` is what the commit is to be merged into; `on_base`: it stands on the default branch already.
    `workflow` is the name of the workflow's file, by which GitHub knows it.
    """

    token: str = ""
    api_url: str = "https://api.github.com"
    repository: str = ""
    event: str = ""
    commit: str = ""
    run: tuple[int, int] = (0, 1)
    run_url: str = ""
    workflow: str = ""
    pull: int | None = None
    branch: str = ""
    base_commit: str = ""
    on_base: bool = False
    context: str = CONTEXT
    status: bool = False
    comment: Mode = "off"
    retry_policy: RetryPolicy = RetryPolicy()
    budget: TimeBudget = field(default_factory=TimeBudget)
    secrets: Redactor = field(default_factory=Redactor)

    def __repr__(self) -> str:
        """What may be shown: not the token."""
        return f"Settings({self.repository!r}, {self.commit!r}, {self.context!r})"

    @property
    def enabled(self) -> bool:
        """Whether anything is to be published."""
        return self.status or self.comment != "off"


def publish_settings(
    environment: Mapping[str, str] | None = None,
    *,
    status: bool = False,
    comment: Mode = "off",
    context: str = CONTEXT,
) -> Settings:
    """The settings of a run. `branch` is where the commit is to go, or stands; `pull` is None where there is none."""
    known = os.environ if environment is None else environment
    payload, repository = event_payload(known), known.get("GITHUB_REPOSITORY", "")
    run = (_number(known.get("GITHUB_RUN_ID")), _number(known.get("GITHUB_RUN_ATTEMPT")) or 1)
    server = known.get("GITHUB_SERVER_URL") or "https://github.com"
    token = token_of(known)
    secrets = known_secrets() if environment is None else Redactor.from_environment(known)
    secrets.add(token)
    return Settings(
        token=token,
        api_url=known.get("GITHUB_API_URL") or "https://api.github.com",
        repository=repository,
        event=known.get("GITHUB_EVENT_NAME", ""),
        commit=judged_commit(known),
        run=run,
        run_url=f"{server}/{repository}/actions/runs/{run[0]}/attempts/{run[1]}" if run[0] and repository else "",
        workflow=_workflow(known.get("GITHUB_WORKFLOW_REF", "")),
        pull=pull_request(payload),
        branch=branch(known, payload),
        base_commit=base_commit(payload),
        on_base=_on_base(known, payload),
        context=context,
        status=status,
        comment=comment,
        secrets=secrets,
    )


def token_of(known: Mapping[str, str]) -> str:
    """The token: the action's input, or the variables that GitHub's own tools read."""
    names = ("INPUT_GITHUB-TOKEN", "GH_TOKEN", "GITHUB_TOKEN")
    return next((known[name].strip() for name in names if known.get(name, "").strip()), "")


def pull_request(payload: Any) -> int | None:
    """The number of the pull request that an event is about."""
    runs = at(payload, "workflow_run", "pull_requests")
    first = runs[0] if isinstance(runs, list) and runs else None
    issue = at(payload, "issue", "number") if at(payload, "issue", "pull_request") else None
    found = at(payload, "pull_request", "number") or issue or at(first, "number")
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def branch(known: Mapping[str, str], payload: Any) -> str:
    """The branch whose rules decide: a pull request's or merge queue's base, the one pushed to, else the default."""
    name, ref = known.get("GITHUB_EVENT_NAME", ""), known.get("GITHUB_REF_NAME", "")
    base = known.get("GITHUB_BASE_REF") or at(payload, "pull_request", "base", "ref")
    if name == "merge_group":
        queue = _MERGE_QUEUE.fullmatch(ref)
        base = at(payload, "merge_group", "base_ref") or (queue[1] if queue else "")
    if (
        not base
        and name in ("push", "schedule", "workflow_dispatch")
        and known.get("GITHUB_REF_TYPE", "branch") == "branch"
    ):
        base = ref
    return str(base or at(payload, "repository", "default_branch") or "").removeprefix("refs/heads/")


def base_commit(payload: Any) -> str:
    """The commit that an event's commit is to be merged into; empty where none is named, or more than one."""
    pulls = at(payload, "workflow_run", "pull_requests")
    bases = {str(at(pull, "base", "sha") or "") for pull in pulls} if isinstance(pulls, list) else set()
    of_run = bases.pop() if len(bases) == 1 else ""
    return str(at(payload, "pull_request", "base", "sha") or at(payload, "merge_group", "base_sha") or of_run)


def _on_base(known: Mapping[str, str], payload: Any) -> bool:
    """Whether the commit is one of the default branch: what others are compared with.

    A schedule runs on no other branch, and its payload may be nothing but the schedule.
    """
    name, default = known.get("GITHUB_EVENT_NAME"), at(payload, "repository", "default_branch")
    pushed = name in ("push", "workflow_dispatch") and default
    return name == "schedule" or (bool(pushed) and known.get("GITHUB_REF") == f"refs/heads/{default}")


def at(value: Any, *keys: str) -> Any:
    """What stands at a path of keys, or None."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _workflow(ref: str) -> str:
    """The file of `owner/name/.github/workflows/file.yml@refs/heads/main`."""
    return ref.partition("@")[0].rpartition("/")[2]


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 20 else 0
