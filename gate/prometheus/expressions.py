"""PromQL expressions: whether they parse, and which metrics they read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from gate.messages import Message, say

TERM_LIMIT = 1000
"""Operators and brackets in one expression: the parser recurses, and takes quadratic time."""

_TERM = re.compile(r"[-+*/%^(]|(?<!\w)(?:and|or|unless|atan2)(?!\w)", re.IGNORECASE)
_TOKEN = re.compile(
    r"""(?P<skip>[\s]+|\#[^\n]*|\[[^\]]*\])
    |(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
    |(?P<number>(?:[0-9]+[a-zA-Z0-9_.]*|\.[0-9]+[a-zA-Z0-9_]*))
    |(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
    |(?P<sign>.)""",
    re.VERBOSE | re.DOTALL,
)
_LABEL_LISTS = frozenset(("by", "without", "on", "ignoring", "group_left", "group_right"))
_WORDS = frozenset(("and", "or", "unless", "atan2", "bool", "offset", "inf", "nan", *_LABEL_LISTS))
_BEHIND = re.compile(r"\s*(\(|(?:by|without)\b)?", re.IGNORECASE)
"""What makes a name a function or an aggregation: `sum(up)`, `sum by (job) (up)`."""
_NAME_MATCHER = re.compile(r"""__name__\s*(=~|=)\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)""")
_BRACES = re.compile(r"""\{(?:[^{}"'`]|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)*\}""")
_QUOTED_NAME = re.compile(r"""[{,]\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)\s*(?=[,}])""")


def problem(text: str) -> Message | None:
    """None for a good expression, else the reason why it is not."""
    import promql_parser

    if len(text) > TERM_LIMIT and _too_long(text):
        return say("The expression has more than {limit} operators and brackets", limit=TERM_LIMIT)
    try:
        promql_parser.parse(text)
    except ValueError as error:
        return say("The expression does not parse: {why}", why=" ".join(str(error).split()))
    return None


def _too_long(text: str) -> bool:
    return len(_TERM.findall(text)) > TERM_LIMIT


def normal(text: str) -> str:
    """The expression in one way of writing, so that two can be compared; with plain blanks where it does not parse."""
    import promql_parser

    plain = " ".join(text.split())
    if len(text) > TERM_LIMIT and _too_long(text):
        return plain
    try:
        return str(promql_parser.parse(text).prettify())
    except ValueError:
        return plain


@lru_cache(maxsize=4096)
def metrics(text: str) -> tuple[str, ...]:
    """The names of the metrics that a good expression reads, sorted.

    A selector that names its metric with a pattern (`{__name__=~"veza_.*"}`) gives that pattern: `~veza_.*`.
    """
    return tuple(sorted(set(_names(text))))


def _names(text: str) -> Iterator[str]:
    at = 0
    while found := _TOKEN.match(text, at):
        at = found.end()
        braces = _BRACES.match(text, found.start()) if found[0] == "{" else None
        if braces:
            at = braces.end()
            yield from _named_in(braces[0])
        elif found.lastgroup == "name":
            word, behind = found[0].lower(), _BEHIND.match(text, at)
            if word in _LABEL_LISTS and behind and behind[1] == "(":
                at = max(behind.end(), text.find(")", at)) + 1
            elif word not in _WORDS and not (behind and behind[1]):
                yield found[0]


def _named_in(braces: str) -> Iterator[str]:
    for sign, quoted in _NAME_MATCHER.findall(braces):
        yield ("~" if sign == "=~" else "") + quoted[1:-1]
    for quoted in _QUOTED_NAME.findall(braces):
        yield quoted[1:-1]
