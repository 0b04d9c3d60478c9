"""Matchers: one way to expect a value, with the same meaning everywhere."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gate.decode.structs import Unfilled, ValidationError, decode_all_errors
from gate.matchers import (
    MISSING,
    CountMatcher,
    DurationMatcher,
    ExitCodeMatcher,
    HealthMatcher,
    Matcher,
    NumberMatcher,
    PresentCountMatcher,
    SizeMatcher,
    StatusMatcher,
    TextMatcher,
)

NAN = float("nan")

MATCHES = [
    (200, 200), (200, 200.0), ("a", "a"), (True, True), (None, None),
    ([200, 204], 204), ({"gt": 0}, 1), ({"ge": 1, "lt": 10}, 1), ({"le": 0.5}, 0.5),
    ({"matches": "^ok"}, "ok then"), ({"contains": "ready"}, "not ready"), ({"contains": 2}, [1, 2]),
    ({"not": 500}, 200), ({"not": {"gt": 5}}, 5), ({"equals": [1, 2]}, [1, 2]), ({"equals": {"a": 1}}, {"a": 1}),
    ({"a": 1}, {"a": 1, "b": 2}), ({"a": {"b": {"gt": 1}}}, {"a": {"b": 2}}), ({"a": ["x", "y"]}, {"a": "y"}),
    ({"equals": NAN}, NAN), ({"not": 1}, NAN),
]  # fmt: skip
MISMATCHES = [
    (200, 500), (200, "200"), (1, True), (True, 1), ("a", "A"), (None, MISSING), (0, MISSING), ("", MISSING),
    ([200, 204], 500), ({"gt": 0}, 0), ({"ge": 1, "lt": 10}, 10), ({"gt": 0}, NAN), ({"le": 0}, NAN), (NAN, 1),
    ({"gt": 0}, "5"), ({"gt": 0}, True), ({"matches": "^ok"}, "not ok"), ({"matches": "5"}, 5),
    ({"contains": "x"}, "abc"), ({"contains": "x"}, {"x": 1}), ({"not": 500}, 500), ({"not": 1}, MISSING),
    ({"equals": [1, 2]}, [2, 1]), ({"equals": {"a": 1}}, {"a": 1, "b": 2}), ({"a": 1}, {"b": 1}), ({"a": 1}, [1]),
    ({"a": {"b": 1}}, {"a": 1}), ({"a": None}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "value"), MATCHES)
def test_matches(spec: Any, value: Any) -> None:
    """These are as expected."""
    assert Matcher(spec).mismatch(value) is None


@pytest.mark.parametrize(("spec", "value"), MISMATCHES)
def test_mismatches(spec: Any, value: Any) -> None:
    """These are not, and a sentence says so."""
    assert str(Matcher(spec).mismatch(value)).startswith(("expected", "a", "b"))


@pytest.mark.parametrize(
    ("spec", "value", "sentence"),
    [
        (200, 503, "expected 200, got 503"),
        ([200, 204], 503, "expected 200 or 204, got 503"),
        ({"gt": 0, "lt": 9}, 0, "expected more than 0, got 0"),
        ({"a": {"b": {"c": "ok"}}}, {"a": {"b": {"c": "x"}}}, 'a.b.c: expected "ok", got "x"'),
        ({"a": 1}, {}, "a: expected 1, got nothing"),
        ({"a": 1}, "text", 'expected an object, got "text"'),
        (
            {"jobs": {"contains": {"name": "b", "state": {"now": "up"}}}},
            {"jobs": [{"name": "a", "state": {"now": "up"}}, {"name": "b", "state": {"now": "down"}}, {}]},
            'none of 3 entries matches; the nearest: jobs[0].name: expected "b", got "a"',
        ),
        (
            {"contains": {"name": "b", "kind": 1, "state": {"now": "up"}}},
            [{"name": "a"}, {"name": "b", "kind": 1, "state": {"now": "down"}}],
            'none of 2 entries matches; the nearest: [1].state.now: expected "up", got "down"',
        ),
        (
            {"contains": {"a": 1}},
            [{"b": 1}, {"a": 2}],
            "none of 2 entries matches; the nearest: [1].a: expected 1, got 2",
        ),
        ({"contains": {"a": 1}}, [5, {"b": 2}], 'expected something that contains {"a": 1}, got [5, {"b": 2}]'),
    ],
)  # fmt: skip
def test_sentences(spec: Any, value: Any, sentence: str) -> None:
    """A mismatch says where, what was expected, and what is there."""
    assert str(Matcher(spec).mismatch(value)) == sentence


@pytest.mark.parametrize("spec", [[], {}, {"gt": "x"}, {"gt": True}, {"matches": "("}, {"matches": 5}, {"contains": ""},
                                  {"a": []}, {"not": {}}, {"a": {"lt": None}}, {"matches": ""}, {"matches": ".*"},
                                  {"matches": "^ok?|x*"}, {"not": {"matches": "a*"}}, {"matches": "$"},
                                  {"matches": "(^|nowhere)"}, {"matches": r"\z"}, {"matches": "(?m)^x|$"},
                                  {"matches": "(?s)^.*$"}, {"matches": r"\A"}])  # fmt: skip
def test_matchers_that_can_not_fail_or_not_work(spec: Any) -> None:
    """A matcher that matches anything or nothing, or can't be understood, is an error when loaded."""
    with pytest.raises(ValidationError):
        decode_all_errors(spec, Matcher)


