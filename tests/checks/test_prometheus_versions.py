"""Every check about Prometheus, with a running one of each version: what passes, and what fails."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gate.checks.base import CheckResult
from gate.model import Status
from tests.support.checks import check, context
from tests.support.promtools import Promtool, installed
from tests.support.services import Service, free_port, prometheus_running

CONFIG = """global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [rules.yml]
scrape_configs:
- job_name: self
  static_configs: [{{targets: ["{address}"]}}]
"""
RULES = """groups:
- name: g
  rules:
  - alert: Up
    expr: up{job="self"} == 1
    labels: {severity: critical}
    annotations: {runbook: docs/up.md}
  - record: job:up:sum
    expr: sum by (job) (up)
"""


@pytest.fixture(scope="module", params=installed(), ids=lambda tool: str(tool.release))
def running(request: pytest.FixtureRequest) -> Iterator[tuple[Promtool, Service]]:
    """Provide a Prometheus of each version, which scrapes itself and has an alert that fires."""
    tool: Promtool = request.param
    port = free_port()
    program = str(Path(tool.path).with_name("prometheus"))
    config = CONFIG.format(address=f"127.0.0.1:{port}")
    with prometheus_running(config, RULES, program=program, port=port) as service:
        yield tool, service


@pytest.fixture
def checkout(tmp_path: Path, running: tuple[Promtool, Service]) -> Path:
    """Return a checkout with the rules, the configuration and the runbook."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "up.md").write_text("# Up\n\n## Signal\n\ntext\n")
    (tmp_path / "rules.yml").write_text(RULES)
    (tmp_path / "prometheus.yml").write_text(CONFIG.format(address=running[1].address))
    return tmp_path


CHECKS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("scrape_target", {"job": "self"}, {"job": "other"}),
    ("promql", {"query": 'up{job="self"}', "value": 1}, {"query": 'up{job="self"}', "value": 2}),
    ("alert", {"name": "Up", "state": "firing"}, {"name": "Up", "state": "pending"}),
    ("loaded_rules", {"file": "rules.yml"}, {"groups": ["other"]}),
    ("traceability", {"file": "rules.yml"}, {"file": "rules.yml", "links": ["fired"]}),
    ("alert_rules", {"file": "rules.yml", "valid": True}, {"file": "prometheus.yml", "valid": True}),
    ("scrape_config", {"file": "prometheus.yml", "job": "self"}, {"file": "rules.yml", "job": "self"}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "good", "bad"), CHECKS, ids=[row[0] for row in CHECKS])
def test_each_check(
    running: tuple[Promtool, Service], checkout: Path, kind: str, good: dict[str, Any], bad: dict[str, Any]
) -> None:
    """A check passes and fails with every version; what judges files goes by the running version."""
    tool, service = running

    def judged(fields: dict[str, Any]) -> CheckResult:
        made = check(kind, target="prometheus", **fields)
        return made.judge(made.observe(context(checkout, limit=60, prometheus=service.url)))

    end = time.monotonic() + 60
    while (found := judged(good)).status is not Status.PASS and time.monotonic() < end:
        time.sleep(0.2)
    assert found.status is Status.PASS, str(found.message)
    failed = judged(bad)
    assert failed.status is Status.FAIL
    if kind in ("alert_rules", "scrape_config"):
        assert f"{tool.release}" in str(found.message).rpartition("judged by ")[2]
        assert f"{tool.release}" in str(failed.message).rpartition("judged by ")[2]
