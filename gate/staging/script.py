"""The one way in which a drill runs commands of the user's own: a script, a fault's command, its proof, its way back.

Each has a session of its own, so that no Ctrl-C of a terminal reaches it. Its group is in the fault journal before it
begins, and is ended after its time, and when the run is over.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from gate.messages import Message, say
from gate.process import Born, Finished, Running, environment, start
from gate.quantities import duration
from gate.secrets import end_of

_SHOWN = 1000


def begin(
    command: Sequence[str],
    *,
    root: Path,
    timeout: float,
    born: Born | None,
    cancelled: threading.Event | None = None,
    mark: Mapping[str, str] | None = None,
    leaves: bool = False,
) -> Running:
    """Starts a command; `wait` says what became of it. Raises OSError where it can't be started.

    `leaves` lets it leave processes behind when it ends by itself; without the run's `mark` they outlive the run, too.
    """
    return start(
        command,
        deadline=time.monotonic() + timeout,
        cwd=root,
        env=environment(mark or {}),
        cancelled=cancelled,
        born=born,
        leaves=leaves,
    )


def trouble(command: str, done: Finished) -> Message | None:
    """What kept a command from ending well, with the last of what it wrote; None where it ended with 0."""
    if done.ended == "timeout":
        return say("`{command}` had not ended after {took} and was stopped", command=command, took=duration(done.took))
    if done.ended == "cancelled":
        return say("the run ended before `{command}` did", command=command)
    if done.code:
        said = end_of(done.output.text().strip(), _SHOWN)
        return say("`{command}` exited with {code}: {said}", command=command, code=done.code, said=said)
    return None
