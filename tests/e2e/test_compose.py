"""Compose projects as targets, with the real Compose: found, drilled, left as they were, brought up and taken down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support import engine, images
from tests.support.compose import Project, environment, serving, targets
from tests.support.folder import Folder, until
from tests.support.runner.job import Job
from tests.support.staging import docker, ready

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("compose")]

FAULTS: dict[str, dict[str, Any]] = {
    "stop": {"stop": "db"},
    "kill": {"kill": "db"},
    "pause": {"pause": "db"},
    "disconnect": {"disconnect": "db"},
    "latency": {"slow": {"target": "db", "latency": "1s", "jitter": "100ms"}},
    "reset": {"slow": {"target": "db", "reset": True}},
    "cut": {"slow": {"target": "db", "cut": "1ms"}},
    "status": {"impersonate": {"target": "db", "status": 503}},
    "close": {"impersonate": {"target": "db", "close": True}},
}


def drill(name: str, fault: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return an item that breaks the database and watches the API."""
    made = {
        "steady": [ready(within="20s")],
        "fault": fault,
        "observe": [ready(503, within="30s")],
        "recover": [ready(within="60s")],
        "stays": "0s",
        **more,
    }
    return {"id": name, "title": name, "requires": ["api"], "drill": made}


def text(*items: dict[str, Any], **more: Any) -> str:
    """Return a checklist."""
    section = {"id": "s", "title": "S", "items": list(items)}
    return json.dumps({"version": 1, "service": "shop", "targets": targets(), "sections": [section], **more})


class OnHost:
    """The gate as a program of the machine."""

    def __init__(self, path: Path, project: Project) -> None:
        path.mkdir(exist_ok=True)
        self.folder = Folder(path)
        self.folder.environment = {**self.folder.environment, **environment(), "PRODGATE_IMAGE": images.action()}
        (path / "compose.yml").write_text((project.folder / "compose.yml").read_text())

    def run(self, checklist: str) -> tuple[dict[str, dict[str, Any]], str]:
        """Return the outcomes of a run by item, and what it printed."""
        (self.folder.path / "prodgate.yml").write_text(checklist)
        _, printed = self.folder.run()
        return outcomes(self.folder.path / "out"), printed


class InAction:
    """The gate as the action of a job without services: on no network of the project."""

    def __init__(self, path: Path, project: Project) -> None:
        self.job = Job(path, images.action())
        (self.job.workspace / "compose.yml").write_text((project.folder / "compose.yml").read_text())

    def run(self, checklist: str) -> tuple[dict[str, dict[str, Any]], str]:
        """Return the outcomes of a run by item, and what it logged."""
        (self.job.workspace / "prodgate.yml").write_text(checklist)
        with self.job:
            stage = self.job.main()
            assert not list(self.job.temp.rglob("*.journal"))
        return outcomes(self.job.workspace / "prodgate-out"), stage.log.text


