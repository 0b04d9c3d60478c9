"""Run a drill's user commands: its script, and a fault's command, proof and undo.

Each runs in its own session, so that Ctrl-C in a terminal does not reach it. Its process group is journaled before it
begins.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from gate.core.messages import Message, msg
from gate.decode.quantities import format_duration
from gate.redaction.secrets import redacted_tail
from gate.runtime.processes import CompletedCommand, ProcessGroupHook, RunningCommand, environment, start

_OUTPUT_EXCERPT_LENGTH = 1000


def start_command(
    command: Sequence[str],
    *,
    root: Path,
    timeout: float,
    on_group_created: ProcessGroupHook | None,
    cancelled: threading.Event | None = None,
    env_marker: Mapping[str, str] | None = None,
    keep_background_processes: bool = False,
) -> RunningCommand:
    """Start a command in the checkout `root`; it is ended after `timeout` seconds. Raise OSError if it can't start.

    `keep_background_processes` leaves alone what it started in the background, if it ends by itself. Without the run's
    `env_marker` those processes outlive the run, too.
    """
    return start(
        command,
        deadline=time.monotonic() + timeout,
        cwd=root,
        env=environment(env_marker or {}),
        cancelled=cancelled,
        on_group_created=on_group_created,
        keep_background_processes=keep_background_processes,
    )


def describe_failure(command: str, completed: CompletedCommand) -> Message | None:
    """Return why a command failed, with the end of its output; None if it exited with 0."""
    if completed.end_reason == "timeout":
        return msg(
            "`{command}` timed out after {took} and was stopped",
            command=command,
            took=format_duration(completed.duration),
        )
    if completed.end_reason == "cancelled":
        return msg("`{command}` was cancelled: the run ended first", command=command)
    if completed.returncode:
        output = redacted_tail(completed.output.text().strip(), _OUTPUT_EXCERPT_LENGTH)
        return msg(
            "`{command}` exited with {code}: {output}", command=command, code=completed.returncode, output=output
        )
    return None
