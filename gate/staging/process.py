"""A process that the gate started: a group of its own, its output kept.

It is found again after a crash by its group, which the fault journal has, and by its mark: what it started may have
left the group, and may not hide its environment as well.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TypedDict

from gate.process import Born, spawn
from gate.secrets import REACH, end_of_bytes, known

MARK = "PRODGATE_RUN"
"""The environment variable that every process started by a run carries, with the run's id."""

_TAIL = 4096
_CHUNK = 64 * 1024
_PATIENCE = 5.0
_AGAIN = 1.0
_PROC = Path("/proc/self")


class Process:
    """A process of the gate's own. It can be stopped and started again any number of times."""

    def __init__(
        self,
        name: str,
        command: list[str],
        environment: Mapping[str, str],
        root: Path,
        run_id: str,
        born: Born,
        stop_signal: int = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.command = command
        self.root = root
        self.environment = {**_clean(os.environ), **environment, MARK: run_id, "PRODGATE_TARGET": name}
        self.stop_signal = stop_signal
        self._born = born
        self._tail = bytearray()
        self._child: subprocess.Popen[bytes] | None = None
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
            self._child, _ = spawn(
                self.command, cwd=self.root, env=self.environment, stderr=subprocess.STDOUT, born=self._born
            )
            self._reader = threading.Thread(target=self._read, args=(self._child.stdout,), daemon=True)
            self._reader.start()

    def revive(self) -> None:
        """Starts it once more where it did not stay up, at most once a second."""
        with self._lock:
            if not self.running and time.monotonic() - self._started > _AGAIN:
                self.start()

    def _read(self, stream: IO[bytes]) -> None:
        """Keeps the end of what it writes; the rest is read, too, so that it never waits for a reader."""
        with stream:
            while data := os.read(stream.fileno(), _CHUNK):
                self._tail += data
                del self._tail[: -_TAIL - REACH]

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

    def stop(self, number: int | None = None, patience: float = _PATIENCE) -> None:
        """Ends it with its own signal or another; with SIGKILL what is left of its group after `patience` seconds."""
        if self._child is None:
            return
        self.send(self.stop_signal if number is None else number)
        self.send(signal.SIGCONT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(patience)
        self.send(signal.SIGKILL)
        self._child.wait(_PATIENCE)

    def kill(self) -> None:
        """Ends it with SIGKILL."""
        self.stop(signal.SIGKILL)

    @property
    def log(self) -> str:
        """The last 4 KiB of what it wrote, standard output and error together."""
        if self._reader is not None and not self.running:
            self._reader.join(_AGAIN)
        return known().beginning(end_of_bytes(self._tail, _TAIL))

    def close(self) -> None:
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


def _state(pid: int) -> str:
    fields = _stat(pid)
    return fields[0] if fields else _ps("stat=", "-p", str(pid))[:1] if not _PROC.exists() else ""


def _stat(pid: int) -> list[str]:
    """What the kernel says of a process, from its state on (proc_pid_stat(5)); empty for one that is not there."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _ps(column: str, *options: str) -> str:
    """What ps(1) says, where there is no /proc (macOS)."""
    done = subprocess.run(["ps", *options, "-o", column], capture_output=True, text=True, check=False)
    return done.stdout.strip()


class Group(TypedDict):
    """A process group as the journal has it. `started` is when its leader began, `machine` where numbers mean it."""

    group: int
    started: str
    machine: str


def group_of(pid: int) -> Group:
    """The group that a process leads."""
    return Group(group=pid, started=_started(pid), machine=_machine())


def _started(pid: int) -> str:
    """When a process began, in ticks since the machine did (proc_pid_stat(5)); empty for one that is not there."""
    fields = _stat(pid)
    return fields[19] if fields else _ps("lstart=", "-p", str(pid)) if not _PROC.exists() else ""


def _machine() -> str:
    """Where a process id means the same process: this boot, and this namespace. A container has one of its own."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {_PROC.joinpath('ns/pid').readlink()}"
    except OSError:
        return ""


def _members(group: Group) -> list[int]:
    """The living processes of a group and its session. None where its number has gone to another since."""
    if group["machine"] != _machine() or _started(group["group"]) not in ("", group["started"]):
        return []
    return [pid for pid, groups in _groups() if group["group"] in groups and _lives(pid)]


def _groups() -> list[tuple[int, tuple[int, ...]]]:
    """Every process with its group, and its session where that is known."""
    if not _PROC.exists():
        lines = [line.split() for line in _ps("pid=,pgid=", "-ax").splitlines()]
        return [(int(pid), (int(group),)) for pid, group in lines]
    found = ((int(entry.name), _stat(int(entry.name))) for entry in _PROC.parent.glob("[0-9]*"))
    return [(pid, (int(fields[2]), int(fields[3]))) for pid, fields in found if fields]


def marked(run_id: str) -> list[int]:
    """The processes that a run started, and those that they started, by the mark in their environment."""
    wanted = f"{MARK}={run_id}"
    found = _marked(wanted) if _PROC.exists() else _marked_by_ps(wanted)
    return [pid for pid in found if pid != os.getpid() and _lives(pid)]


def _lives(pid: int) -> bool:
    return _state(pid) not in ("Z", "X", "")


def _marked(wanted: str) -> list[int]:
    found = []
    for entry in _PROC.parent.glob("[0-9]*"):
        try:
            if wanted.encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def _marked_by_ps(wanted: str) -> list[int]:
    lines = [line.split() for line in _ps("pid=,command=", "-axwwE").splitlines()]
    return [int(words[0]) for words in lines if wanted in words[1:]]


def end_marked(run_id: str) -> list[int]:
    """Ends every process of a dead run: SIGTERM, then SIGKILL. Returns those that are left."""
    return _end(lambda: marked(run_id))


def end_group(group: Group) -> list[int]:
    """Ends what is left of a group: SIGTERM, then SIGKILL. Returns those that are left."""
    return _end(lambda: _members(group))


def is_here(group: Group) -> bool:
    """Whether the leader of a group is a process that is seen from here, and still the same."""
    return group["machine"] == _machine() and _started(group["group"]) == group["started"]


def kill(group: Group) -> None:
    """Ends the leader of a group at once."""
    _signal(group["group"], signal.SIGKILL)


def _end(living: Callable[[], list[int]]) -> list[int]:
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in living():
            _signal(pid, signal.SIGCONT)
            _signal(pid, number)
        end = time.monotonic() + _PATIENCE
        while living() and time.monotonic() < end:
            time.sleep(0.05)
    return living()


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return
