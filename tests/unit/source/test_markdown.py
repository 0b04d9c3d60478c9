"""Sections of Markdown documents, as readers of the rendered document see them."""

from __future__ import annotations

from gate.source.markdown import sections

TEXT = """---
title: x
---

# Runbook: database *down*

## Signal

The alert fires.

```bash
# not a heading
psql
```

Hypothèses
----------

### Network ###

- a link that broke

<!-- ## hidden -->

## Empty

<!-- to be written -->

## Only `below`

### Below

    # code

> ## quoted

## Table

| a | b |
|---|---|
| 1 | 2 |

####### seven
## Last"""


def test_sections() -> None:
    """Headings of both kinds, with the words under each; code, comments and quotes hold none."""
    found = {section.title: (section.level, section.line, section.words) for section in sections(TEXT)}
    assert found == {
        "Runbook: database down": (1, 5, 21),
        "Signal": (2, 7, 8),
        "Hypothèses": (2, 16, 4),
        "Network": (3, 19, 4),
        "Empty": (2, 25, 0),
        "Only below": (2, 29, 3),
        "Below": (3, 31, 3),
        "Table": (2, 37, 6),
        "Last": (2, 44, 0),
    }


def test_headings_alone_are_no_text() -> None:
    """A section that has nothing but headings below it is empty."""
    assert [section.words for section in sections("# A\n## B\n### C\n")] == [0, 0, 0]


def test_deep_nesting() -> None:
    """A document that nests without end is read all the same."""
    assert sections("> " * 5000 + "x\n# A\ntext")[-1].title == "A"
