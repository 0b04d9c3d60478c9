"""`--baseline base`: the report of the base branch's last run, from the artifact that it has left."""

from __future__ import annotations

import io
import json
import signal
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gate.publish import baseline
from gate.publish.time_budget import TimeBudget
from tests.e2e.test_publishing import GO, NO_GO, WAITS, Runner, states, until
from tests.support.github.fixtures import github, settings
from tests.support.github.server import HEAD, READ_ONLY, REPOSITORY, Fault, GitHub
from tests.support.web import Reply, Web, reset, serving, trickle

__all__ = ["github"]
BASE = "0" * 40


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip archive of these files."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return made.getvalue()


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


def blobs(*contents: bytes) -> dict[str, Reply]:
    """Return the blob store's routes."""
    return {f"/blob{number}": Reply(body=content) for number, content in enumerate(contents)}


def compared(runner: Runner, code: int = 1) -> dict[str, Any]:
    """Run the gate against the base branch's last run and return the differences of its report."""
    found, text = runner.run("run", "--baseline=base", "--context=gate")
    assert (found, "Traceback" in text) == (code, False), text
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


@pytest.mark.parametrize(
    ("missing", "why"),
    [
        ({"workflow": ""}, "this is not a workflow run. Pass the path of an earlier report.json instead"),
        ({"token": ""}, "no token. Give the job the permission `actions: read`"),
        ({"branch": ""}, "the event does not name the base branch. Pass the path of an earlier report.json instead"),
    ],
)
def test_what_is_missing(github: GitHub, missing: dict[str, str], why: str) -> None:
    """What is not there for asking is named, and GitHub is not asked."""
    known = {"workflow": "prodgate.yml", "branch": "main"} | missing
    with pytest.raises(baseline.BaselineUnavailableError) as refused:
        baseline.find_baseline(settings(github, **known), baseline.BaselineQuery("shop", "gate", ()))
    assert why in str(refused.value.message)
    assert github.requests == []


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
    assert (got.path, "authorization" in got.headers) == ("/blob0?sig=s1gned-eeee", False)
    assert "s1gned-eeee" not in (runner.folder / "prodgate-out" / "report.json").read_text()


@pytest.mark.parametrize(
    "other",
    [
        {"event": "pull_request"},
        {"head_branch": "topic"},
        {"conclusion": "cancelled"},
        {"status": "in_progress", "conclusion": None},
        {"workflow": "other.yml"},
        {"fork": "eve/veza-backend-api"},
    ],
    ids=str,
)
def test_runs_that_say_nothing_of_the_branch(runner: Runner, github: GitHub, store: Web, other: dict[str, Any]) -> None:
    """A later run of a pull request, a fork, another branch or workflow, or without an end is passed over."""
    github.artifact(github.run(), "prodgate", f"{store.url}/blob0")
    fork = other.pop("fork", None)
    later = github.run(**other)
    if fork:
        later["head_repository"]["full_name"] = fork
    github.artifact(later, "prodgate", "http://127.0.0.1:9/never")
    assert compared(runner)["baseline"] == BASE


def test_a_run_before_the_last(runner: Runner, github: GitHub, store: Web) -> None:
    """Where the last run broke before it had a report, the one before it is the baseline."""
    github.artifact(github.run(), "prodgate", f"{store.url}/blob0")
    github.run(conclusion="failure", head_sha="1" * 40)
    assert compared(runner)["baseline"] == BASE


def test_the_report_is_chosen(tmp_path: Path, runner: Runner, github: GitHub, report: bytes) -> None:
    """Of several reports it is that of the same service and context, and with the most of the items."""
    two = [GO, {**NO_GO, "id": "a.two"}]
    other_context = earlier(tmp_path / "context", github, GO, NO_GO, context="gate/production")
    other_commit = earlier(tmp_path / "commit", github, GO, NO_GO, commit="2" * 40)
    part = earlier(tmp_path / "part", github, *two)
    service = report.replace(b'"service": "shop"', b'"service": "web"')
    contents = [zipped(("report.json", one)) for one in (other_context, other_commit, service)]
    contents.append(zipped(("one/report.json", part), ("two/report.json", report)))
    with serving(blobs(*contents)) as web:
        run = github.run()
        for number in range(len(contents)):
            github.artifact(run, f"part-{number}", f"{web.url}/blob{number}")
        assert (compared(runner)["newly_failing"], runner.report["changes"]["added"]) == (["a.no"], [])


@pytest.mark.parametrize("known", [True, False])
def test_no_run(runner: Runner, github: GitHub, known: bool) -> None:
    """A workflow that has never run on the base branch, or is not known yet: the note says that it has to."""
    if known:
        github.run(event="pull_request")
    said = note(runner)
    assert "prodgate.yml has no finished run on main" in said
    assert "Run the workflow on pushes to that branch" in said


