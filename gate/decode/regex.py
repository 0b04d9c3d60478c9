"""Regular expressions that a checklist holds: in RE2's syntax, whose search takes time linear in the text.

Python's own `re` can need longer than the universe for one line of a service's answer, and nothing ends it meanwhile:
it holds the interpreter. RE2 neither backtracks nor holds it (https://github.com/google/re2/wiki/Syntax).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

_FOREIGN = ("invalid perl operator", "invalid escape sequence", "bad repetition operator", "invalid repetition size")
"""How RE2's complaints begin about what other engines have."""
_UNLIKE = ("", "\x01", "a\nb")


class InvalidPatternError(ValueError):
    """What is written is no regular expression of RE2's; the text says why."""


def validate(pattern: str) -> None:
    """Raises BadPattern for a pattern that cannot be searched for."""
    _compiled(pattern)


def search(pattern: str, text: str) -> bool:
    """Whether the pattern stands in the text. `$` holds before a line end that ends the text, too."""
    searched, wanted = text.encode("utf-8", "replace"), _compiled(pattern)
    return bool(wanted.search(searched) or (searched.endswith(b"\n") and wanted.search(searched[:-1])))


def find_starts(pattern: str, text: str) -> Iterator[int]:
    """Where the pattern stands in the text, as indices; `^` and `$` are the ends of each line."""
    for each in _compiled(_by_line(pattern)).finditer(text.encode("utf-8", "replace").decode()):
        yield each.start()


def matches_empty(pattern: str) -> bool:
    """Whether it is found in an empty text, with `^` and `$` the ends of a line."""
    return bool(_compiled(_by_line(pattern)).search(b""))


def matches_everything(pattern: str) -> bool:
    """Whether it is found in each of some texts that have little in common: it is found in every text, then."""
    return all(search(pattern, text) for text in _UNLIKE) and search(pattern, _all_characters())


@cache
def _all_characters() -> str:
    """A long text with each of the usual characters in it: what `^[^<]*$` and `(?s)^.{0,80}$` are not found in."""
    return "".join(map(chr, (*range(0xD800), *range(0xE000, 0x10000))))


def _by_line(pattern: str) -> str:
    return f"(?m){pattern}"


@cache
def _compiled(pattern: str) -> Any:
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
    foreign = reason.startswith(_FOREIGN)
    return f"{reason} (the syntax is RE2's: no look-around, no backreferences)" if foreign else reason
