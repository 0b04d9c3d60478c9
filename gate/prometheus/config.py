"""Reads the parts of a prometheus.yml that a gate asks about: what is scraped, and which rule files are loaded.

https://prometheus.io/docs/prometheus/latest/configuration/configuration/
"""

from __future__ import annotations

import difflib
import re

from msgspec import Struct

from gate.messages import Message, say
from gate.prometheus import durations
from gate.prometheus.config_keys import DISCOVERY, TOP, Keys
from gate.prometheus.tree import BadYaml, Mapping, Node, Scalar, Sequence, parse

DEFAULT_INTERVAL = 60.0
"""Seconds between two scrapes, and between two evaluations, where the file does not say."""
_RULE_FILE = re.compile(r"[^*]*(?:\*[^/]*)?")
_MERGE_DEPTH = 8
_MISSPELT = 0.75
"""From how alike on two words are one, as difflib counts."""


class BadConfig(Exception):
    """A configuration that Prometheus would not load. Lines count from 1."""

    def __init__(self, reason: Message, line: int, column: int = 1) -> None:
        super().__init__(str(reason))
        self.reason, self.line, self.column = reason, line, column


class Job(Struct, frozen=True):
    """A job of `scrape_configs`. `addresses` are those of its static configuration, `discovery` its other ways."""

    name: str
    line: int
    metrics_path: str
    scheme: str
    interval: float
    addresses: tuple[str, ...] = ()
    discovery: tuple[str, ...] = ()
    fallback_protocol: str = ""
    """What to parse a response as whose Content-Type does not say it."""


class Config(Struct, frozen=True):
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
    _look_at_keys(root, TOP, set())
    top = _entries(root)
    general = _entries(top["global"]) if "global" in top else {}
    scrape = _interval(general.get("scrape_interval"), DEFAULT_INTERVAL)
    _look_at_timeout(general, scrape)
    return Config(
        jobs=_jobs(top.get("scrape_configs"), scrape),
        rule_files=tuple(_rule_file(node) for node in _list(top.get("rule_files"))),
        scrape_interval=scrape,
        evaluation_interval=_interval(general.get("evaluation_interval"), DEFAULT_INTERVAL),
    )


def _look_at_keys(node: Node, known: Keys, seen: set[tuple[int, int]]) -> None:
    """Raises BadConfig for the first key that Prometheus does not know, here or below. Each node is looked at once."""
    for each in node.entries if isinstance(node, Sequence) else [node]:
        if not isinstance(each, Mapping) or (id(each), id(known)) in seen:
            continue
        seen.add((id(each), id(known)))
        for key, value in _pairs(each):
            name = _text(key)
            below = known.get(name)
            if below is not None:
                _look_at_keys(value, below, seen)
            elif name not in known:
                _look_at_unknown(key, name, known)


def _look_at_unknown(key: Node, name: str, known: Keys) -> None:
    """Raises BadConfig, unless it may be a way of discovery that nobody here knows."""
    way, discovers = name.removesuffix("_sd_configs"), name.endswith("_sd_configs") and "aws_sd_configs" in known
    if discovers:
        near = [f"{other}_sd_configs" for other in difflib.get_close_matches(way, DISCOVERY, n=1, cutoff=_MISSPELT)]
    else:
        near = difflib.get_close_matches(name, known, n=1)
    if near:
        what = say("Prometheus knows no key '{key}' here; did you mean '{near}'?", key=name, near=near[0])
        raise BadConfig(what, key.line, key.column)
    if not discovers:
        raise BadConfig(say("Prometheus knows no key '{key}' here", key=name), key.line, key.column)


def _look_at_timeout(entries: dict[str, Node], interval: float) -> None:
    node = entries.get("scrape_timeout")
    timeout = _interval(node, 0.0)
    if node is not None and timeout > interval:
        raise BadConfig(say("scrape_timeout is longer than the scrape interval"), node.line, node.column)


def _rule_file(node: Node) -> str:
    name = _text(node)
    if not _RULE_FILE.fullmatch(name):
        what = say("{path} is no path of rule files: only its last part may have an asterisk", path=name)
        raise BadConfig(what, node.line, node.column)
    return name


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
    addresses = [address for entry in static for address in _list(entry.get("targets"))]
    scrape = _interval(entries.get("scrape_interval"), interval)
    _look_at_timeout(entries, scrape)
    for address in addresses if not _list(entries.get("relabel_configs")) else []:
        if "/" in _text(address):
            what = say("{address} is no target: a host and a port are expected, without a scheme and a path",
                       address=_text(address))  # fmt: skip
            raise BadConfig(what, address.line, address.column)
    return Job(
        name=name,
        line=node.line,
        metrics_path=_text(entries.get("metrics_path")) or "/metrics",
        scheme=_text(entries.get("scheme")) or "http",
        interval=scrape,
        addresses=tuple(_text(address) for address in addresses),
        discovery=tuple(key for key in entries if key.endswith("_sd_configs")),
        fallback_protocol=_text(entries.get("fallback_scrape_protocol")),
    )


def _entries(node: Node) -> dict[str, Node]:
    return {_text(key): value for key, value in _pairs(node)}


def _pairs(node: Node, depth: int = 0) -> list[tuple[Node, Node]]:
    """The keys and values of a mapping, those that `<<` merges into it last; none of nothing."""
    if isinstance(node, Scalar) and node.null:
        return []
    if not isinstance(node, Mapping):
        raise BadConfig(say("A mapping is expected here"), node.line, node.column)
    if depth > _MERGE_DEPTH:
        raise BadConfig(say("'<<' is nested too deeply"), node.line, node.column)
    found: dict[str, tuple[Node, Node]] = {}
    merged: list[Node] = []
    for key, value in node.entries:
        name = _text(key)
        if name == "<<":
            merged += value.entries if isinstance(value, Sequence) else [value]
        elif name in found:
            raise BadConfig(say("The key '{key}' stands here twice", key=name), key.line, key.column)
        else:
            found[name] = (key, value)
    for source in merged:
        for key, value in _pairs(source, depth + 1):
            found.setdefault(_text(key), (key, value))
    return list(found.values())


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
    return found or otherwise  # 0 says nothing, as in Prometheus
