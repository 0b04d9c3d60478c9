"""Files that are as the commit has them are found in git's own index, in all of its formats."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from gate.source.git_index import GitIndexError, unchanged

ENVIRONMENT = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}


def git(folder: Path, *words: str) -> None:
    """Run a real git."""
    names = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "protocol.file.allow=always")
    subprocess.run(["git", *names, *words], cwd=folder, env=ENVIRONMENT, check=True, capture_output=True)


def repository(folder: Path, *words: str) -> Path:
    """Make a repository with a few files, the results among them."""
    folder.mkdir()
    git(folder, "init", "-q", *words)
    for name in ("a.txt", "out/results.xml", "out/results.xml.old", "out/results/b.txt", "z" * 200):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{name}\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "a")
    return folder


@pytest.mark.parametrize("version", ["2", "3", "4"])
@pytest.mark.parametrize("hashes", ["sha1", "sha256"])
def test_every_format_of_an_index(tmp_path: Path, version: str, hashes: str) -> None:
    """Each version of the index is read, with both kinds of hashes: what is new or changed is not named."""
    top = repository(tmp_path / "r", f"--object-format={hashes}")
    git(top, "update-index", "--index-version", version)
    if version == "3":  # git writes it only if an entry needs it
        git(top, "update-index", "--skip-worktree", "a.txt")
    assert (top / ".git/index").read_bytes()[7] == int(version)
    names = ["a.txt", "out/results.xml", "out/results.xml.old", "out/results/b.txt", "z" * 200]
    (top / "out/results.xml.old").write_text("other")
    (top / "new.xml").write_text("new")
    os.utime(top / "out/results.xml")
    found = unchanged([top / name for name in [*names, "new.xml"]])
    assert sorted(path.name for path in found) == ["a.txt", "b.txt", "results.xml", "z" * 200]


def test_line_breaks(tmp_path: Path) -> None:
    """A checkout with CRLF is the same file; any other byte makes it another."""
    top = repository(tmp_path / "r")
    (top / "a.txt").write_bytes(b"a.txt\r\n")
    assert unchanged([top / "a.txt"]) == [top / "a.txt"]
    (top / "a.txt").write_bytes(b"a.txt \n")
    assert unchanged([top / "a.txt"]) == []


def test_worktrees_and_submodules(tmp_path: Path) -> None:
    """A file in a worktree, in a submodule or behind a link is looked for in the repository that it lies in."""
    top = repository(tmp_path / "r")
    git(top, "worktree", "add", "-q", str(tmp_path / "tree"))
    git(top, "submodule", "add", "-q", str(tmp_path / "tree"), "inside")
    (top / "link.xml").symlink_to("out/results.xml")
    paths = [tmp_path / "tree/a.txt", top / "inside/a.txt", top / "link.xml"]
    assert unchanged(paths) == paths


def test_no_repository(tmp_path: Path) -> None:
    """Without a repository, or without anything in it, no file is part of a commit."""
    (tmp_path / "a.txt").write_text("a")
    assert unchanged([tmp_path / "a.txt"]) == []
    git(tmp_path, "init", "-q")
    assert unchanged([tmp_path / "a.txt"]) == []


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"DIRC\0\0\0\x09\0\0\0\0", "unknown format"),
        (b"", "unknown format"),
        (b"DIRC\0\0\0\x02\0\0\xff\xff", "cut off"),
        (b"DIRC\0\0\0\x04\0\0\xff\xff", "cut off"),
    ],
)
def test_an_index_that_can_not_be_read(tmp_path: Path, content: bytes, why: str) -> None:
    """An index that is broken answers nothing."""
    top = repository(tmp_path / "r")
    (top / ".git/index").write_bytes(content)
    with pytest.raises(GitIndexError, match=why):
        unchanged([top / "a.txt"])


def test_a_split_index(tmp_path: Path) -> None:
    """An index of which a part stands elsewhere is refused, with what to do."""
    top = repository(tmp_path / "r")
    git(top, "update-index", "--split-index")
    with pytest.raises(GitIndexError, match="--no-split-index"):
        unchanged([top / "a.txt"])


def test_a_link_to_no_repository(tmp_path: Path) -> None:
    """A worktree whose repository is not there answers nothing."""
    (tmp_path / ".git").write_text("gitdir: /nowhere\n")
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(GitIndexError, match="leads to no repository"):
        unchanged([tmp_path / "a.txt"])
