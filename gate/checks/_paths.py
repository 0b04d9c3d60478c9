"""Files of the checkout: where a path of a checklist leads, and never out of it."""

from __future__ import annotations

import os
import re
import shlex
from glob import has_magic
from pathlib import Path

from gate.checks.base import CannotObserve
from gate.checks.world import World
from gate.messages import say
from gate.quantities import size

READ_LIMIT = 8 * 1024 * 1024
"""Bytes of a file that are read at most; a larger one can't be judged by its text."""
MATCH_LIMIT = 10_000
"""Files that a glob may match."""


def find(world: World, pattern: str) -> list[Path]:
    """The files and folders that a path or a glob (`docs/runbooks/*.md`, `**/*.go`) names, sorted.

    Raises CannotObserve when one leads out of the checkout, or there are more than 10,000.
    """
    root = world.root.resolve()
    if not has_magic(pattern):
        path = root / pattern
        return [_checked(path, root, pattern)] if os.path.lexists(path) else []
    found = []
    for path in root.glob(pattern.removeprefix("./").rstrip("/")):
        found.append(_checked(path, root, pattern))
        if len(found) > MATCH_LIMIT:
            raise CannotObserve(say("{pattern} matches more than {count} files", pattern=pattern, count=MATCH_LIMIT))
    return sorted(found)


def _checked(path: Path, root: Path, pattern: str) -> Path:
    try:
        inside = path.resolve().is_relative_to(root)
    except (OSError, RuntimeError):
        raise CannotObserve(say("{path} is a symbolic link in a circle", path=shown(path, root))) from None
    if not inside:
        raise CannotObserve(
            say("{path} leads out of the checkout", path=shown(path, root)),
            advice=say("Only files of the checkout are judged: name the file itself instead of the link"),
        )
    return path


def shown(path: Path, root: Path) -> str:
    """A path as the checklist would write it."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def read_text(path: Path, root: Path, limit: int = READ_LIMIT) -> str:
    """A file's text, UTF-8. Raises CannotObserve when it is no file, can't be read, is too large or is binary."""
    name = shown(path, root)
    if not path.is_file():
        raise CannotObserve(say("{path} is no file", path=name))
    try:
        with path.open("rb") as stream:
            content = stream.read(limit + 1)
    except OSError as error:
        raise CannotObserve(say("{path} can't be read: {why}", path=name, why=error.strerror or "")) from error
    if len(content) > limit:
        raise CannotObserve(say("{path} is larger than {limit}", path=name, limit=size(limit)))
    if b"\0" in content:
        raise CannotObserve(say("{path} is no text", path=name))
    return content.decode("utf-8-sig", "replace")


def shell_pattern(pattern: str) -> str:
    """A glob for a shell: its wildcards work, all else in it is quoted."""
    parts = re.split(r"([*?\[\]!])", pattern)
    text = "".join(part if part in ("*", "?", "[", "]", "!") else shlex.quote(part) for part in parts if part)
    return f"./{text}" if text.startswith("-") else text
