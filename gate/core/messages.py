"""Translatable messages: a template and its arguments, rendered in any language later.

Create a message with `msg`, in English, from a literal template with `{names}`:

    msg("{file} not found", file=path)

If a number decides between singular and plural, pass both templates and the number as `count`:

    msg("{count} target is active", "{count} targets are active", count=len(targets))

The catalogue of each language then has a plural entry (`msgid_plural`), and gettext's rule for the language chooses the
form when the message is rendered; `str()` chooses the English form. `_("...", "...", count=n)` in a template and
`language("...", "...", count=n)` in code take the same arguments. Both templates belong to one number: a text with two
numbers is two messages, one an argument of the other.

Only templates are translated. Arguments are observed values and are rendered unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import msgspec

Argument = "str | int | float | Message"
# Joined messages that are written out; the others are only counted.
_JOIN_LIMIT = 20
_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{(\w+)\}")


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An English template with `{names}` and a value for each name.

    `text` is the singular if `plural` is set. A message without a plural form has no `plural` key in JSON.
    """

    text: str
    args: dict[str, str | int | float | Message] = {}
    plural: str | msgspec.UnsetType = msgspec.UNSET

    def __str__(self) -> str:
        singular = self.plural is msgspec.UNSET or plural_number(self.args) == 1
        return format_template(self.text if singular else str(self.plural), self.args)


def plural_number(args: Mapping[str, Any]) -> int:
    """Return the number that chooses the plural form: `count`, or 2 if it is missing or not an integer."""
    # A report is a file that anybody may have written, and gettext raises for a number that is not an integer.
    count = args.get("count")
    return count if isinstance(count, int) else 2


def format_template(template: str, args: Mapping[str, Any], display: Callable[[Any], str] = str) -> str:
    """Return the template with each `{name}` replaced by its argument, converted by `display`.

    Never raises: a name without an argument is kept as it is written.
    """

    def replacement(match: re.Match[str]) -> str:
        name = match[1]
        if name is None:
            return match[0][0]
        return display(args[name]) if name in args else match[0]

    return _PLACEHOLDER.sub(replacement, template)


def msg(text: str, plural: str | None = None, /, **args: str | int | float | Message) -> Message:
    """Create a message from one template, or from a singular and a plural template and `count`.

    Pass templates as literals: the catalogues are extracted from the calls of this function.
    """
    return Message(text=text, args=args) if plural is None else Message(text=text, args=args, plural=plural)


def join_messages(messages: Sequence[Message]) -> Message:
    """Join messages by semicolons. Only the first 20 are written out, the others counted. Needs at least one."""
    shown = reduce(lambda joined, message: msg("{one}; {other}", one=joined, other=message), messages[:_JOIN_LIMIT])
    hidden = len(messages) - _JOIN_LIMIT
    return msg("{shown}; and {count} more", shown=shown, count=hidden) if hidden > 0 else shown
