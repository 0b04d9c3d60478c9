"""Define what publishing needs to know: the options of the call, and the context of the workflow run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, field

from gate.core.messages import Message
from gate.publish import context as workflow
from gate.publish.time_budget import TimeBudget
from gate.redaction.secrets import Redactor, default_redactor
from gate.report.provenance import event_payload, judged_commit

CONTEXT = "prodgate"
# Value of --compare and --baseline that fetches from GitHub instead of reading a file.
FETCH_FROM_BASE = "base"
MODES = ("always", "changes", "problems", "off")
Mode = Literal["always", "changes", "problems", "off"]
PERMISSIONS = "permissions: {contents: read, statuses: write, pull-requests: write}"


class Notice(Struct, frozen=True):
    """A message for the log of the step. `not_published`: a requested status was not set, so a GO must exit with 3."""

    message: Message
    level: Literal["notice", "warning", "error"] = "warning"
    not_published: bool = False


class RetryPolicy(Struct, frozen=True):
    """Times for requests to GitHub, in seconds. The delay doubles with every retry."""

    timeout: float = 15.0
    initial_delay: float = 1.0
    write_interval: float = 1.0


class Settings(Struct, frozen=True):
    """Where and what to publish.

    `run` is the id and the attempt of the workflow run: the larger pair is the newer run. `workflow` is the name of
    the workflow's file, by which the API finds it. `branch` is the branch whose rules decide about a merge, and
    `base_commit` its commit. `on_base`: the judged commit is on the default branch already. `pull` is the number of
    the pull request, `head_label` its `owner:branch` if the event does not name the number. `moved_roots` maps API
    paths of a renamed repository to those that GitHub redirected to.
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
    head_label: str = ""
    branch: str = ""
    base_commit: str = ""
    on_base: bool = False
    context: str = CONTEXT
    status: bool = False
    comment: Mode = "off"
    retry_policy: RetryPolicy = RetryPolicy()
    budget: TimeBudget = field(default_factory=TimeBudget)
    secrets: Redactor = field(default_factory=Redactor)
    moved_roots: dict[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Return a text without the token, for logs and tracebacks."""
        return f"Settings({self.repository!r}, {self.commit!r}, {self.context!r})"

    @property
    def enabled(self) -> bool:
        """Return whether anything is to be published."""
        return self.status or self.comment != "off"


def publish_settings(
    environment: Mapping[str, str] | None = None,
    *,
    status: bool = False,
    comment: Mode = "off",
    context: str = CONTEXT,
) -> Settings:
    """Return the settings for a workflow run, from its environment and its event. Never raises."""
    env = os.environ if environment is None else environment
    payload, repository = event_payload(env), env.get("GITHUB_REPOSITORY", "")
    run = workflow.run_number(env)
    server = env.get("GITHUB_SERVER_URL") or "https://github.com"
    token = workflow.find_token(env)
    secrets = default_redactor() if environment is None else Redactor.from_environment(env)
    secrets.add(token)
    return Settings(
        token=token,
        api_url=env.get("GITHUB_API_URL") or "https://api.github.com",
        repository=repository,
        event=env.get("GITHUB_EVENT_NAME", ""),
        commit=judged_commit(env),
        run=run,
        run_url=f"{server}/{repository}/actions/runs/{run[0]}/attempts/{run[1]}" if run[0] and repository else "",
        workflow=workflow.workflow_file(env),
        pull=workflow.pull_request_number(payload),
        head_label=workflow.head_label(payload),
        branch=workflow.target_branch(env, payload),
        base_commit=workflow.base_commit(payload),
        on_base=workflow.is_on_default_branch(env, payload),
        context=context,
        status=status,
        comment=comment,
        secrets=secrets,
    )
