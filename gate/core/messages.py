"""Sentences for people, kept as a template and its arguments so that any report can be read in any language later.

A `Message` is written once, in English, with `say(...)`; `gate.i18n.language` finds the same template in a catalogue.
Only the template is ever translated: arguments are what was observed, and stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import msgspec

Argument = "str | int | float | Message"
_SHOWN = 20
_PLACE = re.compile(r"\{\{|\}\}|\{(\w+)\}")


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One sentence: an English template with `{names}`, and a value for each of them."""

    text: str
    args: dict[str, str | int | float | Message] = {}

    def __str__(self) -> str:
        return format_template(self.text, self.args)


def format_template(template: str, args: Mapping[str, Any], shown: Callable[[Any], str] = str) -> str:
    """The template with its arguments in place. Never raises: a name without an argument stays as it is."""

    def put(found: re.Match[str]) -> str:
        name = found[1]
        if name is None:
            return found[0][0]
        return shown(args[name]) if name in args else found[0]

    return _PLACE.sub(put, template)


def msg(text: str, /, **args: str | int | float | Message) -> Message:
    """A message. `text` is a literal English template: the catalogues are extracted from calls of this function."""
    return Message(text=text, args=args)


def join_messages(messages: Sequence[Message]) -> Message:
    """Several messages as one, with semicolons between them, the first 20 of them in words. Needs at least one."""
    shown = reduce(lambda one, other: msg("{one}; {other}", one=one, other=other), messages[:_SHOWN])
    rest = len(messages) - _SHOWN
    return msg("{shown}; and {count} more", shown=shown, count=rest) if rest > 0 else shown
