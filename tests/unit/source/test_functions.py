"""Functions are found where they begin and end, whatever braces stand in strings and comments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gate.source.functions import UnsupportedSourceError, find_functions

GO = """package handlers

import "fmt"

// func Commented() { }
/* func Blocked() {
} */
type Checker interface {
	Check(ctx context.Context) error
}

var table = map[string]func(int) int{
	"a": func(n int) int { return n },
}

func init() { fmt.Println("}") }

func (h *HealthHandler) Readiness(c *gin.Context) {
	brace := '{'
	quote := '\\''
	raw := `}}} func Raw() {`
	text := "\\"}\\\\"
	go func() {
		if err != nil { // }
			c.JSON(503, gin.H{"status": "not_ready"})
		}
	}()
}

func (s Set[K, V]) Get(key K) (v V, ok bool) {
	return
}

func Map[T any, U interface{ ~int }](in []T, f func(T) U) []U {
	return nil
}

func inline(o struct{ A int }, f func(interface{}) interface{}) struct{ B int } {
	return struct{ B int }{1}
}

var maker =
	func(n int) map[string]int { return nil }

func external(a int) int
func (*HealthHandler) Liveness() {}
"""

PYTHON = """import os

def top(a):
    return "}"

class Server:
    @property
    @cached
    def ready(self):
        def inner():
            return 1
        return inner()

    async def handle(self): return 2
"""


def found(path: str, text: str) -> dict[str, tuple[int, int]]:
    """Return the last and longest name of each function, with its first and last line."""
    return {each.names[-1]: (each.first, each.last) for each in find_functions(path, text)}


def test_go() -> None:
    """Functions, methods with receivers, type parameters, and types with braces in signatures."""
    assert found("a.go", GO) == {
        "init": (16, 16),
        "(*HealthHandler).Readiness": (18, 28),
        "(Set).Get": (30, 32),
        "Map": (34, 36),
        "inline": (38, 40),
        "(*HealthHandler).Liveness": (46, 46),
    }


def test_names_of_a_go_method() -> None:
    """A method is known by its name alone, with its type, and as Go writes it."""
    names = {name for each in find_functions("a.go", GO) for name in each.names}
    assert {"Readiness", "HealthHandler.Readiness", "(*HealthHandler).Readiness"} <= names


def test_python() -> None:
    """Functions, methods with their decorators, functions inside functions."""
    assert found("a.py", PYTHON) == {
        "top": (3, 4),
        "Server.ready": (7, 12),
        "Server.ready.inner": (10, 11),
        "Server.handle": (14, 14),
    }


@pytest.mark.parametrize(
    ("path", "text"), [("a.py", "def ("), ("a.py", "x = " + "(" * 5000), ("a.rb", "def x"), ("Makefile", "")]
)
def test_not_code(path: str, text: str) -> None:
    """Another language, and code that is broken, can't be told."""
    with pytest.raises(UnsupportedSourceError):
        find_functions(path, text)


@given(st.text(st.sampled_from("func (){}[]`'\"/*\n\\ aB.;,_0é")))
def test_no_text_breaks_the_lexer(text: str) -> None:
    """Any text has functions or none; their lines are lines of it."""
    for each in find_functions("a.go", text):
        assert 1 <= each.first <= each.last <= text.count("\n") + 1


def test_a_large_file() -> None:
    """A file of many braces is read in a moment."""
    assert find_functions("a.go", "func f() {" * 50_000)[0].names == ("f",)
