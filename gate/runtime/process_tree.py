"""Find and signal every process that a command started, even a daemon that left its group, session and environment.

On Linux a command is tagged before it begins: with a value of its own for the soft limit RLIMIT_RTTIME, which says how
long a real-time process may compute and is far too high to limit anything. Every child inherits it, whatever else it
sheds, and no parent has to live for it to be found. Elsewhere, a command's group and the children of its members count.
"""

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

RUN_ID_VARIABLE = "PRODGATE_RUN"
"""The environment variable that every process started by a run has, with the run's id."""
PROC = Path("/proc/self")
_PATIENCE = 5.0
_AGAIN = 0.02
_NUMBER_BITS = 14
_RUN_BITS = 48
_TAGGED = 1 << (_NUMBER_BITS + _RUN_BITS)
_LIMIT = re.compile(rb"Max realtime timeout +(\d+) ")
_numbers = itertools.count(1)


class ProcessInfo(Struct, frozen=True):
    """A process as the kernel has it. `started` tells it from another one that gets its number later."""

    pid: int
    state: str
    parent: int
    group: int
    session: int
    started: str


class ProcessGroup(TypedDict):
    """A process group as the journal has it. `started` is when its leader began, `machine` where numbers mean it."""

    group: int
    started: str
    machine: str


class ProcessTree(Struct, frozen=True):
    """A command that leads its own session, and everything that it started."""

    leader: ProcessGroup
    tag: int | None = None

    def members(self) -> list[ProcessInfo]:
        """Return its living processes, parents before their children."""
        return members(self.leader, self.tag)

    def end(self, *signals: int, patience: float = _PATIENCE) -> list[ProcessInfo]:
        """End it with one signal after the other. Return the processes that are left."""
        return kill_processes(self.members, signals, patience)

    def freeze(self, patience: float = _PATIENCE) -> bool:
        """Stop each of its processes, and return whether all are. They may fork until the last one is."""
        until = time.monotonic() + patience
        while moving := [process for process in self.members() if not is_stopped(process.pid)]:
            for process in moving:
                send_signal(process, signal.SIGSTOP)
            if time.monotonic() > until:
                return False
            time.sleep(_AGAIN)
        return True

    def resume(self) -> None:
        """Let each of its processes go on; children first, so that no parent finds a child stopped."""
        for process in reversed(self.members()):
            send_signal(process, signal.SIGCONT)


