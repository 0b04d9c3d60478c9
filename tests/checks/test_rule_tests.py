"""The JUnit XML of promtool's unit tests of rules is read like that of any other tool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gate.checks.base import CheckResult, ObservationError
from gate.model import Status
from tests.support.checks import check, context
from tests.support.paths import ROOT

PROMTOOL = ROOT / ".cache" / "prometheus" / "forky" / "bin" / "promtool"
RULES = "groups: [{name: g, rules: [{alert: Down, expr: up == 0, labels: {severity: critical}}]}]"
TESTS = """
rule_files: [rules.yml]
tests:
  - name: database
    interval: 1m
    input_series: [{series: 'up{job="a"}', values: "0 1"}]
    alert_rule_test:
      - {eval_time: 0m, alertname: Down, exp_alerts: [{exp_labels: {severity: critical, job: %s}}]}
  - interval: 1m
    alert_rule_test: [{eval_time: 1m, alertname: Down}]
"""


def judged(folder: Path, job: str, **fields: Any) -> CheckResult:
    """Run the unit tests, which expect an alert of this job, and judge what promtool has written."""
    (folder / "rules.yml").write_text(RULES)
    (folder / "alerts_test.yml").write_text(TESTS % job)
    run = [str(PROMTOOL), "test", "rules", "--junit=results.xml", "alerts_test.yml"]
    made = check("tests", run=run, results="results.xml", **fields)
    return made.judge(made.observe(context(folder, limit=60)))


def test_passing(tmp_path: Path) -> None:
    """Each test of the file counts, one without a name, too."""
    assert judged(tmp_path, "a", min_tests=2).status is Status.PASS
    assert judged(tmp_path, "a", min_tests=3).status is Status.FAIL


def test_failing(tmp_path: Path) -> None:
    """A failing test is named by its file and its name, and can be in quarantine."""
    assert "database fails" in str(judged(tmp_path, "b").message)
    entry = {"test": "database", "owner": "o", "reason": "r", "expires": "2999-01-01"}
    result = judged(tmp_path, "b", quarantine=[entry])
    assert (result.status, [str(row.title) for row in result.rows]) == (Status.PASS, ["database"])


def test_not_a_unit_test(tmp_path: Path) -> None:
    """A file without a test can't be judged, and one that promtool refuses fails."""
    (tmp_path / "none.yml").write_text("rule_files: [rules.yml]")
    (tmp_path / "refused.yml").write_text("x: 1")
    run = [str(PROMTOOL), "test", "rules", "--junit=results.xml"]
    none, refused = (check("tests", run=[*run, name], results="results.xml") for name in ("none.yml", "refused.yml"))
    with pytest.raises(ObservationError, match="no tests were collected"):
        none.observe(context(tmp_path, limit=60))
    assert refused.judge(refused.observe(context(tmp_path, limit=60))).status is Status.FAIL
