"""Check whether the branch's rules require this gate's status: otherwise a NO-GO does not stop a merge.

Rulesets: https://docs.github.com/en/rest/repos/rules#get-rules-for-a-branch (needs read access only); classic
protection: https://docs.github.com/en/rest/branches/branches#get-a-branch
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from gate.core.messages import Message, msg
from gate.publish.github import GitHub, GitHubError, unexpected_response_error
from gate.publish.settings import Settings
from gate.report.provenance import dig

# Seconds: the run starts only after this check.
_TIME_LIMIT = 5.0


def branch_rule_note(settings: Settings) -> Message | None:
    """Return a note if a requested status is not required on the branch, or that cannot be checked; else None."""
    if not (settings.status and settings.token and settings.repository and settings.branch):
        return None
    try:
        if settings.context.lower() in required_contexts(GitHub(settings, _TIME_LIMIT, optional=True)):
            return None
    except GitHubError as error:
        return msg(
            "Could not check whether the status `{context}` is required on `{branch}`: {why}",
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
    """Return the status contexts that the branch requires, in lower case, because GitHub ignores case."""
    branch = quote(github.settings.branch, safe="")
    rules = github.paginate(f"{github.root}/rules/branches/{branch}")
    contexts = {context for rule in rules for context in _contexts_of_rule(rule)}
    path = f"{github.root}/branches/{branch}"
    response = github.get(path)
    if not isinstance(response.get("protected"), bool):
        raise unexpected_response_error("GET", path)
    protection = dig(response, "protection", "required_status_checks")
    if dig(protection, "enforcement_level") != "off":
        contexts |= {str(context) for context in _as_list(dig(protection, "contexts"))}
    return {context.lower() for context in contexts}


def _contexts_of_rule(rule: dict[str, Any]) -> list[str]:
    if rule.get("type") != "required_status_checks":
        return []
    return [str(dig(check, "context")) for check in _as_list(dig(rule, "parameters", "required_status_checks"))]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
