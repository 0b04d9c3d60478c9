"""Matchers: one way to expect a value, with the same meaning everywhere."""

from __future__ import annotations

from typing import Any

import pytest

from gate.matchers import MISSING, Matcher, TextMatcher
from gate.written import Mistaken, read

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
    with pytest.raises(Mistaken):
        read(spec, Matcher)


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
    with pytest.raises(Mistaken) as caught:
        read({"matches": pattern}, Matcher)
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
    assert Matcher(narrow).narrows(Matcher(wide)) is expected
