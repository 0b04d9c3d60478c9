"""`--baseline base`: a run compares itself with the base branch's last run, and its verdict stands without it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.github.artifacts import blobs, zipped
from tests.support.github.checkout import GO, NO_GO, WAITS, Runner, states, until
from tests.support.github.fixtures import github
from tests.support.github.server import HEAD, READ_ONLY, REPOSITORY, Fault, GitHub
from tests.support.web import Web, serving

__all__ = ["github"]
BASE = "0" * 40


@pytest.fixture
def runner(tmp_path: Path, github: GitHub) -> Runner:
    """Return a run on a pull request in which one of the base branch's two items now fails."""
    made = Runner(tmp_path, github, GO, NO_GO)
    made.environment["GITHUB_WORKFLOW_REF"] = f"{REPOSITORY}/.github/workflows/prodgate.yml@refs/pull/7/merge"
    return made


def earlier(folder: Path, github: GitHub, *items: dict[str, Any], commit: str = BASE, context: str = "gate") -> bytes:
    """Return the report of an earlier run on the base branch."""
    folder.mkdir()
    runner = Runner(folder, github, *items)
    runner.environment |= {"GITHUB_EVENT_NAME": "push", "GITHUB_SHA": commit}
    runner.run("run", "--publish=none", f"--context={context}")
    return (folder / "prodgate-out" / "report.json").read_bytes()


@pytest.fixture
def report(tmp_path: Path, github: GitHub) -> bytes:
    """Return a report of the base branch in which both items pass."""
    return earlier(tmp_path / "earlier", github, GO, {**NO_GO, "command": GO["command"]})


def compared(runner: Runner, code: int = 1) -> dict[str, Any]:
    """Run the gate against the base branch's last run and return the differences of its report."""
    found, text = runner.run("run", "--baseline=base", "--context=gate")
    assert found == code, text
    assert "Traceback" not in text, text
    changes: dict[str, Any] = runner.report["changes"] or {}
    return changes


def note(runner: Runner) -> str:
    """Return the note of a run that compared nothing; its verdict is the one without a baseline."""
    assert compared(runner) == {}
    text = runner.run("render", "prodgate-out/report.json")[1]
    (found,) = [line for line in text.splitlines() if "Not compared" in line]
    return found


@pytest.fixture
def store(report: bytes) -> Iterator[Web]:
    """Start a blob store with the report in a zip archive, beside other files."""
    content = zipped(("report.md", b"# Report"), ("report.json", report), ("evidence/report.json.txt", b"{}"))
    with serving(blobs(content)) as web:
        yield web


def test_the_last_run_is_the_baseline(runner: Runner, github: GitHub, store: Web) -> None:
    """What has changed since then is said, with the commits between the two as GitHub knows them."""
    github.artifact(github.run(), "prodgate", f"{store.url}/blob0?sig=x")
    github.between[f"{BASE}...{HEAD}"] = [("a" * 40, "One\n\nWhy."), (HEAD, "Two")]
    changes = compared(runner)
    assert (changes["baseline"], changes["newly_failing"]) == (BASE, ["a.no"])
    assert [commit["subject"] for commit in changes["commits"]] == ["Two", "One"]


def test_the_token_stays_with_github(runner: Runner, github: GitHub, store: Web) -> None:
    """The store, another server, gets no authorization, and its address with the signature is told to nobody."""
    github.artifact(github.run(), "prodgate", f"{store.url}/blob0?sig=s1gned-eeee")
    compared(runner)
    (got,) = store.requests
    assert got.path == "/blob0?sig=s1gned-eeee"
    assert "authorization" not in got.headers
    assert "s1gned-eeee" not in (runner.folder / "prodgate-out" / "report.json").read_text()


