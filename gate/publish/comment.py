"""Keep one comment per pull request and gate: find it by its marker and author, and update it in place.

The marker is a hidden first line: the gate's context, the run that wrote it, and a snapshot of its report.
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
from gate.publish.settings import Notice, Settings
from gate.render import comment as page
from gate.report.diff import diff_items
from gate.report.provenance import dig
from gate.report.snapshot import Snapshot, decode, encode, take_snapshot

# Characters of a snapshot: the rest of the comment needs the space.
_SNAPSHOT_LIMIT = 16_384
_MARKER = re.compile(
    r"<!-- prodgate ([\w%.~/]{1,600}) (\d{1,19})\.(\d{1,9}) ([0-9a-f]{16}) ([A-Za-z0-9+/=]{0,65536}) -->"
)
_RUN_URL = re.compile(r"/actions/runs/(\d{1,19})/attempts/(\d{1,9})")
_DURATIONS = re.compile(r"[0-9]+(?:\.[0-9]+)? (?:ms|s|min(?: [0-9]+ s)?)\b")
# The author of comments that are written with a workflow's own token.
_ACTIONS_LOGIN = "github-actions[bot]"
# Seconds for all requests of a comment.
_TIME_LIMIT = 20.0
_NOT_WRITTEN = msg("The comment on the pull request was not written")


class GateComment(Struct, frozen=True):
    """A comment of an earlier run of this gate."""

    id: int
    run: tuple[int, int]
    fingerprint: str
    snapshot: Snapshot | None
    body: str


def publish(report: Report, settings: Settings) -> list[Notice]:
    """Write the comment as its mode requires. Never raises: return a notice if it could not be written."""
    if settings.comment == "off" or settings.pull is None or not settings.repository:
        return []
    if not settings.token:
        return [Notice(permission_message(_NOT_WRITTEN, GitHubError(msg("no token"))))]
    try:
        return _publish(GitHub(settings, _TIME_LIMIT, optional=True), report)
    except GitHubError as error:
        text = (
            permission_message(_NOT_WRITTEN, error)
            if error.forbidden
            else msg("{what}: {why}", what=_NOT_WRITTEN, why=error.message)
        )
        return [Notice(text)]


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
    # Another run may have created a comment at the same time.
    _deduplicate(github, _create(github, comment_body(report, settings, None)))
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
    return before.body.replace(f" {before.run[0]}.{before.run[1]} ", f" {run[0]}.{run[1]} ", 1)


def _newer_run_message(run: tuple[int, int]) -> Message:
    return msg(
        "The comment on the pull request is from a newer run ({run}) and was not changed", run=f"{run[0]}.{run[1]}"
    )


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
    run = ".".join(map(str, settings.run))
    snapshot = encode(take_snapshot(report), _SNAPSHOT_LIMIT)
    return f"<!-- prodgate {_encode_context(settings.context)} {run} {_fingerprint(report)} {snapshot} -->"


def _encode_context(context: str) -> str:
    """Return a context without spaces and without `--`, which would end the hidden HTML comment."""
    return quote(context, safe="/").replace("-", "%2D")


def _deduplicate(github: GitHub, login: str) -> GateComment | None:
    """Return this gate's comment by `login`, or None.

    Delete all but the newest if runs at the same time created several.
    """
    path = f"{github.root}/issues/{github.settings.pull}/comments"
    entries = [entry for entry in github.paginate(path) if dig(entry, "user", "login") == login]
    comments = [comment for entry in entries if (comment := _parse_comment(entry, github.settings))]
    if not comments:
        return None
    newest = max(comments, key=lambda comment: comment.run)
    for comment in comments:
        if comment is not newest:
            _delete(github, comment)
    return newest


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
    return GateComment(comment_id, (int(marker[2]), int(marker[3])), marker[4], decode(marker[5]), body)


def _create(github: GitHub, text: str) -> str:
    """Create the comment and return the login of its author."""
    path = f"{github.root}/issues/{github.settings.pull}/comments"
    created = github.post(path, {"body": text}, lambda: _find_identical(github.paginate(path), text))
    return _require_text(path, created, "user", "login")


def _find_identical(comments: Iterable[Any], text: str) -> Any:
    return next((comment for comment in comments if comment.get("body") == text), None)
