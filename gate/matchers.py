"""Matchers: the one way in which a checklist says what value it expects, wherever a value is expected.

A literal means equal, a list means one of, a mapping of operators means all of them, and any other mapping is matched
as a subset of a JSON object. Nothing ever equals a missing value or NaN, unless the matcher itself says so.
"""

from __future__ import annotations

import json
import math
from functools import reduce
from typing import Any, ClassVar, Self

from gate import patterns
from gate.messages import Message, say
from gate.quantities import Quantity, duration, parse_duration, parse_size, size
from gate.secrets import beginning_of

OPERATORS = ("equals", "not", "gt", "ge", "lt", "le", "matches", "contains")

_SHOWN = 20

MISSING = type("Missing", (), {"__repr__": lambda self: "nothing", "__bool__": lambda self: False})()
"""What stands where no value is: never equal to anything."""


Where = str | Message
"""What is looked at, in front of a mismatch: a path inside the value, or words."""


class Matcher:
    """What is expected of one value. In a checklist it has a form of its own (`gate.written.Form`)."""

    __slots__ = ("spec",)
    of: ClassVar[Any] = Any
    then: ClassVar[Any] = Any
    shown: ClassVar[bool] = False
    schema: ClassVar[dict[str, Any]] = {
        "description": (
            "A literal, a list (one of), operators such as {gt: 0}, or a JSON subset. "
            "What stands after `matches` is a regular expression of RE2's."
        ),
        "anyOf": [{"type": ["string", "number", "boolean", "null", "array"]}, {"type": "object"}],
    }

    def __init__(self, spec: Any) -> None:
        self.spec = spec
        _check(spec, ())

    def mismatch(self, value: Any, at: Where = "") -> Message | None:
        """None when the value is as expected, else `expected ..., got ...` with the path inside the value."""
        return _mismatch(self.spec, value, at)

    def matches(self, value: Any) -> bool:
        """Whether the value is as expected."""
        return self.mismatch(value) is None

    def narrows(self, other: Matcher) -> bool:
        """Whether every value that this one takes is one that `other` takes, as far as their forms tell."""
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
    def before(cls, value: Any) -> Self:
        """The matcher that is written so. Raises ValueError."""
        return value if isinstance(value, cls) else cls(value)

    made_of = before


def _is_operators(spec: Any) -> bool:
    return isinstance(spec, dict) and bool(spec) and all(key in OPERATORS for key in spec)


def _check(spec: Any, at: tuple[str, ...]) -> None:
    where = f" (in {'.'.join(at)})" if at else ""
    if isinstance(spec, list) and not spec:
        raise ValueError("expected at least one value in the list: an empty one matches nothing" + where)
    if isinstance(spec, list):
        for entry in spec:
            _check(entry, at)
    elif isinstance(spec, dict) and not spec:
        raise ValueError("expected at least one field: an empty mapping matches anything" + where)
    elif _is_operators(spec):
        _check_operators(spec, where, at)
    elif isinstance(spec, dict):
        for key, value in spec.items():
            _check(value, (*at, str(key)))


def _check_operators(spec: dict[str, Any], where: str, at: tuple[str, ...]) -> None:
    for name, value in spec.items():
        if name in ("gt", "ge", "lt", "le") and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ValueError(f"expected a number after '{name}'{where}")
        if name == "matches":
            if not isinstance(value, str):
                raise ValueError(f"expected a regular expression after 'matches'{where}")
            try:
                patterns.check(value)
            except patterns.BadPattern as error:
                raise ValueError(f"expected a regular expression after 'matches': {error}{where}") from error
            if patterns.matches_anything(value):
                raise ValueError(f"expected a regular expression that not every text matches{where}")
        if name == "not":
            _check(value, at)
        if name == "contains" and value == "":
            raise ValueError(f"expected some text after 'contains': every text contains nothing{where}")


def _mismatch(spec: Any, value: Any, at: Where) -> Message | None:
    if _is_operators(spec):
        return _operators_mismatch(spec, value, at)
    if isinstance(spec, dict):
        return _subset_mismatch(spec, value, at)
    if isinstance(spec, list):
        return None if any(_mismatch(entry, value, at) is None for entry in spec) else _got(spec, value, at)
    return None if same(spec, value) else _got(spec, value, at)


