"""Drills on processes, by the program a user runs: good ones, and each way in which one must not be good."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from typing import Any

import pytest

from tests.support.paths import ROOT
from tests.support.process_drills import Staging, drill, live, not_ready, phases, ready
from tests.support.services import free_port


@pytest.mark.parametrize("fault", ["stop", "kill", "pause"])
def test_a_good_drill(staging: Staging, fault: str) -> None:
    """A fault that is noticed, taken back and recovered from passes, with a row for each part, and leaves nothing."""
    staging.write_drill(drill({fault: "database"}))
    code, outcome = staging.run_drill()
    assert phases(outcome) == [
        ("steady", "pass"),
        ("fault", "pass"),
        ("observe", "pass"),
        ("restore", "pass"),
        ("recover", "pass"),
        ("recover", "pass"),
        ("throughout", "pass"),
    ]
    assert (code, outcome["status"], staging.left()) == (0, "pass", [])
    assert [moment["kind"] for moment in outcome["timeline"]["moments"]] == [
        "fault",
        "noticed",
        "restored",
        "recovered",
    ]


@pytest.mark.parametrize(
    "fault",
    [
        {"slow": {"target": "database", "latency": "2s"}},
        {"slow": {"target": "database", "reset": True}},
        {"slow": {"target": "database", "cut": "1ms"}},
        {"impersonate": {"target": "database", "status": 503}},
        {"impersonate": {"target": "database", "close": True}},
    ],
    ids=["latency", "reset", "cut", "status", "close"],
)
def test_a_proxy_in_front_of_a_process(staging: Staging, fault: dict[str, Any]) -> None:
    """Slow and impersonated processes are noticed through the address that the gate gave out."""
    staging.write_drill(drill(fault), listen=free_port())
    code, outcome = staging.run_drill()
    assert (code, outcome["status"], staging.left()) == (0, "pass", []), outcome["evidence"]["answer"]


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"slow": {"target": "database", "latency": "2s"}}, "needs the gate's proxy in front of a process"),
        ({"impersonate": {"target": "database", "close": True}}, "needs the gate's proxy in front of a process"),
        ({"disconnect": "database"}, "'disconnect' does not support processes"),
        ({"stop": "elsewhere"}, "faults support nothing else"),
        ({"kill": "worker"}, "the fault is verified there"),
    ],
    ids=["slow", "impersonate", "disconnect", "url", "port"],
)
def test_a_fault_that_cannot_be_done(staging: Staging, fault: dict[str, Any], why: str) -> None:
    """A fault that can't be done to its target is an error of the checklist, found before anything is run."""
    staging.write_drill(drill(fault))
    text = json.loads((staging.path / "prodgate.yml").read_text())
    text["targets"] |= {"elsewhere": {"url": "http://127.0.0.1:1"}, "worker": {"start": {"command": "sleep 9"}}}
    (staging.path / "prodgate.yml").write_text(json.dumps(text))
    said, _ = staging.start().communicate(timeout=60)
    assert why in said
    assert staging.left() == []


CLOSES = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1])), reuse_port=True) as server:
    while True:
        server.accept()[0].close()
