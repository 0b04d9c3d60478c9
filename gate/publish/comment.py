"""One comment for each pull request and gate: found again by its mark and its author, and updated in place.

The mark stands in a hidden first line: the gate's context, the run that wrote it, and what is remembered of its report.
https://docs.github.com/en/rest/issues/comments
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from gate.core.messages import Message, msg
from gate.model import Decision, Report
from gate.publish import status
from gate.publish.github import GitHub, GitHubError, permission_message, unexpected_response_error
from gate.publish.settings import Notice, Settings, at
from gate.render import comment as page
from gate.report.diff import diff_items
from gate.report.snapshot import Snapshot, decode, encode, take_snapshot

_MEMORY = 16_384
"""Characters that are spent on remembering a report."""
_MARK = re.compile(
    r"<!-- prodgate ([\w%.~/]{1,600}) (\d{1,19})\.(\d{1,9}) ([0-9a-f]{16}) ([A-Za-z0-9+/=]{0,65536}) -->"
)
_RUN = re.compile(r"/actions/runs/(\d{1,19})/attempts/(\d{1,9})")
_TIMES = re.compile(r"[0-9]+(?:\.[0-9]+)? (?:ms|s|min(?: [0-9]+ s)?)\b")
_ACTIONS = "github-actions[bot]"
"""Who a workflow's own token stands for."""
_AT_MOST = 20.0
"""Seconds for all requests of a comment."""
_NOT_MADE = msg("The comment on the pull request was not made")


class GateComment(Struct, frozen=True):
    """A comment that an earlier run of this gate made."""

    id: int
    run: tuple[int, int]
    said: str
    memory: Snapshot | None
    body: str


def publish(report: Report, settings: Settings) -> list[Notice]:
    """Makes or updates the comment, as the mode says. Never raises: the verdict stands, whatever GitHub says."""
    if settings.comment == "off" or settings.pull is None or not settings.repository:
        return []
    if not settings.token:
        return [Notice(permission_message(_NOT_MADE, GitHubError(msg("there is no token"))))]
    try:
        return _published(GitHub(settings, _AT_MOST, optional=True), report)
    except GitHubError as error:
        text = (
            permission_message(_NOT_MADE, error)
            if error.rights
            else msg("{what}: {why}", what=_NOT_MADE, why=error.message)
        )
        return [Notice(text)]


def _published(github: GitHub, report: Report) -> list[Notice]:
    settings = github.settings
    before = _deduplicate(github, _login(github))
    if before is None:
        return _first(github, report)
    if before.run > settings.run:
        return [Notice(_newer(before.run), "notice")]
    if _wanted(report, before, settings):
        return _updated(github, before, comment_body(report, settings, before.memory))
    return _updated(github, before, _rebrand(before, settings.run))


def _first(github: GitHub, report: Report) -> list[Notice]:
    """Makes the comment where the mode wants one."""
    settings = github.settings
    if settings.comment == "problems":
        if report.verdict.decision is Decision.GO:
            return []
        if (run := _last_run(github)) > settings.run:
            return [Notice(_newer(run), "notice")]
    _deduplicate(github, _made(github, comment_body(report, settings, None)))
    return []


def _last_run(github: GitHub) -> tuple[int, int]:
    """The newest run that has set our status on the pull request; (0, 0) where that is not to be seen."""
    path = f"{github.root}/pulls/{github.settings.pull}"
    try:
        last = status.latest_status(github, str(at(github.get(path), "head", "sha")))
    except GitHubError as error:
        if error.rights:
            return 0, 0
        raise
    found = _RUN.search(str(at(last, "target_url")))
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _rebrand(before: GateComment, run: tuple[int, int]) -> str:
    """The comment as it is, in the name of a newer run that has nothing to add: an older one must not overwrite it."""
    return before.body.replace(f" {before.run[0]}.{before.run[1]} ", f" {run[0]}.{run[1]} ", 1)


def _newer(run: tuple[int, int]) -> Message:
    return msg(
        "The comment on the pull request is that of a newer run ({run}), and stays as it is", run=f"{run[0]}.{run[1]}"
    )


def _updated(github: GitHub, before: GateComment, text: str) -> list[Notice]:
    """Looks once more, right before writing, whether a newer run was faster."""
    path = f"{github.root}/issues/comments/{before.id}"
    now = _parse_comment(github.get(path), github.settings)
    if now and now.run > github.settings.run:
        return [Notice(_newer(now.run), "notice")]
    github.patch(path, {"body": text})
    return []


