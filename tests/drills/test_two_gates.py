"""Gates at once on one engine do not touch each other; one that is killed while it builds leaves nothing running."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.support import engine, images
from tests.support.folder import Folder, until
from tests.support.staging import DEPENDENT, SERVES, docker, inspect, ready

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("drills-two-gates")]


@pytest.fixture(scope="module")
def image() -> str:
    """Build an image with Python."""
    engine.up()
    return images.base()


def run_id(folder: Folder) -> str:
    """Return the id of the run in a folder, running or killed."""
    until(lambda: folder.journals() != [])
    return folder.journals()[0].removesuffix(".journal")


def left(run: str) -> list[str]:
    """Return the containers, networks and images that a run created and did not remove."""
    label = ("-q", "--filter", f"label=prodgate.run={run}")
    return " ".join(docker(*kind, *label) for kind in (("ps", "-a"), ("network", "ls"), ("image", "ls"))).split()


def dockerfile(path: Path, image: str, word: str, *lines: str) -> None:
    """Write a Dockerfile of several steps, equal for equal words."""
    (path / "word").write_text(word)
    (path / "dependent.py").write_text(DEPENDENT.read_text())
    copied = f"FROM {image}\nCOPY word dependent.py /\nRUN cp /word /again\n"
    (path / "Dockerfile").write_text(copied + "\n".join([*lines, ""]))


def targets(image: str) -> dict[str, Any]:
    """Return a database that is started and an API that is built."""
    api = {
        "build": ".",
        "command": ["python3", "/dependent.py", "8080"],
        "environment": {"DATABASE_HOST": "{database.host}", "DATABASE_PORT": "{database.port}"},
    }
    return {
        "database": {
            "start": {"image": image, "command": list(SERVES)},
            "port": 5432,
            "ready": {"tcp": 5432, "within": "60s"},
        },
        "api": {"start": api, "port": 8080, "ready": {"path": "/readyz", "within": "60s"}},
    }


def drill() -> dict[str, Any]:
    """Return a drill that fails if anything else touches the database or the API."""
    made = {
        "steady": [ready(within="5s")],
        "fault": {"pause": "database"},
        "observe": [ready(503, within="10s")],
        "throughout": [{"http": {"target": "api", "path": "/live", "status": 200}}],
        "recover": [ready(within="20s")],
        "stays": "4s",
    }
    return {"id": "drill", "title": "Drill", "requires": ["api", "database"], "drill": made}


def test_two_gates_at_once(tmp_path: Path, image: str) -> None:
    """Two gates build the same Dockerfile, drill targets of the same names, both to a GO, and leave nothing."""
    word = uuid.uuid4().hex
    folders = [Folder(tmp_path / name) for name in ("one", "two")]
    for folder in folders:
        folder.path.mkdir()
        dockerfile(folder.path, image, word)
        folder.write(drill(), **targets(image))
    gates = [folder.start() for folder in folders]
    runs = [run_id(folder) for folder in folders]
    until(lambda: all(left(run) for run in runs))
    said = [gate.communicate(timeout=300)[0] for gate in gates]
    assert [gate.returncode for gate in gates] == [0, 0], said
    assert [left(run) for run in runs] == [[], []]
    assert [folder.journals() for folder in folders] == [[], []]


@pytest.mark.parametrize(("one", "other"), [("stop", "stop"), ("disconnect", "pause")])
def test_two_gates_on_one_container(tmp_path: Path, image: str, one: str, other: str) -> None:
    """Gates that begin on one container at the same moment leave it as it was; who may drill it, the engine says."""
    network = f"github_network_{uuid.uuid4().hex}"
    docker("network", "create", network)
    database = docker("run", "-d", "--network", network, "--network-alias", "database", "--stop-signal", "INT",
                      image, *SERVES)  # fmt: skip
    try:
        before, folders = inspect(database), [Folder(tmp_path / name) for name in ("one", "two")]
        for folder, fault in zip(folders, (one, other), strict=True):
            folder.path.mkdir()
            folder.environment["PRODGATE_NETWORK"] = network
            asks = {"tcp": {"target": "database", "port": 5432}}
            waits = {"within": "5s", "command": {"run": "sleep 0.5"}}
            made = {
                "steady": [asks],
                "fault": {fault: "database"},
                "observe": [waits],
                "recover": [asks],
                "stays": "1s",
            }
            target = {"container": "database", "ready": {"tcp": 5432, "within": "20s"}}
            folder.write({"id": "drill", "title": "D", "requires": ["database"], "drill": made}, database=target)
        gates = [folder.start() for folder in folders]
        said = "\n".join(gate.communicate(timeout=120)[0] for gate in gates)
        assert {gate.returncode for gate in gates} <= {0, 1}, said
        assert inspect(database) == before
        assert "Traceback" not in said
        assert [each.journals() for each in folders] == [[], []]
    finally:
        docker("rm", "-f", database)
        docker("network", "rm", network)


def test_a_gate_that_is_killed_while_it_builds(tmp_path: Path, image: str) -> None:
    """After SIGKILL in mid-build, `restore` leaves nothing of the run, and the build does not go on."""
    folder = Folder(tmp_path)
    dockerfile(tmp_path, image, uuid.uuid4().hex, f"RUN echo {folder.word} && sleep 600")
    folder.write(drill(), **targets(image))
    gate = folder.start()
    until(lambda: steps(folder) != [])
    folder.kill(gate)
    run = run_id(folder)
    assert left(run) != []
    code, said = folder.run("restore")
    assert (code, folder.journals()) == (0, []), said
    until(lambda: steps(folder) == [])
    assert left(run) == []


def steps(folder: Folder) -> list[str]:
    """Return the build containers of the step that contains the word, running or left behind."""
    found = docker("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Command}}").splitlines()
    return [line for line in found if folder.word in line]
