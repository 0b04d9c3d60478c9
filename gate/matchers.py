"""Matchers: the one way in which a checklist says what value it expects, wherever a value is expected.

A literal means equal, a list means one of, a mapping of operators means all of them. Where JSON is expected, any other
mapping is matched as a subset of an object. A missing value and NaN match only what asks for them.

A matcher knows the type of what it is matched against. One that nothing or everything matches raises ValueError.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from functools import reduce
from typing import Any, ClassVar, Self

from gate.core.messages import Message, msg
from gate.core.override import override
from gate.decode import regex
from gate.decode.quantities import (
    DURATION_SCHEMA,
    SHARE_SCHEMA,
    SIZE_SCHEMA,
    Quantity,
    format_duration,
    format_share,
    format_size,
    parse_duration,
    parse_share,
    parse_size,
)
from gate.decode.structs import Unfilled, quote_choices, suggestion
from gate.redaction.secrets import redacted_head

OPERATORS = ("equals", "not", "gt", "ge", "lt", "le", "matches", "contains")
_COMPARISONS = ("gt", "ge", "lt", "le")
_OF_NUMBERS: tuple[str, ...] = ("equals", "not", *_COMPARISONS)
_OF_TEXT = ("equals", "not", "matches", "contains")
# Operators of other tools, by the operator that means the same here.
_SYNONYMS = {
    **dict.fromkeys(("eq", "==", "=", "equal", "is"), "equals"),
    **dict.fromkeys(("ne", "neq", "!=", "not_equals", "isnt"), "not"),
    **dict.fromkeys(("gte", ">=", "min", "minimum", "at_least"), "ge"),
    **dict.fromkeys(("lte", "<=", "max", "maximum", "at_most"), "le"),
    **dict.fromkeys((">", "more_than", "greater_than", "above"), "gt"),
    **dict.fromkeys(("<", "less_than", "below"), "lt"),
    **dict.fromkeys(("regex", "regexp", "match", "pattern", "=~"), "matches"),
    **dict.fromkeys(("includes", "include", "has", "substring"), "contains"),
}
# Names that are operators elsewhere: a JSON mapping of nothing else is a mistake, not an expected value.
_NEVER_FIELDS = frozenset({"eq", "ne", "neq", "gte", "lte", "==", "!=", "=", ">", ">=", "<", "<=", "=~"})
_NUMBER = re.compile(r"[-+]?[0-9]+(?:\.[0-9]+)?")
_SHOWN = 20
# Maximum number of entries of a list that are searched for the nearest one.
_COMPARED = 1000

# The value of a key that does not exist; equal to nothing.
MISSING = type("Missing", (), {"__repr__": lambda self: "nothing", "__bool__": lambda self: False})()


# The subject of a mismatch: a path inside the value, or words.
Location = str | Message


class Matcher:
    """Expect one value, of any JSON type. In a checklist it has a form of its own (`gate.decode.structs.Form`).

    Subclasses are of one type: they accept only what a value of that type can be. Every matcher can match something and
    can miss something, as far as that can be decided, and so can each of its parts.
    """

    __slots__ = ("spec",)
    raw_type: ClassVar[Any] = Any
    target_type: ClassVar[Any] = Any
    echo_value: ClassVar[bool] = False
    operators: ClassVar[tuple[str, ...]] = OPERATORS
    # The noun for the matched value, for errors.
    noun: ClassVar[str] = "value"
    # True if existence is all that can be expected of the value.
    may_always_match: ClassVar[bool] = False

    def __init__(self, spec: Any) -> None:
        self.spec = spec
        self._check(spec, ())
        if self._always(spec) and not self.may_always_match:
            raise ValueError(f"every {self.noun} is {describe(spec)}, expected something that can be wrong")

    def mismatch(self, value: Any, at: Location = "") -> Message | None:
        """Return None if the value matches, else `expected ..., got ...` with the path inside the value."""
        return _mismatch(self.spec, value, at)

    def matches(self, value: Any) -> bool:
        """Return whether the value matches."""
        return self.mismatch(value) is None

    def is_stricter_than(self, other: Matcher) -> bool:
        """Return whether `other` matches every value that this matcher matches, as far as can be decided."""
        return _narrows(self.spec, other.spec)

    def __str__(self) -> str:
        return str(describe(self.spec))

    def __repr__(self) -> str:
        return f"Matcher({self.spec!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Matcher) and other.spec == self.spec

    def __hash__(self) -> int:
        return hash(repr(self.spec))

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Parse a matcher. Raise ValueError if it is not valid."""
        return value if isinstance(value, cls) else cls(value)

    decode = parse

    @classmethod
    def schema_of(cls, name: str) -> dict[str, Any]:
        """Return the JSON Schema of this type of matcher. `name` is the reference for nested matchers."""
        nested = {"anyOf": [{"$ref": name}, {"type": "null"}]}
        return {
            "description": (
                "A literal, a list (one of), operators such as {gt: 0}, or a JSON subset. "
                "What stands after `matches` is a regular expression of RE2's."
            ),
            "anyOf": [
                {"type": ["string", "number", "boolean"]},
                {"type": "array", "items": nested, "minItems": 1},
                {"type": "object", "additionalProperties": nested, "minProperties": 1},
            ],
        }

    def _check(self, spec: Any, at: tuple[str, ...]) -> None:
        """Raise ValueError if a matcher or a part of it, at some fields of a JSON object, makes no sense."""
        where = f" (in {'.'.join(at)})" if at else ""
        if isinstance(spec, list):
            if not spec:
                raise ValueError("expected at least one value in the list: an empty one matches nothing" + where)
            for entry in spec:
                self._check(entry, at)
        elif not isinstance(spec, dict):
            self._check_literal(spec, where)
        elif not spec:
            raise ValueError("expected at least one field: an empty mapping matches anything" + where)
        elif self._are_fields(spec, where):
            for key, value in spec.items():
                self._check(value, (*at, str(key)))
            return
        else:
            self._check_operators(spec, where, at)
        if self._never(spec):
            raise ValueError(f"no {self.noun} is {describe(spec)}, expected something that can be{where}")

    def _are_fields(self, spec: dict[str, Any], where: str) -> bool:
        """Return whether the keys of a mapping are the fields of an object. Raise ValueError if they are slips."""
        if self.operators != OPERATORS:
            for key in spec:
                if key not in self.operators:
                    raise ValueError(self._not_an_operator(str(key)) + where)
            return False
        slips = [key for key in spec if key in _NEVER_FIELDS]
        if slips and all(key in OPERATORS or key in _NEVER_FIELDS for key in spec):
            raise ValueError(f"{self._not_an_operator(slips[0])} For a field: {{equals: {{'{slips[0]}': ...}}}}{where}")
        return not _is_operators(spec)

    @classmethod
    def _a_noun(cls) -> str:
        return f"an {cls.noun}" if cls.noun[0] in "aeiou" else f"a {cls.noun}"

    def _not_an_operator(self, key: str) -> str:
        expected = f"xpected {quote_choices(self.operators)}"
        if key in OPERATORS:
            return f"operator '{key}' does not fit {self._a_noun()}, e{expected}"
        meant = _SYNONYMS.get(key.lower())
        hint = f"; did you mean '{meant}'?" if meant in self.operators else suggestion(key, self.operators)
        return f"unknown operator '{key}'{hint} E{expected}" if hint else f"unknown operator '{key}', e{expected}"

    def _check_literal(self, value: Any, where: str) -> None:
        """Raise ValueError if a value of this type cannot equal `value`."""
        if isinstance(value, Unfilled):
            raise ValueError(f"expected a value, got a variable that is empty{where}")
        for entry in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            self._check_literal(entry, where)

    def _check_operators(self, spec: dict[str, Any], where: str, at: tuple[str, ...]) -> None:
        for name, value in spec.items():
            if name in _COMPARISONS and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise ValueError(f"expected a number after '{name}'{where}{_unquoted(value)}")
            if name in _COMPARISONS and math.isnan(value):
                raise ValueError(f"expected a number after '{name}': nothing compares with NaN{where}")
            if name == "equals":
                self._check_literal(value, where)
            if name == "matches":
                _check_pattern(value, where)
            if name == "not":
                self._check(value, at)
            if name == "contains":
                if value == "":
                    raise ValueError(f"expected some text after 'contains': every text contains nothing{where}")
                self._check(value, at)

    def _never(self, spec: Any) -> bool:
        """Return whether no value can match, as far as that can be decided of a literal or of operators."""
        if not isinstance(spec, dict):
            return False
        if "equals" in spec:
            return _mismatch(spec, spec["equals"], "") is not None
        rest = {name: value for name, value in spec.items() if name != "not"}
        if any(name in rest for name in _COMPARISONS):
            return not any(_mismatch(spec, number, "") is None for number in _around(_constants(spec), whole=False))
        if "matches" in rest and not isinstance(rest.get("contains", ""), str):
            return True
        return "not" in spec and bool(rest) and _narrows(rest, spec["not"])

    def _always(self, spec: Any) -> bool:
        """Return whether every value matches, as far as that can be decided."""
        if not isinstance(spec, list):
            return False
        excluded = [entry["not"] for entry in spec if _is_operators(entry) and entry.keys() == {"not"}]
        return any(_narrows(value, spec) for value in excluded)


