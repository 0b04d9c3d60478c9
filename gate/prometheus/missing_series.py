"""Find the missing series that keep a PromQL expression from ever returning a sample.

The expression is evaluated over the values that each part may have: any value for a selector with series, none for a
selector without series, the exact value for a constant. So `up{job="typo"} == 0` has no possible result, either side of
`or` is enough, and `(sum(errors) or vector(0)) > 5` needs `errors` although `vector(0)` always has a sample.

https://prometheus.io/docs/prometheus/latest/querying/basics/
"""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from msgspec import Struct

from gate.decode import regex
from gate.prometheus import durations, expressions, go_literals

# Maximum nesting of brackets: the evaluation recurses.
_DEPTH = 100
# Maximum number of constants to track; beyond it a part has any value.
_MANY = 16
# Prometheus's lookback in seconds: a series without a newer sample is gone for instant queries.
_LOOKBACK = 300.0
_PRECEDENCE = {
    "or": 1, "and": 2, "unless": 2, "==": 3, "!=": 3, "<=": 3, "<": 3, ">=": 3, ">": 3, "+": 4, "-": 4, "*": 5, "/": 5,
    "%": 5, "atan2": 5, "^": 6,
}  # fmt: skip
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<=": operator.le, "<": operator.lt, ">=": operator.ge, ">": operator.gt,
}  # fmt: skip


def _divided(dividend: float, divisor: float) -> float:
    if divisor:
        return dividend / divisor
    return (
        math.nan
        if dividend == 0 or math.isnan(dividend)
        else math.copysign(math.inf, dividend) * math.copysign(1.0, divisor)
    )


_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": _divided,
}  # fmt: skip
_MATCHING = frozenset(("on", "ignoring", "group_left", "group_right", "fill", "fill_left", "fill_right"))
_GROUPING = frozenset(("by", "without"))
_AGGREGATIONS = frozenset(
    (
        "sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "topk", "bottomk", "count_values", "quantile",
        "limitk", "limit_ratio",
    )
)  # fmt: skip
# Functions that return the values of their first argument, a sample for each.
_SAME = frozenset(("vector", "sort", "sort_desc", "sort_by_label", "sort_by_label_desc", "label_replace", "label_join"))
# Functions that return 0 or NaN if their argument has no other values.
_SAME_ALONE = frozenset(
    ("sum", "min", "max", "avg", "abs", "ceil", "floor", "round", "sgn", "sqrt", "avg_over_time", "min_over_time",
     "max_over_time", "sum_over_time", "last_over_time", "first_over_time")
)  # fmt: skip
_RANGE_WORDS = frozenset(("anchored", "smoothed"))


class _UnreadableError(Exception):
    """An expression with syntax that this module does not evaluate, although Prometheus may know it."""


class Matcher(Struct, frozen=True):
    """A matcher of a selector: label, operator and value."""

    label: str
    operator: str
    value: str

    def matches(self, value: str) -> bool:
        """Return True if a label with this value matches."""
        if self.operator in ("=", "!="):
            return (value == self.value) == (self.operator == "=")
        try:
            matched = regex.search(f"^(?s:{self.value})$", value)
        except regex.InvalidPatternError:
            # Prometheus has loaded it, so it is only unknown here: it may match.
            return True
        return bool(matched) == (self.operator == "=~")


class Selector(Struct, frozen=True):
    """A selector such as `up{job="a"}`. `window` is the seconds of its range and of the subqueries around it."""

    text: str
    matchers: tuple[Matcher, ...] = ()
    window: float = 0.0
    offset: str = ""
    # A fixed time, `@ 1600000000`; empty for the time of the evaluation, its start or its end.
    at: str = ""

    def __str__(self) -> str:
        return self.text

    @property
    def query(self) -> str:
        """Return an expression that has one sample without labels if the selector has series, or regularly has."""
        if self.at:
            return f"group({self._range(self.at + self.offset)})"
        now = f"group({self.text})"
        if self.window <= _LOOKBACK and not self.offset:
            return now
        return f"{now} or group({self._range(self.offset)})"

    def _range(self, modifiers: str) -> str:
        seconds = math.ceil(max(self.window, _LOOKBACK))
        return f"last_over_time({self.text}[{seconds}s]{modifiers})"

    @property
    def name(self) -> str:
        """Return the metric, "" if it is not named or named by a pattern."""
        return next(
            (matcher.value for matcher in self.matchers if (matcher.label, matcher.operator) == ("__name__", "=")), ""
        )

    def names(self, metric: str) -> bool:
        """Return True if the selector reads a metric of this name."""
        named = [matcher for matcher in self.matchers if matcher.label == "__name__"]
        return bool(named) and all(matcher.matches(metric) for matcher in named)


