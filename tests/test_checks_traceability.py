"""From the rule of an alert to its runbook, on a real Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gate.checks.asked import Asked, ask
from gate.checks.traceability import Traceability
from gate.checks.world import World
from gate.messages import say
from gate.model import ItemResult, Moment, Outcome, Severity, Status, Timeline
from gate.secrets import Secrets
from gate.staging.staged import Staged
from tests.parts.services import Service, prometheus_running
from tests.parts.web import Reply, Web

CONFIG = "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [rules.yml]\n"
RULES = """
groups:
  - name: g
    rules:
      - {alert: Good, expr: vector(1), labels: {severity: critical}, annotations: {runbook: docs/good.md}}
      - {alert: Metricless, expr: nobody_has_it > 0, labels: {severity: minor}, annotations: {runbook: docs/good.md}}
      - {alert: Bare, expr: vector(1) < 0, labels: {severity: minor}}
      - {alert: Lost, expr: vector(1) < 0, labels: {severity: minor}, annotations: {runbook: docs/lost.md}}
      - {alert: Thin, expr: vector(1) < 0, labels: {severity: minor}, annotations: {runbook: docs/thin.md}}
"""


@pytest.fixture(scope="module")
def running() -> Iterator[Service]:
    with prometheus_running(CONFIG, RULES) as service:
        time.sleep(3)
        yield service


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "good.md").write_text("# Good\n\n## Signal\n\ntext\n")
    (tmp_path / "docs" / "thin.md").write_text("# Thin\n\n## Signal\n")
    (tmp_path / "docs" / "orphan.md").write_text("# Orphan\n\n## Signal\n\ntext\n")
    (tmp_path / "rules.yml").write_text(RULES)
    return tmp_path


def drilled(*alerts: str) -> dict[str, ItemResult]:
    moments = tuple(Moment(at=1.0, what=say("alert {alert}", alert=name), kind="alert") for name in alerts)
    outcome = Outcome(status=Status.PASS, message=say("seen"), timeline=Timeline(moments=moments))
    item = ItemResult(id="d", title="D", severity=Severity.BLOCKING, check="drill", outcome=outcome)
    return {"d": item}


def asking(service: Service, root: Path, results: dict[str, ItemResult] | None = None, **fields: Any) -> Outcome:
    check = Traceability.model_validate({"target": "prometheus", "file": "rules.yml", **fields})
    staged = Staged(name="prometheus", base_url=service.url)
    now = time.monotonic()
    world = World(
        root=root,
        targets={"prometheus": staged},
        secrets=Secrets(),
        deadline=now + 20,
        fresh=now,
        results=results or {},
    )
    return ask(Asked.model_construct(check=check, within=None, timeout=15.0), world)


def rows(outcome: Outcome) -> dict[str, str]:
    return {str(row.title): str(row.message) for row in outcome.rows}


def test_first_broken_link(running: Service, checkout: Path) -> None:
    """Each alert's first broken link is named; without a drill none was seen firing."""
    outcome = asking(running, checkout, drilled("Good"), sections=["Signal"])
    assert outcome.status is Status.FAIL
    assert rows(outcome) == {
        "Good": "no link is broken",
        "Metricless": "nobody exposes nobody_has_it",
        "Bare": "it was not seen firing in a drill",
        "Lost": "it was not seen firing in a drill",
        "Thin": "it was not seen firing in a drill",
    }
    words = str(outcome.message)
    assert [
        part
        for part in ("Bare: it has no runbook annotation", "docs/lost.md does not exist", "has no text")
        if part in words
    ] != []


@pytest.mark.parametrize(
    ("links", "status"), [(["loaded"], Status.PASS), (["exposed"], Status.FAIL), (["annotation"], Status.FAIL)]
)
def test_links(running: Service, checkout: Path, links: list[str], status: Status) -> None:
    """Only the links that are asked for have to hold."""
    assert asking(running, checkout, links=links).status is status


@pytest.mark.parametrize(
    ("drills", "least", "status"),
    [(["Good"], "100%", Status.PASS), ([], "100%", Status.FAIL), (["Bare"], "100%", Status.FAIL)],
)
def test_coverage(running: Service, checkout: Path, drills: list[str], least: str, status: Status) -> None:
    """An alert counts as seen firing when a drill noticed it and Prometheus had it firing."""
    outcome = asking(running, checkout, drilled(*drills), links=["loaded"], fired={"critical": least})
    assert outcome.status is status


def test_a_severity_that_no_alert_has(running: Service, checkout: Path) -> None:
    """A share of nothing is not reached."""
    outcome = asking(running, checkout, links=["loaded"], fired={"none": "1%"})
    assert str(outcome.message) == "0 of 0 none alerts were seen firing, expected 1 %"


def test_orphans(running: Service, checkout: Path) -> None:
    """A runbook that no alert leads to is named."""
    outcome = asking(running, checkout, links=["loaded"], runbooks="docs/*.md")
    assert str(outcome.message) == "no alert leads to docs/orphan.md"


def test_a_rule_that_is_not_loaded(running: Service, checkout: Path) -> None:
    """An alert of the file that Prometheus has not loaded breaks its first link."""
    more = "      - {alert: New, expr: vector(1), labels: {severity: minor}}\n"
    (checkout / "rules.yml").write_text(RULES + more)
    outcome = asking(running, checkout, links=["loaded"])
    assert (outcome.status, rows(outcome)["New"]) == (Status.FAIL, "it is not loaded")


def test_what_prometheus_only_remembers_is_not_exposed(checkout: Path) -> None:
    """A metric that somebody exposed once, and nobody does now, breaks the link."""
    (checkout / "rules.yml").write_text(RULES.replace("nobody_has_it", "gone_total"))
    web = Web({"/metrics": Reply(200, "gone_total 5\n", {"Content-Type": "text/plain"})})
    web.start()
    static = f"scrape_configs: [{{job_name: a, static_configs: [{{targets: ['127.0.0.1:{web.port}']}}]}}]\n"
    with prometheus_running(CONFIG + static, RULES) as service:
        assert until(service, checkout, "no link is broken")
        web.stop()
        assert until(service, checkout, "nobody exposes gone_total")


def until(service: Service, root: Path, words: str) -> bool:
    """Whether that is said of the alert without metrics, within half a minute."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        rules = Traceability.model_validate({"target": "prometheus", "file": "rules.yml", "links": ["exposed"]})
        now = time.monotonic()
        here = World(root, {"prometheus": Staged(name="prometheus", base_url=service.url)}, Secrets(), now + 9, now)
        (chain,) = (each for each in rules.observe(here).chains if each.name == "Metricless")
        if words == str(chain.first(("exposed",)) or "no link is broken"):
            return True
        time.sleep(0.3)
    return False
