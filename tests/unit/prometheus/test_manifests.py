"""Manifests of the Prometheus Operator: read as what Prometheus loads, with problems where they are in the manifest."""

from __future__ import annotations

from pathlib import Path

import pytest

from gate.prometheus import config, rules
from gate.prometheus.releases import Release

API = "monitoring.coreos.com/v1"
RULE = """apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: api}
spec:
  groups:
  - name: g
    partial_response_strategy: warn
    rules:
    - alert: Down
      expr: up == 0
      for: 5m
      labels: {severity: critical}
      annotations:
        runbook: docs/down.md
"""
LIST = """apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata: {name: x}
- apiVersion: monitoring.coreos.com/v1
  kind: PrometheusRule
  metadata: {name: two}
  spec: {groups: [{name: g, rules: [{record: "a:b", expr: 1}]}]}
"""
UNCLOSED = "The expression does not parse at character 4: a left parenthesis is not closed"
MONITOR = """apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: api, namespace: prod}
spec:
  selector: {matchLabels: {app: api}}
  sampleLimit: 100
  endpoints:
  - port: admin
  - port: http
    path: /m
    interval: 30s
    scheme: https
    tlsConfig: {insecureSkipVerify: true, ca: {secret: {name: x, key: y}}}
    relabelings:
    - {sourceLabels: [a], targetLabel: b, action: Replace}
"""


def places(raw: str) -> list[tuple[int, int, str]]:
    """Return the problems of a rule file."""
    return [(problem.line, problem.column, str(problem.reason)) for problem in rules.parse_rules(raw.encode()).problems]


def test_documents_and_lists() -> None:
    """Every object of a file counts, one after the other; the lines are the file's own."""
    read = rules.parse_rules(f"{RULE}---\n{LIST}".encode())
    assert read.problems == []
    assert [(group.name, group.line) for group in read.groups] == [("g", 6), ("g", 25)]
    (down, recorded) = read.rules
    assert (down.name, down.line, down.for_seconds, down.annotation_lines) == ("Down", 9, 300.0, {"runbook": 14})
    assert recorded.name == "a:b"


def test_what_prometheus_loads() -> None:
    """Each object becomes a rule file of its own, without the keys that the operator removes."""
    for text in (texts := rules.rule_texts(f"{RULE}---\n{LIST}".encode())):
        assert rules.parse_rule_file(text).problems == []
        assert b"partial_response" not in text
    assert len(texts) == 2
    assert rules.rule_texts(b"groups: []\n") == [b"groups: []\n"]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("up == 0", "(up", (10, 13, f"Down: {UNCLOSED}")),
        ("for:", "fro:", (11, 7, "unknown key 'fro' in a rule; did you mean 'for'?")),
        ("severity: critical", "severity: 5", (12, 26, "5 must be in quotes: Kubernetes takes only text here")),
        ("severity: critical", "severity: yes", (12, 26, "yes must be in quotes: Kubernetes takes only text here")),
        (API, "v2", (1, 13, f"PrometheusRule has the apiVersion {API}, not v2")),
        ("{name: api}", "{}", (1, 1, "'metadata.name' is missing or empty")),
        ("spec:", "specs:", (1, 1, "'spec' is missing or empty")),
        ("PrometheusRule", "Secret", (1, 1, "The manifest has no PrometheusRule, but Secret")),
    ],
)  # fmt: skip
def test_problems_of_rules(old: str, new: str, problem: tuple[int, int, str]) -> None:
    """A problem is reported where it is in the manifest."""
    assert places(RULE.replace(old, new, 1)) == [problem]


def test_a_rule_file_is_no_manifest() -> None:
    """Prometheus itself reads no manifests, and a configuration that names one is not valid."""
    (problem, *_) = rules.parse_rule_file(RULE.encode()).problems
    assert str(problem.reason).startswith("unknown key 'apiVersion'")
    assert places("groups: []\n---\napiVersion: v1\nkind: x\n") == []
    assert places("groups: [{name: kind, rules: [{record: apiVersion, expr: 1}]}]\n") == []


def monitors(raw: str) -> config.Config:
    """Return the jobs of a manifest."""
    found = config.parse_service_monitors(raw.encode())
    assert found is not None
    return found


def test_the_jobs_of_a_service_monitor() -> None:
    """Each endpoint is the job that the operator makes of it."""
    first, second = monitors(MONITOR).jobs
    assert (first.name, first.line) == ("serviceMonitor/prod/api/0", 8)
    assert first.own_interval is False
    assert (second.monitor, second.metrics_path, second.scheme, second.interval) == ("api", "/m", "https", 30.0)
    assert second.discovery == ("kubernetes_sd_configs",)
    text = config.service_monitors_text(MONITOR.encode())
    assert text is not None
    assert [job.name for job in config.parse_config(text).jobs] == [first.name, second.name]


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("interval: 30s", "interval: 30", 11, "scrape_interval: 30 is not a duration, such as 30s or 1h30m"),
        ("targetLabel", "targetLable", 15, "unknown key 'targetLable' in relabelings; did you mean 'targetLabel'?"),
        ("targetLabel: b", "targetLabel: ''", 15, "replace needs a 'target_label'"),
        ("sampleLimit: 100", "sampleLimit: -1", 6, "sample_limit: A whole number of 0 or more is expected here"),
        ("endpoints:", "endpoint:", 5, "'endpoints' is missing or empty"),
        ("port: admin", "prot: admin", 8, "unknown key 'prot' in endpoints; did you mean 'port'?"),
    ],
)  # fmt: skip
def test_problems_of_a_service_monitor(old: str, new: str, line: int, reason: str) -> None:
    """A problem is reported where it is in the manifest."""
    with pytest.raises(config.InvalidConfigError) as found:
        monitors(MONITOR.replace(old, new, 1))
    assert found.value.line == line
    assert str(found.value.message).startswith(reason)


