"""Data of a report without secrets in it, wherever they stand: also in titles, addresses and logs."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, TypeVar, get_origin

from pydantic import BaseModel

from gate.messages import Message
from gate.secrets import Secrets

Data = TypeVar("Data", bound=BaseModel)


def masked(data: Data, secrets: Secrets) -> Data:
    """The same with every text from outside hidden where it is secret. Templates and words of ours stay."""
    found: Data = _masked(data, secrets)
    return found


def _masked(value: Any, secrets: Secrets) -> Any:
    """The value itself where nothing in it is secret, so that most of a report is not made anew."""
    if type(value) is str:
        return secrets.hide(value)
    if isinstance(value, tuple):
        made = [_masked(inner, secrets) for inner in value]
        return value if all(map(_same, made, value)) else tuple(made)
    if isinstance(value, dict):
        changed = {name: after for name, before in value.items() if (after := _masked(before, secrets)) is not before}
        return {**value, **changed} if changed else value
    if isinstance(value, BaseModel):
        found = {name: after for name in _from_outside(type(value))
                 if (after := _masked(before := getattr(value, name), secrets)) is not before}  # fmt: skip
        return value.model_copy(update=found) if found else value
    return value


def _same(one: object, other: object) -> bool:
    return one is other


@cache
def _from_outside(model: type[BaseModel]) -> tuple[str, ...]:
    """The fields of a model that may hold what came from outside."""
    return tuple(
        name
        for name, field in model.model_fields.items()
        if get_origin(field.annotation) is not Literal and not (name == "text" and issubclass(model, Message))
    )
