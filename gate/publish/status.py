"""The commit status: `pending` before anything else, then what the verdict is, on the commit that is judged.

https://docs.github.com/en/rest/commits/statuses
"""

from __future__ import annotations

from typing import Any

from gate.core.messages import Message, msg
from gate.i18n.language import language
from gate.model import Decision, Report
from gate.publish.github import GitHub, GitHubError, permission_message, unexpected_response_error
from gate.publish.settings import Notice, Settings
from gate.render import escape_markdown, presenter

LONGEST = 140
"""Characters of a description; GitHub refuses a longer one, and those of more than three bytes."""
_ELLIPSIS = "…"
_FIRST = 10.0
"""Seconds for `pending`: the run must not wait long for it."""
_BROKEN = "broken"
_KILLED = "The gate was killed before it had a verdict"
_LEFT = {
    **{decision.value: f"The verdict was {decision.value}, and GitHub could not be told" for decision in Decision},
    "cancelled": "The run was cancelled",
    _BROKEN: "There is no verdict: the gate could not run, or broke",
}
"""What a leftover `pending` becomes, by what the main step has kept of its end."""


def set_pending(settings: Settings) -> list[Notice]:
    """Says that the gate is at work."""
    return _told(settings, "pending", "prodgate: running", _FIRST)


def set_verdict(report: Report, settings: Settings) -> list[Notice]:
    """Says the verdict."""
    return _told(settings, state(report), description(report))


def set_error(settings: Settings, why: str) -> list[Notice]:
    """Says that there is no verdict, because the checklist is wrong or the gate broke."""
    return _told(settings, "error", why)


def end(report: Report | None) -> str:
    """How a run ended, in one word for the post step; None where there is no report."""
    if report is None:
        return _BROKEN
    return report.ended if report.ended in ("cancelled", "broken") else report.verdict.decision.value


def fix_stale_pending(settings: Settings, ended: str = "") -> list[Notice]:
    """Turns a `pending` of this very run into an `error`, with how it `ended`. Another run's stays as it is.

    Never into a success, whatever the main step has kept: the code under test may have written that.
    """
    why = _LEFT.get(ended, _KILLED)
    if not settings.status or not settings.token:
        return []
    try:
        github = GitHub(settings)
        last = latest_status(github, settings.commit)
        if last is None or last.get("state") != "pending" or last.get("target_url") != (settings.run_url or None):
            return []
        _post(github, "error", why)
    except GitHubError as error:
        return [Notice(_failure(error), "warning", not_published=not error.rights)]
    return [Notice(msg("The status was still pending, and is an error now. {why}", why=why), "notice")]


def state(report: Report) -> str:
    """What GitHub calls it."""
    if report.ended in ("cancelled", "broken"):
        return "error"
    return "failure" if report.verdict.decision is Decision.NO_GO else "success"


def description(report: Report) -> str:
    """The most useful thing, in at most 140 characters: `NO-GO: database drill not noticed; 2 more`."""
    words = language(report.language)
    head = words.message(presenter.DECISIONS[report.verdict.decision])
    if report.ended in ("cancelled", "broken"):
        return truncate_description(words.message(presenter.ENDINGS[report.ended]))
    reasons = report.verdict.reasons
    if not reasons:
        return truncate_description(f"{head}: {words.message(_passed(report))}")
    more = words("; {count} more", count=len(reasons) - 1) if len(reasons) > 1 else ""
    return truncate_description(f"{head}: {words.message(reasons[0].message)}", more)


def _passed(report: Report) -> Message:
    counts, verdict = report.counts, report.verdict
    passed = msg("{passed} of {total} passed", passed=counts.passed, total=counts.total)
    if verdict.until is not None:
        return msg("{passed}; becomes NO-GO on {day}", passed=passed, day=verdict.until.isoformat())
    if verdict.reservations:
        return msg("{passed}; first reservation: {why}", passed=passed, why=verdict.reservations[0].message)
    return passed


def truncate_description(text: str, end: str = "") -> str:
    """One line of at most 140 characters, none of which takes four bytes; `end` is never cut."""
    line, end = _plain(text), _plain(end)
    room = LONGEST - len(end)
    return (line if len(line) <= room else line[: room - 1].rstrip() + _ELLIPSIS) + end


def _plain(text: str) -> str:
    line = " ".join(escape_markdown.replace_controls(text).split()) if text.strip() else ""
    line = f" {line}" if text.startswith(" ") else line
    return "".join(character if ord(character) <= 0xFFFF else "\N{REPLACEMENT CHARACTER}" for character in line)


def _told(settings: Settings, state: str, text: str, at_most: float | None = None) -> list[Notice]:
    """Sets the status, where it is wished. Never raises: the verdict stands, whatever GitHub says."""
    if not settings.status:
        return []
    if not (settings.repository and settings.commit):
        nowhere = msg("it is not known which commit of which repository is judged")
        return [Notice(msg("{what}: {why}", what=_NOT_SET, why=nowhere), "error", not_published=True)]
    if not settings.token:
        return [Notice(permission_message(_NOT_SET, GitHubError(msg("there is no token"))))]
    try:
        _post(GitHub(settings, at_most), state, settings.secrets.redact(text))
    except GitHubError as error:
        return [Notice(_failure(error), "warning" if error.rights else "error", not_published=not error.rights)]
    return []


_NOT_SET = msg("The commit status was not set")


def _failure(error: GitHubError) -> Message:
    return (
        permission_message(_NOT_SET, error) if error.rights else msg("{what}: {why}", what=_NOT_SET, why=error.message)
    )


def _post(github: GitHub, state: str, text: str) -> None:
    settings = github.settings
    body = {"state": state, "context": settings.context, "description": truncate_description(text)}
    if settings.run_url:
        body["target_url"] = settings.run_url

    def done() -> Any:
        last = latest_status(github, settings.commit)
        return last if last and all(last.get(name) == value for name, value in body.items()) else None

    path = f"{github.root}/statuses/{settings.commit}"
    made = github.post(path, body, done)
    if any(made.get(name) != body[name] for name in ("state", "context", "description")):
        raise unexpected_response_error("POST", path)


def latest_status(github: GitHub, commit: str) -> dict[str, Any] | None:
    """The newest status of our context on a commit: GitHub lists them newest first."""
    context = github.settings.context.lower()
    for status in github.paginate(f"{github.root}/commits/{commit}/statuses"):
        if str(status.get("context", "")).lower() == context:
            return status
    return None