def test_no_artifact(runner: Runner, github: GitHub) -> None:
    """A run that has left nothing: the note names the upload step."""
    github.run()
    said = note(runner)
    assert "has no artifact" in said
    assert "`actions/upload-artifact`" in said


@pytest.mark.parametrize("listed", [True, False])
def test_an_expired_artifact(runner: Runner, github: GitHub, listed: bool) -> None:
    """An artifact that has expired, before it was listed or after, is said to have."""
    artifact = github.artifact(github.run(), "prodgate", "http://127.0.0.1:9/never")
    if listed:
        artifact["expired"] = True
    else:
        github.faults.append(Fault("GET", "/zip$", status=410, message="Artifact has expired"))
    said = note(runner)
    assert "expired" in said
    assert "`retention-days`" in said


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


def hostile(report: bytes) -> dict[str, tuple[bytes, str]]:
    """Zips that no upload makes, and what is said of each."""
    good = zipped(("report.json", report))
    forged = good.replace(b"report.json", b"../../etc/x")
    bomb = zipped(("report.json", b" " * (baseline.REPORT_LIMIT + 1)))
    return {
        "cut off": (good[: len(good) // 2], "not a valid zip file"),
        "no zip": (b"<html>Sorry</html>", "not a valid zip file"),
        "empty": (b"", "not a valid zip file"),
        "bytes changed": (good[:60] + bytes(20) + good[80:], "not a valid zip file"),
        "a bomb": (bomb, "report larger than 16.0 MiB"),
        "many files": (zipped(*((str(number), b"") for number in range(20_001))), "more than 20000 files"),
        "another compression": (zipped(("report.json", report), method=zipfile.ZIP_LZMA), "compression 14"),
        "no report in it": (zipped(("report.json", b'{"version": "x"}')), "not a valid report"),
        "no text in it": (zipped(("report.json", b"\xff\xfe")), "not a valid zip file"),
        "other names": (forged, "no report of shop"),
        "too large": (bytes(baseline.ZIP_LIMIT + 1), "larger than the limit of 32.0 MiB"),
    }


@pytest.mark.parametrize("name", hostile(b""))
def test_a_hostile_zip(runner: Runner, github: GitHub, report: bytes, name: str) -> None:
    """Whatever lies in the store, nothing is written, the verdict stands, and what is wrong is said."""
    content, expected = hostile(report)[name]
    before = sorted(path.name for path in runner.folder.parent.iterdir())
    with serving(blobs(content)) as web:
        github.artifact(github.run(), "prodgate", f"{web.url}/blob0")
        assert expected in note(runner)
    assert sorted(path.name for path in runner.folder.parent.iterdir()) == before


def test_paths_in_a_zip_lead_nowhere(runner: Runner, github: GitHub, report: bytes) -> None:
    """A report under a path that leaves its folder is read, and written nowhere."""
    with serving(blobs(zipped(("../../../report.json", report)))) as web:
        github.artifact(github.run(), "prodgate", f"{web.url}/blob0")
        assert compared(runner)["baseline"] == BASE
    assert not (runner.folder.parent / "report.json").exists()


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        (Reply(403, "AuthenticationFailed"), "HTTP 403"),
        (Reply(302, headers={"Location": "http://127.0.0.1:9/"}), "HTTP 302"),
        (reset(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"), "could not download the artifact from 127.0.0.1"),
    ],
    ids=["refuses", "leads on", "breaks off"],
)
def test_a_store_that_does_not_answer(
    runner: Runner, github: GitHub, route: Reply | Callable[[Any], None], expected: str
) -> None:
    """A store that refuses, leads elsewhere or breaks off is said to, without its signature."""
    with serving({"/blob0": route}) as web:
        github.artifact(github.run(), "prodgate", f"{web.url}/blob0?sig=s1gned-eeee")
        said = note(runner)
    assert expected in said
    assert "s1gned" not in json.dumps(runner.report)


def test_a_store_without_an_end(github: GitHub) -> None:
    """A store that never comes to an end costs no more than the time that there is for GitHub."""
    asking = settings(github, workflow="prodgate.yml", budget=TimeBudget(3.0))
    with serving({"/blob0": trickle(b"HTTP/1.1 200 OK\r\n\r\n")}) as web:
        github.artifact(github.run(), "prodgate", f"{web.url}/blob0?sig=s1gned-eeee")
        with pytest.raises(baseline.BaselineUnavailableError) as caught:
            baseline.find_baseline(asking, baseline.BaselineQuery("shop", "gate", ()))
    assert "timed out" in str(caught.value.message)


def test_an_artifact_that_is_too_large_is_not_asked_for(runner: Runner, github: GitHub) -> None:
    """A size beyond the limit is believed."""
    github.artifact(github.run(), "build", "http://127.0.0.1:9/never", size_in_bytes=baseline.ZIP_LIMIT + 1)
    assert "larger than the limit of 32.0 MiB" in note(runner)
    assert [request.path for request in github.requests if request.path.endswith("/zip")] == []


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
