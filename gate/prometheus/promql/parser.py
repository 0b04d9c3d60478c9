"""Parse an expression of PromQL and check its types, as Prometheus does when it loads a rule.

The grammar is that of `promql/parser/generated_parser.y`, the types are those of `checkAST`. Operators are parsed by
precedence. The suffixes of an operand (`[5m]`, `offset`, `@`) bind tightest.
"""

from __future__ import annotations

import math
import re

from msgspec import Struct

from gate.core.messages import msg
from gate.decode import regex
from gate.prometheus import durations, go_literals, releases
from gate.prometheus.promql.functions import FUNCTIONS, Type
from gate.prometheus.promql.lexer import (  # fmt: skip
    AGGREGATIONS,
    DURATION,
    END,
    IDENTIFIER,
    NUMBER,
    STRING,
    ExpressionError,
    Token,
    tokens,
)
from gate.prometheus.releases import Release

# Maximum nesting of parentheses, calls and unary signs: the parser recurses.
DEPTH_LIMIT = 100
_COMPARISONS = frozenset(("==", "!=", "<", ">", "<=", ">="))
_SETS = frozenset(("and", "or", "unless"))
_PRECEDENCE = {
    "or": 1, "and": 2, "unless": 2, **dict.fromkeys((*_COMPARISONS, "</", ">/"), 3), "+": 4, "-": 4, "*": 5, "/": 5,
    "%": 5, "atan2": 5, "^": 6,
}  # fmt: skip
_UNARY = 5
_NOT_METRICS = frozenset(("on", "ignoring", "bool", "group_left", "group_right", "atan2"))
_LEGACY_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_META = re.compile(r"[\\.+*?()|\[\]{}^$]")
_NUMERIC = frozenset(("topk", "bottomk", "quantile", "limitk", "limit_ratio"))
_FARTHEST = 2**63 / 1e9


class Expression(Struct):
    """A part of an expression: its type, and the state that decides which suffixes it may have."""

    type: Type
    position: int
    name: str = ""
    # True for a vector selector without parentheses around it.
    selector: bool = False
    selects_something: bool = True
    subquery: bool = False
    # The selector of a range.
    inner: Expression | None = None
    # None without an offset; 0 counts as none, too.
    offset: float | None = None
    timestamp: bool = False
    start_or_end: bool = False
    # The value of a literal, or the seconds of a duration.
    number: float | None = None
    anchored: bool = False
    smoothed: bool = False


def check(text: str, release: Release) -> Type:
    """Return the type of an expression. Raise ExpressionError if a release does not parse it."""
    return _Parser(text, release).parse()


