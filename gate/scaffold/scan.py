"""Scan a repository for what the gate can check: rules, scrape jobs, runbooks, endpoints, services, tests.

Reads files, runs nothing.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from gate.scaffold.compose import Service, services
from gate.scaffold.endpoints import endpoints
from gate.scaffold.files import Endpoint, RepoFiles, documents, get_list, get_str, is_test, list_files
from gate.scaffold.test_suites import Suite, find_suites
from gate.source import markdown

_RUNBOOK = re.compile(r"(?i)(?:^|/)(?:(?:run|play)books?/.*|(?:run|play)book[^/]*)\.(?:md|markdown)$")
_NO_RUNBOOK = re.compile(r"(?i)(?:^|/)(?:readme|index|template|_[^/]*)\.(?:md|markdown)$|/templates?/")
_SECTIONS = 12
_MAGIC = re.compile(r"[*?\[]")


class ScrapeSetup(Struct, frozen=True):
    """A Prometheus configuration: its jobs with their addresses, and the rule files that it loads."""

    jobs: tuple[tuple[str, tuple[str, ...]], ...]
    rule_files: tuple[str, ...] = ()


class Runbook(Struct, frozen=True):
    """A runbook's headings: those with text under them, and those without."""

    filled: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()


class ScanResult(Struct):
    """The result of a scan. Paths are relative to the repository, with forward slashes."""

    files: RepoFiles
    rules: list[str] = field(default_factory=list)
    kubernetes: list[str] = field(default_factory=list)
    scraping: dict[str, ScrapeSetup] = field(default_factory=dict)
    runbooks: dict[str, Runbook] = field(default_factory=dict)
    endpoints: list[Endpoint] = field(default_factory=list)
    services: dict[str, Service] = field(default_factory=dict)
    suites: list[Suite] = field(default_factory=list)


def scan(root: Path) -> ScanResult:
    """Scan a repository, except its tests and files whose name contains glob characters."""
    files = list_files(root)
    found = ScanResult(files, endpoints=endpoints(files), services=services(files), suites=find_suites(files))
    for name in files.names:
        if _MAGIC.search(name) or is_test(name):
            continue
        if name.endswith((".yml", ".yaml", ".rules")):
            _yaml(name, files.text(name), found)
        elif _RUNBOOK.search(name) and not _NO_RUNBOOK.search(name):
            found.runbooks[name] = _runbook(files.text(name))
    return found


def _yaml(name: str, text: str, found: ScanResult) -> None:
    if not re.search(r"(?m)^(?:groups|scrape_configs):|^kind:\s*PrometheusRule", text):
        return
    for number, data in enumerate(documents(text)):
        if get_str(data, "kind") == "PrometheusRule":
            found.kubernetes += [name] if name not in found.kubernetes else []
        elif number == 0 and any(get_list(group, "rules") for group in get_list(data, "groups")):
            found.rules.append(name)
        elif number == 0 and get_list(data, "scrape_configs"):
            found.scraping[name] = _scraping(data)


def _scraping(data: Any) -> ScrapeSetup:
    jobs = []
    for job in get_list(data, "scrape_configs"):
        static = [address for each in get_list(job, "static_configs") for address in get_list(each, "targets")]
        if name := get_str(job, "job_name"):
            jobs.append((name, tuple(address for address in static if isinstance(address, str))))
    files = tuple(pattern for pattern in get_list(data, "rule_files") if isinstance(pattern, str))
    return ScrapeSetup(tuple(jobs), files)


def _runbook(text: str) -> Runbook:
    """Return the second-level headings, as the `document` check reads them: without markup, and outside of code."""
    sections = [section for section in markdown.sections(text) if section.level == 2 and section.title]
    filled = dict.fromkeys(section.title for section in sections if section.words)
    empty = dict.fromkeys(section.title for section in sections if section.title not in filled)
    return Runbook(tuple(filled)[:_SECTIONS], tuple(empty)[:_SECTIONS])
