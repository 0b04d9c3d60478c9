"""The files that keep the repository in order name what exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.paths import ROOT

FORMS = [path for path in sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")) if path.stem != "config"]
NEEDS_PARTS = tuple(
    f"tests.{name}"
    for name in (
        *("action", "checks", "drills", "e2e"),
        *("support.browser", "support.engine", "support.example_bugs", "support.images", "support.npm"),
        *("support.promtools", "support.runner.job", "support.services", "support.staging", "support.surroundings"),
    )
)
HEADINGS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


@pytest.mark.parametrize("folder", ["unit", "repository"])
def test_make_check_needs_neither_an_engine_nor_installed_servers(folder: str) -> None:
    """The tests of `make check` import no helper that starts a server, an engine or a browser, and no other test."""
    imports = {
        str(path.relative_to(ROOT)): sorted(name for name in _imports(path) if name.startswith(NEEDS_PARTS))
        for path in (ROOT / "tests" / folder).rglob("*.py")
    }
    assert {path: found for path, found in imports.items() if found} == {}


def test_no_test_module_imports_another() -> None:
    """What two test modules share is a helper of tests/support or a fixture of a conftest.py."""
    modules = [path for path in (ROOT / "tests").rglob("test_*.py") if "_checkout" not in path.parts]
    shared = re.compile(r"tests\.(?!support\b)\w+(\.\w+)*\.test_\w+$")
    assert [f"{path.name}: {name}" for path in modules for name in _imports(path) if shared.match(name)] == []


def _imports(path: Path) -> Iterator[str]:
    """Yield the name of every module that a module may import."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield from (str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names))
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_ci_regenerates_what_is_written_from_code() -> None:
    """CI writes schemas and catalogues again and fails if one differs."""
    commands = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if not line.startswith("#")]
    assert commands.index("make generate") + 1 == commands.index("git diff --exit-code")
    assert re.search(r"^generate: schema catalogues\b", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_code_owners_own_what_exists() -> None:
    """Each pattern of CODEOWNERS matches something, and the workflows are owned."""
    lines = (ROOT / ".github" / "CODEOWNERS").read_text().splitlines()
    patterns = [line.split()[0] for line in lines if line and not line.startswith("#")]
    assert "/.github/" in patterns
    assert [pattern for pattern in patterns if not any(ROOT.glob(pattern.strip("/")))] == []


def test_dependabot_updates_every_ecosystem() -> None:
    """Python packages, actions and base images are kept up to date."""
    updates = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text())["updates"]
    assert {"pip", "github-actions", "docker"} - {update["package-ecosystem"] for update in updates} == set()


def test_pre_commit_runs_the_pinned_tools() -> None:
    """Each hook runs a tool of the development lock, so no version is pinned twice."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    tools = {hook["entry"].split()[0] for hook in hooks}
    lock = (ROOT / "requirements-dev.lock").read_text()
    assert {tool.rpartition("/")[0] for tool in tools} == {".venv/bin"}
    wanting = [tool for tool in tools if not re.search(rf"^{Path(tool).name}(-py|-bin)?==", lock, re.MULTILINE)]
    assert wanting == []


def test_issue_forms_have_what_github_requires() -> None:
    """Each form has a name, a description and fields with unique ids and labels."""
    assert FORMS
    for path in FORMS:
        form = yaml.safe_load(path.read_text())
        assert {"name", "description", "body"} <= set(form), path
        ids = [field["id"] for field in form["body"]]
        assert len(ids) == len(set(ids)), path
        assert all(field["attributes"]["label"] for field in form["body"]), path


def test_the_changelog_keeps_its_form() -> None:
    """Unreleased changes come first, under the headings of Keep a Changelog, one line each."""
    text = (ROOT / "CHANGELOG.md").read_text()
    assert re.findall(r"^## \[(.+?)\]", text, re.MULTILINE)[:1] == ["Unreleased"]
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= HEADINGS
    body = text.split("\n## ", 1)[1].splitlines()[1:]
    assert [line for line in body if line.startswith(" ")] == []