def tree_of(pid: int, run_id: str | None) -> ProcessTree:
    """Tag a command that has not begun yet. `run_id` is that of the run it has to end with, if there is one."""
    run = hashlib.sha256(run_id.encode()).digest() if run_id else secrets.token_bytes(_RUN_BITS // 8)
    tag = _TAGGED | _run_part(run) << _NUMBER_BITS | next(_numbers) % (1 << _NUMBER_BITS)
    return ProcessTree(process_group(pid), tag if _attach(pid, tag) else None)


def _run_part(digest: bytes) -> int:
    return int.from_bytes(digest[: _RUN_BITS // 8], "big")


def _attach(pid: int, tag: int) -> bool:
    if not hasattr(resource, "prlimit"):
        return False
    try:
        _, hard = resource.prlimit(pid, resource.RLIMIT_RTTIME)
        resource.prlimit(pid, resource.RLIMIT_RTTIME, (tag, hard))
    except (OSError, ValueError):  # a hard limit below the tag, or no right to change it
        return False
    return True


def _tag_of(pid: int) -> int:
    found = _LIMIT.search(_read(f"/proc/{pid}/limits"))
    return int(found[1]) if found else 0


def _read(path: str) -> bytes:
    """Return a file of /proc; empty if its process is gone, or not ours to look at."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def process_group(pid: int) -> ProcessGroup:
    """Return the group that a process leads."""
    return ProcessGroup(group=pid, started=_started(pid), machine=_machine())


def is_local_process(group: ProcessGroup) -> bool:
    """Return whether the leader of a group is a process that is seen from here, and still the same."""
    return group["machine"] == _machine() and _started(group["group"]) == group["started"]


def _machine() -> str:
    """Return where a process id means the same process: this boot, and this namespace. A container has its own."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {PROC.joinpath('ns/pid').readlink()}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Return when a process began; empty if there is none of that number."""
    if PROC.exists():
        found = _seen(pid)
        return found.started if found else ""
    return _ps("lstart=", "-p", str(pid))


def _ps(column: str, *options: str) -> str:
    """Return what ps(1) prints, where there is no /proc (macOS)."""
    done = subprocess.run(["ps", *options, "-o", column], capture_output=True, text=True, errors="replace", check=False)
    return done.stdout.strip()


def _seen(pid: int) -> ProcessInfo | None:
    """Read proc_pid_stat(5); None if there is no such process."""
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].decode("ascii", "replace").split()
    if not fields:
        return None
    return ProcessInfo(pid, fields[0], int(fields[1]), int(fields[2]), int(fields[3]), fields[19])


def _all() -> dict[int, ProcessInfo]:
    """Return every process that is alive, the oldest first."""
    if not PROC.exists():
        rows = [line.split(None, 4) for line in _ps("pid=,ppid=,pgid=,stat=,lstart=", "-ax").splitlines()]
        observation = [
            ProcessInfo(int(pid), state[:1], int(parent), int(group), 0, at) for pid, parent, group, state, at in rows
        ]
    else:
        observation = [found for entry in PROC.parent.glob("[0-9]*") if (found := _seen(int(entry.name)))]
        observation.sort(key=lambda process: (int(process.started), process.pid))
    return {
        process.pid: process for process in observation if process.state not in ("Z", "X") or has_threads(process.pid)
    }


def has_threads(pid: int) -> bool:
    """Return whether a process whose main thread has ended still has others."""
    return len(_tasks(pid)) > 1


def _tasks(pid: int) -> list[str]:
    try:
        return [entry.name for entry in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []


def is_stopped(pid: int) -> bool:
    """Return whether all threads of a process are stopped by a signal (state T)."""
    if not PROC.exists():
        return _ps("stat=", "-p", str(pid))[:1] == "T"
    stats = (_read(f"/proc/{pid}/task/{task}/stat").rpartition(b")")[2].split() for task in _tasks(pid))
    states = {stat[0] for stat in stats if stat} - {b"Z", b"X"}
    return states == {b"T"}


def members(leader: ProcessGroup, tag: int | None = None) -> list[ProcessInfo]:
    """Return the living processes of a command: by its tag, by its group and session, and all their children."""
    if leader["machine"] != _machine():
        return []
    observation, number = _all(), leader["group"]
    # If the leader's number has gone to another process, its group and session are those of that one.
    reused = number in observation and observation[number].started != leader["started"]
    return _with_children(
        observation,
        (
            process.pid
            for process in observation.values()
            if (not reused and number in (process.group, process.session)) or (tag and _tag_of(process.pid) == tag)
        ),
    )


def members_of_run(run_id: str) -> list[ProcessInfo]:
    """Return the living processes that a run started and has to end, and all their children."""
    mark, observation = f"{RUN_ID_VARIABLE}={run_id}".encode(), _all()
    if not PROC.exists():
        lines = [line.split() for line in _ps("pid=,command=", "-axwwE").splitlines()]
        return _with_children(observation, [int(words[0]) for words in lines if mark.decode() in words[1:]])
    run = _TAGGED >> _NUMBER_BITS | _run_part(hashlib.sha256(run_id.encode()).digest())
    return _with_children(
        observation,
        (
            pid
            for pid in observation
            if _tag_of(pid) >> _NUMBER_BITS == run or mark in _read(f"/proc/{pid}/environ").split(b"\0")
        ),
    )


def _with_children(observation: dict[int, ProcessInfo], roots: Iterable[int]) -> list[ProcessInfo]:
    found = set(roots)
    children: dict[int, list[int]] = {}
    for process in observation.values():
        children.setdefault(process.parent, []).append(process.pid)
    todo = list(found)
    while todo:
        more = [pid for pid in children.get(todo.pop(), ()) if pid not in found]
        found.update(more)
        todo += more
    return [process for pid, process in observation.items() if pid in found and pid != os.getpid()]


def send_signal(process: ProcessInfo, number: int) -> None:
    """Send a signal to that very process, and to no other that has got its number since."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if not hasattr(os, "pidfd_open"):
            os.kill(process.pid, number)
            return
        descriptor = os.pidfd_open(process.pid)
        try:
            if _started(process.pid) == process.started:
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)


def kill_processes(
    find: Callable[[], list[ProcessInfo]], signals: Iterable[int], patience: float = _PATIENCE
) -> list[ProcessInfo]:
    """End processes with one signal after the other, each given so many seconds. Return those that are left."""
    living = find()
    for number in signals:
        until, asked = time.monotonic() + patience, set[tuple[int, str]]()
        while living and time.monotonic() < until:
            for process in living:
                if (process.pid, process.started) not in asked:
                    asked.add((process.pid, process.started))
                    send_signal(process, number)
                    send_signal(process, signal.SIGCONT)
            time.sleep(_AGAIN)
            living = find()
    return living
