"""The check `file`."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gate.checks._checkout import find_files
from gate.checks.base import ObservationError
from gate.checks.file import FileInfo
from gate.decode.structs import ValidationError
from gate.model import Status
from tests.support.checks import check, context

REGULAR = stat.S_IFREG | 0o644
PROGRAM = stat.S_IFREG | 0o755
FOLDER = stat.S_IFDIR | 0o755
A = FileInfo("a.md", REGULAR, 2048, "one\ntwo words\n")
B = FileInfo("b.md", PROGRAM, 0, "")

JUDGED = [
    ({"exists": True}, (A,), Status.PASS, "a.md exists, 2.0 KiB"),
    ({"exists": True}, (), Status.FAIL, "*.md does not exist"),
    ({"exists": False}, (), Status.PASS, "*.md does not exist"),
    ({"exists": False}, (A,), Status.FAIL, "a.md exists, expected that it does not"),
    ({"executable": True}, (B,), Status.PASS, "b.md exists and is executable, 0 B"),
    ({"executable": True}, (A,), Status.FAIL, "a.md is not executable, expected that it is"),
    ({"executable": False}, (A, B), Status.FAIL, "b.md is executable, expected that it is not"),
    ({"executable": True}, (FileInfo("d", FOLDER, 10),), Status.FAIL, "d is not executable, expected that it is"),
    ({"size": {"gt": 0}}, (A,), Status.PASS, "a.md exists, 2.0 KiB"),
    ({"size": {"gt": 0}}, (A, B), Status.FAIL, "b.md: expected more than 0 B, got 0 B"),
    ({"size": {"lt": "1KiB"}}, (A,), Status.FAIL, "a.md: expected less than 1.0 KiB, got 2.0 KiB"),
    ({"size": {"gt": 0}}, (), Status.FAIL, "*.md does not exist"),
    ({"count": 2}, (A, B), Status.PASS, "2 files match *.md, 2.0 KiB in all"),
    ({"count": 0}, (), Status.PASS, "0 files match *.md, 0 B in all"),
    ({"count": {"ge": 1}}, (), Status.FAIL, "files that match *.md: expected at least 1, got 0"),
    ({"count": {"lt": 9}, "size": {"gt": 0}}, (), Status.FAIL, "*.md does not exist"),
    ({"contains": "two"}, (A,), Status.PASS, "a.md exists, 2.0 KiB, and contains 'two'"),
    ({"contains": ["two", "three"]}, (A,), Status.FAIL, "a.md does not contain 'three'"),
    ({"contains": "x"}, (), Status.FAIL, "*.md does not exist"),
    ({"text": {"matches": "^one"}}, (A,), Status.PASS, "a.md exists, 2.0 KiB"),
    ({"text": ""}, (B,), Status.PASS, "b.md exists, 0 B"),
]


@pytest.mark.parametrize(("fields", "observation", "status", "message"), JUDGED)
def test_judgement(fields: dict[str, Any], observation: tuple[FileInfo, ...], status: Status, message: str) -> None:
    """What is said of the files that there are."""
    judged = check("file", path="*.md", **fields).judge(observation)
    assert (judged.status, str(judged.message)) == (status, message)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Create a checkout with files of all kinds."""
    (tmp_path / "checkout" / "docs" / "deep").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    root = tmp_path / "checkout"
    (root / "docs" / "a.md").write_text("# A\nthe text\n")
    (root / "docs" / "b c.md").write_text("# B\nthe text\n")
    (root / "docs" / "deep" / "d.md").write_text("")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "binary").write_bytes(b"a\0b")
    (root / "inner").symlink_to("docs/a.md")
    (root / "broken").symlink_to("nowhere")
    (root / "out").symlink_to("../secret")
    (root / "away").symlink_to("..")
    (root / "circle").symlink_to("circle")
    (root / "nowhere_at_all").symlink_to("/nowhere/at/all")
    return root


def status(root: Path, **fields: Any) -> Status:
    """Return the status of a check of real files."""
    made = check("file", **fields)
    return made.judge(made.observe(context(root))).status


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"path": "docs/a.md", "exists": True}, Status.PASS),
        ({"path": "docs/A.md", "exists": True}, Status.FAIL),
        ({"path": "docs", "exists": True}, Status.PASS),
        ({"path": "docs/*.md", "count": 2}, Status.PASS),
        ({"path": "docs/**/*.md", "count": 3}, Status.PASS),
        ({"path": "docs/*.md", "contains": "the text"}, Status.PASS),
        ({"path": "docs/**/*.md", "contains": "the text"}, Status.FAIL),
        ({"path": "docs/[ab]*.md", "count": 2}, Status.PASS),
        ({"path": "run.sh", "executable": True, "size": {"gt": 0}}, Status.PASS),
        ({"path": "inner", "contains": "the text"}, Status.PASS),
        ({"path": "broken", "exists": False}, Status.PASS),
        ({"path": "broken", "exists": True}, Status.FAIL),
        ({"path": "br*", "exists": True}, Status.FAIL),
        ({"path": "nowhere_at_all", "exists": True}, Status.FAIL),
        ({"path": "broken", "size": {"gt": 0}}, Status.FAIL),
        ({"path": "broken", "contains": "a"}, Status.FAIL),
        ({"path": "docs/a.md/x", "exists": True}, Status.FAIL),
        ({"path": "nothing/*", "exists": True}, Status.FAIL),
    ],
)
def test_real_files(root: Path, fields: dict[str, Any], expected: Status) -> None:
    """Paths, globs and links inside the checkout are followed."""
    assert status(root, **fields) is expected


