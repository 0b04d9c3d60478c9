"""Killed at any moment of a drill, the gate leaves no trace once its post step, or `prodgate restore`, has run.

Each drill is first run to its end: its fault has to be proved, its restoration too. The moments are then spread evenly
from the line that says that the fault goes in, which is just before it does, to the one that says how the drill ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import docker as docker_sdk
import pytest

from tests.support import engine, images
from tests.support.folder import NOTICED
from tests.support.paths import ROOT
from tests.support.runner.job import Job, Service
from tests.support.services import free_port
from tests.support.staging import SERVES, docker, inspect
from tests.support.trials import Record, Trials

PYTHON = "/opt/prodgate/bin/python"
ON_CONTAINERS: tuple[dict[str, Any], ...] = (
    {"fault": {"stop": "database"}},
    {"fault": {"kill": "database"}},
    {"fault": {"pause": "database"}},
    {"fault": {"disconnect": "database"}},
    {"fault": {"slow": {"target": "database", "latency": "100ms"}}},
    {"fault": {"impersonate": {"target": "database", "close": True}}},
    {"fault": {"restart": "database"}},
    {"fault": {"starve": {"target": "database", "cpu": "5%"}}},
    {"fault": {"deploy": {"target": "database", "image": "BASE", "command": list(SERVES)}}},
    {"script": {"command": [PYTHON, "breaks.py"], "touches": ["database"]}},
)
# 58 on containers. An engine may go on for long with what a script has asked of it, and is waited for each time.
CONTAINER_MOMENTS = (6, 6, 6, 6, 6, 6, 6, 6, 6, 4)
ON_PROCESSES: tuple[dict[str, Any], ...] = (
    {"fault": {"stop": "database"}},
    {"fault": {"kill": "database"}},
    {"fault": {"pause": "database"}},
    {"fault": {"slow": {"target": "database", "latency": "100ms"}}},
    {"fault": {"impersonate": {"target": "database", "close": True}}},
    {"fault": {"restart": "database"}},
    {"fault": {"deploy": {"target": "database", "command": "./release.sh"}}},
    {"fault": {"run": {"command": "touch broken", "undo": "rm -f broken", "proof": "test -f broken"}}},
    {"script": {"command": "./breaks.sh", "touches": ["database"]}},
)
# And 42 kills on processes: a hundred in all.
PROCESS_MOMENTS = (5, 5, 5, 5, 4, 5, 5, 4, 4)
DATABASE: dict[str, Any] = {"container": "database", "ready": {"tcp": 5432, "within": "20s"}}
# So many of the hundred kills have to come after the fault's line and before the drill's.
IN_MID_DRILL = 80
# So many of the 58 kills of drills on containers have to leave an act that nobody has undone.
WITH_OPEN_ACTS = 35
# Actions that are open until a run ends, and belong to no fault.
STANDING = ("end_processes", "end_group", "remove_labelled", "let_go")
BREAKS = """
import socket, time
def ask(what):
    with socket.socket(socket.AF_UNIX) as engine:
        engine.connect("/var/run/docker.sock")
        engine.sendall(f"POST /containers/{id}/{what} HTTP/1.0\\r\\n\\r\\n".encode())
        engine.recv(1000)
