"""Validate, normalize and inspect PromQL expressions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from gate.core.messages import Message, msg
from gate.prometheus.promql import parser
from gate.prometheus.promql.lexer import ExpressionError
from gate.prometheus.releases import Release

# Maximum number of operators and brackets in one expression: the parser recurses, and takes quadratic time.
TERM_LIMIT = 1000
_TOO_LONG = msg("The expression has more than {limit} operators and brackets", limit=TERM_LIMIT)

_TERM = re.compile(r"[-+*/%^(]|(?<!\w)(?:and|or|unless|atan2)(?!\w)", re.IGNORECASE)
_TOKEN = re.compile(
    r"""(?P<skip>\s+|\#[^\n]*)
    |(?P<range>\[[^\]]*\])
    |(?P<text>"(?:[^"\\\n]|\\[^\n])*"|'(?:[^'\\\n]|\\[^\n])*'|`[^`]*`)
    |(?P<number>(?:[0-9][0-9_.]*|\.[0-9]+)(?:[eE][-+]?[0-9]+|[a-zA-Z0-9_.]*))
    |(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
    |(?P<sign>[=!]~|[=!<>]=|.)""",
    re.VERBOSE | re.DOTALL,
)
_QUOTES = ('"', "'", "`")
_LABEL_LISTS = frozenset(("by", "without", "on", "ignoring", "group_left", "group_right"))
_WORDS = frozenset(("and", "or", "unless", "atan2", "bool", "offset", "inf", "nan", *_LABEL_LISTS))
_COMPARISONS = frozenset(("==", "!=", ">", "<", ">=", "<="))
# A name before one of these is a function or an aggregation: `sum(up)`, `sum by (job) (up)`.
_AGGREGATES = frozenset(("(", "by", "without"))


def find_syntax_error(text: str, release: Release | None = None) -> Message | None:
    """Return why a release of Prometheus rejects an expression, None if it accepts it."""
    if _too_long(text):
        return _TOO_LONG
    error = first_error(text, release or Release())
    if error is None:
        return None
    return msg("The expression does not parse at character {place}: {why}", place=error.position + 1, why=error.message)


def first_error(text: str, release: Release) -> ExpressionError | None:
    """Return the error for which a release of Prometheus rejects an expression, with its position, or None."""
    if _too_long(text):
        return ExpressionError(_TOO_LONG, 0)
    try:
        parser.check(text, release)
    except ExpressionError as error:
        return error
    return None


@lru_cache(maxsize=64)
def tokens(text: str) -> tuple[re.Match[str], ...]:
    """Split an expression into tokens, without blanks and comments. An unterminated quote is a sign."""
    return tuple(token for token in _TOKEN.finditer(text) if token.lastgroup != "skip")


def _with_strings(text: str, written: Callable[[str, str], str]) -> str:
    """Replace each string of an expression by `written(token before it, literal)`."""
    if not any(quote in text for quote in _QUOTES):
        return text
    parts, at, before = [], 0, ""
    for token in tokens(text):
        if token.lastgroup == "text":
            parts += [text[at : token.start()], written(before, token[0])]
            at = token.end()
        elif token[0] in _QUOTES:
            raise ValueError(f"unterminated quoted string {text[token.start() :][:100]}")
        before = token[0]
    return "".join([*parts, text[at:]])


def _with_double_quotes(text: str) -> str:
    """Replace back quotes, which `promql_parser` misreads. Raise ValueError for an unterminated string."""
    return _with_strings(text, _in_double_quotes) if "`" in text else text


def _in_double_quotes(_before: str, literal: str) -> str:
    return json.dumps(literal[1:-1], ensure_ascii=False) if literal[0] == "`" else literal


def _too_long(text: str) -> bool:
    return len(text) > TERM_LIMIT and len(_TERM.findall(text)) > TERM_LIMIT


@lru_cache(maxsize=4096)
def normalize(text: str) -> str:
    """Return an expression in canonical form, for comparison. If it is not valid, only collapse its blanks."""
    import promql_parser

    plain = " ".join(text.split())
    if _too_long(text):
        return plain
    try:
        return str(promql_parser.parse(_with_double_quotes(text)).prettify())
    except ValueError:
        return plain


def compared_operand(text: str) -> str | None:
    """Return the operand that a valid expression compares with a number, or None.

    `up{job="api"} == 0` gives `up{job="api"}`. Of comparisons joined by `and`, `or` and `unless` the first counts.
    """
    import promql_parser

    if _too_long(text):
        return None
    try:
        node = promql_parser.parse(_with_double_quotes(text))
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
    """Return the names of the metrics that a valid expression reads, sorted.

    A selector with a pattern for the name (`{__name__=~"veza_.*"}`) gives that pattern: `~veza_.*`.
    """
    return tuple(sorted(set(_names(tokens(text)))))


def _names(tokens: Sequence[re.Match[str]]) -> Iterator[str]:
    for selector in _selectors(tokens):
        yield from _named_in(selector)
    at = 0
    while at < len(tokens):
        word, after = tokens[at][0].lower(), tokens[at + 1][0].lower() if at + 1 < len(tokens) else ""
        if word == "{":
            at = _closing(tokens, at, "}")
        elif word in _LABEL_LISTS and after == "(":
            at = _closing(tokens, at, ")")
        elif tokens[at].lastgroup == "name" and word not in _WORDS and after not in _AGGREGATES:
            yield tokens[at][0]
        at += 1


def _closing(tokens: Sequence[re.Match[str]], at: int, sign: str) -> int:
    """Return the index of the next such sign, or the number of tokens."""
    return next((place for place in range(at, len(tokens)) if tokens[place][0] == sign), len(tokens))


def _selectors(tokens: Sequence[re.Match[str]]) -> Iterator[list[str]]:
    """Yield the tokens of each pair of braces, including the braces."""
    for at, token in enumerate(tokens):
        if token[0] == "{":
            yield [part[0] for part in tokens[at : _closing(tokens, at, "}") + 1]]


def _quoted_names(selector: list[str]) -> list[str]:
    """Return the metrics that a selector names in quotes: `{"my.metric", a="b"}`."""
    around = zip(selector, selector[1:], selector[2:], strict=False)
    return [text[1:-1] for before, text, after in around if text[0] in _QUOTES and before in "{," and after in ",}"]


def _named_in(selector: list[str]) -> Iterator[str]:
    yield from _quoted_names(selector)
    for label, sign, text in zip(selector, selector[1:], selector[2:], strict=False):
        if label == "__name__" and sign in ("=", "=~"):
            yield ("~" if sign == "=~" else "") + text[1:-1]