class _Values(Struct, frozen=True):
    """The values that the samples of a part may have: None for any, an empty set for no sample."""

    values: frozenset[float] | None
    # True if there is at least one sample whatever the data.
    always: bool = False
    scalar: bool = False

    @property
    def empty(self) -> bool:
        return self.values == frozenset()


_ANY = _Values(None)
_NOTHING = _Values(frozenset())


def _constants(*values: float, always: bool = False, scalar: bool = False) -> _Values:
    if len(values) > _MANY:
        return _Values(None, always, scalar)
    return _Values(frozenset(math.nan if math.isnan(value) else value for value in values), always, scalar)


HasSeries = Callable[[Selector], bool]


@lru_cache(maxsize=4096)
def required_selectors(text: str) -> tuple[Selector, ...]:
    """Return the selectors of an expression that may require series, in order.

    Selectors inside `absent()` and `absent_over_time()` and to the right of `unless` require none.
    """
    required: dict[Selector, None] = {}

    def record(selector: Selector) -> bool:
        required[selector] = None
        return True

    try:
        _Evaluation(text, record).result()
    except _UnreadableError:
        return tuple(_named(expressions.metrics(text)))
    return tuple(required)


@lru_cache(maxsize=4096)
def all_selectors(text: str) -> tuple[Selector, ...]:
    """Return all selectors of an expression, in order."""
    evaluation = _Evaluation(text, lambda _: True)
    try:
        evaluation.result()
    except _UnreadableError:
        return tuple(_named(expressions.metrics(text)))
    return tuple(evaluation.selectors)


def metric_selectors(text: str) -> dict[Selector, Selector]:
    """Return the selectors of an expression that name their metrics, each with its demands on the name alone."""
    named = {}
    for selector in all_selectors(text):
        names = tuple(matcher for matcher in selector.matchers if matcher.label == "__name__")
        if names:
            inner = ",".join(f"__name__{each.operator}{json.dumps(each.value, ensure_ascii=False)}" for each in names)
            named[selector] = Selector(f"{{{inner}}}", names)
    return named


def missing_selectors(text: str, has: HasSeries) -> tuple[Selector, ...]:
    """Return the selectors whose lack of series keeps an expression from returning a sample; none if it can.

    An expression that cannot be evaluated requires all its metrics.
    """
    absent = tuple(selector for selector in required_selectors(text) if not has(selector))
    if not absent:
        return ()
    try:
        if not _Evaluation(text, has).result().empty:
            return ()
        # Constants alone keep it from returning anything, such as vector(1) == 0: no series would change that.
        return () if _Evaluation(text, lambda _: True).result().empty else absent
    except _UnreadableError:
        return absent


def _named(metrics: Sequence[str]) -> Iterator[Selector]:
    """Yield a selector for each metric in the notation of `expressions.metrics`."""
    for name in metrics:
        sign, value = ("=~", name[1:]) if name.startswith("~") else ("=", name)
        yield Selector(
            f"{{__name__{sign}{json.dumps(value, ensure_ascii=False)}}}", (Matcher("__name__", sign, value),)
        )