@pytest.mark.parametrize(
    "pattern", ["^$", r"\Aok\z|^$", "^.*$", r"\n|^$", "^[^<]*$", "^[^é]*$", "(?s)^.{0,1000}$", "x+", r"\b", "^ok"]
)
def test_patterns_that_can_fail(pattern: str) -> None:
    """A pattern that looks at where it stands is no empty promise, even where it matches an empty text."""
    assert Matcher({"matches": pattern}).spec == {"matches": pattern}


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"^(\w+\s?)*$", "a" * 45 + "!"), ("(x+x+)+y", "x" * 100_000), ("^(a|a?)+$", "a" * 5_000 + "b"),
        ("(" * 900 + "a" + ")" * 900 + "{2}", "b"),
    ],
)  # fmt: skip
def test_patterns_that_take_no_time(pattern: str, text: str) -> None:
    """Patterns that a backtracking engine would not come back from have an answer."""
    assert Matcher({"matches": pattern}).mismatch(text) is not None


@pytest.mark.parametrize(
    ("pattern", "text"),
    [("ok$", "ok\n"), (r"ok\z", "ok"), ("é.$", "éà"), ("(?i)É", "é"), (r"\pL{2}", "éà"), ("b", "\ud800b"), ("^$", "")],
)
def test_patterns_that_are_found(pattern: str, text: str) -> None:
    """Text is Unicode, half characters included, and `$` holds before a line end that ends the text."""
    assert Matcher({"matches": pattern}).mismatch(text) is None


@pytest.mark.parametrize(("pattern", "text"), [("^ok$", "x\nok\ny"), ("ok$", "ok\n\n"), (r"\d", "٣")])
def test_patterns_that_are_not_found(pattern: str, text: str) -> None:
    """`^` and `$` are the ends of the text, and a digit is one of ten."""
    assert Matcher({"matches": pattern}).mismatch(text) is not None


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("^(?!.*error)", "invalid perl operator: (?! (the syntax is RE2's: no look-around, no backreferences)"),
        (r"(a)\1", r"invalid escape sequence: \1 (the syntax is RE2's: no look-around, no backreferences)"),
        ("x{1001}", "invalid repetition size: {1001} (the syntax is RE2's: no look-around, no backreferences)"),
        ("(ok", "missing ): (ok"),
        ("a++", "bad repetition operator: ++ (the syntax is RE2's: no look-around, no backreferences)"),
        ("\ud800", "it holds half a character"),
    ],
)
def test_patterns_that_are_none(pattern: str, why: str) -> None:
    """What RE2 cannot read is told when loaded, and so is that another engine may."""
    with pytest.raises(ValidationError) as caught:
        decode_all_errors({"matches": pattern}, Matcher)
    assert f"expected a regular expression after 'matches': {why}" in str(caught.value)


