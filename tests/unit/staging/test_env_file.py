"""Files of environment variables: quotes, comments, and what is not valid."""

from __future__ import annotations

from pathlib import Path

import pytest

from gate.staging.env_file import read_env_file
from gate.staging.errors import StagingError

LINES = {
    "A=1": "1",
    "export A=1": "1",
    " A = 1 ": "1",
    "A=": "",
    "A=a b # a comment": "a b",
    "A=a#b": "a#b",
    "A=# a comment": "",
    "A='a # b' # c": "a # b",
    r"A='a\nb'": r"a\nb",
    r'A="a\nb \"c\""': 'a\nb "c"',
    "A=postgres://u:p@db/x?a=b": "postgres://u:p@db/x?a=b",
}


@pytest.mark.parametrize("line", LINES)
def test_a_line(tmp_path: Path, line: str) -> None:
    """A value is read as Compose reads it."""
    (tmp_path / "a.env").write_text(f"# first\n\n{line}\n")
    assert read_env_file(tmp_path / "a.env") == {"A": LINES[line]}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"A=1\nnot a variable\n", "a.env:2: not a variable"),
        (b"\xff\xfe", "cannot be read"),
        (b"A=" + b"x" * 2**20, "larger than 1 MiB"),
    ],
)
def test_what_is_not_valid(tmp_path: Path, content: bytes, expected: str) -> None:
    """A line that is no variable is an error with its place; so is a file that cannot be read, or is too large."""
    (tmp_path / "a.env").write_bytes(content)
    with pytest.raises(StagingError, match=expected):
        read_env_file(tmp_path / "a.env")


def test_a_missing_file(tmp_path: Path) -> None:
    """A file that the checklist names must exist."""
    with pytest.raises(StagingError, match=r"a\.env does not exist"):
        read_env_file(tmp_path / "a.env")
    assert read_env_file(tmp_path / "a.env", required=False) == {}
