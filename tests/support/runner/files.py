"""The file commands: what a step tells the runner by files, parsed as the runner parses them.

https://github.com/actions/runner/blob/main/src/Runner.Worker/FileCommandManager.cs
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.runner.log import Masks

# Environment variables, and the beginnings of the files' names, in the order in which the runner reads them.
NAMES = {
    "GITHUB_PATH": "add_path_",
    "GITHUB_ENV": "set_env_",
    "GITHUB_STEP_SUMMARY": "step_summary_",
    "GITHUB_STATE": "save_state_",
    "GITHUB_OUTPUT": "set_output_",
}
SUMMARY_LIMIT = 1024 * 1024


@dataclass
class FileCommands:
    """What the files of one stage said. An error fails the step, whatever its exit code; what is refused does not."""

    path: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    state: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""
    errors: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    dropped: str = ""


class Files:
    """Fresh, empty files for one stage, owned by the runner's user."""

    def __init__(self, folder: Path, own: int) -> None:
        self.paths = {name: folder / f"{start}{uuid.uuid4()}" for name, start in NAMES.items()}
        for path in self.paths.values():
            path.touch(0o644)
            os.chown(path, own, own)

    def read(self, hidden: Masks | None = None) -> FileCommands:
        """Return their content, with the summary masked. A deleted file counts as empty."""
        commands = FileCommands()
        commands.path = self._text("GITHUB_PATH").splitlines()
        self._summary(commands, hidden or Masks())
        for name, kept in (
            ("GITHUB_ENV", commands.env),
            ("GITHUB_STATE", commands.state),
            ("GITHUB_OUTPUT", commands.outputs),
        ):
            try:
                parse(self._text(name), kept)
            except ValueError as error:
                commands.errors.append(f"Unable to process file command '{name}' successfully. {error}")
        if commands.env.pop("NODE_OPTIONS", None) is not None:
            commands.refused.append("NODE_OPTIONS")
        return commands

    def _text(self, name: str) -> str:
        path = self.paths[name]
        return path.read_bytes().decode("utf-8", "replace") if path.exists() else ""

    def _summary(self, commands: FileCommands, hidden: Masks) -> None:
        size = len(self._text("GITHUB_STEP_SUMMARY").encode())
        if size > SUMMARY_LIMIT:
            commands.dropped = f"$GITHUB_STEP_SUMMARY upload aborted, got {size // 1024}k"
        else:
            text = self._text("GITHUB_STEP_SUMMARY")
            commands.summary = "\n".join(map(hidden.hide, re.split(r"\r\n|\r|\n", text)))


def parse(text: str, kept: dict[str, str]) -> None:
    """Read pairs into a mapping. Raise ValueError at the first error; pairs before it are kept."""
    lines = iter(text.split("\n") if not text.endswith("\n") else text[:-1].split("\n"))
    for line in lines:
        if not line:
            continue
        equals, here = line.find("="), line.find("<<")
        if equals >= 0 and (here < 0 or equals < here):
            name, _, value = line.partition("=")
            _keep(kept, name, value)
        elif here >= 0:
            name, _, mark = line.partition("<<")
            if not mark:
                raise ValueError(f"Invalid format '{line}'")
            _keep(kept, name, _value(lines, mark))
        else:
            raise ValueError(f"Invalid format '{line}'")


def _keep(kept: dict[str, str], name: str, value: str) -> None:
    if not name:
        raise ValueError("a name is empty")
    kept[name] = value


def _value(lines: Iterator[str], mark: str) -> str:
    found: list[str] = []
    for line in lines:
        if line == mark:
            return "\n".join(found)
        found.append(line)
    raise ValueError(f"Matching delimiter not found '{mark}'")
