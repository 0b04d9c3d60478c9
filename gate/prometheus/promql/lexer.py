"""Split an expression of PromQL into tokens, as `promql/parser/lex.go` of Prometheus does."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from gate.core.errors import GateError
from gate.core.messages import Message, msg
from gate.prometheus import go_literals
from gate.prometheus.releases import Release


class ExpressionError(GateError):
    """An expression that Prometheus rejects. `position` counts characters from 0."""

    def __init__(self, message: Message, position: int) -> None:
        super().__init__(message)
        self.position = position


class Token(NamedTuple):
    """A token. `kind` is the sign itself, the keyword in lower case, or one of the constants below."""

    kind: str
    text: str
    position: int


IDENTIFIER, METRIC, NUMBER, DURATION, STRING, END = "identifier", "metric", "number", "duration", "string", "end"

AGGREGATIONS = frozenset(
    ("sum", "avg", "count", "min", "max", "group", "stddev", "stdvar", "topk", "bottomk", "count_values", "quantile",
     "limitk", "limit_ratio")
)  # fmt: skip
# Keywords, by the version that introduced them. `start()` is the keyword `start`; END is the end of the text.
_KEYWORDS: dict[str, tuple[int, int]] = {
    **dict.fromkeys(AGGREGATIONS, (0, 0)),
    **dict.fromkeys(("and", "or", "unless", "atan2", "offset", "by", "without", "on", "ignoring", "group_left",
                     "group_right", "bool", "start()", "end()"), (0, 0)),
    "limitk": (2, 54), "limit_ratio": (2, 54), "step()": (3, 6), "anchored": (3, 7), "smoothed": (3, 7),
    "fill": (3, 10), "fill_left": (3, 10), "fill_right": (3, 10), "range()": (3, 10), "max_of": (3, 13),
    "min_of": (3, 13),
}  # fmt: skip
WORDS = {"start": "start()", "end": "end()", "step": "step()", "range": "range()"}
_WORDS_BACK = {kind: word for word, kind in WORDS.items()}
_FILLS = ("fill", "fill_left", "fill_right")
_SPACE = re.compile(r"[ \t\r\n]*")
_COMMENT = re.compile(r"#[^\r\n]*")
_WORD = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_LETTERS = re.compile(r"[a-zA-Z_]*")
_STRING = re.compile(r"""("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(`[^`]*`)""", re.DOTALL)
_DURATION = re.compile(r"[smhdwy]s?(?:[0-9]+[smhdw]s?)*(?![a-zA-Z0-9_])", re.ASCII)
_OLD_NUMBER = re.compile(r"(?:0[xX][0-9a-fA-F]*(?:\.[0-9a-fA-F]*)?|[0-9]*(?:\.[0-9]*)?)(?:[eE][+-]?[0-9]*)?")
_DIGITS, _HEXADECIMAL = "0123456789", "0123456789abcdefABCDEF"
_SIGNS = ("==", "!=", "<=", ">=", "=", "<", ">", ",", "*", "/", "%", "+", "-", "^", "@")
_BRACE_SIGNS = ("=~", "!~", "!=", "=", ",")
_TRIMS = ("</", ">/")


def tokens(text: str, release: Release) -> list[Token]:
    """Return the tokens of an expression and a last one for its end. Raise ExpressionError."""
    return _Lexer(text, release).run()


@lru_cache
def _keywords(version: tuple[int, int]) -> dict[str, str]:
    """Return the kind of each keyword that a version has."""
    return {_WORDS_BACK.get(name, name): name for name, since in _KEYWORDS.items() if since <= version}


