"""Data of a report without secrets in it, wherever they stand: also in titles, addresses and logs."""

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
_SAFE_TYPES = frozenset((type(None), bool, int, float, datetime, date, Status, Severity, Decision))
"""Types of values in which no secret can be."""


def redact_struct(data: StructT, secrets: Redactor) -> StructT:
    """The same with every text from outside hidden where it is secret. Templates and words of ours stay."""
    found: StructT = _redact(data, secrets)
    return found


def _redact(value: Any, secrets: Redactor) -> Any:
    """The value itself where nothing in it is secret, so that most of a report is not made anew."""
    if type(value) is str:
        return secrets.redact(value)
    if isinstance(value, Struct):
        changed = _changed({name: getattr(value, name) for name in _from_outside(type(value))}, secrets)
        return structs.replace(value, **changed) if changed else value
    if isinstance(value, tuple):
        made = [_redact(inner, secrets) for inner in value]
        return value if all(map(is_, made, value)) else tuple(made)
    if isinstance(value, dict):
        changed = _changed(value, secrets)
        return {**value, **changed} if changed else value
    return value


def _changed(values: dict[str, Any], secrets: Redactor) -> dict[str, Any]:
    """Those of some values that are not the same without their secrets."""
    found = {}
    for name, value in values.items():
        if type(value) in _SAFE_TYPES:
            continue
        if (after := _redact(value, secrets)) is not value:
            found[name] = after
    return found


@cache
def _from_outside(model: type[Struct]) -> tuple[str, ...]:
    """The fields of a model that may hold what came from outside."""
    return tuple(
        field.name
        for field in structs.fields(model)
        if get_origin(field.type) is not Literal
        and not (field.name in ("text", "plural") and issubclass(model, Message))
    )