"""


def test_a_connection_that_somebody_else_ends(staging: Staging) -> None:
    """A connection that the service itself ends before its time is no proof that ours cuts it: an ERROR."""
    fault = {"slow": {"target": "database", "cut": "30s"}}
    staging.write_drill(
        drill(fault, steady=[live()], observe=[{**live(), "within": "1s"}], recover=[live()]), listen=free_port()
    )
    path = staging.path / "prodgate.yml"
    checklist = json.loads(path.read_text())
    checklist["targets"]["database"]["start"]["command"] = [sys.executable, "-c", CLOSES, str(staging.database)]
    path.write_text(json.dumps(checklist))
    code, outcome = staging.run_drill()
    assert (code, outcome["status"], staging.left()) == (1, "error", [])
    assert "had no effect" in json.dumps(outcome["message"])


def test_late_and_cut(staging: Staging) -> None:
    """Where connections are late and cut, both are proved."""
    staging.write_drill(drill({"slow": {"target": "database", "latency": "1s", "cut": "1500ms"}}), listen=free_port())
    code, outcome = staging.run_drill()
    assert (code, outcome["status"]) == (0, "pass"), outcome["evidence"]["answer"]
    (proof,) = [line for line in outcome["evidence"]["answer"].splitlines() if line.startswith("fault")]
    assert "a probe through the proxy took 1" in proof
    assert "was broken after 1.5" in proof


def test_a_fault_that_nobody_notices(staging: Staging) -> None:
    """A service that does not look at its database fails the drill, and the database comes back."""
    staging.write_drill(drill({"stop": "database"}, observe=[not_ready(within="1s")]), environment={"BLIND": "1"})
    code, outcome = staging.run_drill()
    assert (code, outcome["status"], staging.left()) == (1, "fail", [])
    assert dict(phases(outcome))["observe"] == "fail"
    assert dict(phases(outcome))["restore"] == "pass"
    (row,) = [row for row in outcome["rows"] if row["phase"] == "observe"]
    (missed,) = [moment for moment in outcome["timeline"]["moments"] if moment["kind"] == "missed"]
    assert (row["at"], missed["what"]["text"].split(":")[0]) == (None, "not observed")
    assert missed["at"] > 0.5
    assert "seen after" not in outcome["evidence"]["answer"]


def test_a_service_that_does_not_recover(staging: Staging) -> None:
    """Not recovering fails the drill although everything was noticed."""
    staging.write_drill(drill({"stop": "database"}, recover=[ready(within="1s")]), environment={"FORGETFUL": "1"})
    code, outcome = staging.run_drill()
    assert (code, outcome["status"], dict(phases(outcome))["observe"]) == (1, "fail", "pass")
    assert dict(phases(outcome))["recover"] == "fail"


def test_something_that_does_not_hold_throughout(staging: Staging) -> None:
    """What does not hold all along fails the drill, however short it was: it is asked while the fault is in."""
    staging.write_drill(drill({"stop": "database"}, throughout=[ready()]))
    code, outcome = staging.run_drill()
    assert (code, outcome["status"], dict(phases(outcome))["throughout"]) == (1, "fail", "fail")
    (missed,) = [moment for moment in outcome["timeline"]["moments"] if moment["kind"] == "missed"]
    restored = next(moment for moment in outcome["timeline"]["moments"] if moment["kind"] == "restored")
    assert missed["what"]["text"].split(":")[0] == "did not hold"
    assert missed["at"] < restored["at"]


def freezes_the_api(staging: Staging) -> str:
    """Return a script that lets the API hang for some seconds."""
    script = staging.path / "freezes.sh"
    script.write_text(
        f"#!/bin/sh\npid=$(pgrep -f 'dependent.py {staging.api}$')\nkill -STOP $pid; sleep 4; kill -CONT $pid\n"
    )
    script.chmod(0o755)
    return "./freezes.sh"


@pytest.mark.parametrize("kind", ["script", "run"])
def test_what_breaks_while_the_fault_goes_in(staging: Staging, kind: str) -> None:
    """What has to hold all along is watched, and traffic is sent, from before the first act of the fault on."""
    traffic = {"target": "api", "path": "/live", "rate": 5}
    watched = {"throughout": [{**live(), "timeout": "1s"}], "traffic": traffic, "observe": [live() | {"within": "10s"}]}
    if kind == "script":
        made = drill({}, **watched, script={"command": freezes_the_api(staging)})
        del made["fault"]
    else:
        breaks = ["sh", "-c", f"touch done; {freezes_the_api(staging)}"]
        own = {"command": breaks, "undo": ["rm", "-f", "done"], "proof": ["test", "-f", "done"]}
        made = drill({"run": own}, **watched)
    staging.write_drill(made)
    code, outcome = staging.run_drill()
    assert (code, outcome["status"], dict(phases(outcome))["throughout"]) == (1, "fail", "fail")
    (sent,) = [row["message"]["args"]["sent"] for row in traffic_rows(outcome) if "achieved" in row["message"]["args"]]
    assert sent > 10


def traffic_rows(outcome: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of the traffic: its rate, then before, during and after the fault."""
    return [row for row in outcome["rows"] if row["phase"] == "traffic"]


