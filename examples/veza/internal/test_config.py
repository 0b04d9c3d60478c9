"""The configuration from the environment."""

import pytest

from internal.config import ConfigError, from_environment

NEEDED = {"DATABASE_URL": "postgresql://veza@db/veza", "JWT_SECRET": "x"}


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_says_what_is_missing(name: str) -> None:
    """The API does not start without what it needs, and names it."""
    with pytest.raises(ConfigError, match=f"{name} is not set"):
        from_environment({key: value for key, value in NEEDED.items() if key != name})


def test_redis_may_be_left_out() -> None:
    """Redis is optional."""
    assert from_environment(NEEDED).redis_url == ""


@pytest.mark.parametrize("text", ["no", "-1", "0", "nan", "inf"])
def test_refuses_what_is_no_number(text: str) -> None:
    """A port has to be a number above 0."""
    with pytest.raises(ConfigError, match="PORT"):
        from_environment({**NEEDED, "PORT": text})
