"""Reads the parts of a prometheus.yml that a gate asks about: what is scraped, and which rule files are loaded.

https://prometheus.io/docs/prometheus/latest/configuration/configuration/
"""

from __future__ import annotations

from dataclasses import dataclass

from gate.messages import Message, say
from gate.prometheus import durations
from gate.prometheus.tree import BadYaml, Mapping, Node, Scalar, Sequence, parse

DEFAULT_INTERVAL = 60.0
"""Seconds between two scrapes, and between two evaluations, where the file does not say."""


class BadConfig(Exception):
    """A configuration that Prometheus would not load. Lines count from 1."""

    def __init__(self, reason: Message, line: int, column: int = 1) -> None:
        super().__init__(str(reason))
        self.reason, self.line, self.column = reason, line, column


@dataclass(frozen=True)
class Job:
    """A job of `scrape_configs`. `addresses` are those of its static configuration, `discovery` its other ways."""

    name: str
    line: int
    metrics_path: str
    scheme: str
    interval: float
    addresses: tuple[str, ...] = ()
    discovery: tuple[str, ...] = ()


@dataclass(frozen=True)
class Config:
    """What a prometheus.yml says. Intervals are in seconds."""

    jobs: tuple[Job, ...] = ()
    rule_files: tuple[str, ...] = ()
    scrape_interval: float = DEFAULT_INTERVAL
    evaluation_interval: float = DEFAULT_INTERVAL


def read(raw: bytes) -> Config:
    """Reads a prometheus.yml. Raises BadConfig."""
    try:
        root, _ = parse(raw)
    except BadYaml as bad:
        raise BadConfig(bad.reason, bad.line, bad.column) from None
    if root is None or (isinstance(root, Scalar) and root.null):
        return Config()
    top = _entries(root)
    general = _entries(top["global"]) if "global" in top else {}
    scrape = _interval(general.get("scrape_interval"), DEFAULT_INTERVAL)
    return Config(
        jobs=_jobs(top.get("scrape_configs"), scrape),
        rule_files=tuple(_text(node) for node in _list(top.get("rule_files"))),
        scrape_interval=scrape,
        evaluation_interval=_interval(general.get("evaluation_interval"), DEFAULT_INTERVAL),
    )


def _jobs(node: Node | None, interval: float) -> tuple[Job, ...]:
    jobs: list[Job] = []
    for entry in _list(node):
        job = _job(entry, interval)
        before = next((other for other in jobs if other.name == job.name), None)
        if before:
            raise BadConfig(say("The job {name} stands in the file before, on line {line}",
                                name=job.name, line=before.line), job.line)  # fmt: skip
        jobs.append(job)
    return tuple(jobs)


def _job(node: Node, interval: float) -> Job:
    entries = _entries(node)
    name = _text(entries.get("job_name"))
    if not name:
        raise BadConfig(say("A scrape configuration has no job_name"), node.line, node.column)
    static = [_entries(entry) for entry in _list(entries.get("static_configs"))]
    return Job(
        name=name,
        line=node.line,
        metrics_path=_text(entries.get("metrics_path")) or "/metrics",
        scheme=_text(entries.get("scheme")) or "http",
        interval=_interval(entries.get("scrape_interval"), interval),
        addresses=tuple(_text(address) for entry in static for address in _list(entry.get("targets"))),
        discovery=tuple(key for key in entries if key.endswith("_sd_configs")),
    )


def _entries(node: Node) -> dict[str, Node]:
    if isinstance(node, Scalar) and node.null:
        return {}
    if not isinstance(node, Mapping):
        raise BadConfig(say("A mapping is expected here"), node.line, node.column)
    found: dict[str, Node] = {}
    for key, value in node.entries:
        name = _text(key)
        if name in found:
            raise BadConfig(say("The key '{key}' stands here twice", key=name), key.line, key.column)
        found[name] = value
    return found


def _list(node: Node | None) -> list[Node]:
    if node is None or (isinstance(node, Scalar) and node.null):
        return []
    if not isinstance(node, Sequence):
        raise BadConfig(say("A list is expected here"), node.line, node.column)
    return node.entries


def _text(node: Node | None) -> str:
    if node is None:
        return ""
    if not isinstance(node, Scalar):
        raise BadConfig(say("Text is expected here, not a list or a mapping"), node.line, node.column)
    return "" if node.null else node.value


def _interval(node: Node | None, otherwise: float) -> float:
    if node is None or (isinstance(node, Scalar) and node.null):
        return otherwise
    found = durations.seconds(_text(node))
    if found is None:
        raise BadConfig(say("{text} is not a duration, such as 30s or 1h30m", text=_text(node)), node.line, node.column)
    return found
