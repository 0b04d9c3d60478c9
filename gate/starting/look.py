"""What a repository has that a gate can check: rules, scrape jobs, runbooks, endpoints, services, tests.

Reads files, runs nothing.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from gate import markdown
from gate.starting.compose import Service, services
from gate.starting.endpoints import endpoints
from gate.starting.files import Endpoint, Files, documents, entries, is_test, seen, word
from gate.starting.suites import Suite, suites

_RUNBOOK = re.compile(r"(?i)(?:^|/)(?:(?:run|play)books?/.*|(?:run|play)book[^/]*)\.(?:md|markdown)$")
_NO_RUNBOOK = re.compile(r"(?i)(?:^|/)(?:readme|index|template|_[^/]*)\.(?:md|markdown)$|/templates?/")
_SECTIONS = 12
_MAGIC = re.compile(r"[*?\[]")


class Scraping(Struct, frozen=True):
    """A Prometheus configuration: its jobs with their addresses, and the rule files that it loads."""

    jobs: tuple[tuple[str, tuple[str, ...]], ...]
    rule_files: tuple[str, ...] = ()


class Runbook(Struct, frozen=True):
    """A runbook's headings: those with text under them, and those without."""

    filled: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()


class Found(Struct):
    """What was found. Paths are relative to the repository, with forward slashes."""

    files: Files
    rules: list[str] = field(default_factory=list)
    kubernetes: list[str] = field(default_factory=list)
    scraping: dict[str, Scraping] = field(default_factory=dict)
    runbooks: dict[str, Runbook] = field(default_factory=dict)
    endpoints: list[Endpoint] = field(default_factory=list)
    services: dict[str, Service] = field(default_factory=dict)
    suites: list[Suite] = field(default_factory=list)


def look(root: Path) -> Found:
    """Everything that is found in a repository, but what belongs to its tests, or has a name that is a glob."""
    files = seen(root)
    found = Found(files, endpoints=endpoints(files), services=services(files), suites=suites(files))
    for name in files.names:
        if _MAGIC.search(name) or is_test(name):
            continue
        if name.endswith((".yml", ".yaml", ".rules")):
            _yaml(name, files.text(name), found)
        elif _RUNBOOK.search(name) and not _NO_RUNBOOK.search(name):
            found.runbooks[name] = _runbook(files.text(name))
    return found


def _yaml(name: str, text: str, found: Found) -> None:
    if not re.search(r"(?m)^(?:groups|scrape_configs):|^kind:\s*PrometheusRule", text):
        return
    for number, data in enumerate(documents(text)):
        if word(data, "kind") == "PrometheusRule":
            found.kubernetes += [name] if name not in found.kubernetes else []
        elif number == 0 and any(entries(group, "rules") for group in entries(data, "groups")):
            found.rules.append(name)
        elif number == 0 and entries(data, "scrape_configs"):
            found.scraping[name] = _scraping(data)


def _scraping(data: Any) -> Scraping:
    jobs = []
    for job in entries(data, "scrape_configs"):
        static = [address for each in entries(job, "static_configs") for address in entries(each, "targets")]
        if name := word(job, "job_name"):
            jobs.append((name, tuple(address for address in static if isinstance(address, str))))
    files = tuple(pattern for pattern in entries(data, "rule_files") if isinstance(pattern, str))
    return Scraping(tuple(jobs), files)


def _runbook(text: str) -> Runbook:
    """The headings of the second level, as the check `document` reads them: without markup, and none of code."""
    sections = [section for section in markdown.sections(text) if section.level == 2 and section.title]
    filled = dict.fromkeys(section.title for section in sections if section.words)
    empty = dict.fromkeys(section.title for section in sections if section.title not in filled)
    return Runbook(tuple(filled)[:_SECTIONS], tuple(empty)[:_SECTIONS])
