"""Writes a first checklist and workflow from what was found, commented, so that they validate and run as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from gate.starting.look import Found, Service

_HEALTH = re.compile(r"health|ready|readiness|live")

Item = list[str]


def checklist(found: Found, service: str) -> str:
    """The text of `prodgate.yml`."""
    lines = [
        "# The checklist of the gate. `prodgate validate` checks it, `prodgate plan` says what a run will do,",
        "# `prodgate run` runs it. Everything below was found in this repository: correct it and add to it.",
        "version: 1",
        f"service: {_quoted(service)}",
        "environment: staging",
        "language: en  # or fr",
        "",
        *_targets(found),
        "sections:",
        *_sections(found),
    ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A text as YAML: JSON is a part of it. Dollars are doubled, so that no variable is read out of them."""
    return json.dumps(text.replace("$", "$$"), ensure_ascii=False)


def _id(text: str) -> str:
    made = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:60]
    return made or "x"


def _targets(found: Found) -> list[str]:
    lines = []
    api = _api(found)
    if _asks_api(found):
        port = (api.port if api else None) or 8080
        host = api.name if api else "api"
        lines += [
            "  # The service. In a workflow the gate reaches a service container by its name; elsewhere, set API_URL.",
            f'  api: {{url: "${{API_URL:-http://{host}:{port}}}", ready: {{path: {_ready_path(found)}, within: 60s}}}}',
        ]
    if found.rules or found.jobs:
        lines += [
            "  # Without a running Prometheus the items that need it are skipped, and a skipped item is a NO-GO.",
            '  prometheus: {url: "${PROMETHEUS_URL:-http://prometheus:9090}", ready: {path: /-/ready, within: 60s}}',
        ]
    return ["targets:", *lines, ""] if lines else ["targets: {}", ""]


def _api(found: Found) -> Service | None:
    built = [service for service in found.services.values() if service.built]
    return next((service for service in built if service.port), built[0] if built else None)


def _asks_api(found: Found) -> bool:
    return bool(found.endpoints)


def _ready_path(found: Found) -> str:
    """The endpoint that says least of others: liveness before readiness before health."""
    for word in ("live", "health", "ready", "metrics"):
        for path in found.endpoints:
            if word in path:
                return path
    return "/"


def _sections(found: Found) -> list[str]:
    parts = [
        ("health", "Health", list(_health(found))),
        ("metrics", "Metrics and scraping", list(_metrics(found))),
        ("rules", "Alert rules", list(_rules(found))),
        ("runbooks", "Runbooks", list(_runbooks(found))),
        ("tests", "Tests", list(_tests(found))),
    ]
    lines, seen = [], set[str]()
    for name, title, found_here in parts:
        items = [_with_own_id(item, seen) for item in found_here]
        if items:
            lines += [
                f"  - id: {name}",
                f"    title: {title}",
                "    items:",
                *(line for item in items for line in item),
            ]
    return lines or _placeholder()


def _with_own_id(item: Item, seen: set[str]) -> Item:
    """The item with a number behind its id where another one, of a name like its own, has that id."""
    at = next(number for number, line in enumerate(item) if line.lstrip().startswith("- id: "))
    line = next(made for made in [item[at], *(f"{item[at]}-{number}" for number in range(2, 9999))] if made not in seen)
    seen.add(line)
    return [*item[:at], line, *item[at + 1 :]]


def _placeholder() -> list[str]:
    return [
        "  - id: repository",
        "    title: The repository",
        "    items:",
        "      # Nothing that the gate knows was found: no rules, no health endpoints, no runbooks, no tests.",
        "      - id: repository.readme",
        "        title: README present",
        "        file: {path: README.md, size: {gt: 0}}",
    ]


def _health(found: Found) -> Iterator[Item]:
    for path, (file, line) in sorted(found.endpoints.items()):
        if _HEALTH.search(path):
            yield [
                f"      # found in {file}:{line}",
                f"      - id: health.{_id(path)}",
                f"        title: {_quoted(f'`{path}` answers')}",
                f"        http: {{target: api, path: {_quoted(path)}, status: 200}}",
            ]


def _metrics(found: Found) -> Iterator[Item]:
    if "/metrics" in found.endpoints:
        yield [
            "      - id: metrics.valid",
            '        title: "`/metrics` is a valid exposition"',
            "        requires: [api]",
            "        metrics: {target: api, valid: true}",
        ]
    for file, jobs in sorted(found.jobs.items()):
        for job in jobs:
            yield [
                f"      - id: scrape.{_id(file)}.{_id(job)}",
                f"        title: {_quoted(f'Job {job} configured')}",
                f"        scrape_config: {{file: {_quoted(file)}, job: {_quoted(job)}}}",
            ]


def _rules(found: Found) -> Iterator[Item]:
    for file in sorted(found.rules):
        yield [
            f"      - id: rules.{_id(file)}",
            f"        title: {_quoted(f'Rules of `{file}` valid')}",
            f"        alert_rules: {{file: {_quoted(file)}, valid: true}}",
        ]
        yield [
            f"      - id: loaded.{_id(file)}",
            f"        title: {_quoted(f'Rules of `{file}` loaded')}",
            "        requires: [prometheus]",
            f"        loaded_rules: {{target: prometheus, file: {_quoted(file)}}}",
        ]


def _runbooks(found: Found) -> Iterator[Item]:
    for file, sections in sorted(found.runbooks.items()):
        if sections:
            wanted = ", ".join(_quoted(section) for section in dict.fromkeys(sections))
            yield [
                f"      - id: runbook.{_id(file)}",
                f"        title: {_quoted(f'Runbook `{file}` filled in')}",
                f"        document: {{file: {_quoted(file)}, sections: [{wanted}]}}",
            ]


def _tests(found: Found) -> Iterator[Item]:
    for command in found.tests:
        words = ", ".join(_quoted(word) for word in command)
        yield [
            f"      - id: tests.{_id(command[0])}",
            f"        title: {_quoted('`' + ' '.join(command) + '` passes')}",
            "        timeout: 15m",
            f"        command: {{run: [{words}], exit: 0}}",
        ]


def workflow(found: Found) -> str:
    """The text of `.github/workflows/prodgate.yml`."""
    stores = {name: service for name, service in found.services.items() if service.store and "$" not in service.image}
    lines = [
        "# The gate. Require its status, `prodgate`, on your branch: a NO-GO then stops the merge.",
        "name: prodgate",
        "on: [pull_request, merge_group]",
        "permissions: {contents: read, statuses: write, pull-requests: write}",
        "jobs:",
        "  gate:",
        "    runs-on: ubuntu-latest",
    ]
    if stores:
        lines.append("    services:")
        lines += [line for name, service in sorted(stores.items()) for line in _service(name, service)]
    lines += [
        "    steps:",
        "      - uses: actions/checkout@v5",
        "      - uses: org/prodgate-action@v1",
        "        with: {file: prodgate.yml}",
    ]
    return "\n".join(lines) + "\n"


def _service(name: str, service: Service) -> list[str]:
    lines = [f"      {_id(name)}:", f"        image: {json.dumps(service.image)}"]
    pairs = [(key, value) for key, value in service.environment if "${" not in value]
    if pairs:
        lines.append("        env:")
        lines += [f"          {json.dumps(key)}: {json.dumps(value)}" for key, value in pairs]
    return lines
