"""`action.yml`, `docs/action-reference.md` and the code say the same of inputs and outputs."""

from __future__ import annotations

import argparse
import re
from types import ModuleType

import pytest
import yaml

from gate.action import inputs
from gate.commands import merge, run
from gate.publish.outputs import outputs
from tests.support import reports
from tests.support.paths import ROOT
from tests.support.runner.manifest import read

ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
PAGE = (ROOT / "docs" / "action-reference.md").read_text()


def table(title: str) -> list[list[str]]:
    """Return the rows of the table below a heading, as cells, the first without code marks."""
    text = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row] for row in rows]


def test_the_inputs_of_the_page() -> None:
    """The page has the inputs of the action, in order, with their defaults and descriptions."""
    declared = [
        [f"`{name}`", f"`{given['default']}`" if given["default"] else "", given["description"]]
        for name, given in ACTION["inputs"].items()
    ]
    assert table("Inputs") == declared


def test_the_outputs_of_the_page() -> None:
    """The page has the outputs of the action, in order, with their descriptions."""
    declared = [[f"`{name}`", given["description"]] for name, given in ACTION["outputs"].items()]
    assert table("Outputs") == declared


def test_the_outputs_of_the_code() -> None:
    """The code sets the outputs of the action, and no other."""
    assert list(outputs(reports.go(), {})) == list(ACTION["outputs"])


def test_the_inputs_of_the_code() -> None:
    """The code reads the inputs of the action, and no other."""
    options = {
        **inputs.REPEATED_OPTIONS,
        **inputs.REPORT_OPTIONS,
        **inputs.PUBLISH_OPTIONS,
        **inputs.RUN_OPTIONS,
        **inputs.MERGE_OPTIONS,
    }
    assert {*options, *inputs.NON_OPTIONS} == set(ACTION["inputs"])


@pytest.mark.parametrize(
    ("command", "own"),
    [(run, {**inputs.REPEATED_OPTIONS, **inputs.RUN_OPTIONS}), (merge, inputs.MERGE_OPTIONS)],
    ids=["run", "merge"],
)
def test_each_input_is_an_option(command: ModuleType, own: dict[str, str]) -> None:
    """What an input becomes is an option of the command that the mode stands for."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    options = {name for action in parser._actions for name in action.option_strings}
    assert {*own.values(), *inputs.REPORT_OPTIONS.values(), *inputs.PUBLISH_OPTIONS.values()} - options == set()


def test_the_defaults_of_the_command_line() -> None:
    """Without inputs the action does what the command line does without options."""
    parser = argparse.ArgumentParser()
    run.add_arguments(parser)
    manifest = read(ROOT / "action.yml")
    environment = {f"INPUT_{name.upper()}": value for name, value in manifest.inputs.items()}
    given = vars(parser.parse_args(inputs.main_step_arguments(environment)[1:]))
    given.pop("_files", None)
    assert given == vars(parser.parse_args([]))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, ["run"]),
        ({"file": "a.yml\n\n  b c.yml \n"}, ["run", "--file=a.yml", "--file=b c.yml"]),
        ({"only": "a, b\nc.d"}, ["run", "--only=a, b c.d"]),
        ({"out": "--workers=1"}, ["run", "--out=--workers=1"]),
        ({"deadline": " 20m "}, ["run", "--deadline=20m"]),
        ({"mode": "merge", "reports": "parts\n--out=x", "only": "a"}, ["merge", "--", "parts", "--out=x"]),
        ({"mode": "merge", "expect": "a\nb", "publish": "none"}, ["merge", "--expect=a b", "--publish=none", "--"]),
    ],
)
def test_words(given: dict[str, str], words: list[str]) -> None:
    """Inputs become options; no value can become an option of its own."""
    assert inputs.main_step_arguments({f"INPUT_{name.upper()}": value for name, value in given.items()}) == words


def test_the_post_step_is_the_same_image() -> None:
    """The program that the manifest names for the post step is made in the image."""
    post = read(ROOT / "action.yml").post
    assert re.search(rf"ln -s /entrypoint\.py {post}$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
