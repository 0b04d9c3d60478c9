"""GitHub's own parser and schema accept all workflows, the action, and every workflow that the documents show."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
import yaml
from markdown_it import MarkdownIt

from tests.support.paths import ROOT
from tests.support.runner.manifest import read
from tests.support.workflow_parser import errors, package

__all__ = ["package"]
OURS = re.compile(r"\./|org/prodgate-action(@|$)")
PINNED = re.compile(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+(\.\d+){0,2}$")


class _Loader(yaml.SafeLoader):
    """A loader that reads Compose's own tags, such as `!reset`, as nothing."""


_Loader.add_multi_constructor("!", lambda loader, tag, node: None)


def workflows() -> dict[str, str]:
    """Return the workflow files of this repository and its examples."""
    found = [*ROOT.glob(".github/workflows/*.yml"), *ROOT.glob("examples/*/.github/workflows/*.yml")]
    return {str(path.relative_to(ROOT)): path.read_text() for path in sorted(found)}


def snippets() -> dict[str, str]:
    """Return the documentation's workflows by file and line: fenced YAML with jobs, or with steps, put into a job."""
    found = {}
    for path in sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*/README.md")]):
        for token in MarkdownIt().parse(path.read_text()):
            if token.type == "fence" and token.info.startswith("y") and (content := workflow(token.content)):
                assert token.map
                found[f"{path.relative_to(ROOT)}:{token.map[0] + 1}"] = content
    return found


def workflow(content: str) -> str:
    """Return a whole workflow unchanged and steps as a job's; "" for a text that is neither."""
    if re.search(r"^jobs:", content, re.M):
        return content
    shown = yaml.load(content, Loader=_Loader)
    steps = isinstance(shown, list) and all(isinstance(step, dict) and {"uses", "run"} & set(step) for step in shown)
    return (
        f"on: push\njobs:\n  shown:\n    runs-on: ubuntu-latest\n    steps:\n{indent(content, ' ' * 6)}"
        if steps
        else ""
    )


ALL = {**workflows(), **snippets()}


def jobs(content: str) -> list[dict[str, Any]]:
    """Return the jobs of a workflow."""
    return list(yaml.safe_load(content)["jobs"].values())


def steps(content: str) -> list[dict[str, Any]]:
    """Return the steps of a workflow."""
    return [step for job in jobs(content) for step in job.get("steps", [])]


def test_there_are_workflows() -> None:
    """What the other tests look at is there."""
    assert {".github/workflows/ci.yml", ".github/workflows/release.yml"} <= set(workflows())
    assert [name for name in snippets() if name.startswith("README.md:")]
    assert len([name for name in snippets() if name.startswith("docs/action-reference.md:")]) == 2


def test_github_accepts_the_workflows(package: Path) -> None:
    """GitHub's parser finds no error in any workflow, written or shown."""
    assert errors(package, ALL) == {name: [] for name in ALL}


def test_github_accepts_the_action(package: Path) -> None:
    """GitHub's parser finds no error in the manifest of the action."""
    assert errors(package, {"action.yml": (ROOT / "action.yml").read_text()}, "action") == {"action.yml": []}


@pytest.mark.parametrize(
    ("kind", "before", "after", "error"),
    [
        ("workflow", "runs-on:", "run-on:", "Unexpected value 'run-on'"),
        ("workflow", "${{ github.ref }}", "${{ gitub.ref }}", "Unrecognized named-value: 'gitub'"),
        ("workflow", "needs: image", "needs: nothing", "depends on unknown job 'nothing'"),
        ("action", "post-entrypoint:", "post-entripoint:", "Unexpected value 'post-entripoint'"),
    ],
)
def test_github_refuses(package: Path, kind: str, before: str, after: str, error: str) -> None:
    """The parser that accepts ours refuses them with a mistake in them."""
    sources = [(ROOT / "action.yml").read_text()] if kind == "action" else list(workflows().values())
    source = next(content for content in sources if before in content)
    (found,) = errors(package, {"it": source.replace(before, after)}, kind).values()
    assert [message for message in found if error in message], found


@pytest.mark.parametrize("name", ALL)
def test_the_schema_accepts(tmp_path: Path, name: str) -> None:
    """The published schema of workflows accepts each one, written or shown."""
    (tmp_path / "workflow.yml").write_text(ALL[name])
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run([*command, str(tmp_path / "workflow.yml")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


@pytest.mark.parametrize("name", ALL)
def test_inputs_and_outputs_exist(name: str) -> None:
    """A workflow gives the action only inputs that it has, and reads only outputs that it sets."""
    manifest = read(ROOT / "action.yml")
    ours = [step for step in steps(ALL[name]) if OURS.match(step.get("uses", ""))]
    given = {key for step in ours for key in step.get("with", {})}
    assert given - set(manifest.inputs) == set()
    ids = {step["id"] for step in ours if "id" in step}
    uses = re.findall(r"steps\.([\w-]+)\.outputs\.([\w-]+)", ALL[name])
    assert {output for id, output in uses if id in ids} - set(manifest.outputs) == set()


@pytest.mark.parametrize("name", workflows())
def test_permissions(name: str) -> None:
    """A workflow has no permission but those that a job of it asks for."""
    content = ALL[name]
    assert yaml.safe_load(content)["permissions"] == {}
    assert [job.get("name") for job in jobs(content) if "permissions" not in job] == []


@pytest.mark.parametrize("name", workflows())
def test_pinned(name: str) -> None:
    """Actions of others are named by a commit, with the version beside it."""
    lines = [line.strip(" -") for line in ALL[name].splitlines() if re.match(r"\s*(- )?uses:", line)]
    others = [line for line in lines if not OURS.match(line.removeprefix("uses: "))]
    assert [line for line in others if not PINNED.match(line)] == []
