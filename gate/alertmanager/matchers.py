"""Parse and apply the matchers of Alertmanager, in its old and its new syntax.

Without feature flags, Alertmanager parses a text with both parsers. If the old one accepts it, the old meaning holds.
https://prometheus.io/docs/alertmanager/latest/configuration/#matcher
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from msgspec import Struct

from gate.core.errors import GateError
from gate.core.messages import Message, msg
from gate.decode import regex
from gate.prometheus import go_literals

Operator = Literal["=", "!=", "=~", "!~"]
OPERATORS = get_args(Operator)
# What Go's `\s`, and `unicode.IsSpace`, accept. Python's own sets differ.
_SPACE = r"[\t\n\f\r ]"
_UNICODE_SPACE = frozenset(
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_RESERVED = _UNICODE_SPACE | frozenset("{}!=~,\\\"'`")
_OLD = re.compile(rf"{_SPACE}*([a-zA-Z_:][a-zA-Z0-9_:]*){_SPACE}*(=~|=|!=|!~){_SPACE}*(.*?){_SPACE}*", re.DOTALL)
_TOKEN = re.compile(r'=~|!=|!~|[{},=]|"(?:[^"\\]|\\.)*"', re.DOTALL)
_PLAIN_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class InvalidMatcherError(GateError):
    """Report a text that Alertmanager does not accept as matchers."""


class Matcher(Struct, frozen=True):
    """Represent a condition on one label. A label that is missing counts as empty."""

    name: str
    operator: Operator
    value: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether a set of labels fulfils the condition."""
        text = labels.get(self.name, "")
        holds = text == self.value if self.operator in ("=", "!=") else regex.matches_whole(self.value, text)
        return holds is not self.operator.startswith("!")

    def __str__(self) -> str:
        escaped = self.value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
        name = self.name if not set(self.name) & _RESERVED else go_quote(self.name)
        return f'{name}{self.operator}"{escaped}"'


def go_quote(text: str) -> str:
    """Return a text in double quotes, with the escapes that Go's `strconv.Unquote` reads."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def all_match(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Return whether a set of labels fulfils every condition."""
    return all(matcher.matches(labels) for matcher in matchers)


def matcher(name: str, operator: str, value: str) -> Matcher:
    """Return a matcher. Raise InvalidMatcherError if its regular expression is not valid."""
    assert operator in OPERATORS
    if operator in ("=~", "!~"):
        try:
            go_literals.check_regex(value)
        except ValueError as error:
            raise InvalidMatcherError(
                msg("{text} is not a regular expression: {why}", text=value, why=str(error))
            ) from None
    return Matcher(name, operator, value)  # type: ignore[arg-type]


def parse_matchers(text: str) -> tuple[Matcher, ...]:
    """Parse one entry of `matchers`, which may hold several. Raise InvalidMatcherError."""
    try:
        return _old_matchers(text)
    except InvalidMatcherError as error:
        try:
            return _NewParser(text).parse()
        except InvalidMatcherError:
            raise error from None


def _old_matchers(text: str) -> tuple[Matcher, ...]:
    """Parse the old syntax: one matcher after the other, separated by commas outside of quotes."""
    inner = text.removeprefix("{").removesuffix("}")
    tokens, token, quoted, escaped = [], "", False, False
    for letter in inner:
        if letter == "," and not quoted:
            tokens.append(token)
            token = ""
            continue
        if letter == '"':
            quoted, escaped = (quoted if escaped else not quoted), False
        elif letter == "\\":
            escaped = not escaped
        elif letter != ",":
            escaped = False
        token += letter
    last = token.strip()
    return tuple(_old_matcher(token) for token in [*tokens, *([last] if last else [])])


def _old_matcher(token: str) -> Matcher:
    match = _OLD.fullmatch(token)
    if match is None:
        raise InvalidMatcherError(msg('{text} is not a matcher, such as severity="critical"', text=token or '""'))
    name, operator, raw = match.groups()
    return matcher(name, operator, _old_value(raw))


def _old_value(raw: str) -> str:
    r"""Remove the quotes of a value, and replace `\n`, `\"` and `\\`; any other backslash stays."""
    quoted = raw.startswith('"')
    body = raw[1:] if quoted else raw
    value, at, closed = "", 0, not quoted
    while at < len(body):
        letter = body[at]
        if letter == "\\" and at + 1 < len(body):
            following = body[at + 1]
            value += {"n": "\n", '"': '"', "\\": "\\"}.get(following, "\\" + following)
            at += 2
            continue
        if letter == '"':
            if closed or at + 1 < len(body):
                raise InvalidMatcherError(msg("{text} has a double quote that is not escaped", text=raw))
            closed = True
        else:
            value += letter
        at += 1
    if not closed:
        raise InvalidMatcherError(msg("{text} has a double quote that is not escaped", text=raw))
    return value


class _NewParser:
    """A parser of the new syntax, in which names and values may be any text in quotes."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = self._split()
        self.at = 0

    def parse(self) -> tuple[Matcher, ...]:
        """Return the matchers. Raise InvalidMatcherError."""
        braces = self._accept("{")
        found: list[Matcher] = []
        while self._peek() not in ("", "}"):
            found.append(self._matcher())
            if not self._accept(","):
                break
        if braces != self._accept("}") or self._peek():
            raise self._error()
        return tuple(found)

    def _split(self) -> list[str]:
        tokens, at = [], 0
        while at < len(self.text):
            if self.text[at] in _UNICODE_SPACE:
                at += 1
                continue
            if match := _TOKEN.match(self.text, at):
                tokens.append(match[0])
                at = match.end()
                continue
            end = at
            while end < len(self.text) and self.text[end] not in _RESERVED:
                end += 1
            if end == at:
                raise self._error()
            tokens.append(self.text[at:end])
            at = end
        return tokens

    def _peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def _accept(self, token: str) -> bool:
        accepted = self._peek() == token
        self.at += accepted
        return accepted

    def _error(self) -> InvalidMatcherError:
        return InvalidMatcherError(msg('{text} is not a matcher, such as severity="critical"', text=self.text))

    def _matcher(self) -> Matcher:
        name = self._word()
        operator = self._peek()
        if operator not in OPERATORS:
            raise self._error()
        self.at += 1
        return matcher(name, operator, self._word())

    def _word(self) -> str:
        token = self._peek()
        if not token or token in ("{", "}", ",", *OPERATORS):
            raise self._error()
        self.at += 1
        if not token.startswith('"'):
            return token
        if "\n" in token:
            raise self._error()
        try:
            return go_literals.unquote(token)
        except ValueError:
            raise self._error() from None


def is_plain_name(name: str) -> bool:
    """Return whether a label's name is valid in the old syntax, which `match` and `match_re` require."""
    return _PLAIN_NAME.fullmatch(name) is not None


def shown(labels: Mapping[str, str]) -> str:
    """Return labels as Alertmanager writes them: `{alertname="DatabaseDown", severity="critical"}`."""
    return "{" + ", ".join(f"{name}={go_quote(value)}" for name, value in sorted(labels.items())) + "}"


def described(matchers: Iterable[Matcher]) -> Message:
    """Return matchers as Alertmanager writes them, for a message."""
    return msg("{matchers}", matchers="{" + ", ".join(map(str, matchers)) + "}")
