"""Each recipe of docs/recipes is a GO if what it checks is right, and a NO-GO that names the item if it is not."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.services import Service, answers, free_port, postgres_running, prometheus_running
from tests.support.surroundings import environment
from tests.support.web import Reply, Web, make_authority

RECIPES = ROOT / "docs" / "recipes"
ORDERS = """
import http.server, sqlite3, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status = 200
        try:
            if self.path == "/orders":
                sqlite3.connect("shop.db").execute("SELECT id, name FROM orders").fetchall()
        except sqlite3.Error:
            status = 500
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
MIGRATE = """#!/usr/bin/env python3
import sqlite3, sys

database = sqlite3.connect("shop.db")
columns = [row[1] for row in database.execute("PRAGMA table_info(orders)")]
if sys.argv[1] == "up" and "NEW" not in columns:
    database.execute("ALTER TABLE orders UP")
if sys.argv[1] == "down" and "NEW" in columns:
    database.execute("ALTER TABLE orders DOWN")
sys.exit(sys.argv[1] == "is-up" and "NEW" not in columns)
"""
ADDED = {"UP": "ADD COLUMN colour", "DOWN": "DROP COLUMN colour", "NEW": "colour"}
RENAMED = {"UP": "RENAME COLUMN name TO title", "DOWN": "RENAME COLUMN title TO name", "NEW": "title"}
HEADERS = {
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Content-Security-Policy": "default-src 'self'; img-src *",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


def outcomes(folder: Path, *recipes: str, **variables: str) -> tuple[int, dict[str, str]]:
    """Run recipes as one checklist in a folder; return the exit code and the status of each item that did not pass."""
    words = [word for name in recipes for word in ("--file", str(RECIPES / f"{name}.yml"))]
    command = [sys.executable, "-m", "gate", "run", *words]
    done = subprocess.run(
        command, cwd=folder, env=environment(folder, variables), capture_output=True, text=True, check=False
    )
    path = folder / "prodgate-out" / "report.json"
    assert path.exists(), done.stdout + done.stderr
    items = [item for section in json.loads(path.read_text())["sections"] for item in section["items"]]
    return done.returncode, {
        item["id"]: item["outcome"]["status"] for item in items if item["outcome"]["status"] != "pass"
    }


def test_every_recipe_is_run_here() -> None:
    """A recipe that no test runs is not one."""
    text = Path(__file__).read_text()
    names = [path.stem for path in RECIPES.glob("*.yml")]
    assert len(names) >= 7
    assert [name for name in names if f'"{name}"' not in text] == []


@pytest.mark.parametrize(("columns", "expected"), [(ADDED, {}), (RENAMED, {"migration.forward-and-back": "fail"})])
def test_zero_downtime_migration(columns: dict[str, str], expected: dict[str, str], tmp_path: Path) -> None:
    """A column that is added disturbs nobody; one that is renamed under a running service does."""
    with closing(sqlite3.connect(tmp_path / "shop.db")) as database:
        database.execute("CREATE TABLE orders (id, name)")
    script = MIGRATE
    for word, text in columns.items():
        script = script.replace(word, text)
    (tmp_path / "migrate.sh").write_text(script)
    (tmp_path / "migrate.sh").chmod(0o755)
    (tmp_path / "api.py").write_text(ORDERS)
    port = free_port()
    api = Service("orders", port, tmp_path, (sys.executable, "api.py", str(port)))
    api.start()
    try:
        api.wait(lambda: answers(f"{api.url}/live"))
        found = outcomes(tmp_path, "zero-downtime-migration", API_URL=api.url, MIGRATION_LASTS="2s")
    finally:
        api.stop()
    assert found == (1 if expected else 0, expected)


def test_backup_and_restore(tmp_path: Path) -> None:
    """A real backup of a real PostgreSQL is restored; an original that has grown since is noticed."""
    tools = next(Path("/usr/lib/postgresql").glob("*/bin"))
    with postgres_running("shop") as server:
        original, restored = server.dsn, server.dsn.replace("/shop", "/restored")

        def sql(text: str, where: str = original) -> None:
            subprocess.run([tools / "psql", "-q", where, "-c", text], check=True, capture_output=True)

        sql("CREATE TABLE orders AS SELECT generate_series(1, 3000) AS id, md5('a') AS name")
        sql("CREATE DATABASE restored")
        variables = {"DATABASE_URL": original, "RESTORE_URL": restored, "PATH": f"{tools}:{os.environ['PATH']}"}
        assert outcomes(tmp_path, "backup-and-restore", **variables) == (0, {})
        # Into a database that is not empty nothing is restored.
        expected = {"backup.restored": "fail", "backup.complete": "skip"}
        assert outcomes(tmp_path, "backup-and-restore", **variables) == (1, expected)
        sql("DROP TABLE orders", restored)
        sql("TRUNCATE orders")
        assert outcomes(tmp_path, "backup-and-restore", **variables) == (1, {"backup.complete": "fail"})


@pytest.mark.parametrize(
    ("headers", "chain", "location", "expected"),
    [
        ({}, "server", "https://localhost/", {}),
        ({"Strict-Transport-Security": "max-age=300"}, "server", "https://localhost/", {"headers.hsts": "fail"}),
        (
            {"Content-Security-Policy": "default-src 'self' 'unsafe-inline'"},
            "server",
            "https://localhost/",
            {"headers.csp": "fail"},
        ),
        ({"X-Frame-Options": "ALLOWALL"}, "server", "/login", {"headers.others": "fail", "tls.redirect": "fail"}),
        (
            {},
            "expired",
            "https://localhost/",
            {"tls.certificate": "fail", "headers.hsts": "fail", "headers.csp": "fail", "headers.others": "fail"},
        ),
    ],
    ids=["right", "short", "unsafe", "framed", "expired"],
)
def test_tls_and_headers(
    headers: dict[str, str], chain: str, location: str, expected: dict[str, str], tmp_path: Path
) -> None:
    """Each header, the redirect and the certificate is noticed if it is wrong."""
    authority = make_authority(tmp_path)
    site = Web({"/": Reply(headers={**HEADERS, **headers})}, tls=authority.context(getattr(authority, chain)))
    plain = Web({"/": Reply(301, headers={"Location": location})})
    site.start()
    plain.start()
    try:
        urls = {"SITE_URL": f"https://localhost:{site.port}", "PLAIN_URL": f"http://127.0.0.1:{plain.port}"}
        found = outcomes(tmp_path, "tls-and-headers", SSL_CERT_FILE=str(authority.ca), **urls)
    finally:
        site.stop()
        plain.stop()
    assert found == (1 if expected else 0, expected)


@contextmanager
def counting(errors: int, slow: int) -> Iterator[Web]:
    """Provide metrics that grow with each scrape: 1000 requests, some of them errors, some of them slow."""
    rounds = count(1)

    def metrics(connection: socket.socket) -> None:
        number = next(rounds)
        total, fast = 1000 * number, (1000 - slow) * number
        lines = [
            f'http_requests_total{{code="200"}} {total - errors * number}',
            f'http_requests_total{{code="500"}} {errors * number}',
            f'http_request_duration_seconds_bucket{{le="0.3"}} {fast}',
            f'http_request_duration_seconds_bucket{{le="+Inf"}} {total}',
        ]
        body = "\n".join(lines) + "\n"
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        connection.sendall((head + body).encode())

    web = Web({"/metrics": metrics})
    web.start()
    try:
        yield web
    finally:
        web.stop()


@pytest.mark.parametrize(
    ("errors", "slow", "expected"),
    [
        (0, 0, {}),
        (0, 500, {"slo.latency": "fail"}),
        (20, 0, {"slo.availability": "fail", "slo.budget": "fail", "slo.burn": "fail"}),
    ],
    ids=["right", "slow", "errors"],
)
def test_slo_and_error_budget(errors: int, slow: int, expected: dict[str, str], tmp_path: Path) -> None:
    """A running Prometheus has the numbers: objectives that hold, a service that is slow, and one that fails."""
    with counting(errors, slow) as web:
        config = f"""global: {{scrape_interval: 200ms}}
scrape_configs: [{{job_name: shop, static_configs: [{{targets: ["127.0.0.1:{web.port}"]}}]}}]
"""
        windows = {"SLO_WINDOW": "1m", "SLO_BURN_WINDOW": "1m", "SLO_WITHIN": "8s"}
        with prometheus_running(config) as prometheus:
            found = outcomes(tmp_path, "slo-and-error-budget", PROMETHEUS_URL=prometheus.url, **windows)
    assert found == (1 if expected else 0, expected)


@pytest.mark.parametrize(("blind", "expected"), [("0", {}), ("1", {"drills.database": "fail"})])
def test_two_environments(blind: str, expected: dict[str, str], tmp_path: Path) -> None:
    """In staging the gate starts the service and breaks its database; production is only asked."""
    api, database = free_port(), free_port()
    dependent = ROOT / "tests" / "support" / "dependent.py"
    variables = {
        "API_URL": f"http://127.0.0.1:{api}",
        "API_COMMAND": f"{sys.executable} {dependent} {api}",
        "DATABASE_PORT": str(database),
        "DATABASE_COMMAND": f"{sys.executable} -m http.server --bind 127.0.0.1 {database}",
        "BLIND": blind,
    }
    found = outcomes(tmp_path, "two-environments", "two-environments.staging", **variables)
    assert found == (1 if expected else 0, expected)


def test_the_other_environment(tmp_path: Path) -> None:
    """The same checklist, without the part for staging, needs only a URL."""
    with_database = Web({"/live": Reply(), "/readyz": Reply()})
    with_database.start()
    try:
        url = f"http://127.0.0.1:{with_database.port}"
        found = outcomes(tmp_path, "two-environments", API_URL=url, ENVIRONMENT="production")
    finally:
        with_database.stop()
    assert found == (0, {})
    assert json.loads((tmp_path / "prodgate-out" / "report.json").read_text())["environment"] == "production"


K6 = {
    "http_reqs": {"count": 500},
    "http_req_failed": {"value": 0.002},
    "http_req_duration": {"p(95)": 120.5},
}
CASE = "<testsuites><testsuite name='{}'><testcase classname='{}' name='{}'>{}</testcase></testsuite></testsuites>"
FAILURE = "<failure message='no'/>"
CRITICAL = f"<testcase classname='a' name='[CRITICAL] CVE-2099-0002'>{FAILURE}</testcase></testsuite>"
TRIVY = ("alpine:3.20 (alpine 3.20)", "alpine:3.20 (alpine 3.20)", "[MEDIUM] CVE-2099-0001")


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, {}),
        ({"k6.code": "99"}, {"load.thresholds": "fail"}),
        ({"k6.json": json.dumps({"metrics": {**K6, "http_req_failed": {"value": 0.2}}})}, {"load.errors": "fail"}),
        (
            {"schemathesis.xml": CASE.format("s", "s", "GET /", FAILURE), "schemathesis.code": "1"},
            {"api.schema": "fail"},
        ),
        (
            {"trivy.xml": CASE.format(*TRIVY, FAILURE).replace("</testsuite>", CRITICAL)},
            {"image.vulnerabilities": "fail"},
        ),
        ({"trivy.xml": None}, {"image.vulnerabilities": "error"}),
    ],
    ids=["right", "threshold", "errors", "schema", "vulnerability", "no result"],
)
def test_scanner_results(changed: dict[str, str | None], expected: dict[str, str], tmp_path: Path) -> None:
    """Results of k6, schemathesis and Trivy in their own formats: each failure is seen, and so is a missing result."""
    files: dict[str, str | None] = {
        "k6.json": json.dumps({"metrics": K6}),
        "k6.code": "0",
        "schemathesis.xml": CASE.format("schemathesis", "schemathesis", "GET /orders", ""),
        "schemathesis.code": "0",
        "trivy.xml": CASE.format(*TRIVY, FAILURE),
        "trivy.code": "1",
        **changed,
    }
    (tmp_path / "results").mkdir()
    for name, text in files.items():
        if text is not None:
            (tmp_path / "results" / name).write_text(f"{text}\n")
    assert outcomes(tmp_path, "scanner-results") == (1 if expected else 0, expected)
