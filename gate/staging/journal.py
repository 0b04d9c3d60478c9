"""The fault journal: record how to revert each action of a run, flushed to disk before the action is done.

Each run writes one file with one JSON object per line. `scan_journals` finds the files of dead runs.
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
from typing import Any, Literal

from msgspec import Struct

from gate.runtime.process_tree import RUN_ID_VARIABLE, ProcessGroup, process_group
from gate.staging.docker_client import hostname

# How an action is reverted (`gate.staging.revert`). The names are stored on disk and never change.
RevertName = Literal[
    "start_container",
    "unpause_container",
    "connect_container",
    "remove_container",
    "let_go",
    "run_command",
    "end_group",
    "end_processes",
    "remove_labelled",
    "remove_file",
    "restore_file",
    "set_cpu_quota",
    "leave_network",
    "take_down_project",
]
_SUFFIX = ".journal"


def journal_folder() -> Path:
    """Return the folder of the journals: below RUNNER_TEMP in the action, else below XDG_STATE_HOME."""
    # The post step runs in another container; of the job's folders it shares RUNNER_TEMP.
    runner_temp = os.environ.get("RUNNER_TEMP") if os.environ.get("GITHUB_ACTIONS") == "true" else None
    if runner_temp:
        return Path(runner_temp) / "prodgate"
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "prodgate"


class FaultAction(Struct, frozen=True):
    """A journaled action: the function that reverts it, and the arguments of that function.

    `settle_timeout` is the number of seconds after which Docker has surely completed the request, even if the run that
    sent it died before the response.
    """

    number: int
    revert: RevertName
    arguments: dict[str, Any]
    settle_timeout: float = 0.0


class Journal:
    """The journal of this run, locked while the run lives."""

    def __init__(self, run_id: str, folder: Path | None = None) -> None:
        folder = folder or journal_folder()
        folder.mkdir(parents=True, exist_ok=True)
        self.run_id = run_id
        self.path = folder / f"{run_id}{_SUFFIX}"
        unlocked_path = folder / f"{run_id}.begun"
        # The files that `restore_file` puts back can hold secrets.
        unlocked_path.touch(mode=0o600)
        self._file = unlocked_path.open("wb", buffering=0)
        # The kernel releases the lock however the process dies: whoever gets it knows that the run is dead.
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._lock = threading.Lock()
        self._last_number = 0
        self._open: dict[int, FaultAction] = {}
        self._write({"run": run_id, "container": hostname(), "gate": process_group(os.getpid())})
        # A journal found before it is locked would be taken for that of a dead run: give it its name only now.
        unlocked_path.rename(self.path)

    @property
    def env_marker(self) -> dict[str, str]:
        """Return the environment variable that marks the processes of this run."""
        return {RUN_ID_VARIABLE: self.run_id}

    def record_intent(self, revert: RevertName, *, settle_timeout: float = 0.0, **arguments: Any) -> FaultAction:
        """Record an action before it is done. Return when the record is on disk."""
        with self._lock:
            self._last_number += 1
            action = FaultAction(self._last_number, revert, arguments, settle_timeout)
            self._open[action.number] = action
            self._write(
                {
                    "act": action.number,
                    "undo": revert,
                    "what": arguments,
                    "settles": settle_timeout,
                    "at": time.time(),
                }
            )
        return action

    def record_process(self, pid: int) -> Callable[[], None]:
        """Record a process group before exec, as `ProcessGroupHook`. Call the returned function when it is gone."""
        action = self.record_intent("end_group", **process_group(pid))
        return lambda: self.record_reverted(action)

    def record_done(self, action: FaultAction) -> None:
        """Record that an action has completed: recovery need not wait for it to settle."""
        with self._lock:
            self._write({"done": action.number})

    def record_reverted(self, action: FaultAction) -> None:
        """Record that an action has been reverted."""
        with self._lock:
            self._write({"undone": action.number})
            self._open.pop(action.number, None)

    @property
    def open_actions(self) -> tuple[FaultAction, ...]:
        """Return the actions that have not been reverted, the latest first."""
        with self._lock:
            return tuple(reversed(self._open.values()))

    def close(self) -> bool:
        """Close the journal and return whether every action was reverted.

        The file is deleted only in that case. Otherwise it stays for the post step, the next run or `prodgate restore`.
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
    """A run that died before it closed its journal, with its open actions, the latest first.

    `settled_at` is the Unix time at which its last request to Docker has surely completed.
    """

    run_id: str
    path: Path
    actions: tuple[FaultAction, ...]
    settled_at: float = 0.0


class LiveRun(Struct, frozen=True):
    """A run that is still going on: its container, or None if it runs in none, and the gate's process."""

    run_id: str
    container: str | None
    gate: ProcessGroup


@contextmanager
def scan_journals(folder: Path | None = None) -> Iterator[tuple[list[DeadRun], list[LiveRun]]]:
    """Yield the dead runs and the live runs whose journals are in a folder.

    The journals of the dead runs stay locked inside the context, so that no two processes recover the same run.
    """
    folder = folder or journal_folder()
    locked_files, dead_runs, live_runs = [], [], []
    for path in sorted(folder.glob(f"*{_SUFFIX}")) if folder.is_dir() else []:
        file = path.open("rb")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            with file:
                live_runs += _parse_live_run(file.readline())
            continue
        locked_files.append(file)
        # Another process may have recovered and deleted it between the listing and the lock.
        if path.exists():
            actions, settled_at = _parse_open_actions(file.read())
            dead_runs.append(DeadRun(path.name.removesuffix(_SUFFIX), path, actions, settled_at))
    try:
        yield dead_runs, live_runs
    finally:
        for file in locked_files:
            file.close()


def _parse_live_run(first_line: bytes) -> list[LiveRun]:
    """Parse the first line of a journal; return [] if it has not been written yet."""
    try:
        header = json.loads(first_line)
    except ValueError:
        return []
    return [LiveRun(header["run"], header["container"], header["gate"])]


def _parse_open_actions(content: bytes) -> tuple[tuple[FaultAction, ...], float]:
    """Return the actions that were not reverted, the latest first, and the time when the last one has settled."""
    actions: dict[int, FaultAction] = {}
    settle_times: dict[int, float] = {}
    for line in content.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            # A crash cut the last line off before the action was done.
            continue
        if "act" in entry:
            actions[entry["act"]] = FaultAction(entry["act"], entry["undo"], entry["what"], entry["settles"])
            settle_times[entry["act"]] = entry["at"] + entry["settles"]
        settle_times.pop(entry.get("done", entry.get("undone", 0)), None)
        actions.pop(entry.get("undone", 0), None)
    open_settle_times = [settle_time for number, settle_time in settle_times.items() if number in actions]
    return tuple(reversed(actions.values())), max(open_settle_times, default=0.0)
