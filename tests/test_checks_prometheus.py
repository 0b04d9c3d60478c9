"""The checks that ask a running Prometheus, against a real one that scrapes itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gate.checks import CHECKS
from gate.checks.asked import Asked, ask
from gate.checks.world import World
from gate.matchers import Matcher
from gate.model import Outcome, Status
from gate.secrets import Secrets
from gate.staging.staged import Staged
from tests.parts.services import Service, free_port, prometheus_running

CONFIG = """
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
scrape_configs:
  - job_name: itself
    static_configs: [{targets: ['%s']}]
  - job_name: gone
    static_configs: [{targets: ['127.0.0.1:%d']}]
"""
RULES = """
groups:
  - name: g
    rules:
      - {alert: Always, expr: vector(1), labels: {severity: page}, annotations: {runbook: docs/a.md}}
      - {alert: Later, expr: vector(1), for: 1h}
      - {alert: Never, expr: vector(1) < 0, labels: {severity: page}}
"""


@pytest.fixture(scope="module")
def running() -> Iterator[Service]:
    with prometheus_running(CONFIG % ("127.0.0.1:1", free_port()), RULES) as service:
        deadline = time.monotonic() + 60
        while not ready(service):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield service


def ready(service: Service) -> bool:
    """Whether its rules have been evaluated and its targets are known."""
    pending = asking(service, "alert", name="Later", state="pending").status is Status.PASS
    return pending and asking(service, "promql", query="count(up)", value=2).status is Status.PASS


def world(url: str) -> World:
    staged = Staged(name="prometheus", base_url=url)
    now = time.monotonic()
    return World(root=Path(), targets={"prometheus": staged}, secrets=Secrets(), deadline=now + 20, fresh=now)


def asking(service: Service | str, kind: str, **fields: Any) -> Outcome:
    url = service if isinstance(service, str) else service.url
    check = CHECKS.load(kind).model_validate({"target": "prometheus", **fields})
    return ask(Asked.model_construct(check=check, within=None, timeout=10.0), world(url))


CASES: list[tuple[str, dict[str, Any], Status, str]] = [
    ("promql", {"query": "vector(5)", "value": 5}, Status.PASS, "The value is 5"),
    ("promql", {"query": "5", "value": {"gt": 4}}, Status.PASS, "The value is 5"),
    ("promql", {"query": "vector(5)", "value": {"gt": 5}}, Status.FAIL, "{}: expected more than 5, got 5.0"),
    ("promql", {"query": "nothing_at_all", "value": 5}, Status.FAIL, "There is no data: no series matches"),
    ("promql", {"query": "nothing_at_all", "empty": True}, Status.PASS, "There is no series, as expected"),
    ("promql", {"query": "nothing_at_all", "count": 0}, Status.PASS, "There is no series, as expected"),
    ("promql", {"query": "vector(1)", "empty": True}, Status.FAIL, "There are 1 series, expected none"),
    ("promql", {"query": "vector(1)", "count": 2}, Status.FAIL, "number of series: expected 2, got 1"),
    ("promql", {"query": "vector(0/0)", "value": {"ge": 0}}, Status.FAIL, "{}: expected at least 0, got NaN"),
    ("promql", {"query": "vector(0/0)", "empty": False}, Status.FAIL, "{} is NaN: no data"),
    ("promql", {"query": "up[1m]", "value": 1}, Status.ERROR, "The result is no vector and no scalar: it is a matrix"),
    ("alert", {"name": "Always", "state": "firing"}, Status.PASS, "Always is firing"),
    ("alert", {"name": "Later", "state": ["pending", "firing"]}, Status.PASS, "Later is pending"),
    ("alert", {"name": "Never", "state": "inactive"}, Status.PASS, "Never is inactive"),
    ("alert", {"name": "Never", "state": "firing"}, Status.FAIL, 'Never: state: expected "firing", got "inactive"'),
    (
        "alert",
        {"name": "Gone", "state": "inactive"},
        Status.FAIL,
        "No rule called Gone is loaded; there are: Always, Later, Never",
    ),
    ("alert", {"name": "Always", "annotations": {"runbook": "docs/a.md"}}, Status.PASS, "Always is firing"),
    ("alert", {"name": "Never", "labels": {"severity": "page"}}, Status.PASS, "Never is inactive"),
    ("alert", {"name": "Never", "labels": {"team": "a"}}, Status.FAIL, 'Never: team: expected "a", got nothing'),
    ("scrape_target", {"job": "none"}, Status.FAIL, "No active target has the job none; there are: gone, itself"),
]


@pytest.mark.parametrize(("kind", "fields", "status", "message"), CASES)
def test_cases(running: Service, kind: str, fields: dict[str, Any], status: Status, message: str) -> None:
    """What a real Prometheus answers is judged so, in these words."""
    outcome = asking(running, kind, **fields)
    assert (outcome.status, str(outcome.message)) == (status, message)


def test_a_query_that_is_wrong(running: Service) -> None:
    """Prometheus's own words say what is wrong with a query."""
    outcome = asking(running, "promql", query="up{", value=1)
    assert (outcome.status, str(outcome.message).startswith("Prometheus refuses: ")) == (Status.ERROR, True)


def test_a_target_that_is_down(running: Service) -> None:
    """A target that can't be scraped fails, with the error of the scrape."""
    deadline = time.monotonic() + 60
    while "refused" not in str((outcome := asking(running, "scrape_target", job="gone")).message):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert outcome.status is Status.FAIL


def test_no_prometheus() -> None:
    """Where no Prometheus answers, nothing is known: an ERROR."""
    outcome = asking(f"http://127.0.0.1:{free_port()}", "promql", query="up", value=1)
    assert outcome.status is Status.ERROR
    assert str(outcome.message) == "Prometheus does not answer: The connection failed: Connection refused"


@pytest.mark.parametrize("state", ["firing", ["pending", "firing"]])
def test_what_an_alert_takes(running: Service, state: Any) -> None:
    """An alert's least wait is what Prometheus needs: scrape, evaluation, and `for` where it has to fire."""
    check = CHECKS.load("alert")(target="prometheus", name="Later", state=Matcher(state))
    least = check.least_wait(world(running.url))
    assert least is not None
    assert least[0] == (3602.0 if state == "firing" else 2.0)


def test_afterwards() -> None:
    """What an awaited alert leaves to wait for is that it resolves; one that is not awaited leaves nothing."""
    kind = CHECKS.load("alert")
    assert kind(target="p", name="A", state=Matcher("firing")).afterwards().state == Matcher("inactive")
    assert kind(target="p", name="A", state=Matcher("inactive")).afterwards() is None


def test_evidence(running: Service) -> None:
    """The evidence has what was asked and a command that asks the same by hand."""
    evidence = asking(running, "promql", query="vector(5)", value=5).evidence
    assert evidence.asked == f"vector(5) on {running.url}"
    url = f"{running.url}/api/v1/query"
    assert evidence.reproduce == f"curl -sS -G --data-urlencode 'query=vector(5)' {url}"
