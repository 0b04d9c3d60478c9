"""Find Compose projects and merge their files as Compose does.

Overrides, `include`, `extends`, `!reset` and `!override`:
https://github.com/compose-spec/compose-spec/blob/main/13-merge.md
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Any

from msgspec import Struct, field

from gate.scaffold.files import (
    Override,
    RepoFiles,
    Reset,
    documents,
    folder_of,
    get_dict,
    get_list,
    get_str,
    is_test,
    resolve_path,
)

_DEFAULTS = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
_NAME = re.compile(r"(?:^|[.-])compose\b[^/]*\.ya?ml$|^compose[^/]*\.ya?ml$")
# The second is what `prodgate init` has written itself.
_OVERRIDE = re.compile(r"\.override\.ya?ml$|(?:^|/)compose\.prodgate\.yml$")
_AUXILIARY = re.compile(
    r"(?i)(?:^|[/._-])(?:\.?devcontainer|dev|ci|test|tests|e2e|examples?|demo|debug|benchmarks?)(?:[/._-]|$)"
)
_SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_REPLACED = ("command", "entrypoint", "test")
_DEPTH = 8
_MERGE_DEPTH = 20


class Definition(Struct, frozen=True):
    """A service as its files define it, the file that names it first, and the folder of its relative paths."""

    data: dict[Any, Any]
    file: str
    folder: str


class Project(Struct):
    """The services of Compose files that are used together. `given` are those that Compose is given by name."""

    files: list[str]
    given: list[str]
    services: dict[str, Definition] = field(default_factory=dict)

    @property
    def builds(self) -> bool:
        """Return whether a service is built from this repository."""
        return any(definition.data.get("build") for definition in self.services.values())

    @property
    def is_auxiliary(self) -> bool:
        """Return whether the project is for development, tests or examples, by the name of its file."""
        return bool(_AUXILIARY.search(self.files[0]))


def projects(files: RepoFiles) -> list[Project]:
    """Return the projects, the one that describes staging best first."""
    candidates = [name for name in files.names if name.endswith((".yml", ".yaml")) and _is_compose(files, name)]
    found, taken = [], set[str]()
    for name in sorted(candidates, key=lambda name: (name.count("/"), _default_rank(name), len(name), name)):
        if name in taken or _OVERRIDE.search(name):
            continue
        reader = _Reader(files)
        project = reader.project(name)
        taken |= set(project.files)
        if project.services:
            found.append(project)
    return sorted(found, key=_rank)


def _default_rank(name: str) -> int:
    base = posixpath.basename(name)
    return _DEFAULTS.index(base) if base in _DEFAULTS else len(_DEFAULTS)


def _rank(project: Project) -> tuple[bool, bool, bool, int, int]:
    name, auxiliary = project.files[0], project.is_auxiliary
    return not project.builds and auxiliary, auxiliary, not project.builds, name.count("/"), _default_rank(name)


def _is_compose(files: RepoFiles, name: str) -> bool:
    """Return whether a file is a Compose file: by its name, or by content that no other format has."""
    if name.startswith(".github/") or (is_test(name) and not _NAME.search(posixpath.basename(name))):
        return False
    text = files.text(name)
    if not re.search(r"(?m)^(?:services|include):", text):
        return False
    data = next(iter(documents(text)), None)
    services = [service for service in get_dict(data, "services").values() if isinstance(service, dict)]
    if _NAME.search(posixpath.basename(name)):
        return bool(services or get_list(data, "include"))
    return any(isinstance(s.get("build"), str | dict) or isinstance(s.get("image"), str) for s in services) and not any(
        "class" in service or "script" in service for service in services
    )


class _Reader:
    """Reads one project, each file at most once."""

    def __init__(self, files: RepoFiles) -> None:
        self.files = files
        self.read: list[str] = []

    def project(self, name: str) -> Project:
        """Return the project of a file, of the override beside it, and of what they include."""
        services = self._load(name, folder_of(name), 0)
        return Project(self.read, [name, *self._overrides(name)], services)

    def _load(self, name: str, folder: str, depth: int) -> dict[str, Definition]:
        if depth > _DEPTH or name in self.read:
            return {}
        found: dict[str, Definition] = {}
        data: dict[Any, Any] = {}
        for file in (name, *self._overrides(name)):
            self.read.append(file)
            document = next(iter(documents(self.files.text(file))), None)
            data = merge(data, document if isinstance(document, dict) else {})
            for key in get_dict(document, "services"):
                found.setdefault(str(key), Definition({}, file, folder))
        for path, inner in self._included(data, folder):
            for key, definition in self._load(path, inner, depth + 1).items():
                found.setdefault(key, definition)
        for key, service in get_dict(data, "services").items():
            if isinstance(service, dict) and str(key) in found:
                extended = self._extended(data, service, folder, depth)
                found[str(key)] = Definition(extended, found[str(key)].file, folder)
        return {key: definition for key, definition in found.items() if definition.data and _SERVICE.fullmatch(key)}

    def _overrides(self, name: str) -> Iterator[str]:
        """Yield the override that Compose reads without being told: beside a file with a default name."""
        if posixpath.basename(name) in _DEFAULTS:
            stem = re.sub(r"\.ya?ml$", "", name)
            yield from (file for ending in ("yaml", "yml") if self.files.has(file := f"{stem}.override.{ending}"))

    def _included(self, data: Any, folder: str) -> Iterator[tuple[str, str]]:
        for entry in get_list(data, "include"):
            given = entry.get("path") if isinstance(entry, dict) else entry
            for path in given if isinstance(given, list) else [given]:
                file = resolve_path(folder, path) if isinstance(path, str) else None
                if file and self.files.has(file):
                    directory = get_str(entry, "project_directory")
                    yield file, (resolve_path(folder, directory) if directory else None) or folder_of(file)

    def _extended(self, data: Any, service: dict[Any, Any], folder: str, depth: int) -> dict[Any, Any]:
        """Return a service merged over the one that it extends."""
        given = service.get("extends")
        name = given if isinstance(given, str) else get_str(given, "service")
        if not name or depth > _DEPTH:
            return service
        file = resolve_path(folder, get_str(given, "file")) if get_str(given, "file") else ""
        source = next(iter(documents(self.files.text(file))), None) if file else data
        base = get_dict(get_dict(source, "services"), name)
        if file:
            self.read.append(file)
        return merge(self._extended(source, base, folder, depth + 1), {**service, "extends": None})


def merge(base: dict[Any, Any], over: dict[Any, Any], depth: int = 0) -> dict[Any, Any]:
    """Return two mappings of Compose files merged, the second one over the first."""
    if depth > _MERGE_DEPTH:  # an anchor that contains itself never ends
        return over
    merged = dict(base)
    for key, value in over.items():
        if isinstance(value, Reset):
            merged.pop(key, None)
        elif isinstance(value, Override):
            merged[key] = value.value
        else:
            merged[key] = _merge_value(key, merged.get(key), value, depth + 1)
    return merged


def _merge_value(key: Any, old: Any, new: Any, depth: int) -> Any:
    if key in ("environment", "labels", "args", "depends_on"):
        return merge(as_mapping(old), as_mapping(new), depth)
    if key == "build" and isinstance(old, dict) and isinstance(new, str):
        return {**old, "context": new}
    if isinstance(new, dict):
        return merge(old if isinstance(old, dict) else {}, new, depth)
    if isinstance(old, list) and isinstance(new, list) and key not in _REPLACED:
        return [*old, *(entry for entry in new if entry not in old)]
    return new


def as_mapping(value: Any) -> dict[Any, Any]:
    """Return a mapping that may be written as a list: of `NAME=value`, or of names."""
    if isinstance(value, dict):
        return value
    pairs = (str(entry).partition("=") for entry in value) if isinstance(value, list) else ()
    return {name: text if equals else None for name, equals, text in pairs}
