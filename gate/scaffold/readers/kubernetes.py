"""Read Kubernetes manifests, kustomizations and Helm values: probes, ports, rules and monitors."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Any

from msgspec import Struct, field

from gate.scaffold.files import RepoFiles, documents, get_dict, get_list, get_port, get_str, is_port, is_test, line_of
from gate.scaffold.model import Endpoint, Probe, Role, Workload

_KINDS = {"Deployment", "StatefulSet", "DaemonSet", "Pod", "Rollout", "ReplicaSet"}
_MONITORS = {"ServiceMonitor", "PodMonitor"}
_PROBES: tuple[tuple[str, Role], ...] = (
    ("readinessProbe", "ready"),
    ("livenessProbe", "live"),
    ("startupProbe", "health"),
)
_VALUES_DEPTH = 4


class Monitor(Struct, frozen=True):
    """A ServiceMonitor or PodMonitor: its name, and the endpoint that Prometheus scrapes."""

    name: str
    kind: str
    endpoint: Endpoint


class Manifests(Struct):
    """What the manifests of a repository say. `not_read` says in a line each what needs a program to be read."""

    workloads: list[Workload] = field(default_factory=list)
    monitors: list[Monitor] = field(default_factory=list)
    rules: list[str] = field(default_factory=list)
    not_read: list[str] = field(default_factory=list)


def read_manifests(files: RepoFiles) -> Manifests:
    """Return what the manifests, kustomizations and charts of a repository say."""
    found = Manifests()
    values = _Values()
    manifests = []
    for name in files.names:
        base = posixpath.basename(name)
        if not name.endswith((".yml", ".yaml")) or is_test(name) or name.startswith(".github/"):
            continue
        text = files.text(name)
        if base in ("values.yaml", "values.yml") and files.has(posixpath.dirname(name), "Chart.yaml"):
            found.workloads += _values(posixpath.basename(posixpath.dirname(name)), name, text, documents(text))
        elif re.search(r"(?m)^apiVersion:", text):
            manifests.append((name, text, list(_resources(documents(text)))))
    for _, _, resources in manifests:
        values.add(resources)
    for name, text, resources in manifests:
        _read_manifest(name, text, resources, values, found)
    found.not_read += _templates(files)
    return found


def _templates(files: RepoFiles) -> Iterator[str]:
    """Yield what a template engine or kustomize would change."""
    charts = [posixpath.dirname(name) or "." for name in files.names if posixpath.basename(name) == "Chart.yaml"]
    for chart in charts:
        count = len(files.below(posixpath.join(chart, "templates").removeprefix("./")))
        if count:
            yield f"{chart}/templates: {count} files that Helm has to render; of the chart, values.yaml was read"
    patched = [
        name
        for name in files.names
        if re.fullmatch(r"kustomization\.ya?ml", posixpath.basename(name)) and "patch" in files.text(name)
    ]
    if patched:
        more = f" and {len(patched) - 1} more" if len(patched) > 1 else ""
        yield f"{patched[0]}{more}: patches; the manifests were read without them"


class _Values:
    """The values of ConfigMaps and of Secrets that are part of the commit."""

    def __init__(self) -> None:
        self.maps: dict[str, dict[str, str]] = {}

    def add(self, resources: list[Any]) -> None:
        """Add the ConfigMaps and Secrets among resources; encoded values of Secrets are left out."""
        for data in resources:
            if get_str(data, "kind") in ("ConfigMap", "Secret"):
                pairs = {
                    **(get_dict(data, "data") if data["kind"] == "ConfigMap" else {}),
                    **get_dict(data, "stringData"),
                }
                name = get_str(get_dict(data, "metadata"), "name")
                self.maps[name] = {str(key): str(value) for key, value in pairs.items()}

    def environment(self, container: Any) -> Iterator[tuple[str, str]]:
        """Yield the variables of a container whose values are part of the commit."""
        for source in get_list(container, "envFrom"):
            for key in ("configMapRef", "secretRef"):
                yield from self.maps.get(get_str(get_dict(source, key), "name"), {}).items()
        for variable in get_list(container, "env"):
            name, value = get_str(variable, "name"), variable.get("value") if isinstance(variable, dict) else None
            for key in ("configMapKeyRef", "secretKeyRef"):
                reference = get_dict(get_dict(variable, "valueFrom"), key)
                value = self.maps.get(get_str(reference, "name"), {}).get(get_str(reference, "key"), value)
            if name and value is not None and "$(" not in str(value):
                yield name, str(value)


def _read_manifest(name: str, text: str, resources: list[Any], values: _Values, found: Manifests) -> None:
    for data in resources:
        kind = get_str(data, "kind")
        if kind in _KINDS:
            found.workloads += _workloads(name, text, data, values)
        elif kind in _MONITORS:
            for key in ("endpoints", "podMetricsEndpoints"):
                for endpoint in get_list(get_dict(data, "spec"), key):
                    path = get_str(endpoint, "path") or "/metrics"
                    called = get_str(get_dict(data, "metadata"), "name")
                    found.monitors.append(Monitor(called, kind, Endpoint(path, name, line_of(text, f"kind: {kind}"))))
        elif kind == "PrometheusRule" and name not in found.rules:
            groups = get_list(get_dict(data, "spec"), "groups")
            found.rules += [name] if any(get_list(group, "rules") for group in groups) else []


def _resources(data: list[Any]) -> Iterator[Any]:
    for document in data:
        yield from get_list(document, "items") if get_str(document, "kind") == "List" else [document]


def _workloads(name: str, text: str, data: Any, values: _Values) -> Iterator[Workload]:
    spec = get_dict(data, "spec")
    pod = spec if get_str(data, "kind") == "Pod" else get_dict(get_dict(spec, "template"), "spec")
    for container in get_list(pod, "containers"):
        ports = {
            str(port.get("name") or number): port.get("containerPort")
            for number, port in enumerate(get_list(container, "ports"))
            if get_port(port, "containerPort")
        }
        probes = tuple(_probes(text, container, ports))
        called = get_str(get_dict(data, "metadata"), "name") or get_str(container, "name")
        environment = tuple(dict(values.environment(container)).items())
        first = next((probe.port for probe in probes if probe.path and probe.port), next(iter(ports.values()), None))
        yield Workload(called, name, get_str(container, "image"), first, probes, environment)


def _probes(text: str, container: Any, ports: dict[str, Any]) -> Iterator[Probe]:
    """Yield the probes of a container. A command that requests a path counts as that request."""
    for key, role in _PROBES:
        probe = get_dict(container, key)
        request = get_dict(probe, "httpGet")
        given = request.get("port")
        port = get_port(request, "port") or ports.get(str(given))
        path = get_str(request, "path") or ("/" if request else "")
        command = " ".join(map(str, get_list(get_dict(probe, "exec"), "command")))
        if found := re.search(r"https?://[\w.]+:([0-9]{1,5})(/[\w./-]*)", command):
            port, path = int(found[1]) if is_port(int(found[1])) else None, found[2]
        if path.startswith("/"):
            period, failures = probe.get("periodSeconds", 10), probe.get("failureThreshold", 3)
            numbers = [
                number if isinstance(number, int) else 0
                for number in (period, failures, probe.get("timeoutSeconds", 1))
            ]
            after = numbers[0] * numbers[1] + numbers[2]
            yield Probe(role, path.split("?")[0], port, after, line_of(text, key))


def _values(chart: str, name: str, text: str, data: list[Any]) -> Iterator[Workload]:
    """Yield the probes that the values of a chart define, at the top or for one of its components."""
    pending = [(chart, document, 0) for document in data]
    for called, values, depth in pending:
        if not isinstance(values, dict) or depth > _VALUES_DEPTH:
            continue
        port = get_port(values, "containerPort") or get_port(get_dict(values, "service"), "targetPort")
        port = port or get_port(get_dict(values, "service"), "port")
        if probes := tuple(_probes(text, values, {"http": port})):
            repository = get_str(get_dict(values, "image"), "repository")
            yield Workload(called, name, repository, next((p.port for p in probes if p.port), port), probes)
        pending += [(str(key), value, depth + 1) for key, value in values.items() if key not in dict(_PROBES)]
