"""The inputs of the action, as the words of the command line that means the same.

The runner hands `with:` over as INPUT_ variables, in capitals, dashes kept:
https://docs.github.com/en/actions/reference/workflows-and-actions/metadata-syntax#inputs
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

LINES = {"file": "--file"}
"""Inputs with one value a line, each an option of its own."""
REPORTS = {"out": "--out", "language": "--language"}
"""Inputs that are one option's value in either mode; empty ones are left out."""
PUBLISHING = {"publish": "--publish", "status": "--status", "context": "--context", "comment": "--comment"}
"""What is told to GitHub, likewise."""
VALUES = {
    "only": "--only",
    "deadline": "--deadline",
    "baseline": "--baseline",
    "compare": "--compare",
    "policy": "--policy",
}
"""Inputs of `mode: run` alone."""
MERGING = {"expect": "--expect"}
"""Inputs of `mode: merge` alone."""
APART = ("mode", "reports", "github-token", "services", "job-status")
"""Inputs that are no option: words of their own, secret, or what only the runner knows."""
PATIENCE = "60s"
"""How long the post step waits for a cancelled run whose container lives on: it restores by itself, in most cases."""
_POST = ("publish", "status", "context")


def main_step_arguments(environment: Mapping[str, str]) -> list[str]:
    """The call of the main step. Every value stands in one word with its option: none can become an option itself.

    Exits with 2 for a mode that is none.
    """
    mode = get_input(environment, "mode").strip() or "run"
    if mode not in ("run", "merge"):
        print(f"prodgate: mode: expected `run` or `merge`, got {mode!a}", file=sys.stderr)
        _told([*_options(environment, {**REPORTS, **PUBLISHING}), *_parts(environment)])
        raise SystemExit(2)
    if mode == "merge":
        return ["merge", *_options(environment, {**MERGING, **REPORTS, **PUBLISHING}), *_parts(environment)]
    call = ["run"]
    for name, option in LINES.items():
        call += [f"{option}={line.strip()}" for line in get_input(environment, name).splitlines() if line.strip()]
    return [*call, *_options(environment, {**REPORTS, **VALUES, **PUBLISHING})]


def _parts(environment: Mapping[str, str]) -> list[str]:
    return ["--", *(line.strip() for line in get_input(environment, "reports").splitlines() if line.strip())]


def _told(call: Sequence[str]) -> None:
    from gate.commands.usage_error import report_usage_error
    from gate.publish.workflow_commands import guard_std_streams

    with guard_std_streams():
        report_usage_error("merge", call)  # the only one that has reports to read


def post_step_arguments(environment: Mapping[str, str]) -> list[str]:
    """The call of the post step: puts back whatever a killed run left broken, its commit status too.

    No step of the job is run beside it: whatever is still alive has been cancelled.
    """
    return ["restore", f"--end={PATIENCE}", *_options(environment, {name: PUBLISHING[name] for name in _POST})]


def _options(environment: Mapping[str, str], options: Mapping[str, str]) -> list[str]:
    values = {option: " ".join(get_input(environment, name).split()) for name, option in options.items()}
    return [f"{option}={value}" for option, value in values.items() if value]


def get_input(environment: Mapping[str, str], name: str) -> str:
    """The value of an input, empty where there is none."""
    return environment.get(f"INPUT_{name.upper()}", "")