@pytest.mark.parametrize("path", ["out", "away/secret", "away/*", "o*", "**/*.md"])
def test_links_out_of_the_checkout(root: Path, path: str) -> None:
    """A symbolic link that leads out of the checkout could not be observed, whatever is behind it."""
    with pytest.raises(ObservationError, match="leads out of the checkout"):
        status(root, path=path, contains="secret")


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """Create a checkout with links to folders: a sibling, a child, the folder itself and its parent."""
    for name in ("src/own", "lib/deep"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a.py").write_text("x = 1\n")
    for name, to in {"lib": "../lib", "again": "../lib/deep", "own2": "own", "self": ".", "up": ".."}.items():
        (tmp_path / "src" / name).symlink_to(to)
    (tmp_path / "src" / "dangling").symlink_to("nowhere")
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "count"),
    [("src/**/*.py", 2), ("**/*.py", 2), ("src/lib/**/*.py", 1), ("src/*/a.py", 3), ("src/**/deep", 1), ("src/**", 5)],
)
def test_linked_folders(linked: Path, pattern: str, count: int) -> None:
    """`**` looks into linked folders of the checkout, and finds what is in them once."""
    assert len(find_files(context(linked), pattern)) == count


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("file", {"path": "src/**/*.py", "exists": True}),
        ("source", {"file": "src/**/*.py", "text": "x"}),
        ("document", {"file": "src/**/*.md", "sections": ["A"]}),
        ("tests", {"results": "src/**/*.xml"}),
        ("alert_rules", {"file": "src/**/*.yml", "valid": True}),
    ],
)
def test_linked_folders_out_of_the_checkout(linked: Path, kind: str, fields: dict[str, Any]) -> None:
    """No check that takes a glob skips in silence what it may not look into."""
    (linked / "src" / "out").symlink_to("/usr")
    with pytest.raises(ObservationError, match="src/out leads out of the checkout"):
        check(kind, **fields).observe(context(linked))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"path": "binary", "contains": "a"}, "is not a text file"),
        ({"path": "docs", "contains": "a"}, "is not a file"),
        ({"path": "circle", "exists": True}, "circle"),
    ],
)
def test_what_can_not_be_read(root: Path, fields: dict[str, Any], why: str) -> None:
    """What is no text could not be observed."""
    with pytest.raises(ObservationError, match=why):
        status(root, **fields)


def test_a_huge_file(root: Path) -> None:
    """A file too large to read has a size, but no text."""
    with (root / "huge").open("wb") as stream:
        stream.truncate(10**12)
    assert status(root, path="huge", size={"gt": "1GB"}) is Status.PASS
    with pytest.raises(ObservationError, match="larger than"):
        status(root, path="huge", contains="a")


@pytest.mark.parametrize(
    "fields",
    [
        {"path": "../x", "exists": True},
        {"path": "/etc/passwd", "exists": True},
        {"path": "a/../../x", "exists": True},
        {"path": "", "exists": True},
        {"path": "a\0", "exists": True},
        {"path": "a", "size": 5},
        {"path": "a", "size": {"gt": "5"}},
        {"path": "a", "contains": ""},
        {"path": "a", "contains": []},
        {"path": "a", "exists": False, "size": {"gt": 0}},
    ],
)
def test_errors_of_the_checklist(fields: dict[str, Any]) -> None:
    """What can't be asked is an error when loaded."""
    with pytest.raises(ValidationError):
        check("file", **fields)


def test_no_expectation() -> None:
    """A path alone expects nothing."""
    assert check("file", path="a").missing_expectation() is not None


def test_evidence_is_the_line(root: Path) -> None:
    """Where a text was asked for, its line is the evidence."""
    made = check("file", path="docs/a.md", contains="text")
    (place,) = made.judge(made.observe(context(root))).locations
    assert (str(place), place.text) == ("docs/a.md:2", "the text")


@pytest.mark.parametrize(
    ("fields", "output"),
    [
        ({"path": "docs/b c.md", "contains": "the text"}, "2:the text\n"),
        ({"path": "docs/*.md", "contains": "# A"}, "docs/a.md:1:# A\n"),
        ({"path": "docs/a.md", "text": {"contains": "A"}}, "# A\nthe text\n"),
    ],
)
def test_reproduction(root: Path, fields: dict[str, Any], output: str) -> None:
    """The command of the evidence shows the same by hand."""
    line = check("file", **fields).reproduce_command(context(root))
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=root, check=False)
    assert done.stdout == output


def test_reproduction_of_a_listing(root: Path) -> None:
    """A listing is `ls`, with the glob for the shell to expand."""
    line = check("file", path="docs/*.md", exists=True).reproduce_command(context(root))
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=root, check=True)
    assert [entry.endswith(".md") for entry in done.stdout.splitlines()] == [True, True]
