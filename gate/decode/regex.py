"""Search for the regular expressions of a checklist with RE2 (https://github.com/google/re2/wiki/Syntax).

Python's `re` backtracks: one line of a hostile response can keep it busy without end, and it holds the GIL meanwhile.
RE2 takes time linear in the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from gate.core.errors import GateError

# Prefixes of RE2's errors for syntax that only other engines have.
_UNSUPPORTED_SYNTAX = (
    "invalid perl operator",
    "invalid escape sequence",
    "bad repetition operator",
    "invalid repetition size",
)
# Texts that have little in common: a pattern found in each of them is taken to match everything.
_DISSIMILAR_TEXTS = ("", "\x01", "a\nb")


class InvalidPatternError(GateError):
    """A text is not a valid RE2 regular expression."""


def validate(pattern: str) -> None:
    """Raise InvalidPatternError if the pattern is not valid."""
    _compile(pattern)


def search(pattern: str, text: str) -> bool:
    """Return whether the pattern matches anywhere in the text. `$` also matches before a final line break."""
    data, compiled = text.encode("utf-8", "replace"), _compile(pattern)
    # RE2's `$` matches only at the very end, unlike Python's.
    return bool(compiled.search(data) or (data.endswith(b"\n") and compiled.search(data[:-1])))


def matches_whole(pattern: str, text: str) -> bool:
    """Return whether the pattern matches the whole text. `.` does not match a line break."""
    return bool(_compile(f"^(?:{pattern})$").search(text.encode("utf-8", "replace")))


def capture(pattern: str, text: str) -> str | None:
    """Return what the first group captures where the pattern matches first, or the whole match if it has no group."""
    import re2

    options = re2.Options()
    options.log_errors = False
    _compile(pattern)
    match = re2.compile(pattern, options).search(text.encode("utf-8", "replace"))
    if match is None:
        return None
    captured: bytes = match[1] if match.re.groups else match[0]
    return (captured or b"").decode("utf-8", "replace")


def find_starts(pattern: str, text: str) -> Iterator[int]:
    """Yield the index of each match in the text; `^` and `$` match at each line."""
    for match in _compile(_multiline(pattern)).finditer(text.encode("utf-8", "replace").decode()):
        yield match.start()


def matches_empty(pattern: str) -> bool:
    """Return whether the pattern matches the empty text; `^` and `$` match at each line."""
    return bool(_compile(_multiline(pattern)).search(b""))


def matches_everything(pattern: str) -> bool:
    """Return whether the pattern matches every one of some texts that have little in common."""
    return all(search(pattern, text) for text in _DISSIMILAR_TEXTS) and search(pattern, _all_characters())


@cache
def _all_characters() -> str:
    """Return a long text of all characters of the BMP, which `^[^<]*$` and `(?s)^.{0,80}$` do not match."""
    return "".join(map(chr, (*range(0xD800), *range(0xE000, 0x10000))))


def _multiline(pattern: str) -> str:
    return f"(?m){pattern}"


@cache
def _compile(pattern: str) -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    try:
        return re2.compile(pattern, options)
    except UnicodeEncodeError:
        raise InvalidPatternError("it holds half a character") from None
    except re2.error as error:
        raise InvalidPatternError(_why(error.args[0].decode("utf-8", "replace"))) from None


def _why(reason: str) -> str:
    foreign = reason.startswith(_UNSUPPORTED_SYNTAX)
    return f"{reason} (the syntax is RE2's: no look-around, no backreferences)" if foreign else reason
