"""Asks the branch's rules whether this gate's status is required there: where it is not, a NO-GO does not stop a merge.

Rulesets: https://docs.github.com/en/rest/repos/rules#get-rules-for-a-branch (anyone who may read may ask); classic
protection: https://docs.github.com/en/rest/branches/branches#get-a-branch
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from gate.core.messages import Message, msg
from gate.publish.github import GitHub, GitHubError, unexpected_response_error
from gate.publish.settings import Settings, at

_AT_MOST = 5.0
"""Seconds: it is asked before the run, which must not wait long for it."""


def branch_rule_note(settings: Settings) -> Message | None:
    """What people should know about the branch's rules; None where the status is required, or none is wished."""
    if not (settings.status and settings.token and settings.repository and settings.branch):
        return None
    try:
        if settings.context.lower() in required_contexts(GitHub(settings, _AT_MOST, optional=True)):
            return None
    except GitHubError as error:
        return msg(
            "Whether the status `{context}` is required on `{branch}` could not be asked: {why}",
            context=settings.context,
            branch=settings.branch,
            why=error.message,
        )
    return msg(
        "The status `{context}` is not required on `{branch}`: a NO-GO does not stop a merge",
        context=settings.context,
        branch=settings.branch,
    )


def required_contexts(github: GitHub) -> set[str]:
    """The contexts that the branch requires, in lower case: GitHub compares them so."""
    branch = quote(github.settings.branch, safe="")
    found = {
        context for rule in github.paginate(f"{github.root}/rules/branches/{branch}") for context in _of_rule(rule)
    }
    path = f"{github.root}/branches/{branch}"
    shown = github.get(path)
    if not isinstance(shown.get("protected"), bool):
        raise unexpected_response_error("GET", path)
    protection = at(shown, "protection", "required_status_checks")
    if at(protection, "enforcement_level") != "off":
        found |= {str(context) for context in _list(at(protection, "contexts"))}
    return {context.lower() for context in found}


def _of_rule(rule: dict[str, Any]) -> list[str]:
    if rule.get("type") != "required_status_checks":
        return []
    return [str(at(check, "context")) for check in _list(at(rule, "parameters", "required_status_checks"))]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
