"""Write a first workflow: services, tests, the gate, and the upload of its reports."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator

from msgspec import structs

from gate.scaffold.model import Service
from gate.scaffold.proposals.compose import host_port
from gate.scaffold.proposals.notes import unknown
from gate.scaffold.proposals.test_suites import Suite
from gate.scaffold.proposals.wiring import Wiring, image_tag, needs_prebuild
from gate.scaffold.readers.workflows import Step
from gate.scaffold.scan import ScanResult
from gate.scaffold.writers.compose import bring_up, take_down
from gate.scaffold.writers.yaml_text import name_of, prose, scalar


def workflow(found: ScanResult, wiring: Wiring, checklist: str, context: str) -> str:
    """Return the text of the workflow. `context` is the status that it sets, empty for the usual one."""
    services = job_services(found, wiring)
    branches = found.workflows.branches or ["main", "master"]
    options = f"file: {scalar(checklist)}, baseline: base" + (f", context: {scalar(context)}" if context else "")
    taken: list[Step] = []
    lines = [
        f"# The gate. Require its status, `{context or 'prodgate'}`, on your branch: a NO-GO then stops the merge.",
        f"name: {context or 'prodgate'}",
        "on:",
        "  pull_request:",
        "  merge_group:",
        f"  push: {{branches: [{', '.join(map(scalar, branches))}]}}  # what pull requests are compared with",
        "permissions: {contents: read, statuses: write, pull-requests: write, actions: read}",
        "jobs:",
        "  gate:",
        "    runs-on: ubuntu-latest",
        *(["    services:"] if services else []),
        *(line for name in sorted(services) for line in _service(name, services[name])),
        *(f"      # {service.name}: its image is {unknown(service)}" for service in wiring.unresolved_images),
        "    steps:",
        "      - uses: actions/checkout@v5",
        *(line for suite in found.suites.proposed for line in _suite(suite, taken)),
        *(line for service in wiring.started.values() if needs_prebuild(service) for line in _image(service)),
        *_compose_up(wiring),
        "      # `org` is a placeholder: write the owner of the action's repository that you use.",
        "      - uses: org/prodgate-action@v1",
        f"        with: {{{options}}}",
        "      - uses: actions/upload-artifact@v5",
        "        if: always()",
        f"        with: {{name: {name_of(context or 'prodgate')}, path: prodgate-out}}",
        *_compose_down(wiring),
    ]
    return "\n".join(lines) + "\n"


def _compose_up(wiring: Wiring) -> Iterator[str]:
    """Yield the step that brings the Compose project up. It never fails the job: the gate reports what is not ready."""
    if project := wiring.compose:
        step = Step("Compose project", _escape(bring_up(project)), environment=project.environment)
        yield from _step(step, "continue-on-error: true")


def _compose_down(wiring: Wiring) -> Iterator[str]:
    if project := wiring.compose:
        step = Step("Remove the Compose project", _escape(take_down(project)), environment=project.environment)
        yield from _step(step, "if: always()")


def job_services(found: ScanResult, wiring: Wiring) -> dict[str, Service]:
    """Return the services of the job by name: those of the tests keep their ports, which the tests know."""
    named = [*wiring.containers.values(), *([wiring.prometheus.service] if wiring.prometheus else [])]
    services = {service.name: service for service in named if not service.composed}
    composed = wiring.compose.services if wiring.compose else frozenset[str]()
    of_tests: dict[str, Service] = {}
    for suite in found.suites.proposed:
        for service in suite.services:
            same = services.get(service.name)
            fits = same and (same.image, same.environment) == (service.image, service.environment)
            of_tests[service.name if fits or not (same or service.name in composed) else f"{service.name}-tests"] = (
                service
            )
    ports = {host_port(port) for service in of_tests.values() for port in service.published}
    for name, service in services.items():
        free = tuple(port for port in service.published if host_port(port) not in ports)
        services[name] = structs.replace(service, published=free if service.store else ())
    return {**services, **of_tests}


def _text(text: str) -> str:
    """Return a text as a YAML scalar, with GitHub's expressions escaped."""
    return scalar(_escape(text))


def _escape(text: str) -> str:
    """Return a text in which GitHub replaces no expression."""
    return text.replace("${{", "${{ '${{' }}")


def _service(name: str, service: Service) -> Iterator[str]:
    yield f"      {name}:"
    yield f"        image: {_text(service.image)}"
    if service.environment:
        yield "        env:"
        yield from (f"          {_text(key)}: {_text(value)}" for key, value in service.environment)
    if service.published:
        yield f"        ports: [{', '.join(json.dumps(port) for port in service.published)}]"


def _suite(suite: Suite, taken: list[Step]) -> Iterator[str]:
    """Yield the steps of a suite. Its tests never fail the job: the gate decides whether they passed.

    `taken` are the steps that are written already: two suites may need the same.
    """
    for step in suite.before:
        if step not in taken:
            taken.append(step)
            yield from _step(step)
    title = f"Tests ({suite.name or suite.tool}{'' if suite.folder == '.' else f', {suite.folder}'})"
    test = Step(title, "\n".join(suite.script), folder=suite.folder, environment=suite.environment)
    yield from _step(test, "continue-on-error: true")


def _step(step: Step, *settings: str) -> Iterator[str]:
    """Yield a step. The texts of a workflow that exists keep their expressions."""
    fields = [*([f"name: {prose(step.name)}"] if step.name else []), *([f"uses: {step.uses}"] if step.uses else [])]
    fields += settings
    if step.inputs and not any("\n" in value for _, value in step.inputs):
        fields.append(f"with: {{{', '.join(f'{name}: {scalar(value)}' for name, value in step.inputs)}}}")
    elif step.inputs:
        fields += ["with:", *(f"  {name}: {scalar(value)}" for name, value in step.inputs)]
    if step.folder != "." and step.run:
        fields.append(f"working-directory: {scalar(step.folder)}")
    if step.environment:
        fields += ["env:", *(f"  {name}: {scalar(value)}" for name, value in step.environment)]
    if step.run:
        lines = step.run.rstrip().splitlines()
        one = len(lines) == 1 and re.fullmatch(r"[A-Za-z./](?:[\w ./=+,@-]|:(?! ))*(?<!:)", lines[0])
        fields += [f"run: {lines[0]}"] if one else ["run: |", *(f"  {line}" if line else "" for line in lines)]
    first, *rest = fields
    yield f"      - {first}"
    yield from (f"        {field}" if field else "" for field in rest)


def _image(service: Service) -> Iterator[str]:
    build = service.build
    assert build is not None
    file = build.dockerfile if build.context == "." else f"{build.context}/{build.dockerfile}"
    words = ["docker", "build", "--tag", image_tag(service), "--file", file]
    words += ["--target", build.target] if build.target else []
    words += [word for name, value in build.args for word in ("--build-arg", f"{name}={value}")]
    yield from _step(Step(f"Image of {service.name}", _escape(shlex.join([*words, build.context]))))