def test_a_script_is_observed_while_it_runs(staging: Staging) -> None:
    """What is seen only as long as a script runs is seen, and its exit code is the proof, at its end."""
    script = "sh -c 'touch broken; sleep 3; rm broken'"
    observation = {"within": "2s", "file": {"path": "broken", "exists": True}}
    staging.write_drill(
        {"steady": [ready(within="5s")], "script": {"command": script}, "observe": [observation], "stays": "0s"}
    )
    code, outcome = staging.run_drill()
    assert (code, outcome["status"]) == (0, "pass"), outcome["evidence"]["answer"]
    assert [phase for phase, _ in phases(outcome)] == ["steady", "observe", "fault", "restore", "recover"]


def test_what_held_before_the_fault(staging: Staging) -> None:
    """What is seen and was so before the fault is no detection: its row says so, and another one's time counts."""
    staging.write_drill(drill({"stop": "database"}, observe=[{**live(), "within": "5s"}]))
    code, outcome = staging.run_drill()
    assert (code, outcome["status"], outcome["timeline"].get("detect")) == (1, "fail", None)
    assert outcome["message"]["text"].startswith("The fault was not detected")
    assert [moment["kind"] for moment in outcome["timeline"]["moments"]] == ["fault", "missed", "restored", "recovered"]
    (row,) = [row for row in outcome["rows"] if row["phase"] == "observe"]
    assert "already true before the fault" in row["message"]["text"]
    assert row.get("at") is None
    staging.write_drill(drill({"stop": "database"}, observe=[{**live(), "within": "5s"}, not_ready(within="10s")]))
    _, outcome = staging.run_drill()
    (noticed,) = [
        row for row in outcome["rows"] if row["phase"] == "observe" and "before" not in row["message"]["text"]
    ]
    assert outcome["timeline"]["detect"] == noticed["at"]


@pytest.mark.parametrize("rate", [40, 200])
def test_traffic_to_what_hangs(staging: Staging, rate: int) -> None:
    """Traffic keeps its rate where nothing answers, and its limit fails during the fault only."""
    traffic = {"target": "api", "path": "/live", "rate": rate, "timeout": "2s", "errors": {"lt": "50%"}}
    observation = {"within": "4s", "timeout": "4s", "http": {"target": "api", "path": "/live", "latency": {"gt": "3s"}}}
    made = drill({"pause": "api"}, steady=[live()], observe=[observation], recover=[live()], traffic=traffic)
    del made["throughout"]
    staging.write_drill(made)
    _, outcome = staging.run_drill()
    rows = traffic_rows(outcome)
    assert [row["status"] for row in rows] == ["pass", "pass", "fail", "pass"], outcome["evidence"]["answer"]
    assert rows[0]["message"]["args"]["achieved"] > 0.9 * rate
    assert "no response within 2.0 s" in outcome["evidence"]["answer"]
    assert [curve["name"] for curve in outcome["timeline"]["curves"]] == ["GET /live: errors, %", "GET /live: p95, ms"]


def test_traffic_that_never_worked(staging: Staging) -> None:
    """Traffic that gets only errors before the fault shows nothing of it: the drill fails, and nothing is broken."""
    for limit in ({}, {"errors": {"lt": "1%"}}):
        traffic = {"target": "api", "path": "/readyz", "rate": 20, "status": 418, **limit}
        staging.write_drill(drill({"stop": "database"}, traffic=traffic))
        code, outcome = staging.run_drill()
        rows = [row for row in outcome["rows"] if row["phase"] != "steady"]
        assert (code, outcome["status"], [row["phase"] for row in rows]) == (1, "fail", ["traffic"])
        assert "status 200 (" in outcome["evidence"]["answer"]


def test_no_steady_state(staging: Staging) -> None:
    """Where the steady state does not hold there is no fault: a SKIP, and a NO-GO."""
    staging.write_drill(drill({"stop": "database"}, steady=[not_ready()]))
    code, outcome = staging.run_drill()
    assert (code, outcome["status"], phases(outcome)) == (1, "skip", [("steady", "fail")])


