"""Asks a running Prometheus, by its HTTP API (https://prometheus.io/docs/prometheus/latest/querying/api/)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from gate import http
from gate.messages import Message, say

_LIMIT = 32 * 2**20
_SHOWN = 500


class NoAnswer(Exception):
    """Prometheus gave no answer that can be used. `answer` is what came back, as far as there was anything."""

    def __init__(self, message: Message, answer: str = "") -> None:
        super().__init__(str(message))
        self.message = message
        self.answer = answer


def get(base: str, path: str, deadline: float, parameters: Mapping[str, str] | None = None) -> Any:
    """The `data` of an answer. `deadline` is in monotonic seconds. Raises NoAnswer."""
    url = address(base, path, parameters)
    try:
        answer = http.fetch(http.Request(url=url, headers={"Accept": "application/json"}, limit=_LIMIT), deadline)
    except http.HttpFailure as failure:
        raise NoAnswer(say("Prometheus does not answer: {why}", why=failure.message)) from failure
    shown = f"{answer.status} {answer.reason}\n{answer.text()[:_SHOWN]}"
    if answer.truncated:
        raise NoAnswer(say("Prometheus answers with more than 32 MiB"), shown)
    try:
        data = http.parse_json(answer.body)
    except (ValueError, RecursionError) as error:
        raise NoAnswer(say("The answer with status {status} is no JSON", status=answer.status), shown) from error
    if not isinstance(data, dict) or data.get("status") != "success" or "data" not in data:
        why = data.get("error") if isinstance(data, dict) else None
        raise NoAnswer(say("Prometheus refuses: {why}", why=str(why or f"status {answer.status}")[:_SHOWN]), shown)
    return data["data"]


def address(base: str, path: str, parameters: Mapping[str, str] | None = None) -> str:
    """The URL of a question."""
    query = f"?{urlencode(parameters)}" if parameters else ""
    return f"{base.rstrip('/')}/api/v1/{path}{query}"


def number(text: Any) -> float:
    """A sample's value: Prometheus writes numbers as text, `NaN` and `+Inf` among them. Raises ValueError."""
    value = float(text)
    return math.nan if math.isnan(value) else value


def objects(value: Any, *path: str) -> list[dict[str, Any]]:
    """The objects of a list below an answer; whatever else stands there is passed over."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
