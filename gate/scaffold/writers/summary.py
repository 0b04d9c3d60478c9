"""Write the summary that `prodgate init` prints: found, not found, what will probably fail first, what to do next."""

from __future__ import annotations

from collections.abc import Iterator

from gate.scaffold.proposals.drills import Drill
from gate.scaffold.proposals.notes import first_failure, left_out, not_found
from gate.scaffold.proposals.wiring import Wiring
from gate.scaffold.readers.dockerfiles import path_of
from gate.scaffold.scan import ScanResult


def summary(found: ScanResult, wiring: Wiring, drills: list[Drill], checklist: str) -> str:
    """Return the summary. `checklist` is the path of the checklist from the repository's root."""
    lines = ["Found:", *(f"  {line}" for line in _found(found, wiring, drills))]
    if missing := not_found(found, wiring, drills):
        lines.append(f"Not found: {', '.join(missing)}")
    if count := len(list(left_out(found, wiring, drills))):
        lines.append(
            f"Left out: {count} {'thing' if count == 1 else 'things'}, each with its reason at the top of {checklist}"
        )
    what, why = first_failure(found, wiring)
    file = "" if checklist == "prodgate.yml" else f" --file {checklist}"
    lines += [
        f"Probably the first to fail: {what}: {why}",
        "Next:",
        f"  prodgate validate{file}",
        f"  prodgate plan{file}",
        f"  prodgate run{file}",
    ]
    return "\n".join(lines)


def _found(found: ScanResult, wiring: Wiring, drills: list[Drill]) -> Iterator[str]:
    if wiring.compose:
        yield f"compose    {', '.join(wiring.compose.files)}"
    for service in wiring.started.values():
        paths = ", ".join(endpoint.path for endpoint in wiring.paths_of(service))
        source = path_of(service.build) if service.build else service.image
        serves = f": {paths}" if paths else ", ends before the others start" if service.once else ""
        yield f"service    {service.name} ({source}){serves}"
    for service in wiring.containers.values():
        yield f"service    {service.name} ({service.image or service.variable})"
    if wiring.prometheus:
        yield f"prometheus {wiring.prometheus.config}, {_count(len(wiring.prometheus.rules), 'rule file')} loaded"
    yield from (f"rules      {file}" for file in [*found.rules, *found.manifests.rules])
    yield from (f"runbook    {file}" for file in found.runbooks)
    for suite in found.suites.proposed:
        origin = f"as {suite.origin} runs them" if suite.origin else "a guess"
        yield f"tests      {suite.name or suite.tool} in {suite.folder}, {origin}"
    for drill in drills:
        what = f"asks a person: {drill.question}" if drill.question else f"{drill.endpoint.path}, {drill.because}"
        yield f"drill      {drill.store.name} stops: {what}"
    if not (wiring.started or wiring.containers or found.suites.proposed or found.rules):
        yield "nothing that the gate knows"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
