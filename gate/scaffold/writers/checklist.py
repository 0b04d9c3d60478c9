"""Write a first checklist, with comments, that validates and runs as it is."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator

from gate.scaffold.model import Endpoint, Service
from gate.scaffold.proposals.drills import Drill
from gate.scaffold.proposals.notes import left_out
from gate.scaffold.proposals.test_suites import Suite
from gate.scaffold.proposals.wiring import Wiring, image_tag, needs_prebuild, services_behind
from gate.scaffold.scan import ScanResult
from gate.scaffold.writers.yaml_text import flow_list, flow_mapping, name_of, prose, quoted, stem_of

#: How long a Prometheus with the usual intervals may take for its first scrape of what has just come up.
_SCRAPED = "90s"

#: Where Alertmanager's image looks for its configuration.
_ALERTMANAGER = "/etc/alertmanager/alertmanager.yml"

Item = list[str]


def checklist(found: ScanResult, wiring: Wiring, drills: list[Drill], service: str) -> str:
    """Return the text of `prodgate.yml`."""
    sections = list(_sections(found, wiring, drills))
    notes = [f"#   {note}" for note in left_out(found, wiring, drills)]
    lines = [
        "# The checklist of the gate. `prodgate validate` checks it, `prodgate plan` says what a run will do,",
        "# `prodgate run` runs it, and the workflow does so for every pull request.",
        *(_FOUND if sections else _NOTHING),
        *(["#", "# Not in it:", *notes] if notes else []),
        "version: 1",
        f"service: {quoted(service)}",
        "environment: staging",
        "language: en  # or fr",
        *_compose(wiring),
        "",
        *_targets(wiring),
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


def _compose(wiring: Wiring) -> list[str]:
    return [f"compose: {{file: {flow_list(wiring.compose.files)}}}"] if wiring.compose else []


def _targets(wiring: Wiring) -> list[str]:
    lines = [line for service in wiring.started.values() for line in _started(wiring, service)]
    for service in wiring.containers.values():
        lines += _found_target(service.name, service)
        if wiring.alertmanager and wiring.alertmanager.service.name == service.name:
            pages = f"{{config: {quoted(wiring.alertmanager.config)}, to: {_ALERTMANAGER}}}"
            lines += [f"    port: {service.port or 9093}", f"    pages: {pages}  # its receivers are the gate's"]
            lines.append("    ready: {path: /-/ready, within: 60s}")
        elif port := _port(service):
            lines += [f"    port: {port}", f"    ready: {{tcp: {port}, within: 60s}}"]
    if wiring.prometheus:
        lines += [*_found_target("prometheus", wiring.prometheus.service), "    port: 9090"]
        if not wiring.prometheus.service.composed:
            lines += ["    provision:", *_provision(wiring.prometheus.provision)]
        lines.append("    ready: {path: /-/ready, within: 60s}")
    return ["targets:", *lines, ""] if lines else ["targets: {}", ""]


def _found_target(name: str, service: Service) -> list[str]:
    """Return the first lines of a target that the runner or Compose starts."""
    if service.composed:
        return [f"  {name_of(name)}:", f"    service: {quoted(service.name)}"]
    return [f"  {name_of(name)}:  # a service of the workflow", f"    container: {quoted(service.name)}"]


def _port(service: Service) -> int | None:
    return service.store[1] if service.store else service.port


def _provision(files: tuple[tuple[str, str], ...]) -> Iterator[str]:
    """Yield the files to provision; the last one sends the signal that makes Prometheus reload all of them."""
    for number, (source, to) in enumerate(files, 1):
        signal = ", signal: HUP" if number == len(files) else ""
        yield f"      - {{copy: {quoted(source)}, to: {to}{signal}}}"


def _started(wiring: Wiring, service: Service) -> Iterator[str]:
    """Yield the target of a service that is built or has a command: the gate starts it, or Compose."""
    yield f"  {name_of(service.name)}:"
    if service.composed:
        yield f"    service: {quoted(service.name)}"
    if service.once:
        yield "    once: true  # it has to end before what comes after it starts"
    elif port := _port(service):
        yield f"    port: {port}"
    if not service.composed:
        yield from _start(service)
    after = [name_of(name) for name in service.depends_on if name in wiring.containers or name in wiring.started]
    if after:
        yield f"    after: {flow_list(after)}"
    if not service.once:
        yield from _ready(wiring, service)


def _start(service: Service) -> Iterator[str]:
    """Yield how the gate starts a service."""
    yield "    start:"
    build = service.build
    if build is None:
        yield f"      image: {quoted(service.image)}"
    elif needs_prebuild(service):
        yield f"      image: {quoted(image_tag(service))}  # built by the workflow: its Dockerfile needs BuildKit"
    else:
        yield f"      build: {quoted(build.context)}"
        if build.dockerfile != "Dockerfile":
            yield f"      dockerfile: {quoted(build.dockerfile)}"
        if build.args:
            yield f"      args: {flow_mapping(build.args)}"
    if service.command:
        yield f"      command: {flow_list(service.command)}"
    if service.environment:
        yield "      environment:"
        yield from (f"        {quoted(name)}: {quoted(value)}" for name, value in service.environment)


def _ready(wiring: Wiring, service: Service) -> Iterator[str]:
    # Metrics may need a key, and come last.
    endpoints = sorted(wiring.paths_of(service), key=lambda endpoint: endpoint.is_metrics)
    words = ("live", "health", "ping", "up", "ready", "/")
    best = next((endpoint.path for word in words for endpoint in endpoints if word in endpoint.path), "")
    if best:
        yield f"    ready: {{path: {quoted(best)}, within: 2m}}"
    elif port := _port(service):
        yield f"    ready: {{tcp: {port}, within: 2m}}"


def _sections(found: ScanResult, wiring: Wiring, drills: list[Drill]) -> Iterator[str]:
    manager = name_of(wiring.alertmanager.service.name) if wiring.alertmanager else ""
    parts = [
        ("services", "Services", list(_connections(wiring))),
        ("health", "Health", list(_health(wiring))),
        ("metrics", "Metrics and scraping", [*_metrics(found, wiring), *_monitors(found)]),
        ("rules", "Alert rules", list(_rules(found, wiring))),
        ("runbooks", "Runbooks", list(_runbooks(found))),
        ("tests", "Tests", [_tests(suite) for suite in found.suites.proposed]),
        ("drills", "Drills", [_drill(drill, manager) for drill in drills if not drill.question]),
    ]
    taken = set[str]()
    for name, title, items in parts:
        numbered = [_with_own_id(item, taken) for item in items]
        if numbered:
            yield from (f"  - id: {name}", f"    title: {title}", "    items:")
            yield from (line for item in numbered for line in item)
    yield from (line for drill in drills if drill.question for line in _commented_drill(drill, drills, manager))


def _with_own_id(item: Item, taken: set[str]) -> Item:
    """Return the item, with a number appended to its id if that id is taken."""
    at = next(number for number, line in enumerate(item) if line.lstrip().startswith("- id: "))
    candidates = [item[at], *(f"{item[at]}-{number}" for number in range(2, 9999))]
    line = next(candidate for candidate in candidates if candidate not in taken)
    taken.add(line)
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


def _connections(wiring: Wiring) -> Iterator[Item]:
    """Yield an item for each dependency and for each application of which nothing but its port is known."""
    silent = [service for service in wiring.started.values() if not wiring.paths_of(service) and not service.store]
    for service in [*wiring.stores, *(service for service in silent if service.published and not service.once)]:
        yield [
            f"      - id: services.{name_of(service.name)}",
            f"        title: {prose(f'{service.name} accepts connections')}",
            f"        requires: [{name_of(service.name)}]",
            f"        tcp: {{target: {name_of(service.name)}}}",
        ]


def _id_of(wiring: Wiring, service: Service, endpoint: Endpoint) -> str:
    """Return a short id for an endpoint: its last word, after its service's name if there are several services."""
    owners = {owner.name for owner, _ in wiring.endpoints}
    words = [name_of(word) for word in endpoint.path.strip("/").split("/") if word]
    last = words[-1] if words else "root"
    return f"{name_of(service.name)}.{last}" if len(owners) > 1 else last