def _subset_mismatch(spec: dict[str, Any], value: Any, at: Where) -> Message | None:
    if not isinstance(value, dict):
        return _expected(say("an object"), value, at)
    for key, wanted in spec.items():
        found = _mismatch(wanted, value.get(key, MISSING), f"{at}.{key}" if at else str(key))
        if found:
            return found
    return None


def _operators_mismatch(spec: dict[str, Any], value: Any, at: Where) -> Message | None:
    for name, wanted in spec.items():
        if not _holds(name, wanted, value):
            return _got({name: wanted}, value, at)
    return None


def _holds(name: str, wanted: Any, value: Any) -> bool:
    if value is MISSING:
        return False
    if name == "equals":
        return same(wanted, value)
    if name == "not":
        return _mismatch(wanted, value, "") is not None
    if name == "matches":
        return isinstance(value, str) and patterns.found(wanted, value)
    if name == "contains":
        return _contains(wanted, value)
    return _compares(name, wanted, value)


def _contains(wanted: Any, value: Any) -> bool:
    if isinstance(value, str):
        return isinstance(wanted, str) and wanted in value
    return isinstance(value, list) and any(_mismatch(wanted, entry, "") is None for entry in value)


def _compares(name: str, wanted: float, value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return False
    return {"gt": value > wanted, "ge": value >= wanted, "lt": value < wanted, "le": value <= wanted}[name]


def _narrows(spec: Any, wide: Any) -> bool:
    if isinstance(spec, list):
        return all(_narrows(entry, wide) for entry in spec)
    if isinstance(wide, list):
        return any(_narrows(spec, entry) for entry in wide)
    if _is_operators(wide):
        return all(_narrows_operator(spec, name, wanted) for name, wanted in wide.items())
    if isinstance(wide, dict):
        fields = isinstance(spec, dict) and not _is_operators(spec)
        return fields and all(key in spec and _narrows(spec[key], wanted) for key, wanted in wide.items())
    return not isinstance(spec, dict) and same(wide, spec)


def _narrows_operator(spec: Any, name: str, wanted: Any) -> bool:
    if not isinstance(spec, dict):
        return _holds(name, wanted, spec) and spec == spec  # NaN is taken only where it is asked for
    if not _is_operators(spec) or name not in spec:
        return False
    if name == "not":
        return _narrows(wanted, spec[name])
    if name in ("gt", "ge", "lt", "le"):
        return bool(spec[name] >= wanted if name in ("gt", "ge") else spec[name] <= wanted)
    return same(wanted, spec[name])


def same(wanted: Any, value: Any) -> bool:
    """Equality as JSON has it: `true` is not 1, 1 is 1.0, text is not a number; NaN equals a NaN that was asked for."""
    if value is MISSING:
        return False
    if isinstance(wanted, bool) or isinstance(value, bool):
        return wanted is value
    if isinstance(wanted, float) and math.isnan(wanted):
        return isinstance(value, float) and math.isnan(value)
    if isinstance(wanted, list):
        return isinstance(value, list) and len(wanted) == len(value) and all(map(same, wanted, value))
    if isinstance(wanted, dict):
        return (
            isinstance(value, dict) and wanted.keys() == value.keys() and all(same(wanted[k], value[k]) for k in wanted)
        )
    return bool(wanted == value)


def describe(spec: Any) -> Message:
    """The expectation in words: `more than 0`, `200 or 204`."""
    if _is_operators(spec):
        return _and([_operator(name, value) for name, value in spec.items()])
    if isinstance(spec, list):
        return _or([describe(entry) for entry in spec])
    return say("{value}", value=show(spec))


def _operator(name: str, value: Any) -> Message:
    wanted = describe(value)
    words = {
        "gt": say("more than {value}", value=wanted),
        "ge": say("at least {value}", value=wanted),
        "lt": say("less than {value}", value=wanted),
        "le": say("at most {value}", value=wanted),
        "matches": say("text that matches {value}", value=wanted),
        "contains": say("something that contains {value}", value=wanted),
        "not": say("anything but {value}", value=wanted),
        "equals": wanted,
    }
    return words[name]


def _and(parts: list[Message]) -> Message:
    return reduce(lambda one, other: say("{one} and {other}", one=one, other=other), parts)


def _or(parts: list[Message]) -> Message:
    shown = reduce(lambda one, other: say("{one} or {other}", one=one, other=other), parts[:_SHOWN])
    return say("{shown} or one of {count} more", shown=shown, count=len(parts) - _SHOWN) if parts[_SHOWN:] else shown


def show(value: Any) -> str:
    """A value as JSON, cut to 200 characters."""
    if value is MISSING:
        return "nothing"
    if isinstance(value, Quantity):
        return value.shown
    text = json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "replace").decode()
    return text if len(text) <= 200 else beginning_of(text, 200) + "..."


