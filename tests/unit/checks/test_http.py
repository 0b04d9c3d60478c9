"""The check `http`."""

from __future__ import annotations

import shlex
import socket
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gate.checks.base import ObservationError
from gate.checks.http import Observation
from gate.core.messages import msg
from gate.decode.structs import ValidationError
from gate.http.errors import HttpError
from gate.http.models import Response, Timings
from gate.model import Status
from tests.support.checks import check, context
from tests.support.web import Reply, Request, make_authority, send, serving, trickle

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()
CERTIFICATE = {"notAfter": "Jan 11 12:00:00 2026 GMT"}


def response(
    body: str = "", status: int = 200, *, duration: float = 0.012, truncated: bool = False, **more: Any
) -> Observation:
    """Return the observation of a response."""
    headers = (("Content-Type", more.pop("kind", "application/json")), ("X-Two", "a"), ("x-two", "b"))
    made = Response("http://api/", status, "Because", "HTTP/1.1", headers, body.encode(), truncated,
                  Timings(first_byte=duration, body=0.0), **more)  # fmt: skip
    return Observation(made, now=NOON)


JUDGED = [
    ({"status": 200}, response(), Status.PASS, "Answered 200 in 12 ms; as expected: status"),
    ({"status": [200, 204]}, response(status=503), Status.FAIL,
     "status: expected 200 or 204, got 503 (the body is empty)"),
    ({"status": 200}, response("no\n database", 503), Status.FAIL,
     "status: expected 200, got 503 (the body begins with: no database)"),
    ({"status": 200}, response("x" * 999, 503), Status.FAIL,
     f"status: expected 200, got 503 (the body begins with: {'x' * 200}...)"),
    ({"header": {"content-type": {"contains": "json"}}}, response("{}"), Status.PASS, None),
    ({"header": {"X-Two": "a, b"}}, response("{}"), Status.PASS, None),
    ({"header": {"X-None": "a"}}, response("{}"), Status.FAIL,
     'X-None: expected "a", got nothing (the body begins with: {})'),
    ({"header": {"X-None": {"not": "a"}}}, response("{}"), Status.FAIL, None),
    ({"text": {"contains": "rea"}}, response("ready"), Status.PASS, None),
    ({"text": "ready"}, response("ready\n"), Status.FAIL, None),
    ({"json": {"status": "ready"}}, response('{"status": "ready", "x": 1}'), Status.PASS, None),
    ({"json": {"a": {"b": 1}}}, response('{"a": {"b": 2}}'), Status.FAIL,
     'json.a.b: expected 1, got 2 (the body begins with: {"a": {"b": 2}})'),
    ({"json": {"a": 1}}, response("<html>"), Status.FAIL, None),
    ({"json": {"a": {"gt": 0}}}, response('{"a": NaN}'), Status.FAIL, None),
    ({"json": {"a": 1}}, response("[" * 99999), Status.FAIL, None),
    ({"json": {"a": {"gt": 0}}}, response('{"a": ' + "9" * 9999 + "}"), Status.PASS, None),
    ({"json": {"a": "b"}}, response('{"a": "\\ud800"}'), Status.FAIL, None),
    ({"json": [1, 2]}, response("2"), Status.PASS, None),
    ({"latency": "500ms"}, response(duration=0.4), Status.PASS, None),
    ({"latency": "500ms"}, response("slow", duration=0.6), Status.FAIL,
     "latency: expected at most 0.5 s, got 0.6 s (the body begins with: slow)"),
    ({"latency": {"ge": "1s"}}, response(duration=0.6), Status.FAIL, None),
    ({"status": 200}, response(truncated=True), Status.PASS, None),
    ({"text": {"not": {"contains": "x"}}}, response("y", truncated=True), Status.ERROR,
     "The body is larger than 1.0 MiB and can't be judged"),
    ({"text": {"not": {"contains": "x"}}}, response(unread=msg("it is packed")), Status.ERROR, "it is packed"),
    ({"json": {"not": {"a": 1}}}, response(unread=msg("it is packed")), Status.ERROR, "it is packed"),
    ({"status": 200}, response(unread=msg("it is packed")), Status.PASS, None),
    ({"status": 200}, Observation(None, HttpError("connect", msg("refused"))), Status.FAIL,
     "The connection failed: refused"),
    ({"tls": {"expires_in": "9d"}}, response(certificate=CERTIFICATE), Status.PASS, None),
    ({"tls": {"expires_in": "11d"}}, response(certificate=CERTIFICATE), Status.FAIL,
     "The certificate ends on Jan 11 12:00:00 2026 GMT, expected it to last 11 d more (the body is empty)"),
    ({"tls": {"expires_in": "1d"}}, response(), Status.FAIL,
     "No certificate: the response came without TLS (the body is empty)"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "observation", "status", "message"), JUDGED)
