"""The literals of Go that PromQL and templates share: strings, characters, numbers (https://go.dev/ref/spec#Literals)."""

from __future__ import annotations

import math
import re

_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))|(\\)", re.DOTALL)
_WHOLE = re.compile(r"[+-]?(?:0[xX]_?[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*|0[bB]_?[01]+(?:_[01]+)*|0[oO]?_?[0-7]+(?:_[0-7]+)*"
                    r"|0|[1-9][0-9]*(?:_[0-9]+)*)")  # fmt: skip
_DIGITS = "[0-9]+(?:_[0-9]+)*"
_HEX = "[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*"
_FLOAT = re.compile(rf"[+-]?(?:{_DIGITS}\.?(?:{_DIGITS})?|\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?")
_HEX_FLOAT = re.compile(rf"[+-]?0[xX](?:_?{_HEX}\.?(?:{_HEX})?|\.{_HEX})[pP][+-]?{_DIGITS}")
_COMPLEX = re.compile(r"(.*[^eEpP])([+-].*)i")


def unquote(literal: str) -> str:
    """The text of a literal in double, single or back quotes. Raises ValueError with the escape that Go does not know.

    A byte that is no UTF-8 (`"\\xff"`) becomes half a surrogate.
    """
    quote, inner = literal[0], literal[1:-1]
    if quote == "`" or "\\" not in inner:
        return inner
    made, at = bytearray(), 0
    for found in _ESCAPE.finditer(inner):
        made += inner[at : found.start()].encode("utf-8", "surrogatepass") + _escaped(found, quote)
        at = found.end()
    made += inner[at:].encode("utf-8", "surrogatepass")
    return made.decode("utf-8", "surrogateescape")


def _escaped(found: re.Match[str], quote: str) -> bytes:
    byte, short, long, octal, letter, _ = found.groups()
    if byte or octal:
        value = int(byte, 16) if byte else int(octal, 8)
        if value > 255:
            raise ValueError(found[0])
        return bytes([value])
    if short or long:
        value = int(short or long, 16)
        if value > 0x10FFFF or 0xD800 <= value <= 0xDFFF:
            raise ValueError(found[0])
        return chr(value).encode()
    if letter in _ESCAPES or letter == quote:
        return _ESCAPES.get(letter, letter).encode()
    raise ValueError(found[0])


def is_number(text: str) -> bool:
    """Whether a template of Go's can hold this number: `08` is none, and none is as large as 2^64."""
    if both := _COMPLEX.fullmatch(text):
        return _is_float(both[1]) and _is_float(both[2])
    if text.endswith("i"):
        return _is_float(text[:-1])
    if _WHOLE.fullmatch(text):
        plain = text.replace("_", "").lstrip("+")
        octal = re.fullmatch(r"-?0[0-7]+", plain)
        value = int(plain, 8 if octal else 0)
        return -(2**63) <= value < 2**64
    return any(mark in text for mark in ".eEpP") and _is_float(text)


def _is_float(text: str) -> bool:
    if _HEX_FLOAT.fullmatch(text):
        try:
            float.fromhex(text.replace("_", ""))
        except OverflowError:
            return False
        return True
    return _FLOAT.fullmatch(text) is not None and math.isfinite(float(text))
