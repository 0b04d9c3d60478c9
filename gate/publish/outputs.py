"""The outputs of the action's step, for the steps and jobs that come after it.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#setting-an-output-parameter
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from gate.model import Report
from gate.verdict import exit_code

NO_VERDICT = {"verdict": "", "go": "false"}
"""What a later step reads where the gate could not run at all."""
_FILES = {"report": "md", "junit": "junit", "json": "json"}


def outputs(report: Report, written: Mapping[str, Path]) -> dict[str, str]:
    """The outputs by name. `written` has the files of the report by format; those of a missing one are empty."""
    decision, counts = report.verdict.decision, report.counts
    numbers = {name: getattr(counts, name) for name in ("passed", "failed", "errors", "skipped", "waived", "total")}
    return {
        "verdict": decision.value,
        "go": "true" if exit_code(decision, report.ended) == 0 else "false",
        **{name: str(number) for name, number in numbers.items()},
        "rate": str(counts.rate),
        **{name: _below_workspace(written.get(format)) for name, format in _FILES.items()},
    }


def write(values: Mapping[str, str], environment: Mapping[str, str] = os.environ) -> None:
    """Appends outputs to the file that the runner gave; later ones override. Nothing is done where it gave none.

    Raises OSError where the file cannot be written.
    """
    _append(environment.get("GITHUB_OUTPUT"), values)


def save_state(values: Mapping[str, str], environment: Mapping[str, str] = os.environ) -> None:
    """Keeps values for the action's post step, likewise."""
    _append(environment.get("GITHUB_STATE"), values)


def _append(path: str | None, values: Mapping[str, str]) -> None:
    if path:
        with open(path, "a", encoding="utf-8", errors="replace", newline="\n") as file:
            file.write("".join(format_output_entry(name, value) for name, value in values.items()))


def format_output_entry(name: str, value: str) -> str:
    """One output. Its end mark is random, so that no value can hold it and add an output of its own."""
    mark = f"prodgate-{secrets.token_hex(16)}"
    return f"{name}<<{mark}\n{value}\n{mark}\n"


def _below_workspace(path: Path | None) -> str:
    """A path as the steps after this one see it: the workspace stands elsewhere for them."""
    if path is None:
        return ""
    return str(path.relative_to(Path.cwd()) if path.is_absolute() and path.is_relative_to(Path.cwd()) else path)
