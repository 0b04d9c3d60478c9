"""The report of the base branch's last run, from the artifacts that it has left."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gate.model import Provenance, Report
from gate.publish import baseline
from gate.publish.time_budget import TimeBudget
from gate.report.serialization import to_json
from tests.support import reports
from tests.support.github.artifacts import blobs, zipped
from tests.support.github.fixtures import github, settings
from tests.support.github.server import Fault, GitHub
from tests.support.web import Reply, Web, reset, serving, trickle

__all__ = ["github"]
BASE = "0" * 40
NEVER = "http://127.0.0.1:9/never"


def report(*ids: str, service: str = "shop", commit: str = BASE, context: str = "gate") -> bytes:
    """Return the report of a run on the base branch, with these items."""
    section = reports.section("a", "A", *(reports.item(id, "A") for id in ids or ("a.go", "a.no")))
    return to_json(
        reports.report((section,), service=service, source=Provenance(commit=commit, context=context))
    ).encode()


def find(github: GitHub, **more: Any) -> Report:
    """Return the baseline of a run of two items."""
    query = baseline.BaselineQuery("shop", "gate", ("a.go", "a.no"))
    return baseline.find_baseline(settings(github, **{"workflow": "prodgate.yml", **more}), query)


def problem(github: GitHub, **more: Any) -> str:
    """Return why there is no baseline."""
    with pytest.raises(baseline.BaselineUnavailableError) as caught:
        find(github, **more)
    return str(caught.value.message)


@pytest.fixture
def store() -> Iterator[Web]:
    """Provide a blob store with the report in a zip, beside other files."""
    content = zipped(("report.md", b"# Report"), ("report.json", report()), ("evidence/report.json.txt", b"{}"))
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
    assert why in problem(github, **missing)
    assert github.requests == []


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
def test_runs_that_say_nothing_of_the_branch(github: GitHub, store: Web, other: dict[str, Any]) -> None:
    """A later run of a pull request, a fork, another branch or workflow, or without an end is passed over."""
    github.artifact(github.run(), "prodgate", f"{store.url}/blob0")
    fork = other.get("fork")
    later = github.run(**{key: value for key, value in other.items() if key != "fork"})
    if fork:
        later["head_repository"]["full_name"] = fork
    github.artifact(later, "prodgate", NEVER)
    assert find(github).source.commit == BASE


def test_a_run_before_the_last(github: GitHub, store: Web) -> None:
    """Where the last run broke before it had a report, the one before it is the baseline."""
    github.artifact(github.run(), "prodgate", f"{store.url}/blob0")
    github.run(conclusion="failure", head_sha="1" * 40)
    assert find(github).source.commit == BASE


def test_the_report_is_chosen(github: GitHub) -> None:
    """Of several reports it is that of the same service and context, and with the most of the items."""
    contents = [
        zipped(("report.json", report(context="gate/production"))),
        zipped(("report.json", report(commit="2" * 40))),
        zipped(("report.json", report(service="web"))),
        zipped(("one/report.json", report("a.go", "a.two")), ("two/report.json", report("a.go", "a.no"))),
    ]
    with serving(blobs(*contents)) as web:
        run = github.run()
        for number in range(len(contents)):
            github.artifact(run, f"part-{number}", f"{web.url}/blob{number}")
        found = find(github)
    assert found.service == "shop"
    assert found.source == Provenance(commit=BASE, context="gate")
    assert [item.id for item in found.items] == ["a.go", "a.no"]


@pytest.mark.parametrize("known", [True, False])
def test_no_run(github: GitHub, known: bool) -> None:
    """A workflow that has never run on the base branch, or is not known yet: the note says that it has to."""
    if known:
        github.run(event="pull_request")
    why = problem(github)
    assert "prodgate.yml has no finished run on main" in why
    assert "Run the workflow on pushes to that branch" in why


def test_no_artifact(github: GitHub) -> None:
    """A run that has left nothing: the note names the upload step."""
    github.run()
    why = problem(github)
    assert "has no artifact" in why
    assert "`actions/upload-artifact`" in why


@pytest.mark.parametrize("listed", [True, False])
def test_an_expired_artifact(github: GitHub, listed: bool) -> None:
    """An artifact that has expired, before it was listed or after, is said to have."""
    artifact = github.artifact(github.run(), "prodgate", NEVER)
    if listed:
        artifact["expired"] = True
    else:
        github.faults.append(Fault("GET", "/zip$", status=410, message="Artifact has expired"))
    why = problem(github)
    assert "expired" in why
    assert "`retention-days`" in why


def hostile() -> dict[str, tuple[bytes, str]]:
    """Return zips that no upload makes, and what is said of each."""
    good = zipped(("report.json", report()))
    forged = good.replace(b"report.json", b"../../etc/x")
    bomb = zipped(("report.json", b" " * (baseline.REPORT_LIMIT + 1)))
    return {
        "cut off": (good[: len(good) // 2], "not a valid zip file"),
        "no zip": (b"<html>Sorry</html>", "not a valid zip file"),
        "empty": (b"", "not a valid zip file"),
        "bytes changed": (good[:60] + bytes(20) + good[80:], "not a valid zip file"),
        "a bomb": (bomb, "report larger than 16.0 MiB"),
        "many files": (zipped(*((str(number), b"") for number in range(20_001))), "more than 20000 files"),
        "another compression": (zipped(("report.json", report()), method=zipfile.ZIP_LZMA), "compression 14"),
        "no report in it": (zipped(("report.json", b'{"version": "x"}')), "not a valid report"),
        "no text in it": (zipped(("report.json", b"\xff\xfe")), "not a valid zip file"),
        "other names": (forged, "no report of shop"),
        "too large": (bytes(baseline.ZIP_LIMIT + 1), "larger than the limit of 32.0 MiB"),
    }


HOSTILE = hostile()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_zip(github: GitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Whatever lies in the store, nothing is written, and what is wrong is said."""
    monkeypatch.chdir(tmp_path)
    content, expected = HOSTILE[name]
    with serving(blobs(content)) as web:
        github.artifact(github.run(), "prodgate", f"{web.url}/blob0")
        assert expected in problem(github)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        (Reply(403, "AuthenticationFailed"), "HTTP 403"),
        (Reply(302, headers={"Location": "http://127.0.0.1:9/"}), "HTTP 302"),
        (reset(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"), "could not download the artifact from 127.0.0.1"),
    ],
    ids=["refuses", "leads on", "breaks off"],
)
def test_a_store_that_does_not_answer(github: GitHub, route: Reply | Callable[[Any], None], expected: str) -> None:
    """A store that refuses, leads elsewhere or breaks off is said to, without its signature."""
    with serving({"/blob0": route}) as web:
        github.artifact(github.run(), "prodgate", f"{web.url}/blob0?sig=s1gned-eeee")
        why = problem(github)
    assert expected in why
    assert "s1gned" not in why


def test_a_store_without_an_end(github: GitHub) -> None:
    """A store that never comes to an end costs no more than the time that there is for GitHub."""
    with serving({"/blob0": trickle(b"HTTP/1.1 200 OK\r\n\r\n")}) as web:
        github.artifact(github.run(), "prodgate", f"{web.url}/blob0?sig=s1gned-eeee")
        assert "timed out" in problem(github, budget=TimeBudget(3.0))


def test_an_artifact_that_is_too_large_is_not_asked_for(github: GitHub) -> None:
    """A size beyond the limit is believed."""
    github.artifact(github.run(), "build", NEVER, size_in_bytes=baseline.ZIP_LIMIT + 1)
    assert "larger than the limit of 32.0 MiB" in problem(github)
    assert [request.path for request in github.requests if request.path.endswith("/zip")] == []
