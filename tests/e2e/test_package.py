"""The built wheel owns one name, is typed, and runs in an environment that has only its declared dependencies."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution, packages_distributions, requires
from pathlib import Path

import pytest

from tests.support.paths import ROOT

SOURCES = ("gate", "templates", "pyproject.toml", "README.md", "LICENSE")
CHECKLIST = """version: 1
service: shop
sections:
  - id: files
    title: Files
    items:
      - {id: files.here, title: Here, file: {path: prodgate.yml, exists: true}}
"""

pytestmark = pytest.mark.xdist_group("package")


def declared() -> set[str]:
    """Return the normalized names of the runtime dependencies that pyproject.toml declares."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {_name(requirement) for requirement in project["dependencies"]}


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def imported() -> set[str]:
    """Return the normalized names of the distributions that the modules of the gate import at run time."""
    modules: set[str] = set()
    for path in (ROOT / "gate").rglob("*.py"):
        tree = ast.parse(path.read_text())
        only_for_types = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            for statement in node.body
            for inner in ast.walk(statement)
        }
        for node in ast.walk(tree):
            if id(node) in only_for_types:
                continue
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module.partition(".")[0])
    providers = packages_distributions()
    third_party = modules - sys.stdlib_module_names - {"gate"}
    return {_name(name) for module in third_party for name in providers.get(module, [module])}


def test_declared_dependencies_are_those_that_are_imported() -> None:
    """A dependency that nothing imports is not installed, and an import without a dependency does not exist."""
    assert imported() == declared()


def test_locks_hold_every_dependency() -> None:
    """Both locks pin each declared dependency, and the image gets none of the development tools."""
    for lock in ("requirements.lock", "requirements-dev.lock"):
        pinned = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / lock).read_text(), re.MULTILINE))
        assert declared() - pinned == set()
    assert {"pytest", "mypy", "ruff", "setuptools"} & set(
        re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    ) == set()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel offline from a copy of the sources: a build writes into its source tree."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--wheel-dir", str(out)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(source)], check=True)
    (built,) = out.glob("prodgate-*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a virtual environment with the wheel and its dependencies, and nothing else."""
    root = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(root)], check=True)
    options = ["--no-deps", "--no-index", "--quiet"]
    python = str(root / "bin" / "python")
    subprocess.run([sys.executable, "-m", "pip", "--python", python, "install", *options, str(wheel)], check=True)
    (packages,) = root.glob("lib/python3*/site-packages")
    for found in dependencies():
        for top in {file.parts[0] for file in found.files or () if file.parts[0] != ".."}:
            if not (packages / top).exists():
                (packages / top).symlink_to(Path(str(found.locate_file(top))))
    return root


def dependencies() -> Iterator[Distribution]:
    """Yield each distribution that the gate needs at run time, as it is installed beside the tests."""
    pending, seen = sorted(declared()), set()
    while pending:
        name = pending.pop()
        if name not in seen:
            seen.add(name)
            yield distribution(name)
            pending += [_name(needed) for needed in requires(name) or () if "extra ==" not in needed and _here(needed)]


def _here(requirement: str) -> bool:
    """Return whether a dependency is installed here: one for another platform or Python is not."""
    try:
        distribution(_name(requirement))
    except ModuleNotFoundError:
        return False
    return True


def prodgate(environment: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command, isolated from the checkout and from the user's packages."""
    command = [str(environment / "bin" / "prodgate"), *words]
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONNOUSERSITE": "1"}
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)


def test_the_wheel_owns_one_name(wheel: Path) -> None:
    """Nothing is installed beside `gate`, with py.typed, templates and catalogues in it."""
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"gate"}
    templates = {f"gate/templates/{path.name}" for path in (ROOT / "templates").iterdir() if path.is_file()}
    catalogues = {str(path.relative_to(ROOT)) for path in (ROOT / "gate").rglob("*.mo")}
    assert catalogues
    assert {"gate/py.typed", *templates, *catalogues} - set(names) == set()


def test_the_command_runs(environment: Path, tmp_path: Path) -> None:
    """The installed command prints its version, validates a checklist, runs it and renders every format."""
    (tmp_path / "prodgate.yml").write_text(CHECKLIST)
    version = re.search(r'"(.+)"', (ROOT / "gate" / "__init__.py").read_text().split("__version__")[1])
    assert version
    printed = prodgate(environment, tmp_path, "--version")
    assert (printed.returncode, printed.stdout.split()[-1:]) == (0, [version[1]]), printed.stderr
    assert prodgate(environment, tmp_path, "validate").returncode == 0
    ran = prodgate(environment, tmp_path, "run")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert json.loads((tmp_path / "prodgate-out" / "report.json").read_text())["verdict"]["decision"]
    assert prodgate(environment, tmp_path, "verify", "prodgate-out").returncode == 0


@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_format_is_rendered(environment: Path, tmp_path: Path, language: str) -> None:
    """Each format is rendered from a report by the installed command, in both languages."""
    (tmp_path / "prodgate.yml").write_text(CHECKLIST)
    assert prodgate(environment, tmp_path, "run").returncode == 0
    help_text = prodgate(environment, tmp_path, "render", "--help").stdout
    formats = re.findall(r"\w+", help_text.split("--format {")[1].split("}")[0])
    assert {"html", "md", "junit", "summary", "comment"} - set(formats) == set()
    for name in formats:
        rendered = prodgate(
            environment, tmp_path, "render", "prodgate-out/report.json", "--format", name, "--language", language
        )
        assert rendered.returncode == 0, rendered.stderr
        assert "GO" in rendered.stdout, name