def _is_operators(spec: Any) -> bool:
    return isinstance(spec, dict) and bool(spec) and all(key in OPERATORS for key in spec)


def _check_pattern(value: Any, where: str) -> None:
    if not isinstance(value, str):
        raise ValueError(f"expected a regular expression after 'matches'{where}")
    try:
        regex.validate(value)
    except regex.InvalidPatternError as error:
        raise ValueError(f"expected a regular expression after 'matches': {error}{where}") from error
    if regex.matches_everything(value):
        raise ValueError(f"expected a regular expression that not every text matches{where}")


def _unquoted(value: Any) -> str:
    """Return advice for a number that is written as text."""
    return f": write {value} without quotes" if isinstance(value, str) and _NUMBER.fullmatch(value) else ""


def _constants(spec: Any) -> Iterator[float]:
    """Yield all numbers in a matcher."""
    if isinstance(spec, dict | list):
        for entry in spec.values() if isinstance(spec, dict) else spec:
            yield from _constants(entry)
    elif isinstance(spec, int | float) and not isinstance(spec, bool):
        yield spec


def _around(constants: Iterable[float], *, whole: bool) -> list[float]:
    """Return the constants and their neighbours: what compares with constants changes its answer nowhere else."""
    values: list[float] = []
    for constant in constants:
        if not math.isfinite(constant):
            values.append(constant)
        elif whole:
            low, high = math.floor(constant), math.ceil(constant)
            values += [low - 1, low, high, high + 1]
        else:
            values += [math.nextafter(constant, -math.inf), constant, math.nextafter(constant, math.inf)]
    return values


