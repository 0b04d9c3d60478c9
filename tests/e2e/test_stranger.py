"""A system that nobody here wrote, with a checklist from the documents alone: a Prometheus that watches itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.services import free_port

CHECKLIST = """version: 1
service: prometheus
targets:
  prometheus:
    url: http://127.0.0.1:${PORT}
    start:
      command: [prometheus, --config.file=ops/prometheus.yml, --storage.tsdb.path=data,
                "--web.listen-address=127.0.0.1:${PORT}"]
    ready: {path: /-/ready, within: 60s}
x-asked: &asked {title: Asked, requires: [prometheus], within: 10s}
sections:
  - id: self
    title: It watches itself
    items:
      - {id: job, title: Job, scrape_config: {file: ops/prometheus.yml, job: prometheus, interval: 1s}}
      - {id: valid, title: Valid, alert_rules: {file: ops/rules.yml, valid: true, labels: [severity], runbooks: true}}
      - {<<: *asked, id: up, scrape_target: {target: prometheus, job: prometheus}}
      - {<<: *asked, id: format, metrics: {target: prometheus, valid: true, present: [prometheus_tsdb_*]}}
      - {<<: *asked, id: query, promql: {target: prometheus, query: 'up{job="prometheus"}', value: 1}}
      - {<<: *asked, id: loaded, loaded_rules: {target: prometheus, file: ops/rules.yml}}
      - {<<: *asked, id: quiet, needs: [up], alert: {target: prometheus, name: ReloadFailed, state: inactive}}
      - {<<: *asked, id: chain, traceability: {target: prometheus, file: ops/rules.yml, sections: [Signal]}}
"""
FILES = {
    "ops/prometheus.yml": """global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
scrape_configs:
  - job_name: prometheus
    static_configs: [{targets: ["127.0.0.1:PORT"]}]
""",
    "ops/rules.yml": """groups:
  - name: self
    rules:
      - alert: ReloadFailed
        expr: prometheus_config_last_reload_successful == 0
        labels: {severity: critical}
        annotations: {runbook: docs/reload.md}
""",
    "docs/reload.md": "# Reload\n\n## Signal\n\nThe file is wrong.\n",
    "prodgate.yml": CHECKLIST,
}


@pytest.mark.parametrize(
    ("file", "right", "wrong", "noticed"),
    [
        ("ops/rules.yml", "", "", set()),
        ("ops/prometheus.yml", "127.0.0.1:PORT", "127.0.0.1:1", {"up", "query", "quiet", "chain"}),
        ("ops/rules.yml", "_reload_successful", "_reload_succesful", {"quiet", "chain"}),
        ("ops/rules.yml", "== 0", "== 1", {"quiet"}),
        ("ops/rules.yml", "== 0", "=== 0", {"job", "valid", "up", "format", "query", "loaded", "quiet", "chain"}),
        ("docs/reload.md", "The file is wrong.", "", {"chain"}),
    ],
    ids=["right", "target", "metric", "firing", "syntax", "runbook"],
)  # fmt: skip
def test_what_is_broken_is_found(tmp_path: Path, file: str, right: str, wrong: str, noticed: set[str]) -> None:
    """Nothing broken is a GO; each thing that is broken is seen by the items that look at it, and by no other."""
    port = str(free_port())
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        changed = text.replace(right, wrong) if name == file and right else text
        path.write_text(changed.replace("PORT", port) if name == "ops/prometheus.yml" else changed)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "PORT": port}
    run = [sys.executable, "-m", "gate", "run"]
    done = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == (1 if noticed else 0), done.stdout + done.stderr
    report = json.loads((tmp_path / "prodgate-out" / "report.json").read_text())
    (section,) = report["sections"]
    assert {item["id"] for item in section["items"] if item["outcome"]["status"] != "pass"} == noticed
