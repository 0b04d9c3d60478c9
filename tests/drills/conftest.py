"""Fixtures of the tests of drills."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.process_drills import Staging


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    """Create a staging environment of processes, and stop it at the end."""
    return Staging(tmp_path)
