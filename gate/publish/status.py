"""Set the commit status on the judged commit: `pending` at the start, then the verdict.

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

# Characters of a description. GitHub refuses a longer one, and any character of four bytes in UTF-8.
MAX_LENGTH = 140
_ELLIPSIS = "…"
# Seconds for `pending`: the run waits for it.
_PENDING_TIME_LIMIT = 10.0
_BROKEN = "broken"
_KILLED = "No verdict: the gate was killed"
# The description that replaces a stale `pending`, by the end state that the main step saved.
_STALE_DESCRIPTIONS = {
    **{decision.value: f"The verdict was {decision.value}, but it could not be published" for decision in Decision},
    "cancelled": "The run was cancelled",
    _BROKEN: "No verdict: the gate could not run, or failed",
}


def set_pending(settings: Settings) -> list[Notice]:
    """Set the status to `pending`."""
    return _set_status(settings, "pending", "prodgate: running", _PENDING_TIME_LIMIT)


def set_verdict(report: Report, settings: Settings) -> list[Notice]:
    """Set the status to the verdict."""
    return _set_status(settings, state(report), description(report))


def set_error(settings: Settings, why: str) -> list[Notice]:
    """Set the status to `error`, with the reason why there is no verdict."""
    return _set_status(settings, "error", why)


def end_state(report: Report | None) -> str:
    """Return how a run ended, in one word for the post step. `report` is None if the run produced no report."""
    if report is None:
        return _BROKEN
    return report.ended if report.ended in ("cancelled", "broken") else report.verdict.decision.value


def fix_stale_pending(settings: Settings, end_state: str = "") -> list[Notice]:
    """Replace a `pending` of this run by an `error` that names its end state. Never raises.

    The `pending` of another run stays.
    """
    # Never a success, whatever the end state is: the code under test can write to the file that it is saved in.
    why = stale_description(end_state)
    if not settings.status or not settings.token:
        return []
    try:
        github = GitHub(settings)
        last = latest_status(github, settings.commit)
        if last is None or last.get("state") != "pending" or last.get("target_url") != (settings.run_url or None):
            return []
        _post(github, "error", why)
    except GitHubError as error:
        return [Notice(_failure_message(error), "warning", not_published=not error.forbidden)]
    return [Notice(msg("The commit status was still pending; it is now an error. {why}", why=why), "notice")]


def stale_description(end_state: str) -> str:
    """Return why there is no published verdict, for the end state that the main step saved."""
    return _STALE_DESCRIPTIONS.get(end_state, _KILLED)


def state(report: Report) -> str:
    """Return GitHub's state for a verdict."""
    if report.ended in ("cancelled", "broken"):
        return "error"
    return "failure" if report.verdict.decision is Decision.NO_GO else "success"


def description(report: Report) -> str:
    """Return the verdict and its first reason in at most 140 characters, such as `NO-GO: API is down; 2 more`."""
    words = language(report.language)
    head = words.message(presenter.DECISIONS[report.verdict.decision])
    if report.ended in ("cancelled", "broken"):
        return truncate_description(words.message(presenter.ENDINGS[report.ended]))
    reasons = report.verdict.reasons
    if not reasons:
        return truncate_description(f"{head}: {words.message(_passed_message(report))}")
    more = words("; {count} more", count=len(reasons) - 1) if len(reasons) > 1 else ""
    return truncate_description(f"{head}: {words.message(reasons[0].message)}", more)


def _passed_message(report: Report) -> Message:
    counts, verdict = report.counts, report.verdict
    passed = msg("{passed} of {total} passed", passed=counts.passed, total=counts.total)
    if verdict.until is not None:
        return msg("{passed}; becomes NO-GO on {day}", passed=passed, day=verdict.until.isoformat())
    if verdict.reservations:
        return msg("{passed}; first reservation: {why}", passed=passed, why=verdict.reservations[0].message)
    return passed


def truncate_description(text: str, suffix: str = "") -> str:
    """Return one line of at most 140 characters that GitHub accepts. `suffix` is never truncated."""
    line, suffix = _to_line(text), _to_line(suffix)
    room = MAX_LENGTH - len(suffix)
    return (line if len(line) <= room else line[: room - 1].rstrip() + _ELLIPSIS) + suffix


def _to_line(text: str) -> str:
    """Return a text as one line, with a leading space only if it has one, without characters of four bytes."""
    line = " ".join(escape_markdown.replace_controls(text).split()) if text.strip() else ""
    line = f" {line}" if text.startswith(" ") else line
    return "".join(character if ord(character) <= 0xFFFF else "\N{REPLACEMENT CHARACTER}" for character in line)


def _set_status(settings: Settings, state: str, text: str, time_limit: float | None = None) -> list[Notice]:
    """Set the status if it is requested. Never raises: return a notice if it could not be set."""
    if not settings.status:
        return []
    if not (settings.repository and settings.commit):
        nowhere = msg("the repository or the judged commit is unknown")
        return [Notice(msg("{what}: {why}", what=_NOT_SET, why=nowhere), "error", not_published=True)]
    if not settings.token:
        return [Notice(permission_message(_NOT_SET, GitHubError(msg("no token"))))]
    try:
        _post(GitHub(settings, time_limit), state, settings.secrets.redact(text))
    except GitHubError as error:
        return [
            Notice(
                _failure_message(error), "warning" if error.forbidden else "error", not_published=not error.forbidden
            )
        ]
    return []


_NOT_SET = msg("The commit status was not set")


def _failure_message(error: GitHubError) -> Message:
    return (
        permission_message(_NOT_SET, error)
        if error.forbidden
        else msg("{what}: {why}", what=_NOT_SET, why=error.message)
    )


def _post(github: GitHub, state: str, text: str) -> None:
    """Create the status. Raise GitHubError, also if GitHub stored something else."""
    settings = github.settings
    body = {"state": state, "context": settings.context, "description": truncate_description(text)}
    if settings.run_url:
        body["target_url"] = settings.run_url

    def find_created() -> Any:
        last = latest_status(github, settings.commit)
        return last if last and all(last.get(name) == value for name, value in body.items()) else None

    path = f"{github.root}/statuses/{settings.commit}"
    created = github.post(path, body, find_created)
    if any(created.get(name) != body[name] for name in ("state", "context", "description")):
        raise unexpected_response_error("POST", path)


def latest_status(github: GitHub, commit: str) -> dict[str, Any] | None:
    """Return the newest status of this gate's context on a commit, or None."""
    # GitHub lists the newest status first, and ignores the case of a context.
    context = github.settings.context.lower()
    for status in github.paginate(f"{github.root}/commits/{commit}/statuses"):
        if str(status.get("context", "")).lower() == context:
            return status
    return None
