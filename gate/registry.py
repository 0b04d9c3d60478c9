"""One module per kind: finds the kinds of a package by its modules, and imports only those that are used."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from typing import Any


class Registry:
    """The kinds of one package: every module of it that has no underscore in front and is not listed in `apart`.

    A kind's module is named after it and holds exactly one class whose `kind` is that name.
    """

    def __init__(self, package: str, *, word: str, apart: frozenset[str] = frozenset()) -> None:
        self.package = package
        self.word = word
        self.apart = apart

    @cache  # noqa: B019 - registries live as long as the program
    def names(self) -> tuple[str, ...]:
        """All kinds, sorted; nothing is imported for it but the package itself."""
        files = [
            file.name for folder in importlib.import_module(self.package).__path__ for file in Path(folder).iterdir()
        ]
        found = {file.partition(".")[0] for file in files if file.endswith(".py") or "." not in file}
        return tuple(sorted(name for name in found if not name.startswith("_") and name not in self.apart))

    def module(self, name: str) -> Any:
        """The module of a kind."""
        return importlib.import_module(f"{self.package}.{name}")

    @cache  # noqa: B019
    def load(self, name: str) -> Any:
        """The class of a kind. Raises KeyError for a name that is none."""
        if name not in self.names():
            raise KeyError(name)
        for value in vars(self.module(name)).values():
            if isinstance(value, type) and vars(value).get("kind") == name:
                return value
        raise TypeError(f"{self.package}.{name} has no class of kind {name!r}")
