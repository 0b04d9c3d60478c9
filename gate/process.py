"""Runs a command within a time limit and a memory limit, and leaves no process of it behind.

The command gets a session of its own and no input. When its time is over, or the run is, its whole process group is
asked to end (SIGTERM) and then made to (SIGKILL). A grandchild that keeps the output open is not waited for.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from gate.secrets import known

OUTPUT_LIMIT = 256 * 1024
"""Bytes of each output that are kept, half from each end."""
GRACE = 1.0
"""Seconds between SIGTERM and SIGKILL."""
_DRAIN = 0.3
_POLL = 0.02
_CHUNK = 64 * 1024
_OURS = ("ACTIONS_", "INPUT_", "PRODGATE_")
_OUR_NAMES = frozenset(
    ("GITHUB_TOKEN", "GH_TOKEN", "GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STATE", "GITHUB_STEP_SUMMARY")
)

Ended = Literal["exit", "timeout", "cancelled"]


class Kept:
    """The two ends of an output, however long it was."""

    def __init__(self, limit: int) -> None:
        self._half = max(1, limit // 2)
        self._head = bytearray()
        self._tail = bytearray()
        self.total = 0
        self.broken_off = False
        """Whether it ended where nobody wanted it to: in the middle of a word, maybe."""

    def add(self, data: bytes) -> None:
        """More of it."""
        self.total += len(data)
        room = self._half - len(self._head)
        self._head += data[:room]
        self._tail += data[room:] if room < len(data) else b""
        if len(self._tail) > 2 * self._half:
            del self._tail[: len(self._tail) - self._half]

    @property
    def cut(self) -> int:
        """Bytes that were not kept."""
        return max(0, self.total - 2 * self._half)

    def text(self) -> str:
        """What was kept, as UTF-8, with a line where something is missing."""
        head, tail = bytes(self._head), bytes(self._tail[-self._half :])
        if not self.cut:
            whole = (head + tail).decode("utf-8", "replace")
            return known().beginning(whole) if self.broken_off else whole
        first = known().beginning(head.decode("utf-8", "replace"))
        last = known().ending(tail.decode("utf-8", "replace"))
        return f"{first}\n[... {self.cut} bytes cut ...]\n{last}"


@dataclass(frozen=True)
class Finished:
    """What became of a command. `code` is negative where a signal ended it, as in `subprocess`."""

    code: int
    ended: Ended
    stdout: Kept
    stderr: Kept
    output: Kept
    """Both outputs, in the order in which they came."""
    took: float

    def __post_init__(self) -> None:
        for kept in (self.stdout, self.stderr, self.output):
            kept.broken_off = self.ended != "exit" or self.code < 0

    @property
    def signal(self) -> str | None:
        """The name of the signal that ended it, if one did."""
        if self.code >= 0:
            return None
        try:
            return signal.Signals(-self.code).name
        except ValueError:
            return str(-self.code)


def environment(more: Mapping[str, str], known: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a command: the gate's, without its tokens, inputs and the files that speak to the runner."""
    kept = {
        name: value
        for name, value in (os.environ if known is None else known).items()
        if name not in _OUR_NAMES and not name.startswith(_OURS)
    }
    return {**kept, **more}


def run(
    command: Sequence[str],
    *,
    deadline: float,
    cwd: Path,
    env: Mapping[str, str],
    cancelled: threading.Event | None = None,
    limit: int = OUTPUT_LIMIT,
) -> Finished:
    """Runs a command until it ends, `deadline` (`time.monotonic()` seconds) comes, or `cancelled` is set.

    Returns at most 1.5 s after the deadline. Raises OSError when it can't be started.
    """
    began = time.monotonic()
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        watch = _Watch(process, limit)
        try:
            ended = watch.until(deadline, cancelled or threading.Event())
        finally:
            watch.end()
    return Finished(process.returncode, ended, watch.stdout, watch.stderr, watch.output, time.monotonic() - began)


class _Watch:
    """Reads both outputs of a process as they come, and sees when it ends. It is not reaped before its group is gone:
    until then no other group can have its number."""

    def __init__(self, process: subprocess.Popen[bytes], limit: int) -> None:
        self.process = process
        self.stdout, self.stderr, self.output = Kept(limit), Kept(limit), Kept(limit)
        self.selector = selectors.DefaultSelector()
        self._watch(process.stdout, self.stdout)
        self._watch(process.stderr, self.stderr)

    def _watch(self, stream: IO[bytes] | None, kept: Kept) -> None:
        assert stream is not None
        os.set_blocking(stream.fileno(), False)
        self.selector.register(stream, selectors.EVENT_READ, kept)

    def until(self, deadline: float, cancelled: threading.Event) -> Ended:
        """Reads until the process has ended, or has to."""
        while not self._has_ended():
            if cancelled.is_set():
                return "cancelled"
            if time.monotonic() >= deadline:
                return "timeout"
            self._read(min(_POLL, max(0.0, deadline - time.monotonic())))
        return "exit"

    def end(self) -> None:
        """Ends whatever is left of the group, and reads what is still in the pipes."""
        if not self._has_ended():
            self._signal(signal.SIGTERM)
            self._read_while(lambda: not self._has_ended(), GRACE)
        self._read_while(self._has_data, _DRAIN)
        self._signal(signal.SIGKILL)
        self._read_while(self._is_open, _DRAIN)
        self.selector.close()
        self.process.wait()

    def _read_while(self, wanted: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and wanted():
            self._read(_POLL)

    def _is_open(self) -> bool:
        return bool(self.selector.get_map())

    def _has_data(self) -> bool:
        return self._is_open() and bool(self.selector.select(0))

    def _has_ended(self) -> bool:
        if not hasattr(os, "waitid"):  # macOS before Python 3.13
            return self.process.poll() is not None
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def _read(self, wait: float) -> None:
        if not self._is_open():
            time.sleep(min(wait, _POLL / 4))
            return
        for key, _ in self.selector.select(wait):
            try:
                data = os.read(key.fd, _CHUNK)
            except BlockingIOError:
                continue
            if data:
                key.data.add(data)
                self.output.add(data)
            else:
                self.selector.unregister(key.fileobj)
