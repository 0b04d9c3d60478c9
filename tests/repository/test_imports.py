"""Imports point one way: between packages, between modules, and never into another package's private modules."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import gate

ROOT = Path(gate.__file__).parent
#: From the bottom up. A package imports only from packages before its own; modules beside packages count as packages.
ORDER = (
    "core", "decode", "model", "redaction", "source", "matchers", "i18n", "runtime", "http", "prometheus",
    "alertmanager", "grafana", "testresults", "staging", "checks", "drills", "checklist", "scaffold", "verdict", "run",
    "report", "render", "publish", "commands", "action", "__main__",
)  # fmt: skip
FILES = {".".join(("gate", *path.relative_to(ROOT).with_suffix("").parts)): path for path in ROOT.rglob("*.py")}
MODULES = {name.removesuffix(".__init__"): path for name, path in FILES.items()}


def imported(path: Path) -> set[str]:
    """Return the modules of the gate that a module imports at run time, also inside functions."""
    found: set[str] = set()
    pending: list[ast.AST] = [ast.parse(path.read_text())]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending += node.orelse
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            found |= {name if name in MODULES else node.module for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        pending += ast.iter_child_nodes(node)
    return found & MODULES.keys() - {"gate"}


IMPORTS = {name: imported(path) - {name} for name, path in MODULES.items()}


def package(module: str) -> str:
    """Return the first part of a module's name below `gate`."""
    return module.split(".")[1] if "." in module else "core"


def find_cycle(graph: dict[str, set[str]]) -> list[str]:
    """Return the modules of one import cycle, or an empty list."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_packages_import_downwards() -> None:
    """No module imports from a package that comes after its own."""
    rank = {name: number for number, name in enumerate(ORDER)}
    pairs = ((name, other) for name in IMPORTS for other in IMPORTS[name])
    upwards = [(name, other) for name, other in pairs if rank[package(other)] > rank[package(name)]]
    assert upwards == []


def test_modules_form_no_cycle() -> None:
    """No module imports itself through others, inside a package either."""
    cycle = find_cycle(IMPORTS)
    assert cycle == []


def test_private_modules_stay_inside_their_package() -> None:
    """A module with a leading underscore is imported by its own package only."""
    private = [
        (name, other)
        for name in IMPORTS
        for other in IMPORTS[name]
        if other.rpartition(".")[2].startswith("_") and not f"{name}.".startswith(f"{other.rpartition('.')[0]}.")
    ]
    assert private == []
