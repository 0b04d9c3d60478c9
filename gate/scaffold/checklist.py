"""Generate a first checklist, with comments, that validates and runs as it is."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator

from gate.scaffold.compose import Service
from gate.scaffold.scan import ScanResult
from gate.scaffold.test_suites import Suite
from gate.scaffold.wiring import CONFIG, Wiring, image_tag, needs_prebuild, services_behind

_METRICS = re.compile(r"metrics|prometheus")
# Time for the first scrape of a new target by a Prometheus with the usual intervals.
_SCRAPED = "90s"

Item = list[str]


def checklist(found: ScanResult, made: Wiring, service: str) -> str:
    """Return the text of `prodgate.yml`."""
    sections = list(_sections(found, made))
    told = [*_left_out(found, made)]
    lines = [
        "# The checklist of the gate. `prodgate validate` checks it, `prodgate plan` says what a run will do,",
        "# `prodgate run` runs it, and .github/workflows/prodgate.yml does so for every pull request.",
        *(_FOUND if sections else _NOTHING),
        *(["#", "# Not in it:", *told] if told else []),
        "version: 1",
        f"service: {quoted(service)}",
        "environment: staging",
        "language: en  # or fr",
        "",
        *_targets(found, made),
        "sections:",
        *(sections or _placeholder()),
    ]
    return "\n".join(lines) + "\n"


_FOUND = ["# What is in it was found in this repository: correct it, and add what only you know."]
_NOTHING = [
    "# Nothing that the gate knows was found: no rule file, scrape configuration, runbook, health endpoint, Compose",
    "# file or test suite. So there is one item, which fails until one of your own stands in its place. Begin with",
    "#   - a target: how your service is reached or started",
    "#   - `http`: its health endpoint; `tests`: the results of your tests; `file`, `document`: what has to be there",
]


_HOW = "nothing here says how it is built, and on which port it listens"
_WHERE = "nothing here says under which path its router hangs"


def quoted(text: str) -> str:
    """Return a text quoted as JSON, which is YAML, with dollars doubled so that no variable is replaced."""
    return json.dumps(text.replace("$", "$$"), ensure_ascii=False)


def name_of(text: str) -> str:
    """Return a text converted to a valid id."""
    made = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:60]
    return made or "x"


def _targets(found: ScanResult, made: Wiring) -> list[str]:
    lines = [line for service in made.started.values() for line in _started(made, service)]
    for service in made.containers.values():
        lines += [f"  {name_of(service.name)}:  # a service of the workflow", f"    container: {quoted(service.name)}"]
        if port := service.datastore_port or service.port:
            lines.append(f"    ready: {{tcp: {port}, within: 60s}}")
    if made.prometheus:
        lines += [
            "  prometheus:  # a service of the workflow, which gets its files from the checkout",
            f"    container: {quoted(made.prometheus.service.name)}",
            "    port: 9090",
            "    provision:",
            *_provision(made.prometheus.provision),
            "    ready: {path: /-/ready, within: 60s}",
        ]
    return ["targets:", *lines, ""] if lines else ["targets: {}", ""]


def _provision(files: tuple[tuple[str, str], ...]) -> Iterator[str]:
    """Yield the files to provision; the last one sends the signal that makes Prometheus reload all of them."""
    for number, (source, to) in enumerate(files, 1):
        signal = ", signal: HUP" if number == len(files) else ""
        yield f"      - {{copy: {quoted(source)}, to: {to}{signal}}}"


def _started(made: Wiring, service: Service) -> Iterator[str]:
    """Yield the target of a service that the gate starts itself."""
    yield f"  {name_of(service.name)}:"
    if service.port:
        yield f"    port: {service.port}"
    yield "    start:"
    build = service.build
    if build is None:
        yield f"      image: {quoted(service.image)}"
    elif needs_prebuild(build):
        yield f"      image: {quoted(image_tag(service))}  # built by the workflow: its Dockerfile needs BuildKit"
    else:
        yield f"      build: {quoted(build.context)}"
        if build.dockerfile != "Dockerfile":
            yield f"      dockerfile: {quoted(build.dockerfile)}"
        if build.args:
            yield f"      args: {_mapping(build.args)}"
    if service.command:
        yield f"      command: [{', '.join(map(quoted, service.command))}]"
    if environment := service.environment if build else service.environment_with_defaults:
        yield "      environment:"
        yield from (f"        {quoted(name)}: {quoted(value)}" for name, value in environment)
    after = [name_of(name) for name in service.depends_on if name in made.containers or name in made.started]
    if after:
        yield f"    after: [{', '.join(map(quoted, after))}]"
    yield from _ready(made, service)


def _ready(made: Wiring, service: Service) -> Iterator[str]:
    paths = [endpoint.path for owner, endpoint in made.endpoints if owner.name == service.name]
    best = next(
        (path for word in ("live", "health", "ping", "up", "ready", "metrics") for path in paths if word in path), ""
    )
    if best:
        yield f"    ready: {{path: {quoted(best)}, within: 2m}}"
    elif port := service.port or service.datastore_port:
        yield f"    ready: {{tcp: {port}, within: 2m}}"


def _mapping(pairs: tuple[tuple[str, str], ...]) -> str:
    return "{" + ", ".join(f"{quoted(name)}: {quoted(value)}" for name, value in pairs) + "}"


def _sections(found: ScanResult, made: Wiring) -> Iterator[str]:
    parts = [
        ("services", "Services", list(_stores(made))),
        ("health", "Health", list(_health(made))),
        ("metrics", "Metrics and scraping", list(_metrics(found, made))),
        ("rules", "Alert rules", list(_rules(found, made))),
        ("runbooks", "Runbooks", list(_runbooks(found))),
        ("tests", "Tests", [_tests(suite) for suite in found.suites]),
    ]
    observation = set[str]()
    for name, title, found_here in parts:
        items = [_with_own_id(item, observation) for item in found_here]
        if items:
            yield from (f"  - id: {name}", f"    title: {title}", "    items:")
            yield from (line for item in items for line in item)


def _with_own_id(item: Item, observation: set[str]) -> Item:
    """Return the item, with a number appended to its id if that id is taken."""
    at = next(number for number, line in enumerate(item) if line.lstrip().startswith("- id: "))
    line = next(
        made for made in [item[at], *(f"{item[at]}-{number}" for number in range(2, 9999))] if made not in observation
    )
    observation.add(line)
    return [*item[:at], line, *item[at + 1 :]]


def _placeholder() -> Item:
    return [
        "  - id: first",
        "    title: First steps",
        "    items:",
        "      - id: first.item",
        "        title: An item of your own stands here",
        "        file: {path: the-first-thing-that-your-service-needs, exists: true}",
    ]


def _stores(made: Wiring) -> Iterator[Item]:
    for service in made.containers.values():
        if service.datastore_port:
            yield [
                f"      - id: services.{name_of(service.name)}",
                f"        title: {quoted(f'`{service.name}` accepts connections')}",
                f"        tcp: {{target: {name_of(service.name)}}}",
            ]


def _health(made: Wiring) -> Iterator[Item]:
    for service, endpoint in made.endpoints:
        if not _METRICS.search(endpoint.path):
            yield [
                f"      # found in {endpoint.file}:{endpoint.line}",
                f"      - id: health.{name_of(f'{service.name}{endpoint.path}')}",
                f"        title: {quoted(f'`{endpoint.path}` of `{service.name}` answers')}",
                f"        http: {{target: {name_of(service.name)}, path: {quoted(endpoint.path)}, status: 200}}",
            ]


def _metrics(found: ScanResult, made: Wiring) -> Iterator[Item]:
    for service, endpoint in made.endpoints:
        if _METRICS.search(endpoint.path):
            path = "" if endpoint.path == "/metrics" else f"path: {quoted(endpoint.path)}, "
            yield [
                f"      # found in {endpoint.file}:{endpoint.line}",
                f"      - id: metrics.{name_of(service.name)}",
                f"        title: {quoted(f'`{endpoint.path}` of `{service.name}` is a valid exposition')}",
                f"        requires: [{name_of(service.name)}]",
                f"        metrics: {{target: {name_of(service.name)}, {path}valid: true}}",
            ]
    if made.prometheus:
        yield [
            "      - id: metrics.prometheus",
            "        title: Prometheus has read its configuration",
            "        requires: [prometheus]",
            "        metrics: {target: prometheus, name: prometheus_config_last_reload_successful, value: 1}",
        ]
    for file, scraping in sorted(found.scraping.items()):
        for job, addresses in scraping.jobs:
            yield [
                f"      - id: scrape.{name_of(file)}.{name_of(job)}",
                f"        title: {quoted(f'Job {job} configured')}",
                f"        scrape_config: {{file: {quoted(file)}, job: {quoted(job)}}}",
            ]
            behind = [name_of(each) for each in services_behind(made, addresses)]
            if made.prometheus and file == made.prometheus.config and behind:
                yield [
                    f"      - id: scraped.{name_of(job)}",
                    f"        title: {quoted(f'Job {job} is scraped')}",
                    f"        requires: [{', '.join(['prometheus', *behind])}]",
                    f"        within: {_SCRAPED}",
                    f"        scrape_target: {{target: prometheus, job: {quoted(job)}}}",
                ]


def _rules(found: ScanResult, made: Wiring) -> Iterator[Item]:
    for file in sorted(found.rules):
        yield [
            f"      - id: rules.{name_of(file)}",
            f"        title: {quoted(f'Rules of `{file}` valid')}",
            f"        alert_rules: {{file: {quoted(file)}, valid: true}}",
        ]
        if made.prometheus and file in made.prometheus.rules:
            yield [
                f"      - id: loaded.{name_of(file)}",
                f"        title: {quoted(f'Rules of `{file}` loaded')}",
                "        requires: [prometheus]",
                "        within: 30s",
                f"        loaded_rules: {{target: prometheus, file: {quoted(file)}}}",
            ]


def _runbooks(found: ScanResult) -> Iterator[Item]:
    for file, runbook in sorted(found.runbooks.items()):
        if runbook.filled:
            wanted = ", ".join(map(quoted, runbook.filled))
            yield [
                *(f"      # without text so far, and not asked for: {quoted(title)}" for title in runbook.empty),
                f"      - id: runbook.{name_of(file)}",
                f"        title: {quoted(f'Runbook `{file}` filled in')}",
                f"        document: {{file: {quoted(file)}, sections: [{wanted}]}}",
            ]


def _tests(suite: Suite) -> Item:
    where = "" if suite.folder == "." else f" of `{suite.folder}`"
    by_hand = f"({f'cd {shlex.quote(suite.folder)} && ' if where else ''}{suite.script[0]})"
    code = f"exit_code: {quoted(suite.exit_code)}, " if suite.exit_code else ""
    return [
        f"      # The step `{step(suite)}` of the workflow runs them before the gate, which reads what they leave.",
        *([f"      # By hand: {by_hand}"] if len(suite.script) == 1 else []),
        f"      - id: tests.{name_of(suite.tool if not where else f'{suite.folder}.{suite.tool}')}",
        f"        title: {quoted(f'Tests{where} ({suite.tool})')}",
        f"        tests: {{results: {quoted(suite.paths)}, {code}format: {suite.format}}}",
    ]


def step(suite: Suite) -> str:
    """Return the name of the workflow's step that runs a suite."""
    return f"Tests ({suite.tool}{'' if suite.folder == '.' else f', {suite.folder}'})"


