"""The action's main and post steps, by its inputs, beside a server that plays GitHub: what they tell it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.github.fixtures import github
from tests.support.github.server import HEAD, REPOSITORY, TOKEN, Fault, GitHub
from tests.support.paths import ROOT
from tests.support.runner.files import parse
from tests.support.runner.log import commands

__all__ = ["github"]
ENTRYPOINT = ROOT / "entrypoint.py"
THERE = {"id": "s.there", "title": "There", "file": {"path": "prodgate.yml", "exists": True}}
MISSING = {"id": "s.missing", "title": "Missing", "file": {"path": "nowhere.txt", "exists": True}}
SLOW = {"id": "s.slow", "title": "Slow", "timeout": "100s", "command": {"run": ["sleep", "100"]}}


class Action:
    """A workspace with a checklist, and the action's steps in it, on pull request 7."""

    def __init__(self, folder: Path, github: GitHub) -> None:
        self.workspace = folder / "workspace"
        self.workspace.mkdir()
        event = folder / "event.json"
        event.write_text(json.dumps({"pull_request": {"number": 7, "head": {"sha": HEAD}, "base": {"ref": "main"}}}))
        self.post = folder / "post"
        self.post.symlink_to(ENTRYPOINT)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": github.url,
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_EVENT_NAME": "pull_request",
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_SHA": "1" * 40,
            "GITHUB_RUN_ID": "5000",
            "GITHUB_RUN_ATTEMPT": "1",
            "RUNNER_TEMP": str(folder),
            "INPUT_GITHUB-TOKEN": TOKEN,
        }
        self.checklist(THERE)

    def checklist(self, *items: dict[str, Any]) -> None:
        """Write a checklist of these items."""
        checklist = {"version": 1, "service": "shop", "sections": [{"id": "s", "title": "S", "items": list(items)}]}
        (self.workspace / "prodgate.yml").write_text(json.dumps(checklist))

    def start(self, program: Path = ENTRYPOINT, **inputs: str) -> subprocess.Popen[str]:
        """Start a step with these inputs; `program` is the main step's or the post step's."""
        given = {f"INPUT_{name.upper()}": value for name, value in inputs.items()}
        return subprocess.Popen(
            [sys.executable, "-u", str(program)],
            cwd=self.workspace,
            env=self.environment | given,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, program: Path = ENTRYPOINT, **inputs: str) -> tuple[int, str]:
        """Run a step to its end and return its exit code and log."""
        started = self.start(program, **inputs)
        log, _ = started.communicate(timeout=120)
        return started.returncode, log

    def report(self, folder: str = "prodgate-out") -> Any:
        return json.loads((self.workspace / folder / "report.json").read_text())


@pytest.fixture
def action(tmp_path: Path, github: GitHub) -> Action:
    return Action(tmp_path, github)


def states(github: GitHub) -> list[str]:
    """Return the states that were set, in order."""
    return [one["state"] for one in github.statuses]


def until(true: Callable[[], bool]) -> None:
    """Wait until the condition holds, for at most a minute."""
    over = time.monotonic() + 60
    while not true():
        assert time.monotonic() < over
        time.sleep(0.05)


def test_the_inputs_of_publishing(action: Action, github: GitHub) -> None:
    """`status: false` sets none, `comment: off` makes none, and `context` names the status."""
    assert action.run(status="false")[0] == 0
    assert (github.statuses, len(github.comments)) == ([], 1)
    assert action.run(comment="off", context="gate/staging")[0] == 0
    assert ([one["context"] for one in github.statuses], len(github.comments)) == (["gate/staging"] * 2, 1)


def test_publish_none_asks_nothing(action: Action, github: GitHub) -> None:
    """With `publish: none` neither the main step nor the post step asks GitHub anything."""
    assert action.run(publish="none")[0] == 0
    assert action.run(action.post, publish="none")[0] == 0
    assert github.requests == []


def test_a_killed_gate_is_ended_by_the_post_step(action: Action, github: GitHub) -> None:
    """After SIGKILL the post step of the same context makes the leftover pending an error; another's leaves it."""
    action.checklist(SLOW)
    started = action.start(context="gate/staging")
    until(lambda: states(github) == ["pending"])
    started.kill()
    started.communicate(timeout=60)
    assert action.run(action.post)[0] == 0
    assert states(github) == ["pending"]
    assert action.run(action.post, context="gate/staging")[0] == 0
    assert (states(github), github.latest("gate/staging")["state"]) == (["pending", "error"], "error")


def test_the_post_step_leaves_a_verdict_alone(action: Action, github: GitHub) -> None:
    """After a gate that ended by itself the post step sets nothing."""
    action.run()
    code, log = action.run(action.post)
    assert (code, states(github)) == (0, ["pending", "success"]), log


