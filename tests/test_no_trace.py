"""Killed at any moment of a drill, the gate leaves no trace once its post step, or `prodgate restore`, has run.

The moments are spread evenly over a drill that was measured before, so that every part of it is hit.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.parts import engine, images
from tests.parts.services import free_port
from tests.parts.staging import SERVES, docker, look, on_network

ROOT = Path(__file__).parent.parent
CONTAINER_FAULTS: tuple[dict[str, Any], ...] = (
    {"stop": "database"},
    {"kill": "database"},
    {"pause": "database"},
    {"disconnect": "database"},
    {"slow": {"target": "database", "latency": "200ms"}},
    {"impersonate": {"target": "database", "close": True}},
)
MOMENTS_EACH = 12
"""Six faults on containers, twelve moments each."""
PROCESS_FAULTS: tuple[dict[str, Any], ...] = ({"stop": "database"}, {"pause": "database"})
PROCESS_MOMENTS = 14
"""Two faults on processes, fourteen moments each: a hundred in all."""
LANES = 3


def write(folder: Path, target: dict[str, Any], fault: dict[str, Any]) -> None:
    """A checklist with one short drill: the port is looked at before, during and after."""
    open_ = {"tcp": {"target": "database"}}
    drill = {
        "steady": [open_],
        "fault": fault,
        "observe": [{"within": "200ms", **open_}],
        "recover": [{"within": "20s", **open_}],
        "stays": "100ms",
    }
    item = {"id": "drill", "title": "Drill", "requires": ["database"], "drill": drill}
    section = {"id": "s", "title": "S", "items": [item]}
    text = {"version": 1, "service": "shop", "targets": {"database": target}, "sections": [section]}
    (folder / "prodgate.yml").write_text(json.dumps(text))


@dataclass
class Gate:
    """The gate on a machine, with a state folder of its own."""

    folder: Path
    environment: dict[str, str]

    def start(self) -> subprocess.Popen[bytes]:
        """Starts a run."""
        return subprocess.Popen(
            [sys.executable, "-m", "gate", "run", "--out", "out"], cwd=self.folder, env=self._all(),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def restore(self) -> str:
        """What the post step does."""
        done = subprocess.run(
            [sys.executable, "-m", "gate", "restore"], cwd=self.folder, env=self._all(),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return "" if done.returncode == 0 else done.stdout + done.stderr

    def _all(self) -> dict[str, str]:
        state = {"XDG_STATE_HOME": str(self.folder / "state"), "PYTHONPATH": str(ROOT)}
        return {**os.environ, **state, **self.environment}

    def journals(self) -> list[str]:
        """What was not undone."""
        return [path.name for path in (self.folder / "state").rglob("*.journal")]


def duration(gate: Gate) -> float:
    """Seconds of a run that nobody kills."""
    began = time.monotonic()
    gate.start().wait(120)
    return time.monotonic() - began


def kill_after(gate: Gate, seconds: float) -> None:
    """Starts a run, and kills it with SIGKILL after so long."""
    process = gate.start()
    time.sleep(seconds)
    process.kill()
    process.wait()


@contextmanager
def lane(folder: Path, image: str) -> Iterator[tuple[Gate, str, str]]:
    """A network with a database as the runner would start it, and a gate that works there."""
    folder.mkdir()
    network = f"github_network_{uuid.uuid4().hex}"
    docker("network", "create", network)
    database = docker("run", "-d", "--network", network, "--network-alias", "database", "--stop-signal", "INT",
                      image, *SERVES)  # fmt: skip
    try:
        yield Gate(folder, {"PRODGATE_NETWORK": network, "PRODGATE_IMAGE": images.action()}), network, database
    finally:
        left = docker("ps", "-aq", "--filter", f"network={network}").split()
        docker("rm", "-f", *{database[:12], *left})
        docker("network", "rm", network)


def container_trials(folder: Path, image: str, fault: dict[str, Any]) -> list[str]:
    """What was wrong after each kill of a drill on a container."""
    wrong = []
    with lane(folder, image) as (gate, network, database):
        write(folder, {"container": "database", "ready": {"tcp": 5432, "within": "20s"}}, fault)
        before = look(database), on_network(network)
        whole = duration(gate)
        for number in range(MOMENTS_EACH):
            moment = whole * (number + 0.5) / MOMENTS_EACH
            kill_after(gate, moment)
            said = gate.restore()
            after = look(database), on_network(network)
            if said or after != before or gate.journals():
                wrong.append(f"{fault} killed after {moment:.2f} s of {whole:.2f} s: {after} {gate.journals()} {said}")
    return wrong


def process_trials(folder: Path, fault: dict[str, Any]) -> list[str]:
    """What was wrong after each kill of a drill on a process."""
    folder.mkdir()
    gate, port, mark = Gate(folder, {}), free_port(), uuid.uuid4().hex
    command = [sys.executable, "-c", f"import http.server as h; M={mark!r}; h.test(port={port}, bind='127.0.0.1')"]
    write(folder, {"start": {"command": command}, "port": port, "ready": {"tcp": port, "within": "20s"}}, fault)
    whole, wrong = duration(gate), []
    for number in range(PROCESS_MOMENTS):
        moment = whole * (number + 0.5) / PROCESS_MOMENTS
        kill_after(gate, moment)
        said = gate.restore()
        listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        if said or mark in listed or gate.journals():
            wrong.append(f"{fault} killed after {moment:.2f} s of {whole:.2f} s: {gate.journals()} {said}")
    return wrong


@pytest.mark.engine
@pytest.mark.xdist_group("no-trace")
def test_no_trace_after_a_kill(tmp_path: Path) -> None:
    """After SIGKILL at each of 100 moments, every container and process is as it was, and nothing else is left."""
    engine.up()
    image = images.base()
    images.action()
    with ThreadPoolExecutor(LANES) as pool:
        works = [
            *(
                pool.submit(container_trials, tmp_path / f"c{n}", image, each)
                for n, each in enumerate(CONTAINER_FAULTS)
            ),
            *(pool.submit(process_trials, tmp_path / f"p{n}", each) for n, each in enumerate(PROCESS_FAULTS)),
        ]
        wrong = [line for work in works for line in work.result()]
    assert MOMENTS_EACH * len(CONTAINER_FAULTS) + PROCESS_MOMENTS * len(PROCESS_FAULTS) == 100
    assert wrong == []


def paused(gate: Gate, database: str) -> subprocess.Popen[bytes]:
    """A run in whose drill the database is paused by now, and stays so for five seconds."""
    write(gate.folder, {"container": "database", "ready": {"tcp": 5432, "within": "20s"}}, {"pause": "database"})
    path = gate.folder / "prodgate.yml"
    checklist = json.loads(path.read_text())
    drill = checklist["sections"][0]["items"][0]["drill"]
    drill["observe"] = [{"within": "5s", "tcp": {"target": "database", "port": 1}}]
    path.write_text(json.dumps(checklist))
    process = gate.start()
    end = time.monotonic() + 60
    while look(database).state != "paused" and time.monotonic() < end:
        time.sleep(0.05)
    return process


@pytest.mark.engine
@pytest.mark.xdist_group("no-trace")
def test_two_gates_at_once(tmp_path: Path) -> None:
    """Two gates on one engine: the one that restores does not touch what the other, alive, has broken."""
    engine.up()
    with lane(tmp_path / "one", images.base()) as (gate, _, database):
        process = paused(gate, database)
        said = gate.restore()
        assert (said, look(database).state, len(gate.journals())) == ("", "paused", 1)
        process.wait(60)
        assert (look(database).state, gate.journals()) == ("running", [])


@pytest.mark.engine
@pytest.mark.xdist_group("no-trace")
def test_the_next_run_restores(tmp_path: Path) -> None:
    """What a killed run left is undone by the next one before it begins."""
    engine.up()
    with lane(tmp_path / "one", images.base()) as (gate, _, database):
        process = paused(gate, database)
        process.kill()
        process.wait()
        assert look(database).state == "paused"
        write(gate.folder, {"container": "database", "ready": {"tcp": 5432, "within": "20s"}}, {"pause": "database"})
        assert gate.start().wait(60) == 0
        assert (look(database).state, gate.journals()) == ("running", [])
