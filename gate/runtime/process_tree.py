"""Find and signal all descendants of a command, even daemons that left its group, session and environment."""

# On Linux a command is tagged before exec, with a unique value of its soft limit RLIMIT_RTTIME: the CPU time of a
# real-time process, set so high that it limits nothing. Every descendant inherits it, even if its parent is dead.
# Other systems have no prlimit: there, the members of the group and their children are found.

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import re
import resource
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypedDict

from msgspec import Struct

# The environment variable with the run's id, set for every process that a run starts.
RUN_ID_VARIABLE = "PRODGATE_RUN"
PROC = Path("/proc/self")
_SIGNAL_TIMEOUT = 5.0
_POLL_INTERVAL = 0.02
# A tag consists of a marker bit, a hash of the run id and the number of the command in this process.
_NUMBER_BITS = 14
_RUN_BITS = 48
_TAG_MARKER = 1 << (_NUMBER_BITS + _RUN_BITS)
_RTTIME_LIMIT = re.compile(rb"Max realtime timeout +(\d+) ")
_command_numbers = itertools.count(1)


class ProcessInfo(Struct, frozen=True):
    """A process as the kernel reports it. `started` tells it from a later process with the same pid."""

    pid: int
    state: str
    parent: int
    group: int
    session: int
    started: str


class ProcessGroup(TypedDict):
    """A process group as stored in the journal.

    `started` is the start time of its leader; `machine` identifies the boot and pid namespace in which pids are valid.
    """

    group: int
    started: str
    machine: str


class ProcessTree(Struct, frozen=True):
    """A command that leads its own session, and its descendants."""

    leader: ProcessGroup
    tag: int | None = None

    def members(self) -> list[ProcessInfo]:
        """Return its live processes, parents before their children."""
        return group_members(self.leader, self.tag)

    def terminate(self, *signals: int, timeout: float = _SIGNAL_TIMEOUT) -> list[ProcessInfo]:
        """Send one signal after the other, each with `timeout` seconds to take effect. Return the survivors."""
        return terminate_processes(self.members, signals, timeout)

    def freeze(self, timeout: float = _SIGNAL_TIMEOUT) -> bool:
        """Send SIGSTOP to every process and return whether all are stopped within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        # A process can fork until it is stopped: repeat until no running one is found.
        while running := [process for process in self.members() if not is_stopped(process.pid)]:
            for process in running:
                send_signal(process, signal.SIGSTOP)
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_INTERVAL)
        return True

    def resume(self) -> None:
        """Send SIGCONT to every process."""
        # Children first: a parent that waits for job control must not see a stopped child.
        for process in reversed(self.members()):
            send_signal(process, signal.SIGCONT)


def tag_process_tree(pid: int, run_id: str | None) -> ProcessTree:
    """Tag a process before exec. With a `run_id`, its descendants are found by `run_members`, too."""
    digest = hashlib.sha256(run_id.encode()).digest() if run_id else secrets.token_bytes(_RUN_BITS // 8)
    tag = _TAG_MARKER | _run_bits(digest) << _NUMBER_BITS | next(_command_numbers) % (1 << _NUMBER_BITS)
    return ProcessTree(process_group(pid), tag if _set_tag(pid, tag) else None)


def _run_bits(digest: bytes) -> int:
    return int.from_bytes(digest[: _RUN_BITS // 8], "big")


def _set_tag(pid: int, tag: int) -> bool:
    if not hasattr(resource, "prlimit"):
        return False
    try:
        _, hard = resource.prlimit(pid, resource.RLIMIT_RTTIME)
        resource.prlimit(pid, resource.RLIMIT_RTTIME, (tag, hard))
    except (OSError, ValueError):
        # The hard limit is below the tag, or may not be changed.
        return False
    return True


def _tag_of(pid: int) -> int:
    match = _RTTIME_LIMIT.search(_read(f"/proc/{pid}/limits"))
    return int(match[1]) if match else 0


def _read(path: str) -> bytes:
    """Return the content of a file in /proc; empty if the process is gone or belongs to another user."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def process_group(pid: int) -> ProcessGroup:
    """Return the process group that a process leads."""
    return ProcessGroup(group=pid, started=_start_time(pid), machine=_machine())


def is_local_process(group: ProcessGroup) -> bool:
    """Return whether the leader of a group is alive on this machine and in this pid namespace."""
    return group["machine"] == _machine() and _start_time(group["group"]) == group["started"]


