"""Which commit, pull request, branch and run are told of, for every event that starts a workflow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gate.publish.settings import Settings, publish_settings

TIP, HEAD, BASE = "a" * 40, "b" * 40, "c" * 40
REPOSITORY = {"default_branch": "main"}
PULL = {"number": 12, "head": {"sha": HEAD}, "base": {"ref": "release/2", "sha": BASE}}


def made(folder: Path, name: str, payload: dict[str, Any], **more: str) -> Settings:
    """Return the settings of a run that an event started. All payloads but a schedule's name the repository."""
    path = folder / "event.json"
    known = {"schedule": "0 5 * * *"} if name == "schedule" else {"repository": REPOSITORY}
    path.write_text(json.dumps({**known, **payload}))
    given = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": name,
        "GITHUB_EVENT_PATH": str(path),
        "GITHUB_SHA": TIP,
        "GITHUB_REPOSITORY": "veza/api",
        "GITHUB_RUN_ID": "77",
        "GITHUB_RUN_ATTEMPT": "2",
        "GITHUB_REF_TYPE": "branch",
    }
    return publish_settings({**given, **more}, status=True)


@pytest.mark.parametrize(
    ("name", "payload", "more", "expected"),
    [
        ("push", {}, {"GITHUB_REF_NAME": "main"}, (TIP, None, "main")),
        ("push", {}, {"GITHUB_REF_NAME": "v1", "GITHUB_REF_TYPE": "tag"}, (TIP, None, "main")),
        ("pull_request", {"pull_request": PULL}, {"GITHUB_BASE_REF": "release/2"}, (HEAD, 12, "release/2")),
        ("pull_request_target", {"pull_request": PULL}, {}, (HEAD, 12, "release/2")),
        ("pull_request_review", {"pull_request": PULL}, {}, (HEAD, 12, "release/2")),
        ("merge_group", {"merge_group": {"base_ref": "refs/heads/main", "base_sha": BASE}}, {}, (TIP, None, "main")),
        (
            "merge_group",
            {},
            {"GITHUB_REF_NAME": f"gh-readonly-queue/release/2/pr-12-{BASE}"},
            (TIP, None, "release/2"),
        ),
        ("workflow_dispatch", {}, {"GITHUB_REF_NAME": "topic"}, (TIP, None, "topic")),
        ("schedule", {}, {"GITHUB_REF_NAME": "main"}, (TIP, None, "main")),
        ("release", {"release": {}}, {"GITHUB_REF_NAME": "v1", "GITHUB_REF_TYPE": "tag"}, (TIP, None, "main")),
        (
            "workflow_run",
            {"workflow_run": {"head_sha": HEAD, "pull_requests": [{"number": 12}]}},
            {},
            (HEAD, 12, "main"),
        ),
        ("issue_comment", {"issue": {"number": 12, "pull_request": {"url": "x"}}}, {}, ("", 12, "main")),
        ("issues", {"issue": {"number": 12}}, {}, ("", None, "main")),
        ("check_suite", {"check_suite": {"head_sha": HEAD}}, {}, (HEAD, None, "main")),
        ("status", {"sha": HEAD}, {}, (HEAD, None, "main")),
    ],
)
def test_events(
    tmp_path: Path, name: str, payload: dict[str, Any], more: dict[str, str], expected: tuple[str, int | None, str]
) -> None:
    """The commit of a pull request is its head, never the test-merge one; the branch is where it is to go."""
    found = made(tmp_path, name, payload, **more)
    assert (found.commit, found.pull, found.branch) == expected


def of(*bases: str) -> dict[str, Any]:
    """Return the event of a run for pull requests with these base branches."""
    return {"workflow_run": {"head_sha": HEAD, "pull_requests": [{"base": {"sha": base}} for base in bases]}}


@pytest.mark.parametrize(
    ("name", "payload", "ref", "expected"),
    [
        ("pull_request", {"pull_request": PULL}, "refs/pull/12/merge", (BASE, False)),
        ("merge_group", {"merge_group": {"base_sha": BASE}}, "refs/heads/gh-readonly-queue/main/pr-1", (BASE, False)),
        ("workflow_run", of(BASE), "refs/heads/main", (BASE, False)),
        ("workflow_run", of(BASE, TIP), "refs/heads/main", ("", False)),
        ("workflow_run", of(), "refs/heads/main", ("", False)),
        ("push", {}, "refs/heads/topic", ("", False)),
        ("push", {}, "refs/tags/main", ("", False)),
        ("push", {}, "refs/heads/main", ("", True)),
        ("schedule", {}, "refs/heads/main", ("", True)),
        ("workflow_dispatch", {"repository": {}}, "refs/heads/main", ("", False)),
    ],
)
def test_the_base(tmp_path: Path, name: str, payload: dict[str, Any], ref: str, expected: tuple[str, bool]) -> None:
    """The one commit that a commit is to be merged into; what is on the default branch needs none."""
    found = made(tmp_path, name, payload, GITHUB_REF=ref)
    assert (found.base_commit, found.on_base) == expected


@pytest.mark.parametrize("name", ["pull_request", "pull_request_target", "pull_request_review", "workflow_run"])
def test_an_event_that_does_not_say_its_commit(tmp_path: Path, name: str) -> None:
    """The workflow's own commit, such as the test-merge one, is never taken for the one that is judged."""
    assert made(tmp_path, name, {}).commit == ""


def test_the_run(tmp_path: Path) -> None:
    """The run's number and attempt, its address, and the file of its workflow."""
    workflow = "veza/api/.github/workflows/gate.yml@refs/heads/main"
    found = made(tmp_path, "push", {}, GITHUB_SERVER_URL="https://ghe.example", GITHUB_WORKFLOW_REF=workflow)
    assert found.workflow == "gate.yml"
    assert (found.run, found.run_url) == ((77, 2), "https://ghe.example/veza/api/actions/runs/77/attempts/2")


@pytest.mark.parametrize(
    ("given", "token"),
    [
        ({"INPUT_GITHUB-TOKEN": "input", "GITHUB_TOKEN": "variable"}, "input"),
        ({"INPUT_GITHUB-TOKEN": " ", "GITHUB_TOKEN": "variable"}, "variable"),
        ({"GH_TOKEN": "tool"}, "tool"),
        ({}, ""),
    ],
)
def test_the_token(tmp_path: Path, given: dict[str, str], token: str) -> None:
    """The action's input, else what GitHub's own tools read; it is a secret, also in a traceback."""
    found = made(tmp_path, "push", {}, **given)
    assert (found.token, found.secrets.redact(token)) == (token, "***" if token else "")
    assert not token or repr(token) not in repr(found)


@pytest.mark.parametrize("payload", [[], "text", None, {"pull_request": []}, {"pull_request": {"number": "1; rm"}}])
def test_a_strange_event(tmp_path: Path, payload: Any) -> None:
    """An event of a form that nobody expects is as good as none."""
    found = made(tmp_path, "pull_request", {})
    (tmp_path / "event.json").write_text(json.dumps(payload))
    again = publish_settings({"GITHUB_EVENT_NAME": "pull_request", "GITHUB_EVENT_PATH": str(tmp_path / "event.json")})
    assert (found.pull, again.pull) == (None, None)
