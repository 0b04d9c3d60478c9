"""Find the commit or the pull request that an event is about, if the event alone does not name it.

An `issue_comment` names a pull request, but no commit. A `workflow_run` of a fork names a commit, but no pull request.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from msgspec import structs

from gate.core.messages import Message, msg
from gate.publish.github import GitHub, GitHubError
from gate.publish.settings import Notice, Settings
from gate.report.provenance import NAMING_EVENTS, dig
from gate.source.git_index import head_commit

# Seconds: the run waits for it.
_TIME_LIMIT = 5.0
_NOTHING_PUBLISHED = msg("No commit status and no comment")
_NO_COMMENT = msg("No comment on a pull request")


def resolve_commit(settings: Settings, root: Path) -> tuple[Settings, list[Notice]]:
    """Return the settings with the commit of an event that names none, and a notice if it cannot be found.

    The commit is the head of the event's pull request, if that is what is checked out around `root`. About a commit
    that is not known for sure, neither a status nor a comment is published. Never raises.
    """
    if settings.commit or settings.event.startswith(NAMING_EVENTS):
        return settings, []
    silent = structs.replace(settings, status=False, comment="off")
    if settings.pull is None:
        why = msg("the event `{event}` is not about a commit", event=settings.event)
        return silent, _notices(_NOTHING_PUBLISHED, why)
    if not settings.token:
        return silent, _notices(_NOTHING_PUBLISHED, msg("no token to look up pull request {pull}", pull=settings.pull))
    try:
        github = GitHub(settings, _TIME_LIMIT)
        pull = github.get(f"{github.root}/pulls/{settings.pull}")
    except GitHubError as error:
        return silent, _notices(_NOTHING_PUBLISHED, error.message)
    head, checkout = str(dig(pull, "head", "sha") or ""), head_commit(root)
    # `refs/pull/N/merge` is checked out for the pull request's head, too.
    if head and checkout in (head, pull.get("merge_commit_sha")):
        branch = str(dig(pull, "base", "ref") or settings.branch)
        base = str(dig(pull, "base", "sha") or "")
        return structs.replace(settings, commit=head, branch=branch, base_commit=base), []
    return silent, _notices(_NOTHING_PUBLISHED, _wrong_checkout_message(settings, head, checkout))


def _wrong_checkout_message(settings: Settings, head: str, checkout: str) -> Message:
    return msg(
        "the event `{event}` names no commit, and the checkout ({checkout}) is not the head of pull request {pull} "
        "({head}); check out `refs/pull/{pull}/head`",
        event=settings.event,
        checkout=checkout or "?",
        head=head or "?",
        pull=settings.pull or 0,
    )


def resolve_pull(settings: Settings) -> tuple[Settings, list[Notice]]:
    """Return the settings with the open pull request whose head is the commit, and a notice if there is not one.

    Never raises.
    """
    if not (settings.token and settings.repository):
        return settings, []
    try:
        github = GitHub(settings, _TIME_LIMIT, optional=True)
        path = f"{github.root}/pulls?state=open&head={quote(settings.head_label, safe=':')}"
        pulls = [pull for pull in github.paginate(path) if dig(pull, "head", "sha") == settings.commit]
    except GitHubError as error:
        return settings, _notices(_NO_COMMENT, error.message)
    numbers: list[Any] = [pull.get("number") for pull in pulls]
    if len(numbers) == 1 and isinstance(numbers[0], int):
        return structs.replace(settings, pull=numbers[0]), []
    why = msg(
        "open pull requests from `{head}` at commit {commit}: {count}; expected 1",
        head=settings.head_label,
        commit=settings.commit,
        count=len(numbers),
    )
    return settings, _notices(_NO_COMMENT, why)


def _notices(what: Message, why: Message) -> list[Notice]:
    return [Notice(msg("{what}: {why}", what=what, why=why))]
