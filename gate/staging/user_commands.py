"""The one way in which a drill runs commands of the user's own: a script, a fault's command, its proof, its way back.

Each has a session of its own, so that no Ctrl-C of a terminal reaches it. Its group is in the fault journal before it
begins, and is ended after its time, and when the run is over.
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

_SHOWN = 1000


def start_command(
    command: Sequence[str],
    *,
    root: Path,
    timeout: float,
    born: ProcessGroupHook | None,
    cancelled: threading.Event | None = None,
    mark: Mapping[str, str] | None = None,
    leaves: bool = False,
) -> RunningCommand:
    """Starts a command; `wait` says what became of it. Raises OSError where it can't be started.

    `leaves` lets it leave processes behind when it ends by itself; without the run's `mark` they outlive the run, too.
    """
    return start(
        command,
        deadline=time.monotonic() + timeout,
        cwd=root,
        env=environment(mark or {}),
        cancelled=cancelled,
        on_group_created=born,
        keep_background_processes=leaves,
    )


def describe_failure(command: str, done: CompletedCommand) -> Message | None:
    """What kept a command from ending well, with the last of what it wrote; None where it ended with 0."""
    if done.end_reason == "timeout":
        return msg(
            "`{command}` had not ended after {took} and was stopped",
            command=command,
            took=format_duration(done.duration),
        )
    if done.end_reason == "cancelled":
        return msg("the run ended before `{command}` did", command=command)
    if done.returncode:
        said = redacted_tail(done.output.text().strip(), _SHOWN)
        return msg("`{command}` exited with {code}: {said}", command=command, code=done.returncode, said=said)
    return None
