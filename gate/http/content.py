"""Decode the body of a response: text in any charset, and JSON."""

from __future__ import annotations

import json
from typing import Any

from gate.decode import charsets


def decode_text(body: bytes, content_type: str) -> str:
    """Decode a body as text, also one in an unknown charset: as UTF-8 then."""
    text = charsets.decode(body, charsets.charset_of(content_type))
    return body.decode("utf-8", "replace") if text is None else text


def parse_json(body: bytes | str) -> Any:
    """Parse JSON (RFC 8259), without NaN. Raise ValueError with the reason if it is not valid.

    Integers too long for Python become floats, and may become infinite.
    """

    def refuse(name: str) -> Any:
        raise ValueError(f"{name} is no JSON value")

    def whole(digits: str) -> int | float:
        return int(digits) if len(digits) < 400 else float(digits)

    try:
        return json.loads(body, parse_constant=refuse, parse_int=whole)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
