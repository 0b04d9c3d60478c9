"""GitHub's description of its API: finds the operation of a request, and what is wrong with a request or an answer."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import unquote

from jsonschema import Draft202012Validator

from tests.support.github.fetch import fetched

# What the server plays. A request to any other path is unexpected.
PATHS = (
    "/user",
    "/repos/{owner}/{repo}/statuses/{sha}",
    "/repos/{owner}/{repo}/commits/{ref}/statuses",
    "/repos/{owner}/{repo}/pulls",
    "/repos/{owner}/{repo}/pulls/{pull_number}",
    "/repos/{owner}/{repo}/issues/{issue_number}",
    "/repos/{owner}/{repo}/issues/{issue_number}/comments",
    "/repos/{owner}/{repo}/issues/comments/{comment_id}",
    "/repos/{owner}/{repo}/rules/branches/{branch}",
    "/repos/{owner}/{repo}/branches/{branch}",
    "/repos/{owner}/{repo}/contents/{path}",
    "/repos/{owner}/{repo}/compare/{basehead}",
    "/repos/{owner}/{repo}/actions/workflows/{workflow_id}/runs",
    "/repos/{owner}/{repo}/actions/runs/{run_id}/artifacts",
    "/repos/{owner}/{repo}/actions/artifacts/{artifact_id}/{archive_format}",
)
ERRORS = {422: "validation-error"}


@cache
def document() -> dict[str, Any]:
    """Return the whole description."""
    loaded: dict[str, Any] = json.loads(fetched().read_bytes())
    return loaded


def example(name: str) -> Any:
    """Return a copy of GitHub's own example of that name."""
    return copy.deepcopy(document()["components"]["examples"][name]["value"])


def operation(method: str, path: str) -> tuple[str, dict[str, Any], dict[str, str]] | None:
    """Return the path of the description, its operation, and the values of its parameters."""
    for pattern in PATHS:
        found = _pattern(pattern).fullmatch(path)
        described = document()["paths"][pattern].get(method.lower())
        if found and described:
            return pattern, described, {name: unquote(value) for name, value in found.groupdict().items()}
    return None


@cache
def _pattern(path: str) -> re.Pattern[str]:
    inner = re.sub(
        r"\\{(\w+)\\}", lambda found: f"(?P<{found[1]}>{'.+' if found[1] == 'path' else '[^/]+'})", re.escape(path)
    )
    return re.compile(inner)


def request_violations(described: dict[str, Any], query: dict[str, str], body: Any) -> list[str]:
    """Return the errors of a request's query and body."""
    known = {parameter["name"]: parameter for parameter in map(_resolved, described.get("parameters", []))}
    found = [f"no parameter {name!r} in the query" for name in query if known.get(name, {}).get("in") != "query"]
    for name, value in query.items():
        if known.get(name, {}).get("schema", {}).get("type") == "integer" and not value.isdigit():
            found.append(f"{name}={value} is no integer")
    if "requestBody" not in described:
        return found + (["a body where none is expected"] if body is not None else [])
    schema = described["requestBody"]["content"]["application/json"]["schema"]
    unknown = set(body or {}) - set(schema.get("properties", {}))
    return [*found, *(f"no property {name!r} in the body" for name in sorted(unknown)), *_mismatches(schema, body)]


def response_violations(described: dict[str, Any], status: int, body: Any) -> list[str]:
    """Return the errors of a response: an undescribed status, or a body of another form."""
    if status >= 400:
        return _mismatches({"$ref": f"#/components/schemas/{ERRORS.get(status, 'basic-error')}"}, body)
    answer = described["responses"].get(str(status))
    if answer is None:
        return [f"status {status} is not described"]
    content = _resolved(answer).get("content")
    return _mismatches(content["application/json"]["schema"], body) if content else []


def _mismatches(schema: dict[str, Any], value: Any) -> list[str]:
    errors = _validator(json.dumps(schema, sort_keys=True)).iter_errors(value)
    return [f"{'.'.join(map(str, error.absolute_path)) or 'body'}: {error.message[:300]}" for error in errors]


@cache
def _validator(text: str) -> Draft202012Validator:
    schema = json.loads(text)
    used = {name: _modern(_schemas()[name]) for name in _reached(schema)}
    return Draft202012Validator({**_modern(schema), "components": {"schemas": used}})


def _schemas() -> dict[str, Any]:
    found: dict[str, Any] = document()["components"]["schemas"]
    return found


def _reached(schema: Any) -> set[str]:
    """Return the names of all schemas that one leads to."""
    found: set[str] = set()
    todo = [schema]
    while todo:
        for reference in _references(todo.pop()):
            name = reference.rsplit("/", 1)[1]
            if name not in found:
                found.add(name)
                todo.append(_schemas()[name])
    return found


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _modern(value: Any) -> Any:
    """Return a schema of OpenAPI 3.0 as JSON Schema: `nullable` becomes a type, and examples mean nothing."""
    if isinstance(value, list):
        return [_modern(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    made = {name: _modern(inner) for name, inner in value.items() if name not in ("nullable", "example", "examples")}
    return {"anyOf": [made, {"type": "null"}]} if value.get("nullable") is True else made


def _resolved(value: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in value:
        return value
    found: Any = document()
    for part in value["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    resolved: dict[str, Any] = found
    return resolved