def _left_out(found: ScanResult, made: Wiring) -> Iterator[str]:
    """Yield comments on what was found but left out of the checklist, and why."""
    known = {*made.started, *made.containers, *(service.name for service in made.unresolved_images)}
    for endpoint in made.unmapped_endpoints:
        yield f"#   {endpoint.path} ({endpoint.file}:{endpoint.line}): {_HOW if endpoint.whole else _WHERE}"
    for service in made.unresolved_images:
        yield f"#   the service {service.name}: its image is {unknown(service)}"
    for service in found.services.values():
        if service.build and service.name not in known:
            yield f"#   the service {service.name} ({service.build.context}): nothing here says what it answers"
        if service.prometheus and made.prometheus is None:
            yield f"#   the service {service.name}: no configuration was found that can be put into its {CONFIG}"
        for file in service.other_files:
            yield f"#   the service {service.name} of {file}: what {service.file} says of it was taken"
    for file in found.kubernetes:
        yield f"#   {file}: a PrometheusRule. `alert_rules` reads files as Prometheus does: keep its groups in one"
    for file in found.rules:
        if not (made.prometheus and file in made.prometheus.rules):
            yield f"#   whether {file} is loaded: no configuration of a Prometheus was found that loads it"
    for file, runbook in found.runbooks.items():
        if not runbook.filled:
            yield f"#   {file}: no section of it (`## ...`) has text yet"


def unknown(service: Service) -> str:
    """Return why the image of a service can't be resolved."""
    return f"{service.variable}, which nothing here resolves" if service.variable else "named nowhere"
