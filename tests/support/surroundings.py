"""What the example checklists talk to: a sane API, hostile services, a Prometheus, ports where nobody listens.

A checklist names them as variables, `${API_URL}`; only what it names is started.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.amtools import ALERTMANAGER
from tests.support.paths import ROOT
from tests.support.services import free_port, postgres_running, prometheus_running, redis_running
from tests.support.web import Raw, Reply, Web, make_authority, reset, send, trickle

CHECKOUT = ROOT / "tests" / "checks" / "_checkout"
EXPOSITION = """\
# HELP api_requests_total Requests.
# TYPE api_requests_total counter
api_requests_total{code="200"} 12
api_requests_total{code="500"} 0
# HELP api_pool_open Open connections.
# TYPE api_pool_open gauge
api_pool_open 3
# HELP api_duration_seconds How long requests took.
# TYPE api_duration_seconds histogram
api_duration_seconds_bucket{le="0.1"} 10
api_duration_seconds_bucket{le="+Inf"} 12
api_duration_seconds_sum 0.9
api_duration_seconds_count 12
"""
_JSON = {"Content-Type": "application/json"}
API: Mapping[str, Reply | Raw] = {
    "/live": Reply(200, '{"status": "alive"}', _JSON),
    "/readyz": Reply(200, '{"status": "ready", "checks": {"database": {"status": "ok"}}}', _JSON),
    "/not-ready": Reply(503, '{"status": "not_ready", "checks": {"database": {"status": "error"}}}', _JSON),
    "/metrics": Reply(200, EXPOSITION, {"Content-Type": "text/plain; version=0.0.4"}),
    "/bare-metrics": Reply(200, EXPOSITION),
    "/broken-metrics": Reply(200, EXPOSITION + "api_pool_open{ 4\n", {"Content-Type": "text/plain; version=0.0.4"}),
    "/page": Reply(200, "<h1>Hello</h1>", {"Content-Type": "text/html"}),
    "/old": Reply(302, headers={"Location": "/readyz"}),
    "/slow": Reply(200, "at last", delay=0.3),
}
HOSTILE: Mapping[str, Reply | Raw] = {
    "/trickle": trickle(b"HTTP/1.1 200 OK\r\n\r\n"),
    "/endless-header": trickle(b"HTTP/1.1 200 OK\r\n", b"X"),
    "/endless": trickle(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536, every=0, times=10**9),
    "/reset": reset(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"),
    "/silent": send(b""),
    "/garbage": send(b"\x00\xff\x16 garbage\r\n\r\n"),
    "/nan": Reply(200, '{"value": NaN}', _JSON),
    "/deep": Reply(200, "[" * 100_000, _JSON),
}


@contextmanager
def surroundings(text: str, folder: Path) -> Iterator[dict[str, str]]:
    """Provide the variables that a checklist names, for as long as what they name runs.

    `folder` becomes a checkout.
    """
    shutil.copytree(CHECKOUT, folder, dirs_exist_ok=True)
    wanted = set(re.findall(r"\$\{([A-Z_]+)", text))
    with ExitStack() as stack:
        found: dict[str, str] = {}
        for name, start in _KNOWN.items():
            if name in wanted or (name == "API_URL" and "PROMETHEUS_URL" in wanted):
                found[name] = start(stack, folder, found)
        assert wanted - found.keys() == set()
        yield found


def environment(home: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """Return a scrubbed environment with these variables, and a home of its own."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT), **variables}


Start = Callable[[ExitStack, Path, Mapping[str, str]], str]


def _web(routes: Mapping[str, Reply | Raw]) -> Start:
    def start(stack: ExitStack, folder: Path, found: Mapping[str, str]) -> str:
        web = Web(routes)
        web.start()
        stack.callback(web.stop)
        return web.url

    return start


def _tls(stack: ExitStack, folder: Path, found: Mapping[str, str]) -> str:
    """Return a server whose authority is `certificates/ca.pem` of the checkout."""
    (folder / "certificates").mkdir(exist_ok=True)
    authority = make_authority(folder / "certificates")
    web = Web(API, tls=authority.context())
    web.start()
    stack.callback(web.stop)
    return web.url


def _prometheus(stack: ExitStack, folder: Path, found: Mapping[str, str]) -> str:
    """Return a Prometheus with the checkout's own configuration and rules; its job `api` is the real one."""
    ops = folder / "ops" / "prometheus"
    config = (ops / "prometheus.yml").read_text().replace("api:8080", found["API_URL"].removeprefix("http://"))
    return stack.enter_context(prometheus_running(config, alerts__yml=(ops / "alerts.yml").read_text())).url


_KNOWN: Mapping[str, Start] = {
    "API_URL": _web(API),
    "HOSTILE_URL": _web(HOSTILE),
    "HOSTILE_PORT": lambda stack, folder, found: found["HOSTILE_URL"].rpartition(":")[2],
    "TLS_URL": _tls,
    "CLOSED_URL": lambda stack, folder, found: f"http://127.0.0.1:{free_port()}",
    "CLOSED_PORT": lambda stack, folder, found: str(free_port()),
    "PROMETHEUS_URL": _prometheus,
    "ALERTMANAGER": lambda stack, folder, found: str(ALERTMANAGER),
    "ALERTMANAGER_PORT": lambda stack, folder, found: str(free_port()),
    "DATABASE_PORT": lambda stack, folder, found: str(stack.enter_context(postgres_running()).port),
    "REDIS_PORT": lambda stack, folder, found: str(stack.enter_context(redis_running()).port),
    "FREE_PORT": lambda stack, folder, found: str(free_port()),
    "API_PORT": lambda stack, folder, found: str(free_port()),
    "DEPENDENT": lambda stack, folder, found: str(ROOT / "tests" / "support" / "dependent.py"),
    "PYTHON": lambda stack, folder, found: sys.executable,
}
