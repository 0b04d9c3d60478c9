"""Provide what the checks of an alertmanager.yml share: reading the file, and messages about its routes."""

from __future__ import annotations

from msgspec import Struct

from gate.alertmanager.config import Config, parse_config
from gate.checks._checkout import find_files, relative_path
from gate.checks.base import ObservationError
from gate.checks.context import CheckContext
from gate.core.messages import Message, msg
from gate.model import Location
from gate.prometheus.config import InvalidConfigError, Surroundings
from gate.prometheus.yaml_tree import FILE_LIMIT


class ReadConfig(Struct, frozen=True):
    """An alertmanager.yml of the checkout, or why Alertmanager would not load it. `path` is empty without a file."""

    path: str = ""
    config: Config | None = None
    bad: InvalidConfigError | None = None

    def at(self, line: int, column: int | None = None) -> Location:
        """Return a location in the file."""
        return Location(file=self.path, line=line, column=column)

    def problem(self, name: str) -> tuple[Message, tuple[Location, ...]] | None:
        """Return why there is no valid configuration, and where; None if there is one. `name` is the wanted file."""
        if not self.path:
            return msg("{path} does not exist", path=name), ()
        if self.bad is None:
            return None
        where = Location(file=self.bad.file or self.path, line=self.bad.line, column=self.bad.column)
        return msg("{place}: {reason}", place=str(where), reason=self.bad.message), (where,)


def read_config(context: CheckContext, name: str) -> ReadConfig:
    """Return an alertmanager.yml with its templates, read once for all checks. Raises ObservationError."""

    def make() -> ReadConfig:
        return _read(context, name)

    return context.memo.get(("alertmanager", name), make, not_before=context.fresh_after, remaining=context.remaining())


def _read(context: CheckContext, name: str) -> ReadConfig:
    found = find_files(context, name)
    if not found or not found[0].is_file():
        return ReadConfig()
    root = context.root.resolve()
    path = relative_path(found[0], root)
    try:
        with found[0].open("rb") as file:
            raw = file.read(FILE_LIMIT + 1)
        return ReadConfig(path, parse_config(raw, Surroundings(found[0].parent, root)))
    except InvalidConfigError as bad:
        return ReadConfig(path, bad=bad)
    except OSError as error:
        raise ObservationError(msg("{path} can't be read: {why}", path=path, why=error.strerror or "")) from error