def test_no_right(runner: Runner, github: GitHub) -> None:
    """A token that may not read the runs: the note names the right; the log has it as a warning."""
    github.run()
    runner.environment["INPUT_GITHUB-TOKEN"] = READ_ONLY
    assert "Give the job the permission `actions: read`" in note(runner)
    assert "::warning title=prodgate::Not compared" in runner.run("run", "--baseline=base")[1]


def test_a_go_stays_one(tmp_path: Path, github: GitHub) -> None:
    """A GO without a baseline is the same GO: no failure here is a reservation."""
    runner = Runner(tmp_path, github, GO)
    assert compared(runner, 0) == {}
    assert runner.report["verdict"]["decision"] == "GO"


def test_paths_in_a_zip_lead_nowhere(runner: Runner, github: GitHub, report: bytes) -> None:
    """A report under a path that leaves its folder is read, and written nowhere."""
    with serving(blobs(zipped(("../../../report.json", report)))) as web:
        github.artifact(github.run(), "prodgate", f"{web.url}/blob0")
        assert compared(runner)["baseline"] == BASE
    assert not (runner.folder.parent / "report.json").exists()


def test_commits_that_nobody_knows(runner: Runner, github: GitHub, store: Web) -> None:
    """Where neither git nor GitHub can say what lies between the two, the report says so, and why."""
    github.artifact(github.run(), "prodgate", f"{store.url}/blob0")
    assert compared(runner)["commits"] == []
    text = runner.run("render", "prodgate-out/report.json")[1]
    assert "The commits between the two could not be found: this is not a git checkout" in text


def test_an_earlier_file_is_still_one(runner: Runner, github: GitHub, report: bytes) -> None:
    """A path asks GitHub for no run."""
    runner.write("before.json", report.decode())
    assert runner.run("run", "--baseline=before.json")[0] == 1
    assert runner.report["changes"]["newly_failing"] == ["a.no"]
    assert [request.path for request in github.requests if "/actions/" in request.path] == []


def test_the_commits_are_asked_for_before_the_items(tmp_path: Path, github: GitHub, report: bytes) -> None:
    """After the last item nothing is asked before the reports are written: a gate that is killed then has them."""
    item = {"id": "a.http", "title": "Asks", "http": {"url": github.url, "path": "/user", "status": 401}}
    runner = Runner(tmp_path, github, item)
    runner.write("before.json", report.decode())
    github.between[f"{BASE}...{HEAD}"] = [(HEAD, "One")]
    assert runner.run("run", "--baseline=before.json")[0] == 0
    assert [commit["subject"] for commit in runner.report["changes"]["commits"]] == ["One"]
    asked = [request.path.removeprefix(f"/repos/{REPOSITORY}") for request in github.requests]
    assert asked.index(f"/compare/{BASE}...{HEAD}") < asked.index("/user")


def test_cancelled_while_it_asks_for_the_commits(tmp_path: Path, github: GitHub, report: bytes) -> None:
    """Once cancelled, the time that is left is for the status: the commits are not waited for, and stay unknown."""
    github.faults.append(Fault("GET", "compare", silence=60))
    runner = Runner(tmp_path, github, WAITS)
    runner.write("before.json", report.decode())
    started = runner.start("run", "--baseline=before.json")
    until(lambda: any("/compare/" in request.path for request in github.requests))
    started.send_signal(signal.SIGINT)
    started.communicate(timeout=60)
    assert (states(github), runner.report["changes"]["baseline"]) == (["pending", "error"], BASE)
    assert runner.report["changes"]["commits_unknown"] is not None


def test_a_hostile_zip(runner: Runner, github: GitHub) -> None:
    """Whatever lies in the store, nothing is written, the verdict stands, and what is wrong is said."""
    before = sorted(path.name for path in runner.folder.parent.iterdir())
    with serving(blobs(b"<html>Sorry</html>")) as web:
        github.artifact(github.run(), "prodgate", f"{web.url}/blob0")
        assert "not a valid zip file" in note(runner)
    assert sorted(path.name for path in runner.folder.parent.iterdir()) == before