ask("pause")
time.sleep(0.5)
ask("unpause")
"""


SIGNALS = "pkill -{} -f 'server {} '; sleep 0.3"


def write(folder: Path, target: dict[str, Any], fault: dict[str, Any]) -> None:
    """Write a checklist with one short drill that checks the port before and after the fault, with a pause between."""
    open_ = {"tcp": {"target": "database", "port": 5432}} if "container" in target else {"tcp": {"target": "database"}}
    drill = {
        "steady": [open_],
        "recover": [{"within": "20s", **open_}],
        "stays": "100ms",
        **(
            {"observe": [{"within": "5s", **NOTICED}, {"within": "5s", "command": {"run": "sleep 0.3"}}]}
            if "fault" in fault
            else {}
        ),
        **fault,
    }
    item = {"id": "drill", "title": "Drill", "requires": ["database"], "drill": drill}
    section = {"id": "s", "title": "S", "items": [item]}
    text = {"version": 1, "service": "shop", "targets": {"database": target}, "sections": [section]}
    (folder / "prodgate.yml").write_text(json.dumps(text))


class Gate(Protocol):
    """A gate that can be run, watched and killed, and what undoes what it left."""

    # The folder of its checklist.
    folder: Path
    out: str

    def start(self) -> None:
        """Start a run."""

    def output(self) -> str:
        """Return the output of the run so far."""

    def ended(self) -> bool:
        """Return whether the run has ended."""

    def kill(self) -> None:
        """End the run with SIGKILL and wait until it is dead."""

    def restore(self) -> str:
        """Revert what is left and return the output if that failed."""

    def journals(self) -> list[Path]:
        """Return the journals of actions that are not reverted."""

    def state(self) -> Any:
        """Return everything in which a run could leave a trace."""


@dataclass
class Action:
    """The gate as the runner runs it, in a job with a database and a container that has nothing to do with it."""

    job: Job
    out: str = "prodgate-out"
    runs: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.folder = self.job.workspace
        self.engine = docker_sdk.from_env()
        self.main = threading.Thread()

    def start(self) -> None:
        """Start the job with the action."""
        self.job.container = ""
        self.main = threading.Thread(target=self.job.main)
        self.main.start()

    def output(self) -> str:
        """Return the log of the job so far."""
        return self.job.log.text if self.job.container else ""

    def ended(self) -> bool:
        """Return whether the run has ended."""
        return not self.main.is_alive()

    def kill(self) -> None:
        """Kill the action's container."""
        try:
            self.engine.api.kill(self.job.container)
        except docker_sdk.errors.APIError:
            assert self.ended() or "drill:" in self.output(), "it could not be killed"
        self.main.join()
        self.runs |= {path.stem for path in self.journals()}

    def restore(self) -> str:
        """Revert what the run left, and return the output."""
        post = self.job.post()
        return "" if post.conclusion == "success" else post.log.text

    def journals(self) -> list[Path]:
        """Return the journals in the runner's folders."""
        return list(self.job.temp.rglob("*.journal"))

    def state(self) -> Any:
        """Return the job's containers with their networks, and everything with the label of one of its runs."""
        ids = docker("ps", "-aq", "--filter", f"network={self.job.network}").split()
        ids += [service["id"][:12] for service in self.job.services.values()]
        labels = [f"label=prodgate.run={run}" for run in sorted(self.runs)]
        left = [docker(*words, "--filter", label) for label in labels for words in LISTED]
        return sorted((id, inspect(id)) for id in set(ids)), [line for line in left if line]


LISTED = (("ps", "-aq"), ("network", "ls", "-q"), ("image", "ls", "-q"))


