"""Assertions show values when they fail."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.support.paths import ROOT


def compares_tuple_of_booleans(node: ast.AST) -> bool:
    """Return True for an assertion that compares two tuples, one of which has True or False in it."""
    if not (isinstance(node, ast.Assert) and isinstance(node.test, ast.Compare)):
        return False
    sides = [node.test.left, *node.test.comparators]
    tuples = [side for side in sides if isinstance(side, ast.Tuple)]
    elements = [element for side in tuples for element in side.elts]
    return any(isinstance(element, ast.Constant) and isinstance(element.value, bool) for element in elements)


def found_in(text: str, name: str) -> Iterator[str]:
    """Yield the place of each assertion that compares a tuple of booleans."""
    for node in ast.walk(ast.parse(text)):
        if compares_tuple_of_booleans(node):
            yield f"{name}:{node.lineno}"  # type: ignore[attr-defined]


def test_no_assertion_compares_a_tuple_of_booleans() -> None:
    """`(True, False) == (True, True)` says what is wrong of neither text: each part is an assertion of its own."""
    paths = [
        path
        for path in (ROOT / "tests").rglob("*.py")
        if not path.is_relative_to(ROOT / "tests" / "checks" / "_checkout")
    ]
    assert len(paths) > 100
    assert [place for path in paths for place in found_in(path.read_text(), str(path.relative_to(ROOT)))] == []


@pytest.mark.parametrize("text", ['assert (code, "a" in text) == (0, True)', "assert (0, False) == pair, text"])
def test_a_tuple_of_booleans_is_found(text: str) -> None:
    """The rule sees booleans on either side."""
    assert list(found_in(text, "a.py")) == ["a.py:1"]