def outcomes(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the outcomes of a report by item."""
    report = json.loads((folder / "report.json").read_text())
    return {item["id"]: item["outcome"] for section in report["sections"] for item in section["items"]}


@pytest.fixture(scope="module", autouse=True)
def running_engine() -> None:
    """Start an engine unless one answers."""
    engine.up()


@pytest.mark.parametrize(("gate", "replicas"), [(OnHost, 1), (InAction, 2)])
def test_every_fault(tmp_path: Path, gate: type[OnHost | InAction], replicas: int) -> None:
    """Nine of nine faults are proved, noticed and reverted, on all networks and replicas; all is as before."""
    with Project(tmp_path / "shop", replicas=replicas).up() as project:
        before = project.state()
        found, printed = gate(tmp_path / "gate", project).run(text(*(drill(*entry) for entry in FAULTS.items())))
        problems = {
            name: outcome["evidence"]["answer"] for name, outcome in found.items() if outcome["status"] != "pass"
        }
        assert (problems, len(found)) == ({}, 9), printed
        assert project.state() == before
        ids = project.containers()
        recreated = [line for line in project.compose("up", "--detach").splitlines() if "creat" in line.lower()]
        assert (recreated, project.containers()) == ([], ids)
        project.compose("down", "--volumes", "--timeout", "1")
        assert project.left() == {}


@pytest.fixture(scope="module")
def special(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Yield a project with two databases, and services that cannot be replaced by a proxy."""
    folder = tmp_path_factory.mktemp("special")
    services = {
        "published": serving(ports=["127.0.0.1::5432"]),
        "named": serving(),
        "hidden": serving(profiles=["debug"]),
        "broken": {
            "image": images.base(),
            "command": ["sh", "-c", "echo first; echo relation users is missing; exit 3"],
        },
    }
    project = Project(folder, replicas=2, **services)
    # The name of a container is the machine's: the service gets the same.
    project.services[f"named-{project.name}"] = {
        **project.services.pop("named"),
        "container_name": f"named-{project.name}",
    }
    project.write()
    with project:
        project.compose("up", "--detach")
        yield project


def test_what_cannot_be_replaced(tmp_path: Path, special: Project) -> None:
    """A published port and a container named like its service are refused, with what to remove; nothing changes."""
    named = f"named-{special.name}"
    more = {"published": {"service": "published", "port": 5432}, "named": {"service": named, "port": 5432}}
    items = [
        drill("published", {"impersonate": {"target": "published", "close": True}}),
        drill("named", {"slow": {"target": "named", "latency": "1s"}}),
    ]
    before = special.state()
    found, printed = OnHost(tmp_path, special).run(text(*items, targets={**targets(), **more}))
    assert {name: outcome["status"] for name, outcome in found.items()} == {"published": "error", "named": "error"}
    assert "ports: !reset []" in json.dumps(found["published"]), printed
    assert f"container_name: {named}" in json.dumps(found["named"]) or "{key}: {name}" in json.dumps(found["named"])
    assert special.state() == before


def test_one_replica(tmp_path: Path, special: Project) -> None:
    """A fault of one replica breaks only that one: the API, which still has the other, notices nothing."""
    more = {**targets(), "one": {"service": "db", "replica": 2, "port": 5432}}
    first, second = (docker("ps", "-aqf", f"name=^{special.name}-db-{number}$", "--no-trunc") for number in (1, 2))
    before = special.state()
    # Seen by the engine while the fault lasts: the first runs, the second does not.
    watch = f"docker inspect -f '{{{{.State.Running}}}}' {first} {second} | tr -d '\\n'"
    seen = {"within": "10s", "command": {"shell": True, "run": watch, "stdout": "truefalse"}}
    item = drill("one", {"stop": "one"}, observe=[seen], throughout=[ready(200)])
    found, printed = OnHost(tmp_path, special).run(text(item, targets=more))
    assert found["one"]["status"] == "pass", (found["one"]["evidence"]["answer"], printed)
    assert special.state() == before


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({"service": "cache"}, "has no container of a service cache; it has api, broken, db, migrate"),
        ({"service": "hidden"}, "--profile"),
        ({"service": "db", "replica": 3}, "has no replica 3, only 1, 2"),
        ({"service": "broken", "once": True}, "it has exited with 3: first | relation users is missing"),
    ],
)
def test_a_service_that_is_not_ready(tmp_path: Path, special: Project, target: dict[str, Any], expected: str) -> None:
    """A service that is missing, whose profile is not active, or that failed to end with 0 is not ready."""
    item = {"id": "i", "title": "I", "requires": ["x"], "file": {"path": "prodgate.yml", "exists": True}}
    found, printed = OnHost(tmp_path, special).run(text(item, targets={"x": {"port": 5432, **target}}))
    assert found["i"]["status"] == "skip"
    assert expected in printed


def test_a_project_that_the_gate_brings_up(tmp_path: Path) -> None:
    """The gate brings a project up that is not, and takes it down with its volumes, but not with those from before."""
    with Project(tmp_path / "shop") as project:
        kept = f"{project.name}_kept"
        labels = ("--label", f"com.docker.compose.project={project.name}", "--label", "com.docker.compose.volume=kept")
        docker("volume", "create", *labels, kept)
        item = {"id": "i", "title": "I", "requires": ["api"], **ready(200)}
        found, printed = OnHost(tmp_path / "gate", project).run(text(item, compose={"file": "compose.yml"}))
        assert found["i"]["status"] == "pass", printed
        assert list(project.left()) == ["volume"]
        assert docker("volume", "ls", "-q", "--filter", f"name={project.name}") == kept
        found, logged = InAction(tmp_path / "action", project).run(text(item))
        assert found["i"]["status"] == "skip"
        assert f"the Compose project {project.name} is not up" in logged
        assert "docker compose -p" in logged


def test_down_after_sigkill(tmp_path: Path) -> None:
    """After SIGKILL in the middle of a fault, `down` also removes what the gate put into the service's place."""
    with Project(tmp_path / "shop").up() as project:
        gate = OnHost(tmp_path / "gate", project)
        (gate.folder.path / "prodgate.yml").write_text(
            text(drill("slow", FAULTS["latency"], observe=[ready(418, within="60s")]))
        )
        process = gate.folder.start()
        until(lambda: "-instead-of-db" in docker("ps", "--format", "{{.Names}} {{.Networks}}", "--filter",
                                                 f"network={project.name}_back"))  # fmt: skip
        gate.folder.kill(process)
        project.compose("down", "--volumes", "--timeout", "1")
        assert project.left() == {}
        assert gate.folder.run("restore")[0] == 0
        assert gate.folder.journals() == []


def test_restore_after_sigkill(tmp_path: Path) -> None:
    """After SIGKILL of the action, the post step reverts the fault: the project and its networks are as before."""
    with Project(tmp_path / "shop").up() as project:
        before = project.state()
        gate = InAction(tmp_path / "gate", project)
        item = drill("pause", {"pause": "db"}, observe=[ready(418, within="60s")])
        (gate.job.workspace / "prodgate.yml").write_text(text(item))
        with gate.job as job, ThreadPoolExecutor(1) as pool:
            stage = pool.submit(job.main)
            until(
                lambda: "paused" in docker("ps", "--format", "{{.State}}", "--filter", f"network={project.name}_back")
            )
            job.kill_everything()
            stage.result()
            job.post()
            assert not list(job.temp.rglob("*.journal"))
        assert project.state() == before