def _health(wiring: Wiring) -> Iterator[Item]:
    for service, endpoint in wiring.endpoints:
        if not endpoint.is_metrics:
            yield [
                f"      # found in {endpoint.file}:{endpoint.line}",
                f"      - id: health.{_id_of(wiring, service, endpoint)}",
                f"        title: {prose(f'{endpoint.path} of {service.name} answers')}",
                f"        requires: [{name_of(service.name)}]",
                f"        http: {{target: {name_of(service.name)}, path: {quoted(endpoint.path)}, status: 200}}",
            ]


def _metrics(found: ScanResult, wiring: Wiring) -> Iterator[Item]:
    for service, endpoint in wiring.endpoints:
        if endpoint.is_metrics:
            path = "" if endpoint.path == "/metrics" else f"path: {quoted(endpoint.path)}, "
            yield [
                f"      # found in {endpoint.file}:{endpoint.line}",
                f"      - id: metrics.{name_of(service.name)}",
                f"        title: {prose(f'{endpoint.path} of {service.name} is a valid exposition')}",
                f"        requires: [{name_of(service.name)}]",
                f"        metrics: {{target: {name_of(service.name)}, {path}valid: true}}",
            ]
    if wiring.prometheus:
        yield [
            "      - id: metrics.prometheus",
            "        title: Prometheus has read its configuration",
            "        requires: [prometheus]",
            "        metrics: {target: prometheus, name: prometheus_config_last_reload_successful, value: 1}",
        ]
    for file, scraping in sorted(found.scraping.items()):
        for job in scraping.jobs:
            yield [
                f"      - id: scrape.{name_of(job.name)}",
                f"        title: {prose(f'Job {job.name} configured')}",
                f"        scrape_config: {{file: {quoted(file)}, job: {quoted(job.name)}}}",
            ]
            behind = [name_of(service) for service in services_behind(wiring, job.addresses)]
            if wiring.prometheus and file == wiring.prometheus.config and behind:
                yield [
                    f"      - id: scraped.{name_of(job.name)}",
                    f"        title: {prose(f'Job {job.name} is scraped')}",
                    f"        requires: {flow_list(['prometheus', *behind])}",
                    f"        within: {_SCRAPED}",
                    f"        scrape_target: {{target: prometheus, job: {quoted(job.name)}}}",
                ]


