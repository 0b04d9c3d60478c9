"""A target that the gate started as a process, with all that it started itself, and its output.

After a crash it is found again by its group, which is in the fault journal, and by the tag and mark of its run.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from gate.redaction.secrets import OVERLAP, default_redactor, redacted_tail_bytes
from gate.runtime import process_tree
from gate.runtime.process_tree import RUN_ID_VARIABLE, ProcessGroup, ProcessInfo
from gate.runtime.processes import ProcessGroupHook, Spawned, spawn

_TAIL = 4096
_CHUNK = 64 * 1024
_PATIENCE = 5.0
_AGAIN = 1.0
_END = (signal.SIGTERM, signal.SIGKILL)


class Process:
    """A process of the gate's own. It can be stopped and started again any number of times."""

    def __init__(
        self,
        name: str,
        command: list[str],
        environment: Mapping[str, str],
        root: Path,
        run_id: str,
        born: ProcessGroupHook,
        stop_signal: int = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.command = command
        self.root = root
        self.environment = {**_clean(os.environ), **environment, RUN_ID_VARIABLE: run_id, "PRODGATE_TARGET": name}
        self.stop_signal = stop_signal
        self._born = born
        self._tail = bytearray()
        self._spawned: Spawned | None = None
        self._reader: threading.Thread | None = None
        self._started = 0.0
        self._ended = False
        self._lock = threading.RLock()

    def start(self) -> None:
        """Starts it, unless it runs or was closed. Raises OSError where the command cannot be run."""
        with self._lock:
            if self._ended or self.running:
                return
            self._started = time.monotonic()
            self._spawned = spawn(
                self.command, cwd=self.root, env=self.environment, stderr=subprocess.STDOUT, on_group_created=self._born
            )
            self._reader = threading.Thread(target=self._read, args=(self._spawned.process.stdout,), daemon=True)
            self._reader.start()

    def restart_if_dead(self) -> None:
        """Starts it once more where it did not stay up, at most once a second."""
        with self._lock:
            if not self.running and time.monotonic() - self._started > _AGAIN:
                self.start()

    def _read(self, stream: IO[bytes]) -> None:
        """Keeps the end of what it writes; the rest is read, too, so that it never waits for a reader."""
        with stream:
            while data := os.read(stream.fileno(), _CHUNK):
                self._tail += data
                del self._tail[: -_TAIL - OVERLAP]

    @property
    def exit_code(self) -> int | None:
        """What it exited with, negative for a signal; None while it runs."""
        return self._spawned.process.poll() if self._spawned else 0

    @property
    def running(self) -> bool:
        """Whether the process itself is alive. A paused one is."""
        return self._spawned is not None and self._spawned.process.poll() is None

    @property
    def members(self) -> list[ProcessInfo]:
        """The process and everything that it started, as far as it is alive."""
        return self._spawned.tree.members() if self._spawned else []

    def paused(self) -> tuple[int, int]:
        """Return how many of its members are stopped, and how many there are."""
        members = self.members
        return sum(process_tree.is_stopped(each.pid) for each in members), len(members)

    def pause(self) -> None:
        """Stop all its members. `paused` says whether that could be done."""
        if self._spawned is not None:
            self._spawned.tree.freeze()

    def resume(self) -> None:
        """Let all its members go on."""
        if self._spawned is not None:
            self._spawned.tree.resume()

    def stop(self, number: int | None = None, patience: float = _PATIENCE) -> None:
        """End it with its own signal or another; what is left after it, or after `patience` seconds, with SIGKILL."""
        spawned = self._spawned
        if spawned is None:
            return
        _signal_group(spawned.process.pid, self.stop_signal if number is None else number)
        self.resume()
        with contextlib.suppress(subprocess.TimeoutExpired):
            spawned.process.wait(patience)
        left = spawned.tree.end(signal.SIGKILL)
        if not left:
            spawned.process.wait()
            spawned.gone()

    def kill(self) -> None:
        """Ends it with SIGKILL."""
        self.stop(signal.SIGKILL)

    @property
    def log(self) -> str:
        """The last 4 KiB of what it wrote, standard output and error together."""
        if self._reader is not None and not self.running:
            self._reader.join(_AGAIN)
        return default_redactor().redact_head(redacted_tail_bytes(self._tail, _TAIL))

    def terminate(self) -> None:
        """Ends it for good."""
        with self._lock:
            self._ended = True
        self.stop()


def _clean(environment: Mapping[str, str]) -> dict[str, str]:
    """The gate's own environment without what is the runner's and the gate's: tokens, inputs, file commands."""
    ours = ("INPUT_", "ACTIONS_", "GITHUB_", "STATE_")
    return {key: value for key, value in environment.items() if not key.startswith(ours) and not key.endswith("_TOKEN")}


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return


def end_run(run_id: str) -> list[ProcessInfo]:
    """End every process of a run: SIGTERM, then SIGKILL. Return those that are left."""
    return process_tree.kill_processes(lambda: process_tree.members_of_run(run_id), _END)


def kill_process_group(group: ProcessGroup) -> list[ProcessInfo]:
    """End what is left of a group: SIGTERM, then SIGKILL. Return those that are left."""
    return process_tree.kill_processes(lambda: process_tree.members(group), _END)


def kill_leader(group: ProcessGroup) -> None:
    """End the leader of a group at once."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(group["group"], signal.SIGKILL)