def test_text() -> None:
    """Where text is matched, literal numbers and booleans stand for their text."""
    assert TextMatcher(5).mismatch("5") is None
    assert TextMatcher([True, 1.5]).mismatch("true") is None
    assert TextMatcher({"not": 5}).mismatch("5") is not None


def test_a_value_that_is_huge_is_cut() -> None:
    """A sentence stays short, whatever was sent."""
    assert len(str(Matcher(1).mismatch("x" * 10_000_000))) < 300


@pytest.mark.parametrize(
    ("narrow", "wide", "expected"),
    [
        (1, 1.0, True),
        (True, 1, False),
        (float("nan"), {"not": 1}, False),
        (float("nan"), float("nan"), True),
        (2, {"not": 1}, True),
        ([2, 1], {"not": 1}, False),
        ({"gt": 2}, {"gt": 1}, True),
        ({"ge": 2}, {"gt": 1}, False),
        ({"gt": 2, "lt": 5}, {"lt": 6}, True),
        ({"not": [1, 2]}, {"not": 1}, True),
        ({"not": 1}, {"not": [1, 2]}, False),
        ({"matches": "^ab"}, {"matches": "^a"}, False),
        ("ab", {"matches": "^a"}, True),
        ({"a": 1, "b": 2}, {"a": {"ge": 1}}, True),
        ({"b": 2}, {"a": 1}, False),
        ({"equals": 1}, {"a": 1}, False),
        ({"a": 1}, {"contains": "a"}, False),
    ],
)
def test_narrower(narrow: Any, wide: Any, expected: bool) -> None:
    """One matcher is narrower than another where all that it takes is taken by the other, as their forms tell."""
    assert Matcher(narrow).is_stricter_than(Matcher(wide)) is expected


def refused(kind: type[Matcher], spec: Any) -> str:
    """Return the error of a matcher that is not valid."""
    with pytest.raises(ValidationError) as caught:
        decode_all_errors(spec, kind)
    return str(caught.value)