class _Lexer:
    """One pass over an expression."""

    def __init__(self, text: str, release: Release) -> None:
        self.text, self.release = text, release
        self.at = 0
        self.tokens: list[Token] = []
        self.depth = 0
        self.brace = self.bracket = self.colon = self.duration = False
        self.keywords = _keywords(release.version)
        self.signs = (*_TRIMS, *_SIGNS) if release.version >= (3, 11) else _SIGNS

    def run(self) -> list[Token]:
        expression = False
        while True:
            self.at = _SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]
            if self.text.startswith("#", self.at) and not expression:
                self.at = _COMMENT.match(self.text, self.at).end()  # type: ignore[union-attr]
            elif self.brace:
                self._in_braces()
            elif expression:
                expression = self._in_brackets()
            elif self.at >= len(self.text):
                return self._ended()
            else:
                expression = self._statement()

    def _ended(self) -> list[Token]:
        if self.depth:
            raise self._error(msg("a left parenthesis is not closed"))
        if self.bracket:
            raise self._error(msg("a left bracket is not closed"))
        self._emit(END, 0)
        return self.tokens

    def _error(self, reason: Message) -> ExpressionError:
        return ExpressionError(reason, self.at)

    def _unexpected(self) -> ExpressionError:
        if self.at >= len(self.text):
            return self._error(msg("unexpected end of the expression"))
        return self._error(msg("unexpected character {text}", text=repr(self.text[self.at])))

    def _emit(self, kind: str, length: int) -> None:
        self.tokens.append(Token(kind, self.text[self.at : self.at + length], self.at))
        self.at += length

    def _statement(self) -> bool:
        """Read one token; return True if a duration expression follows, in brackets."""
        letter = self.text[self.at]
        digit = letter.isascii() and (
            letter.isdigit() or (letter == "." and self.text[self.at + 1 : self.at + 2].isdigit())
        )
        if letter in "([{)]}":
            return self._opened_or_closed(letter)
        if digit:
            self._number()
        elif letter in "\"'`":
            self._string()
        elif letter == ":" or letter == "_" or (letter.isascii() and letter.isalpha()):
            self._word_or_colon()
        else:
            sign = next((sign for sign in self.signs if self.text.startswith(sign, self.at)), None)
            if sign is None or (sign == "=" and self.text.startswith("=~", self.at)):
                raise self._unexpected()
            self._emit(sign, len(sign))
        return False

    def _opened_or_closed(self, letter: str) -> bool:
        if letter == "(":
            self.depth += 1
        elif letter == ")":
            self.depth -= 1
            if self.depth < 0:
                raise self._unexpected()
        elif letter == "{":
            self.brace = True
        elif letter == "}" or (letter == "[") == self.bracket:
            raise self._unexpected()
        else:
            self.bracket = letter == "["
            self.colon = self.duration = False
        self._emit(letter, 1)
        return self.bracket and letter == "["

    def _word_or_colon(self) -> None:
        if not self.bracket:
            self._word()
            return
        letter = self.text[self.at]
        old = self.release.version < (3, 6)
        # Until 3.5 any letter counts as the colon of a subquery
        if (letter == ":" or old) and not self.colon:
            self._emit(":", 1)
            self.colon = True
        elif letter == ":" or old or not self._duration_keyword():
            raise self._unexpected()

    def _word(self) -> None:
        match = _WORD.match(self.text, self.at)
        assert match
        word = match[0].lower()
        if word in ("inf", "nan"):
            kind = NUMBER
        elif word in _FILLS and not self.text[_SPACE.match(self.text, match.end()).end() :].startswith("("):  # type: ignore[union-attr]
            kind = IDENTIFIER
        else:
            kind = self.keywords.get(word) or (METRIC if ":" in word else IDENTIFIER)
        self._emit(kind, len(word))

    def _string(self) -> None:
        match = _STRING.match(self.text, self.at)
        if not match:
            raise self._error(msg("unterminated quoted string"))
        if "\ufffd" in match[0]:
            raise self._error(msg("a string has a character that is not valid UTF-8"))
        try:
            go_literals.unquote(match[0])
        except ValueError as error:
            raise self._error(msg("unknown escape sequence {text}", text=str(error))) from None
        self._emit(STRING, len(match[0]))

    def _in_braces(self) -> None:
        if self.at >= len(self.text):
            raise self._unexpected()
        letter = self.text[self.at]
        if label := _LABEL.match(self.text, self.at):
            self._emit(IDENTIFIER, len(label[0]))
        elif letter in "\"'`":
            self._string()
        elif letter == "}":
            self.brace = False
            self._emit("}", 1)
        else:
            sign = next((sign for sign in _BRACE_SIGNS if self.text.startswith(sign, self.at)), None)
            if sign is None:
                raise self._unexpected()
            self._emit(sign, len(sign))

    def _in_brackets(self) -> bool:
        """Read one token of a duration expression; return True if another one follows."""
        if self.at >= len(self.text):
            raise self._unexpected()
        letter = self.text[self.at]
        digit = letter.isascii() and (
            letter.isdigit() or (letter == "." and self.text[self.at + 1 : self.at + 2].isdigit())
        )
        if self.release.version < (3, 4):
            self._number(only_duration=self.release.version < (2, 54))
        elif digit:
            self.duration = True
            self._number()
        elif letter == ":":
            if not self.duration or self.colon:
                raise self._unexpected()
            self.colon = True
            self._emit(":", 1)
            return True
        elif letter == "]":
            self.bracket = self.colon = False
            self._emit("]", 1)
        elif letter in "()":
            self._opened_or_closed(letter)
            return True
        elif letter in "+-*/%^" or (letter == "," and self.release.version >= (3, 6)):
            self._emit(letter, 1)
            return True
        elif not self._duration_keyword():
            raise self._unexpected()
        else:
            return True
        return False

    def _duration_keyword(self) -> bool:
        word = _LETTERS.match(self.text, self.at)[0]  # type: ignore[index]
        version = self.release.version
        since = {"step": (3, 6), "range": (3, 10), "max_of": (3, 13), "min_of": (3, 13)}
        folded = word.lower()
        if folded in ("min", "max") and (3, 6) <= version < (3, 13):
            self._emit(folded, len(word))
            return True
        if folded in since and version >= since[folded]:
            self._emit(WORDS.get(folded, folded), len(word))
            return True
        return False

    def _number(self, *, only_duration: bool = False) -> None:
        start = self.at
        end, valid = self._scan(start)
        if valid and not only_duration:
            self._emit(NUMBER, end - start)
            return
        match = _DURATION.match(self.text, end)
        if not match or valid:
            raise self._error(msg("bad number or duration {text}", text=self.text[start : max(end, start + 1)]))
        self._emit(DURATION, match.end() - start)

    def _scan(self, at: int) -> tuple[int, bool]:
        """Return the end of a number, and whether it is valid."""
        if self.release.version < (2, 54):
            end = _OLD_NUMBER.match(self.text, at).end()  # type: ignore[union-attr]
            return end, end > at and not self._is_word(end)
        return self._scan_with_underscores(at)

    def _scan_with_underscores(self, at: int) -> tuple[int, bool]:
        start, digits, text = at, _DIGITS, self.text
        if text[at : at + 2].lower() == "0x":
            at += 2 + text.startswith("_", at + 2)
            digits = _HEXADECIMAL
        elif text.startswith("0", at):
            at += 1
        at += text.startswith(".", at)
        at += text[at : at + 1] != "" and text[at] in digits
        dot = exponent = False
        while at < len(text) and text[at] in digits + "._eE":
            letter = text[at]
            if (letter == "." and dot) or (letter in "eE" and exponent and letter not in digits):
                return at + 1, False
            if letter == ".":
                dot, at = True, at + 1
                if text[at : at + 1] in ("_", ".") or digits is _HEXADECIMAL:
                    return at, False
            elif letter in "eE" and (digits is _DIGITS):
                exponent, at = True, at + 1
                at += text[at : at + 1] in ("+", "-")
                if text[at : at + 1] in ("", ".", "_", "e", "E"):
                    return at, False
            elif letter == "_":
                at += 1
                if text[at : at + 1] in ("", ".", "_", "e", "E"):
                    return at, False
            else:
                while at < len(text) and text[at] in digits:
                    at += 1
        return at, at > start and not self._is_word(at)

    def _is_word(self, at: int) -> bool:
        letter = self.text[at : at + 1]
        return letter == "_" or (letter.isascii() and letter.isalnum())