def test_a_configuration_is_no_manifest() -> None:
    """A prometheus.yml is not read as a manifest."""
    assert config.parse_service_monitors(b"scrape_configs: [{job_name: kind}]\n# apiVersion\n") is None


@pytest.mark.parametrize(
    ("release", "text", "accepted"),
    [
        (Release((3, 13)), "a[5m + 1m]", False),
        (Release((3, 13), frozenset(["promql-duration-expr"])), "a[5m + 1m]", True),
        (Release((3, 14)), "a[5m + 1m]", True),
        (Release((2, 55)), '{"a.b"}', True),
        (Release((3, 14)), "a + fill(0) b", False),
        (Release((3, 14), frozenset(["promql-binop-fill-modifiers"])), "a + fill(0) b", True),
    ],
)
def test_flags_of_expressions(release: Release, text: str, accepted: bool) -> None:
    """A feature flag counts, and one that has become permanent is not needed."""
    raw = f"groups: [{{name: g, rules: [{{record: r, expr: '{text}'}}]}}]\n".encode()
    assert (rules.parse_rule_file(raw, release).problems == []) == accepted


WRITE = "remote_write: [{url: x, protobuf_message: io.prometheus.write.v2.Request}]\n"
LABEL = "global: {external_labels: {a.b: c}}\n"
SCHEME = "global: {metric_name_validation_scheme: utf8}\n"
FTP = "scrape_configs: [{job_name: a, scheme: ftp, static_configs: [{targets: [a]}]}]\n"


@pytest.mark.parametrize(
    ("version", "text", "flag", "needs_it"),
    [
        ((2, 55), WRITE, "metadata-wal-records", True), ((3, 2), WRITE, "metadata-wal-records", True),
        ((3, 3), WRITE, "metadata-wal-records", False), ((2, 55), LABEL, "utf8-names", True),
        ((3, 0), LABEL, "utf8-names", False), ((2, 55), SCHEME, "utf8-names", True),
        ((2, 53), FTP, "no-default-scrape-port", True), ((3, 0), FTP, "no-default-scrape-port", False),
    ],
)  # fmt: skip
def test_flags_of_configurations(
    version: tuple[int, int], text: str, flag: str, needs_it: bool, tmp_path: Path
) -> None:
    """A release of the transition to Prometheus 3 needs a flag for what later ones take without."""
    surroundings = config.Surroundings(tmp_path, tmp_path)
    config.parse_config(text.encode(), Release(version, frozenset([flag])), surroundings)
    if needs_it:
        with pytest.raises(config.InvalidConfigError):
            config.parse_config(text.encode(), Release(version), surroundings)
    else:
        config.parse_config(text.encode(), Release(version), surroundings)


@pytest.mark.parametrize("text", ["rule_files: [a]", "remote_read: [{url: x}]", "alerting: {alertmanagers: [{}]}"])
def test_agent_mode(text: str) -> None:
    """Prometheus in agent mode evaluates no rules and reads nothing back."""
    config.parse_config(text.encode())
    config.parse_config(b"rule_files: []\nalerting: {}\n", Release(flags=frozenset(["agent"])))
    with pytest.raises(config.InvalidConfigError, match="in agent mode"):
        config.parse_config(text.encode(), Release(flags=frozenset(["agent"])))


def test_named_files(tmp_path: Path) -> None:
    """The files that promtool needs are found, also in a configuration that is not valid."""
    for name in ("a.rules", "b.rules", "t.json", "token"):
        (tmp_path / name).write_text("")
    (tmp_path / "jobs.yml").write_text("scrape_configs: [{authorization: {credentials_file: token}}]\n")
    text = """global: {scrape_intervall: 5s}
rule_files: ["*.rules", /etc/rules.yml, ../x.yml]
scrape_config_files: [jobs.yml]
scrape_configs: [{file_sd_configs: [{files: [t.json, none.json]}], basic_auth: {password_file: /secret}}, 5]
"""
    named = config.named_files(text.encode(), config.Surroundings(tmp_path, tmp_path))
    assert sorted(path.name for path in named.files) == ["a.rules", "b.rules", "jobs.yml", "t.json", "token"]
    assert [path.name for path in named.rules] == ["a.rules", "b.rules"]
    assert named.outside == ("/etc/rules.yml", "../x.yml")
