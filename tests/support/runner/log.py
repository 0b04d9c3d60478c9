"""Finds workflow commands in a log as the runner does, and rather too many than too few.

From the runner's ActionCommand: https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs
"""

from __future__ import annotations

import base64
import json
import re
import unicodedata
from dataclasses import dataclass, field
from urllib.parse import quote
from xml.sax.saxutils import escape

_LINE = re.compile(r"\r\n|\r|\n")
_UNSEEN = {"\u115f", "\u1160", "\u3164", "\uffa0"}


@dataclass(frozen=True)
class Command:
    """A command as the runner reads it, unescaped."""

    name: str
    data: str
    properties: dict[str, str] = field(default_factory=dict)


def commands(text: str) -> list[Command]:
    """Return all commands of a text, of the form `::name key=value::data` or `##[name key=value;]data`."""
    return [found for line in _LINE.split(text) if (found := command(line))]


def command(line: str) -> Command | None:
    """Return the command in a line. Characters that a comparison by culture passes over do not hide it."""
    seen = "".join(c for c in line if unicodedata.category(c) not in ("Cf", "Cc", "Mn") and c not in _UNSEEN)
    seen = seen.lstrip()
    if seen.startswith("::") and "::" in seen[2:]:
        head, _, data = seen[2:].partition("::")
        return _command(head, data, ",", {"%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ","})
    if "##[" in seen:
        head, end, data = seen.partition("##[")[2].partition("]")
        return _command(head, data, ";", {"%0D": "\r", "%0A": "\n", "%3B": ";", "%5D": "]"}) if end else None
    return None


def _command(head: str, data: str, separator: str, escapes: dict[str, str]) -> Command:
    name, _, rest = head.partition(" ")
    pairs = [pair.partition("=") for pair in rest.split(separator) if "=" in pair]
    return Command(
        name.lower(), _unescape(data, escapes), {key.strip().lower(): _unescape(v, escapes) for key, _, v in pairs}
    )


def _unescape(text: str, escapes: dict[str, str]) -> str:
    for code, character in escapes.items():
        text = text.replace(code, character)
    return text.replace("%25", "%")


ANNOTATIONS = ("error", "warning", "notice")
KNOWN = {
    *ANNOTATIONS,
    "set-env",
    "set-output",
    "save-state",
    "add-mask",
    "add-path",
    "add-matcher",
    "remove-matcher",
    "debug",
    "group",
    "endgroup",
    "echo",
    "stop-commands",
}
_PER_TYPE = 10
_LONGEST = 4096
# A token of `stop-commands` that is longer than this is a secret.
_SHORT = 6
_FATAL = {"set-env", "add-path", "add-matcher", "echo"}


class Masks:
    """What the job's log and summaries must not show: each value, each line of it, and the forms it may take."""

    def __init__(self, *values: str) -> None:
        self.values: set[str] = set()
        for value in values:
            self.add(value)

    def add(self, value: str) -> None:
        """Mask a value from now on. Blank values are ignored."""
        for part in {value, *_LINE.split(value)}:
            if part.strip():
                self.values |= {
                    part,
                    base64.b64encode(part.encode()).decode(),
                    json.dumps(part)[1:-1],
                    quote(part, safe=""),
                    escape(part, {'"': "&quot;", "'": "&apos;"}),
                }

    def hide(self, text: str) -> str:
        """Return the text with three asterisks in the place of each."""
        for value in sorted(self.values, key=len, reverse=True):
            text = text.replace(value, "***")
        return text


class Log:
    """What a stage says, line by line from both streams, and what the runner makes of it.

    `lines` are what people see, `raw` what was said before the job's masks were laid over it.
    """

    def __init__(self, hidden: Masks | None = None) -> None:
        self.hidden = hidden or Masks()
        self.raw: list[str] = []
        self.lines: list[str] = []
        self.annotations: list[Command] = []
        self.outputs: dict[str, str] = {}
        self.state: dict[str, str] = {}
        self.masks: list[str] = []
        self.failures: list[str] = []
        self.stopped: str | None = None

    @property
    def text(self) -> str:
        """Return the lines of the log as text."""
        return "\n".join(self.lines)

    def line(self, line: str) -> None:
        """Read one line, from either stream."""
        self.raw.append(line)
        found = command(line)
        if found and self.stopped is not None:
            if found.name == self.stopped.lower():
                self.stopped = None
        elif found and found.name in KNOWN:
            self._obey(found)
            if found.name == "add-mask":
                return
        self.lines.append(self.hidden.hide(line))

    def _obey(self, found: Command) -> None:
        if found.name in ANNOTATIONS:
            if sum(1 for other in self.annotations if other.name == found.name) < _PER_TYPE:
                message = self.hidden.hide(found.data)[:_LONGEST]
                self.annotations.append(Command(found.name, message, found.properties))
        elif found.name == "set-output":
            self.outputs[found.properties.get("name", "")] = found.data
        elif found.name == "save-state":
            self.state[found.properties.get("name", "")] = found.data
        elif found.name == "add-mask":
            self.masks.append(found.data)
            self.hidden.add(found.data)
        elif found.name == "stop-commands":
            self.stopped = found.data
            if len(found.data) > _SHORT:
                self.hidden.add(found.data)
        elif found.name in _FATAL:
            self.failures.append(f"{found.name} is refused")
