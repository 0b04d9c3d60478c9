"""Reads `action.yml` as strictly as the runner does.

https://github.com/actions/runner/blob/main/src/Runner.Worker/action_yaml.json
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_RUNS = {
    "using",
    "image",
    "entrypoint",
    "args",
    "env",
    "pre-entrypoint",
    "pre-if",
    "post-entrypoint",
    "post-if",
}
_EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")
# The status functions that a condition of a stage may be, and the states of the job in which each holds.
_STATUS = {
    "always()": {"success", "failure", "cancelled"},
    "success()": {"success"},
    "failure()": {"failure"},
    "cancelled()": {"cancelled"},
}


@dataclass(frozen=True)
class Manifest:
    """What an action declares. `args` and `env` have expressions in them, as the inputs' defaults do."""

    inputs: dict[str, str]
    outputs: tuple[str, ...]
    image: str
    entrypoint: str | None = None
    args: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    pre: str | None = None
    pre_if: str = "always()"
    post: str | None = None
    post_if: str = "always()"


def read(path: Path) -> Manifest:
    """Return the manifest of a container action. Raise ValueError for what makes the runner fail the job."""
    document = yaml.safe_load(path.read_text())
    runs, outputs = document["runs"], document.get("outputs") or {}
    if unknown := set(runs) - _RUNS:
        raise ValueError(f"unknown keys under runs: {sorted(unknown)}")
    if runs["using"] != "docker" or not re.search(
        r"(^|/)(Dockerfile\.[^/]*|[^/]*Dockerfile)$|^docker://", runs["image"]
    ):
        raise ValueError(f"not an image of a container action: {runs['image']}")
    for name, output in outputs.items():
        if unknown := set(output) - {"description", "value"}:
            raise ValueError(f"unknown keys under the output {name}: {sorted(unknown)}")
    inputs = document.get("inputs") or {}
    return Manifest(
        {name: str((given or {}).get("default", "")) for name, given in inputs.items()},
        tuple(outputs),
        runs["image"],
        entrypoint=runs.get("entrypoint"),
        args=tuple(map(str, runs.get("args", ()))),
        env={key: str(value) for key, value in runs.get("env", {}).items()},
        pre=runs.get("pre-entrypoint"),
        pre_if=runs.get("pre-if", "always()"),
        post=runs.get("post-entrypoint"),
        post_if=runs.get("post-if", "always()"),
    )


def evaluate(text: str, contexts: dict[str, Any]) -> str:
    """Evaluate the expressions of a text: `a.b` and `toJSON(a.b)` of the given contexts."""

    def value(found: re.Match[str]) -> str:
        path = re.fullmatch(r"(toJSON\()?(\w+(?:\.[\w-]+)+)(\))?", found.group(1))
        if not path or path.group(2).partition(".")[0] not in contexts:
            raise ValueError(f"a manifest may not say {found.group(0)}")
        here: Any = contexts
        for name in path.group(2).split("."):
            here = here[name]
        return json.dumps(here, indent=2) if path.group(1) else str(here)

    return _EXPRESSION.sub(value, text)


def holds(condition: str, status: str) -> bool:
    """Return True if a stage runs in a job of this status.

    Raise ValueError for more than one status function.
    """
    said = _EXPRESSION.sub(lambda found: found.group(1), condition).strip()
    if said not in _STATUS:
        raise ValueError(f"a condition that this runner does not know: {condition}")
    return status in _STATUS[said]


def quoted(argument: str) -> str:
    """Return an argument as the runner puts it into the command line: only its quotes are escaped."""
    return '"' + argument.replace('"', '\\"') + '"'


def words(line: str) -> list[str]:
    """Return the words of a command line as .NET splits it: backslashes count only before a quote."""
    found: list[str] = []
    word, inside = "", False
    for backslashes, character in re.findall(r"(\\*)([^\\]|$)", line):
        if character == '"':
            word += "\\" * (len(backslashes) // 2)
            if len(backslashes) % 2:
                word += '"'
            else:
                word, inside = word or _EMPTY, not inside
            continue
        word += backslashes
        if inside or not character.isspace():
            word += character
        elif word:
            found.append(word)
            word = ""
    return [part.replace(_EMPTY, "") for part in ([*found, word] if word else found)]


# Stands for a word between quotes in which nothing is, yet: it is a word all the same.
_EMPTY = "\0"