class _Evaluation:
    """One pass over an expression, by precedence. `has` is called for each selector that may require series."""

    def __init__(self, text: str, has: HasSeries) -> None:
        self.text = text
        self.tokens = expressions.tokens(text)
        self.has = has
        self.at = 0
        self.depth = 0
        self.selectors: dict[Selector, None] = {}
        # Greater than 0 inside of a part that requires no series.
        self.not_required = 0
        self.windows: list[float] = []
        self.closing = _brackets(self.tokens)

    def result(self) -> _Values:
        """Evaluate the whole expression. Raise _UnreadableError."""
        values = self._binary(1)
        if self.at < len(self.tokens):
            raise _UnreadableError
        return values

    def _word(self, ahead: int = 0) -> str:
        at = self.at + ahead
        return self.tokens[at][0].lower() if at < len(self.tokens) else ""

    def _kind(self) -> str | None:
        return self.tokens[self.at].lastgroup if self.at < len(self.tokens) else None

    def _take(self, *words: str) -> bool:
        taken = self._word() in words
        self.at += taken
        return taken

    def _need(self, word: str) -> None:
        if not self._take(word):
            raise _UnreadableError

    def _skip_brackets(self) -> None:
        """Skip an opening bracket and all up to its closing one."""
        if self._word() != "(" or self.at not in self.closing:
            raise _UnreadableError
        self.at = self.closing[self.at] + 1

    def _binary(self, least: int) -> _Values:
        self.depth += 1
        if self.depth > _DEPTH:
            raise _UnreadableError
        left = self._unary()
        while (rank := _PRECEDENCE.get(self._word(), 0)) >= least:
            sign = self._word()
            self.at += 1
            yields_bool = self._take("bool")
            fills = self._matching()
            self.not_required += sign == "unless"
            right = self._binary(rank if sign == "^" else rank + 1)
            self.not_required -= sign == "unless"
            left = _combined(sign, left, right, fills, yields_bool=yields_bool)
        self.depth -= 1
        return left

    def _matching(self) -> set[str]:
        """Skip how two vectors are matched, such as `on (job) group_left`, and return its words."""
        words = set()
        while self._word() in ("group_left", "group_right") or (self._word() in _MATCHING and self._word(1) == "("):
            words.add(self._word())
            self.at += 1
            if self._word() == "(":
                self._skip_brackets()
        return words

    def _unary(self) -> _Values:
        if self._take("-"):
            operand = self._binary(_PRECEDENCE["^"])
            if operand.values is None:
                return operand
            return _constants(*map(operator.neg, operand.values), always=operand.always, scalar=operand.scalar)
        if self._take("+"):
            return self._binary(_PRECEDENCE["^"])
        return self._with_subqueries()

    def _with_subqueries(self) -> _Values:
        """Evaluate a part with its subqueries and modifiers."""
        # The window of a subquery must be known before the selectors in it are read.
        self.windows.append(self._subquery_behind())
        values = self._part()
        while self._kind() == "range":
            self.at += 1
            self._modifiers()
        self.windows.pop()
        return values

    def _subquery_behind(self) -> float:
        """Return the range of the subquery behind the brackets or the call that begins here."""
        end, is_aggregation = self.at, self._word() in _AGGREGATIONS
        if is_aggregation and self._word(1) in _GROUPING:
            end = self.closing.get(end + 2, end) + 1
        elif self._kind() == "name":
            end += 1
        end = self.closing.get(end, len(self.tokens)) + 1
        if is_aggregation and end < len(self.tokens) and self.tokens[end][0].lower() in _GROUPING:
            end = self.closing.get(end + 1, end) + 1
        following = self.tokens[end] if end < len(self.tokens) else None
        return _range(following[0]) if following is not None and following.lastgroup == "range" else 0.0

    def _part(self) -> _Values:
        kind, word = self._kind(), self._word()
        if kind == "number" or word in ("inf", "nan"):
            self.at += 1
            return _constant(word)
        if kind == "text":
            self.at += 1
            return _ANY
        if self._take("("):
            values = self._binary(1)
            self._need(")")
            return values
        if kind == "name" and (self._word(1) == "(" or (word in _AGGREGATIONS and self._word(1) in _GROUPING)):
            return self._call()
        if kind == "name" or word == "{":
            return self._selector()
        raise _UnreadableError

    def _call(self) -> _Values:
        word = self._word()
        self.at += 1
        if self._take(*_GROUPING):
            self._skip_brackets()
        self._need("(")
        absence = word in ("absent", "absent_over_time")
        self.not_required += absence
        arguments: list[_Values] = []
        while not self._take(")"):
            # The second argument of info() selects labels to add, and changes no sample if it selects none.
            self.not_required += word == "info" and len(arguments) == 1
            arguments.append(self._binary(1))
            self.not_required -= word == "info" and len(arguments) == 2
            if self._word() != ")":
                self._need(",")
        self.not_required -= absence
        if word in _AGGREGATIONS and self._take(*_GROUPING):
            self._skip_brackets()
        return _called(word, arguments)

    def _selector(self) -> _Values:
        first = self.tokens[self.at]
        matchers = []
        if self._kind() == "name":
            matchers.append(Matcher("__name__", "=", first[0]))
            self.at += 1
        if self._take("{"):
            matchers += self._matchers()
        text = self.text[first.start() : self.tokens[self.at - 1].end()]
        window = sum(self.windows)
        if self._kind() == "range":
            window += _range(self.tokens[self.at][0])
            if ":" not in self.tokens[self.at][0]:
                self.at += 1
                self._take(*_RANGE_WORDS)
        offset, at = self._modifiers()
        selector = Selector(text, tuple(matchers), window, offset, at)
        self.selectors[selector] = None
        return _ANY if self.not_required or self.has(selector) else _NOTHING

    def _matchers(self) -> Iterator[Matcher]:
        while not self._take("}"):
            if self._kind() not in ("name", "text"):
                raise _UnreadableError
            label = self._literal()
            if self._word() not in ("=", "!=", "=~", "!~"):
                yield Matcher("__name__", "=", label)
            else:
                sign = self._sign()
                yield Matcher(label, sign, self._literal())
            if self._word() != "}":
                self._need(",")

    def _sign(self) -> str:
        self.at += 1
        return self._word(-1)

    def _literal(self) -> str:
        if self.at >= len(self.tokens):
            raise _UnreadableError
        token = self.tokens[self.at]
        self.at += 1
        try:
            return go_literals.unquote(token[0]) if token.lastgroup == "text" else token[0]
        except ValueError:
            raise _UnreadableError from None

    def _modifiers(self) -> tuple[str, str]:
        """Take `offset` and `@`, in any order, and return the offset and a fixed time as they are written."""
        offset = at = ""
        while self._word() in ("offset", "@"):
            start = self.at
            self.at += 1
            self._take("-", "+")
            if self._word(1) == "(" and self._word(0) in ("start", "end"):
                self.at += 1
                self._skip_brackets()
                continue
            if self._word() == "(":
                self._skip_brackets()
            else:
                self.at += 1
            if self.at > len(self.tokens):
                raise _UnreadableError
            written = " " + self.text[self.tokens[start].start() : self.tokens[self.at - 1].end()]
            offset, at = (written, at) if written[1] != "@" else (offset, written)
        return offset, at


