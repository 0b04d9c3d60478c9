"""A retry that cannot change the outcome is not made, whatever the check."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from gate.checks.attempts import run_check
from gate.checks.base import Check
from gate.checks.context import CheckContext
from gate.checks.entry import CheckEntry
from gate.core.messages import msg
from gate.model import Outcome, Status
from tests.support.checks import check, context
from tests.support.services import Service, prometheus_running
from tests.support.web import serving


def patiently(asked: Check[Any], around: CheckContext) -> Outcome:
    """Ask with a `within` that would outlast any test."""
    return run_check(CheckEntry(check=asked, within=600.0), around)


@pytest.fixture(scope="module")
def running() -> Iterator[Service]:
    """Start a Prometheus that scrapes nothing."""
    with prometheus_running("global: {scrape_interval: 1s}") as service:
        yield service


@pytest.mark.parametrize("query", ["up[5m]", '"text"', "sum_over_time(up[1m + 1m])", "mad_over_time(up[1m])"])
def test_a_query_that_is_wrong(running: Service, query: str) -> None:
    """A query that Prometheus can't parse, or whose result is a matrix or a string, is asked once."""
    outcome = patiently(check("promql", target="prometheus", query=query, empty=False), context(prometheus=running.url))
    assert (outcome.status, outcome.evidence.attempts) == (Status.ERROR, 1), outcome.message


def test_a_prometheus_that_may_come_up() -> None:
    """A Prometheus that does not answer yet is asked again."""
    scalar = b'{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}'
    answers = [b"HTTP/1.1 503 Busy\r\n\r\nstarting", b"HTTP/1.1 200 OK\r\n\r\n" + scalar]
    with serving({"/api/v1/query": lambda connection: connection.sendall(answers.pop(0))}) as web:
        asked = check("promql", target="prometheus", query="1", empty=False)
        outcome = run_check(CheckEntry(check=asked, within=60.0), context(limit=60.0, prometheus=web.url))
    assert (outcome.status, outcome.evidence.attempts) == (Status.PASS, 2)


@pytest.mark.parametrize(
    ("kind", "fields", "status"),
    [
        ("http", {"status": 200}, Status.FAIL),
        ("tcp", {}, Status.FAIL),
        ("metrics", {"valid": True}, Status.FAIL),
        ("promql", {"query": "up", "empty": False}, Status.ERROR),
        ("alert", {"name": "A", "state": "firing"}, Status.ERROR),
        ("loaded_rules", {"groups": ["g"]}, Status.ERROR),
        ("scrape_target", {"job": "j"}, Status.ERROR),
        ("traceability", {"file": "*.yml"}, Status.ERROR),
    ],
)
def test_a_target_that_was_never_there(kind: str, fields: dict[str, Any], status: Status, tmp_path: Path) -> None:
    """A target that was not found or started is not waited for, and what answers at its address is not asked."""
    with serving({}) as web:
        around = context(tmp_path, api=web.url)
        gone = structs.replace(around.targets["api"], located=False, failure=msg("it has exited with 1"))
        around = structs.replace(around, targets={"api": gone})
        outcome = patiently(check(kind, target="api", **fields), around)
        asked = list(web.requests)
    expected = (status, 1, "api is not ready: it has exited with 1", [])
    assert (outcome.status, outcome.evidence.attempts, str(outcome.message), asked) == expected


@pytest.mark.parametrize("kind", ["http", "metrics", "promql"])
def test_a_target_to_which_the_checklist_gives_no_url(kind: str) -> None:
    """A target without a URL will not get one."""
    fields: dict[str, Any] = {
        "http": {"status": 200},
        "metrics": {"valid": True},
        "promql": {"query": "up", "empty": False},
    }
    outcome = patiently(check(kind, target="api", **fields[kind]), context(api=""))
    assert (outcome.status, outcome.evidence.attempts) == (Status.ERROR, 1)