@pytest.mark.parametrize(
    ("kind", "spec", "why"),
    [
        (StatusMatcher, "5xx", 'expected a status code, got "5xx": write {ge: 500, lt: 600}'),
        (StatusMatcher, "200", 'expected a status code, got "200": write 200 without quotes'),
        (StatusMatcher, True, "expected a status code, got true"),
        (StatusMatcher, None, "expected a status code, got null"),
        (StatusMatcher, [200, 2000], "2000 is not a status code, expected one that can occur"),
        (StatusMatcher, {"not": {"gt": "500"}}, "expected a number after 'gt': write 500 without quotes"),
        (
            StatusMatcher,
            {"gt": 5, "lt": 3},
            "no status code is more than 5 and less than 3, expected something that can be",
        ),
        (StatusMatcher, {"not": {"gt": 5, "lt": 3}}, "no status code is more than 5 and less than 3, expected"),
        (StatusMatcher, {"gt": 299, "lt": 300}, "no status code is more than 299 and less than 300"),
        (StatusMatcher, {"lt": 1000}, "every status code is less than 1000, expected something that can be wrong"),
        (StatusMatcher, [200, {"not": 200}], "every status code is 200 or anything but 200"),
        (
            StatusMatcher,
            {"matches": "^5"},
            "operator 'matches' does not fit a status code, expected 'equals', 'not', 'gt'",
        ),
        (ExitCodeMatcher, {"not": "0"}, 'expected an exit code, got "0": write 0 without quotes'),
        (
            ExitCodeMatcher,
            {"not": {"eq": 0}},
            "unknown operator 'eq'; did you mean 'equals'? Expected 'equals', 'not', 'gt', 'ge', 'lt' or 'le'",
        ),
        (ExitCodeMatcher, {"not": 256}, "256 is not an exit code"),
        (CountMatcher, {"ge": 0}, "every count is at least 0"),
        (CountMatcher, {"lt": 0}, "no count is less than 0"),
        (CountMatcher, {"not": -1}, "-1 is not a count"),
        (CountMatcher, 1.5, "1.5 is not a count"),
        (CountMatcher, NAN, "NaN is not a count"),
        (CountMatcher, {"graeter": 1}, "unknown operator 'graeter'"),
        (NumberMatcher, {"lte": 1}, "did you mean 'le'?"),
        (NumberMatcher, {">=": 1}, "did you mean 'ge'?"),
        (NumberMatcher, {"gt": NAN}, "nothing compares with NaN"),
        (NumberMatcher, {"ge": 5, "not": {"ge": 4}}, "no number is"),
        (TextMatcher, None, "expected text, got null"),
        (TextMatcher, ["a", None], "expected text, got null"),
        (
            TextMatcher,
            {"gt": 5},
            "operator 'gt' does not fit a text, expected 'equals', 'not', 'matches' or 'contains'",
        ),
        (TextMatcher, {"startswith": "a"}, "unknown operator 'startswith'"),
        (TextMatcher, {"match": "a"}, "did you mean 'matches'?"),
        (TextMatcher, {"contains": ["a", "b"]}, 'expected text, got ["a", "b"]'),
        (TextMatcher, {"equals": "a", "contains": "b"}, "no text is"),
        (TextMatcher, {"contains": "a", "not": {"contains": "a"}}, "no text is"),
        (TextMatcher, [{"contains": "a"}, {"not": {"contains": "a"}}], "every text is"),
        (TextMatcher, Unfilled(), "expected a value, got a variable that is empty"),
        (TextMatcher, {"not": Unfilled()}, "expected a value, got a variable that is empty"),
        (HealthMatcher, "UP", "expected 'up', 'down' or 'unknown', got \"UP\"; did you mean 'up'?"),
        (HealthMatcher, {"not": "sick"}, "expected 'up', 'down' or 'unknown'"),
        (HealthMatcher, {"not": {"matches": "^x"}}, "no health is"),
        (HealthMatcher, {"matches": "u|d"}, "every health is"),
        (DurationMatcher, {"gt": "5s", "lt": "3s"}, "no duration is"),
        (DurationMatcher, {"equals": "5s"}, "operator 'equals' does not fit a duration"),
        (DurationMatcher, {"ge": 0}, "every duration is"),
        (DurationMatcher, "0s", "no duration is at most 0 ms"),
        (DurationMatcher, {"max": "5s"}, "did you mean 'le'?"),
        (SizeMatcher, {"ge": 0}, "every size is at least 0 B"),
        (SizeMatcher, {"contains": "1KiB"}, "operator 'contains' does not fit a size"),
        (
            Matcher,
            {"a": {"gte": 5}},
            "unknown operator 'gte'; did you mean 'ge'? Expected 'equals', 'not', 'gt', 'ge', 'lt', 'le', 'matches'",
        ),
        (
            Matcher,
            {"a": {"b": {"gt": 5, "lt": 3}}},
            "no value is more than 5 and less than 3, expected something that can be",
        ),
        (Matcher, {"a": {"gt": 5, "matches": "x"}}, "no value is"),
        (Matcher, {"not": {"gt": 5, "contains": "x"}}, "no value is"),
        (Matcher, {"a": {"contains": {"b": {"not": {"lt": 1, "ge": 1}}}}}, "no value is"),
        (Matcher, {"a": Unfilled()}, "expected a value, got a variable that is empty"),
        (Matcher, {"equals": {"a": [Unfilled()]}}, "expected a value, got a variable that is empty"),
        (Matcher, {"contains": {}}, "expected at least one field"),
        (Matcher, [{"gt": 1}, {"not": {"gt": 2}}], "every value is"),
    ],
)
def test_matchers_that_nothing_or_everything_matches(kind: type[Matcher], spec: Any, why: str) -> None:
    """What is expected fits the type of what is there, can be, and can be otherwise: so does each part of it."""
    assert why in refused(kind, spec)


