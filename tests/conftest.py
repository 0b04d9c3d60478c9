"""Fixtures of all tests; under CI, a test that is skipped fails the run."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# A slow or a loaded machine is no fault of what is tested.
settings.register_profile("prodgate", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("prodgate")

pytest_plugins = ["tests.support.services", "tests.support.browser", "tests.support.trials"]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Unverified is not passed: with CI set, a skipped test makes the exit code 1."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter and reporter.stats.get("skipped") and session.exitstatus == 0:
        reporter.write_line("prodgate: a skipped test fails the run where CI is set", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