def _got(spec: Any, value: Any, at: Where) -> Message:
    return _expected(describe(spec), value, at)


def _expected(wanted: Message, value: Any, at: Where) -> Message:
    got = say("nothing") if value is MISSING else say("{value}", value=show(value))
    if at:
        return say("{place}: expected {wanted}, got {got}", place=at, wanted=wanted, got=got)
    return say("expected {wanted}, got {got}", wanted=wanted, got=got)


class TextMatcher(Matcher):
    """A matcher of text, such as a header: literal numbers and booleans in it stand for their own text."""

    __slots__ = ()

    def __init__(self, spec: Any) -> None:
        super().__init__(_texts(spec))


def _texts(spec: Any) -> Any:
    if isinstance(spec, list):
        return [_texts(entry) for entry in spec]
    if _is_operators(spec):
        return {name: _texts(value) if name in ("equals", "not", "contains") else value for name, value in spec.items()}
    if isinstance(spec, bool):
        return "true" if spec else "false"
    return getattr(spec, "text", str(spec)) if isinstance(spec, int | float) else spec


class _QuantityMatcher(Matcher):
    """A matcher of numbers that carry their unit wherever they stand."""

    __slots__ = ()
    shown = True

    @staticmethod
    def parse(value: Any) -> float:
        """The number that a text with a unit stands for. Raises ValueError."""
        raise NotImplementedError

    @staticmethod
    def words(value: float) -> str:
        """A number for people."""
        raise NotImplementedError

    def __init__(self, spec: Any) -> None:
        super().__init__(self._numbers(spec))

    def mismatch(self, value: Any, at: Where = "") -> Message | None:
        """As `Matcher.mismatch`; `value` is a number in seconds or bytes."""
        return super().mismatch(Quantity(value, type(self).words(value)), at)

    @classmethod
    def _numbers(cls, spec: Any) -> Any:
        if isinstance(spec, list):
            return [cls._numbers(entry) for entry in spec]
        if isinstance(spec, dict):
            return {name: cls._numbers(value) for name, value in spec.items()}
        if isinstance(spec, Quantity):
            return spec
        value = 0.0 if spec == 0 and not isinstance(spec, bool) else float(cls.parse(spec))
        return Quantity(value, cls.words(value))


class DurationMatcher(_QuantityMatcher):
    """A matcher of durations: `{ge: 1s, lt: 2m}`. One duration alone is a maximum."""

    __slots__ = ()
    parse = staticmethod(parse_duration)

    @staticmethod
    def words(value: float) -> str:
        return duration(value)

    def __init__(self, spec: Any) -> None:
        super().__init__({"le": spec} if isinstance(spec, str) else spec)


class SizeMatcher(_QuantityMatcher):
    """A matcher of sizes: `{gt: 0, le: 8KiB}`."""

    __slots__ = ()
    parse = staticmethod(parse_size)

    @staticmethod
    def words(value: float) -> str:
        return size(int(value))


def unlike(wish: Matcher | None, value: Any, at: Where = "") -> Message | None:
    """The mismatch of a matcher that may not have been asked for."""
    return wish.mismatch(value, at) if wish is not None else None