def _wanted(report: Report, before: GateComment, settings: Settings) -> bool:
    """Whether the mode wants the comment to be written anew."""
    if settings.comment == "changes" and before.memory is not None:
        return bool(diff_items(report, before.memory)) or _fingerprint(report) != before.said
    return True


def _fingerprint(report: Report) -> str:
    """A fingerprint of what a comment says of a verdict: how long something took makes no difference."""
    verdict = report.verdict
    told = [verdict.decision.value, *(str(reason.message) for reason in (*verdict.reasons, *verdict.reservations))]
    text = _TIMES.sub("0", "\n".join(told))
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def comment_body(report: Report, settings: Settings, memory: Snapshot | None) -> str:
    """The text of the comment, its hidden mark first; nothing in it is secret."""
    mark = hidden_marker(report, settings)
    changed = diff_items(report, memory) if memory else None
    room = page.LIMIT - len(mark) - 1
    body = page.render(report, report.language, changes=changed, limit=room, link=settings.run_url)
    return f"{mark}\n{settings.secrets.redact(body)}"[: page.LIMIT]


def hidden_marker(report: Report, settings: Settings) -> str:
    """The hidden line."""
    run = ".".join(map(str, settings.run))
    snapshot = encode(take_snapshot(report), _MEMORY)
    return f"<!-- prodgate {_name(settings.context)} {run} {_fingerprint(report)} {snapshot} -->"


def _name(context: str) -> str:
    """A context without a space, and without what could end the hidden line."""
    return quote(context, safe="/").replace("-", "%2D")


def _deduplicate(github: GitHub, login: str) -> GateComment | None:
    """Our comment: the newest run's where two runs at once made several, of which the others are removed."""
    path = f"{github.root}/issues/{github.settings.pull}/comments"
    ours = [_parse_comment(one, github.settings) for one in github.paginate(path) if at(one, "user", "login") == login]
    found = [one for one in ours if one]
    if not found:
        return None
    newest = max(found, key=lambda one: one.run)
    for one in found:
        if one is not newest:
            _removed(github, one)
    return newest


def _removed(github: GitHub, ours: GateComment) -> None:
    try:
        github.delete(f"{github.root}/issues/comments/{ours.id}")
    except GitHubError as error:
        if error.status != 404:
            raise


def _login(github: GitHub) -> str:
    """Who we are. An app may not ask: it is who has set this run's status, and else the one of every workflow."""
    try:
        return _text("/user", github.get("/user"), "login")
    except GitHubError as error:
        if not error.rights:
            raise
    return _setter(github) or _ACTIONS


def _setter(github: GitHub) -> str:
    """Who has set this run's status; empty where it has none."""
    settings = github.settings
    try:
        last = status.latest_status(github, settings.commit) if settings.status and settings.run_url else None
    except GitHubError as error:
        if error.rights:
            return ""
        raise
    return str(at(last, "creator", "login") or "") if at(last, "target_url") == settings.run_url else ""


def _text(path: str, response: dict[str, Any], *keys: str) -> str:
    """A text that stands in an answer. Raises GitHubError where it does not."""
    found = at(response, *keys)
    if not isinstance(found, str) or not found:
        raise unexpected_response_error("GET", path)
    return found


def _parse_comment(comment: dict[str, Any], settings: Settings) -> GateComment | None:
    """What the mark of a comment says, where it is this gate's."""
    number, body = comment.get("id"), str(comment.get("body") or "")
    found = _MARK.fullmatch(body.partition("\n")[0].strip())
    if not found or found[1].lower() != _name(settings.context).lower() or type(number) is not int:
        return None
    return GateComment(number, (int(found[2]), int(found[3])), found[4], decode(found[5]), body)


def _made(github: GitHub, text: str) -> str:
    """Makes the comment. Returns by whom it is."""
    path = f"{github.root}/issues/{github.settings.pull}/comments"
    made = github.post(path, {"body": text}, lambda: _find_identical(github.paginate(path), text))
    return _text(path, made, "user", "login")


def _find_identical(comments: Iterable[Any], text: str) -> Any:
    return next((one for one in comments if one.get("body") == text), None)
