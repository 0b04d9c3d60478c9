"""What users get during a drill: requests at their rate, errors and latency by phase, and limits that can fail."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gate.core.messages import msg
from gate.decode.structs import ValidationError, decode_all_errors
from gate.drills.spec import Traffic
from gate.drills.traffic import RequestLog, TrafficGenerator
from gate.drills.workload import PhaseTimes
from gate.matchers import ShareMatcher
from gate.model import Status
from tests.support.checks import context
from tests.support.web import Raw, Reply, Web


def traffic(**fields: Any) -> Traffic:
    """Return traffic as a checklist has it."""
    return decode_all_errors({"target": "api", **fields}, Traffic)


def send(web_url: str, seconds: float = 0.5, **fields: Any) -> TrafficGenerator:
    """Send for some seconds and wait for the last response."""
    generator = TrafficGenerator(traffic(**fields), context(Path(), api=web_url))
    generator.start()
    time.sleep(seconds)
    generator.stop()
    return generator


def statuses(generator: TrafficGenerator, times: PhaseTimes) -> list[Status]:
    """Return the status of each phase's row."""
    return [row.status for row in generator.end(times).rows[1:]]


@pytest.fixture
def serve(request: pytest.FixtureRequest) -> Callable[..., Web]:
    """Start servers that are stopped at the end of the test."""

    def start(reply: Reply | Raw) -> Web:
        web = Web({"/": reply})
        web.start()
        request.addfinalizer(web.stop)
        return web

    return start


@pytest.mark.parametrize(
    ("reply", "fields", "reason"),
    [
        (Reply(200), {}, None),
        (Reply(404), {}, None),
        (Reply(500), {}, "status 500"),
        (Reply(503), {"status": 503}, None),
        (Reply(200), {"status": 201}, "status 200"),
        (Reply(404), {"status": [200, 204]}, "status 404"),
        (lambda connection: None, {}, "closed without an answer"),
        (lambda connection: connection.sendall(b"nonsense\r\n\r\n"), {}, "not valid HTTP"),
        (Reply(200, delay=1.0), {"timeout": "200ms"}, "no response within 0.2 s"),
    ],
)
def test_error_is_no_response_a_5xx_or_another_status(
    serve: Callable[..., Web], reply: Any, fields: dict[str, Any], reason: str | None
) -> None:
    """A request fails without a response, with a 5xx, or with a status that was not asked for."""
    window = send(serve(reply).url, rate=20, **fields).log.done_before(math.inf)
    assert window.count > 1
    assert window.errors == (0 if reason is None else window.count)
    assert reason is None or reason in str(window.summary())


