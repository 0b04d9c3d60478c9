"""PromQL expressions: whether they parse, and which metrics they read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from gate import patterns
from gate.messages import Message, say
from gate.prometheus import golang

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
_COMPARISONS = frozenset(("==", "!=", ">", "<", ">=", "<="))
_BEHIND = re.compile(r"\s*(\(|(?:by|without)\b)?", re.IGNORECASE)
"""What makes a name a function or an aggregation: `sum(up)`, `sum by (job) (up)`."""
_NAME_MATCHER = re.compile(r"""__name__\s*(=~|=)\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)""")
_BRACES = re.compile(r"""\{(?:[^{}"'`]|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)*\}""")
_STRING = re.compile(r"""(=~|!~)?(\s*)("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)|\#[^\n]*""", re.DOTALL)
"""A string, with the operator before it that makes it a regular expression; or a comment, which may look like one."""
_FLAGGED = re.compile(
    r"(?<![\w:@])(?<!@ )(double_exponential_smoothing|end|first_over_time|histogram_quantiles|info|integral|limitk"
    r"|limit_ratio|mad_over_time|range|sort_by_label|sort_by_label_desc|start|step"
    r"|ts_of_(?:first|last|max|min)_over_time)\s*(?:\(|(?:by|without)\b)"
)
_ANY_BYTE = re.compile(r"(?<!\\)(?:\\\\)*\\C")
"""What RE2 has and Go's own engine has not."""
FLAG = "promql-experimental-functions"
_QUOTED_NAME = re.compile(r"""[{,]\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)\s*(?=[,}])""")


def problem(text: str) -> Message | None:
    """None for a good expression, else the reason why it is not."""
    import promql_parser

    if len(text) > TERM_LIMIT and _too_long(text):
        return say("The expression has more than {limit} operators and brackets", limit=TERM_LIMIT)
    try:
        promql_parser.parse(_plain(text))
    except ValueError as error:
        return say("The expression does not parse: {why}", why=" ".join(str(error).split()))
    if _named_twice(text):
        return say("The expression does not parse: {why}", why="metric name must not be set twice")
    return None


def flagged(text: str) -> str | None:
    """The first function of an expression that Prometheus has only with the feature flag `FLAG`, or None.

    https://prometheus.io/docs/prometheus/latest/feature_flags/#experimental-promql-functions
    """
    found = _FLAGGED.search(_STRING.sub('""', text))
    return found[1] if found else None


def _plain(text: str) -> str:
    """The same expression with strings that the parser reads as Prometheus does. Raises ValueError for a bad one.

    Its strings in back quotes have escapes, which Prometheus's have not; and its regular expressions are not RE2's, so
    they are looked at here, and it gets one that is like them in the one thing that it looks at: matching nothing.
    """
    return _STRING.sub(_plain_string, text) if _STRING.search(text) else text


def _plain_string(found: re.Match[str]) -> str:
    operator, space, literal = found.groups()
    if literal is None:
        return found[0]
    try:
        value = golang.unquote(literal)
    except ValueError as error:
        raise ValueError(f"unknown escape sequence {error} in {literal[:100]}") from None
    if operator:
        return f"{operator}{space}{json.dumps('.*' if _matches_nothing(value) else 'x')}"
    return f"{space}{json.dumps(value, ensure_ascii=False)}" if literal[0] == "`" else found[0]


def _matches_nothing(pattern: str) -> bool:
    """Whether a matcher's expression, which has to match the whole value, matches an empty one."""
    if _ANY_BYTE.search(pattern):
        raise ValueError(f"bad regular expression {pattern[:100]!r}: invalid escape sequence: \\C")
    try:
        return patterns.found(f"^(?s:{pattern})$", "")
    except patterns.BadPattern as bad:
        raise ValueError(f"bad regular expression {pattern[:100]!r}: {bad}") from None


def _named_twice(text: str) -> bool:
    """Whether a selector names its metric twice in quotes: `{"up", "down"}`."""
    return any(len(_QUOTED_NAME.findall(braces)) > 1 for braces in _BRACES.findall(text)) if '"' in text else False


def _with_double_quotes(text: str) -> str:
    """The expression without back quotes, whose strings the parser misreads."""

    def quoted(found: re.Match[str]) -> str:
        literal = found[3] or ""
        return f"{found[1] or ''}{found[2]}{json.dumps(literal[1:-1])}" if literal.startswith("`") else found[0]

    return _STRING.sub(quoted, text) if "`" in text else text


def _too_long(text: str) -> bool:
    return len(_TERM.findall(text)) > TERM_LIMIT


def normal(text: str) -> str:
    """The expression in one way of writing, so that two can be compared; with plain blanks where it does not parse."""
    import promql_parser

    plain = " ".join(text.split())
    if len(text) > TERM_LIMIT and _too_long(text):
        return plain
    try:
        return str(promql_parser.parse(_with_double_quotes(text)).prettify())
    except ValueError:
        return plain


def compared(text: str) -> str | None:
    """What a good expression compares with a number, such as `up{job="api"}` of `up{job="api"} == 0`, or None.

    Of several comparisons that are joined by `and`, `or` and `unless` it is the first.
    """
    import promql_parser

    if len(text) > TERM_LIMIT and _too_long(text):
        return None
    try:
        node = promql_parser.parse(text)
    except ValueError:
        return None
    while True:
        if isinstance(node, promql_parser.ParenExpr):
            node = node.expr
        elif isinstance(node, promql_parser.BinaryExpr) and str(node.op) in ("and", "or", "unless"):
            node = node.lhs
        else:
            return _compared(node)


def _compared(node: Any) -> str | None:
    import promql_parser

    if not isinstance(node, promql_parser.BinaryExpr) or str(node.op) not in _COMPARISONS:
        return None
    sides = [side for side in (node.lhs, node.rhs) if not isinstance(side, promql_parser.NumberLiteral)]
    return str(sides[0].prettify()) if len(sides) == 1 else None


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
