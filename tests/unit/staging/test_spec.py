"""The language of targets: what goes together, what a target depends on, and the ports that the system assigns."""

from __future__ import annotations

from typing import Any

import pytest

from gate.decode.structs import ValidationError, decode_all_errors
from gate.staging.environment import assign_ports
from gate.staging.spec import Target

PROCESS = {"start": {"command": "serve"}}
MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({"port": 1}, "expected a 'url', a 'container', a 'service' or a 'start'"),
    "two places": ({"service": "a", "container": "a"}, "expected one of 'container' and 'service', got both"),
    "a service that is started": ({"service": "a", **PROCESS}, "expected one of 'service' and 'start', got both"),
    "a replica of nothing": ({"container": "a", "replica": 1}, "expected a 'service' beside 'replica'"),
    "a URL that ends": ({"url": "http://a", "once": True}, "expected a 'start' or a 'service' beside 'once'"),
    "an end with a port": ({**PROCESS, "once": True, "ready": {"tcp": 1}}, "no 'path' and no 'tcp' under 'ready'"),
    "ready without a port": ({**PROCESS, "ready": {"within": "1s"}}, "expected a 'path' or a 'tcp' under 'ready'"),
    "two ways of being ready": ({**PROCESS, "ready": {"tcp": 1, "path": "/"}}, "expected one of 'path' and 'tcp'"),
    "a port of a container": ({"start": {"image": "a"}, "port": "auto"}, "beside a port that is 'auto'"),
    "a port beside a URL": ({**PROCESS, "url": "http://a:1", "port": "auto"}, "beside a port that is 'auto'"),
    "a folder of a container": ({"start": {"image": "a", "cwd": "b"}}, "expected a process beside 'cwd'"),
    "a folder outside": ({"start": {"command": "a", "cwd": "../b"}}, "expected a path inside the checkout"),
    "no port": ({**PROCESS, "port": "any"}, "expected"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name: str) -> None:
    """What does not go together is an error that says what was expected."""
    target, expected = MISTAKES[name]
    with pytest.raises(ValidationError) as caught:
        decode_all_errors(target, Target)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    "target",
    [
        {"service": "a"},
        {"service": "a", "replica": 2, "ready": {"within": "1m"}},
        {"service": "a", "once": True},
        {**PROCESS, "once": True, "ready": {"within": "1m"}},
        {**PROCESS, "port": "auto", "listen": "auto", "ready": {"within": "1m"}},
        {"start": {"command": "a", "cwd": "b", "user": "c", "env_file": "d.env", "stop_signal": "INT"}},
        {"start": {"image": "a", "user": "c", "env_file": ["d.env"], "stop_signal": "INT"}},
    ],
)
def test_what_goes_together(target: dict[str, Any]) -> None:
    """These are targets."""
    assert decode_all_errors(target, Target)


def test_dependencies() -> None:
    """A target depends on those that its command and environment refer to, but not on itself."""
    start = {"command": "serve {api.port} {db.host}", "environment": {"CACHE": "{cache.address}"}}
    target = decode_all_errors({"start": start, "after": ["migrate"]}, Target)
    assert target.dependencies("api") == ["migrate", "db", "cache"]


def test_assigned_ports() -> None:
    """Every `auto` becomes another free port; other ports stay."""
    auto = decode_all_errors({**PROCESS, "port": "auto", "listen": "auto"}, Target)
    fixed = decode_all_errors({**PROCESS, "port": 8080}, Target)
    assigned = assign_ports({"a": auto, "b": auto, "c": fixed})
    ports = {port for name in "ab" for port in (assigned[name].port, assigned[name].listen)}
    assert len(ports) == 4
    assert all(isinstance(port, int) for port in ports)
    assert assigned["c"] == fixed
