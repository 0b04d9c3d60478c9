"""What Prometheus takes depends on its version: the rules that no key's table shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from gate.prometheus import config, rules
from gate.prometheus.releases import Release

SCALEWAY = (
    "scaleway_sd_configs: [{role: instance, project_id: 11111111-1111-1111-1111-111111111111, "
    "access_key: SCWXXXXXXXXXXXXXXXXX, secret_key: 11111111-1111-1111-1111-111111111111, zone: %s}]"
)
RELABEL = "relabel_configs: [{source_labels: [a], target_label: b, regex: %s}]"
OAUTH2 = "oauth2: {client_id: a, client_secret: b, token_url: c, proxy_connect_header: {}}"


@pytest.mark.parametrize(
    ("job", "accepted"),
    [
        ("scheme: ftp, static_configs: [{targets: [a]}]", {(2, 42): False, (2, 55): False, (3, 0): True}),
        ("scheme: ftp, static_configs: [{targets: ['a:1']}]", {(2, 42): True, (3, 0): True}),
        ("scheme: ftp, static_configs: [{targets: ['[::1]:1']}]", {(2, 42): True}),
        ("scheme: ftp, static_configs: [{targets: ['::1']}]", {(2, 42): True}),
        ("scheme: '', static_configs: [{targets: [a]}]", {(2, 42): True, (3, 0): True}),
        (RELABEL % '"null"', {(2, 42): False, (2, 53): True, (3, 5): True}),
        (RELABEL % "null", {(2, 42): True, (3, 5): True}),
        ("tls_config: {min_version: 'null'}", {(2, 42): False, (3, 5): False}),
        ("tls_config: {min_version: null}", {(2, 42): True, (3, 5): True}),
        ("vultr_sd_configs: [Null]", {(2, 42): False, (3, 5): False}),
        ("vultr_sd_configs: [{}]", {(2, 42): True, (3, 5): True}),
        ("kubernetes_sd_configs: [{role: pod, http_headers: Null}]", {(2, 53): False, (3, 5): False}),
        ("kubernetes_sd_configs: [{role: pod, http_headers: null}]", {(2, 53): True, (3, 5): True}),
        ("relabel_configs: [{action: lowercase, target_label: $1}]", {(2, 49): True, (2, 53): False}),
        ("relabel_configs: [{action: hashmod, modulus: 5, target_label: $1}]", {(2, 42): False}),
        ("relabel_configs: [{source_labels: [a], target_label: $1}]", {(2, 42): True, (3, 5): True}),
        (OAUTH2, {(2, 42): False, (2, 43): True}),
        (SCALEWAY % "''", {(2, 42): False, (3, 5): False}),
        (SCALEWAY % "fr-par-1", {(2, 42): True, (3, 5): True}),
    ],
)  # fmt: skip
def test_jobs(tmp_path: Path, job: str, accepted: dict[tuple[int, int], bool]) -> None:
    """A job is refused by the versions of Prometheus that refuse it."""
    raw = f"scrape_configs: [{{job_name: a, {job}}}]\n".encode()
    for version, is_accepted in accepted.items():
        if is_accepted:
            config.parse_config(raw, Release(version), config.Surroundings(tmp_path, tmp_path))
        else:
            with pytest.raises(config.InvalidConfigError):
                config.parse_config(raw, Release(version), config.Surroundings(tmp_path, tmp_path))


@pytest.mark.parametrize(
    ("rule", "accepted"),
    [
        ("alert: A, expr: null", {(2, 42): True, (3, 2): True, (3, 3): False}),
        ("alert: null, expr: up", {(2, 42): True, (3, 3): False}),
        ("alert: A, expr: !!binary dXA=", {(2, 53): False, (3, 5): True}),
        ("alert: A, expr: [up]", {(2, 42): False, (3, 5): False}),
        ("alert: &up A, expr: *up", {(2, 42): True, (3, 5): True}),
        ("alert: A, expr: up, labels: {a: '{{ tmpl \"x\" . }}'}", {(2, 42): False, (3, 5): False}),
        ("alert: A, expr: up, labels: {a: '{{ with 1 }}{{ else with 2 }}{{ end }}'}", {(2, 42): False, (2, 53): True}),
        ("alert: A, expr: 'up{a=~\"x{1001}\"}'", {(2, 42): False, (3, 5): False}),
    ],
)
def test_rules(rule: str, accepted: dict[tuple[int, int], bool]) -> None:
    """A rule is refused by the versions of Prometheus that refuse it."""
    raw = f"groups: [{{name: g, rules: [{{{rule}}}]}}]\n".encode()
    found = {version: rules.parse_rule_file(raw, Release(version)).problems == [] for version in accepted}
    assert found == accepted