def _mismatch(spec: Any, value: Any, at: Location) -> Message | None:
    if _is_operators(spec):
        return _operators_mismatch(spec, value, at)
    if isinstance(spec, dict):
        return _subset_mismatch(spec, value, at)
    if isinstance(spec, list):
        return None if any(_mismatch(entry, value, at) is None for entry in spec) else _got(spec, value, at)
    return None if json_equal(spec, value) else _got(spec, value, at)


def _subset_mismatch(spec: dict[str, Any], value: Any, at: Location) -> Message | None:
    if not isinstance(value, dict):
        return _expected(msg("an object"), value, at)
    for key, expected in spec.items():
        mismatch = _mismatch(expected, value.get(key, MISSING), f"{at}.{key}" if at else str(key))
        if mismatch:
            return mismatch
    return None


def _operators_mismatch(spec: dict[str, Any], value: Any, at: Location) -> Message | None:
    for name, operand in spec.items():
        if not _holds(name, operand, value):
            nearest_one = _nearest_entry(operand, value, at) if name == "contains" else None
            return nearest_one or _got({name: operand}, value, at)
    return None


def _nearest_entry(expected: Any, value: Any, at: Location) -> Message | None:
    """Return where the entry of a list that comes nearest to `wanted` differs from it. None if no entry is alike."""
    if not isinstance(value, list) or not isinstance(expected, dict) or _is_operators(expected):
        return None
    likeness, number = max(
        ((_likeness(expected, entry), -number) for number, entry in enumerate(value[:_COMPARED])), default=(0, 0)
    )
    if not likeness:
        return None
    place = f"{at}[{-number}]"
    why = _mismatch(expected, value[-number], place)
    return msg("none of {count} entries matches; the nearest: {why}", count=len(value), why=why) if why else None


