"""The emulator of the runner runs the three stages of an action as the runner does: a tiny action of the tests' own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import engine, images
from tests.support.runner.job import TOKEN, Job

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("action-runner-job")]

ACTION = """\
name: tiny
description: Three stages
inputs:
  who: {description: Who, default: "nobody"}
  token: {description: A token, default: "${{ github.token }}"}
runs:
  using: docker
  image: Dockerfile
  pre-entrypoint: /pre
  post-entrypoint: /post
"""


@pytest.fixture(scope="module")
def image() -> str:
    """Build the image of the minimal action."""
    engine.up()
    return images.step()


def job(folder: Path, image: str, *lines: str, timeout_minutes: float | None = None, **scripts: str) -> Job:
    """Return a job with the action, with `lines` added to its `runs`."""
    (folder / "action.yml").write_text(ACTION + "".join(f"  {line}\n" for line in lines))
    made = Job(folder / "work", image, action=folder / "action.yml", timeout_minutes=timeout_minutes)
    for stage, script in scripts.items():
        (made.workspace / f"{stage}.sh").write_text(script)
    return made


def words(made: Job, stage: str) -> list[str]:
    """Return the arguments of a stage."""
    return (made.workspace / f"{stage}.words").read_text().splitlines()


def environment(made: Job, stage: str) -> dict[str, str]:
    """Return the environment of a stage."""
    pairs = (made.workspace / f"{stage}.environment").read_text().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if pair)


def test_the_three_stages(tmp_path: Path, image: str) -> None:
    """Each is a container of its own, of one image, with the same inputs and the image's own words for main only."""
    with job(tmp_path, image) as made:
        stages = [made.pre(who="ada"), made.main(), made.post()]
    assert [(stage.name, stage.conclusion) for stage in stages] == [
        ("pre", "success"),
        ("main", "success"),
        ("post", "success"),
    ]
    assert [words(made, name) for name in ("pre", "main", "post")] == [[""], ["word", "of the image"], [""]]
    assert {environment(made, name)["INPUT_WHO"] for name in ("pre", "main", "post")} == {"ada"}


def test_arguments_and_environment(tmp_path: Path, image: str) -> None:
    """All stages get the manifest's arguments, and its variables where there are none of that name yet."""
    lines = (
        'args: ["to ${{ inputs.who }}", "a\\"b", ""]',
        'env: {GREETS: "${{ inputs.who }}", HOME: "/x", MINE: "own"}',
    )
    with job(tmp_path, image, "entrypoint: /main", *lines) as made:
        made.env["MINE"] = "the job's"
        made.pre(who="ada")
        made.main()
    for name in ("pre", "main"):
        assert words(made, name) == ["to ada", 'a"b', ""]
        found = environment(made, name)
        assert (found["GREETS"], found["MINE"], found["HOME"]) == ("ada", "the job's", "/github/home")


def test_the_step_s_own_words(tmp_path: Path, image: str) -> None:
    """Where the manifest has no entry point and no arguments, those of the step count."""
    with job(tmp_path, image) as made:
        assert made.main(entryPoint="/post", args='one "two three"').conclusion == "success"
    assert words(made, "post") == ["one", "two three"]


@pytest.mark.parametrize(
    ("condition", "code", "conclusion"),
    [
        ("always()", 0, "success"),
        ("always()", 1, "success"),
        ("success()", 0, "success"),
        ("success()", 1, "skipped"),
        ("${{ failure() }}", 0, "skipped"),
        ("${{ failure() }}", 1, "success"),
    ],
)
def test_post_if(tmp_path: Path, image: str, condition: str, code: int, conclusion: str) -> None:
    """The condition of the post step is about what the job has come to."""
    with job(tmp_path, image, f"post-if: {condition}", main=f"exit {code}") as made:
        assert made.main().conclusion == ("failure" if code else "success")
        assert made.post().conclusion == conclusion


def test_pre_if(tmp_path: Path, image: str) -> None:
    """A pre step whose condition does not hold is not run."""
    with job(tmp_path, image, "pre-if: failure()") as made:
        assert made.pre().conclusion == "skipped"
    assert not (made.workspace / "pre.words").exists()


