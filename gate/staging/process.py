"""A target that the gate started as a process."""

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

_LOG_LENGTH = 4096
_READ_SIZE = 64 * 1024
_STOP_GRACE = 5.0
_MIN_RESTART_INTERVAL = 1.0
_TERMINATION_SIGNALS = (signal.SIGTERM, signal.SIGKILL)
_PRIVATE_PREFIXES = ("INPUT_", "ACTIONS_", "GITHUB_", "STATE_")


class Process:
    """A command with all its descendants and the end of its output. It can be stopped and started repeatedly.

    `on_group_created` journals its process group, so that recovery finds it after a crash of the gate.
    """

    def __init__(
        self,
        name: str,
        command: list[str],
        environment: Mapping[str, str],
        root: Path,
        run_id: str,
        on_group_created: ProcessGroupHook,
        stop_signal: int = signal.SIGTERM,
        user: str | None = None,
    ) -> None:
        self.name = name
        self.command = command
        self.root = root
        self.environment = {
            **_without_secrets(os.environ),
            **_user_variables(user),
            **environment,
            RUN_ID_VARIABLE: run_id,
            "PRODGATE_TARGET": name,
        }
        self.stop_signal = stop_signal
        self.user = user
        self._on_group_created = on_group_created
        self._output_tail = bytearray()
        self._spawned: Spawned | None = None
        self._reader: threading.Thread | None = None
        self._started_at = 0.0
        self._terminated = False
        self._original: tuple[list[str], dict[str, str]] | None = None
        self._lock = threading.RLock()

    def start(self) -> None:
        """Start the process unless it is running or was terminated. Raise OSError if the command can't be run."""
        with self._lock:
            if self._terminated or self.running:
                return
            self._started_at = time.monotonic()
            self._spawned = spawn(
                self.command,
                cwd=self.root,
                env=self.environment,
                stderr=subprocess.STDOUT,
                on_group_created=self._on_group_created,
                user=self.user,
            )
            self._reader = threading.Thread(target=self._read, args=(self._spawned.process.stdout,), daemon=True)
            self._reader.start()

    def replace(self, command: list[str], environment: Mapping[str, str]) -> None:
        """Run another command from the next start on, with some variables changed, until `restore`."""
        with self._lock:
            self._original = self._original or (self.command, self.environment)
            self.command, self.environment = command, {**self._original[1], **environment}

    @property
    def is_replaced(self) -> bool:
        """Return whether another command runs in its place."""
        return self._original is not None

    def restore(self) -> None:
        """Stop what runs in its place; its own command runs again from the next start on."""
        with self._lock:
            if self._original is None:
                return
            self.stop()
            if not self.members:
                self.command, self.environment = self._original
                self._original = None

    def restart_if_dead(self) -> None:
        """Start the process again if it has exited, at most once a second."""
        with self._lock:
            if not self.running and time.monotonic() - self._started_at > _MIN_RESTART_INTERVAL:
                self.start()

    def _read(self, stream: IO[bytes]) -> None:
        """Keep the end of the output."""
        # Read all of it: a process whose pipe is full would hang.
        with stream:
            while data := os.read(stream.fileno(), _READ_SIZE):
                self._output_tail += data
                del self._output_tail[: -_LOG_LENGTH - OVERLAP]

    @property
    def exit_code(self) -> int | None:
        """Return the exit code, negative if a signal ended the process; None while it is running."""
        return self._spawned.process.poll() if self._spawned else 0

    @property
    def running(self) -> bool:
        """Return whether the process itself is alive, descendants apart. A paused process is."""
        return self._spawned is not None and self._spawned.process.poll() is None

    @property
    def instance(self) -> str:
        """Return what distinguishes this start of the process from others; empty if it is not running."""
        if self._spawned is None or not self.running:
            return ""
        return f"{self._spawned.process.pid} {self._started_at}"

    @property
    def members(self) -> list[ProcessInfo]:
        """Return the process and its descendants that are alive."""
        return self._spawned.tree.members() if self._spawned else []

    def count_paused(self) -> tuple[int, int]:
        """Return how many of its members are paused, and how many there are."""
        members = self.members
        return sum(process_tree.is_stopped(member.pid) for member in members), len(members)

    def pause(self) -> None:
        """Send SIGSTOP to every member. Check the effect with `count_paused`."""
        if self._spawned is not None:
            self._spawned.tree.freeze()

    def resume(self) -> None:
        """Send SIGCONT to every member."""
        if self._spawned is not None:
            self._spawned.tree.resume()

    def stop(self, signal_number: int | None = None, grace: float = _STOP_GRACE) -> None:
        """Send a signal to the group, its stop signal by default, then SIGKILL to every remaining member.

        SIGKILL follows when the process itself has exited, or after `grace` seconds.
        """
        spawned = self._spawned
        if spawned is None:
            return
        _signal_group(spawned.process.pid, self.stop_signal if signal_number is None else signal_number)
        # A paused process handles the signal only once it continues.
        self.resume()
        with contextlib.suppress(subprocess.TimeoutExpired):
            spawned.process.wait(grace)
        survivors = spawned.tree.terminate(signal.SIGKILL)
        if not survivors:
            spawned.process.wait()
            spawned.gone()

    def kill(self) -> None:
        """Send SIGKILL to every member."""
        self.stop(signal.SIGKILL)

    @property
    def log(self) -> str:
        """Return the last 4 KiB of its output, stdout and stderr together, redacted."""
        if self._reader is not None and not self.running:
            # The last lines, often the error, may still be in the pipe.
            self._reader.join(1.0)
        return default_redactor().redact_head(redacted_tail_bytes(self._output_tail, _LOG_LENGTH))

    def terminate(self) -> None:
        """Stop the process for good: `start` does nothing afterwards."""
        with self._lock:
            self._terminated = True
        self.stop()


def _without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without tokens, action inputs and the runner's own variables."""
    return {
        key: value
        for key, value in environment.items()
        if not key.startswith(_PRIVATE_PREFIXES) and not key.endswith("_TOKEN")
    }


def _user_variables(user: str | None) -> dict[str, str]:
    """Return the variables that name a user; none if the user does not exist or is not given."""
    import pwd

    try:
        entry = pwd.getpwnam(user) if user else None
    except KeyError:
        return {}
    return {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name} if entry else {}


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return


def terminate_run(run_id: str) -> list[ProcessInfo]:
    """Send SIGTERM, then SIGKILL to every process of a run. Return the survivors."""
    return process_tree.terminate_processes(lambda: process_tree.run_members(run_id), _TERMINATION_SIGNALS)


def terminate_process_group(group: ProcessGroup) -> list[ProcessInfo]:
    """Send SIGTERM, then SIGKILL to a group and its descendants. Return the survivors."""
    return process_tree.terminate_processes(lambda: process_tree.group_members(group), _TERMINATION_SIGNALS)


def kill_leader(group: ProcessGroup) -> None:
    """Send SIGKILL to the leader of a group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(group["group"], signal.SIGKILL)
