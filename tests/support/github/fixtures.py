"""The fixtures of tests that publish: a GitHub of their own, and settings that reach it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gate.publish.settings import RetryPolicy, Settings
from gate.publish.time_budget import TimeBudget
from gate.redaction.secrets import Redactor
from tests.support.github import server

# A busy machine may take seconds for a response; a test of a server that is silent sets a timeout of its own.
QUICK = RetryPolicy(timeout=20.0, initial_delay=0.05, write_interval=0)


@pytest.fixture
def github() -> Iterator[server.GitHub]:
    """Provide a server that plays GitHub, and fail the test if a request or response breaks its description."""
    with served() as made:
        yield made


@pytest.fixture
def enterprise() -> Iterator[server.GitHub]:
    """Provide the same, as an enterprise server has it."""
    with served("/api/v3") as made:
        yield made


@contextmanager
def served(prefix: str = "", host: str = "127.0.0.1") -> Iterator[server.GitHub]:
    """Provide the same on an address of its own."""
    made = server.GitHub(prefix, host)
    made.start()
    try:
        yield made
    finally:
        made.stop()
    assert made.violations == []


def settings(github: server.GitHub, **more: Any) -> Settings:
    """Return the settings of run 5000, attempt 1, on pull request 7."""
    given: dict[str, Any] = {
        "token": server.TOKEN,
        "api_url": github.url,
        "repository": server.REPOSITORY,
        "event": "pull_request",
        "commit": server.HEAD,
        "run": (5000, 1),
        "run_url": f"https://github.com/{server.REPOSITORY}/actions/runs/5000/attempts/1",
        "pull": 7,
        "branch": "main",
        "status": True,
        "comment": "always",
        "retry_policy": QUICK,
        "budget": TimeBudget(40.0),
        "secrets": Redactor([server.TOKEN]),
    }
    return Settings(**{**given, **more})
