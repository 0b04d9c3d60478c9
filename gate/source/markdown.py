"""Parse the sections and tables of a Markdown document (CommonMark, https://spec.commonmark.org)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

_CONTENT = frozenset(("inline", "fence", "code_block"))


_FRONT_MATTER = re.compile(r"\A---[ \t]*\n.*?^(?:---|\.\.\.)[ \t]*$", re.DOTALL | re.MULTILINE)


class Section(Struct, frozen=True):
    """A heading and the text under it. `words` counts the words until the next heading of its level or above.

    Comments, link definitions and nested headings do not count.
    """

    title: str
    level: int
    line: int
    words: int


class Table(Struct, frozen=True):
    """A table (https://github.github.com/gfm/#tables-extension-): its header, and its rows with their lines.

    Cells are Markdown source. Every row has as many cells as the header.
    """

    line: int
    head: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]


def sections(text: str) -> list[Section]:
    """Return all sections of a document, in order. Headings in code, quotes and comments are ignored."""
    tokens = _tokens(text)
    counted: list[list[Any]] = []
    heading = False
    for number, token in enumerate(tokens):
        if token.type == "heading_open" and token.level == 0:
            heading = True
            title = normalize_heading(_plain(tokens[number + 1]))
            counted.append([title, int(token.tag[1:]), (token.map or [0])[0] + 1, 0])
        elif token.type == "heading_close":
            heading = False
        elif not heading and token.type in _CONTENT:
            _count(counted, len(_plain(token).split()))
    return [Section(*entry) for entry in counted]


def tables(text: str) -> list[Table]:
    """Return all tables of a document, in order. Tables in code and comments are ignored."""
    rows_by_table: list[tuple[int, list[tuple[int, list[str]]]]] = []
    tokens = _tokens(text)
    for number, token in enumerate(tokens):
        line = (token.map or [0])[0] + 1
        if token.type == "table_open":
            rows_by_table.append((line, []))
        elif token.type == "tr_open":
            rows_by_table[-1][1].append((line, []))
        elif token.type in ("th_open", "td_open"):
            rows_by_table[-1][1][-1][1].append(tokens[number + 1].content.strip())
    return [
        Table(line, tuple(rows[0][1]), tuple((at, tuple(cells)) for at, cells in rows[1:]))
        for line, rows in rows_by_table
    ]


def _tokens(text: str) -> list[Any]:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").enable("table").parse(_FRONT_MATTER.sub(_blank, text, count=1))


def _blank(match: re.Match[str]) -> str:
    """Return as many blank lines."""
    # Front matter is for a site generator; removing its lines would shift the line numbers.
    return "\n" * match[0].count("\n")


def _count(counted: list[list[Any]], words: int) -> None:
    """Add words to the last section and to the sections that contain it."""
    level = 7
    for entry in reversed(counted):
        if entry[1] < level:
            entry[3] += words
            level = entry[1]


def _plain(token: Any) -> str:
    """Return the rendered text of a token; of an image, its description."""
    if not token.children:
        return str(token.content) if token.type != "inline" else ""
    return "".join(_piece(child) for child in token.children)


def _piece(child: Any) -> str:
    if child.type in ("softbreak", "hardbreak"):
        return " "
    if child.type == "image":
        return child.content or "image"
    return str(child.content) if child.type in ("text", "code_inline") else ""


def normalize_heading(text: str) -> str:
    """Return a heading in Unicode's composed form with single spaces, for comparison."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def titles(headed: Iterable[Section]) -> list[str]:
    """Return the titles of sections."""
    return [section.title for section in headed]
