"""Say what was found and left out, what a person has to answer, and what will probably fail first."""

from __future__ import annotations

from collections.abc import Iterator

from gate.scaffold.model import INVENTED, Service
from gate.scaffold.proposals.compose import ComposeProject
from gate.scaffold.proposals.drills import Drill, undrilled
from gate.scaffold.proposals.wiring import CONFIG, Wiring, needs_prebuild
from gate.scaffold.readers.dockerfiles import path_of
from gate.scaffold.scan import ScanResult

_HOW = "nothing here says how it is built, and on which port it listens"
_WHERE = "nothing here says under which path its router hangs"


def left_out(found: ScanResult, wiring: Wiring, drills: list[Drill]) -> Iterator[str]:
    """Yield, in a line each, what was found but left out of the checklist, and why."""
    yield from _services_left_out(found, wiring)
    for endpoint in wiring.unmapped_endpoints:
        yield f"{endpoint.path} ({endpoint.file}:{endpoint.line}): {_HOW if endpoint.whole else _WHERE}"
    yield from _probes_left_out(wiring)
    for store in undrilled(wiring, drills):
        yield f"a drill of {store.name}: no application with a health endpoint uses it"
    for file in found.rules:
        if not (wiring.prometheus and file in wiring.prometheus.rules):
            yield f"whether {file} is loaded: no configuration of a Prometheus was found that loads it"
    for file, runbook in found.runbooks.items():
        if not runbook.filled:
            yield f"{file}: no section of it (`## ...`) has text yet"
    yield from found.left_out


def _probes_left_out(wiring: Wiring) -> Iterator[str]:
    """Yield the workloads whose image nothing builds, each once although overlays repeat it."""
    names = dict.fromkeys(workload.name for workload in wiring.unmapped_probes)
    for name in names:
        same = [workload for workload in wiring.unmapped_probes if workload.name == name]
        paths = ", ".join(dict.fromkeys(probe.path for workload in same for probe in workload.probes))
        more = f" and {len(same) - 1} more" if len(same) > 1 else ""
        yield f"{paths} (probes of {name}, {same[0].file}{more}): no Dockerfile here builds its image"


def _services_left_out(found: ScanResult, wiring: Wiring) -> Iterator[str]:
    up = {**wiring.started, **wiring.containers}
    composed = wiring.compose.services if wiring.compose else frozenset[str]()
    if wiring.compose:
        yield from _variables_left_out(wiring.compose)
    unresolved = {service.name for service in wiring.unresolved_images}
    for service in wiring.unresolved_images:
        yield f"the service {service.name}: its image is {unknown(service)}"
    for service in wiring.releases:
        if service.name not in up:
            yield f"the service {service.name}: {service.image} is a release, and no Dockerfile here builds it"
        else:
            yield f"items about {service.name}: {service.image} is a release, and not built from this commit"
    for service in found.services.values():
        if service.build and service.name not in {*up, *unresolved}:
            yield f"the service {service.name} ({path_of(service.build)}): nothing here says what it answers"
        if service.is_prometheus and wiring.prometheus is None:
            yield f"the service {service.name}: no configuration was found that can be put into its {CONFIG}"
        if service.name in composed:
            if service.is_alertmanager and service.name in up:
                yield f"the pages of {service.name}: Compose mounts its configuration, which the gate does not change"
            continue
        if service.name in up and service.lost:
            yield f"of the service {service.name}: {', '.join(service.lost)}, which a target does not have"
        given = wiring.alertmanager and wiring.alertmanager.service.name == service.name
        if service.name in up and service.mounts and not service.build and not given:
            files = ", ".join(source for source, _ in service.mounts[:3])
            late = "`provision` copies files after the start"
            yield f"of the service {service.name}: the files that it mounts ({files}): {late}"


def _variables_left_out(project: ComposeProject) -> Iterator[str]:
    for name in project.missing:
        yield f"the variable {name} of {project.files[0]}: nothing here has its value; add it to the steps of Compose"


def unknown(service: Service) -> str:
    """Return why the image of a service can't be resolved."""
    return f"{service.variable}, which nothing here resolves" if service.variable else "named nowhere"


def not_found(found: ScanResult, wiring: Wiring, drills: list[Drill]) -> list[str]:
    """Return what most services have and this repository does not show."""
    missing = [
        ("a service that is built from this commit", any(service.build for service in wiring.started.values())),
        ("a health endpoint", any(not endpoint.is_metrics for _, endpoint in wiring.endpoints)),
        ("a drill that runs as it is", any(not drill.question for drill in drills)),
        ("metrics", any(endpoint.is_metrics for _, endpoint in wiring.endpoints)),
        ("alert rules", bool(found.rules or found.manifests.rules)),
        ("runbooks", bool(found.runbooks)),
        ("tests", bool(found.suites.proposed)),
    ]
    return [what for what, there in missing if not there]


def first_failure(found: ScanResult, wiring: Wiring) -> tuple[str, str]:
    """Return what will probably fail first, and why: the least certain of the proposals."""
    doubts = [*_doubts_of_targets(wiring), *_doubts_of_tests(found), *_small_doubts(found, wiring)]
    return next(iter(doubts), ("the first item", "it is a placeholder for one of your own"))


def _doubts_of_targets(wiring: Wiring) -> Iterator[tuple[str, str]]:
    """Yield the targets whose settings are incomplete, worst first."""
    if project := wiring.compose:
        yield from _doubts_of_compose(project)
    built = [service for service in wiring.started.values() if service.build and not service.composed]
    for service in built:
        if service.lost:
            yield f"the target {service.name}", f"its {', '.join(service.lost)} of {service.file} could not be taken"
    for service in built:
        if invented := [name for name, value in service.environment if value == INVENTED]:
            names = ", ".join(invented[:3])
            yield f"the target {service.name}", f"values are invented, because nothing here has them, of {names}"
    for service in built:
        if not service.environment and wiring.stores and not service.store:
            yield f"the target {service.name}", "nothing here says how it finds its database: give it `environment`"


def _doubts_of_compose(project: ComposeProject) -> Iterator[tuple[str, str]]:
    """Yield what a checkout lacks to bring the Compose project up."""
    for names, why in (
        (project.missing, "nothing here has a value of"),
        (project.invented, "values are invented, because nothing here has them, of"),
        ([path for path, _ in project.copies], "the examples' values are used for"),
    ):
        if names:
            yield "the Compose project", f"{why} {', '.join(names[:3])}"


def _doubts_of_tests(found: ScanResult) -> Iterator[tuple[str, str]]:
    for suite in found.suites.proposed:
        if not suite.origin:
            yield f"the tests of {suite.folder} ({suite.tool})", "no workflow runs them, so their command is a guess"


def _small_doubts(found: ScanResult, wiring: Wiring) -> Iterator[tuple[str, str]]:
    """Yield what may fail although nothing is known to be missing."""
    for service in wiring.started.values():
        if needs_prebuild(service):
            yield f"the target {service.name}", "a step of the workflow builds its image: on a laptop, build it first"
        elif service.build:
            yield f"the target {service.name}", "no workflow has built and started its image so far"
    for suite in found.suites.proposed:
        yield f"the tests ({suite.tool})", f"their steps come from {suite.origin}, and run in another job now"
    for store in wiring.stores:
        yield f"the target {store.name}", "its image has to be pulled"
    for file in [*found.rules, *found.scraping, *found.runbooks]:
        yield f"an item about {file}", "it was not checked by a gate so far"
