"""Escape text for GitHub Flavored Markdown, so that no text of a service is interpreted.

https://github.github.com/gfm/: outside of code a backslash escapes any ASCII punctuation. `<`, `>` and `&` become
entities instead, because a URL before them would include the backslash. GitHub finds mentions, references and bare URLs
in escaped text, too: a zero-width space breaks them.
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
# A line without any syntax, as most lines are: the fast path.
_PLAIN_LINE = re.compile(
    r"[A-Za-z](?:[A-Za-z0-9,;()'%=+/]| (?! )|(?<![wW])\.|(?<![hH])-|:(?= ))*+(?<! )",
)
_BREAK = "\N{ZERO WIDTH SPACE}"


def replace_controls(text: str) -> str:
    """Return a text with U+FFFD for control characters, lone surrogates and bidirectional controls."""
    if text.isprintable():
        return text
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n").replace("\r", "\n"))


def escape(text: str) -> str:
    """Return a text as one line, escaped for the middle of a line."""
    if _PLAIN_LINE.fullmatch(text):
        return text
    line = _SPACE.sub(" ", replace_controls(text)).strip(" ")
    escaped = html.escape(_PUNCTUATION.sub(r"\\\g<0>", _break_references(line)), quote=False)
    return _LEADING.sub(r"\1\\\2", escaped)


def _break_references(line: str) -> str:
    """Return a line in which GitHub finds no mentions, references or bare URLs."""
    return _REFERENCE.sub(lambda match: match[0] + _BREAK, line)


def escape_cell(value: str) -> str:
    """Return a text escaped for a table cell."""
    return escape(value)


def html_text(value: str) -> str:
    """Return a text escaped for a line of HTML inside Markdown, such as a `<summary>`."""
    return html.escape(_break_references(_SPACE.sub(" ", replace_controls(value)).strip(" ")))


def code(value: str) -> str:
    """Return a code span, whatever backticks are in the text."""
    line = _SPACE.sub(" ", replace_controls(value)).strip(" ") or " "
    ticks = "`" * (_longest_run(line, "`") + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{ticks}{pad}{line}{pad}{ticks}"


def code_block(value: str, language: str = "") -> str:
    """Return a fenced code block whose fence is longer than any in the text."""
    body = replace_controls(value).rstrip("\n")
    ticks = "`" * max(3, _longest_run(body, "`") + 1)
    return f"{ticks}{language}\n{body}\n{ticks}"


def _longest_run(value: str, mark: str) -> int:
    if mark not in value:
        return 0
    return max((len(run) for run in re.findall(f"{re.escape(mark)}+", value)), default=0)
