"""Write texts as YAML, quoted only if they would mean something else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

_PLAIN = re.compile(r"(?:[A-Za-z_/][\w./:@%+=-]*|\.(?=/|$)[\w./-]*)(?<!:)")
_WORDS = re.compile(r"(?i)true|false|yes|no|on|off|null|y|n")
#: A plain text of several words, for a value on a line of its own.
_PROSE = re.compile(r"[A-Za-z/][\w ./(),+'=-]*[\w).]")


def quoted(text: str) -> str:
    """Return a text as a YAML scalar of the checklist: dollars are doubled so that no variable is replaced."""
    return scalar(text.replace("$", "$$"))


def scalar(text: str) -> str:
    """Return a text as a YAML scalar, which may stand in a list or mapping in braces."""
    plain = _PLAIN.fullmatch(text) and not _WORDS.fullmatch(text)
    return text if plain else json.dumps(text, ensure_ascii=False)


def prose(text: str) -> str:
    """Return a text of words as a YAML scalar on a line of its own."""
    plain = _PROSE.fullmatch(text) and not _WORDS.fullmatch(text)
    return text if plain else json.dumps(text, ensure_ascii=False)


def flow_list(texts: Iterable[str]) -> str:
    """Return texts as a list in brackets."""
    return f"[{', '.join(map(quoted, texts))}]"


def flow_mapping(pairs: Iterable[tuple[str, str]]) -> str:
    """Return pairs of texts as a mapping in braces."""
    return "{" + ", ".join(f"{quoted(name)}: {quoted(value)}" for name, value in pairs) + "}"


def name_of(text: str) -> str:
    """Return a text converted to a valid id."""
    made = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:60]
    return made or "x"


def stem_of(path: str) -> str:
    """Return a short id for a file: its name without the ending."""
    return name_of(re.sub(r"\.[A-Za-z]+$", "", path.rsplit("/", 1)[-1]))