def _likeness(expected: Any, value: Any) -> int:
    """Return how much of a JSON object is there: a field counts once, and twice more if it is as expected."""
    if isinstance(expected, dict) and not _is_operators(expected):
        actual = value if isinstance(value, dict) else {}
        return sum(1 + _likeness(entry, actual[key]) for key, entry in expected.items() if key in actual)
    return 2 if _mismatch(expected, value, "") is None else 0


def _holds(name: str, operand: Any, value: Any) -> bool:
    if value is MISSING:
        return False
    if name == "equals":
        return json_equal(operand, value)
    if name == "not":
        return _mismatch(operand, value, "") is not None
    if name == "matches":
        return isinstance(value, str) and regex.search(operand, value)
    if name == "contains":
        return _contains(operand, value)
    return _compares(name, operand, value)


def _contains(operand: Any, value: Any) -> bool:
    if isinstance(value, str):
        return isinstance(operand, str) and operand in value
    return isinstance(value, list) and any(_mismatch(operand, entry, "") is None for entry in value)


def _compares(name: str, operand: float, value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return False
    return {"gt": value > operand, "ge": value >= operand, "lt": value < operand, "le": value <= operand}[name]


def _narrows(spec: Any, wide: Any) -> bool:
    if isinstance(spec, list):
        return all(_narrows(entry, wide) for entry in spec)
    if isinstance(wide, list):
        return any(_narrows(spec, entry) for entry in wide)
    if _is_operators(wide):
        return all(_narrows_operator(spec, name, operand) for name, operand in wide.items())
    if isinstance(wide, dict):
        fields = isinstance(spec, dict) and not _is_operators(spec)
        return fields and all(key in spec and _narrows(spec[key], operand) for key, operand in wide.items())
    return not isinstance(spec, dict) and json_equal(wide, spec)


def _narrows_operator(spec: Any, name: str, operand: Any) -> bool:
    if not isinstance(spec, dict):
        return _holds(name, operand, spec) and spec == spec  # NaN is taken only where it is asked for
    if not _is_operators(spec) or name not in spec:
        return False
    if name == "not":
        return _narrows(operand, spec[name])
    if name in ("gt", "ge", "lt", "le"):
        return bool(spec[name] >= operand if name in ("gt", "ge") else spec[name] <= operand)
    return json_equal(operand, spec[name])


def json_equal(expected: Any, value: Any) -> bool:
    """Compare as JSON: `true` is not 1, 1 is 1.0, text is not a number; an expected NaN equals NaN."""
    if value is MISSING:
        return False
    if isinstance(expected, bool) or isinstance(value, bool):
        return expected is value
    if isinstance(expected, float) and math.isnan(expected):
        return isinstance(value, float) and math.isnan(value)
    if isinstance(expected, list):
        return isinstance(value, list) and len(expected) == len(value) and all(map(json_equal, expected, value))
    if isinstance(expected, dict):
        return (
            isinstance(value, dict)
            and expected.keys() == value.keys()
            and all(json_equal(expected[k], value[k]) for k in expected)
        )
    return bool(expected == value)


def describe(spec: Any) -> Message:
    """Describe an expectation: `more than 0`, `200 or 204`."""
    if _is_operators(spec):
        return _and([_operator(name, value) for name, value in spec.items()])
    if isinstance(spec, list):
        return _or([describe(entry) for entry in spec])
    return msg("{value}", value=to_short_json(spec))


def _operator(name: str, value: Any) -> Message:
    operand = describe(value)
    words = {
        "gt": msg("more than {value}", value=operand),
        "ge": msg("at least {value}", value=operand),
        "lt": msg("less than {value}", value=operand),
        "le": msg("at most {value}", value=operand),
        "matches": msg("text that matches {value}", value=operand),
        "contains": msg("something that contains {value}", value=operand),
        "not": msg("anything but {value}", value=operand),
        "equals": operand,
    }
    return words[name]


def _and(parts: list[Message]) -> Message:
    return reduce(lambda left, right: msg("{one} and {other}", one=left, other=right), parts)


def _or(parts: list[Message]) -> Message:
    shown = reduce(lambda left, right: msg("{one} or {other}", one=left, other=right), parts[:_SHOWN])
    return msg("{shown} or one of {count} more", shown=shown, count=len(parts) - _SHOWN) if parts[_SHOWN:] else shown


def to_short_json(value: Any) -> str:
    """Return a value as JSON, cut to 200 characters."""
    if value is MISSING:
        return "nothing"
    if isinstance(value, Quantity):
        return value.display
    text = json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "replace").decode()
    return text if len(text) <= 200 else redacted_head(text, 200) + "..."


