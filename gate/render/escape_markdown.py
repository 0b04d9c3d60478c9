"""Escapes text for Markdown as GitHub reads it, so that nothing a service says can mean anything there.

https://github.github.com/gfm/: outside code every ASCII punctuation mark may carry a backslash. `<`, `>` and `&` are
entities: an address before them would take in the backslash as a letter of its own. Mentions, references and bare
addresses are found whatever is escaped: a zero-width space breaks them.
"""

from __future__ import annotations

import html
import re

_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_SPACE = re.compile("[ \t\n\x0b\x0c\u2028\u2029]+")
_PUNCTUATION = re.compile(r"[\\`*_{}\[\]#|~!$]")
_LEADING = re.compile(r"^(\d*)([-+=]|(?<=\d)[.)])")
_REFERENCE = re.compile(r"@|(?:#|GH-)(?=\w)|(?<=[a-z]):(?=//)|www(?=\.)", re.IGNORECASE)
_ORDINARY = re.compile(
    r"[A-Za-z](?:[A-Za-z0-9,;()'%=+/]| (?! )|(?<![wW])\.|(?<![hH])-|:(?= ))*+(?<! )",
)
"""A line in which nothing means anything to Markdown: most lines."""
_BREAK = "\N{ZERO WIDTH SPACE}"


def replace_controls(text: str) -> str:
    """The text with U+FFFD for control characters, lone surrogates, and marks that turn the direction of writing."""
    if text.isprintable():
        return text
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n").replace("\r", "\n"))


def escape(text: str) -> str:
    """A text for the middle of a line: one line of it, and only letters."""
    if _ORDINARY.fullmatch(text):
        return text
    line = _SPACE.sub(" ", replace_controls(text)).strip(" ")
    escaped = html.escape(_PUNCTUATION.sub(r"\\\g<0>", _broken(line)), quote=False)
    return _LEADING.sub(r"\1\\\2", escaped)


def _broken(line: str) -> str:
    """A line in which GitHub finds no mention, no reference and no address."""
    return _REFERENCE.sub(lambda found: found[0] + _BREAK, line)


def escape_cell(value: str) -> str:
    """A text for a cell of a table."""
    return escape(value)


def html_text(value: str) -> str:
    """A text for a line of HTML inside Markdown, such as a `<summary>`."""
    return html.escape(_broken(_SPACE.sub(" ", replace_controls(value)).strip(" ")))


def code(value: str) -> str:
    """A span of code, whatever backticks are in it."""
    line = _SPACE.sub(" ", replace_controls(value)).strip(" ") or " "
    ticks = "`" * (_longest(line, "`") + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{ticks}{pad}{line}{pad}{ticks}"


def code_block(value: str, language: str = "") -> str:
    """A block of code that nothing in it can end."""
    body = replace_controls(value).rstrip("\n")
    ticks = "`" * max(3, _longest(body, "`") + 1)
    return f"{ticks}{language}\n{body}\n{ticks}"


def _longest(value: str, mark: str) -> int:
    if mark not in value:
        return 0
    return max((len(run) for run in re.findall(f"{re.escape(mark)}+", value)), default=0)
