"""Drills on containers, by the action as the runner runs it: each fault in place, noticed, gone, without a trace."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import engine, images, staging
from tests.support.folder import until
from tests.support.runner.job import Job
from tests.support.staging import checklist, drill, inspect, on_network, outcome, ready

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("drills-containers")]

FAULTS: dict[str, dict[str, Any]] = {
    "stop": {"stop": "database"},
    "kill": {"kill": "database"},
    "pause": {"pause": "database"},
    "disconnect": {"disconnect": "database"},
    "latency": {"slow": {"target": "database", "latency": "2s", "jitter": "100ms"}},
    "reset": {"slow": {"target": "database", "reset": True}},
    "cut": {"slow": {"target": "database", "cut": "1ms"}},
    "status": {"impersonate": {"target": "database", "status": 503}},
    "close": {"impersonate": {"target": "database", "close": True}},
}


@pytest.fixture(scope="module")
def image() -> str:
    """Build the action's image."""
    engine.up()
    return images.action()


@pytest.fixture(scope="module")
def job(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    """Start a job with the database."""
    with staging.job(tmp_path_factory.mktemp("drills"), image) as made:
        yield made


def run(job: Job, item: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Run the action on one item and return the item's outcome."""
    (job.workspace / "prodgate.yml").write_text(checklist([item], **more))
    return outcome(job, job.main())


@pytest.mark.parametrize("fault", FAULTS)
def test_a_good_drill(job: Job, fault: str) -> None:
    """A fault is proved, noticed, taken back and recovered from; afterwards everything is as it was."""
    database = job.services["database"]["id"]
    before = inspect(database), on_network(job.network)
    found = run(job, drill(FAULTS[fault]))
    assert [(row["phase"], row["status"]) for row in found["rows"]] == [
        ("steady", "pass"),
        ("fault", "pass"),
        ("observe", "pass"),
        ("restore", "pass"),
        ("recover", "pass"),
        ("recover", "pass"),
        ("throughout", "pass"),
    ], found["evidence"]["answer"]
    assert found["status"] == "pass"
    assert (inspect(database), on_network(job.network)) == before
    assert not list(job.temp.rglob("*.journal"))


def test_a_fault_that_nobody_notices(job: Job) -> None:
    """An API that does not look at its database fails the drill, and the database comes back."""
    database = job.services["database"]["id"]
    before = inspect(database)
    found = run(job, drill({"pause": "database"}, observe=[ready(503, within="1s")], steady=[ready(200, within="5s")]),
                targets=blind())  # fmt: skip
    assert (found["status"], inspect(database)) == ("fail", before)


def blind() -> dict[str, Any]:
    """Return the targets with an API that does not check its database."""
    targets = staging.targets()
    targets["api"]["start"]["environment"]["BLIND"] = "1"
    return targets


def test_a_container_that_would_not_come_back(job: Job, image: str) -> None:
    """A container that the engine removes as soon as it stops is not stopped: an ERROR with the reason."""
    name = f"{job.network}-fleeting"
    staging.docker("run", "-d", "--rm", "--name", name, "--network", job.network, "--network-alias", "fleeting",
                   images.base(), *staging.SERVES)  # fmt: skip
    try:
        targets = {**staging.targets(), "database": {"container": "fleeting", "ready": {"tcp": 5432}}}
        found = run(job, drill({"stop": "database"}), targets=targets)
        assert (found["status"], inspect(name).state) == ("error", "running")
        assert "--rm" in json.dumps(found["message"])
    finally:
        staging.docker("rm", "-f", name)


def test_a_name_that_cannot_be_taken(job: Job) -> None:
    """A container whose name is its hostname, too, keeps it: half of all connections would bypass ours. An ERROR."""
    name = f"{job.network}-keeps"
    staging.docker("run", "-d", "--name", name, "--network", job.network, "--network-alias", "keeps",
                   "--hostname", "keeps", images.base(), *staging.SERVES)  # fmt: skip
    try:
        targets = {**staging.targets(), "database": {"container": "keeps", "ready": {"tcp": 5432}}}
        before = inspect(name)
        found = run(job, drill({"slow": {"target": "database", "reset": True}}), targets=targets)
        assert (found["status"], inspect(name)) == ("error", before)
        assert "would keep the name {name}" in json.dumps(found["message"])
    finally:
        staging.docker("rm", "-f", name)


def test_no_such_container(job: Job) -> None:
    """A container that is not there makes its items a SKIP with the reason, and the verdict a NO-GO."""
    targets = {**staging.targets(), "database": {"container": "postgres", "ready": {"tcp": 5432}}}
    found = run(job, drill({"stop": "database"}), targets=targets)
    assert found["status"] == "skip"
    assert "no container is named {name} on the network" in json.dumps(found)
    assert found["cause"] == "target:database"


def test_two_containers_of_one_name(job: Job) -> None:
    """Two candidates for one name are none: the reason names both."""
    twins = [f"{job.network}-{number}" for number in (1, 2)]
    for twin in twins:
        staging.docker("run", "-d", "--name", twin, "--network", job.network, "--network-alias", "twin",
                       images.base(), *staging.SERVES)  # fmt: skip
    try:
        targets = {**staging.targets(), "database": {"container": "twin", "ready": {"tcp": 5432}}}
        found = run(job, drill({"stop": "database"}), targets=targets)
        assert found["status"] == "skip"
        assert all(twin in json.dumps(found) for twin in twins)
    finally:
        staging.docker("rm", "-f", *twins)


def test_open_connections_are_broken(job: Job) -> None:
    """A connection that was open before the proxy took over ends, so that a pool comes back through the proxy."""
    code = (
        "import socket,time\n"
        "while True:\n"
        " s=socket.create_connection(('database',5432)); print('open',flush=True)\n"
        " s.settimeout(60)\n"
        " try:\n"
        "  while True: s.sendall(b'X'); time.sleep(0.2)\n"
        " except OSError as e: print('broken',type(e).__name__,flush=True); time.sleep(0.2)\n"
    )
    name = f"{job.network}-pool"
    staging.docker("run", "-d", "--name", name, "--network", job.network, images.base(), "python3", "-c", code)
    try:
        found = run(job, drill(FAULTS["latency"], observe=[ready(503, within="10s")]))
        assert found["status"] == "pass", found["evidence"]["answer"]
        assert "broken" in staging.docker("logs", name)
    finally:
        staging.docker("rm", "-f", name)


def test_a_command_in_an_image(job: Job) -> None:
    """A command with an image runs beside the job: with the workspace, on the job's network; its container is gone."""
    before = on_network(job.network)
    connects = "import socket; socket.create_connection(('database', 5432))"
    script = f'cat dependent.py >/dev/null && touch made-there && python3 -c "{connects}"'
    command = {"image": images.base(), "shell": True, "run": f"{script} && echo well", "stdout": "well\n"}
    found = run(job, {"id": "c", "title": "C", "command": command})
    assert found["status"] == "pass", found
    assert (job.workspace / "made-there").exists(), found
    assert on_network(job.network) == before


def test_a_command_in_an_image_has_to_end(job: Job) -> None:
    """A command in an image that does not end in time is an ERROR, one that fails a FAIL; nothing of them is left."""
    before = on_network(job.network)
    sleeping = {"image": images.base(), "run": "sleep 60"}
    assert run(job, {"id": "c", "title": "C", "timeout": "2s", "command": sleeping})["status"] == "error"
    failing = {"image": images.base(), "run": ["sh", "-c", "exit 7"]}
    assert run(job, {"id": "c", "title": "C", "command": failing})["status"] == "fail"
    missing = {"image": "127.0.0.1:1/no-such-image:1", "run": "true"}
    assert run(job, {"id": "c", "title": "C", "command": missing})["status"] == "error"
    assert on_network(job.network) == before


def test_everything_by_the_gate(image: str, tmp_path: Path) -> None:
    """In a job without services the gate builds, starts and connects everything itself, and removes all of it."""
    name = f"api-{uuid.uuid4().hex[:8]}"
    targets = staging.targets()
    api = targets.pop("api")
    api["url"] = f"http://{name}:8080"
    api["start"] = {**api["start"], "build": ".", "command": ["python3", "/dependent.py", "8080"]}
    del api["start"]["image"], api["provision"]
    targets["database"] = {**targets["database"], "start": {"image": images.base(), "command": list(staging.SERVES)}}
    del targets["database"]["container"]
    item = drill(FAULTS["latency"])
    text = checklist([item], targets={**targets, "api": api}).replace('"api"', f'"{name}"')
    with Job(tmp_path, image) as alone:
        (alone.workspace / "prodgate.yml").write_text(text)
        (alone.workspace / "dependent.py").write_text(staging.DEPENDENT.read_text())
        (alone.workspace / "Dockerfile").write_text(f"FROM {images.base()}\nCOPY dependent.py /dependent.py\n")
        networks = staging.networks_of_runs()
        found = outcome(alone, alone.main())
        assert found["status"] == "pass", found
    assert name not in staging.docker("ps", "-a", "--format", "{{.Names}}") + staging.docker("image", "ls")
    left = staging.networks_of_runs() - networks  # those of other runs go with them
    until(lambda: not left & staging.networks_of_runs(), seconds=120)
