"""Tokens: ours, foreign, old and broken."""

import pytest

from internal.tokens import InvalidTokenError, signed, verified


def test_reads_its_own() -> None:
    """A token of ours says what it was made with."""
    assert verified(signed({"sub": "42", "exp": 200}, "s"), "s", now=100)["sub"] == "42"


@pytest.mark.parametrize(
    "token", [signed({"exp": 200}, "other"), signed({"exp": 50}, "s"), signed({}, "s"), "", "a.b.c"]
)
def test_refuses_others(token: str) -> None:
    """A token with a foreign signature, past its time, or that is none, is refused."""
    with pytest.raises(InvalidTokenError):
        verified(token, "s", now=100)
