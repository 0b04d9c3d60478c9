"""Tests of the commit and the pull request that an event is about, where the event alone does not name it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from gate.publish.pull_request import resolve_commit, resolve_pull
from gate.publish.settings import Notice, Settings
from gate.source.git_index import head_commit
from tests.support.github.fixtures import github, settings
from tests.support.github.server import HEAD, READ_ONLY, GitHub

__all__ = ["github"]


def checkout(folder: Path, commit: str) -> Path:
    """Return a repository with a commit checked out, as `actions/checkout` leaves it: HEAD is detached."""
    (folder / ".git").mkdir(parents=True)
    (folder / ".git" / "HEAD").write_text(commit + "\n")
    return folder


def comment_event(github: GitHub, **more: Any) -> Settings:
    """Return the settings of a run for a comment on pull request 7."""
    return settings(github, **{"event": "issue_comment", "commit": "", **more})


def texts(notices: list[Notice]) -> list[str]:
    """Return the texts of notices."""
    return [str(notice.message) for notice in notices]


@pytest.mark.parametrize("checked_out", [HEAD, "e" * 40], ids=["head", "merge"])
def test_a_comment_is_about_the_head_that_is_checked_out(tmp_path: Path, github: GitHub, checked_out: str) -> None:
    """Take the pull request's head for its head and for its test merge commit."""
    found, notices = resolve_commit(comment_event(github), checkout(tmp_path, checked_out))
    assert found.commit == HEAD
    assert found.status is True
    assert found.comment == "always"
    assert notices == []


@pytest.mark.parametrize("checked_out", ["a" * 40, ""], ids=["default branch", "no checkout"])
def test_nothing_is_published_about_another_checkout(tmp_path: Path, github: GitHub, checked_out: str) -> None:
    """Publish nothing if the default branch is checked out, and say what to check out."""
    found, notices = resolve_commit(comment_event(github), checkout(tmp_path, checked_out))
    assert found.commit == ""
    assert found.enabled is False
    (text,) = texts(notices)
    assert "is not the head of pull request 7" in text
    assert "check out `refs/pull/7/head`" in text


@pytest.mark.parametrize("event", ["issues", "discussion", "label", "watch"])
def test_an_event_about_no_commit(tmp_path: Path, github: GitHub, event: str) -> None:
    """Publish nothing for an event that is about neither a commit nor a pull request."""
    found, notices = resolve_commit(comment_event(github, event=event, pull=None), checkout(tmp_path, HEAD))
    assert not found.enabled
    assert texts(notices) == [f"No commit status and no comment: the event `{event}` is not about a commit"]
    assert github.requests == []


def test_the_pull_request_cannot_be_read(tmp_path: Path, github: GitHub) -> None:
    """Publish nothing if the pull request does not exist, or there is no token."""
    for given in ({"pull": 8}, {"token": ""}):
        found, notices = resolve_commit(comment_event(github, **given), checkout(tmp_path / str(given), HEAD))
        assert not found.enabled
        assert len(notices) == 1


def test_a_workflow_run_of_a_fork_finds_its_pull_request(github: GitHub) -> None:
    """Find the open pull request by the fork's owner and branch, and by the commit."""
    found, notices = resolve_pull(
        settings(github, event="workflow_run", pull=None, head_label="ada:topic", token=READ_ONLY)
    )
    assert (found.pull, notices) == (7, [])


@pytest.mark.parametrize(
    "given",
    [{"head_label": "ada:other"}, {"commit": "d" * 40}],
    ids=["another branch", "a commit that is not its head"],
)
def test_a_workflow_run_without_a_pull_request(github: GitHub, given: dict[str, str]) -> None:
    """Say that no comment was made if no open pull request has that commit as its head."""
    run = settings(github, **{"event": "workflow_run", "pull": None, "head_label": "ada:topic", **given})
    found, notices = resolve_pull(run)
    assert found.pull is None
    (text,) = texts(notices)
    assert text.startswith("No comment on a pull request: open pull requests from")
    assert text.endswith(": 0; expected 1")


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder and return its output."""
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_that_is_checked_out(tmp_path: Path) -> None:
    """Agree with git on a branch, a packed branch, a detached head, a worktree, and from a folder below."""
    main, worktree = tmp_path / "main", tmp_path / "worktree"
    git(tmp_path, "init", "-q", "-b", "topic/one", str(main))
    assert head_commit(main) == ""
    git(main, "commit", "-q", "--allow-empty", "-m", "first")
    (main / "below").mkdir()
    assert head_commit(main / "below") == git(main, "rev-parse", "HEAD")
    git(main, "worktree", "add", "-q", "-b", "two", str(worktree))
    git(worktree, "commit", "-q", "--allow-empty", "-m", "second")
    assert head_commit(worktree) == git(worktree, "rev-parse", "HEAD") != head_commit(main)
    git(main, "pack-refs", "--all")
    assert [head_commit(folder) for folder in (main, worktree)] == [
        git(folder, "rev-parse", "HEAD") for folder in (main, worktree)
    ]
    git(main, "checkout", "-q", "--detach", "two")
    assert head_commit(main) == git(main, "rev-parse", "HEAD")


@pytest.mark.parametrize("head", ["ref: ../../etc/passwd", "ref: refs/../../x", "nonsense", "ref: refs/heads/none"])
def test_a_hostile_head(tmp_path: Path, head: str) -> None:
    """Read nothing outside of the repository, and take nothing for a commit that is none."""
    assert head_commit(checkout(tmp_path, head)) == ""
