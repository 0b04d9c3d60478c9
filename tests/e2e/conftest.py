"""Fixtures of the tests of whole runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.engine import locked
from tests.support.example_bugs import EXAMPLE
from tests.support.services import NEWEST

sys.path.append(str(EXAMPLE))

from demo import tools


@pytest.fixture(scope="session")
def python() -> Path:
    """Return the Python of the example's environment, with the Prometheus 3 of `make parts` beside it."""
    with locked("example-venv"):
        later = EXAMPLE / ".demo" / "debian"
        if not later.exists():
            later.parent.mkdir(exist_ok=True)
            later.symlink_to(NEWEST)
        return tools.environment(EXAMPLE / ".demo" / "venv", EXAMPLE / "requirements-test.txt")
