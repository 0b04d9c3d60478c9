"""Read Prometheus configurations and rule files: jobs, intervals, and what the alerts' expressions name."""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct

from gate.scaffold.files import get_dict, get_list, get_str
from gate.scaffold.readers.compose import seconds

_MINUTE = 60.0


class Job(Struct, frozen=True):
    """A scrape job: its addresses and its interval in seconds."""

    name: str
    addresses: tuple[str, ...]
    interval: float


class ScrapeSetup(Struct, frozen=True):
    """A Prometheus configuration: its jobs, the rule files that it loads, and its Alertmanagers."""

    jobs: tuple[Job, ...]
    rule_files: tuple[str, ...] = ()
    evaluation_interval: float = _MINUTE
    alertmanagers: tuple[str, ...] = ()


class Alert(Struct, frozen=True):
    """An alert of a rule file. `interval` is its group's in seconds, 0 if it has none."""

    name: str
    expression: str
    wait: float
    interval: float
    labels: tuple[tuple[str, str], ...] = ()


def read_scrape_setup(data: Any) -> ScrapeSetup:
    """Return a Prometheus configuration."""
    settings = get_dict(data, "global")
    usual = seconds(settings.get("scrape_interval"), _MINUTE)
    jobs = tuple(
        Job(name, _addresses(job), seconds(job.get("scrape_interval"), usual))
        for job in get_list(data, "scrape_configs")
        if (name := get_str(job, "job_name"))
    )
    files = tuple(pattern for pattern in get_list(data, "rule_files") if isinstance(pattern, str))
    managers = [
        address for each in get_list(get_dict(data, "alerting"), "alertmanagers") for address in _addresses(each)
    ]
    return ScrapeSetup(jobs, files, seconds(settings.get("evaluation_interval"), _MINUTE), tuple(managers))


def _addresses(data: Any) -> tuple[str, ...]:
    static = [address for entry in get_list(data, "static_configs") for address in get_list(entry, "targets")]
    return tuple(address for address in static if isinstance(address, str))


def read_alerts(data: Any) -> list[Alert]:
    """Return the alerts of a rule file."""
    return [
        Alert(
            name,
            str(rule.get("expr", "")),
            seconds(rule.get("for"), 0.0),
            seconds(group.get("interval"), 0.0),
            tuple((str(key), str(value)) for key, value in get_dict(rule, "labels").items()),
        )
        for group in get_list(data, "groups")
        if isinstance(group, dict)
        for rule in get_list(group, "rules")
        if isinstance(rule, dict) and (name := get_str(rule, "alert"))
    ]


def is_configuration(text: str) -> bool:
    """Return whether a text may be a rule file or a configuration, before it is parsed."""
    return bool(re.search(r"(?m)^(?:groups|scrape_configs|receivers):", text))
