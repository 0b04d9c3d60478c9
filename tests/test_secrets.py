"""Secrets: what is hidden, wherever it stands."""

from __future__ import annotations

import pytest

from gate.secrets import Secrets


@pytest.mark.parametrize(
    "name", ["GITHUB_TOKEN", "DB_PASSWORD", "JWT_SECRET", "API_KEY", "INPUT_GITHUB-TOKEN", "AWS_PRIVATE_KEY", "TOKEN"]
)
def test_names(name: str) -> None:
    """A variable whose name says that it is a secret hides its value."""
    assert Secrets.from_environment({name: "hunter22"}).hide("it is hunter22!") == "it is ***!"


def test_other_variables() -> None:
    """Any other variable's value stays."""
    assert Secrets.from_environment({"HOME": "hunter22"}).hide("hunter22") == "hunter22"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgres://u:p4ss@db/x", "postgres://***@db/x"),
        ("redis://:p4ss@db", "redis://***@db"),
        ("Authorization: Bearer abc", "Authorization: ***"),
        ("cookie=a; b", "cookie=***"),
        ("http://host:8080/path", "http://host:8080/path"),
        ("see https://x.example/@name", "see https://x.example/@name"),
    ],
)
def test_shapes(text: str, shown: str) -> None:
    """Credentials in addresses and headers are hidden without being known; addresses stay."""
    assert Secrets().hide(text) == shown


def test_variants() -> None:
    """Lines, URL quoting and base64 of a secret are hidden, too."""
    secrets = Secrets(["first line\nse/cond"])
    assert secrets.hide("first line") == "***"
    assert secrets.hide("a=se%2Fcond") == "a=***"
    assert secrets.hide("Zmlyc3QgbGluZQpzZS9jb25k") == "***"


def test_short_values() -> None:
    """A value too short to be one does not blank out the report."""
    assert Secrets(["on", ""]).hide("on and on") == "on and on"


def test_longest_first() -> None:
    """A secret that begins with another one is hidden whole."""
    assert Secrets(["abcd", "abcdefgh"]).hide("abcdefgh") == "***"
