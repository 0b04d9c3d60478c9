"""Inline the exemption files that a checklist names, read from the checklist's own branch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from msgspec import structs

from gate.checklist.models import Checklist
from gate.core.errors import GateError
from gate.core.messages import Message
from gate.model import ExemptionFile, FrozenStruct

# Returns the text of a file by its path in the checkout; None if it does not exist.
TextOf = Callable[[str], str | None]


class ExemptionError(GateError):
    """An exemption file that can't be read or is not valid."""

    def __init__(self, file: str, why: str) -> None:
        super().__init__(Message(text="{file}: {why}", args={"file": file, "why": why}))
        self.file = file
        self.why = why


def exemption_files(checklist: Checklist) -> list[str]:
    """Return the files that a checklist names, each once."""
    return list(dict.fromkeys(_named(checklist.sections)))


def inlined(checklist: Checklist, text_of: TextOf) -> Checklist:
    """Return the checklist with the entries of its exemption files inlined. Raise ExemptionError."""
    changed: Checklist = _replaced(checklist, text_of)
    return changed


def _named(value: Any) -> Iterator[str]:
    if isinstance(value, ExemptionFile):
        yield value.file
    elif isinstance(value, FrozenStruct):
        for field in structs.fields(value):
            yield from _named(getattr(value, field.name))
    elif isinstance(value, dict | list | tuple):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from _named(entry)


def _replaced(value: Any, text_of: TextOf) -> Any:
    if isinstance(value, ExemptionFile):
        return _entries(value, text_of)
    if isinstance(value, FrozenStruct) and any(True for _ in _named(value)):
        return value.replace(**{name: _replaced(getattr(value, name), text_of) for name in value.__struct_fields__})
    if isinstance(value, dict):
        return {key: _replaced(entry, text_of) for key, entry in value.items()}
    return [_replaced(entry, text_of) for entry in value] if isinstance(value, list) else value


def _entries(file: ExemptionFile, text_of: TextOf) -> list[Any]:
    text = text_of(file.file)
    if text is None:
        raise ExemptionError(file.file, "it does not exist")
    try:
        return file.entries(text)
    except GateError as error:
        raise ExemptionError(file.file, str(error)) from None
