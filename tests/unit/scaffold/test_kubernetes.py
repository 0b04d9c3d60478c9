"""Manifests, charts and kustomizations name probes, ports, databases and monitors."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent

import pytest

from tests.support.repositories import propose, write

DOCKERFILE = {"Dockerfile": "FROM golang\n"}
POD = """template:
  spec:
    containers:
      - name: shop
        image: shop
        ports: [{name: http, containerPort: 8080}]
"""


def deployment(probes: str, name: str = "shop") -> str:
    """Return a Deployment with probes."""
    text = POD + indent(probes, " " * 8)
    return f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n{indent(text, '  ')}"


@pytest.mark.parametrize(
    ("probes", "path", "port"),
    [
        ("readinessProbe: {httpGet: {path: /readyz, port: http}}\n", "/readyz", 8080),
        ("livenessProbe: {httpGet: {path: /livez, port: 9090}}\n", "/livez", 9090),
        ("readinessProbe: {httpGet: {path: '/ready?full=1', port: 8080}}\n", "/ready", 8080),
        ("startupProbe: {exec: {command: [sh, -c, 'curl -f http://localhost:7070/up']}}\n", "/up", 7070),
        ("readinessProbe: {httpGet: {port: http}}\n", "/", 8080),
        ("readinessProbe: {httpGet: {path: /readyz, port: 70000}}\n", "/readyz", 8080),
    ],
)
def test_probes_are_endpoints(probes: str, path: str, port: int, tmp_path: Path) -> None:
    """A probe's path and port, also by the port's name and in a command, is a target and an item."""
    proposal = propose(write(tmp_path, {**DOCKERFILE, "k8s/shop.yaml": deployment(probes)}))
    target = proposal.checklist.targets["shop"]
    assert target.start
    assert (target.start.build, target.port) == (".", port)
    assert f"{{target: shop, path: {path}, status: 200}}" in proposal.text


def test_the_values_of_a_chart(tmp_path: Path) -> None:
    """The probes of a chart's values count, and its templates are named as not read."""
    probe = "readinessProbe: {httpGet: {path: /readyz, port: http}}\n"
    values = f"image: {{repository: acme/shop}}\nservice: {{port: 8080}}\n{probe}"
    chart = {"charts/shop/Chart.yaml": "name: shop\n", "charts/shop/values.yaml": values}
    files = {**DOCKERFILE, **chart, "charts/shop/templates/a.yaml": "apiVersion: v1\nkind: {{ .Values.kind }}\n"}
    proposal = propose(write(tmp_path, files))
    assert "path: /readyz" in proposal.text
    assert "charts/shop/templates: 1 files that Helm has to render" in proposal.notes


def test_a_kustomization_that_patches_is_named(tmp_path: Path) -> None:
    """The manifests are read without the patches, and that is said."""
    files = {"k8s/shop.yaml": deployment(""), "k8s/kustomization.yaml": "patches: [{path: a.yaml}]\n"}
    assert (
        "k8s/kustomization.yaml: patches; the manifests were read without them" in propose(write(tmp_path, files)).notes
    )


@pytest.mark.parametrize("kind", ["ServiceMonitor", "PodMonitor"])
def test_a_monitor_names_metrics(kind: str, tmp_path: Path) -> None:
    """The path that a monitor scrapes is one of the service's."""
    key = "endpoints" if kind == "ServiceMonitor" else "podMetricsEndpoints"
    monitor = f"---\napiVersion: monitoring.coreos.com/v1\nkind: {kind}\nmetadata: {{name: shop}}\n"
    monitor += f"spec: {{{key}: [{{port: http, path: /prom/metrics}}]}}\n"
    text = deployment("readinessProbe: {httpGet: {path: /readyz, port: http}}\n") + monitor
    proposal = propose(write(tmp_path, {**DOCKERFILE, "k8s/shop.yaml": text}))
    assert "metrics: {target: shop, path: /prom/metrics, valid: true}" in proposal.text
    configured = "scrape_config: {file: k8s/shop.yaml, job: shop}" in proposal.text
    assert configured is (kind == "ServiceMonitor")


def test_rules_of_the_operator_are_rules(tmp_path: Path) -> None:
    """`alert_rules` reads a PrometheusRule as it reads a rule file."""
    rule = "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata: {name: a}\n"
    rule += "spec: {groups: [{name: a, rules: [{alert: A, expr: up == 0}]}]}\n"
    proposal = propose(write(tmp_path, {"ops/shop-rules.yaml": rule}))
    assert "alert_rules: {file: ops/shop-rules.yaml, valid: true}" in proposal.text


def test_a_database_of_the_manifests_has_a_drill(tmp_path: Path) -> None:
    """A probe notices within period times failures and a timeout; values of ConfigMaps and Secrets are read."""
    database = """apiVersion: apps/v1
kind: StatefulSet
metadata: {name: shop-db}
spec: {template: {spec: {containers: [{name: db, image: "postgres:17", envFrom: [{secretRef: {name: db}}]}]}}}
---
apiVersion: v1
kind: Secret
metadata: {name: db}
stringData: {POSTGRES_USER: u, POSTGRES_PASSWORD: p}
"""
    settings = "periodSeconds: 5, failureThreshold: 2, timeoutSeconds: 4"
    probe = f"readinessProbe: {{httpGet: {{path: /readyz, port: http}}, {settings}}}\n"
    application = deployment(probe + "env: [{name: URL, value: 'postgres://u:p@shop-db/x'}]\n")
    files = {**DOCKERFILE, "k8s/shop.yaml": application, "k8s/db.yaml": database}
    proposal = propose(write(tmp_path, files))
    assert proposal.drills["drills.shop-db"]["observe"][0]["within"] == "14s"
    assert proposal.job["services"]["shop-db"]["env"] == {
        "POSTGRES_USER": "u", "POSTGRES_PASSWORD": "p", "POSTGRES_DB": "x",
    }  # fmt: skip
    assert proposal.checklist.targets["shop"].after == ["shop-db"]


def test_a_workload_that_nothing_here_builds_is_named_once(tmp_path: Path) -> None:
    """Overlays repeat it; the note does not."""
    text = deployment("readinessProbe: {httpGet: {path: /readyz, port: http}}\n", "ledger").replace(
        "image: shop", "image: a/b"
    )
    proposal = propose(write(tmp_path, {"base/a.yaml": text, "overlays/prod/a.yaml": text}))
    assert "/readyz (probes of ledger, base/a.yaml and 1 more): no Dockerfile here builds its image" in proposal.notes
