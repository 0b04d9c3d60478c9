"""One module per kind: finds the kinds of a package by its modules, and imports only those that are used."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from typing import Any


class Registry:
    """The kinds of one package: every module of it without a leading underscore that is not in `excluded`,
    and those of `modules`: kind -> module, for a kind whose module has another name or lives elsewhere.

    A kind's module is named after it and holds exactly one class whose `kind` is that name.
    """

    def __init__(
        self, package: str, *, excluded: frozenset[str] = frozenset(), modules: dict[str, str] | None = None
    ) -> None:
        self.package = package
        self.modules = modules or {}
        self.excluded = excluded | {module.rpartition(".")[2] for module in self.modules.values()}

    @cache  # noqa: B019 - registries live as long as the program
    def kinds(self) -> tuple[str, ...]:
        """All kinds, sorted; nothing is imported for it but the package itself."""
        files = [
            file.name for folder in importlib.import_module(self.package).__path__ for file in Path(folder).iterdir()
        ]
        found = {file.partition(".")[0] for file in files if file.endswith(".py") or "." not in file}
        return tuple(
            sorted(
                {name for name in found if not name.startswith("_") and name not in self.excluded} | self.modules.keys()
            )
        )

    def import_module(self, name: str) -> Any:
        """The module of a kind."""
        return importlib.import_module(self.modules.get(name, f"{self.package}.{name}"))

    @cache  # noqa: B019
    def get_class(self, name: str) -> Any:
        """The class of a kind. Raises KeyError for a name that is none."""
        if name not in self.kinds():
            raise KeyError(name)
        for value in vars(self.import_module(name)).values():
            if isinstance(value, type) and vars(value).get("kind") == name:
                return value
        raise TypeError(f"{self.package}.{name} has no class of kind {name!r}")
