"""Forms that checklists and their files have in common: a title or a reason, a day, a plain yes, one or a list."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from gate.decode.structs import custom_type

_LONGEST = 2000


def _text(value: str) -> str:
    text = value.strip()
    if not text:
        raise ValueError("expected some text")
    if len(text) > _LONGEST:
        raise ValueError(f"expected at most {_LONGEST} characters")
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
    """A list as it is; what is written alone as a list of one."""
    return [value] if isinstance(value, str) else value


if TYPE_CHECKING:
    LiteralTrue = bool
    DisplayText = str
    Date = date
else:
    LiteralTrue = custom_type(_true, {"const": True})
    DisplayText = custom_type(_text, {"type": "string", "minLength": 1, "maxLength": _LONGEST}, raw_type=str)
    """What people read: without the blanks around it, some and not too much."""
    Date = custom_type(_day, {"type": "string", "format": "date"})
