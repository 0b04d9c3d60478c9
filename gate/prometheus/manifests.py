"""Read the manifests of the Prometheus Operator: `PrometheusRule` as a rule file, `ServiceMonitor` as jobs.

A file may hold several documents and lists of objects; other objects in it are skipped. Nodes keep their lines, so
that problems are reported where they are in the manifest.
https://prometheus-operator.dev/docs/api-reference/api/
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from gate.core.messages import msg
from gate.prometheus.goyaml import Problem
from gate.prometheus.yaml_tree import Alias, Mapping, Node, Scalar, Sequence, YamlSyntaxError, parse_all

_API = "monitoring.coreos.com/v1"
Kind = Literal["PrometheusRule", "ServiceMonitor"]
# Maximum number of nodes of a converted manifest: aliases could multiply them without end.
_NODES = 1_000_000
_DEPTH = 60
# Plain scalars that mean the same inside of brackets.
_BARE = re.compile(r"[A-Za-z0-9_.+-]+", re.ASCII)


class ManifestObject(Struct, frozen=True):
    """An object of Kubernetes. `spec` is None if it has none."""

    kind: str
    name: str
    namespace: str
    node: Mapping
    spec: Mapping | None


class Manifest(Struct, frozen=True):
    """The objects of one kind in a file, and its problems."""

    objects: tuple[ManifestObject, ...]
    problems: tuple[Problem, ...]


def read_manifest(raw: bytes, kind: Kind) -> Manifest | None:
    """Return the objects of a kind; None if the file is not a manifest of Kubernetes."""
    if b"apiVersion" not in raw or b"kind" not in raw:
        return None
    try:
        documents = parse_all(raw)
    except YamlSyntaxError as error:
        # Whoever reads it as a file of Prometheus finds the same error, unless it is behind the first document.
        looks_like_one = re.search(rb"^apiVersion:", raw, re.MULTILINE) and re.search(rb"^kind:", raw, re.MULTILINE)
        return Manifest((), (Problem(error.line, error.column, error.message),)) if looks_like_one else None
    # Prometheus ignores all documents of a file of its own but the first.
    first = next((document for document in documents if not (isinstance(document, Scalar) and document.null)), None)
    if first is None or not any(_objects(first)):
        return None
    objects = [each for document in documents for each in _objects(document)]
    wanted = tuple(each for each in objects if each.kind == kind)
    if not wanted:
        kinds = ", ".join(dict.fromkeys(each.kind for each in objects))
        nothing = msg("The manifest has no {kind}, but {kinds}", kind=kind, kinds=kinds)
        return Manifest((), (Problem(1, 1, nothing),))
    return Manifest(wanted, tuple(problem for each in wanted for problem in _problems(each)))


def _objects(document: Node) -> Iterator[ManifestObject]:
    """Yield the objects of a document; those of a list one by one."""
    if not isinstance(document, Mapping):
        return
    kind, api = value_of(document, "kind"), value_of(document, "apiVersion")
    if not isinstance(kind, Scalar) or not isinstance(api, Scalar):
        return
    items = value_of(document, "items")
    if kind.value.endswith("List") and isinstance(items, Sequence):
        for item in items.entries:
            yield from _objects(target_of(item))
        return
    metadata, spec = value_of(document, "metadata"), value_of(document, "spec")
    yield ManifestObject(
        kind.value,
        text_of(metadata, "name"),
        text_of(metadata, "namespace") or "default",
        document,
        spec if isinstance(spec, Mapping) else None,
    )


def _problems(entry: ManifestObject) -> Iterator[Problem]:
    api = value_of(entry.node, "apiVersion")
    if isinstance(api, Scalar) and api.value != _API:
        yield Problem(api.line, api.column, msg("{kind} has the apiVersion {api}, not {given}", kind=entry.kind,
                                                api=_API, given=api.value or '""'))  # fmt: skip
    if not entry.name:
        yield Problem(entry.node.line, entry.node.column, msg("'{key}' is missing or empty", key="metadata.name"))
    if entry.spec is None:
        yield Problem(entry.node.line, entry.node.column, msg("'{key}' is missing or empty", key="spec"))


def target_of(node: Node) -> Scalar | Sequence | Mapping:
    """Return a node, or what an alias refers to."""
    return node.target if isinstance(node, Alias) else node


def value_of(node: Node | None, key: str) -> Scalar | Sequence | Mapping | None:
    """Return the value of a key of a mapping, else None."""
    for name, value in node.entries if isinstance(node, Mapping) else ():
        if isinstance(name, Scalar) and name.value == key:
            return target_of(value)
    return None


def text_of(node: Node | None, key: str) -> str:
    """Return the text of a key of a mapping; empty if it has none."""
    value = value_of(node, key)
    return value.value if isinstance(value, Scalar) and not value.null else ""


def without_keys(node: Node, keys: frozenset[str]) -> Node:
    """Return a mapping without some keys, and any other node as it is."""
    target = target_of(node)
    if not isinstance(target, Mapping):
        return node
    entries = [(key, value) for key, value in target.entries if not (isinstance(key, Scalar) and key.value in keys)]
    return Mapping(entries, target.line, target.column)


def to_yaml(node: Node) -> bytes:
    """Return a node as YAML in one line, with scalars of the same types. Raise YamlSyntaxError if it is too large."""
    parts: list[str] = []
    _write(node, parts, 0)
    return ("".join(parts) + "\n").encode("utf-8", "surrogatepass")


def _write(node: Node, parts: list[str], depth: int) -> None:
    if depth > _DEPTH or len(parts) > _NODES:
        raise YamlSyntaxError(msg("The file consists of too many aliases"), node.line, node.column)
    target = target_of(node)
    if isinstance(target, Scalar):
        parts.append(_scalar(target))
        return
    is_mapping = isinstance(target, Mapping)
    parts.append("{" if is_mapping else "[")
    for entry in target.entries:
        key, value = entry if isinstance(entry, tuple) else (None, entry)
        if key is not None:
            _write(key, parts, depth + 1)
            parts.append(": ")
        _write(value, parts, depth + 1)
        parts.append(", ")
    parts.append("}" if is_mapping else "]")


def _scalar(node: Scalar) -> str:
    if node.tag and node.tag != "!":
        return f"{node.tag} {json.dumps(node.value)}" if node.tag.startswith("!") else json.dumps(node.value)
    if node.plain and (_BARE.fullmatch(node.value) or node.value in ("~", "<<")):
        return node.value
    return "~" if node.plain and not node.value else json.dumps(node.value, ensure_ascii=False)
