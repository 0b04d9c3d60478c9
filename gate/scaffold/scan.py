"""Scan a repository for what the gate can check: rules, scrape jobs, runbooks, endpoints, services, tests.

Reads files, runs nothing.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from msgspec import Struct, field, structs

from gate.scaffold.files import RepoFiles, documents, get_dict, get_list, is_test, list_files
from gate.scaffold.model import Build, Endpoint, Service
from gate.scaffold.proposals.test_suites import Suites, find_suites
from gate.scaffold.readers.compose import read_services, unused_profiles
from gate.scaffold.readers.compose_files import Project, projects
from gate.scaffold.readers.dockerfiles import dockerfiles, exposed, health
from gate.scaffold.readers.endpoints import endpoints
from gate.scaffold.readers.handlers import handler_body, is_exposition
from gate.scaffold.readers.images import find_build, is_foreign
from gate.scaffold.readers.kubernetes import Manifests, read_manifests
from gate.scaffold.readers.prometheus import Alert, ScrapeSetup, is_configuration, read_alerts, read_scrape_setup
from gate.scaffold.readers.workflows import Workflows, read_workflows
from gate.source import markdown

_RUNBOOK = re.compile(r"(?i)(?:^|/)(?:(?:run|play)books?/.*|(?:run|play)book[^/]*)\.(?:md|markdown)$")
_NO_RUNBOOK = re.compile(r"(?i)(?:^|/)(?:readme|index|template|_[^/]*)\.(?:md|markdown)$|/templates?/")
_SECTIONS = 12
_MAGIC = re.compile(r"[*?\[]")


class Runbook(Struct, frozen=True):
    """A runbook's headings: those with text under them, and those without."""

    filled: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()


class ScanResult(Struct):
    """The result of a scan. Paths are relative to the repository, with forward slashes."""

    files: RepoFiles
    workflows: Workflows
    manifests: Manifests
    suites: Suites
    project: Project | None = None
    rules: dict[str, list[Alert]] = field(default_factory=dict)
    scraping: dict[str, ScrapeSetup] = field(default_factory=dict)
    alertmanagers: dict[str, Any] = field(default_factory=dict)
    runbooks: dict[str, Runbook] = field(default_factory=dict)
    endpoints: list[Endpoint] = field(default_factory=list)
    services: dict[str, Service] = field(default_factory=dict)
    builds: list[Build] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def scan(root: Path) -> ScanResult:
    """Scan a repository, except its tests and files whose name contains glob characters."""
    files = list_files(root)
    workflows = read_workflows(files)
    found = ScanResult(files, workflows, read_manifests(files), find_suites(files, workflows.jobs))
    found.builds = dockerfiles(files)
    for endpoint in endpoints(files):
        # A handler that calls another function is judged by its whole file.
        sources = (handler_body(files, endpoint), files.text(endpoint.file))
        if endpoint.is_metrics and not any(map(is_exposition, sources)):
            text = "its handler says nothing of Prometheus"
            found.left_out.append(f"{endpoint.path} ({endpoint.file}:{endpoint.line}): {text}")
        else:
            found.endpoints.append(endpoint)
    _read_compose(found)
    for name in files.names:
        if _MAGIC.search(name) or is_test(name):
            continue
        if name.endswith((".yml", ".yaml", ".rules")):
            _read_yaml(name, files.text(name), found)
        elif _RUNBOOK.search(name) and not _NO_RUNBOOK.search(name):
            found.runbooks[name] = _runbook(files.text(name))
    found.left_out += [*files.left_out, *found.suites.left_out, *workflows.not_taken, *found.manifests.not_read]
    return found


def _read_compose(found: ScanResult) -> None:
    """Read the services of the first Compose project, and of those beside it; variants of them are named.

    A project is beside another one if it builds a service of this repository and shares no name with it.
    """
    left: list[Project] = []
    every = projects(found.files)
    found.project = next(iter(every), None)
    for project in every:
        beside = project.builds and not project.is_auxiliary and not found.services.keys() & project.services.keys()
        if project is not every[0] and not beside:
            left.append(project)
            continue
        services = read_services(found.files, project)
        found.services |= {name: _judged(found, service) for name, service in services.items()}
        for name in unused_profiles(project, services):
            found.left_out.append(f"the service {name} of {project.files[0]}: only a profile starts it")
    if left:
        named = ", ".join(f"{project.files[0]} ({', '.join(project.services)})"[:120] for project in left[:3])
        more = f" and {len(left) - 3} more" if len(left) > 3 else ""
        found.left_out.append(f"other Compose projects than {every[0].files[0]}: {named}{more}")


def _judged(found: ScanResult, service: Service) -> Service:
    """Return a service that is built from the commit, if a Dockerfile of the commit builds its released image."""
    if service.build or service.store or service.is_prometheus or service.is_alertmanager or is_foreign(service):
        return service
    build = find_build(found.files, service, found.builds, found.workflows.images)
    if build is None:
        return service
    check = health(found.files, build)
    port = service.port or exposed(found.files, build)
    if service.health is None and check:
        service = structs.replace(service, health=check[0])
        port = check[1]
    return structs.replace(service, build=build, image="", variable="", port=port)


def _read_yaml(name: str, text: str, found: ScanResult) -> None:
    data = next(iter(documents(text)), None) if is_configuration(text) else None
    if any(get_list(group, "rules") for group in get_list(data, "groups")):
        found.rules[name] = read_alerts(data)
    elif get_list(data, "scrape_configs"):
        found.scraping[name] = read_scrape_setup(data)
    elif get_dict(data, "route") and get_list(data, "receivers"):
        found.alertmanagers[name] = data


def _runbook(text: str) -> Runbook:
    """Return the second-level headings, as the `document` check reads them: without markup, and outside of code."""
    sections = [section for section in markdown.sections(text) if section.level == 2 and section.title]
    filled = dict.fromkeys(section.title for section in sections if section.words)
    empty = dict.fromkeys(section.title for section in sections if section.title not in filled)
    return Runbook(tuple(filled)[:_SECTIONS], tuple(empty)[:_SECTIONS])
