"""Find files that are as the commit has them, by reading git's index: the gate's image has no git.

The format: https://git-scm.com/docs/index-format
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from gate.core.errors import GateError

_INDEX_LIMIT = 512 * 2**20
# Characters of a line of HEAD or of a branch.
_LINE_LIMIT = 4096
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REF_NAME = re.compile(r"refs/[\w./@+=-]+")
# Bytes of an entry before its hash: times, device, inode, mode, owner and size.
_FIXED = 40
_EXTENDED = 0x4000
_SHA256 = re.compile(r"(?im)^\s*objectformat\s*=\s*sha256\s*$")


class GitIndexError(GateError):
    """A git index can't be read."""


def unchanged(paths: Iterable[Path]) -> list[Path]:
    """Return those of some files that git tracks, and whose content is that of the index.

    Raise GitIndexError if a file lies in a repository whose index can't be read.
    """
    by_top: dict[Path, dict[bytes, Path]] = {}
    tops: dict[Path, Path | None] = {}
    for path in paths:
        real = path.resolve()
        top = _top(real.parent, tops)
        if top is not None:
            by_top.setdefault(top, {})[os.fsencode(real.relative_to(top).as_posix())] = path
    return [path for top, paths_by_name in by_top.items() for path in _unchanged(top, paths_by_name)]


def tracked(folder: Path) -> tuple[Path, list[str]] | None:
    """Return the root of the repository that a folder belongs to, and the files that git tracks in it.

    Return None if the folder is in no repository. Raise GitIndexError if the index can't be read.
    """
    top = _top(folder.resolve(), {})
    return None if top is None else (top, [os.fsdecode(name) for name, _ in _read_index(top)[1]])


def _top(folder: Path, tops: dict[Path, Path | None]) -> Path | None:
    """Return the nearest folder that has a `.git`; None if there is none above."""
    if folder not in tops:
        above = folder.parent
        repository = folder if os.path.lexists(folder / ".git") else None
        tops[folder] = repository or (None if above == folder else _top(above, tops))
    return tops[folder]


def _unchanged(top: Path, paths_by_name: dict[bytes, Path]) -> Iterator[Path]:
    length, entries = _read_index(top)
    try:
        for name, digest in entries:
            path = paths_by_name.get(name)
            if path is not None and digest in _hashes(path.read_bytes(), length):
                yield path
    except OSError as error:
        raise GitIndexError(error.strerror or str(error)) from error


def _read_index(top: Path) -> tuple[int, list[tuple[bytes, bytes]]]:
    """Return the length of the hashes, and name and hash of every entry; no entry if nothing was ever added."""
    try:
        folder = _git_folder(top / ".git")
        length = 32 if _is_sha256(folder) else 20
        index = folder / "index"
        if not index.exists():
            return length, []
        if index.stat().st_size > _INDEX_LIMIT:
            raise GitIndexError("it is too large")
        return length, list(_entries(index.read_bytes(), length))
    except OSError as error:
        raise GitIndexError(error.strerror or str(error)) from error


def _git_folder(path: Path) -> Path:
    """Return the folder of a repository. In a worktree and a submodule a file names it."""
    if path.is_dir():
        return path
    word, _, name = path.read_text(errors="replace").strip().partition(": ")
    folder = path.parent / name
    if word != "gitdir" or not folder.is_dir():
        raise GitIndexError(f"{path} leads to no repository")
    return folder


def _is_sha256(folder: Path) -> bool:
    config = folder / "config"
    return config.is_file() and bool(_SHA256.search(config.read_text(errors="replace")))


def _entries(data: bytes, length: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and hash of every entry."""
    version, count = int.from_bytes(data[4:8], "big"), int.from_bytes(data[8:12], "big")
    if data[:4] != b"DIRC" or version not in (2, 3, 4):
        raise GitIndexError(f"it is in an unknown format ({version})")
    at, name = 12, b""
    for _ in range(count):
        flags = int.from_bytes(data[at + _FIXED + length : at + _FIXED + length + 2], "big")
        start = at + _FIXED + length + (4 if flags & _EXTENDED and version > 2 else 2)
        cut, begin = _number(data, start) if version == 4 else (len(name), start)
        end = data.find(b"\0", begin)
        if end < 0:
            raise GitIndexError("it is cut off")
        name = name[: len(name) - cut] + data[begin:end]
        yield name, data[at + _FIXED : at + _FIXED + length]
        at = end + 1 if version == 4 else at + (end - at + 8) // 8 * 8
    _check_extensions(data[at : -length or None])


def _check_extensions(data: bytes) -> None:
    """Refuse an index that keeps some of its entries in another file."""
    at = 0
    while at + 8 <= len(data):
        if data[at : at + 4] == b"link":
            raise GitIndexError("it is split, expected it whole (`git update-index --no-split-index`)")
        at += 8 + int.from_bytes(data[at + 4 : at + 8], "big")


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Return a number in the variable width encoding of pack offsets, and where it ends."""
    value, more = 0, True
    while more:
        if at >= len(data):
            raise GitIndexError("it is cut off")
        more, value = bool(data[at] & 0x80), (value << 7) | (data[at] & 0x7F)
        at, value = at + 1, value + 1 if more else value
    return value, at


def _hashes(content: bytes, length: int) -> set[bytes]:
    """Return the hashes that git may have for a content: with its line breaks, and with LF alone."""
    algorithm = hashlib.sha256 if length == 32 else hashlib.sha1
    texts = {content, content.replace(b"\r\n", b"\n")}
    return {algorithm(b"blob %d\0" % len(text) + text, usedforsecurity=False).digest() for text in texts}


def head_commit(folder: Path) -> str:
    """Return the hash of the commit that is checked out in the repository around a folder; "" if there is none.

    https://git-scm.com/docs/gitrepository-layout
    """
    try:
        top = _top(folder.resolve(), {})
        return "" if top is None else _resolve_head(_git_folder(top / ".git"))
    except (OSError, GitIndexError):
        return ""


def _resolve_head(git_folder: Path) -> str:
    """Return the hash that HEAD stands for, directly or by a branch. Branches of a worktree are in the main folder."""
    head = _read_line(git_folder / "HEAD")
    if not head.startswith("ref: "):
        return head if _COMMIT.fullmatch(head) else ""
    name = head.removeprefix("ref: ")
    common = git_folder / "commondir"
    shared = git_folder / _read_line(common) if common.is_file() else git_folder
    for folder in (git_folder, shared):
        if _REF_NAME.fullmatch(name) and ".." not in name and (folder / name).is_file():
            return _read_line(folder / name)
    packed = shared / "packed-refs"
    if packed.is_file():
        with packed.open(errors="replace") as lines:
            return next((line.split()[0] for line in lines if line.rstrip().endswith(f" {name}")), "")
    return ""


def _read_line(path: Path) -> str:
    with path.open(errors="replace") as file:
        return file.readline(_LINE_LIMIT).strip()
