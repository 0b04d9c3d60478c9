"""The five-minute start of the README is a GO as pasted, on a laptop and in a workflow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.support import engine, images
from tests.support.pages import Reader, blocks, write
from tests.support.runner.job import Job, Service

START = blocks("README.md", "Five-minute start")
WORKFLOW = ".github/workflows/prodgate.yml"


def test_the_start_is_a_go_on_a_laptop(tmp_path: Path) -> None:
    """Everything after the installation is pasted in order: the run is the GO that the page shows."""
    reader = Reader(tmp_path, 5432, 8080)
    install, *rest = START
    assert install.text.startswith("pip install ")
    for block in rest:
        reader.follow(block)
    report = json.loads((tmp_path / "prodgate-out" / "report.json").read_text())
    statuses = {item["id"]: item["outcome"]["status"] for section in report["sections"] for item in section["items"]}
    assert statuses == {"health.ready": "pass", "drills.database": "pass"}
    assert (tmp_path / "prodgate-out" / "report.html").is_file()


def test_the_bug_that_the_start_suggests_is_found(tmp_path: Path) -> None:
    """An `app.py` that always answers 200 is a NO-GO, because the drill detects nothing."""
    reader = Reader(tmp_path, 5432, 8080)
    for block in START[1:3]:
        reader.follow(block)
    app = tmp_path / "app.py"
    app.write_text(app.read_text().replace("200 if ready else 503", "200"))
    for block in START[3:4]:
        reader.follow(block)
    assert "FAIL    The database goes down" in reader.output
    assert "Verdict: NO-GO" in reader.output


@pytest.mark.engine
@pytest.mark.xdist_group("e2e-readme")
def test_the_workflow_of_the_start_is_a_go(tmp_path: Path) -> None:
    """The job of the workflow, with the same checklist and PostgreSQL as a service container, is a GO."""
    engine.up()
    root = tmp_path / "repo" / "repo"
    for block in START:
        if block.action:
            write(block, root)
    job = yaml.safe_load((root / WORKFLOW).read_text())["jobs"]["gate"]
    services = {name: Service(images.service(name), env=given["env"]) for name, given in job["services"].items()}
    checkout, gate = job["steps"]
    assert checkout["uses"].startswith("actions/checkout@")
    with Job(tmp_path, images.action(), services=services) as runner:
        stage = runner.main(**gate["with"])
        post = runner.post()
    assert stage.outputs["verdict"] == "GO", stage.log.text
    assert stage.outputs["total"] == "2"
    assert post.conclusion == "success"
