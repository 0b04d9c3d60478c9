"""The inputs of the action, as the words of the command line that means the same.

The runner hands `with:` over as INPUT_ variables, in capitals, dashes kept:
https://docs.github.com/en/actions/reference/workflows-and-actions/metadata-syntax#inputs
"""

from __future__ import annotations

from collections.abc import Mapping

LINES = {"file": "--file"}
"""Inputs with one value a line, each an option of its own."""
VALUES = {"out": "--out", "language": "--language", "only": "--only", "deadline": "--deadline"}
"""Inputs that are one option's value; empty ones are left out."""
APART = ("github-token", "services", "job-status")
"""Inputs that are no option: secret, or what only the runner knows. They are read from the environment."""


def words(environment: Mapping[str, str]) -> list[str]:
    """The call of the main step. Every value stands in one word with its option: none can become an option itself."""
    call = ["run"]
    for name, option in LINES.items():
        call += [f"{option}={line.strip()}" for line in given(environment, name).splitlines() if line.strip()]
    for name, option in VALUES.items():
        if value := " ".join(given(environment, name).split()):
            call.append(f"{option}={value}")
    return call


def post_words(environment: Mapping[str, str]) -> list[str]:
    """The call of the post step: puts back whatever a killed run left broken."""
    return ["restore"]


def given(environment: Mapping[str, str], name: str) -> str:
    """The value of an input, empty where there is none."""
    return environment.get(f"INPUT_{name.upper()}", "")
