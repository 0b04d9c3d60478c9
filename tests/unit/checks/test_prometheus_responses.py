"""The checks about Prometheus, asked of responses that a healthy one never gives: stale, partial, contradictory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gate.checks.base import CheckResult
from tests.support.checks import check, context
from tests.support.web import Reply, Web


@contextmanager
def answering(path: str, **data: Any) -> Iterator[Web]:
    """Serve one response of the API; every query has no result, and none has to be made."""
    data = json.loads(json.dumps(data), object_hook=_dated)
    nothing = {"status": "success", "data": {"resultType": "vector", "result": []}}
    routes = {path: {"status": "success", "data": data}, "query": nothing, "status/config": {"status": "error"}}
    web = Web({f"/api/v1/{name}": Reply(200, json.dumps(body)) for name, body in routes.items()})
    web.start()
    try:
        yield web
    finally:
        web.stop()


def _dated(entry: dict[str, Any]) -> dict[str, Any]:
    """Put a time in place of the seconds since a rule or a target was last seen to."""
    for key in entry.keys() & {"lastEvaluation", "lastScrape"}:
        if not isinstance(entry[key], str):
            entry[key] = (datetime.now(UTC) - timedelta(seconds=entry[key])).isoformat()
    return entry


def ask(kind: str, *, urls: dict[str, str], **fields: Any) -> CheckResult:
    """Run a check once on a server with prepared responses and return its result."""
    made = check(kind, **fields)
    return made.judge(made.observe(context(**urls)))


def api_rule(
    name: str, *, ago: float = 0.0, health: str = "ok", alerts: tuple[dict[str, Any], ...] = (), **more: Any
) -> dict[str, Any]:
    """Return a rule as Prometheus' API lists it."""
    return {
        "name": name,
        "type": "alerting",
        "query": "vector(1) > 1",
        "health": health,
        "lastEvaluation": ago,
        "alerts": list(alerts),
        **more,
    }


FIRING = {"labels": {"alertname": "A", "severity": "high", "job": "a"}, "state": "firing"}


@pytest.mark.parametrize(
    ("rules", "fields", "status", "message"),
    [
        ([api_rule("A")], {"state": "inactive"}, "pass", "A is inactive"),
        ([api_rule("A", ago=3600)], {"state": "inactive"}, "error", "A was last evaluated 60 min"),
        ([api_rule("A", ago=3600)], {"state": ["inactive", "pending"]}, "error", "A was last evaluated"),
        ([api_rule("A", ago=10**6)], {"state": "inactive", "no_data": True}, "error", "A was last evaluated 11 d ago"),
        ([api_rule("A"), api_rule("A", ago=3600)], {"state": "inactive"}, "error", "A was last evaluated"),
        ([api_rule("A", ago=3600, alerts=(FIRING,))], {"state": "firing"}, "error", "A was last evaluated"),
        ([api_rule("A", ago=3600), api_rule("A", alerts=(FIRING,))], {"state": "firing"}, "pass", "A is firing"),
        ([api_rule("A", ago=3600, alerts=(FIRING,))], {"state": "inactive"}, "fail", "A is firing, expected"),
        ([api_rule("A", ago=3600)], {"labels": {"severity": "high"}}, "pass", ""),
        ([api_rule("A", health="unknown"), api_rule("A", alerts=({**FIRING, "state": "pending"},))],
         {"state": ["inactive", "pending"]}, "error", "A has not been evaluated yet"),
        # A label that no alert has would leave nothing to look at, and nothing is inactive.
        ([api_rule("A", alerts=(FIRING,))], {"state": "inactive", "labels": {"team": "x"}}, "fail", "has a label team"),
        ([api_rule("A", alerts=(FIRING,))], {"state": "inactive", "labels": {"team": "x"}, "no_data": True}, "fail",
         "no alert of A has a label team; they have alertname, job, severity"),
        ([api_rule("A", alerts=(FIRING,))], {"state": ["inactive", "pending"], "labels": {"team": {"matches": "x"}}},
         "fail", "has a label team"),
        ([api_rule("A", alerts=(FIRING,))], {"state": "inactive", "labels": {"team": ""}}, "fail", "A is firing"),
        ([api_rule("A", alerts=(FIRING,), labels={"team": "y"})], {"state": "inactive", "labels": {"team": "x"}},
         "fail", "label team: expected"),
    ],
)  # fmt: skip
def test_an_alert_that_is_not_known_to_be_quiet(
    rules: list[dict[str, Any]], fields: dict[str, Any], status: str, message: str
) -> None:
    """An evaluation of long ago says nothing of now, and a label that no alert has selects none."""
    with answering("rules", groups=[{"name": "g", "interval": 30, "rules": rules}]) as web:
        made = ask("alert", urls={"prometheus": web.url}, target="prometheus", name="A", **fields)
    assert (made.status, message) == (status, message if message in str(made.message) else str(made.message))


