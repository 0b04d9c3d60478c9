"""The emulator of the runner reads file commands and manifests as strictly as the runner does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.runner.files import SUMMARY_LIMIT, Files, parse
from tests.support.runner.log import Masks
from tests.support.runner.manifest import evaluate, holds, quoted, read, words

ACTION = (
    "name: a\ndescription: b\ninputs: {}\noutputs: {o: {description: c}}\nruns: {using: docker, image: Dockerfile}\n"
)


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", {}),
        ("\n\na=b\n", {"a": "b"}),
        ("a=b", {"a": "b"}),
        ("a=b=c<<d\n", {"a": "b=c<<d"}),
        ("a=\n", {"a": ""}),
        (" a = b\r\n", {" a ": " b\r"}),
        ("a=1\na=2\n", {"a": "2"}),
        ("a<<E\none\n\ntwo\nE\nb=c\n", {"a": "one\n\ntwo", "b": "c"}),
        ("a<<E\nE\n", {"a": ""}),
        ("a<<E\n E\nE \nE", {"a": " E\nE "}),
        ("a<<b=c\nx\nb=c\n", {"a": "x"}),
    ],
)
def test_pairs(text: str, pairs: dict[str, str]) -> None:
    """What comes first, `=` or `<<`, says how a value is written; names and values are taken as they are."""
    kept: dict[str, str] = {}
    parse(text, kept)
    assert kept == pairs


@pytest.mark.parametrize("wrong", ["word\n", "=b\n", "<<E\nx\nE\n", "a<<\nx\n\n", "a<<E\nx\n", "a<<E\nx", "a<<E\nE \n"])
def test_errors(wrong: str) -> None:
    """An error ends the reading; the pairs before it count."""
    kept: dict[str, str] = {}
    with pytest.raises(ValueError, match=r"Invalid format|a name is empty|Matching delimiter not found"):
        parse(f"before=1\n{wrong}", kept)
    assert kept["before"] == "1"


def files(folder: Path) -> Files:
    """Create the files of a stage."""
    return Files(folder, os.getuid())


def test_an_error_is_told(tmp_path: Path) -> None:
    """A file that can't be read fails the step, and the other files count all the same."""
    stage = files(tmp_path)
    stage.paths["GITHUB_OUTPUT"].write_text("a=b\nwrong\n")
    stage.paths["GITHUB_STATE"].write_text("c=d\n")
    commands = stage.read()
    assert (commands.outputs, commands.state, len(commands.errors)) == ({"a": "b"}, {"c": "d"}, 1)


def test_a_deleted_file(tmp_path: Path) -> None:
    """A file that is gone is an empty one."""
    stage = files(tmp_path)
    for path in stage.paths.values():
        path.unlink()
    commands = stage.read()
    assert (commands.outputs, commands.summary, commands.errors) == ({}, "", [])


@pytest.mark.parametrize(("size", "kept"), [(SUMMARY_LIMIT, SUMMARY_LIMIT), (SUMMARY_LIMIT + 1, 0)])
def test_the_limit_of_a_summary(tmp_path: Path, size: int, kept: int) -> None:
    """A summary that is one byte too long is dropped whole, and fails nothing."""
    stage = files(tmp_path)
    stage.paths["GITHUB_STEP_SUMMARY"].write_bytes(b"x" * size)
    commands = stage.read()
    assert (len(commands.summary), bool(commands.dropped), commands.errors) == (kept, kept == 0, [])


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ("image: Dockerfile", "image: Dockerfile, post: x", "unknown keys under runs"),
        ("image: Dockerfile", "image: alpine", "not an image"),
        ("using: docker", "using: node20", "not an image"),
        ("description: c", "default: c", "unknown keys under the output o"),
    ],
)
def test_a_wrong_manifest(tmp_path: Path, before: str, after: str, why: str) -> None:
    """A manifest that makes the runner fail the job is refused."""
    (tmp_path / "action.yml").write_text(ACTION)
    assert read(tmp_path / "action.yml").outputs == ("o",)
    (tmp_path / "action.yml").write_text(ACTION.replace(before, after))
    with pytest.raises(ValueError, match=why):
        read(tmp_path / "action.yml")


def test_expressions() -> None:
    """A default sees the job and GitHub, and neither secrets nor the environment."""
    contexts = {"github": {"token": "t"}, "job": {"services": {"a": 1}}}
    assert evaluate("x ${{ github.token }} ${{ toJSON(job.services) }}", contexts) == 'x t {\n  "a": 1\n}'
    for wrong in ("${{ secrets.a }}", "${{ env.PATH }}", "${{ github.token || 'a' }}"):
        with pytest.raises(ValueError, match="a manifest may not say"):
            evaluate(wrong, contexts)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["a", "b c", "", r"x\y", 'say "hi"'], ["a", "b c", "", r"x\y", 'say "hi"']),
        (["a\\", "b"], ['a" b']),
        (['c\\"d', "e"], ["c\\d e"]),
    ],
    ids=["plain", "a backslash at the end", "a backslash before a quote"],
)
def test_arguments(arguments: list[str], found: list[str]) -> None:
    """Only quotes are escaped: a backslash at the end, or before a quote, spoils what follows, as with the runner."""
    assert words(" ".join(map(quoted, arguments))) == found


@pytest.mark.parametrize(("condition", "runs"), [("always()", True), ("${{ failure() }}", True), ("success()", False)])
def test_conditions(condition: str, runs: bool) -> None:
    """A condition is one status function; what this runner does not know it does not guess."""
    assert holds(condition, "failure") is runs
    with pytest.raises(ValueError, match="does not know"):
        holds(f"{condition} && true", "failure")


def test_masks() -> None:
    """A mask hides a value, each of its lines, and the forms that either may take."""
    masks = Masks('a "b" & c\nsecond')
    for said in ('a "b" & c', "second", r"a \"b\" & c", "a%20%22b%22%20%26%20c", "a &quot;b&quot; &amp; c", "c2Vjb25k"):
        assert masks.hide(f"<{said}>") == "<***>"
    masks.add(" ")
    assert masks.hide("a b") == "a b"