@dataclass
class Program:
    """The gate on a machine, with a state folder of its own."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    out: str = "out"
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the program."""
        self.process = self.launch()

    def launch(self) -> subprocess.Popen[bytes]:
        """Start a run."""
        with (self.folder / "said").open("wb") as said:
            return subprocess.Popen(
                [sys.executable, "-m", "gate", "run", "--out", self.out], cwd=self.folder, env=self._all(),
                stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def output(self) -> str:
        """Return the output so far."""
        return (self.folder / "said").read_text()

    def ended(self) -> bool:
        """Return whether the run has ended."""
        return self.process is None or self.process.poll() is not None

    def kill(self) -> None:
        """Kill the program."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def restore(self) -> str:
        """Run the action's post step and return its log."""
        done = subprocess.run(
            [sys.executable, "-m", "gate", "restore"], cwd=self.folder, env=self._all(),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return "" if done.returncode == 0 else done.stdout + done.stderr

    def _all(self) -> dict[str, str]:
        state = {"XDG_STATE_HOME": str(self.folder / "state"), "PYTHONPATH": str(ROOT)}
        return {**os.environ, **state, **self.environment}

    def journals(self) -> list[Path]:
        """Return the journals in the folder."""
        return list((self.folder / "state").rglob("*.journal"))

    def state(self) -> Any:
        """Return the processes whose working directory is the folder, and the files that a fault creates."""
        return [line for pid in Path("/proc").glob("[0-9]*") if (line := self._here(pid))], self._broken()

    def _here(self, pid: Path) -> str:
        try:
            here = (pid / "cwd").readlink().is_relative_to(self.folder)
            return (pid / "cmdline").read_text().replace("\0", " ") if here else ""
        except OSError:
            return ""

    def _broken(self) -> list[str]:
        return [path.name for path in self.folder.glob("broken*")]


@dataclass
class Kills:
    """What became of the kills of one drill."""

    traces: list[str] = field(default_factory=list)
    in_mid_drill: int = 0
    with_open_acts: int = 0


def kill_at_each_moment(gate: Gate, drill: dict[str, Any], moments: int) -> Kills:
    """Kill a drill at so many moments, restore each time, and compare all that it could have left a trace in."""
    before, kills = gate.state(), Kills()
    whole = span(gate)
    assert proved(gate) == ""
    assert gate.state() == before
    for number in range(moments):
        moment = whole * (number + 0.5) / moments
        kill_after(gate, moment)
        output = gate.output()
        kills.in_mid_drill += "fault:" in output and "drill:" not in output
        kills.with_open_acts += any(open_acts(path) for path in gate.journals())
        errors = gate.restore()
        after = gate.state()
        if errors or after != before or gate.journals():
            when = f"killed after {moment:.2f} s of {whole:.2f} s"
            kills.traces.append(f"{drill} {when}: {after} {gate.journals()} {errors}")
    return kills


def span(gate: Gate) -> float:
    """Return the seconds of the drill in a run that is not killed."""
    gate.start()
    wait_for(gate, "fault:")
    began = time.monotonic()
    wait_for(gate, "drill:")
    duration = time.monotonic() - began
    while not gate.ended():
        time.sleep(0.05)
    return duration


def proved(gate: Gate) -> str:
    """Return what an undisturbed run could not prove; empty if its fault was injected and reverted."""
    report = json.loads((gate.folder / gate.out / "report.json").read_text())
    outcome = report["sections"][0]["items"][0]["outcome"]
    phases = {row["phase"]: row["status"] for row in outcome["rows"]}
    good = outcome["status"] == "pass" and phases["fault"] == phases["restore"] == "pass"
    return "" if good else str(outcome["evidence"]["answer"])


def kill_after(gate: Gate, seconds: float) -> None:
    """Start a run and kill it with SIGKILL `seconds` after it reports the injection."""
    gate.start()
    wait_for(gate, "fault:")
    time.sleep(seconds)
    gate.kill()


def wait_for(gate: Gate, word: str) -> None:
    """Wait until the output of a run holds a word. A run that ends without it fails the test."""
    end = time.monotonic() + 120
    over = False
    while word not in gate.output():
        assert not over, gate.output()
        assert time.monotonic() < end, gate.output()
        over = gate.ended()
        time.sleep(0.005)


def open_acts(journal: Path) -> list[str]:
    """Return the fault actions of a journal that are not reverted."""
    entries = [json.loads(line) for line in journal.read_text().splitlines() if line.endswith("}")]
    undone = {entry["undone"] for entry in entries if "undone" in entry}
    return [each["undo"] for each in entries if each.get("undo") not in (None, *STANDING) and each["act"] not in undone]


def kill_on_containers(folder: Path, drill: dict[str, Any], moments: int) -> Kills:
    """Kill a drill on a service container, run by the action and ended by its post step."""
    services = {
        "database": Service(images.base(), options="--stop-signal INT --network-alias pg", command=SERVES),
        "bystander": Service(images.base(), command=("sleep", "infinity")),
    }
    with Job(folder, images.action(), services=services) as job:
        write(job.workspace, DATABASE, json.loads(json.dumps(drill).replace("BASE", images.base())))
        (job.workspace / "breaks.py").write_text(BREAKS.replace("{id}", job.services["database"]["id"]))
        return kill_at_each_moment(Action(job), drill, moments)


def kill_on_processes(folder: Path, drill: dict[str, Any], moments: int) -> Kills:
    """Kill a drill on a process that hides its environment, run by the program and ended by `prodgate restore`."""
    port, listen = free_port(), free_port()
    serves = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    target = {"start": {"command": ["env", "-i", *serves]}, "port": port, "ready": {"tcp": port, "within": "20s"}}
    between = {"listen": listen} if {"slow", "impersonate"} & drill.get("fault", {}).keys() else {}
    write(folder, {**target, **between}, drill)
    script = folder / "breaks.sh"
    lines = ("#!/bin/sh", "env -i sleep 600 &", *(SIGNALS.format(name, port) for name in ("STOP", "CONT")))
    script.write_text("\n".join(lines))
    script.chmod(0o755)
    release = folder / "release.sh"
    release.write_text(f"#!/bin/sh\nexec env -i {' '.join(serves)} --directory .\n")
    release.chmod(0o755)
    return kill_at_each_moment(Program(folder), drill, moments)


def name_of(value: Any) -> str:
    """Return the name of a drill's fault, or `script`; for a number of moments, the number."""
    return str(next(iter(value.get("fault", value)))) if isinstance(value, dict) else f"{value} kills"


@pytest.mark.engine
@pytest.mark.parametrize(("drill", "moments"), list(zip(ON_CONTAINERS, CONTAINER_MOMENTS, strict=True)), ids=name_of)
def test_no_trace_on_containers(tmp_path: Path, drill: dict[str, Any], moments: int, record_trials: Record) -> None:
    """After SIGKILL at each moment, every container is as it was, and nothing else is left."""
    engine.up()
    kills = kill_on_containers(tmp_path / "job", drill, moments)
    assert kills.traces == []
    record_trials(Trials("kills in mid-drill", kills.in_mid_drill, moments, 100, IN_MID_DRILL))
    record_trials(Trials("kills that leave open acts", kills.with_open_acts, moments, 58, WITH_OPEN_ACTS))


@pytest.mark.parametrize(("drill", "moments"), list(zip(ON_PROCESSES, PROCESS_MOMENTS, strict=True)), ids=name_of)
def test_no_trace_on_processes(tmp_path: Path, drill: dict[str, Any], moments: int, record_trials: Record) -> None:
    """After SIGKILL at each moment, every process is as it was, and nothing else is left."""
    kills = kill_on_processes(tmp_path, drill, moments)
    assert kills.traces == []
    record_trials(Trials("kills in mid-drill", kills.in_mid_drill, moments, 100, IN_MID_DRILL))


def test_there_are_a_hundred_kills() -> None:
    """The drills are killed a hundred times in all, 58 times on containers."""
    assert sum(CONTAINER_MOMENTS) == 58
    assert sum(PROCESS_MOMENTS) == 42


@contextmanager
def lane(folder: Path, image: str) -> Iterator[tuple[Program, str, str]]:
    """Create a network with a database as the runner would start it, and a gate that runs there."""
    folder.mkdir()
    network = f"github_network_{uuid.uuid4().hex}"
    docker("network", "create", network)
    database = docker("run", "-d", "--network", network, "--network-alias", "database", "--stop-signal", "INT",
                      image, *SERVES)  # fmt: skip
    try:
        yield Program(folder, {"PRODGATE_NETWORK": network, "PRODGATE_IMAGE": images.action()}), network, database
    finally:
        left = docker("ps", "-aq", "--filter", f"network={network}").split()
        docker("rm", "-f", *{database[:12], *left})
        docker("network", "rm", network)


def paused(gate: Program, database: str) -> subprocess.Popen[bytes]:
    """Start a run and wait until its drill has paused the database, for five seconds."""
    write(
        gate.folder,
        DATABASE,
        {"fault": {"pause": "database"}},
    )
    path = gate.folder / "prodgate.yml"
    checklist = json.loads(path.read_text())
    drill = checklist["sections"][0]["items"][0]["drill"]
    drill["observe"] = [{"within": "5s", "tcp": {"target": "database", "port": 1}}]
    path.write_text(json.dumps(checklist))
    process = gate.launch()
    end = time.monotonic() + 60
    while inspect(database).state != "paused" and time.monotonic() < end:
        time.sleep(0.05)
    return process


@pytest.mark.engine
def test_two_gates_at_once(tmp_path: Path) -> None:
    """Two gates on one engine: the one that restores does not touch what the other, alive, has broken."""
    engine.up()
    with lane(tmp_path / "one", images.base()) as (gate, _, database):
        process = paused(gate, database)
        said = gate.restore()
        assert (said, inspect(database).state, len(gate.journals())) == ("", "paused", 1)
        process.wait(60)
        assert (inspect(database).state, gate.journals()) == ("running", [])


@pytest.mark.engine
def test_the_next_run_restores(tmp_path: Path) -> None:
    """What a killed run left is undone by the next one before it begins."""
    engine.up()
    with lane(tmp_path / "one", images.base()) as (gate, _, database):
        process = paused(gate, database)
        process.kill()
        process.wait()
        assert inspect(database).state == "paused"
        write(
            gate.folder,
            DATABASE,
            {"fault": {"pause": "database"}},
        )
        assert gate.launch().wait(60) == 0
        assert (inspect(database).state, gate.journals()) == ("running", [])