def api_target(pool: str, health: str = "up", *, ago: float = 0.0, **labels: str) -> dict[str, Any]:
    """Return a scrape target as Prometheus' API lists it."""
    last = "0001-01-01T00:00:00Z" if health == "unknown" else ago
    return {"scrapePool": pool, "scrapeUrl": f"http://{pool}/", "health": health, "lastScrape": last,
            "scrapeInterval": "15s", "labels": labels}  # fmt: skip


@pytest.mark.parametrize(
    ("targets", "fields", "status", "message"),
    [
        ([api_target("a", job="a")], {}, "pass", "1 active targets are up"),
        ([api_target("a", job="a", ago=3600)], {}, "fail", "is up, but was last scraped 60 min"),
        ([api_target("a", "down", job="a", ago=3600)], {"health": "down"}, "fail", "is down, but was last scraped"),
        ([api_target("a", "unknown", job="a")], {}, "fail", "is unknown, expected"),
        ([api_target("a", "unknown", job="a")], {"health": {"not": "down"}}, "fail", "was not scraped yet"),
        ([api_target("a", "unknown", job="a")], {"health": {"matches": "u.*"}}, "fail", "was not scraped yet"),
        ([api_target("a", "unknown", job="a")], {"health": "unknown"}, "pass", ""),
        ([api_target("a", "unknown", job="a")], {"health": ["up", "unknown"]}, "pass", ""),
        # Several pools may have one job label, and one pool several.
        ([api_target("m/a/0", job="a"), api_target("m/a/1", job="a")], {"count": 2}, "pass", "2 active targets are up"),
        (
            [api_target("m/a/0", job="a"), api_target("m/a/1", "down", job="a")],
            {},
            "fail",
            "http://m/a/1/ of a is down",
        ),
        ([api_target("a", job="x"), api_target("a", "down", job="y")], {}, "fail", "is down"),
        ([api_target("m/a/0", job="b")], {}, "fail", "its jobs are b"),
    ],
)
def test_targets_of_a_job(targets: list[dict[str, Any]], fields: dict[str, Any], status: str, message: str) -> None:
    """Every target of every pool of the job counts, and only what was scraped in time is known."""
    with answering("targets", activeTargets=targets) as web:
        made = ask("scrape_target", urls={"prometheus": web.url}, target="prometheus", job="a", **fields)
    assert (made.status, message) == (status, message if message in str(made.message) else str(made.message))


@pytest.mark.parametrize(
    ("groups", "status", "message"),
    [
        ([("a.yml", [api_rule("A")]), ("b.yml", [api_rule("B")])], "pass", "2 groups with 2 rules are loaded"),
        ([("a.yml", [api_rule("A")]), ("b.yml", [api_rule("B", health="err", lastError="many-to-many")])], "fail",
         "g of b.yml: B can't be evaluated: many-to-many"),
        ([("a.yml", [api_rule("A", ago=3600)])], "fail", "A was last evaluated 60 min"),
        ([("a.yml", [])], "fail", "The group g is not loaded, or has no rules"),
        ([], "fail", "The group g is not loaded"),
    ],
)  # fmt: skip
def test_groups_of_one_name(groups: list[tuple[str, list[dict[str, Any]]]], status: str, message: str) -> None:
    """Every group of the name is looked at, whatever file it is from."""
    listed = [{"name": "g", "file": file, "interval": 30, "rules": rules} for file, rules in groups]
    with answering("rules", groups=listed) as web:
        made = ask("loaded_rules", urls={"prometheus": web.url}, target="prometheus", groups=["g"])
    assert (made.status, message) == (status, message if message in str(made.message) else str(made.message))