@pytest.mark.parametrize(("command", "code", "verdict"), [("sleep 2", 3, "GO"), ("sleep 2; false", 1, "NO-GO")])
def test_a_verdict_that_github_refused(action: Action, github: GitHub, command: str, code: int, verdict: str) -> None:
    """The post step says that there was a verdict; it makes no success of it."""
    action.checklist({**SLOW, "command": {"shell": True, "run": command, "exit": 0}})
    kept = action.workspace / "state"
    action.environment["GITHUB_STATE"] = str(kept)
    started = action.start()
    until(lambda: states(github) == ["pending"])
    github.faults.append(Fault("POST", "statuses", status=422, message="No"))
    log, _ = started.communicate(timeout=120)
    assert (started.returncode, states(github)) == (code, ["pending"]), log
    state: dict[str, str] = {}
    parse(kept.read_text(), state)
    action.environment |= {f"STATE_{name}": value for name, value in state.items()}
    assert action.run(action.post)[0] == 0
    assert states(github) == ["pending", "error"]
    assert github.latest()["description"] == f"The verdict was {verdict}, but it could not be published"


@pytest.mark.parametrize(("item", "code"), [(THERE, 3), (MISSING, 1)])
def test_a_github_that_is_down(action: Action, github: GitHub, item: dict[str, Any], code: int) -> None:
    """A 503 for longer than is waited for: a GO that nobody was told of exits 3, a NO-GO stays one.

    It is asked to set the status, at the beginning and in the end, and nothing else.
    """
    action.checklist(item)
    down = {"status": 503, "headers": {"Retry-After": "3600"}, "message": "Unavailable", "times": 1000}
    github.faults += [Fault("POST", "", **down), Fault("GET", "", **down)]
    found, log = action.run()
    assert (found, github.statuses, len(github.requests)) == (code, [], 2), log
    assert "HTTP 503: Unavailable" in log
    assert action.report()["verdict"]["decision"] == ("GO" if code == 3 else "NO-GO")


@pytest.mark.parametrize(("item", "code", "state"), [(THERE, 3, "error"), (MISSING, 1, "failure")])
def test_reports_that_cannot_be_written(
    action: Action, github: GitHub, item: dict[str, Any], code: int, state: str
) -> None:
    """Without its reports a GO is none, for GitHub as for the exit code; a NO-GO stays one."""
    spoils = {"id": "z", "title": "Z", "command": {"run": "mkdir prodgate-out/report.md", "exit": 0}}
    action.checklist(item, spoils)
    found, log = action.run()
    assert (found, states(github)) == (code, ["pending", state]), log


def test_a_folder_that_cannot_hold_reports(action: Action, github: GitHub) -> None:
    """What stands in the place of a report and can't be removed is found before anything is run."""
    action.checklist(THERE)
    (action.workspace / "prodgate-out" / "report.md").mkdir(parents=True)
    code, log = action.run()
    assert (code, states(github)) == (2, ["pending", "error"]), log
    assert "the reports can't be written" in log


def test_a_checklist_that_is_not_there(action: Action, github: GitHub) -> None:
    """It leaves no pending behind."""
    code, log = action.run(file="nowhere.yml")
    assert (code, states(github)) == (2, ["pending", "error"]), log


@pytest.mark.parametrize("inputs", [{"mode": "merg"}, {"comment": "sometimes"}, {"publish": "some"}, {"policy": "no"}])
def test_a_wrong_input(action: Action, github: GitHub, inputs: dict[str, str]) -> None:
    """A value that an input does not have is said, the status is an error, and nothing is run."""
    code, log = action.run(context="gate/staging", **inputs)
    assert (code, states(github)) == (2, ["error"]), log
    assert not (action.workspace / "prodgate-out").exists(), log
    assert "a wrong value" in github.latest("gate/staging")["description"]
    assert next(iter(inputs.values())) in log


@pytest.mark.parametrize("unwished", [{"status": "false"}, {"publish": "none"}])
def test_a_wrong_input_where_no_status_is_wished(action: Action, github: GitHub, unwished: dict[str, str]) -> None:
    """Then nothing is written; the comment of an earlier run is only looked for."""
    assert action.run(comment="sometimes", **unwished)[0] == 2
    assert [(request.method, request.path) for request in github.requests if request.method != "GET"] == []


def test_a_baseline(action: Action, github: GitHub) -> None:
    """`baseline` names an earlier report: the new one says what has changed since."""
    assert action.run(publish="none", out="before")[0] == 0
    action.checklist(THERE, MISSING)
    code, log = action.run(publish="none", baseline="before/report.json")
    assert code == 1, log
    assert "s.missing" in json.dumps(action.report()["changes"])


def test_the_parts_of_many_jobs(action: Action, github: GitHub) -> None:
    """`mode: merge` makes one status and one comment of the folders that the parts have written."""
    for part, item in (("api", THERE), ("web", MISSING)):
        action.checklist({**item, "id": f"s.{part}"})
        action.run(publish="none", out=f"parts/{part}")
    assert github.requests == []
    code, log = action.run(mode="merge", reports="parts/api\nparts/web\n", expect="api\nweb")
    assert (code, states(github), len(github.comments)) == (1, ["pending", "failure"], 1), log


def test_a_part_that_repeats_what_the_runner_obeys(action: Action, github: GitHub) -> None:
    """What stands in a part's report is shown by `mode: merge` so that the runner does not obey it."""
    says = {"run": ["printf", "x\\n::error::owned\\n##[error]owned\\n"], "stdout": {"equals": "fine"}}
    action.checklist({"id": "s.says", "title": "::error::owned", "command": says})
    action.run(publish="none", out="parts/api")
    code, log = action.run(mode="merge", reports="parts", publish="none")
    assert code == 1
    assert "owned" in log
    assert [command for command in commands(log) if command.data == "owned"] == []