def _monitors(found: ScanResult) -> Iterator[Item]:
    """Yield an item for each ServiceMonitor, which `scrape_config` reads as the jobs that the operator makes of it."""
    for monitor in found.manifests.monitors:
        if monitor.kind == "ServiceMonitor" and monitor.name:
            yield [
                f"      - id: scrape.{name_of(monitor.name)}",
                f"        title: {prose(f'ServiceMonitor {monitor.name} valid')}",
                f"        scrape_config: {{file: {quoted(monitor.endpoint.file)}, job: {quoted(monitor.name)}}}",
            ]


def _rules(found: ScanResult, wiring: Wiring) -> Iterator[Item]:
    for file in sorted([*found.rules, *found.manifests.rules]):
        yield [
            f"      - id: rules.{stem_of(file)}",
            f"        title: {prose(f'Rules of {file} valid')}",
            f"        alert_rules: {{file: {quoted(file)}, valid: true}}",
        ]
        if wiring.prometheus and file in wiring.prometheus.rules:
            yield [
                f"      - id: loaded.{stem_of(file)}",
                f"        title: {prose(f'Rules of {file} loaded')}",
                "        requires: [prometheus]",
                "        within: 30s",
                f"        loaded_rules: {{target: prometheus, file: {quoted(file)}}}",
            ]


