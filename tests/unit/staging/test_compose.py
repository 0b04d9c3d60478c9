"""The name of a Compose project, by Compose's precedence."""

from __future__ import annotations

from pathlib import Path

import pytest

from gate.staging.compose import Project
from gate.staging.spec import ComposeProject

CASES: dict[str, tuple[dict[str, str], dict[str, str], str | None]] = {
    "in the file": ({"compose.yml": "name: shop\nservices: {db: {ports: !reset []}}\n"}, {}, "shop"),
    "in an expression": ({"compose.yml": "name: ${PROJECT:-shop}\n"}, {}, "shop"),
    "in a variable": ({"compose.yml": "name: shop-$PROJECT\n"}, {"PROJECT": "x"}, "shop-x"),
    "in the environment": ({"compose.yml": "name: shop\n"}, {"COMPOSE_PROJECT_NAME": "other"}, "other"),
    "in .env": ({"compose.yml": "name: shop\n", ".env": "COMPOSE_PROJECT_NAME=other\n"}, {}, "other"),
    "in a file under another name": ({"docker-compose.yml": "name: shop\n"}, {}, "shop"),
    "nowhere": ({"compose.yml": "services: {}\n"}, {}, None),
    "in no YAML": ({"compose.yml": "name: [\n"}, {}, None),
    "in no file": ({}, {}, None),
}


@pytest.mark.parametrize("case", CASES)
def test_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """The environment comes first, then the files; without either, the name is not known."""
    files, variables, expected = CASES[case]
    monkeypatch.delenv("COMPOSE_PROJECT_NAME", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert Project(ComposeProject(), ["db"], tmp_path).configured_name() == expected


def test_the_last_file_wins(tmp_path: Path) -> None:
    """Of several files, the last one that has a name counts; a name in the checklist counts more."""
    for name, text in {"a.yml": "name: a\n", "b.yml": "name: b\n", "c.yml": "services: {}\n"}.items():
        (tmp_path / name).write_text(text)
    files = ["a.yml", "b.yml", "c.yml"]
    assert Project(ComposeProject(file=files), ["db"], tmp_path).configured_name() == "b"
    assert Project(ComposeProject(file=files, project="x"), ["db"], tmp_path).name == "x"