def _brackets(tokens: Sequence[re.Match[str]]) -> dict[int, int]:
    """Return the index of the closing bracket of each opening one."""
    closing, open_at = {}, []
    for at, token in enumerate(tokens):
        if token[0] == "(":
            open_at.append(at)
        elif token[0] == ")" and open_at:
            closing[open_at.pop()] = at
    return closing


def _range(written: str) -> float:
    """Return the seconds of `[5m]` or `[1h:1m]`; 0 for a range that has to be computed."""
    return durations.seconds(written[1:-1].partition(":")[0].strip()) or 0.0


def _constant(word: str) -> _Values:
    plain = word.replace("_", "")
    seconds = durations.seconds(plain)
    try:
        value = seconds if seconds is not None else float(int(plain, 16) if plain.startswith("0x") else plain)
    except (ValueError, OverflowError):
        return _Values(None, always=True, scalar=True)
    return _constants(value, always=True, scalar=True)


def _combined(sign: str, left: _Values, right: _Values, words: set[str], *, yields_bool: bool) -> _Values:
    if sign == "or":
        union = None if left.values is None or right.values is None else left.values | right.values
        return _Values(union, left.always or right.always)
    if sign == "unless":
        return _Values(left.values)
    if sign == "and":
        return _NOTHING if right.empty else _Values(left.values)
    if words & {"fill", "fill_left", "fill_right"}:
        # Missing samples of one side are filled in, so that the other side alone has a result.
        fills_left, fills_right = bool(words & {"fill", "fill_left"}), bool(words & {"fill", "fill_right"})
        has_result = (fills_left and not right.empty) or (fills_right and not left.empty)
        return _ANY if has_result or not (left.empty or right.empty) else _NOTHING
    if left.empty or right.empty:
        return _NOTHING
    scalar = left.scalar and right.scalar
    # Two vectors may have no labels in common, and then no result.
    always = left.always and right.always and (left.scalar or right.scalar)
    if sign in _COMPARE:
        return _compared(sign, left, right, always and yields_bool, scalar, yields_bool=yields_bool)
    return _calculated(sign, left, right, always, scalar)