def _got(spec: Any, value: Any, at: Location) -> Message:
    return _expected(describe(spec), value, at)


def _expected(expectation: Message, value: Any, at: Location) -> Message:
    got = msg("nothing") if value is MISSING else msg("{value}", value=to_short_json(value))
    if at:
        return msg("{place}: expected {wanted}, got {got}", place=at, wanted=expectation, got=got)
    return msg("expected {wanted}, got {got}", wanted=expectation, got=got)


class NumberMatcher(Matcher):
    """Expect a number between `low` and `high`, whole or not."""

    __slots__ = ()
    operators: ClassVar[tuple[str, ...]] = _OF_NUMBERS
    noun = "number"
    whole: ClassVar[bool] = False
    low: ClassVar[float] = -math.inf
    high: ClassVar[float] = math.inf

    @classmethod
    @override
    def schema_of(cls, name: str) -> dict[str, Any]:
        limits = {
            name: int(limit) for name, limit in (("minimum", cls.low), ("maximum", cls.high)) if math.isfinite(limit)
        }
        literal = {"type": "integer" if cls.whole else "number", **limits}
        operators = {key: {"type": "number"} for key in _COMPARISONS} | {"equals": literal}
        return _typed_schema(cls._a_noun().capitalize(), name, literal, operators)

    @override
    def _check_literal(self, value: Any, where: str) -> None:
        super()._check_literal(value, where)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"expected {self._a_noun()}, got {to_short_json(value)}{_unquoted(value)}{where}")
        if not self._occurs(value):
            raise ValueError(f"{to_short_json(value)} is not {self._a_noun()}, expected one that can occur{where}")

    def _occurs(self, value: float) -> bool:
        """Return whether a value that is observed can be this one."""
        if math.isnan(value):
            return self.low == -math.inf
        return self.low <= value <= self.high and not (self.whole and (math.isinf(value) or value != int(value)))

    def _samples(self, spec: Any) -> list[float]:
        """Return values that can occur. If none of them matches, none does; if all match, all do."""
        around = _around([*_constants(spec), self.low, self.high, 0], whole=self.whole)
        return [value for value in [*around, math.nan] if self._occurs(value)]

    @override
    def _never(self, spec: Any) -> bool:
        return not any(_mismatch(spec, value, "") is None for value in self._samples(spec))

    @override
    def _always(self, spec: Any) -> bool:
        return all(_mismatch(spec, value, "") is None for value in self._samples(spec))


class CountMatcher(NumberMatcher):
    """Expect how many there are."""

    __slots__ = ()
    noun = "count"
    whole = True
    low = 0


class PresentCountMatcher(CountMatcher):
    """Expect how many there are of what has to be there: any number may do."""

    __slots__ = ()
    may_always_match = True


class StatusMatcher(NumberMatcher):
    """Expect an HTTP status code."""

    __slots__ = ()
    noun = "status code"
    whole = True
    low = 100
    high = 999

    @override
    def _check_literal(self, value: Any, where: str) -> None:
        if isinstance(value, str) and re.fullmatch("[1-5][xX]{2}", value):
            first = int(value[0]) * 100
            raise ValueError(
                f"expected a status code, got {to_short_json(value)}: write {{ge: {first}, lt: {first + 100}}}{where}"
            )
        super()._check_literal(value, where)


