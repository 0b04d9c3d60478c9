"""The counts of a parametrized test's cases are summed, whichever process runs each, and too small a sum fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

CASES = """
import pytest
from tests.support.trials import Trials

@pytest.mark.parametrize("hits", [3, 1])
def test_case(hits, record_trials):
    record_trials(Trials("kills", hits, 5, 10, {at_least}))
"""


@pytest.mark.parametrize(
    ("at_least", "words", "code"),
    [(4, (), 0), (5, (), 1), (5, ("-k", "3"), 0), (5, ("-n", "2"), 1)],
    ids=["enough", "too few", "not all cases", "too few in two processes"],
)
def test_sum(tmp_path: Path, at_least: int, words: tuple[str, ...], code: int) -> None:
    """A sum is judged once all cases have been run."""
    (tmp_path / "test_it.py").write_text(CASES.format(at_least=at_least))
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.support.trials", "-p", "no:cacheprovider", *words],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == code, ran.stdout
    assert ("4 of 10 kills, expected at least 5" in ran.stdout) == (code == 1)