def test_a_pre_step_that_fails(tmp_path: Path, image: str) -> None:
    """Main is skipped after it; post runs, because the action has begun."""
    with job(tmp_path, image, pre="exit 3") as made:
        assert [made.pre().code, made.main().conclusion, made.post().conclusion] == [3, "skipped", "success"]


def test_a_post_step_of_nothing(tmp_path: Path, image: str) -> None:
    """Where no stage has begun, there is no post step."""
    with job(tmp_path, image) as made:
        assert made.post().conclusion == "skipped"


def test_state(tmp_path: Path, image: str) -> None:
    """State goes from stage to stage, under one name whatever its case, as it was first written."""
    with job(
        tmp_path,
        image,
        pre='echo "Began=pre" >> "$GITHUB_STATE"',
        main='echo "BEGAN=main" >> "$GITHUB_STATE"; echo "::save-state name=other::x"',
    ) as made:
        made.pre()
        made.main()
        made.post()
    assert environment(made, "main")["STATE_Began"] == "pre"
    found = environment(made, "post")
    assert {name: found[name] for name in found if name.startswith("STATE_")} == {
        "STATE_Began": "main",
        "STATE_other": "x",
    }


def test_the_environment_of_later_stages(tmp_path: Path, image: str) -> None:
    """What a stage writes to GITHUB_ENV later ones have; not NODE_OPTIONS, and not over the runner's own variables."""
    script = 'printf "A=b\\nNODE_OPTIONS=x\\nGITHUB_SHA=forged\\n" >> "$GITHUB_ENV"'
    with job(tmp_path, image, main=script) as made:
        stage = made.main()
        made.post()
    found = environment(made, "post")
    assert found["A"] == "b"
    assert "NODE_OPTIONS" not in found
    assert found["GITHUB_SHA"] == made.github["sha"]
    assert (stage.conclusion, ["NODE_OPTIONS" in error.data for error in stage.log.annotations]) == ("success", [True])


def test_outputs(tmp_path: Path, image: str) -> None:
    """Only those of main are read."""
    script = 'echo "a=b" >> "$GITHUB_OUTPUT"'
    with job(tmp_path, image, pre=script, main=script, post=script) as made:
        assert [made.pre().outputs, made.main().outputs, made.post().outputs] == [{}, {"a": "b"}, {}]


def test_masks(tmp_path: Path, image: str) -> None:
    """From a mask on, neither log nor annotation nor summary of any later stage shows it; the token never shows."""
    script = """
echo "before s3cr3t; $INPUT_TOKEN"
echo "::add-mask::s3cr3t"
echo "after s3cr3t, $(printf s3cr3t | base64)"
echo "::error::an s3cr3t"
printf 'a s3cr3t\\r\\nb\\n' >> "$GITHUB_STEP_SUMMARY"
"""
    with job(tmp_path, image, main=script, post='echo "post s3cr3t"') as made:
        main, post = made.main(), made.post()
    assert main.log.lines == ["before s3cr3t; ***", "after ***, ***", "::error::an ***"]
    assert main.log.annotations[0].data == "an ***"
    assert main.commands.summary == "a ***\nb\n"
    assert post.log.lines == ["post ***"]
    assert TOKEN in main.log.raw[0]


def test_a_step_that_takes_too_long(tmp_path: Path, image: str) -> None:
    """At its timeout it is asked to end, as when it is cancelled; it has failed, whatever its exit code; post runs."""
    script = """
trap 'echo asked; exit 0' INT
touch started
while true; do sleep 0.1; done
"""
    with job(tmp_path, image, main=script, timeout_minutes=0.1) as made:
        stage = made.main()
        assert (stage.code, stage.conclusion, stage.log.lines) == (0, "failure", ["asked"])
        assert [error.data for error in stage.log.annotations] == ["The action has timed out after 0.1 minutes."]
        assert made.post().conclusion == "success"


def test_a_step_that_does_not_end(tmp_path: Path, image: str) -> None:
    """A cancelled step that heeds neither the first nor the second signal is killed."""
    script = """
trap 'echo INT' INT
trap 'echo TERM' TERM
touch started
while true; do sleep 0.1; done
"""
    with job(tmp_path, image, main=script) as made:
        stage = made.main_cancelled_once(lambda: (made.workspace / "started").exists())
        assert (stage.conclusion, stage.log.lines, stage.code) == ("cancelled", ["INT", "TERM"], -9)
