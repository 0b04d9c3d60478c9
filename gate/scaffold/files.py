"""List and read the files of a repository, within limits.

At most 20,000 files are listed, and 512 KiB of each are read.
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
    """The files of a repository. `names` are relative to its root, with forward slashes, shallower files first."""

    root: Path
    names: tuple[str, ...]

    def text(self, name: str) -> str:
        """Return the beginning of a file; empty if it does not exist or is a link."""
        path = self.root / name
        try:
            if path.is_symlink():
                return ""
            with path.open("rb") as file:
                return file.read(_BYTES).decode("utf-8", "replace")
        except OSError:
            return ""

    def below(self, folder: str) -> list[str]:
        """Return the files in a folder and below it."""
        return [name for name in self.names if is_within(name, folder)]

    def has(self, *parts: str) -> bool:
        """Return whether a file exists."""
        return posixpath.normpath(posixpath.join(*parts)) in self.names


class Endpoint(Struct, frozen=True):
    """A path that a service serves, and its location. A path that begins with `…` has an unknown prefix."""

    path: str
    file: str
    line: int

    @property
    def whole(self) -> bool:
        """Return whether the whole path is known, not only its end."""
        return not self.path.startswith("…")


def list_files(root: Path) -> RepoFiles:
    """Return the files of a repository."""
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


def documents(text: str) -> list[Any]:
    """Return the YAML documents of a text; none if it is not valid YAML, such as a template."""
    try:
        return list(yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError):
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