class _Parser:
    """One pass over the tokens of an expression."""

    def __init__(self, text: str, release: Release) -> None:
        self.release, self.version = release, release.version
        self.tokens = tokens(text, release)
        self.at = 0
        self.depth = 0

    def parse(self) -> Type:
        if self.tokens[0].kind == END:
            raise ExpressionError(msg("there is no expression"), 0)
        expression = self._expression(0)
        self._selects(expression)
        if self._kind != END:
            raise self._unexpected()
        return expression.type

    # Tokens

    @property
    def _kind(self) -> str:
        return self.tokens[self.at].kind

    def _next(self) -> Token:
        token = self.tokens[self.at]
        self.at += 1
        return token

    def _expect_token(self, kind: str) -> Token:
        if self._kind != kind:
            raise self._unexpected(kind)
        return self._next()

    def _accept(self, kind: str) -> bool:
        if self._kind != kind:
            return False
        self.at += 1
        return True

    def _unexpected(self, expected: str = "") -> ExpressionError:
        token = self.tokens[self.at]
        actual = token.text or msg("the end of the expression")
        if expected:
            return ExpressionError(
                msg("unexpected {text}, expected {expected}", text=actual, expected=expected), token.position
            )
        return ExpressionError(msg("unexpected {text}", text=actual), token.position)

    def _deeper(self) -> None:
        self.depth += 1
        if self.depth > DEPTH_LIMIT:
            raise ExpressionError(msg("the expression is nested more than {limit} times", limit=DEPTH_LIMIT),
                                self.tokens[self.at].position)  # fmt: skip

    # Operators

    def _expression(self, least: int) -> Expression:
        self._deeper()
        left = self._unary()
        while (precedence := _PRECEDENCE.get(self._kind, 0)) > least:
            operator = self._next()
            modifiers = self._modifiers()
            right = self._expression(precedence - (operator.kind == "^"))
            left = self._binary(operator, modifiers, left, right)
        self.depth -= 1
        return left

    def _unary(self) -> Expression:
        if self._kind not in ("+", "-"):
            return self._postfix(self._primary())
        sign = self._next()
        operand = self._expression(_UNARY)
        if operand.number is not None:
            operand.number *= -1 if sign.kind == "-" else 1
            return operand
        if operand.type not in ("scalar", "vector"):
            raise ExpressionError(
                msg("a sign is only allowed before a scalar or an instant vector, not before a {type}",
                    type=operand.type), sign.position)  # fmt: skip
        return Expression(self._selects(operand).type, sign.position)

    def _binary(self, operator: Token, modifiers: _Modifiers, left: Expression, right: Expression) -> Expression:
        kinds = (self._selects(left).type, self._selects(right).type)
        name = operator.kind
        if modifiers.fill and not self.release.enables(releases.FILL):
            raise self._needs_flag("fill", releases.FILL, operator)
        if modifiers.to_bool and name not in _COMPARISONS:
            raise ExpressionError(msg("'bool' can only be used with comparisons"), operator.position)
        if name in _COMPARISONS and not modifiers.to_bool and kinds == ("scalar", "scalar"):
            raise ExpressionError(msg("comparisons between scalars need 'bool'"), operator.position)
        if modifiers.on and (common := [label for label in modifiers.labels if label in modifiers.include]):
            raise ExpressionError(msg("the label {label} must not be in 'on' and 'group' at once", label=common[0]),
                                operator.position)  # fmt: skip
        if not set(kinds) <= {"scalar", "vector"}:
            raise ExpressionError(
                msg("{operator} takes only scalars and instant vectors", operator=name), operator.position
            )
        if kinds != ("vector", "vector"):
            if modifiers.labels or modifiers.fill:
                raise ExpressionError(msg("vector matching is only allowed between instant vectors"), operator.position)
            if name in _SETS:
                raise ExpressionError(msg("{operator} is not allowed with a scalar", operator=name), operator.position)
        elif name in _SETS and (modifiers.group or modifiers.fill):
            raise ExpressionError(msg("{operator} takes no grouping", operator=name), operator.position)
        return Expression("vector" if "vector" in kinds else "scalar", left.position)

    def _modifiers(self) -> _Modifiers:
        modifiers = _Modifiers(to_bool=self._accept("bool"))
        if self._kind in ("on", "ignoring"):
            modifiers.on = self._next().kind == "on"
            modifiers.labels = self._labels()
            if self._kind in ("group_left", "group_right"):
                self._next()
                modifiers.group = True
                modifiers.include = self._labels() if self._kind == "(" else []
        if self._kind == "fill":
            self._next()
            self._fill_value()
            modifiers.fill = True
        elif self._kind in ("fill_left", "fill_right"):
            opposite = {"fill_left": "fill_right", "fill_right": "fill_left"}[self._next().kind]
            self._fill_value()
            if self._accept(opposite):
                self._fill_value()
            modifiers.fill = True
        return modifiers

    def _fill_value(self) -> None:
        self._expect_token("(")
        if self._kind in ("+", "-"):
            self._next()
        self._literal()
        self._expect_token(")")

    def _labels(self) -> list[str]:
        self._expect_token("(")
        labels: list[str] = []
        while self._kind != ")":
            labels.append(self._label())
            if not self._accept(","):
                break
        self._expect_token(")")
        return labels

    def _label(self) -> str:
        token = self.tokens[self.at]
        if token.kind == STRING and self.version >= (2, 55):
            name = go_literals.unquote(token.text)
        elif token.kind in (NUMBER, DURATION, STRING, END) or (
            not token.text[:1].isidentifier() and token.text[:1] != ":"
        ):
            raise self._unexpected(str(msg("a label")))
        else:
            name = token.text
        valid = bool(name) and _is_utf8(name) if self.release.utf8 else _LEGACY_LABEL.fullmatch(name)
        if not valid:
            raise ExpressionError(msg("{name} is not a name for a label", name=name or '""'), token.position)
        self.at += 1
        return name

    # Operands

    def _primary(self) -> Expression:
        token = self.tokens[self.at]
        if token.kind == "(":
            return self._parenthesis()
        if token.kind in (NUMBER, DURATION):
            if token.kind == DURATION and self.version < (2, 54):
                raise self._unexpected()
            return Expression("scalar", token.position, number=self._literal())
        if token.kind == STRING:
            self._next()
            return Expression("string", token.position)
        if token.kind == "{":
            return self._selector("", token)
        after = self.tokens[self.at + 1].kind if token.kind != END else END
        if token.kind in AGGREGATIONS and after in ("(", "by", "without"):
            return self._aggregation()
        if after == "(" and self._callable(token.kind):
            return self._call()
        if _is_word(token):
            if token.kind in _NOT_METRICS:
                raise self._unexpected()
            self._next()
            return self._selector(token.text, token)
        raise self._unexpected()

    def _callable(self, kind: str) -> bool:
        if kind in ("start()", "end()", "step()", "range()"):
            return self.version >= (3, 12)
        return kind == IDENTIFIER or kind in ("max_of", "min_of")

    def _parenthesis(self) -> Expression:
        opening = self._next()
        inner = self._selects(self._expression(0))
        self._expect_token(")")
        return Expression(inner.type, opening.position)

    def _literal(self) -> float:
        token = self._next()
        if token.kind == DURATION and self.version >= (2, 54):
            return self._duration(token)
        if token.kind != NUMBER:
            self.at -= 1
            raise self._unexpected(str(msg("a number")))
        value = _number(token.text)
        if value is None:
            raise ExpressionError(msg("{text} is not a number", text=token.text), token.position)
        return value

    def _duration(self, token: Token) -> float:
        seconds = durations.seconds(token.text)
        if seconds is None or (not seconds and self.version < (3, 4)):
            raise ExpressionError(msg("{text} is not a duration", text=token.text), token.position)
        return seconds

    def _selector(self, name: str, start: Token) -> Expression:
        selector = Expression("vector", start.position, name=name, selector=True, selects_something=bool(name))
        if not self._accept("{"):
            return selector
        while self._kind != "}":
            label, matches_nothing = self._matcher()
            if label == "__name__" and name:
                raise ExpressionError(msg("the name of the metric is set twice"), start.position)
            selector.selects_something |= not matches_nothing
            if not self._accept(","):
                break
        self._expect_token("}")
        return selector

    def _matcher(self) -> tuple[str, bool]:
        """Return the label of a matcher, and whether the matcher matches an empty value."""
        token = self._next()
        if token.kind == STRING and self.version >= (2, 51):
            label = go_literals.unquote(token.text)
            if self._kind in (",", "}"):
                return "__name__", not label
        elif token.kind == IDENTIFIER:
            label = token.text
        else:
            self.at -= 1
            raise self._unexpected(str(msg("a label")))
        if self._kind not in ("=", "!=", "=~", "!~"):
            raise self._unexpected("=")
        operator = self._next().kind
        value = go_literals.unquote(self._expect_token(STRING).text)
        matches = self._matches_nothing(value, token) if operator in ("=~", "!~") else not value
        return label, matches == (operator in ("=", "=~"))

    def _matches_nothing(self, pattern: str, token: Token) -> bool:
        """Return True if a regular expression matches an empty value as a whole."""
        words = pattern.split("|") if self.version >= (2, 52) else [pattern]
        if self.version >= (2, 48) and not any(_META.search(word) for word in words):
            return "" in words  # compared as text, without a regular expression: any bytes are valid
        try:
            return regex.search(go_literals.check_regex(pattern), "")
        except ValueError as error:
            reason = msg("{text} is not a regular expression: {why}", text=repr(pattern[:100]), why=str(error))
            raise ExpressionError(reason, token.position) from None

    def _selects(self, expression: Expression) -> Expression:
        """Return an operand. Raise ExpressionError if it selects all series."""
        selector = expression.inner or expression
        if selector.selector and not selector.selects_something:
            raise ExpressionError(msg("a selector must have at least one matcher that does not match an empty value"),
                                selector.position)  # fmt: skip
        return expression

    def _aggregation(self) -> Expression:
        operator = self._next()
        grouped = self._grouping()
        arguments = self._arguments()
        if not grouped:
            self._grouping()
        name = operator.kind
        has_parameter = name in _NUMERIC or name == "count_values"
        if name in ("limitk", "limit_ratio") and not self.release.enables(releases.FUNCTIONS):
            raise self._needs_flag(name, releases.FUNCTIONS, operator)
        if len(arguments) != 1 + has_parameter:
            raise ExpressionError(msg("{name} takes {count} arguments, not {given}", name=name, count=1 + has_parameter,
                                    given=len(arguments)), operator.position)  # fmt: skip
        self._expect_type(arguments[-1], "vector", name)
        if has_parameter:
            self._expect_type(arguments[0], "string" if name == "count_values" else "scalar", name)
        return Expression("vector", operator.position)

    def _grouping(self) -> bool:
        if self._kind not in ("by", "without"):
            return False
        self._next()
        self._labels()
        return True

    def _arguments(self) -> list[Expression]:
        self._expect_token("(")
        arguments: list[Expression] = []
        if self._accept(")"):
            return arguments
        while True:
            arguments.append(self._expression(0))
            if not self._accept(","):
                break
        self._expect_token(")")
        return arguments

    def _call(self) -> Expression:
        token = self._next()
        function = FUNCTIONS.get(token.text)
        if function is None or not function.known(self.release):
            raise ExpressionError(msg("Prometheus {release} has no function {name}", release=str(self.release),
                                    name=token.text), token.position)  # fmt: skip
        if function.experimental(self.release) and not self.release.enables(releases.FUNCTIONS):
            raise self._needs_flag(token.text, releases.FUNCTIONS, token)
        arguments = self._arguments()
        declared, count = len(function.arguments), len(arguments)
        least = declared - (function.optional != 0)
        most = 10**9 if function.optional < 0 else least + function.optional
        if not least <= count <= most:
            raise ExpressionError(msg("{name} takes {count} arguments, not {given}", name=token.text, given=count,
                                    count=declared if least == most else f"{least}..."), token.position)  # fmt: skip
        if token.text == "info" and count > 1:
            self._info(arguments[1])
        for place, argument in enumerate(arguments):
            self._expect_type(argument, function.arguments[min(place, declared - 1)], token.text)
        return Expression(function.result, token.position)

    def _info(self, argument: Expression) -> None:
        """Validate the second argument of `info`: it selects labels only, and may select everything."""
        if not argument.selector or argument.name:
            raise ExpressionError(msg("info takes a selector of labels without a metric"), argument.position)
        argument.selects_something = True

    def _expect_type(self, argument: Expression, expected: Type, function: str) -> None:
        actual = self._selects(argument).type
        if actual != expected:
            raise ExpressionError(
                msg("{name} takes a {wanted}, not a {type}", name=function, wanted=expected, type=actual),
                argument.position,
            )

    def _needs_flag(self, name: str, flag: str, token: Token) -> ExpressionError:
        return ExpressionError(msg("{name} needs the feature flag {flag}", name=name, flag=flag), token.position)

    # Suffixes of an operand

    def _postfix(self, operand: Expression) -> Expression:
        while True:
            kind = self._kind
            if kind == "[":
                operand = self._range(operand)
            elif kind == "offset":
                self._offset(operand)
            elif kind == "@":
                self._at_modifier(operand)
            elif kind in ("anchored", "smoothed"):
                self._extended(operand)
            else:
                return operand

    def _range(self, operand: Expression) -> Expression:
        bracket = self._next()
        self._positive()
        if self._accept(":"):
            if self._kind != "]":
                self._positive()
            self._expect_token("]")
            if self._selects(operand).type != "vector":
                raise ExpressionError(msg("a subquery is only allowed on an instant vector"), bracket.position)
            return Expression("matrix", operand.position, subquery=True)
        self._expect_token("]")
        if not operand.selector:
            raise ExpressionError(msg("a range is only allowed on a selector"), bracket.position)
        if operand.offset or operand.timestamp:
            raise ExpressionError(msg("a range must come before 'offset' and '@'"), bracket.position)
        return Expression("matrix", operand.position, inner=operand)

    def _offset(self, operand: Expression) -> None:
        offset = self._next()
        value = self._offset_duration()
        target = self._modified(operand, "offset", offset)
        if target.offset:
            raise ExpressionError(msg("'offset' is set twice"), offset.position)
        target.offset = value

    def _at_modifier(self, operand: Expression) -> None:
        at = self._next()
        if self._kind in ("start()", "end()"):
            self._next()
            self._expect_token("(")
            self._expect_token(")")
            target = self._modified(operand, "@", at)
            self._at_once(target, at)
            target.start_or_end = True
            return
        sign = self._next().kind if self._kind in ("+", "-") else "+"
        value = self._literal() * (-1 if sign == "-" else 1)
        if not math.isfinite(value) or abs(value) >= 2**63:
            raise ExpressionError(msg("the timestamp of '@' is out of range"), at.position)
        target = self._modified(operand, "@", at)
        self._at_once(target, at)
        target.timestamp = True

    def _at_once(self, target: Expression, at: Token) -> None:
        if target.timestamp or target.start_or_end:
            raise ExpressionError(msg("'@' is set twice"), at.position)

    def _modified(self, operand: Expression, modifier: str, token: Token) -> Expression:
        """Return the target of a modifier: a selector, also that of a range, or a subquery."""
        target = operand.inner or operand
        if not target.selector and not target.subquery:
            raise ExpressionError(
                msg("{modifier} is only allowed after a selector or a subquery", modifier=f"'{modifier}'"),
                token.position,
            )
        return target

    def _extended(self, operand: Expression) -> None:
        modifier = self._next()
        if not self.release.enables(releases.RANGE_SELECTORS):
            raise self._needs_flag(modifier.kind, releases.RANGE_SELECTORS, modifier)
        target = operand.inner or operand
        if (
            not target.selector
            or (target.anchored and modifier.kind == "smoothed")
            or (target.smoothed and modifier.kind == "anchored")
        ):
            raise ExpressionError(msg("{modifier} cannot be used here", modifier=modifier.kind), modifier.position)
        target.anchored |= modifier.kind == "anchored"
        target.smoothed |= modifier.kind == "smoothed"

    # Durations

    def _positive(self) -> None:
        token = self.tokens[self.at]
        if self.version < (2, 54):
            self._duration(self._expect_token(DURATION))
            return
        value = self._literal() if self.version < (3, 4) else self._duration_expression(0)
        if value is not None and value <= 0 and self.version >= (3, 4):
            raise ExpressionError(msg("a duration must be greater than 0"), token.position)

    def _offset_duration(self) -> float | None:
        """Return the seconds of an offset, 1 if they have to be computed."""
        sign = -1.0 if self._kind == "-" else 1.0
        if self._kind == "-" or (self._kind == "+" and self.version >= (3, 4)):
            following = self.tokens[self.at + 1].kind
            if following in (NUMBER, DURATION):
                self._next()
                return self._in_range(sign * self._offset_literal())
        elif self._kind in (NUMBER, DURATION):
            return self._in_range(self._offset_literal())
        if self.version < (3, 4):
            raise self._unexpected(str(msg("a duration")))
        value = self._duration_expression(0)
        return 1.0 if value is None else value

    def _offset_literal(self) -> float:
        return self._duration(self._expect_token(DURATION)) if self.version < (2, 54) else self._literal()

    def _in_range(self, value: float) -> float:
        if abs(value) > _FARTHEST and self.version >= (3, 4):
            raise ExpressionError(msg("a duration is out of range"), self.tokens[self.at - 1].position)
        return value

    def _duration_expression(self, least: int) -> float | None:
        """Return the seconds of a duration, None if they have to be computed."""
        self._deeper()
        left = self._duration_operand()
        while (precedence := _DURATION_PRECEDENCE.get(self._kind, 0)) > least:
            operator = self._next()
            right = self._duration_expression(precedence - (operator.kind == "^"))
            self._experimental(operator)
            if operator.kind in ("/", "%") and right == 0:
                raise ExpressionError(msg("division by zero"), operator.position)
            left = None
        self.depth -= 1
        return left

    def _duration_operand(self) -> float | None:
        token = self.tokens[self.at]
        if token.kind in ("+", "-"):
            self._next()
            value = self._duration_expression(_UNARY)
            return None if value is None else self._in_range(-value if token.kind == "-" else value)
        if token.kind == "(":
            self._next()
            value = self._duration_expression(0)
            self._expect_token(")")
            self._experimental(token)
            return value
        if token.kind in ("step()", "range()"):
            self._next()
            self._expect_token("(")
            self._expect_token(")")
            self._computed(token)
            return None
        if token.kind in _EXTREMES:
            self._next()
            self._expect_token("(")
            self._duration_expression(0)
            self._expect_token(",")
            self._duration_expression(0)
            self._expect_token(")")
            self._computed(token)
            return None
        return self._in_range(self._literal())

    def _computed(self, token: Token) -> None:
        if self.version >= (3, 12):
            self._experimental(token)

    def _experimental(self, token: Token) -> None:
        if not self.release.enables(releases.DURATIONS):
            raise self._needs_flag(str(msg("arithmetic of durations")), releases.DURATIONS, token)


class _Modifiers(Struct):
    """The modifiers between an operator and its right side."""

    to_bool: bool = False
    on: bool = False
    labels: list[str] = []
    group: bool = False
    include: list[str] = []
    fill: bool = False


_DURATION_PRECEDENCE = {"+": 4, "-": 4, "*": 5, "/": 5, "%": 5, "^": 6}
_EXTREMES = ("min", "max", "max_of", "min_of")


def _is_word(token: Token) -> bool:
    """Return True for a name or a keyword."""
    return token.kind != NUMBER and (token.text[:1].isidentifier() or token.text[:1] == ":")


def _number(text: str) -> float | None:
    plain = text.lower()
    if plain in ("inf", "nan"):
        return float(plain)
    return go_literals.number(text)


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)
