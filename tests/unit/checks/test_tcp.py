"""The check `tcp`."""

from __future__ import annotations

import socket
import subprocess
from typing import Any

import pytest

from gate.checks.tcp import Observation
from gate.decode.structs import ValidationError
from gate.http.errors import to_http_error
from gate.http.models import Timings
from gate.model import Status
from tests.support.checks import check, context

JUDGED = [
    (Observation("db:5432", 0.002), Status.PASS, "db:5432 accepted a connection in 2 ms"),
    (
        Observation(
            "db:5432", 0.1, to_http_error("connect", ConnectionRefusedError(111, "Connection refused"), Timings())
        ),
        Status.FAIL,
        "db:5432: The connection failed: Connection refused",
    ),
    (
        Observation("db:5432", 10, to_http_error("look-up", TimeoutError(), Timings())),
        Status.FAIL,
        "db:5432: The name look-up failed: there was no time left",
    ),
]


@pytest.mark.parametrize(("observation", "status", "message"), JUDGED)
def test_judgement(observation: Observation, status: Status, message: str) -> None:
    """What is said of a connection."""
    judged = check("tcp", host="db", port=5432).judge(observation)
    assert (judged.status, str(judged.message)) == (status, message)


def test_a_port_that_listens_and_one_that_does_not() -> None:
    """A listening port passes; the same one, closed, fails."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        made = check("tcp", host="127.0.0.1", port=port)
        assert made.judge(made.observe(context())).status is Status.PASS
        assert subprocess.run(made.reproduce_command(context()), shell=True, check=False).returncode == 0
    assert made.judge(made.observe(context())).status is Status.FAIL
    assert (
        subprocess.run(made.reproduce_command(context()), shell=True, capture_output=True, check=False).returncode != 0
    )


def test_the_port_of_a_target() -> None:
    """Without a port, the target's own is asked: that of its URL, or the usual one of its scheme."""
    made = check("tcp", target="api")
    assert made.describe(context(api="http://127.0.0.1:8080/base")) == "tcp://127.0.0.1:8080"
    assert made.describe(context(api="https://api.example")) == "tcp://api.example:443"
    assert check("tcp", target="api", port=99).describe(context(api="http://api:80")) == "tcp://api:99"


NO_PLACES: list[dict[str, Any]] = [
    {},
    {"port": 1},
    {"host": "a"},
    {"host": "a", "port": 0},
    {"host": "a", "port": 70000},
    {"host": "a", "target": "b", "port": 1},
]


@pytest.mark.parametrize("fields", NO_PLACES)
def test_errors_of_the_checklist(fields: dict[str, Any]) -> None:
    """A place that is none, or two, is an error when loaded."""
    with pytest.raises(ValidationError):
        check("tcp", **fields)
