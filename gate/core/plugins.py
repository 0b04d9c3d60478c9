"""Find the plugins of a package: one module per kind, imported on first use."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from typing import Any


class Registry:
    """The kinds of one package.

    Every module without a leading underscore is a kind, unless it is in `excluded`. `modules` maps a kind to its module
    if the module has another name or is in another package. The module of a kind holds exactly one class whose `kind`
    is the name of the kind.
    """

    def __init__(
        self, package: str, *, excluded: frozenset[str] = frozenset(), modules: dict[str, str] | None = None
    ) -> None:
        self.package = package
        self.modules = modules or {}
        self.excluded = excluded | {module.rpartition(".")[2] for module in self.modules.values()}

    @cache  # noqa: B019 - registries live as long as the program
    def kinds(self) -> tuple[str, ...]:
        """Return all kinds, sorted. Only the package is imported, not its modules."""
        files = [
            file.name for folder in importlib.import_module(self.package).__path__ for file in Path(folder).iterdir()
        ]
        names = {file.partition(".")[0] for file in files if file.endswith(".py") or "." not in file}
        return tuple(
            sorted(
                {name for name in names if not name.startswith("_") and name not in self.excluded} | self.modules.keys()
            )
        )

    def import_module(self, name: str) -> Any:
        """Import and return the module of a kind."""
        return importlib.import_module(self.modules.get(name, f"{self.package}.{name}"))

    @cache  # noqa: B019
    def get_class(self, name: str) -> Any:
        """Return the class of a kind. Raise KeyError if there is no such kind."""
        if name not in self.kinds():
            raise KeyError(name)
        for value in vars(self.import_module(name)).values():
            if isinstance(value, type) and vars(value).get("kind") == name:
                return value
        raise TypeError(f"{self.package}.{name} has no class of kind {name!r}")
