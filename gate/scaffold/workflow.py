"""Generate a first workflow: services, tests, the gate, and the upload of its reports."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

from gate.scaffold.checklist import step, unknown
from gate.scaffold.compose import Service
from gate.scaffold.scan import ScanResult
from gate.scaffold.test_suites import Suite
from gate.scaffold.wiring import Wiring, image_tag, needs_prebuild

_BRANCHES = "[main, master]"


def workflow(found: ScanResult, made: Wiring) -> str:
    """Return the text of `.github/workflows/prodgate.yml`."""
    services = [*made.containers.values(), *([made.prometheus.service] if made.prometheus else [])]
    lines = [
        "# The gate. Require its status, `prodgate`, on your branch: a NO-GO then stops the merge.",
        "name: prodgate",
        "on:",
        "  pull_request:",
        "  merge_group:",
        f"  push: {{branches: {_BRANCHES}}}  # what pull requests are compared with",
        "permissions: {contents: read, statuses: write, pull-requests: write, actions: read}",
        "jobs:",
        "  gate:",
        "    runs-on: ubuntu-latest",
        *(["    services:"] if services else []),
        *(line for service in sorted(services, key=lambda each: each.name) for line in _service(service)),
        *(f"      # {service.name}: its image is {unknown(service)}" for service in made.unresolved_images),
        "    steps:",
        "      - uses: actions/checkout@v5",
        *(line for suite in found.suites for line in _suite(suite)),
        *(line for service in made.started.values() if needs_prebuild(service.build) for line in _image(service)),
        "      - uses: org/prodgate-action@v1",
        "        with: {file: prodgate.yml, baseline: base}",
        "      - uses: actions/upload-artifact@v5",
        "        if: always()",
        "        with: {name: prodgate, path: prodgate-out}",
    ]
    return "\n".join(lines) + "\n"


def _text(text: str) -> str:
    """Return a text quoted as YAML, with GitHub's expressions escaped."""
    return json.dumps(text.replace("${{", "${{ '${{' }}"), ensure_ascii=False)


def _service(service: Service) -> Iterator[str]:
    yield f"      {service.name}:"
    yield f"        image: {_text(service.image)}"
    if service.environment_with_defaults:
        yield "        env:"
        yield from (f"          {_text(name)}: {_text(value)}" for name, value in service.environment_with_defaults)
    if service.published and service.datastore_port:
        yield f"        ports: [{', '.join(map(_text, service.published))}]"


def _suite(suite: Suite) -> Iterator[str]:
    """Yield the steps of a suite. They never fail the job: the gate decides whether the tests passed."""
    for action, inputs in suite.uses:
        yield f"      - uses: {action}"
        if inputs:
            yield f"        with: {{{', '.join(f'{name}: {_text(value)}' for name, value in inputs)}}}"
    yield f"      - name: {_text(step(suite))}"
    yield "        continue-on-error: true"
    if suite.folder != ".":
        yield f"        working-directory: {_text(suite.folder)}"
    yield "        run: |"
    yield from (f"          {line}" for line in suite.script)


def _image(service: Service) -> Iterator[str]:
    build = service.build
    assert build is not None
    file = build.dockerfile if build.context == "." else f"{build.context}/{build.dockerfile}"
    words = ["docker", "build", "--tag", image_tag(service), "--file", file]
    words += ["--target", build.target] if build.target else []
    words += [word for name, value in build.args for word in ("--build-arg", f"{name}={value}")]
    yield f"      - name: {_text(f'Image of {service.name}')}"
    yield f"        run: {_text(shlex.join([*words, build.context]))}"