def test_judgement(fields: dict[str, Any], observation: Observation, status: Status, message: str | None) -> None:
    """What is said of an answer, or of none."""
    judged = check("http", url="http://api", **fields).judge(observation)
    assert judged.status is status
    assert message in (None, str(judged.message))


def test_all_that_is_wrong_is_said() -> None:
    """Every expectation that is not met is named at once."""
    judged = check("http", url="http://api", status=200, text="a", latency="1ms").judge(response("b", 503))
    assert [part in str(judged.message) for part in ("status:", "text:", "latency:")] == [True, True, True]


def test_the_evidence() -> None:
    """The evidence has the status, the headers and the beginning of the body."""
    judged = check("http", url="http://api", status=200).judge(response("line one\n" + "x" * 9999, 503))
    assert judged.response.startswith("HTTP/1.1 503 Because\nContent-Type: application/json\nX-Two: a\n")
    assert "\n\nline one\n" in judged.response
    assert len(judged.response) < 5000


def judge(seen_by: Any, **fields: Any) -> Any:
    """Return the result of a check of a real response."""
    made = check("http", **fields)
    return made.judge(made.observe(seen_by))


def test_a_real_answer() -> None:
    """A target's path is asked, with what is to be sent."""
    with serving({"/base/readyz": Reply(200, '{"status": "ready"}')}) as web:
        sent = {"method": "POST", "headers": {"X-One": 1}, "body": {"a": [1]}}
        judged = judge(context(api=f"{web.url}/base/"), target="api", path="readyz", json={"status": "ready"}, **sent)
        (got,) = web.requests
    assert judged.status is Status.PASS
    assert (got.method, got.body, got.headers["x-one"]) == ("POST", b'{"a": [1]}', "1")
    assert got.headers["content-type"] == "application/json"


def test_unreachable_is_a_fail() -> None:
    """An address where nobody listens is a FAIL: that is what was asked."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    judged = judge(context(api=f"http://127.0.0.1:{port}"), target="api", path="/", status=200)
    assert (judged.status, str(judged.message)) == (Status.FAIL, "The connection failed: Connection refused")


def test_a_target_without_an_address() -> None:
    """A target that has no URL could not be asked."""
    with pytest.raises(ObservationError, match="api has no URL"):
        judge(context(api=""), target="api", status=200)


@pytest.mark.parametrize("route", [trickle(b"HTTP/1.1 200 OK\r\n\r\n"), send(b"\xff\xfe\x00"), Reply(200, delay=5)])
def test_hostile_services(route: Any) -> None:
    """A service that does not answer in whole is a FAIL, in time."""
    with serving({"/": route}) as web:
        judged = judge(context(limit=0.5), url=f"{web.url}/", status=200)
    assert judged.status is Status.FAIL


def test_an_endless_body_under_a_limit() -> None:
    """A status can be judged whatever the length of the body."""
    endless = trickle(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536, every=0, times=10**9)
    with serving({"/": endless}) as web:
        assert judge(context(), url=f"{web.url}/", status=200).status is Status.PASS


def test_certificates(tmp_path: Path) -> None:
    """A certificate of the given authority is trusted, and lasts as long as it does."""
    authority = make_authority(tmp_path)
    with serving({"/": Reply()}, tls=authority.context()) as web:
        near = {"ca": "ca.pem", "expires_in": "30d"}
        assert judge(context(tmp_path), url=web.url, path="/", tls=near).status is Status.PASS
        far = {"ca": "ca.pem", "expires_in": "100d"}
        assert judge(context(tmp_path), url=web.url, path="/", tls=far).status is Status.FAIL
        assert judge(context(tmp_path), url=web.url, path="/", status=200).status is Status.FAIL
        assert judge(context(tmp_path), url=web.url, path="/", status=200, tls={"verify": False}).status is Status.PASS
        with pytest.raises(ObservationError, match=r"none\.pem does not exist"):
            judge(context(tmp_path), url=web.url, status=200, tls={"ca": "none.pem"})


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"target": "a", "url": "http://b"},
        {"url": "ftp://b"},
        {"url": "http://b", "method": "get"},
        {"url": "http://b", "headers": {"A B": "c"}},
        {"url": "http://b", "headers": {"A": "b\r\nC: d"}},
        {"url": "http://b", "latency": 5},
        {"url": "http://b", "latency": {"gt": 5}},
        {"url": "http://b", "tls": {"verify": False, "expires_in": "1d"}},
        {"url": "http://b", "tls": {"ca": "/etc/ca.pem"}},
        {"url": "http://b", "limit": "0B"},
        {"url": "http://b", "redirects": 100},
        {"url": "http://b", "json_": 1},
        {"url": "http://b", "status": 42},
        {"url": "http://b", "body": None},
        {"url": "http://b", "header": {}},
        {"url": "http://b", "tls": {}},
    ],
)
def test_errors_of_the_checklist(fields: dict[str, Any]) -> None:
    """What can't be asked is an error when loaded."""
    with pytest.raises(ValidationError):
        check("http", **fields)


