"""Sentences for people, kept as a template and its arguments so that any report can be read in any language later.

A `Message` is written once, in English, with `say(...)`; `gate.language` finds the same template in a catalogue.
Only the template is ever translated: arguments are what was observed, and stay as they are.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from functools import reduce
from typing import Any

import msgspec

Argument = "str | int | float | Message"
_SHOWN = 20


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One sentence: an English template with `{names}`, and a value for each of them."""

    text: str
    args: dict[str, str | int | float | Message] = {}

    def __str__(self) -> str:
        return fill(self.text, self.args)


class _Formatter(string.Formatter):
    """Fills in names only: no attribute access and no indexing, whatever a template says."""

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        return kwargs[field_name], field_name


_FORMATTER = _Formatter()


def fill(template: str, args: dict[str, str | int | float | Message]) -> str:
    """The template with its arguments in place."""
    return _FORMATTER.vformat(template, (), args)


def say(text: str, /, **args: str | int | float | Message) -> Message:
    """A message. `text` is a literal English template: the catalogues are extracted from calls of this function."""
    return Message(text=text, args=args)


def together(messages: Sequence[Message]) -> Message:
    """Several messages as one, with semicolons between them, the first 20 of them in words. Needs at least one."""
    shown = reduce(lambda one, other: say("{one}; {other}", one=one, other=other), messages[:_SHOWN])
    rest = len(messages) - _SHOWN
    return say("{shown}; and {count} more", shown=shown, count=rest) if rest > 0 else shown
