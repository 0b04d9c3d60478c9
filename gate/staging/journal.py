"""The fault journal: what a run is about to do to staging, written and flushed before it is done.

One file a run, one JSON object a line. The run holds a lock on its file for as long as it lives (`flock`, released by
the kernel whatever becomes of the process), so whoever can take the lock knows that the run is dead and what is left
of it may be undone: the action's post step, the next run, or `prodgate restore`.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from gate.runtime.process_tree import RUN_ID_VARIABLE, ProcessGroup, process_group
from gate.staging.docker_client import hostname

_SUFFIX = ".journal"


def folder() -> Path:
    """Where journals are: on a runner in its temporary folder, which the post step shares; else in the user's state."""
    runner = os.environ.get("RUNNER_TEMP") if os.environ.get("GITHUB_ACTIONS") == "true" else None
    if runner:
        return Path(runner) / "prodgate"
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "prodgate"


class FaultAction(Struct, frozen=True):
    """One act and how it is undone: `undo` names the way, `what` its arguments."""

    number: int
    revert: str
    arguments: dict[str, Any]
    settle_timeout: float = 0.0
    """Seconds after which the engine has surely done what it was asked to do, where nobody saw it done."""


class Journal:
    """The journal of a run that is alive."""

    def __init__(self, run_id: str, where: Path | None = None) -> None:
        base = where or folder()
        base.mkdir(parents=True, exist_ok=True)
        self.run_id = run_id
        self.path = base / f"{run_id}{_SUFFIX}"
        begun = base / f"{run_id}.begun"
        self._file = begun.open("wb", buffering=0)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._lock = threading.Lock()
        self._number = 0
        self._open: dict[int, FaultAction] = {}
        self._write({"run": run_id, "container": hostname(), "gate": process_group(os.getpid())})
        begun.rename(self.path)  # nobody may find it before it is locked

    @property
    def env_marker(self) -> dict[str, str]:
        """The environment variable by which a process of this run is known."""
        return {RUN_ID_VARIABLE: self.run_id}

    def record_intent(self, undo: str, *, settles: float = 0.0, **what: Any) -> FaultAction:
        """Writes down an act that is about to be done. Returns when it is on the disk.

        An engine does what it was asked even when who asked is gone. `settles` is how many seconds that may take.
        """
        with self._lock:
            self._number += 1
            act = FaultAction(self._number, undo, what, settles)
            self._open[act.number] = act
            self._write({"act": act.number, "undo": undo, "what": what, "settles": settles, "at": time.time()})
        return act

    def record_process(self, pid: int) -> Callable[[], None]:
        """Writes down a process group that is about to begin (`gate.runtime.processes.Born`)."""
        act = self.record_intent("end_group", **process_group(pid))
        return lambda: self.record_reverted(act)

    def record_done(self, act: FaultAction) -> None:
        """Writes down that an act has been done: nothing of it is under way any more."""
        with self._lock:
            self._write({"done": act.number})

    def record_reverted(self, act: FaultAction) -> None:
        """Writes down that an act has been undone."""
        with self._lock:
            self._write({"undone": act.number})
            self._open.pop(act.number, None)

    @property
    def open_acts(self) -> tuple[FaultAction, ...]:
        """The acts that were not undone, the latest first."""
        with self._lock:
            return tuple(reversed(self._open.values()))

    def close(self) -> bool:
        """End the journal and return whether all acts were undone.

        If one was not, the file stays, for the post step, the next run or `prodgate restore`.
        """
        with self._lock:
            if not self._open:
                self.path.unlink(missing_ok=True)
            self._file.close()
            return not self._open

    def _write(self, entry: dict[str, Any]) -> None:
        self._file.write(json.dumps(entry).encode() + b"\n")
        os.fsync(self._file.fileno())


class DeadRun(Struct, frozen=True):
    """What a dead run left: its id, and the acts that nobody has undone, the latest first."""

    run_id: str
    path: Path
    actions: tuple[FaultAction, ...]
    settled: float = 0.0
    """The time (seconds since the epoch) from which on nothing that it asked for is under way any more."""


class LiveRun(Struct, frozen=True):
    """A run that still goes on: the container that it is in, or None, and the gate's own process."""

    run_id: str
    container: str | None
    gate: ProcessGroup


@contextmanager
def scan_journals(where: Path | None = None) -> Iterator[tuple[list[DeadRun], list[LiveRun]]]:
    """The runs that are dead, locked for as long as the context lasts, so that two cannot restore the same; and those
    that are alive."""
    base = where or folder()
    files, dead, alive = [], [], []
    for path in sorted(base.glob(f"*{_SUFFIX}")) if base.is_dir() else []:
        file = path.open("rb")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            with file:
                alive += _alive(file.readline())
            continue
        files.append(file)
        if path.exists():
            acts, settled = _open_acts(file.read())
            dead.append(DeadRun(path.name.removesuffix(_SUFFIX), path, acts, settled))
    try:
        yield dead, alive
    finally:
        for file in files:
            file.close()


def _alive(line: bytes) -> list[LiveRun]:
    """Who goes on, by the first line of a journal; none where it has not been written yet."""
    try:
        first = json.loads(line)
    except ValueError:
        return []
    return [LiveRun(first["run"], first["container"], first["gate"])]


def _open_acts(raw: bytes) -> tuple[tuple[FaultAction, ...], float]:
    """The acts that were not undone, the latest first, and when the last of them has settled.

    A last line that was cut off by a crash was never acted upon.
    """
    acts: dict[int, FaultAction] = {}
    settled: dict[int, float] = {}
    for line in raw.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if "act" in entry:
            acts[entry["act"]] = FaultAction(entry["act"], entry["undo"], entry["what"], entry["settles"])
            settled[entry["act"]] = entry["at"] + entry["settles"]
        settled.pop(entry.get("done", entry.get("undone", 0)), None)
        acts.pop(entry.get("undone", 0), None)
    return tuple(reversed(acts.values())), max((settled[number] for number in acts if number in settled), default=0.0)
