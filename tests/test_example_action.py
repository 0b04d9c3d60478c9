"""The example's own workflow, as the runner runs it: services as containers, the API built and started by the gate."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gate.model import Report, Status
from tests.example_bugs import EXAMPLE, copy
from tests.parts import engine, images
from tests.runner.job import Job, Service

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("action")]


def workflow() -> dict[str, Any]:
    text = (EXAMPLE / ".github" / "workflows" / "prodgate.yml").read_text()
    job: dict[str, Any] = yaml.safe_load(text)["jobs"]["gate"]
    return job


def service(name: str) -> Service:
    """A service of the workflow, from an image of Debian's packages that behaves like the one named there."""
    said = workflow()["services"][name]
    return Service(images.service(name), {key: str(value) for key, value in said.get("env", {}).items()})


def test_the_workflow_is_a_go(tmp_path: Path) -> None:
    """PostgreSQL, Redis and Prometheus as services, both drills: 33 of 33, GO, and nothing is left behind."""
    engine.up()
    given = {name: service(name) for name in workflow()["services"]}
    environment = {"BASE_IMAGE": images.base(), "BUILD_NETWORK": "host"}
    copy(tmp_path / "repo" / "repo")
    with Job(tmp_path, images.action(), services=given, env=environment) as job:
        stage = job.main(**workflow()["steps"][-1]["with"])
        post = job.post()
        left = running(job.network)
    path = job.workspace / "prodgate-out" / "report.json"
    assert path.exists(), stage.log.text
    report = Report.model_validate_json(path.read_bytes())
    items = [item for section in report.sections[:7] for item in section.items]
    bad = [(item.id, str(item.outcome.message)) for item in items if item.status is not Status.PASS]
    assert (bad, len(items), report.verdict.reasons) == ([], 33, ())
    assert (stage.conclusion, stage.outputs["go"], post.conclusion, left) == ("success", "true", "success", len(given))


def running(network: str) -> int:
    listed = ["docker", "ps", "--all", "--quiet", "--filter", f"network={network}"]
    return len(subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split())
