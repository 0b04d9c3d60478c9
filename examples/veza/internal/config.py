"""What the API is told by its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass


class ConfigError(Exception):
    """A variable is missing, or not what it should be."""


@dataclass(frozen=True)
class Config:
    """Durations are in seconds."""

    database_url: str
    jwt_secret: str
    port: int = 8080
    redis_url: str = ""
    external_url: str = ""
    pool_size: int = 8
    query_timeout: float = 1.5
    breaker_failures: int = 5
    breaker_open: float = 5.0
    external_timeout: float = 1.0


def from_environment(environment: Mapping[str, str] = os.environ) -> Config:
    """Read the configuration. Raises ConfigError with what was expected."""
    return Config(
        database_url=_required(environment, "DATABASE_URL"),
        jwt_secret=_required(environment, "JWT_SECRET"),
        port=int(_number(environment, "PORT", 8080)),
        redis_url=environment.get("REDIS_URL", ""),
        external_url=environment.get("EXTERNAL_URL", "").rstrip("/"),
        pool_size=int(_number(environment, "DB_POOL_SIZE", 8)),
        query_timeout=_number(environment, "DB_QUERY_TIMEOUT", 1.5),
        breaker_failures=int(_number(environment, "BREAKER_FAILURES", 5)),
        breaker_open=_number(environment, "BREAKER_OPEN_SECONDS", 5.0),
        external_timeout=_number(environment, "EXTERNAL_TIMEOUT", 1.0),
    )


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise ConfigError(f"{name} is not set")
    return value


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1e6:
        raise ConfigError(f"{name} is {text!r}, expected a number above 0")
    return value