def _runbooks(found: ScanResult) -> Iterator[Item]:
    for file, runbook in sorted(found.runbooks.items()):
        if runbook.filled:
            yield [
                *(f"      # without text so far, and not asked for: {quoted(title)}" for title in runbook.empty),
                f"      - id: runbook.{stem_of(file)}",
                f"        title: {prose(f'Runbook {file} filled in')}",
                f"        document: {{file: {quoted(file)}, sections: {flow_list(runbook.filled)}}}",
            ]


def _tests(suite: Suite) -> Item:
    where = "" if suite.folder == "." else f" of {suite.folder}"
    code = f"exit_code: {quoted(suite.exit_code)}, " if suite.exit_code else ""
    name = suite.name or suite.tool
    origin = [f"      # As {suite.origin} runs them; a step of the workflow runs them before the gate."]
    by_hand = f"({f'cd {shlex.quote(suite.folder)} && ' if where else ''}{suite.script[0]})"
    guess = [
        "      # No workflow runs them: the command is a guess. A step of the workflow runs it before the gate.",
        *([f"      # By hand: {by_hand}"] if len(suite.script) == 1 else []),
    ]
    return [
        *(origin if suite.origin else guess),
        f"      - id: tests.{name_of(name if not where else f'{stem_of(suite.folder)}.{name}')}",
        f"        title: {prose(f'Tests{where} ({name})')}",
        f"        tests: {{results: {quoted(suite.paths)}, {code}format: {suite.format}}}",
    ]


def _drill(drill: Drill, alertmanager: str) -> Item:
    """Return the item of a drill. `alertmanager` is the target that sends its page, empty if there is none."""
    application, store = name_of(drill.application.name), name_of(drill.store.name)
    http = f"http: {{target: {application}, path: {quoted(drill.endpoint.path)}, status"
    page = drill.alert.receiver if drill.alert and alertmanager else None
    requires = [application, store, *(["prometheus"] if drill.alert else []), *([alertmanager] if page else [])]
    item = [
        f"      # {drill.endpoint.path}: {drill.because}",
        f"      - id: drills.{store}",
        f"        title: {prose(f'{application} reports that {store} is down, and recovers')}",
        f"        requires: {flow_list(requires)}",
        "        drill:",
        f"          fault: {{stop: {store}}}",
        f"          steady: [{{within: 10s, {http}: 200}}}}]",
        "          observe:",
        f"            - {{within: {drill.within}s, {http}: {{ge: 500}}}}}}",
    ]
    if drill.alert:
        item += [
            f"            # {drill.alert.because}",
            f"            - {{within: {drill.alert.within}s, "
            f"alert: {{target: prometheus, name: {quoted(drill.alert.name)}, state: firing}}}}",
        ]
    if drill.alert and page:
        within = math.ceil(drill.alert.within + page.group_wait)
        what = f"target: {alertmanager}, alert: {quoted(drill.alert.name)}, receiver: {quoted(page.name)}"
        item += [
            f"            # and group_wait {page.group_wait:g}s",
            f"            - {{within: {within}s, page: {{{what}}}}}",
        ]
    if drill.live:
        live = f"{{target: {application}, path: {quoted(drill.live.path)}, status: 200}}"
        item.append(f"          throughout: [{{http: {live}}}]")
    return [*item, f"          recover: [{{within: {drill.recovery}s, {http}: 200}}}}]"]


def _commented_drill(drill: Drill, drills: list[Drill], alertmanager: str) -> Iterator[str]:
    """Yield a drill as a comment: with the question that a person has to answer, and under which section it belongs."""
    section = ["  - id: drills", "    title: Drills", "    items:"] if all(other.question for other in drills) else []
    first = next(other for other in drills if other.question) is drill
    yield f"  # {drill.question} If it does, take away the `#` below: it is a drill."
    yield from (
        f"  #{line[1:]}" if line.startswith(" ") else f"#{line}"
        for line in [*(section if first else []), *_drill(drill, alertmanager)]
    )
