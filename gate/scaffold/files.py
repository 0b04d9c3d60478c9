"""List and read the files of a commit, within limits.

In a git repository only tracked files count. At most 20,000 files are listed, and 512 KiB of each are read.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

from gate.source.git_index import GitIndexError, tracked

_FILES = 20_000
_BYTES = 512 * 1024
_TESTS = re.compile(
    r"(?:^|/)(?:tests?|spec|testdata|fixtures|__tests__|e2e)/|(?:_test|\.test|\.spec)\.[a-z]+$|(?:^|/)(?:test_|conftest)"
)
_SKIPPED = {".git", ".venv", "venv", "node_modules", "vendor", "third_party", "target", "dist", "build", "__pycache__"}
_WORKFLOWS = ".github/workflows/"


class RepoFiles(Struct, frozen=True):
    """The files of a commit. `names` are relative to the repository's root, with forward slashes, shallower first.

    `folder` is the folder that is scanned. `committed` says whether git tracks the files. `left_out` says in one line
    each what was not listed.
    """

    root: Path
    names: tuple[str, ...]
    folder: str = "."
    committed: bool = False
    left_out: tuple[str, ...] = ()

    def text(self, name: str) -> str:
        """Return the beginning of a file; empty if it does not exist or is a link."""
        path = self.root / name
        try:
            if path.is_symlink():
                return ""
            with path.open("rb") as file:
                return file.read(_BYTES).decode("utf-8", "replace")
        except (OSError, ValueError):
            return ""

    def below(self, folder: str) -> list[str]:
        """Return the files in a folder and below it."""
        return [name for name in self.names if is_within(name, folder)]

    def has(self, *parts: str) -> bool:
        """Return whether a file exists."""
        return posixpath.normpath(posixpath.join(*parts)) in _as_set(self.names)


@lru_cache(maxsize=1)
def _as_set(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(names)


def list_files(folder: Path) -> RepoFiles:
    """Return the files of a repository, or of a folder of it."""
    folder = folder.resolve()
    try:
        known = tracked(folder)
    except GitIndexError:
        known = None
    if known is None or not known[1]:
        names, left_out = _limit(_walk(folder))
        notes = [*left_out, "this is not a git repository with files: `.env` files were not read"]
        return RepoFiles(folder, names, left_out=tuple(notes))
    top, index = known
    scanned = folder.relative_to(top).as_posix()
    wanted = (name for name in index if is_within(name, scanned) or name.startswith(_WORKFLOWS))
    names, left_out = _limit(name for name in wanted if name.isprintable() and _is_file(top / name))
    return RepoFiles(top, names, scanned, True, tuple(left_out))


def _limit(names: Iterable[str]) -> tuple[tuple[str, ...], list[str]]:
    """Return the files to read, shallower first, and what is left out of them."""
    kept: list[str] = []
    skipped = Counter[str]()
    for name in sorted(names, key=lambda name: (name.count("/"), name)):
        parts = name.split("/")[:-1]
        at = next((number for number, part in enumerate(parts) if part in _SKIPPED), None)
        if at is not None:
            skipped["/".join(parts[: at + 1])] += 1
        else:
            kept.append(name)
    left_out = [f"{folder}/: {count} files, a folder of generated or foreign code" for folder, count in skipped.items()]
    left_out = [*left_out[:5], *([f"{len(left_out) - 5} more such folders"] if len(left_out) > 5 else [])]
    if len(kept) > _FILES:
        left_out.append(f"{len(kept) - _FILES} files: more than {_FILES:,} are not read, nearest to the root first")
    return tuple(kept[:_FILES]), left_out


def _walk(root: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED and name.isprintable())
        for name in names:
            path = Path(folder, name)
            if name.isprintable() and _is_file(path):
                yield path.relative_to(root).as_posix()


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def is_test(name: str) -> bool:
    """Return whether a file belongs to tests or examples."""
    return bool(_TESTS.search(name))


def is_within(name: str, folder: str) -> bool:
    """Return whether a file is in a folder, or below it. `.` is the repository."""
    return folder == "." or name == folder or name.startswith(folder + "/")


def folder_of(name: str) -> str:
    """Return the folder of a file; `.` is the repository."""
    return posixpath.dirname(name) or "."


def resolve_path(folder: str, path: str) -> str | None:
    """Resolve a path relative to `folder`; return None if it leaves the repository."""
    found = posixpath.normpath(posixpath.join(folder, path))
    return None if found.startswith(("..", "/")) else found


class Reset:
    """Compose's `!reset`: removes the key, also of earlier files."""


class Override(Struct, frozen=True):
    """Compose's `!override`: replaces the value of earlier files instead of merging with it."""

    value: Any


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads YAML with tags of any program: a tag that is not YAML's own is ignored."""


def _tagged(loader: Any, suffix: str, node: yaml.Node) -> Any:
    if suffix == "reset":
        return Reset()
    if isinstance(node, yaml.MappingNode):
        value: Any = loader.construct_mapping(node, deep=True)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_scalar(node)
    return Override(value) if suffix == "override" else value


_Loader.add_multi_constructor("!", _tagged)
_ERRORS = (yaml.YAMLError, ValueError, TypeError, RecursionError, OverflowError)


def documents(text: str) -> list[Any]:
    """Return the YAML documents of a text; none if it is not valid YAML, such as a template."""
    try:
        return list(yaml.load_all(text, Loader=_Loader))
    except _ERRORS:
        return []


def get_list(data: Any, key: str) -> list[Any]:
    """Return the list at a key, empty if there is none."""
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, list) else []


def get_dict(data: Any, key: str) -> dict[Any, Any]:
    """Return the mapping at a key, empty if there is none."""
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, dict) else {}


def get_str(data: Any, key: str) -> str:
    """Return the string at a key, empty if there is none."""
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, str) else ""


def get_port(data: Any, key: str) -> int | None:
    """Return the port number at a key; None if there is none."""
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and is_port(value) else None


def is_port(number: int) -> bool:
    """Return whether a number is a valid port."""
    return 0 < number < 65536


def line_of(text: str, part: str) -> int:
    """Return the line of the first occurrence of a part, 1 if there is none."""
    return text.count("\n", 0, max(0, text.find(part))) + 1