def _machine() -> str:
    """Return an id of this boot and pid namespace: a pid from elsewhere means another process."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {PROC.joinpath('ns/pid').readlink()}"
    except OSError:
        return ""


def _start_time(pid: int) -> str:
    """Return the start time of a process; empty if there is no such process."""
    if PROC.exists():
        process = _read_process(pid)
        return process.started if process else ""
    return _ps("lstart=", "-p", str(pid))


def _ps(column: str, *options: str) -> str:
    """Return a column printed by ps(1), for systems without /proc (macOS)."""
    completed = subprocess.run(
        ["ps", *options, "-o", column], capture_output=True, text=True, errors="replace", check=False
    )
    return completed.stdout.strip()


def _read_process(pid: int) -> ProcessInfo | None:
    """Parse proc_pid_stat(5); return None if there is no such process."""
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].decode("ascii", "replace").split()
    if not fields:
        return None
    return ProcessInfo(pid, fields[0], int(fields[1]), int(fields[2]), int(fields[3]), fields[19])


def _live_processes() -> dict[int, ProcessInfo]:
    """Return every live process by its pid, the oldest first."""
    if not PROC.exists():
        rows = [line.split(None, 4) for line in _ps("pid=,ppid=,pgid=,stat=,lstart=", "-ax").splitlines()]
        processes = [
            ProcessInfo(int(pid), state[:1], int(parent), int(group), 0, at) for pid, parent, group, state, at in rows
        ]
    else:
        entries = PROC.parent.glob("[0-9]*")
        processes = [process for entry in entries if (process := _read_process(int(entry.name)))]
        processes.sort(key=lambda process: (int(process.started), process.pid))
    return {
        process.pid: process for process in processes if process.state not in ("Z", "X") or has_threads(process.pid)
    }


def has_threads(pid: int) -> bool:
    """Return whether a process whose main thread has exited still has other threads."""
    return len(_thread_ids(pid)) > 1


def _thread_ids(pid: int) -> list[str]:
    try:
        return [entry.name for entry in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []


def is_stopped(pid: int) -> bool:
    """Return whether all threads of a process are stopped by a signal (state T)."""
    if not PROC.exists():
        return _ps("stat=", "-p", str(pid))[:1] == "T"
    stats = (_read(f"/proc/{pid}/task/{thread_id}/stat").rpartition(b")")[2].split() for thread_id in _thread_ids(pid))
    states = {stat[0] for stat in stats if stat} - {b"Z", b"X"}
    return states == {b"T"}


def group_members(leader: ProcessGroup, tag: int | None = None) -> list[ProcessInfo]:
    """Return the live processes with a command's group, session or tag, and all their descendants."""
    if leader["machine"] != _machine():
        return []
    processes, number = _live_processes(), leader["group"]
    # If the leader's pid was reused, processes with that group and session belong to the other process.
    reused = number in processes and processes[number].started != leader["started"]
    return _with_descendants(
        processes,
        (
            process.pid
            for process in processes.values()
            if (not reused and number in (process.group, process.session)) or (tag and _tag_of(process.pid) == tag)
        ),
    )


def run_members(run_id: str) -> list[ProcessInfo]:
    """Return the live processes with a run's tag or environment variable, and all their descendants."""
    marker, processes = f"{RUN_ID_VARIABLE}={run_id}".encode(), _live_processes()
    if not PROC.exists():
        lines = [line.split() for line in _ps("pid=,command=", "-axwwE").splitlines()]
        return _with_descendants(processes, [int(words[0]) for words in lines if marker.decode() in words[1:]])
    run_bits = _TAG_MARKER >> _NUMBER_BITS | _run_bits(hashlib.sha256(run_id.encode()).digest())
    return _with_descendants(
        processes,
        (
            pid
            for pid in processes
            if _tag_of(pid) >> _NUMBER_BITS == run_bits or marker in _read(f"/proc/{pid}/environ").split(b"\0")
        ),
    )


def _with_descendants(processes: dict[int, ProcessInfo], roots: Iterable[int]) -> list[ProcessInfo]:
    """Return the root processes and their descendants, without this process."""
    pids = set(roots)
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process.pid)
    unvisited = list(pids)
    while unvisited:
        new_pids = [pid for pid in children.get(unvisited.pop(), ()) if pid not in pids]
        pids.update(new_pids)
        unvisited += new_pids
    return [process for pid, process in processes.items() if pid in pids and pid != os.getpid()]


def send_signal(process: ProcessInfo, number: int) -> None:
    """Send a signal to a process, but not to another process that has reused its pid."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if not hasattr(os, "pidfd_open"):
            os.kill(process.pid, number)
            return
        # The descriptor pins the process: compare its start time after opening it, then signal through it.
        descriptor = os.pidfd_open(process.pid)
        try:
            if _start_time(process.pid) == process.started:
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)


def terminate_processes(
    find: Callable[[], list[ProcessInfo]], signals: Iterable[int], timeout: float = _SIGNAL_TIMEOUT
) -> list[ProcessInfo]:
    """Send one signal after the other to what `find` returns, each with `timeout` seconds. Return the survivors."""
    survivors = find()
    for number in signals:
        deadline, signalled = time.monotonic() + timeout, set[tuple[int, str]]()
        while survivors and time.monotonic() < deadline:
            for process in survivors:
                if (process.pid, process.started) not in signalled:
                    signalled.add((process.pid, process.started))
                    send_signal(process, number)
                    # A stopped process handles the signal only once it continues.
                    send_signal(process, signal.SIGCONT)
            time.sleep(_POLL_INTERVAL)
            survivors = find()
    return survivors