@pytest.mark.parametrize(
    ("kind", "spec", "value"),
    [
        (StatusMatcher, {"ge": 200, "lt": 300}, 204), (StatusMatcher, {"not": {"ge": 500}}, 404),
        (ExitCodeMatcher, {"not": 0}, 1), (ExitCodeMatcher, -9, -9), (CountMatcher, 0, 0), (CountMatcher, {"gt": 0}, 1),
        (PresentCountMatcher, {"ge": 0}, 0), (NumberMatcher, NAN, NAN), (NumberMatcher, {"ge": 0}, 0),
        (NumberMatcher, {"gt": 0.1, "lt": 0.2}, 0.15), (NumberMatcher, float("inf"), float("inf")),
        (TextMatcher, "", ""), (TextMatcher, {"contains": "a", "not": {"contains": "b"}}, "a"),
        (TextMatcher, {"contains": 5}, "15"), (HealthMatcher, {"not": "down"}, "up"),
        (HealthMatcher, ["up", "down"], "up"),
        (DurationMatcher, "5s", 4.0), (DurationMatcher, {"not": "5s"}, 6.0),
        (SizeMatcher, 0, 0),
        (SizeMatcher, {"gt": 0}, 1), (Matcher, {"a": None}, {"a": None}),
        (Matcher, {"a": [None, ""]}, {"a": ""}),
        (Matcher, {"a": {"not": None}}, {"a": 1}), (Matcher, {"equals": []}, []),
        (Matcher, {"min": 1, "max": 2}, {"min": 1, "max": 2}),
        (Matcher, {"matches": 3, "total": 5}, {"matches": 3, "total": 5}),
        (Matcher, {"equals": {"gte": 5}}, {"gte": 5}),
    ],
)  # fmt: skip
def test_matchers_of_a_type(kind: type[Matcher], spec: Any, value: Any) -> None:
    """What makes sense is taken, and matches."""
    assert decode_all_errors(spec, kind).mismatch(value) is None


_BOUNDS = st.dictionaries(st.sampled_from(["gt", "ge", "lt", "le", "equals", "not"]), st.integers(-2, 6), min_size=1)
_RANGES = st.recursive(
    st.integers(-2, 6) | _BOUNDS,
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.fixed_dictionaries({"not": inner}),
    max_leaves=4,
)


@given(_RANGES)
def test_a_count_is_refused_exactly_if_it_is_settled_in_advance(spec: Any) -> None:
    """A matcher of counts that is taken matches some count and misses another; a simple one that is not, does not."""
    try:
        made = CountMatcher(spec)
    except ValueError:
        if isinstance(spec, dict) and "not" not in spec:
            assert len({_all_hold(spec, count) for count in range(12)}) == 1 or _has_none(spec)
    else:
        assert len({made.matches(count) for count in range(12)}) == 2


def _all_hold(spec: dict[str, int], count: int) -> bool:
    holds = {"gt": int.__gt__, "ge": int.__ge__, "lt": int.__lt__, "le": int.__le__, "equals": int.__eq__}
    return all(holds[name](count, wanted) for name, wanted in spec.items())


def _has_none(spec: dict[str, int]) -> bool:
    """Return whether a part expects an impossible count."""
    return spec.get("equals", 0) < 0