class ExitCodeMatcher(NumberMatcher):
    """Expect an exit code; minus its number for a signal."""

    __slots__ = ()
    noun = "exit code"
    whole = True
    low = -64
    high = 255


class TextMatcher(Matcher):
    """Expect text, such as a header: literal numbers and booleans in it stand for their own text."""

    __slots__ = ()
    operators = _OF_TEXT
    noun = "text"

    def __init__(self, spec: Any) -> None:
        super().__init__(_texts(spec))

    @classmethod
    @override
    def schema_of(cls, name: str) -> dict[str, Any]:
        literal = {"type": ["string", "number", "boolean"]}
        some = {**literal, "minLength": 1}
        return _typed_schema(
            "Text", name, literal, {"equals": literal, "contains": some, "matches": {"type": "string", "minLength": 1}}
        )

    @override
    def _check_literal(self, value: Any, where: str) -> None:
        if not isinstance(value, str):
            raise ValueError(f"expected text, got {to_short_json(value)}{where}")
        super()._check_literal(value, where)

    @override
    def _check_operators(self, spec: dict[str, Any], where: str, at: tuple[str, ...]) -> None:
        if "contains" in spec:
            self._check_literal(spec["contains"], where)
        super()._check_operators(spec, where, at)


class BodyMatcher(TextMatcher):
    """Expect the whole text of a response, a file or a command's output, in which nobody expects a text in slashes."""

    __slots__ = ()

    @override
    def _check_literal(self, value: Any, where: str) -> None:
        super()._check_literal(value, where)
        if match := re.fullmatch(r"/([^/\n]+)/[a-z]?", value):
            meant = "{matches: " + to_short_json(match[1]) + "}"
            raise ValueError(f"{to_short_json(value)} is compared as it is{where}; did you mean {meant}?")


def _texts(spec: Any) -> Any:
    if isinstance(spec, list):
        return [_texts(entry) for entry in spec]
    if isinstance(spec, dict):
        return {name: _texts(value) if name in ("equals", "not", "contains") else value for name, value in spec.items()}
    if isinstance(spec, bool):
        return "true" if spec else "false"
    return getattr(spec, "text", str(spec)) if isinstance(spec, int | float) else spec


class HealthMatcher(TextMatcher):
    """Expect the health of a Prometheus target."""

    __slots__ = ()
    noun = "health"
    known: ClassVar[tuple[str, ...]] = ("up", "down", "unknown")

    @override
    def _check_literal(self, value: Any, where: str) -> None:
        super()._check_literal(value, where)
        if value not in self.known:
            raise ValueError(
                f"expected {quote_choices(self.known)}, got {to_short_json(value)}"
                f"{suggestion(value.lower(), self.known)}{where}"
            )

    @override
    def _check_operators(self, spec: dict[str, Any], where: str, at: tuple[str, ...]) -> None:
        Matcher._check_operators(
            self, {name: operand for name, operand in spec.items() if name != "contains"}, where, at
        )

    @override
    def _never(self, spec: Any) -> bool:
        return not any(_mismatch(spec, value, "") is None for value in self.known)

    @override
    def _always(self, spec: Any) -> bool:
        return all(_mismatch(spec, value, "") is None for value in self.known)


