"""One comment for each pull request and gate: found again by its mark and its author, and updated in place.

The mark stands in a hidden first line: the gate's context, the run that wrote it, and what is remembered of its report.
https://docs.github.com/en/rest/issues/comments
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from gate.messages import Message, say
from gate.model import Decision, Report
from gate.publish.github import GitHub, GitHubError, missing_rights
from gate.publish.settings import Notice, Settings
from gate.render import comment as page
from gate.report.memory import Memory, pack, remember, since, unpack

_MEMORY = 16_384
"""Characters that are spent on remembering a report."""
_MARK = re.compile(
    r"<!-- prodgate ([\w%.~/]{1,600}) (\d{1,19})\.(\d{1,9}) ([0-9a-f]{16}) ([A-Za-z0-9+/=]{0,65536}) -->"
)
_NOT_MADE = say("The comment on the pull request was not made")


@dataclass(frozen=True)
class Ours:
    """A comment that an earlier run of this gate made."""

    id: int
    run: tuple[int, int]
    said: str
    memory: Memory | None


def publish(report: Report, settings: Settings) -> list[Notice]:
    """Makes or updates the comment, as the mode says. Never raises: the verdict stands, whatever GitHub says."""
    if settings.comment == "off" or settings.pull is None or not settings.repository:
        return []
    if not settings.token:
        return [Notice(missing_rights(_NOT_MADE, GitHubError(say("there is no token"))))]
    try:
        return _published(GitHub(settings), report)
    except GitHubError as error:
        text = (
            missing_rights(_NOT_MADE, error)
            if error.rights
            else say("{what}: {why}", what=_NOT_MADE, why=error.message)
        )
        return [Notice(text)]


def _published(github: GitHub, report: Report) -> list[Notice]:
    settings = github.settings
    login = _login(github)
    before = _sole(github, login)
    if before and before.run > settings.run:
        return [Notice(_newer(before), "notice")]
    if not _wanted(report, before, settings):
        return []
    text = written(report, settings, before.memory if before else None)
    if before is None:
        _made(github, text)
        _sole(github, login)
        return []
    return _updated(github, before, text)


def _newer(before: Ours) -> Message:
    run = f"{before.run[0]}.{before.run[1]}"
    return say("The comment on the pull request is that of a newer run ({run}), and stays as it is", run=run)


def _updated(github: GitHub, before: Ours, text: str) -> list[Notice]:
    """Looks once more, right before writing, whether a newer run was faster."""
    path = f"{github.root}/issues/comments/{before.id}"
    now = _ours(github.get(path), github.settings)
    if now and now.run > github.settings.run:
        return [Notice(_newer(now), "notice")]
    github.patch(path, {"body": text})
    return []


def _wanted(report: Report, before: Ours | None, settings: Settings) -> bool:
    """Whether the mode wants a comment to be written now."""
    if settings.comment == "problems" and before is None:
        return report.verdict.decision is not Decision.GO
    if settings.comment == "changes" and before is not None and before.memory is not None:
        return bool(since(before.memory, report)) or _said(report) != before.said
    return True


def _said(report: Report) -> str:
    """A fingerprint of what a comment says of a verdict: numbers in it, such as times, make no difference."""
    verdict = report.verdict
    told = [verdict.decision.value, *(str(reason.message) for reason in (*verdict.reasons, *verdict.reservations))]
    text = re.sub(r"[0-9]+(?:\.[0-9]+)?", "0", "\n".join(told))
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def written(report: Report, settings: Settings, memory: Memory | None) -> str:
    """The text of the comment, its hidden mark first; nothing in it is secret."""
    mark = mark_of(report, settings)
    changed = since(memory, report) if memory else None
    room = page.LIMIT - len(mark) - 1
    body = page.render(report, report.language, changes=changed, limit=room, link=settings.run_url)
    return f"{mark}\n{settings.secrets.hide(body)}"[: page.LIMIT]


def mark_of(report: Report, settings: Settings) -> str:
    """The hidden line."""
    run = ".".join(map(str, settings.run))
    return f"<!-- prodgate {_name(settings.context)} {run} {_said(report)} {pack(remember(report), _MEMORY)} -->"


def _name(context: str) -> str:
    """A context without a space, and without what could end the hidden line."""
    return quote(context, safe="/").replace("-", "%2D")


def _sole(github: GitHub, login: str | None) -> Ours | None:
    """Our comment: the newest run's where two runs at once made several, of which the others are removed."""
    path = f"{github.root}/issues/{github.settings.pull}/comments"
    found = [ours for one in github.pages(path) if _by(one, login) and (ours := _ours(one, github.settings))]
    if not found:
        return None
    newest = max(found, key=lambda ours: ours.run)
    for ours in found:
        if ours is not newest:
            _removed(github, ours)
    return newest


def _removed(github: GitHub, ours: Ours) -> None:
    try:
        github.delete(f"{github.root}/issues/comments/{ours.id}")
    except GitHubError as error:
        if error.status != 404:
            raise


def _login(github: GitHub) -> str | None:
    """Who we are; None for the token of an app, such as that of a workflow, which may not ask."""
    try:
        return str(github.get("/user").get("login"))
    except GitHubError as error:
        if error.rights:
            return None
        raise


def _by(comment: Any, login: str | None) -> bool:
    """Whether a comment is by us: by our login, or by an app where we are one. A person's copy of our mark is not."""
    author = comment.get("user") or {}
    return author.get("login") == login if login else author.get("type") == "Bot"


def _ours(comment: Any, settings: Settings) -> Ours | None:
    """What the mark of a comment says, where it is this gate's."""
    found = _MARK.fullmatch(str(comment.get("body") or "").partition("\n")[0].strip())
    if not found or found[1].lower() != _name(settings.context).lower():
        return None
    return Ours(int(comment["id"]), (int(found[2]), int(found[3])), found[4], unpack(found[5]))


def _made(github: GitHub, text: str) -> None:
    path = f"{github.root}/issues/{github.settings.pull}/comments"
    github.post(path, {"body": text}, lambda: _last_like(github.pages(path), text))


def _last_like(comments: Iterable[Any], text: str) -> Any:
    return next((one for one in comments if one.get("body") == text), None)
