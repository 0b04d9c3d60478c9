"""Read `ServiceMonitor` objects of the Prometheus Operator as the jobs that it makes of them.

https://prometheus-operator.dev/docs/api-reference/api/#monitoring.coreos.com/v1.ServiceMonitor
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from msgspec import Struct

from gate.core.messages import Message, msg
from gate.prometheus import manifests
from gate.prometheus.goyaml import Problem
from gate.prometheus.manifests import ManifestObject, target_of, value_of
from gate.prometheus.yaml_tree import Mapping, Node, Scalar, Sequence

# The keys of each object, with their names in a scrape configuration; empty for those that have none there.
_TLS = {
    "caFile": "ca_file", "certFile": "cert_file", "keyFile": "key_file", "serverName": "server_name",
    "insecureSkipVerify": "insecure_skip_verify", "minVersion": "min_version", "maxVersion": "max_version",
    **dict.fromkeys(("ca", "cert", "keySecret"), ""),
}  # fmt: skip
_RELABELLING = {
    "sourceLabels": "source_labels", "separator": "separator", "targetLabel": "target_label", "regex": "regex",
    "modulus": "modulus", "replacement": "replacement", "action": "action",
}  # fmt: skip
_ENDPOINT = {
    "path": "metrics_path", "scheme": "scheme", "params": "params", "interval": "scrape_interval",
    "scrapeTimeout": "scrape_timeout", "honorLabels": "honor_labels", "honorTimestamps": "honor_timestamps",
    "bearerTokenFile": "bearer_token_file", "tlsConfig": "tls_config", "relabelings": "relabel_configs",
    "metricRelabelings": "metric_relabel_configs", "proxyUrl": "proxy_url", "followRedirects": "follow_redirects",
    "enableHttp2": "enable_http2",
    **dict.fromkeys(("port", "targetPort", "trackTimestampsStaleness", "bearerTokenSecret", "basicAuth", "oauth2",
                     "authorization", "noProxy", "proxyFromEnvironment", "proxyConnectHeader", "filterRunning"), ""),
}  # fmt: skip
_SPEC = {
    "sampleLimit": "sample_limit", "targetLimit": "target_limit", "labelLimit": "label_limit",
    "labelNameLengthLimit": "label_name_length_limit", "labelValueLengthLimit": "label_value_length_limit",
    "bodySizeLimit": "body_size_limit",
    **dict.fromkeys(("jobLabel", "targetLabels", "podTargetLabels", "endpoints", "selector", "selectorMechanism",
                     "namespaceSelector", "serviceDiscoveryRole", "attachMetadata", "scrapeClass", "scrapeProtocols",
                     "fallbackScrapeProtocol", "scrapeNativeHistograms", "scrapeClassicHistograms",
                     "nativeHistogramBucketLimit", "nativeHistogramMinBucketFactor", "convertClassicHistogramsToNHCB",
                     "keepDroppedTargets"), ""),
}  # fmt: skip
_INNER = {"tlsConfig": _TLS, "relabelings": _RELABELLING, "metricRelabelings": _RELABELLING}


class ServiceMonitors(Struct, frozen=True):
    """The jobs of a manifest as a node of a prometheus.yml, the monitor of each by its job, and problems."""

    config: Mapping
    monitors: dict[str, str]
    problems: tuple[Problem, ...]


def read_service_monitors(raw: bytes) -> ServiceMonitors | None:
    """Return the jobs of the `ServiceMonitor` objects in a file; None if it is not a manifest of Kubernetes."""
    manifest = manifests.read_manifest(raw, "ServiceMonitor")
    if manifest is None:
        return None
    problems = list(manifest.problems)
    jobs: list[Node] = []
    monitors: dict[str, str] = {}
    for entry in manifest.objects:
        for number, endpoint in enumerate(_endpoints(entry, problems)):
            name = f"serviceMonitor/{entry.namespace}/{entry.name}/{number}"
            monitors[name] = entry.name
            jobs.append(_job(name, endpoint, entry, problems))
    start = Scalar("scrape_configs", True, 1, 1)
    return ServiceMonitors(Mapping([(start, Sequence(jobs, 1, 1))], 1, 1), monitors, tuple(problems))


def _endpoints(entry: ManifestObject, problems: list[Problem]) -> Iterator[Mapping]:
    if entry.spec is None:
        return
    for key in ("selector", "endpoints"):
        if value_of(entry.spec, key) is None:
            problems.append(Problem(entry.spec.line, entry.spec.column, msg("'{key}' is missing or empty", key=key)))
    endpoints = value_of(entry.spec, "endpoints")
    for endpoint in endpoints.entries if isinstance(endpoints, Sequence) else ():
        target = target_of(endpoint)
        if isinstance(target, Mapping):
            yield target
        else:
            problems.append(Problem(target.line, target.column, msg("A mapping is expected here")))


def _job(name: str, endpoint: Mapping, entry: ManifestObject, problems: list[Problem]) -> Mapping:
    """Return the scrape configuration that the operator makes of an endpoint."""
    at = (endpoint.line, endpoint.column)
    discovery = Mapping([(Scalar("role", True, *at), Scalar("endpoints", True, *at))], *at)
    fixed: list[tuple[Node, Node]] = [
        (Scalar("job_name", True, *at), Scalar(name, False, *at)),
        (Scalar("kubernetes_sd_configs", True, *at), Sequence([discovery], *at)),
    ]
    own = _renamed(endpoint, _ENDPOINT, "endpoints", problems)
    shared = _renamed(entry.spec, _SPEC, "spec", problems) if entry.spec else own
    return Mapping([*fixed, *own.entries, *(shared.entries if shared is not own else ())], *at)


def _renamed(node: Mapping, names: dict[str, str], what: str, problems: list[Problem]) -> Mapping:
    """Return a mapping with the keys of a scrape configuration, without those that have none there."""
    entries: list[tuple[Node, Node]] = []
    for key, value in node.entries:
        if not isinstance(key, Scalar) or key.value not in names:
            problem = Problem(key.line, key.column, _unknown(key, names, what))
            if problem not in problems:
                problems.append(problem)
        elif names[key.value]:
            renamed = Scalar(names[key.value], True, key.line, key.column)
            entries.append((renamed, _inner(value, key.value, problems)))
    return Mapping(entries, node.line, node.column)


def _inner(value: Node, key: str, problems: list[Problem]) -> Node:
    names, target = _INNER.get(key), target_of(value)
    if names is None:
        return value
    if isinstance(target, Mapping):
        return _renamed(target, names, key, problems)
    if isinstance(target, Sequence):
        return Sequence([_inner(entry, key, problems) for entry in target.entries], target.line, target.column)
    return value


def _unknown(key: Node, names: dict[str, str], what: str) -> Message:
    text = key.value if isinstance(key, Scalar) else ""
    near = difflib.get_close_matches(text, names, n=1)
    if near:
        return msg("unknown key '{key}' in {what}; did you mean '{near}'?", key=text, what=what, near=near[0])
    return msg("unknown key '{key}' in {what}", key=text, what=what)