class _QuantityMatcher(NumberMatcher):
    """Expect a number that carries its unit wherever it stands."""

    __slots__ = ()
    echo_value = True
    low = 0.0

    @staticmethod
    def parse_quantity(value: Any) -> float:
        """Parse a text with a unit as a number. Raise ValueError if it is not valid."""
        raise NotImplementedError

    @staticmethod
    def words(value: float) -> str:
        """Format a number for people."""
        raise NotImplementedError

    def __init__(self, spec: Any) -> None:
        super().__init__(self._numbers(spec))

    @override
    def mismatch(self, value: Any, at: Location = "") -> Message | None:
        """Return the mismatch of a value in seconds or bytes, like `Matcher.mismatch`."""
        return super().mismatch(Quantity(value, type(self).words(value)), at)

    def _numbers(self, spec: Any) -> Any:
        if isinstance(spec, list):
            return [self._numbers(entry) for entry in spec]
        if isinstance(spec, dict):
            return {
                name: self._numbers(value)
                if name == "not"
                else self._number(value)
                if name in self.operators
                else value
                for name, value in spec.items()
            }
        return self._literal(self._number(spec))

    def _literal(self, value: Quantity) -> Any:
        """Return the matcher of a literal value."""
        return value

    def _number(self, value: Any) -> Quantity:
        if isinstance(value, Quantity):
            return value
        number = 0.0 if value == 0 and not isinstance(value, bool) else float(type(self).parse_quantity(value))
        return Quantity(number, type(self).words(number))


class _MaximumMatcher(_QuantityMatcher):
    """Expect a quantity of which a literal is a maximum: no measurement gives the same value twice."""

    __slots__ = ()
    operators = ("not", *_COMPARISONS)
    quantity_schema: ClassVar[dict[str, Any]]

    @classmethod
    @override
    def schema_of(cls, name: str) -> dict[str, Any]:
        literal = {"anyOf": [cls.quantity_schema, {"const": 0}]}
        title = f"A {cls.noun}; alone, a maximum"
        return _typed_schema(title, name, literal, dict.fromkeys(_COMPARISONS, literal))

    @override
    def _literal(self, value: Quantity) -> Any:
        return {"le": value}


class DurationMatcher(_MaximumMatcher):
    """Expect a duration: `{ge: 1s, lt: 2m}`. One duration alone is a maximum."""

    __slots__ = ()
    noun = "duration"
    quantity_schema = DURATION_SCHEMA
    low = math.ulp(0.0)
    parse_quantity = staticmethod(parse_duration)

    @staticmethod
    @override
    def words(value: float) -> str:
        return format_duration(value)


class SizeMatcher(_QuantityMatcher):
    """Expect a size: `{gt: 0, le: 8KiB}`."""

    __slots__ = ()
    noun = "size"
    whole = True
    parse_quantity = staticmethod(parse_size)

    @classmethod
    @override
    def schema_of(cls, name: str) -> dict[str, Any]:
        literal = {"anyOf": [SIZE_SCHEMA, {"const": 0}]}
        return _typed_schema("A size", name, literal, dict.fromkeys(_COMPARISONS, literal) | {"equals": literal})

    @staticmethod
    @override
    def words(value: float) -> str:
        return format_size(int(value))


class ShareMatcher(_MaximumMatcher):
    """Expect a share of a whole: `{lt: 1%}`. One share alone, or `0`, is a maximum."""

    __slots__ = ()
    noun = "share"
    quantity_schema = SHARE_SCHEMA
    high = 1.0
    parse_quantity = staticmethod(parse_share)

    @staticmethod
    @override
    def words(value: float) -> str:
        return format_share(value)


# All matchers of a checklist, for its JSON Schema.
MATCHERS: tuple[type[Matcher], ...] = (
    Matcher, NumberMatcher, CountMatcher, PresentCountMatcher, StatusMatcher, ExitCodeMatcher, TextMatcher,
    BodyMatcher, HealthMatcher, DurationMatcher, SizeMatcher, ShareMatcher,
)  # fmt: skip


def _typed_schema(what: str, name: str, literal: Any, operators: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of a typed matcher: a literal, a list (one of), or operators."""
    nested = {"$ref": name}
    ways = [
        literal,
        {"type": "array", "items": nested, "minItems": 1},
        {
            "type": "object",
            "properties": {**operators, "not": nested},
            "additionalProperties": False,
            "minProperties": 1,
        },
    ]
    return {"description": f"{what}: a literal, a list (one of), or operators such as {{not: ...}}.", "anyOf": ways}


def mismatch_if_set(matcher: Matcher | None, value: Any, at: Location = "") -> Message | None:
    """Return the mismatch of an optional matcher."""
    return matcher.mismatch(value, at) if matcher is not None else None
