"""Promtool's unit tests are read as far as their cases for alerts."""

from __future__ import annotations

import pytest

from gate.prometheus.rule_tests import AlertCase, RuleTestsError, failed_alerts, parse_rule_tests

TESTS = b"""
rule_files: [alerts.yml, ../more/*.yml]
fuzzy_compare: true
tests:
  - name: first
    interval: 1m
    input_series: [{series: up, values: 0x5}]
    alert_rule_test:
      - eval_time: 5m
        alertname: Down
        exp_alerts: [{exp_labels: {severity: critical, code: 5}}, {exp_annotations: {a: b}}]
      - {eval_time: 0m, alertname: Down, exp_alerts: []}
  - alert_rule_test: [{eval_time: 0m, alertname: Slow}]
    promql_expr_test: [{expr: up, eval_time: 1m}]
"""


def test_cases() -> None:
    """Each case has the labels of the alerts that it expects; a silent one has none."""
    tests = parse_rule_tests("ops/tests/alerts_test.yml", TESTS)
    assert tests.rule_files == ("ops/tests/alerts.yml", "ops/more/*.yml")
    assert tests.cases == (
        AlertCase("Down", ({"severity": "critical", "code": "5"}, {})),
        AlertCase("Down", ()),
        AlertCase("Slow", (), has_series=False),
    )
    assert [tests.tests(path) for path in ("ops/tests/alerts.yml", "ops/more/x.yml", "alerts.yml")] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "it has no 'tests'"),
        (b"groups: []", "it has no 'tests'"),
        (b"tests: 7", "it has no 'tests'"),
        (b"tests: []", "it has no 'tests'"),
        (b"a: [", "not valid YAML"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_not_a_unit_test(text: bytes, why: str) -> None:
    """Another file is not taken for one without cases."""
    with pytest.raises(RuleTestsError, match=why):
        parse_rule_tests("x.yml", text)


def test_wrong_types_have_no_cases() -> None:
    """What promtool would reject gives no case, and does not raise."""
    for text in (
        b"tests: [7, {}]",
        b"tests: [{alert_rule_test: 7}]",
        b"tests: [{alert_rule_test: [7, {exp_alerts: 7}]}]",
    ):
        assert [case for case in parse_rule_tests("x.yml", text).cases if case.alert] == []


def test_failed_alerts() -> None:
    """The alerts of failed cases are found in promtool's report, with and without the name of the test."""
    report = "  FAILED:\n    name: n,\n    alertname: Down, time: 1m, \n  exp:[]\n    alertname: A b, time: 5m, \n"
    assert failed_alerts(report) == ["Down", "A b"]
    assert failed_alerts("  FAILED:\nyaml: line 1") == []
