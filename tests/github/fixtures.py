"""The fixtures of tests that publish: a GitHub of their own, and settings that reach it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gate.publish.settings import Patience, Settings
from gate.secrets import Secrets
from tests.github import server

QUICK = Patience(request=1.0, budget=6.0, pause=0.05, between_writes=0)


@pytest.fixture
def github() -> Iterator[server.GitHub]:
    """A server that plays GitHub, in whose requests and answers nothing may be wrong."""
    yield from _served("")


@pytest.fixture
def enterprise() -> Iterator[server.GitHub]:
    """The same, as an enterprise server has it."""
    yield from _served("/api/v3")


def _served(prefix: str) -> Iterator[server.GitHub]:
    made = server.GitHub(prefix)
    made.start()
    try:
        yield made
    finally:
        made.stop()
    assert made.wrong == []


def settings(github: server.GitHub, **more: Any) -> Settings:
    """Settings of the run 5000, attempt 1, on pull request 7."""
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
        "patience": QUICK,
        "secrets": Secrets([server.TOKEN]),
    }
    return Settings(**{**given, **more})