def test_the_command_that_drills_again(staging: Staging) -> None:
    """The evidence of a drill has the command that runs it again."""
    staging.write_drill(drill({"stop": "database"}, steady=[not_ready()]))
    _, outcome = staging.run_drill()
    _, *words = shlex.split(outcome["evidence"]["reproduce"])
    code, again = staging.run_drill(*words[1:])
    assert (words[0], code, again["status"]) == ("run", 1, "skip")


def test_a_fault_without_effect(staging: Staging) -> None:
    """A fault whose proof does not come is an ERROR, and it is taken back all the same."""
    own = {"run": {"command": ["touch", "done"], "undo": ["rm", "-f", "done"], "proof": ["test", "-f", "other"]}}
    staging.write_drill(drill(own))
    code, outcome = staging.run_drill()
    assert (code, outcome["status"]) == (1, "error")
    assert "no effect" in json.dumps(outcome["message"])
    assert not (staging.path / "done").exists()


def test_a_fault_of_the_users_own(staging: Staging) -> None:
    """A command is a fault, with its proof and its way back."""
    own = {"run": {"command": ["touch", "done"], "undo": ["rm", "-f", "done"], "proof": ["test", "-f", "done"]}}
    observation = {"within": "5s", "file": {"path": "done", "exists": True}}
    gone = {"within": "5s", "file": {"path": "done", "exists": False}}
    staging.write_drill(drill(own, observe=[observation], recover=[gone]))
    code, outcome = staging.run_drill()
    assert (code, outcome["status"]) == (0, "pass")


def test_a_fault_that_cannot_be_taken_back(staging: Staging) -> None:
    """A fault that can't be taken back is a NO-GO that says so first, and its journal is kept for `restore`."""
    own = {"run": {"command": ["touch", "done"], "undo": ["false"], "proof": ["test", "-f", "done"]}}
    staging.write_drill(drill(own, observe=[ready(within="1s")]))
    code, outcome = staging.run_drill()
    assert (code, outcome["status"], outcome["cause"].split(":")[0]) == (1, "fail", "unrestored")
    assert [path.split(".")[-1] for path in staging.left()] == ["journal"]


def test_a_script(staging: Staging) -> None:
    """A drill script of the user's own is a drill: steady state before and after, its exit code the proof."""
    good = {"steady": [ready()], "script": {"command": "true"}, "stays": "500ms"}
    staging.write_drill(good)
    code, outcome = staging.run_drill()
    assert (code, outcome["status"]) == (0, "pass")
    staging.write_drill({**good, "script": {"command": "false"}})
    code, outcome = staging.run_drill()
    assert (code, outcome["status"]) == (1, "error")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_in_mid_drill(staging: Staging, number: int) -> None:
    """Ctrl-C and SIGTERM, also twice, put everything back, write all reports, and exit with 130."""
    staging.write_drill(drill({"stop": "database"}, observe=[ready(within="60s")]))
    gate = staging.start()
    _wait_until_refused(staging.database)
    gate.send_signal(number)
    time.sleep(0.3)
    gate.send_signal(number)
    said, _ = gate.communicate(timeout=60)
    assert (gate.returncode, staging.left()) == (130, []), said
    assert {path.name for path in (staging.path / "out").iterdir()} >= {"report.json", "report.md", "junit.xml"}


def test_restore_after_a_kill(staging: Staging) -> None:
    """After SIGKILL, `prodgate restore` ends what was left and says so; a second time nothing is left."""
    staging.write_drill(drill({"pause": "database"}, observe=[ready(within="60s")]))
    gate = staging.start()
    deadline = time.monotonic() + 60
    while not list((staging.path / "state").rglob("*.journal")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    gate.kill()
    gate.communicate()
    assert staging.left() != []
    said = [_restore(staging), _restore(staging)]
    assert "reverted" in said[0]
    assert (said[1], staging.left()) == ("nothing to revert\n", [])


def _restore(staging: Staging) -> str:
    environment = {**os.environ, "XDG_STATE_HOME": str(staging.path / "state"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "gate", "restore"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=staging.path).stdout


def _wait_until_refused(port: int) -> None:
    """Wait until a port refuses connections."""
    accepted = False
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            accepted = True
        except OSError:
            if accepted:
                return
        time.sleep(0.05)
    raise AssertionError("the fault was never put in")
