"""A process that the gate started: a group of its own, its output kept, found again after a crash by its mark."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

MARK = "PRODGATE_RUN"
"""The environment variable that every process started by a run carries, with the run's id."""

_LOG_LIMIT = 4 * 2**20
_TAIL = 4096
_PATIENCE = 5.0


class Process:
    """A process of the gate's own. It can be stopped and started again any number of times."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], root: Path, run_id: str) -> None:
        self.name = name
        self.command = command
        self.root = root
        self.environment = {**_clean(os.environ), **environment, MARK: run_id, "PRODGATE_TARGET": name}
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as this object
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Starts it. Raises OSError where the command cannot be run."""
        with self._lock:
            if self._child is None or self._child.poll() is not None:
                self._trim()
                self._child = subprocess.Popen(
                    self.command,
                    cwd=self.root,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=self._log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )

    @property
    def pid(self) -> int | None:
        """Its process id, which is also that of its group; None where it was not started."""
        return self._child.pid if self._child else None

    @property
    def exit_code(self) -> int | None:
        """What it exited with, negative for a signal; None while it runs."""
        return self._child.poll() if self._child else 0

    @property
    def running(self) -> bool:
        """Whether the process itself is alive. A paused one is."""
        return self._child is not None and self._child.poll() is None

    @property
    def paused(self) -> bool:
        """Whether the kernel has it as stopped (state T of proc_pid_stat(5))."""
        return self.running and _state(self.pid or 0) == "T"

    def send(self, number: int) -> None:
        """Sends a signal to the whole group, while there is one."""
        if self._child is not None:
            _signal_group(self._child.pid, number)

    def stop(self, number: int = signal.SIGTERM, patience: float = _PATIENCE) -> None:
        """Ends it with a signal, and with SIGKILL what is left of its group after `patience` seconds."""
        if self._child is None:
            return
        self.send(signal.SIGCONT)
        self.send(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(patience)
        self.send(signal.SIGKILL)
        self._child.wait(patience)

    def kill(self) -> None:
        """Ends it with SIGKILL."""
        self.stop(signal.SIGKILL)

    @property
    def log(self) -> str:
        """The last 4 KiB of what it wrote, standard output and error together."""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), _TAIL, max(0, size - _TAIL)).decode("utf-8", "replace")

    def close(self) -> None:
        """Ends it and forgets its output."""
        self.stop()
        self._log.close()

    def _trim(self) -> None:
        if os.fstat(self._log.fileno()).st_size > _LOG_LIMIT:
            os.ftruncate(self._log.fileno(), 0)
            os.lseek(self._log.fileno(), 0, os.SEEK_SET)


def _clean(environment: Mapping[str, str]) -> dict[str, str]:
    """The gate's own environment without what is the runner's and the gate's: tokens, inputs, file commands."""
    ours = ("INPUT_", "ACTIONS_", "GITHUB_", "STATE_")
    return {key: value for key, value in environment.items() if not key.startswith(ours) and not key.endswith("_TOKEN")}


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


def marked(run_id: str) -> list[int]:
    """The processes that a run started, and those that they started, by the mark in their environment."""
    wanted = f"{MARK}={run_id}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid() and _state(pid) not in ("Z", "X")]


def end_marked(run_id: str, patience: float = _PATIENCE) -> list[int]:
    """Ends every process of a dead run: SIGTERM, then SIGKILL. Returns those that are left."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in marked(run_id):
            _signal(pid, signal.SIGCONT)
            _signal(pid, number)
        end = time.monotonic() + patience
        while marked(run_id) and time.monotonic() < end:
            time.sleep(0.05)
    return marked(run_id)


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return
