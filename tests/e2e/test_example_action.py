"""The example's own workflow, as the runner runs it: services as containers, the API built and started by the gate."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from gate.model import Status
from gate.report.serialization import read_report
from tests.support import engine, images
from tests.support.example_bugs import EXAMPLE, copy
from tests.support.runner.job import Job, Service

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("e2e-example-action")]


def workflow() -> dict[str, Any]:
    """Return the example's workflow."""
    text = (EXAMPLE / ".github" / "workflows" / "prodgate.yml").read_text()
    job: dict[str, Any] = yaml.safe_load(text)["jobs"]["gate"]
    return job


def service(name: str) -> Service:
    """Return a service of the workflow, from an image of Debian's packages that behaves like the one named there."""
    said = workflow()["services"][name]
    return Service(images.service(name), {key: str(value) for key, value in said.get("env", {}).items()})


def test_the_workflow_is_a_go(tmp_path: Path) -> None:
    """PostgreSQL, Redis and Prometheus as services, drills and tests: 33 of 33, GO, and nothing is left behind."""
    engine.up()
    given = {name: service(name) for name in workflow()["services"]}
    base, tests = images.base(), f"veza-backend-api-tests:{uuid.uuid4().hex}"
    environment = {"BASE_IMAGE": base, "BASE": base, "BUILD_NETWORK": "host", "TESTS_IMAGE": tests}
    build, gate = workflow()["steps"][1:]
    folder = copy(tmp_path / "repo" / "repo")
    with step(build, folder, environment), Job(tmp_path, images.action(), services=given, env=environment) as job:
        stage = job.main(**gate["with"])
        post = job.post()
        left = running(job.network)
    path = job.workspace / "prodgate-out" / "report.json"
    assert path.exists(), stage.log.text
    report = read_report(path)
    items = [item for section in report.sections for item in section.items]
    bad = [(item.id, str(item.outcome.message)) for item in items if item.status is not Status.PASS]
    count = sum(len(section.items) for section in report.sections[:7])
    assert (bad, count, report.verdict.reasons) == ([], 33, ())
    assert (stage.conclusion, stage.outputs["go"], post.conclusion, left) == ("success", "true", "success", len(given))


@contextmanager
def step(said: dict[str, Any], folder: Path, given: dict[str, str]) -> Iterator[None]:
    """Run a workflow step that precedes the gate. It builds the image of the tests, which is removed at the end."""
    environment = {**os.environ, **given, "DOCKER_BUILDKIT": "0"}
    try:
        subprocess.run(["bash", "-e", "-c", said["run"]], cwd=folder, env=environment, check=True)
        yield
    finally:
        subprocess.run(["docker", "image", "rm", given["TESTS_IMAGE"]], capture_output=True, check=False)


def running(network: str) -> int:
    """Return the number of containers on a network."""
    listed = ["docker", "ps", "--all", "--quiet", "--filter", f"network={network}"]
    return len(subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split())
