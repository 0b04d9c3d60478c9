"""Write the outputs of the action's step, for later steps and jobs.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#setting-an-output-parameter
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from gate.model import Report
from gate.verdict import exit_code

# Written first, so that later steps read these if the gate could not run at all.
NO_VERDICT = {"verdict": "", "go": "false"}
# The format of each output that is a path.
_FILE_OUTPUTS = {"report": "md", "junit": "junit", "json": "json"}


def outputs(report: Report, written: Mapping[str, Path]) -> dict[str, str]:
    """Return the outputs by name. `written` holds the report's files by format; a missing one gives an empty output."""
    decision, counts = report.verdict.decision, report.counts
    numbers = {name: getattr(counts, name) for name in ("passed", "failed", "errors", "skipped", "waived", "total")}
    return {
        "verdict": decision.value,
        "go": "true" if exit_code(decision, report.ended) == 0 else "false",
        **{name: str(number) for name, number in numbers.items()},
        "rate": str(counts.rate),
        **{name: _relative_to_workspace(written.get(format)) for name, format in _FILE_OUTPUTS.items()},
    }


def write(values: Mapping[str, str], environment: Mapping[str, str] = os.environ) -> None:
    """Append outputs to the file that GITHUB_OUTPUT names, if it does; the last value of a name counts.

    Raise OSError if the file cannot be written.
    """
    _append(environment.get("GITHUB_OUTPUT"), values)


def save_state(values: Mapping[str, str], environment: Mapping[str, str] = os.environ) -> None:
    """Append values for the action's post step to the file that GITHUB_STATE names. Raise OSError like `write`."""
    _append(environment.get("GITHUB_STATE"), values)


def _append(path: str | None, values: Mapping[str, str]) -> None:
    if path:
        with open(path, "a", encoding="utf-8", errors="replace", newline="\n") as file:
            file.write("".join(format_output_entry(name, value) for name, value in values.items()))


def format_output_entry(name: str, value: str) -> str:
    """Return the text that sets one output."""
    # The delimiter is random, so that no value can contain it and add another output.
    delimiter = f"prodgate-{secrets.token_hex(16)}"
    return f"{name}<<{delimiter}\n{value}\n{delimiter}\n"


def _relative_to_workspace(path: Path | None) -> str:
    """Return a path relative to the workspace, because later steps see the workspace at another absolute path."""
    if path is None:
        return ""
    return str(path.relative_to(Path.cwd()) if path.is_absolute() and path.is_relative_to(Path.cwd()) else path)
