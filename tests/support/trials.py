"""Sum what the cases of a parametrized test count, whichever process runs each, and judge the sums at the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import pytest

_PROPERTY = "prodgate.trials"


@dataclass(frozen=True)
class Trials:
    """The trials of one case: how many of them hit, and what the sum over all cases has to be."""

    name: str
    hits: int
    count: int
    of_count: int
    at_least: int


Record = Callable[[Trials], None]


@pytest.fixture
def record_trials(record_property: Callable[[str, object], None]) -> Record:
    """Record the trials of a case. The run fails if all cases were run and their hits are too few."""
    return lambda trials: record_property(
        _PROPERTY, [trials.name, trials.hits, trials.count, trials.of_count, trials.at_least]
    )


class TrialSums:
    """The sums of all trials, in the process that reports; with xdist the workers send it what they recorded."""

    def __init__(self) -> None:
        self.trials: dict[str, list[Trials]] = defaultdict(list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect what a passed case has recorded."""
        if report.when == "call" and report.passed:
            for name, value in report.user_properties:
                if name == _PROPERTY:
                    trials = Trials(*value)  # type: ignore[misc]
                    self.trials[trials.name].append(trials)

    def too_few(self) -> list[str]:
        """Return a sentence for each sum that is too small. Trials of which some were not run are not judged."""
        found = []
        for name, cases in self.trials.items():
            count, hits = sum(case.count for case in cases), sum(case.hits for case in cases)
            expected = cases[0]
            if count == expected.of_count and hits < expected.at_least:
                found.append(f"{hits} of {count} {name}, expected at least {expected.at_least}")
        return found


def pytest_configure(config: pytest.Config) -> None:
    """Sum in the process that reports only."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(TrialSums(), "prodgate-trial-sums")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run if a sum is too small."""
    sums = session.config.pluginmanager.get_plugin("prodgate-trial-sums")
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if sums and reporter and session.exitstatus == pytest.ExitCode.OK and (too_few := sums.too_few()):
        reporter.write_line(f"prodgate: {'; '.join(too_few)}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
