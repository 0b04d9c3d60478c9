"""Find dashboards in Kubernetes manifests: as JSON in a ConfigMap, or in the grafana-operator's GrafanaDashboard."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from gate.prometheus import yaml_tree
from gate.prometheus.yaml_tree import Alias, Mapping, Node, Scalar, Sequence


class EmbeddedText(Struct, frozen=True):
    """A JSON text inside of a file, and how many lines and columns stand before it."""

    text: str
    lines: int = 0
    columns: int = 0


def find_texts(raw: bytes) -> list[EmbeddedText]:
    """Return the JSON texts of all dashboards of a file of manifests. Raise YamlSyntaxError."""
    lines = raw.decode("utf-8", "replace").splitlines()
    return [_embedded(scalar, lines) for document in yaml_tree.parse_all(raw) for scalar in _scalars(document)]


def _scalars(document: Node) -> Iterator[Scalar]:
    items = _value(document, "items")
    for manifest in items.entries if isinstance(items, Sequence) else [document]:
        kind = _value(manifest, "kind")
        name = kind.value if isinstance(kind, Scalar) else ""
        if name == "ConfigMap" and isinstance(data := _value(manifest, "data"), Mapping):
            for key, value in data.entries:
                if isinstance(key, Scalar) and key.value.endswith(".json") and isinstance(value, Scalar):
                    yield value
        elif name == "GrafanaDashboard" and isinstance(text := _value(_value(manifest, "spec"), "json"), Scalar):
            yield text


def _value(holder: Node | None, key: str) -> Node | None:
    node = holder.target if isinstance(holder, Alias) else holder
    if not isinstance(node, Mapping):
        return None
    return next((value for name, value in node.entries if isinstance(name, Scalar) and name.value == key), None)


def _embedded(scalar: Scalar, lines: list[str]) -> EmbeddedText:
    if not scalar.block:
        return EmbeddedText(scalar.value, scalar.line - 1, scalar.column - (0 if not scalar.plain else 1))
    first = lines[scalar.line] if scalar.line < len(lines) else ""
    return EmbeddedText(scalar.value, scalar.line, len(first) - len(first.lstrip(" ")))
