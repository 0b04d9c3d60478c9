"""What a drill with a script leaves of a job's containers: by the gate itself, and by the action's post step."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import engine, images, staging
from tests.support.runner.job import Job
from tests.support.staging import checklist, inspect, outcome

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("action-post")]

PYTHON = "/opt/prodgate/bin/python"
OPEN = {"tcp": {"target": "database"}}
HOLDS = {"command": {"run": "true"}}
ASKS = """
import socket, sys, time
def ask(method, path, body=""):
    with socket.socket(socket.AF_UNIX) as engine:
        engine.connect("/var/run/docker.sock")
        lines = (f"{method} {path} HTTP/1.0", "Content-Type: application/json", f"Content-Length: {len(body)}")
        engine.sendall("\\r\\n".join((*lines, "", body)).encode())
        engine.recv(1000)
"""


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    """Start a job with the database."""
    engine.up()
    with staging.job(tmp_path_factory.mktemp("post"), images.action()) as made:
        yield made


def write(job: Job, script: str, **more: Any) -> None:
    """Write a checklist with a drill that runs a user's script, which has access to the engine."""
    (job.workspace / "breaks.py").write_text(ASKS + script)
    command = {"command": [PYTHON, "breaks.py"], "touches": ["database"], **more}
    item = {"id": "drill", "title": "D", "requires": ["database"]}
    item["drill"] = {"steady": [OPEN], "script": command, "stays": "0s"}  # type: ignore[assignment]
    targets = {"database": staging.targets()["database"]}
    (job.workspace / "prodgate.yml").write_text(checklist([item], targets=targets))


def test_a_script_that_leaves_a_container_broken(job: Job) -> None:
    """A container that a script has paused, stopped, or taken off the network is as it was afterwards."""
    id = job.services["database"]["id"]
    before = inspect(id)
    off = json.dumps({"Container": id, "Force": True})
    for script in (
        f"ask('POST', '/containers/{id}/pause')",
        f"ask('POST', '/containers/{id}/kill')",
        f"ask('POST', '/networks/{job.network}/disconnect', {off!r})",
    ):
        write(job, script)
        stage = job.main()
        found = outcome(job, stage)
        assert (found["status"], inspect(id), list(job.temp.rglob("*.journal"))) == ("pass", before, []), stage.log.text


def test_a_step_that_is_cancelled_in_mid_script(job: Job) -> None:
    """The script ends with the step, and what it had broken is put back when the post step is over."""
    id = job.services["database"]["id"]
    before = inspect(id)
    write(job, f"ask('POST', '/containers/{id}/pause'); open('begun', 'w'); time.sleep(600)", timeout="20m")
    assert job.main_cancelled_once((job.workspace / "begun").exists).cancelled
    post = job.post()
    assert (post.conclusion, inspect(id)) == ("success", before), post.log.text
    assert list(job.temp.rglob("*.journal")) == []


def test_a_container_that_vanishes(tmp_path: Path) -> None:
    """A container that is removed while a fault is in place was not put back: a NO-GO that says so."""
    with staging.job(tmp_path, images.action()) as job:
        id = job.services["database"]["id"]
        removes = f"ask('DELETE', '/containers/{id}?force=true')"
        (job.workspace / "removes.py").write_text(ASKS + removes)
        gone = {"within": "5s", "command": {"run": [PYTHON, "removes.py"]}}
        drill = {"steady": [HOLDS], "fault": {"pause": "database"}, "observe": [gone]}
        targets = {"database": staging.targets()["database"]}
        (job.workspace / "prodgate.yml").write_text(
            checklist([{"id": "drill", "title": "D", "drill": drill}], targets=targets)
        )
        stage = job.main()
        found = outcome(job, stage)
        assert (found["status"], found["cause"]) == ("fail", "unrestored:database"), stage.log.text
