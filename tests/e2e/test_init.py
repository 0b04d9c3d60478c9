"""What `prodgate init` writes runs: a repository with a Compose file, in the emulator of the runner."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gate.__main__ import main
from tests.support import engine, images
from tests.support.runner.job import Job, Service

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("e2e-init")]

API = """import os, socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

DATABASE, CACHE = (urlsplit(os.environ[name]) for name in ("DATABASE_URL", "REDIS_URL"))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        status, text = 404, ""
        if self.path == "/healthz":
            status, text = self.healthz()
        if self.path == "/metrics":
            status, text = self.metrics()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(text.encode())

    def healthz(self):
        for url in (DATABASE, CACHE):
            socket.create_connection((url.hostname, url.port), 1).close()
        return (200, "ok") if DATABASE.password else (503, "no password")

    def metrics(self):
        return 200, "# TYPE shop_up gauge\\nshop_up 1\\n"


ThreadingHTTPServer(("", 8000), Handler).serve_forever()
"""
SHOP = {
    "docker-compose.yml": """services:
  web:
    build: {context: ./web, args: {BASE: BASE_IMAGE}}
    ports: ["8000:8000"]
    environment:
      DATABASE_URL: postgres://${POSTGRES_USER:-shop}:${POSTGRES_PASSWORD:?}@db:5432/shop
      REDIS_URL: redis://cache:6379
    depends_on: {db: {condition: service_started}, cache: {condition: service_started}}
  db:
    image: postgres:${PG_VERSION:-17}
    environment: {POSTGRES_USER: "${POSTGRES_USER:-shop}", POSTGRES_PASSWORD: "${POSTGRES_PASSWORD:?}"}
  cache: {image: "redis:7-alpine"}
  prometheus:
    image: prom/prometheus:v2.53.0
    volumes: ["./ops/prometheus:/etc/prometheus:ro"]
  grafana: {image: "grafana/grafana:11.0.0"}
""",
    "web/Dockerfile": "ARG BASE\nFROM $BASE\nCOPY app.py /\nCMD [\"python3\", \"-u\", \"/app.py\"]\n",
    "web/app.py": API,
    "ops/prometheus/prometheus.yml": """global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules/*.yml]
scrape_configs:
  - job_name: shop
    static_configs: [{targets: ["web:8000"]}]
""",
    "ops/prometheus/rules/shop.yml": """groups:
  - name: shop
    rules:
      - {alert: ShopDown, expr: shop_up == 0, for: 1m, labels: {severity: critical}}
""",
    "docs/runbooks/shop-down.md": """# Shop

## `kubectl` way

```sh
## restart
restart
```

## [Links](x)

None.
""",
    "frontend/package.json": '{"name": "frontend", "scripts": {"test": "node --test"}}',
    "frontend/cart.test.js": "require('node:test').test('cart is empty', () => {})\n",
}  # fmt: skip
IMAGES = {"postgres:17": "postgres", "redis:7-alpine": "redis", "prom/prometheus:v2.53.0": "prometheus"}


def begun(root: Path) -> dict[str, Any]:
    """Run `prodgate init` in the repository and return the workflow's job."""
    for name, text in SHOP.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text.replace("BASE_IMAGE", images.base()))
    assert main(["init", str(root)]) == 0
    job: dict[str, Any] = yaml.safe_load((root / ".github/workflows/prodgate.yml").read_text())["jobs"]["gate"]
    return job


def step(root: Path, given: dict[str, Any], temp: Path) -> None:
    """Run a step of a workflow as the runner does."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(temp), "RUNNER_TEMP": str(temp)}
    folder = root / given.get("working-directory", ".")
    done = subprocess.run(["bash", "-e", "-c", given["run"]], cwd=folder, env=environment, check=False, timeout=120)
    assert done.returncode == 0 or given.get("continue-on-error")


def test_the_written_workflow_runs(tmp_path: Path) -> None:
    """The services, the tests and the gate of the workflow run as they are written, and the verdict is a GO."""
    engine.up()
    root = tmp_path / "repo" / "repo"
    written = begun(root)
    services = {
        name: Service(images.service(IMAGES[given["image"]]), env=given.get("env", {}))
        for name, given in written["services"].items()
    }
    assert set(services) == {"db", "cache", "prometheus"}
    for given in written["steps"]:
        if "run" in given:
            step(root, given, tmp_path)
    (inputs,) = [given["with"] for given in written["steps"] if given.get("uses", "").startswith("org/prodgate-action")]
    with Job(tmp_path, images.action(), services=services) as job:
        stage = job.main(**inputs)
        report = json.loads((root / "prodgate-out" / "report.json").read_text())
        items = {item["id"]: item["outcome"]["status"] for part in report["sections"] for item in part["items"]}
        assert (stage.conclusion, set(items.values())) == ("success", {"pass"}), stage.log.text
        assert job.post().conclusion == "success"
    assert set(items) == {
        "services.db", "services.cache", "health.healthz", "metrics.web", "metrics.prometheus", "scrape.shop",
        "scraped.shop", "rules.shop", "loaded.shop", "runbook.shop-down", "tests.frontend.node",
    }  # fmt: skip
