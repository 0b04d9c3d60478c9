"""Finds workflow commands in a log as the runner does, and rather too many than too few.

From the runner's ActionCommand: https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

_LINE = re.compile(r"\r\n|\r|\n")
_UNSEEN = {"\u115f", "\u1160", "\u3164", "\uffa0"}


@dataclass(frozen=True)
class Command:
    """A command as the runner reads it, unescaped."""

    name: str
    data: str
    properties: dict[str, str] = field(default_factory=dict)


def commands(text: str) -> list[Command]:
    """All commands of a text, of the form `::name key=value::data` and of the older `##[name key=value;]data`."""
    return [found for line in _LINE.split(text) if (found := command(line))]


def command(line: str) -> Command | None:
    """The command in a line. Characters that a comparison by culture passes over do not hide it."""
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
_FATAL = {"set-env", "add-path", "add-matcher", "echo"}


class Log:
    """What a stage says, line by line from both streams, and what the runner makes of it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.annotations: list[Command] = []
        self.outputs: dict[str, str] = {}
        self.state: dict[str, str] = {}
        self.masks: list[str] = []
        self.failures: list[str] = []
        self.stopped: str | None = None

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def line(self, line: str) -> None:
        """One line, from either stream."""
        self.lines.append(line)
        found = command(line)
        if not found:
            return
        if self.stopped is not None:
            if found.name == self.stopped.lower():
                self.stopped = None
        elif found.name in KNOWN:
            self._obey(found)

    def _obey(self, found: Command) -> None:
        if found.name in ANNOTATIONS:
            if sum(1 for other in self.annotations if other.name == found.name) < _PER_TYPE:
                self.annotations.append(Command(found.name, found.data[:_LONGEST], found.properties))
        elif found.name == "set-output":
            self.outputs[found.properties.get("name", "")] = found.data
        elif found.name == "save-state":
            self.state[found.properties.get("name", "")] = found.data
        elif found.name == "add-mask":
            self.masks.append(found.data)
        elif found.name == "stop-commands":
            self.stopped = found.data
        elif found.name in _FATAL:
            self.failures.append(f"{found.name} is refused")
