"""A package knows those before it in the way of the data, never those after it (DESIGN, section 6)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import gate

ROOT = Path(gate.__file__).parent
ORDER = [
    {"escapes"},
    {"messages", "patterns", "quantities", "registry", "secrets", "forms", "written", "charsets", "memory_budget"},
    {"codings", "process_tree"},
    {"http1"},
    {
        "matchers",
        "model",
        "http",
        "process",
        "git_index",
        "language",
        "markdown",
        "code",
        "locale",
        "evidence",
        "masked",
        "output",
    },
    {"prometheus", "testresults"},
    {"staging"},
    {"checks"},
    {"checklist"},
    {"starting"},
    {"plan"},
    {"verdict"},
    {"run"},
    {"report"},
    {"render"},
    {"publish"},
    {"commands"},
    {"__main__"},
]
MODULES = sorted(ROOT.rglob("*.py"))


def rank(package: str) -> int:
    """How far along the way a package stands."""
    (found,) = [number for number, names in enumerate(ORDER) if package in names]
    return found


def imported(path: Path) -> set[str]:
    """The packages of the gate that a module imports at run time, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(_without_type_checking(ast.parse(path.read_text()))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gate."):
            found.add(str(node.module).split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("gate.")}
    return found


def _without_type_checking(tree: ast.Module) -> ast.Module:
    tree.body = [
        node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
    ]
    return tree


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    """No module imports from a package that comes after its own."""
    own = path.relative_to(ROOT).with_suffix("").parts[0]
    later = [] if own == "__init__" else [name for name in imported(path) if rank(name) > rank(own)]
    assert later == []
