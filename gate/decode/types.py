"""Scalar types that checklists and related files share: display text, dates, a literal `true`, lists."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from gate.decode.structs import custom_type

_MAX_LENGTH = 2000


def _text(value: str) -> str:
    text = value.strip()
    if not text:
        raise ValueError("expected some text")
    if len(text) > _MAX_LENGTH:
        raise ValueError(f"expected at most {_MAX_LENGTH} characters")
    return text


def _day(value: Any) -> date:
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value if len(value) == 10 else "")
    except (TypeError, ValueError):
        raise ValueError("expected a day such as 2026-03-31") from None


def _true(value: Any) -> bool:
    if value is not True:
        raise ValueError("expected true")
    return True


def listify(value: Any) -> Any:
    """Return a text as a list of one; anything else unchanged."""
    return [value] if isinstance(value, str) else value


if TYPE_CHECKING:
    LiteralTrue = bool
    DisplayText = str
    Date = date
else:
    LiteralTrue = custom_type(_true, {"const": True})
    # Text for people: stripped, not empty, and bounded.
    DisplayText = custom_type(_text, {"type": "string", "minLength": 1, "maxLength": _MAX_LENGTH}, raw_type=str)
    Date = custom_type(_day, {"type": "string", "format": "date"})