def _compared(sign: str, left: _Values, right: _Values, always: bool, scalar: bool, *, yields_bool: bool) -> _Values:
    if yields_bool:
        return _constants(0.0, 1.0, always=always, scalar=scalar)
    if left.scalar and not right.scalar:
        mirrored = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}.get(sign, sign)
        return _compared(mirrored, right, left, always, scalar, yields_bool=False)
    if sign != "!=" and any(_only_nan(side) for side in (left, right)):
        return _NOTHING
    if left.values is None or right.values is None:
        return _Values(left.values)
    return _constants(*(value for value in left.values if any(_COMPARE[sign](value, bound) for bound in right.values)))


def _only_nan(values: _Values) -> bool:
    return values.values is not None and all(map(math.isnan, values.values))


def _only_zero(values: _Values) -> bool:
    return values.values is not None and all(value == 0 or math.isnan(value) for value in values.values)


def _calculated(sign: str, left: _Values, right: _Values, always: bool, scalar: bool) -> _Values:
    if sign != "^" and (_only_nan(left) or _only_nan(right)):
        return _constants(math.nan, always=always, scalar=scalar)
    # 0 times anything is 0: the share of no errors at all, (sum(errors) or vector(0)) / sum(requests).
    if (sign in ("*", "/", "%") and _only_zero(left)) or (sign == "*" and _only_zero(right)):
        return _constants(0.0, math.nan, always=always, scalar=scalar)
    if left.values is None or right.values is None or sign not in _ARITHMETIC:
        return _Values(None, always, scalar)
    results = {_ARITHMETIC[sign](left_value, right_value) for left_value in left.values for right_value in right.values}
    return _constants(*results, always=always, scalar=scalar)


def _called(word: str, arguments: list[_Values]) -> _Values:
    """Return the values of a function or an aggregation."""
    if word in ("absent", "absent_over_time"):
        return _NOTHING if any(argument.always for argument in arguments) else _constants(1.0)
    if word == "scalar":
        operand = arguments[0] if arguments else _NOTHING
        if operand.values is None:
            return _Values(None, always=True, scalar=True)
        return _constants(*operand.values, *(() if operand.always else (math.nan,)), always=True, scalar=True)
    if word in ("time", "pi"):
        return _Values(None, always=True, scalar=True)
    needed = arguments[:1] if word == "info" else arguments
    if any(argument.empty for argument in needed):
        return _NOTHING
    always = any(argument.always and not argument.scalar for argument in arguments)
    if word in ("topk", "bottomk", "limitk"):
        return _Values(arguments[-1].values if arguments else None)
    if word in _SAME and arguments:
        return _Values(arguments[0].values, arguments[0].always)
    if word in ("group", "present_over_time"):
        return _constants(1.0, always=always and word == "group")
    stays_zero = word in _SAME_ALONE and bool(arguments) and _only_zero(arguments[0])
    return _Values(
        arguments[0].values if stays_zero else None,
        always and word in ("sum", "avg", "min", "max", "count", "stddev", "stdvar"),
    )
