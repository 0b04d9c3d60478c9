"""Redact the secrets in report data, also in titles, addresses and logs."""

from __future__ import annotations

from datetime import date, datetime
from functools import cache
from operator import is_
from typing import Any, Literal, TypeVar, get_origin

from msgspec import Struct, structs

from gate.core.messages import Message
from gate.model import Decision, Severity, Status
from gate.redaction.secrets import Redactor

StructT = TypeVar("StructT", bound=Struct)
# Types whose values cannot hold a secret.
_SAFE_TYPES = frozenset((type(None), bool, int, float, datetime, date, Status, Severity, Decision))


def redact_struct(data: StructT, secrets: Redactor) -> StructT:
    """Return a copy whose secrets are redacted. Message templates and literals stay unchanged."""
    redacted: StructT = _redact(data, secrets)
    return redacted


def _redact(value: Any, secrets: Redactor) -> Any:
    """Redact a value. Return the same object if it holds no secret, to copy as little of a report as possible."""
    if type(value) is str:
        return secrets.redact(value)
    if isinstance(value, Struct):
        changed = _redacted_values({name: getattr(value, name) for name in _untrusted_fields(type(value))}, secrets)
        return structs.replace(value, **changed) if changed else value
    if isinstance(value, tuple):
        entries = [_redact(entry, secrets) for entry in value]
        return value if all(map(is_, entries, value)) else tuple(entries)
    if isinstance(value, dict):
        changed = _redacted_values(value, secrets)
        return {**value, **changed} if changed else value
    return value


def _redacted_values(values: dict[str, Any], secrets: Redactor) -> dict[str, Any]:
    """Return the values that hold a secret, redacted, by name."""
    redacted = {}
    for name, value in values.items():
        if type(value) in _SAFE_TYPES:
            continue
        if (after := _redact(value, secrets)) is not value:
            redacted[name] = after
    return redacted


@cache
def _untrusted_fields(model: type[Struct]) -> tuple[str, ...]:
    """Return the fields of a struct that may hold text from outside."""
    return tuple(
        field.name
        for field in structs.fields(model)
        if get_origin(field.type) is not Literal
        and not (field.name in ("text", "plural") and issubclass(model, Message))
    )
