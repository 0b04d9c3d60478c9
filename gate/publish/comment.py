"""Keep one comment per pull request and gate: find it by its marker and author, and update it in place.

The marker is a hidden first line: the gate's context, the run that wrote it, and a snapshot of its report.
https://docs.github.com/en/rest/issues/comments
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from gate.core.messages import Message, msg
from gate.model import Decision, Report
from gate.publish import status
from gate.publish.github import GitHub, GitHubError, permission_message, unexpected_response_error
from gate.publish.settings import Notice, Settings
from gate.render import comment as page
from gate.render import escape_markdown
from gate.report.diff import diff_items
from gate.report.provenance import dig
from gate.report.snapshot import Snapshot, decode, encode, take_snapshot

# Characters of a snapshot: the rest of the comment needs the space.
_SNAPSHOT_LIMIT = 16_384
_MARKER = re.compile(
    r"<!-- prodgate ([\w%.~/]{1,600}) (\d{1,19})\.(\d{1,9}) ([0-9a-f]{16}) ([A-Za-z0-9+/=]{0,65536}) -->"
)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_RUN_URL = re.compile(r"/actions/runs/(\d{1,19})/attempts/(\d{1,9})")
_DURATIONS = re.compile(r"[0-9]+(?:\.[0-9]+)? (?:ms|s|min(?: [0-9]+ s)?)\b")
# The author of comments that are written with a workflow's own token.
_ACTIONS_LOGIN = "github-actions[bot]"
# Seconds for all requests of a comment.
_TIME_LIMIT = 20.0
# Characters of the reason why a run has no verdict.
_WHY_LIMIT = 2000
_NOT_WRITTEN = msg("The comment on the pull request was not written")


class GateComment(Struct, frozen=True):
    """A comment of an earlier run of this gate."""

    id: int
    run: tuple[int, int]
    fingerprint: str
    snapshot: Snapshot | None
    body: str
    updated: str

    @property
    def run_id(self) -> str:
        """Return the run as the marker has it."""
        return run_id(self.run)


def publish(report: Report, settings: Settings) -> list[Notice]:
    """Write the comment as its mode requires. Never raises: return a notice if it could not be written."""
    if settings.comment == "off" or settings.pull is None or not settings.repository:
        return []
    if not settings.token:
        return [Notice(permission_message(_NOT_WRITTEN, GitHubError(msg("no token"))))]
    try:
        return _publish(GitHub(settings, _TIME_LIMIT, optional=True), report)
    except GitHubError as error:
        return [Notice(_failure_message(settings, error))]


def _failure_message(settings: Settings, error: GitHubError) -> Message:
    """Return why the comment was not written. GitHub refuses a locked conversation like a missing permission."""
    if not error.forbidden:
        return msg("{what}: {why}", what=_NOT_WRITTEN, why=error.message)
    if _is_locked(settings):
        return msg(
            "{what}: the conversation of pull request {pull} is locked; unlock it, or set `comment: off`",
            what=_NOT_WRITTEN,
            pull=settings.pull or 0,
        )
    return permission_message(_NOT_WRITTEN, error)


def _is_locked(settings: Settings) -> bool:
    try:
        github = GitHub(settings, _TIME_LIMIT, optional=True)
        return github.get(f"{github.root}/issues/{settings.pull}").get("locked") is True
    except GitHubError:
        return False


def publish_no_verdict(settings: Settings, why: str) -> list[Notice]:
    """Replace the text of an earlier run's comment: this run has no verdict, because of `why`. Never raises.

    A run without a verdict creates no comment: there is nothing on the pull request that its commit did not earn.
    """
    if settings.comment == "off" or settings.pull is None or not (settings.repository and settings.token):
        return []
    try:
        github = GitHub(settings, _TIME_LIMIT, optional=True)
        before = _deduplicate(github, _login(github))
        if before is None or before.run >= settings.run:
            return []
        return _update(github, before, _no_verdict_body(settings, before, why))
    except GitHubError as error:
        return [Notice(msg("{what}: {why}", what=_NOT_WRITTEN, why=error.message))]


def _no_verdict_body(settings: Settings, before: GateComment, why: str) -> str:
    """Return the text of the comment. The next run compares itself with the last one that had a verdict."""
    marker = before.body.partition("\n")[0].replace(f" {before.run_id} ", f" {run_id(settings.run)} ", 1)
    reason = escape_markdown.escape(settings.secrets.redact(why)[:_WHY_LIMIT])
    commit = escape_markdown.code(settings.commit or "?")
    lines = [
        f"{marker}\n## \N{COLLISION SYMBOL} No verdict for {commit}",
        reason,
        f"The verdict that stood here was an earlier run's. [The run]({settings.run_url}) without a verdict.",
    ]
    return "\n\n".join(lines)


def _publish(github: GitHub, report: Report) -> list[Notice]:
    settings = github.settings
    before = _deduplicate(github, _login(github))
    if before is None:
        return _create_if_wanted(github, report)
    if before.run > settings.run:
        return [Notice(_newer_run_message(before.run), "notice")]
    if _needs_update(report, before, settings):
        return _update(github, before, comment_body(report, settings, before.snapshot))
    return _update(github, before, _rebrand(before, settings.run))


def _create_if_wanted(github: GitHub, report: Report) -> list[Notice]:
    """Create the comment if its mode requires one."""
    settings = github.settings
    if settings.comment == "problems":
        if report.verdict.decision is Decision.GO:
            return []
        # A newer run without problems wrote no comment: only its status shows that this run is outdated.
        if (run := _run_of_status(github)) > settings.run:
            return [Notice(_newer_run_message(run), "notice")]
    login, created = _create(github, comment_body(report, settings, None))
    # Another run may have created a comment since the scan that found none, which took less than this.
    since = (datetime.fromisoformat(created) - timedelta(seconds=2 * _TIME_LIMIT)).strftime("%Y-%m-%dT%H:%M:%SZ")
    _deduplicate(github, login, since)
    return []


def _run_of_status(github: GitHub) -> tuple[int, int]:
    """Return the newest run that set this gate's status on the pull request; (0, 0) if the token may not read it."""
    path = f"{github.root}/pulls/{github.settings.pull}"
    try:
        last = status.latest_status(github, str(dig(github.get(path), "head", "sha")))
    except GitHubError as error:
        if error.forbidden:
            return 0, 0
        raise
    match = _RUN_URL.search(str(dig(last, "target_url")))
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _rebrand(before: GateComment, run: tuple[int, int]) -> str:
    """Return the unchanged comment in the name of a newer run, so that an older one does not overwrite it."""
    return before.body.replace(f" {before.run_id} ", f" {run_id(run)} ", 1)


