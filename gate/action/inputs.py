"""Translate the inputs of the action into command-line arguments.

The runner passes `with:` as INPUT_ variables, in capitals, with dashes kept:
https://docs.github.com/en/actions/reference/workflows-and-actions/metadata-syntax#inputs
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

# Inputs with one value a line, each passed as a repeated option.
REPEATED_OPTIONS = {"file": "--file"}
# Inputs of both modes, each passed as the value of one option; empty ones are omitted.
REPORT_OPTIONS = {"out": "--out", "language": "--language"}
PUBLISH_OPTIONS = {"publish": "--publish", "status": "--status", "context": "--context", "comment": "--comment"}
# Inputs of `mode: run` only.
RUN_OPTIONS = {
    "only": "--only",
    "deadline": "--deadline",
    "baseline": "--baseline",
    "compare": "--compare",
    "policy": "--policy",
}
# Inputs of `mode: merge` only.
MERGE_OPTIONS = {"expect": "--expect"}
# Inputs that are passed as positional arguments, or not on the command line at all: secrets and the runner's context.
NON_OPTIONS = ("mode", "reports", "github-token", "services", "job-status")
# A cancelled run whose container is still alive reverts its faults itself in most cases: the post step waits this long.
POST_STEP_TIMEOUT = "60s"
_POST_STEP_INPUTS = ("publish", "status", "context", "comment")


def main_step_arguments(environment: Mapping[str, str]) -> list[str]:
    """Return the arguments of the main step. Exit with 2 for an unknown mode.

    Every value is passed as `--option=value`: it cannot be parsed as an option itself.
    """
    mode = get_input(environment, "mode").strip() or "run"
    if mode not in ("run", "merge"):
        print(f"prodgate: mode: {mode!a} is not a valid mode; expected `run` or `merge`", file=sys.stderr)
        _report_wrong_mode([*_options(environment, {**REPORT_OPTIONS, **PUBLISH_OPTIONS}), *_parts(environment)])
        raise SystemExit(2)
    if mode == "merge":
        options = _options(environment, {**MERGE_OPTIONS, **REPORT_OPTIONS, **PUBLISH_OPTIONS})
        return ["merge", *options, *_parts(environment)]
    arguments = ["run"]
    for name, option in REPEATED_OPTIONS.items():
        arguments += [f"{option}={line.strip()}" for line in get_input(environment, name).splitlines() if line.strip()]
    return [*arguments, *_options(environment, {**REPORT_OPTIONS, **RUN_OPTIONS, **PUBLISH_OPTIONS})]


def _parts(environment: Mapping[str, str]) -> list[str]:
    return ["--", *(line.strip() for line in get_input(environment, "reports").splitlines() if line.strip())]


def _report_wrong_mode(arguments: Sequence[str]) -> None:
    from gate.commands.usage_error import report_usage_error
    from gate.publish.workflow_commands import guard_std_streams

    with guard_std_streams():
        report_usage_error("merge", arguments)  # as `merge`, so that the reports it was to read are kept


def post_step_arguments(environment: Mapping[str, str]) -> list[str]:
    """Return the arguments of the post step, which reverts what a killed run left, including its commit status."""
    # The post step runs after all other steps of the job: a run that is still alive was cancelled, so it may be killed.
    options = _options(environment, {name: PUBLISH_OPTIONS[name] for name in _POST_STEP_INPUTS})
    return ["restore", f"--end={POST_STEP_TIMEOUT}", *options]


def _options(environment: Mapping[str, str], options: Mapping[str, str]) -> list[str]:
    values = {option: " ".join(get_input(environment, name).split()) for name, option in options.items()}
    return [f"{option}={value}" for option, value in values.items() if value]


def get_input(environment: Mapping[str, str], name: str) -> str:
    """Return the value of an input, empty if it is not set."""
    return environment.get(f"INPUT_{name.upper()}", "")
