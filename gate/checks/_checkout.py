"""Resolve checklist paths and globs inside the checkout, rejecting anything that leads out of it."""

from __future__ import annotations

import errno
import os
import re
import shlex
from collections.abc import Iterator
from fnmatch import fnmatchcase
from glob import has_magic
from pathlib import Path, PurePosixPath

from gate.checks.base import ObservationError
from gate.checks.context import CheckContext
from gate.core.messages import msg
from gate.decode.quantities import format_size

# Bytes of a file that are read at most; a larger file is an error.
READ_LIMIT = 8 * 1024 * 1024
# Files that a glob may match.
MATCH_LIMIT = 10_000


def find_files(context: CheckContext, pattern: str) -> list[Path]:
    """Return the existing files and folders that a path or a glob (`docs/*.md`, `**/*.go`) names, sorted.

    `**` follows symbolic links to folders inside the checkout; each is searched once. Raises ObservationError if a
    link leads out of the checkout or over 10,000 paths match.
    """
    root = context.root.resolve()
    if not has_magic(pattern):
        return [root / pattern] if _exists(root / pattern, root) else []
    paths: set[Path] = set()
    for path in _matches(root, PurePosixPath(pattern).parts, root):
        paths.add(path)
        if len(paths) > MATCH_LIMIT:
            raise ObservationError(msg("{pattern} matches more than {count} files", pattern=pattern, count=MATCH_LIMIT))
    return sorted(paths)


def _matches(folder: Path, parts: tuple[str, ...], root: Path) -> Iterator[Path]:
    """Yield the existing paths below `folder` that the parts of a pattern match."""
    if not parts:
        yield folder
        return
    part, rest = parts[0], parts[1:]
    if part == "**":
        for inside in _folders(folder, root):
            yield from _matches(inside, rest, root)
        return
    names = (name for name in _names(folder, root) if fnmatchcase(name, part)) if has_magic(part) else (part,)
    for name in names:
        path = folder / name
        if _is_there(path, root) and (not rest or path.is_dir()):
            yield from _matches(path, rest, root)


def _folders(top: Path, root: Path) -> Iterator[Path]:
    """Yield a folder and every folder below it, linked folders included, each once."""
    searched = top.resolve()
    waiting, observation = [top], {searched}
    while waiting:
        folder = waiting.pop()
        yield folder
        for path in (folder / name for name in _names(folder, root)):
            if not (_is_there(path, root) and path.is_dir()):
                continue
            real = path.resolve()
            # What a link leads to inside the searched folder is found there under its own name.
            if real not in observation and not (path.is_symlink() and real.is_relative_to(searched)):
                observation.add(real)
                waiting.append(path)


def _names(folder: Path, root: Path) -> list[str]:
    """Return the names in a folder, sorted. Raises ObservationError if the folder cannot be read."""
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError as error:
        why = error.strerror or str(error)
        raise ObservationError(msg("{path} can't be read: {why}", path=relative_path(folder, root), why=why)) from error


def _is_there(path: Path, root: Path) -> bool:
    """Return what `_exists` does, for an entry of a folder in the checkout: only a link can lead out of it."""
    return _exists(path, root) if path.is_symlink() else os.path.lexists(path)


def _exists(path: Path, root: Path) -> bool:
    """Return whether something is at a path, as `test -e` does: a symbolic link to nothing does not exist.

    Raises ObservationError for a link in a circle, and for one that leads out of the checkout.
    """
    try:
        path.stat()
        inside = path.resolve().is_relative_to(root)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno != errno.ELOOP:
            why = error.strerror or str(error)
            raise ObservationError(
                msg("{path} can't be read: {why}", path=relative_path(path, root), why=why)
            ) from error
        raise ObservationError(
            msg("{path} is a symbolic link that leads to itself", path=relative_path(path, root))
        ) from None
    if not inside:
        raise ObservationError(
            msg("{path} leads out of the checkout", path=relative_path(path, root)),
            advice=msg("Only files of the checkout are judged: name the file itself instead of the link"),
        )
    return True


def relative_path(path: Path, root: Path) -> str:
    """Return a path as a checklist writes it: relative to the checkout, with slashes."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def read_text(path: Path, root: Path, limit: int = READ_LIMIT) -> str:
    """Return a file's text, UTF-8. Raise ObservationError as `read_bytes` does, and for a file that is binary."""
    content = read_bytes(path, root, limit)
    if b"\0" in content:
        raise ObservationError(msg("{path} is not a text file", path=relative_path(path, root)))
    return content.decode("utf-8-sig", "replace")


def read_bytes(path: Path, root: Path, limit: int = READ_LIMIT) -> bytes:
    """Return a file's content. Raise ObservationError if it is no file, can't be read, or is too large."""
    name = relative_path(path, root)
    if not path.is_file():
        raise ObservationError(msg("{path} is not a file", path=name))
    try:
        with path.open("rb") as stream:
            content = stream.read(limit + 1)
    except OSError as error:
        raise ObservationError(msg("{path} can't be read: {why}", path=name, why=error.strerror or "")) from error
    if len(content) > limit:
        raise ObservationError(msg("{path} is larger than {limit}", path=name, limit=format_size(limit)))
    return content


def shell_pattern(pattern: str) -> str:
    """Quote a glob for a shell: its wildcards stay active."""
    parts = re.split(r"([*?\[\]!])", pattern)
    text = "".join(part if part in ("*", "?", "[", "]", "!") else shlex.quote(part) for part in parts if part)
    return f"./{text}" if text.startswith("-") else text
