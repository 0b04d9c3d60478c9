"""Check the syntax of Alertmanager's notification templates.

The functions are Go's and Alertmanager's. https://prometheus.io/docs/alertmanager/latest/notifications/#functions
"""

from __future__ import annotations

from gate.core.messages import Message
from gate.prometheus import go_templates

_FUNCTIONS = go_templates.BUILTINS | frozenset(
    (
        "toUpper", "toLower", "title", "trimSpace", "join", "match", "safeHtml", "safeUrl", "urlUnescape",
        "reReplaceAll", "stringSlice", "date", "tz", "now", "since", "humanizeDuration", "toJson", "list", "append",
        "dict",
    )
)  # fmt: skip


def find_error(text: str) -> tuple[Message, int] | None:
    """Return why Alertmanager rejects a template, and the offset in characters; None if it is valid."""
    return go_templates.find_error(text, _FUNCTIONS, ("$",))
