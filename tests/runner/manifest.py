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


@dataclass(frozen=True)
class Manifest:
    """What an action declares."""

    inputs: dict[str, str]
    outputs: tuple[str, ...]
    image: str
    post: str | None
    env: dict[str, str] = field(default_factory=dict)


def read(path: Path) -> Manifest:
    """The manifest of a container action. Raises ValueError for what makes the runner fail the job."""
    document = yaml.safe_load(path.read_text())
    runs = document["runs"]
    if unknown := set(runs) - _RUNS:
        raise ValueError(f"unknown keys under runs: {sorted(unknown)}")
    if runs["using"] != "docker" or not re.search(
        r"(^|/)(Dockerfile\.[^/]*|[^/]*Dockerfile)$|^docker://", runs["image"]
    ):
        raise ValueError(f"not an image of a container action: {runs['image']}")
    for name, output in document["outputs"].items():
        if unknown := set(output) - {"description", "value"}:
            raise ValueError(f"unknown keys under the output {name}: {sorted(unknown)}")
    inputs = {name: str((given or {}).get("default", "")) for name, given in document["inputs"].items()}
    return Manifest(inputs, tuple(document["outputs"]), runs["image"], runs.get("post-entrypoint"), runs.get("env", {}))


def evaluate(text: str, contexts: dict[str, Any]) -> str:
    """A default with its expressions in place: `a.b` and `toJSON(a.b)` of the contexts that a default may see."""

    def value(found: re.Match[str]) -> str:
        path = re.fullmatch(r"(toJSON\()?((?:github|job|runner|matrix|strategy)(?:\.\w+)+)(\))?", found.group(1))
        if not path:
            raise ValueError(f"a default may not say {found.group(0)}")
        here: Any = contexts
        for name in path.group(2).split("."):
            here = here[name]
        return json.dumps(here, indent=2) if path.group(1) else str(here)

    return _EXPRESSION.sub(value, text)
