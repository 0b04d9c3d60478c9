"""A report without secrets in it, wherever they stand: also in titles, addresses and logs."""

from __future__ import annotations

from typing import Any, Literal, get_origin

from pydantic import BaseModel

from gate.messages import Message
from gate.model import Report
from gate.secrets import Secrets


def masked(report: Report, secrets: Secrets) -> Report:
    """The same report with every text from outside hidden where it is secret. Templates and words of ours stay."""
    hidden: Report = _masked(report, secrets)
    return hidden


def _masked(value: Any, secrets: Secrets) -> Any:
    if type(value) is str:
        return secrets.hide(value)
    if isinstance(value, tuple):
        return tuple(_masked(inner, secrets) for inner in value)
    if isinstance(value, dict):
        return {name: _masked(inner, secrets) for name, inner in value.items()}
    if isinstance(value, BaseModel):
        return value.model_copy(update=_changed(value, secrets))
    return value


def _changed(model: BaseModel, secrets: Secrets) -> dict[str, Any]:
    found = {}
    for name, field in type(model).model_fields.items():
        ours = get_origin(field.annotation) is Literal or (name == "text" and isinstance(model, Message))
        before = getattr(model, name)
        if not ours and (after := _masked(before, secrets)) != before:
            found[name] = after
    return found