@pytest.mark.parametrize(
    ("fields", "meant"),
    [
        ({"body": {"contains": "ok"}}, "'text'"),
        ({"body": "ok"}, "'text'"),
        ({"body": {"status": "ok"}}, "'json'"),
        ({"body": {"matches": "ok"}, "method": "GET"}, "'text'"),
        ({"body": {"not": "ok"}, "method": "HEAD"}, "'text'"),
        ({"headers": {"Server": "nginx"}}, "'header: {Server: ...}'"),
        ({"headers": {"set-cookie": "a=b"}, "method": "POST", "body": "x"}, "'header: {set-cookie: ...}'"),
        ({"headers": {"Content-Type": "text/html"}}, "'header: {Content-Type: ...}'"),
        ({"headers": {"X-A": {"contains": "b"}}}, "'header'"),
    ],
)
def test_what_is_sent_for_what_is_expected(fields: dict[str, Any], meant: str) -> None:
    """A key that is sent, with what can only be expected, is an error that names the key that is meant."""
    with pytest.raises(ValidationError, match="did you mean") as caught:
        check("http", url="http://b", status=200, **fields)
    assert meant in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"body": {"contains": "ok"}, "method": "POST"},
        {"body": {"query": 1}, "method": "GET"},
        {"headers": {"Content-Type": "text/plain"}, "method": "DELETE"},
        {"headers": {"Accept": "text/plain", "Cache-Control": "no-cache", "X-Request-Id": "1"}},
        {"body": "", "method": "POST", "headers": {"Content-Type": "text/plain"}},
    ],
)
def test_what_may_be_sent(fields: dict[str, Any]) -> None:
    """A method that is written is meant, and so are headers that requests have."""
    assert check("http", url="http://b", status=200, **fields).kind == "http"


def test_no_expectation() -> None:
    """An address alone expects nothing."""
    assert check("http", url="http://a").missing_expectation() is not None
    assert check("http", url="http://a", json=0).missing_expectation() is None


REPRODUCED: list[dict[str, Any]] = [
    {},
    {"method": "DELETE"},
    {"method": "POST", "body": "it's"},
    {"method": "PUT", "body": {"a": 1}},
    {"headers": {"X-One": 'a "b"', "Accept": "text/html"}},
    {"path": "/a b?q=é&r=1"},
]


@pytest.mark.parametrize("fields", REPRODUCED)
def test_reproduction(fields: dict[str, Any]) -> None:
    """The curl of the evidence sends the same request, but for the headers that each program adds by itself."""
    path = str(fields.get("path", "/")).partition("?")[0].replace(" ", "%20")
    with serving({path: Reply(200, "x")}) as web:
        made = check("http", url=web.url, status=200, **{"path": "/", **fields})
        made.observe(context())
        words = shlex.split(made.reproduce_command(context()))
        if " " in words[-1]:
            words[-1] = words[-1].replace(" ", "%20")
        subprocess.run(words, check=True, capture_output=True)
        one, other = web.requests
    assert (one.method, one.body) == (other.method, other.body)
    assert _sent(one, fields) == _sent(other, fields)


def _sent(got: Request, fields: dict[str, Any]) -> dict[str, str]:
    wanted = {name.lower() for name in fields.get("headers", {})}
    if isinstance(fields.get("body"), dict):
        wanted.add("content-type")
    return {name: value for name, value in got.headers.items() if name in wanted}


def test_json_beyond_what_is_read() -> None:
    """JSON that would not fit into memory is an ERROR, also where `limit` lets it in; its status can be judged."""
    with serving({"/": Reply(200, b"[" + b"1," * 9_000_000 + b"1]", {"Content-Type": "application/json"})}) as web:
        fields = {"url": web.url, "limit": "64MiB"}
        for more, status in (({"json": [1]}, Status.ERROR), ({"status": 200}, Status.PASS)):
            made = check("http", **fields, **more)
            assert made.judge(made.observe(context())).status is status
