"""The documentation is complete and true: links, files, checklists and quoted messages exist."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.support.pages import blocks
from tests.support.paths import ROOT

PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in (
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *ROOT.glob(".github/*.md"),
        *ROOT.glob("examples/*/README.md"),
    )
)
GALLERY = sorted((ROOT / "docs" / "gallery").glob("*.yml"))
TASKS = [page for page in PAGES if page.startswith("docs/")]
FOLDERS = ("gate", "tests", "docs", "bench", "templates", "examples", ".github", ".ci")
#: Files that the pages describe, but that are the reader's.
READERS_FILES = re.compile(r"docs/runbooks\b|\.github/workflows/prodgate\.yml|\.github/workflows/$")
MERGED = re.compile(r"^(targets|waivers|waiver_policy):")


def tokens(page: str) -> list[Token]:
    """Return the block and inline tokens of a page."""
    found = []
    for token in MarkdownIt().enable("table").parse((ROOT / page).read_text()):
        found += [token, *(token.children or [])]
    return found


@cache
def anchors(page: str) -> frozenset[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    found = set()
    before = None
    for token in tokens(page):
        if before == "heading_open" and token.type == "inline":
            text = re.sub(r"[^\w\- ]", "", token.content.lower())
            found.add(text.replace(" ", "-"))
        before = token.type
    return frozenset(found)


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_lead_somewhere(page: str) -> None:
    """A link or an image without a scheme names a file or folder of the repository, and a heading of that page."""
    broken = []
    for token in tokens(page):
        target = str(token.attrGet("href") or token.attrGet("src") or "")
        if not target or re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        name = str(file.resolve().relative_to(ROOT)) if file.exists() else ""
        if not file.exists() or (anchor and anchor not in anchors(name)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", [page for page in PAGES if not page.startswith(("examples/", "CHANGELOG"))])
def test_files_that_a_page_names_exist(page: str) -> None:
    """Inline code that looks like a path of this repository is one."""
    named = [token.content for token in tokens(page) if token.type == "code_inline"]
    paths = [
        name
        for name in named
        if re.fullmatch(r"[\w.*/-]+", name)
        and name.partition("/")[0] in FOLDERS
        and "/" in name
        and "NAME" not in name
        and not READERS_FILES.match(name)
    ]
    assert [path for path in paths if not any(ROOT.glob(path.rstrip("/")))] == []


@pytest.mark.parametrize("page", TASKS)
def test_a_page_begins_with_what_it_is_for(page: str) -> None:
    """A page has one title and, right below it, prose before anything else."""
    kinds = [token.type for token in MarkdownIt().enable("table").parse((ROOT / page).read_text()) if token.level == 0]
    assert kinds[:4] == ["heading_open", "inline", "heading_close", "paragraph_open"] or kinds[:3] == [
        "heading_open",
        "heading_close",
        "paragraph_open",
    ]
    titles = [line for line in (ROOT / page).read_text().splitlines() if line.startswith("# ")]
    assert titles[:1] == (ROOT / page).read_text().splitlines()[:1]


def test_the_index_has_every_page() -> None:
    """The index links each page and each checklist of the gallery; pages of checks are linked by their folder."""
    linked = {
        str(token.attrGet("href")).partition("#")[0] for token in tokens("docs/README.md") if token.attrGet("href")
    }
    written = [page.removeprefix("docs/") for page in TASKS if not page.startswith("docs/checks/")]
    written += [f"gallery/{path.name}" for path in GALLERY]
    written += [f"recipes/{path.name}" for path in (ROOT / "docs" / "recipes").glob("*.yml")]
    assert [page for page in written if page not in {*linked, "README.md"}] == []
    assert "checks/" in linked


def validate(folder: Path, *files: Path) -> subprocess.CompletedProcess[str]:
    """Run `prodgate validate` on files in a folder."""
    named = [word for file in files for word in ("--file", str(file))]
    command = [sys.executable, "-m", "gate", "validate", *named]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_gallery_has_six_checklists() -> None:
    """The gallery is not empty, and each checklist says in a comment what it needs."""
    assert len(GALLERY) >= 6
    assert [path.name for path in GALLERY if "\n# Needs: " not in path.read_text()] == []


@pytest.mark.parametrize("path", GALLERY, ids=lambda path: path.stem)
def test_a_checklist_of_the_gallery_is_valid(path: Path, tmp_path: Path) -> None:
    """Each checklist of the gallery has no error."""
    done = validate(tmp_path, path)
    assert done.returncode == 0, done.stdout + done.stderr


SHOWN = [
    (page, number, block.text)
    for page in PAGES
    if page.startswith(("docs/how-to/", "docs/adopting"))
    for number, block in enumerate(blocks(page))
    if block.language == "yaml" and (block.text.startswith("version:") or MERGED.match(block.text))
]


@pytest.mark.parametrize(("page", "number", "text"), SHOWN, ids=[f"{page}-{number}" for page, number, _ in SHOWN])
def test_a_checklist_of_a_how_to_page_is_valid(page: str, number: int, text: str, tmp_path: Path) -> None:
    """Each checklist that a how-to page shows has no error; a part is merged over a whole one."""
    shown = tmp_path / "shown.yml"
    shown.write_text(text)
    whole = tmp_path / "prodgate.yml"
    waived = re.findall(r"item: (\S+)", text) or ["shop.live"]
    items = "".join(f"      - {{id: {name}, title: T, file: {{path: a, exists: true}}}}\n" for name in waived)
    whole.write_text(f"version: 1\nservice: s\nsections:\n  - id: s\n    title: S\n    items:\n{items}")
    done = validate(tmp_path, shown) if text.startswith("version:") else validate(tmp_path, whole, shown)
    assert done.returncode == 0, done.stdout + done.stderr


@cache
def constants() -> frozenset[str]:
    """Return the texts of the gate, f-strings too, with `…` for each placeholder."""
    found = set()
    for path in (ROOT / "gate").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = (str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
                found.add("".join(parts).lower())
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(re.sub(r"\{\w+\}", "…", node.value).lower())
    return frozenset(found)


def test_messages_of_the_troubleshooting_page_exist() -> None:
    """Each message that the page explains is a text of the gate, so that a search for it finds the row."""
    text = (ROOT / "docs" / "troubleshooting.md").read_text()
    quoted = [message for message in re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE) if ":column:" not in message]
    assert len(quoted) > 10
    wanting = [message for message in quoted if not any(message.lower() in constant for constant in constants())]
    assert wanting == []


def test_a_message_that_does_not_exist_would_be_found() -> None:
    """The search for messages does not accept everything."""
    assert not any("the moon is not in place" in constant for constant in constants())