def _newer_run_message(run: tuple[int, int]) -> Message:
    return msg("The comment on the pull request is from a newer run ({run}) and was not changed", run=run_id(run))


def _update(github: GitHub, before: GateComment, text: str) -> list[Notice]:
    """Replace the text of a comment, unless a newer run wrote it meanwhile."""
    # GitHub has no conditional update. Reading right before writing leaves a race of one request.
    path = f"{github.root}/issues/comments/{before.id}"
    current = _parse_comment(github.get(path), github.settings)
    if current and current.run > github.settings.run:
        return [Notice(_newer_run_message(current.run), "notice")]
    github.patch(path, {"body": text})
    return []


def _needs_update(report: Report, before: GateComment, settings: Settings) -> bool:
    """Return whether the mode requires a new text."""
    if settings.comment == "changes" and before.snapshot is not None:
        return bool(diff_items(report, before.snapshot)) or _fingerprint(report) != before.fingerprint
    return True


def _fingerprint(report: Report) -> str:
    """Return a hash of the verdict with its reasons and reservations, without the durations in them."""
    verdict = report.verdict
    lines = [verdict.decision.value, *(str(reason.message) for reason in (*verdict.reasons, *verdict.reservations))]
    text = _DURATIONS.sub("0", "\n".join(lines))
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def comment_body(report: Report, settings: Settings, before: Snapshot | None) -> str:
    """Return the redacted text of the comment, the hidden marker first. `before` is the last run's snapshot."""
    marker = hidden_marker(report, settings)
    changes = diff_items(report, before) if before else None
    room = page.LIMIT - len(marker) - 1
    body = page.render(report, report.language, changes=changes, limit=room, link=settings.run_url)
    return f"{marker}\n{settings.secrets.redact(body)}"[: page.LIMIT]


