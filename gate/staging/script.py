"""The one way in which a drill runs commands of the user's own: a script, a fault's command, its proof, its way back.

Each has a session of its own, so that no Ctrl-C of a terminal reaches it, and carries the run's mark. Its group is in
the fault journal before it begins, and is gone when it is over: at its end, after its time, or when the run is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

from gate.messages import Message, say
from gate.process import Born, Finished, Running, environment, start
from gate.quantities import duration
from gate.staging.process import MARK

_SHOWN = 1000


def begin(
    command: Sequence[str],
    *,
    root: Path,
    run_id: str,
    timeout: float,
    born: Born | None = None,
    cancelled: threading.Event | None = None,
) -> Running:
    """Starts a command; `wait` says what became of it. Raises OSError where it can't be started."""
    return start(
        command,
        deadline=time.monotonic() + timeout,
        cwd=root,
        env=environment({MARK: run_id}),
        cancelled=cancelled,
        born=born,
    )


def trouble(command: str, done: Finished) -> Message | None:
    """What kept a command from ending well, with the last of what it wrote; None where it ended with 0."""
    if done.ended == "timeout":
        return say("`{command}` had not ended after {took} and was stopped", command=command, took=duration(done.took))
    if done.ended == "cancelled":
        return say("the run ended before `{command}` did", command=command)
    if done.code:
        said = done.output.text().strip()[-_SHOWN:]
        return say("`{command}` exited with {code}: {said}", command=command, code=done.code, said=said)
    return None
