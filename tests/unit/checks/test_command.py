"""The check `command`."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from gate.checks.base import CheckResult, ObservationError
from gate.decode.structs import ValidationError
from gate.model import Status
from gate.runtime.processes import BoundedOutput, CompletedCommand
from tests.support.checks import check, context


def kept(text: str, limit: int = 1000) -> BoundedOutput:
    """Return an output with this text."""
    made = BoundedOutput(limit)
    made.add(text.encode())
    return made


def observation(
    code: int = 0, out: str = "", err: str = "", ended: Any = "exit", limit: int = 1000
) -> CompletedCommand:
    """Return a completed command."""
    return CompletedCommand(code, ended, kept(out, limit), kept(err, limit), kept(out + err, limit), 1.0)


JUDGED = [
    ({}, observation(), Status.PASS, "Ended with exit code 0 after 1.0 s"),
    (
        {},
        observation(1, err="boom\nlast\n"),
        Status.FAIL,
        "ended with exit code 1, expected exit code 0 (its last line: last)",
    ),
    ({}, observation(-9), Status.FAIL, "ended with signal SIGKILL, expected exit code 0"),
    ({"exit": [1, 2]}, observation(2), Status.PASS, "Ended with exit code 2 after 1.0 s"),
    ({"exit": {"not": 0}}, observation(0), Status.FAIL, "ended with exit code 0, expected exit code anything but 0"),
    ({"stdout": {"contains": "ok"}}, observation(0, "all ok"), Status.PASS, "Ended with exit code 0 after 1.0 s"),
    ({"stdout": {"contains": "ok"}}, observation(0, "", "ok"), Status.FAIL, None),
    ({"stderr": ""}, observation(0, "", "warning"), Status.FAIL, None),
    ({"output": {"not": {"contains": "E"}}}, observation(0, "x" * 5000, limit=100), Status.ERROR, None),
    ({}, observation(0, "x" * 5000, limit=100), Status.PASS, None),
    ({}, observation(-15, ended="timeout"), Status.ERROR, "Timed out after 1.0 s"),
    ({}, observation(0, ended="timeout"), Status.ERROR, None),
    ({}, observation(0, ended="cancelled"), Status.ERROR, None),
]


@pytest.mark.parametrize(("fields", "finished", "status", "message"), JUDGED)
def test_judgement(fields: dict[str, Any], finished: CompletedCommand, status: Status, message: str | None) -> None:
    """What is said of a command that has ended."""
    judged: CheckResult = check("command", run="x", **fields).judge(finished)
    assert judged.status is status
    assert message in (None, str(judged.message))


def test_arguments_are_not_a_script(tmp_path: Path) -> None:
    """Without `shell: true` nothing is expanded."""
    made = check("command", run=["echo", "$HOME", ";", "*"], stdout="$HOME ; *\n")
    assert made.judge(made.observe(context(tmp_path))).status is Status.PASS


def test_a_script(tmp_path: Path) -> None:
    """With `shell: true` it is a script, in the folder and with the variables given."""
    (tmp_path / "sub").mkdir()
    made = check(
        "command", run='echo "$A" | tr a b; pwd', shell=True, cwd="sub", env={"A": "a"}, stdout={"contains": "b\n"}
    )
    observed = made.observe(context(tmp_path))
    assert observed.stdout.text() == f"b\n{tmp_path / 'sub'}\n"


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    """A command that can't be started could not be observed."""
    with pytest.raises(ObservationError, match="no-such-thing can't be run: No such file"):
        check("command", run="no-such-thing").observe(context(tmp_path))


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """Nor could one whose folder does not exist."""
    with pytest.raises(ObservationError, match="is not a folder of the checkout"):
        check("command", run="true", cwd="sub").observe(context(tmp_path))


@pytest.mark.parametrize(
    "fields",
    [
        {"run": ""},
        {"run": []},
        {"run": "a 'b"},
        {"run": [""]},
        {"run": ["a\0"]},
        {"run": ["a"], "shell": True},
        {"run": "a", "cwd": "../x"},
        {"run": "  "},
    ],
)
def test_errors_of_the_checklist(fields: dict[str, Any]) -> None:
    """A command that can't be one is an error when loaded."""
    with pytest.raises(ValidationError):
        check("command", **fields)


def test_reproduction(tmp_path: Path) -> None:
    """The command of the evidence does the same by hand."""
    (tmp_path / "a b").mkdir()
    made = check("command", run=["sh", "-c", 'echo "$X $0"', "it's"], cwd="a b", env={"X": "y z"})
    line = made.reproduce_command(context(tmp_path))
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout == "y z it's\n"
