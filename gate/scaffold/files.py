"""The files of a repository, as far as a first look reads them: bounded, and none that a checkout would not have.

At most 20,000 files are seen, and 512 KiB of each.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

_FILES = 20_000
_BYTES = 512 * 1024
_TESTS = re.compile(
    r"(?:^|/)(?:tests?|spec|testdata|fixtures|__tests__|e2e)/|(?:_test|\.test|\.spec)\.[a-z]+$|(?:^|/)(?:test_|conftest)"
)
_SKIPPED = {".git", ".venv", "venv", "node_modules", "vendor", "third_party", "target", "dist", "build", "__pycache__"}


class RepoFiles(Struct, frozen=True):
    """The names of all files, relative to the repository, with forward slashes, those nearer to its root first."""

    root: Path
    names: tuple[str, ...]

    def text(self, name: str) -> str:
        """The beginning of a file; empty where it is not there, or is a link."""
        path = self.root / name
        try:
            if path.is_symlink():
                return ""
            with path.open("rb") as file:
                return file.read(_BYTES).decode("utf-8", "replace")
        except OSError:
            return ""

    def below(self, folder: str) -> list[str]:
        """The files in a folder and in those below it."""
        return [name for name in self.names if is_within(name, folder)]

    def has(self, *parts: str) -> bool:
        """Whether there is such a file."""
        return posixpath.normpath(posixpath.join(*parts)) in self.names


class Endpoint(Struct, frozen=True):
    """A path that a service answers, and where that stands. One that begins with `…` hangs where nobody here says."""

    path: str
    file: str
    line: int

    @property
    def whole(self) -> bool:
        """Whether the whole path is known, and not only its end."""
        return not self.path.startswith("…")


def list_files(root: Path) -> RepoFiles:
    """The files of a repository."""
    return RepoFiles(root, tuple(sorted(_walk(root), key=lambda name: (name.count("/"), name))))


def _walk(root: Path) -> Iterator[str]:
    count = 0
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED and name.isprintable())
        for name in sorted(names):
            count += 1
            if count > _FILES:
                return
            path = Path(folder, name)
            if name.isprintable() and path.is_file() and not path.is_symlink():
                yield path.relative_to(root).as_posix()


def is_test(name: str) -> bool:
    """Whether a file belongs to tests or examples: what stands in it is made up."""
    return bool(_TESTS.search(name))


def is_within(name: str, folder: str) -> bool:
    """Whether a file is in a folder, or below it. `.` is the repository."""
    return folder == "." or name == folder or name.startswith(folder + "/")


def folder_of(name: str) -> str:
    """The folder of a file; `.` is the repository."""
    return posixpath.dirname(name) or "."


def resolve_path(folder: str, path: str) -> str | None:
    """A path that a file in `folder` names; None where it leads out of the repository."""
    found = posixpath.normpath(posixpath.join(folder, path))
    return None if found.startswith(("..", "/")) else found


def documents(text: str) -> list[Any]:
    """The YAML documents of a text; none where it is none, such as a template."""
    try:
        return list(yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError):
        return []


def get_list(data: Any, key: str) -> list[Any]:
    """The list at a key, empty where there is none."""
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, list) else []


def get_dict(data: Any, key: str) -> dict[Any, Any]:
    """The mapping at a key, empty where there is none."""
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, dict) else {}


def get_str(data: Any, key: str) -> str:
    """The text at a key, empty where there is none."""
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, str) else ""
