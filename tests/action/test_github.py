"""The action's image on a runner, with a GitHub of ours beside it: what is told from inside, and after a kill."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import engine, images
from tests.support.github.fixtures import served
from tests.support.github.server import ACTIONS, HEAD, READ_ONLY, REPOSITORY, Fault, GitHub
from tests.support.runner.job import TOKEN, Job

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("action-github")]

CHECKLIST = """\
version: 1
service: veza
environment: staging
sections:
  - id: s
    title: S
    items:
      - {id: s.a, title: A, file: {path: prodgate.yml, exists: true}}
      - {id: s.b, title: B, timeout: 100s, command: {shell: true, run: "COMMAND", exit: 0}}
"""
EVENT = {"pull_request": {"number": 7, "head": {"sha": HEAD}, "base": {"ref": "main", "sha": "0" * 40}}}


def address() -> str:
    """Return this machine's address on the engine's own network."""
    shown = subprocess.run(["ip", "-4", "-o", "addr", "show", "docker0"], capture_output=True, text=True, check=True)
    found = re.search(r"inet ([0-9.]+)/", shown.stdout)
    assert found
    return found[1]


@pytest.fixture(scope="module")
def image() -> str:
    """Build the action's image."""
    engine.up()
    return images.action()


@pytest.fixture
def reached(image: str) -> Iterator[GitHub]:
    """Start a GitHub server that containers can reach."""
    with served(host=address()) as made:
        made.tokens[TOKEN] = (ACTIONS, made.tokens[READ_ONLY][1] | {"statuses", "comments"})
        yield made


def job(folder: Path, image: str, github: GitHub, command: str = "true") -> Job:
    """Return a job on a pull request."""
    told = {
        "api_url": github.url,
        "repository": REPOSITORY,
        "event_name": "pull_request",
        "base_ref": "main",
        "sha": "1" * 40,
    }
    made = Job(folder, image, github=told, event=EVENT)
    (made.workspace / "prodgate.yml").write_text(CHECKLIST.replace("COMMAND", command))
    return made


def states(github: GitHub) -> list[Any]:
    """Return the states that were set, in order."""
    return [status["state"] for status in github.statuses]


def test_it_is_told(tmp_path: Path, image: str, reached: GitHub) -> None:
    """From inside the image: pending, success on the head, one comment; the post step changes nothing."""
    with job(tmp_path, image, reached) as made:
        stage = made.main()
        assert stage.conclusion == "success", stage.log.text
        assert made.post().conclusion == "success"
    assert states(reached) == ["pending", "success"]
    assert reached.latest()["target_url"].endswith("/actions/runs/4242/attempts/1")
    assert len(reached.comments) == 1


def test_it_is_killed(tmp_path: Path, image: str, reached: GitHub) -> None:
    """Where the container is killed in the middle, the post step turns the pending into an error."""
    with job(tmp_path, image, reached, "touch started; sleep 100") as made:

        def kill() -> None:
            end = time.monotonic() + 60
            while not (made.workspace / "started").exists() and time.monotonic() < end:
                time.sleep(0.1)
            made.kill_everything()

        watcher = threading.Thread(target=kill)
        watcher.start()
        assert made.main(context="gate").conclusion == "failure"
        watcher.join()
        made.post()
    assert states(reached) == ["pending", "error"]
    assert reached.latest("gate")["state"] == "error"


def test_it_is_cancelled_while_github_is_silent(tmp_path: Path, image: str, reached: GitHub) -> None:
    """It ends before the runner would kill its command line and leave the container running, with its report."""
    reached.faults.append(Fault("POST", "statuses", silence=100, times=99))
    with job(tmp_path, image, reached) as made:
        stage = made.main_cancelled_once(lambda: bool(reached.requests))
        assert (stage.conclusion, stage.code) == ("cancelled", 130), stage.log.text
        assert (made.workspace / "prodgate-out" / "report.json").exists()


def test_parts_and_their_merge(tmp_path: Path, image: str, reached: GitHub) -> None:
    """`mode: merge` makes one verdict of the folders that other steps have left."""
    with job(tmp_path, image, reached) as made:
        for part in ("s.a", "s.b"):
            assert made.main(only=part, publish="none", out=f"parts/{part}").conclusion == "success"
        assert reached.requests == []
        stage = made.main(mode="merge", reports="parts", expect="s.a, s.b", out="merged")
        assert (stage.conclusion, stage.outputs["total"]) == ("success", "2"), stage.log.text
        assert made.main(mode="merge", reports="parts", expect="s.a s.b s.c").conclusion == "failure"
    assert states(reached) == ["pending", "success", "pending", "failure"]
