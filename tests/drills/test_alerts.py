"""Drills that wait for an alert, with a real Prometheus: in time, too short a time, already there, and another one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.process_drills import Staging, drill, phases, ready
from tests.support.services import Service

CONFIG = """
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
scrape_configs:
  - {job_name: database, fallback_scrape_protocol: PrometheusText0.0.4, static_configs: [{targets: ['127.0.0.1:%d']}]}
"""
RULES = """
groups:
  - name: g
    rules:
      - {alert: DatabaseDown, expr: 'up{job="database"} == 0'}
      - {alert: DatabaseSlowlyDown, expr: 'up{job="database"} == 0', for: 2s}
      - {alert: DatabaseLongDown, expr: 'up{job="database"} == 0', for: 1h}
      - {alert: Another, expr: 'absent(up{job="database"} == 1)'}
      - {alert: Always, expr: vector(1)}
      - {alert: Soon, expr: vector(1), for: 30s}
      - {alert: RecordedDown, expr: 'job:up:min{job="database"} == 0'}
  - name: recorded
    interval: 3s
    rules:
      - {record: 'job:up:min', expr: min by (job) (up)}
"""

ANOTHER = 'count(ALERTS{alertname="Another",alertstate="firing"})'


@pytest.fixture
def staging(tmp_path: Path, prometheus: Callable[..., Service]) -> Staging:
    """Two processes, and a Prometheus that scrapes the database's folder; `Always` fires, `Soon` is pending."""
    made = Staging(tmp_path)
    (tmp_path / "metrics").write_text("# TYPE x gauge\nx 1\n")
    made.prometheus = prometheus(CONFIG % made.database, RULES).url
    return made


def write(
    staging: Staging, alert: str, *before: dict[str, Any], state: str = "firing", within: str = "20s", **more: Any
) -> None:
    """Write a checklist with a drill that waits for an alert, after other items."""
    waits = {"within": within, "alert": {"target": "prometheus", "name": alert, "state": state}}
    up = {"within": "30s", "promql": {"target": "prometheus", "query": "up", "value": 1}}
    staging.write_drill(drill({"stop": "database"}, steady=[ready(within="5s"), up], observe=[waits], **more))
    path = staging.path / "prodgate.yml"
    checklist = json.loads(path.read_text())
    checklist["targets"]["prometheus"] = {"url": staging.prometheus}
    checklist["sections"][0]["items"][:0] = before
    path.write_text(json.dumps(checklist))


def run(staging: Staging, alert: str, **more: Any) -> tuple[int, dict[str, Any]]:
    """Run a drill that waits for an alert."""
    write(staging, alert, **more)
    return staging.run_drill()


def test_an_alert_that_fires_and_resolves(staging: Staging) -> None:
    """An alert that fires in time and resolves afterwards passes, each with its own row."""
    code, outcome = run(staging, "DatabaseDown")
    assert (code, outcome["status"]) == (0, "pass"), outcome["evidence"]["answer"]
    assert phases(outcome).count(("recover", "pass")) == 3


def test_the_timeline_of_an_alert(staging: Staging) -> None:
    """Prometheus tells when an alert that was seen firing had been pending, and how what it looks at went."""
    code, outcome = run(staging, "DatabaseSlowlyDown")
    assert (code, outcome["status"]) == (0, "pass"), outcome["evidence"]["answer"]
    kinds = [moment["kind"] for moment in outcome["timeline"]["moments"]]
    assert [kind for kind in kinds if kind in ("fault", "pending", "firing")] == ["fault", "pending", "firing"]
    (curve,) = outcome["timeline"]["curves"]
    assert (curve["name"], {value for _, value in curve["points"]}) == ('up{job="database"}', {0.0, 1.0})


def test_a_curve_that_cannot_be_drawn(staging: Staging) -> None:
    """A query without series, or one that is refused, is said to be so, and the drill's outcome stays its own."""
    queries = {"none": "nobody_has_it", "wrong": "up{", "good": "up"}
    code, outcome = run(staging, "DatabaseDown", curves={"target": "prometheus", "queries": queries})
    assert (code, outcome["status"]) == (0, "pass"), outcome["evidence"]["answer"]
    rows = {row["title"]["args"]["title"]: row for row in outcome["rows"] if row["phase"] == "curve"}
    assert {name: row["status"] for name, row in rows.items()} == {"none": "skip", "wrong": "skip"}
    assert rows["wrong"]["message"]["text"].startswith("Prometheus rejected the request")
    assert [curve["name"] for curve in outcome["timeline"]["curves"]] == ["good"]


@pytest.mark.parametrize(("alert", "within"), [("Always", "20s"), ("Soon", "40s")])
def test_an_alert_that_is_there_already(staging: Staging, alert: str, within: str) -> None:
    """An alert that is pending or firing before the fault could prove nothing: an ERROR, and no fault."""
    until_always_fires = time.monotonic() + 8
    while time.monotonic() < until_always_fires:
        time.sleep(1)
    code, outcome = run(staging, alert, within=within)
    assert (code, outcome["status"], {phase for phase, _ in phases(outcome)}) == (1, "error", {"steady"})
    assert "would not prove detection" in json.dumps(outcome["message"])


@pytest.mark.parametrize(
    ("alert", "within", "words"),
    [
        ("DatabaseLongDown", "20s", "is too short"),
        ("RecordedDown", "4s", "recording rules"),
        ("Nonexistent", "20s", "No alert"),
    ],
)
def test_an_alert_that_cannot_come(staging: Staging, alert: str, within: str, words: str) -> None:
    """An alert that can't come in time, or is none, is an ERROR of its drill, found before anything is broken."""
    write(staging, alert, {"id": "first", "title": "First", "drill": drill({"stop": "database"})}, within=within)
    said, _ = staging.start().communicate(timeout=120)
    report = json.loads((staging.path / "out" / "report.json").read_text())
    first, late = (item["outcome"] for item in report["sections"][0]["items"])
    assert (first["status"], late["status"], late["rows"]) == ("pass", "error", [])
    assert words in json.dumps(late["message"])
    assert late["evidence"]["reproduce"] == "prodgate run --file prodgate.yml --only drill"
    assert said.index("drill will not be run: ") < said.index("fault: stop database")


@pytest.mark.parametrize(
    ("allow", "status"), [([], "fail"), (["Another", 'one "more" \\d (.*)', "RecordedDown"], "pass"), ([".*"], "fail")]
)
def test_other_alerts(staging: Staging, allow: list[str], status: str) -> None:
    """An alert that begins to fire in a drill fails it, unless it is awaited, allowed by its name, or fired before."""
    quiet = {"within": "30s", "promql": {"target": "prometheus", "query": ANOTHER, "empty": True}}
    late = {"within": "20s", "promql": {"target": "prometheus", "query": ANOTHER, "value": 1}}
    others = {"target": "prometheus", "allow": allow}
    write(staging, "DatabaseDown", other_alerts=others)
    path = staging.path / "prodgate.yml"
    checklist = json.loads(path.read_text())
    made = checklist["sections"][0]["items"][0]["drill"]
    made["steady"].append(quiet)
    made["observe"].append(late)
    path.write_text(json.dumps(checklist))
    _, outcome = staging.run_drill()
    (row,) = [row for row in outcome["rows"] if row["phase"] == "throughout" and "no other" in row["title"]["text"]]
    assert (outcome["status"], row["status"]) == (status, status), outcome["evidence"]["answer"]