def hidden_marker(report: Report, settings: Settings) -> str:
    """Return the hidden first line of the comment."""
    run, context = run_id(settings.run), _encode_context(settings.context)
    snapshot = encode(take_snapshot(report), _SNAPSHOT_LIMIT)
    return f"<!-- prodgate {context} {run} {_fingerprint(report)} {snapshot} -->"


def run_id(run: tuple[int, int]) -> str:
    """Return the id and the attempt of a run as the marker has them."""
    return f"{run[0]}.{run[1]}"


def _encode_context(context: str) -> str:
    """Return a context without spaces and without `--`, which would end the hidden HTML comment."""
    return quote(context, safe="/").replace("-", "%2D")


def _deduplicate(github: GitHub, login: str, since: str = "") -> GateComment | None:
    """Return this gate's comment by `login`, or None.

    Delete all but the newest if runs at the same time created several. `since` is the time in ISO 8601 before which
    there is none.
    """
    path = f"{github.root}/issues/{github.settings.pull}/comments"
    first = next(_own_comments(github, login, f"{path}?since={since}" if since else path), None)
    if first is None:
        return None
    # A pull request may have thousands of comments: whoever wrote this one had seen all that came before.
    later = _own_comments(github, login, f"{path}?since={first.updated}")
    comments = {comment.id: comment for comment in (first, *later)}
    newest = max(comments.values(), key=lambda comment: comment.run)
    for comment in comments.values():
        if comment is not newest:
            _delete(github, comment)
    return newest


def _own_comments(github: GitHub, login: str, path: str) -> Iterator[GateComment]:
    for entry in github.paginate(path):
        if dig(entry, "user", "login") == login and (comment := _parse_comment(entry, github.settings)):
            yield comment


def _delete(github: GitHub, comment: GateComment) -> None:
    """Delete a comment, which another run may have deleted already."""
    try:
        github.delete(f"{github.root}/issues/comments/{comment.id}")
    except GitHubError as error:
        if error.status != 404:
            raise


def _login(github: GitHub) -> str:
    """Return the login that this run's token stands for."""
    try:
        return _require_text("/user", github.get("/user"), "login")
    except GitHubError as error:
        if not error.forbidden:
            raise
    # An app may not read `/user`: use the login that set this run's status, or else the one of all workflows.
    return _status_author(github) or _ACTIONS_LOGIN


def _status_author(github: GitHub) -> str:
    """Return the login that set this run's status; "" if there is none, or the token may not read it."""
    settings = github.settings
    try:
        last = status.latest_status(github, settings.commit) if settings.status and settings.run_url else None
    except GitHubError as error:
        if error.forbidden:
            return ""
        raise
    return str(dig(last, "creator", "login") or "") if dig(last, "target_url") == settings.run_url else ""


def _require_text(path: str, response: dict[str, Any], *keys: str) -> str:
    """Return the text at a path of keys in a response. Raise GitHubError if there is none."""
    text = dig(response, *keys)
    if not isinstance(text, str) or not text:
        raise unexpected_response_error("GET", path)
    return text


def _parse_comment(comment: dict[str, Any], settings: Settings) -> GateComment | None:
    """Return a comment with this gate's marker; None for any other comment."""
    comment_id, body = comment.get("id"), str(comment.get("body") or "")
    marker = _MARKER.fullmatch(body.partition("\n")[0].strip())
    if not marker or marker[1].lower() != _encode_context(settings.context).lower() or type(comment_id) is not int:
        return None
    run, updated = (int(marker[2]), int(marker[3])), str(comment.get("updated_at"))
    if not _TIME.fullmatch(updated):
        return None
    return GateComment(comment_id, run, marker[4], decode(marker[5]), body, updated)


def _create(github: GitHub, text: str) -> tuple[str, str]:
    """Create the comment and return the login of its author and its time in ISO 8601."""
    path = f"{github.root}/issues/{github.settings.pull}/comments"
    created = github.post(path, {"body": text}, lambda: _find_identical(github.paginate(path), text))
    when = _require_text(path, created, "created_at")
    if not _TIME.fullmatch(when):
        raise unexpected_response_error("POST", path)
    return _require_text(path, created, "user", "login"), when


def _find_identical(comments: Iterable[Any], text: str) -> Any:
    return next((comment for comment in comments if comment.get("body") == text), None)