def test_refused_connection_is_an_error_without_a_latency() -> None:
    """A connection that is refused at once must not make the percentiles look fast."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    window = send(f"http://127.0.0.1:{port}", rate=20).log.done_before(math.inf)
    assert (window.error_share, window.latencies) == (1.0, [])
    limits = traffic(latency={"p95": "1s"}).limits("during")
    assert "no request got a response" in str(window.violations(*limits)[0])


def test_waiting_counts_from_when_a_request_was_due(serve: Callable[..., Web]) -> None:
    """A server that stalls does not slow the sender, and every request that was due meanwhile has waited."""
    lock, stalls = threading.Lock(), [1.5]

    def one_at_a_time(connection: socket.socket) -> None:
        with lock:
            time.sleep(stalls.pop() if stalls else 0.0)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    generator = send(serve(one_at_a_time).url, 2.0, rate=50, errors=0)
    window = generator.log.done_before(math.inf)
    assert window.errors == 0
    assert generator.sent >= 95
    # a closed loop would have seen one slow request of all; here those due during the stall are slow
    assert sum(latency > 0.3 for latency in window.latencies) > 40
    assert window.percentile("p50") > 0.3


def test_a_request_counts_in_the_phase_that_it_overlaps() -> None:
    """A request that was under way when the fault came belongs to the fault, not to the time before."""
    log = RequestLog()
    for due, seconds, failure in ((0, 0.5, None), (1, 5, "reset"), (3, 0.1, "refused"), (6, 0.1, None), (9, 0.1, None)):
        log.add(due, seconds, msg("{why}", why=failure) if failure else None, timed=failure != "refused")
    assert (log.done_before(2.0).count, log.done_before(2.0).errors) == (1, 0)
    assert (log.window(2.0, 8.0).count, log.window(2.0, 8.0).errors) == (3, 2)
    assert (log.due_from(8.0).count, log.due_from(8.0).errors) == (1, 0)
    errors, latencies = log.curves(2.0)
    assert (errors[0], errors[1][1], latencies[-1]) == ((-2.0, 0.0), 100.0, (7.0, 100.0))


@pytest.mark.parametrize(("name", "expected"), [("p50", 10), ("p95", 19), ("p99", 20), ("p99.9", 20), ("max", 20)])
def test_percentile_is_that_of_the_nearest_rank(name: str, expected: int) -> None:
    """The percentile of few requests is the next slower one, never an interpolation."""
    log = RequestLog()
    for number in range(20, 0, -1):
        log.add(float(number), float(number), None, timed=True)
    assert log.done_before(math.inf).percentile(name) == expected


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, [Status.SKIP, Status.SKIP, Status.SKIP]),
        ({"errors": {"lt": "1%"}}, [Status.PASS, Status.FAIL, Status.PASS]),
        ({"errors": {"lt": "60%"}}, [Status.PASS, Status.PASS, Status.PASS]),
        ({"errors": 0, "during": {"errors": {"le": "50%"}}}, [Status.PASS, Status.PASS, Status.PASS]),
        ({"after": {"latency": {"p50": "1ms"}}}, [Status.SKIP, Status.SKIP, Status.FAIL]),
        ({"latency": {"p95": "1s"}, "before": {"errors": 0}}, [Status.PASS, Status.FAIL, Status.PASS]),
    ],
    ids=str,
)
def test_limits_are_judged_by_phase(serve: Callable[..., Web], fields: dict[str, Any], wanted: list[Status]) -> None:
    """Before, during and after: half of the requests fail during the fault, and the others take two seconds."""
    generator = send(serve(Reply(200)).url, 0.1, rate=20, **fields)
    generator.log = RequestLog()
    for due, seconds, failure in ((0, 0.1, None), (3, 2, None), (4, 0, "reset"), (9, 0.1, None)):
        generator.log.add(due, seconds, msg("{why}", why=failure) if failure else None, timed=not failure)
    assert statuses(generator, PhaseTimes(2.0, 8.0)) == wanted


def test_phase_without_requests_is_not_passed(serve: Callable[..., Web]) -> None:
    """Unverified is not passed: an ERROR; a phase that was not reached is a SKIP of a drill that has failed already."""
    generator = send(serve(Reply(200)).url, 0.3, rate=20, errors=0)
    assert statuses(generator, PhaseTimes(0.0, None)) == [Status.ERROR, Status.PASS, Status.SKIP]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"errors": 5}, "expected a share"),
        ({"errors": "200%"}, "at most 100%"),
        ({"errors": {"lt": 0}}, "no share"),
        ({"errors": {"le": "100%"}}, "every share"),
        ({"errors": None}, "errors"),
        ({"latency": {}}, "p95: 300ms"),
        ({"latency": {"p96": "1s"}}, "p95"),
        ({"latency": {"p95": 300}}, "unit"),
        ({"latency": "300ms"}, "latency"),
        ({"during": {}}, "errors"),
        ({"rate": 201}, "at most 200"),
        ({"body": "x"}, "method"),
        ({"headers": {"Etag": "x"}}, "header"),
    ],
    ids=str,
)
def test_limit_that_means_nothing_is_an_error(fields: dict[str, Any], why: str) -> None:
    """A limit that always or never holds, or has no unit, is an error of the checklist."""
    with pytest.raises(ValidationError) as error:
        traffic(**fields)
    assert why in "; ".join(f"{issue.path} {issue.text}" for issue in error.value.issues)


@pytest.mark.parametrize(
    ("spec", "share", "holds"),
    [(0, 0.0, True), (0, 0.001, False), ("1%", 0.01, True), ("1%", 0.011, False), ({"lt": "1%"}, 0.01, False)],
)
def test_share_alone_is_a_maximum(spec: Any, share: float, holds: bool) -> None:
    """A share without an operator, and 0, are what there may be at most."""
    assert ShareMatcher(spec).matches(share) is holds
