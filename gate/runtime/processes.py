"""Run a command within a time limit and an output limit, and leave none of its processes behind.

The command gets a session of its own and no input. When its time is over, or the run is, its process group is asked to
end (SIGTERM), and then everything that it started is made to (SIGKILL), daemons included. A descendant that keeps the
output open is not waited for.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Literal

from msgspec import Struct

from gate.redaction.secrets import OVERLAP, default_redactor, redacted_tail_bytes
from gate.runtime.process_tree import RUN_ID_VARIABLE, ProcessTree, tag_process_tree

# Bytes of each output that are kept, half from each end.
OUTPUT_LIMIT = 256 * 1024
# Seconds between SIGTERM and SIGKILL.
GRACE = 1.0
_DRAIN = 0.3
_POLL = 0.02
_CHUNK = 64 * 1024
_PRIVATE_PREFIXES = ("ACTIONS_", "INPUT_", "PRODGATE_")
_PRIVATE_NAMES = frozenset(
    ("GITHUB_TOKEN", "GH_TOKEN", "GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STATE", "GITHUB_STEP_SUMMARY")
)

# The shell waits for a line before it executes the command, and exits if the line never comes.
_EXEC_TRAMPOLINE = 'read -r go && exec "$@" </dev/null'

Ended = Literal["exit", "timeout", "cancelled"]
# Called with the process group id before exec; returns a callback invoked once the group is gone.
ProcessGroupHook = Callable[[int], Callable[[], None]]


class BoundedOutput:
    """The beginning and the end of an output of any length."""

    def __init__(self, limit: int) -> None:
        self._half = max(1, limit // 2)
        self._head = bytearray()
        self._tail = bytearray()
        self.total = 0
        self.broken_off = False
        """Whether it ended where nobody wanted it to: in the middle of a word, maybe."""

    def add(self, data: bytes) -> None:
        """Append data."""
        self.total += len(data)
        room = self._half - len(self._head)
        self._head += data[:room]
        self._tail += data[room:] if room < len(data) else b""
        if len(self._tail) > 2 * (self._half + OVERLAP):
            del self._tail[: -self._half - OVERLAP]

    @property
    def dropped_bytes(self) -> int:
        """Return the number of bytes that were not kept."""
        return max(0, self.total - 2 * self._half)

    @property
    def content(self) -> bytes:
        """Return the bytes that were kept."""
        return bytes(self._head + self._tail)

    def text(self) -> str:
        """Return the kept output as UTF-8, with a line where something is missing."""
        if not self.dropped_bytes:
            whole = (self._head + self._tail).decode("utf-8", "replace")
            return default_redactor().redact_head(whole) if self.broken_off else whole
        first = default_redactor().redact_head(self._head.decode("utf-8", "replace"))
        last = redacted_tail_bytes((self._head + self._tail)[-self._half - OVERLAP :], self._half)
        last = default_redactor().redact_head(last) if self.broken_off else last
        return f"{first}\n[... {self.dropped_bytes} bytes cut ...]\n{last}"


class CompletedCommand(Struct, frozen=True):
    """Result of a finished command. `returncode` is negative if a signal ended it, as in `subprocess`."""

    returncode: int
    end_reason: Ended
    stdout: BoundedOutput
    stderr: BoundedOutput
    # Both outputs, in the order in which they were written.
    output: BoundedOutput
    duration: float

    def __post_init__(self) -> None:
        for bounded in (self.stdout, self.stderr, self.output):
            bounded.broken_off = self.end_reason != "exit" or self.returncode < 0

    @property
    def signal(self) -> str | None:
        """Return the name of the signal that ended the command, or None."""
        return signal_of(self.returncode)


def signal_of(code: int) -> str | None:
    """Return the name of the signal that a return code stands for, or None."""
    if code >= 0:
        return None
    try:
        return signal.Signals(-code).name
    except ValueError:
        return str(-code)


def environment(more: Mapping[str, str], base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a command: the gate's, without its tokens, inputs and the runner's command files."""
    inherited = {
        name: value
        for name, value in (os.environ if base is None else base).items()
        if name not in _PRIVATE_NAMES and not name.startswith(_PRIVATE_PREFIXES)
    }
    return {**inherited, **more}


def run(
    command: Sequence[str],
    *,
    deadline: float,
    cwd: Path,
    env: Mapping[str, str],
    cancelled: threading.Event | None = None,
    limit: int = OUTPUT_LIMIT,
    on_group_created: ProcessGroupHook | None = None,
) -> CompletedCommand:
    """Start a command and wait for it. Return at most 1.5 s after the deadline."""
    return start(
        command,
        deadline=deadline,
        cwd=cwd,
        env=env,
        cancelled=cancelled,
        limit=limit,
        on_group_created=on_group_created,
    ).wait()


def start(
    command: Sequence[str],
    *,
    deadline: float,
    cwd: Path,
    env: Mapping[str, str],
    cancelled: threading.Event | None = None,
    limit: int = OUTPUT_LIMIT,
    on_group_created: ProcessGroupHook | None = None,
    keep_background_processes: bool = False,
) -> RunningCommand:
    """Start a command that runs until it ends, until `deadline` (`time.monotonic()`), or until `cancelled` is set.

    With `keep_background_processes`, a command that exits may leave processes behind. Raise OSError if it cannot start.
    """
    spawned = spawn(command, cwd=cwd, env=env, stderr=subprocess.PIPE, on_group_created=on_group_created)
    watch = _OutputPump(spawned, limit, keep_background_processes)
    try:
        return RunningCommand(watch, deadline, cancelled or threading.Event(), spawned.gone)
    except RuntimeError as error:  # no thread can be started: nobody would watch it
        watch.end()
        spawned.gone()
        raise OSError(errno.EAGAIN, str(error)) from error


class Spawned(Struct, frozen=True):
    """A command that has begun, with all that it starts. `gone` has to be called when nothing of it is left."""

    process: subprocess.Popen[bytes]
    tree: ProcessTree
    gone: Callable[[], None]


def spawn(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stderr: int,
    on_group_created: ProcessGroupHook | None = None,
    user: str | None = None,
) -> Spawned:
    """Start a command in a session of its own, without input. Raise OSError if that cannot be done.

    `user` is the name of the user that it runs as.

    The command does not begin before `born` has returned, and never if the gate is dead by then.
    """
    _check_executable(command[0], cwd, env)
    process = subprocess.Popen(
        ["/bin/sh", "-c", _EXEC_TRAMPOLINE, "sh", *command],
        bufsize=0,
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,
        **_identity(user),
    )
    assert process.stdin is not None
    try:
        tree = tag_process_tree(process.pid, env.get(RUN_ID_VARIABLE))
        gone = on_group_created(process.pid) if on_group_created else lambda: None
        process.stdin.write(b"go\n")
    except BaseException:
        with process:
            process.kill()
        raise
    process.stdin.close()
    return Spawned(process, tree, gone)


def _identity(user: str | None) -> dict[str, Any]:
    """Return the arguments of `subprocess` to run as a user, with all groups of that user. Raise OSError."""
    if user is None:
        return {}
    import pwd

    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise OSError(errno.ENOENT, f"there is no user {user}") from None
    if entry.pw_uid == os.geteuid():
        return {}
    if os.geteuid() != 0:
        raise OSError(errno.EPERM, f"only root can run a process as {user}")
    groups = os.getgrouplist(user, entry.pw_gid)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": groups}


def _check_executable(program: str, cwd: Path, env: Mapping[str, str]) -> None:
    """Raise the OSError of `subprocess` if a program is missing or not executable."""
    if "/" not in program:
        path = Path(shutil.which(program, path=env.get("PATH", os.defpath)) or program)
    else:
        path = cwd / program
    if not path.is_file() or not os.access(path, os.X_OK):
        code = errno.EACCES if path.exists() else errno.ENOENT
        raise OSError(code, os.strerror(code), program)


class RunningCommand:
    """A command that was started. It is watched, and its outputs are read, whether somebody waits for it or not."""

    def __init__(
        self, watch: _OutputPump, deadline: float, cancelled: threading.Event, gone: Callable[[], None]
    ) -> None:
        self._watch = watch
        self._deadline = deadline
        self._cancelled = cancelled
        self._stopped = threading.Event()
        self._gone = gone
        from concurrent.futures import Future

        self._finished: Future[CompletedCommand] = Future()
        try:
            threading.Thread(target=self._follow, daemon=True).start()
        except (RuntimeError, MemoryError):  # nobody would watch it: it must not go on
            self._stopped.set()
            self._until_gone()
            raise

    @property
    def running(self) -> bool:
        """Return whether the command or a process of its group is still running."""
        return not self._finished.done()

    def stop(self) -> None:
        """Stop the command early, as when the run is cancelled."""
        self._stopped.set()

    def wait(self) -> CompletedCommand:
        """Wait until no process of the group is left and return the result. May be called more than once."""
        return self._finished.result()

    def _follow(self) -> None:
        try:
            self._finished.set_result(self._until_gone())
        except BaseException as error:  # noqa: BLE001 - who waits for it must be told
            self._finished.set_exception(error)

    def _until_gone(self) -> CompletedCommand:
        began, watch = time.monotonic(), self._watch
        with watch.process as process:
            try:
                ended = watch.until(self._deadline, lambda: self._cancelled.is_set() or self._stopped.is_set())
            finally:
                watch.end()
        self._gone()
        duration = time.monotonic() - began
        return CompletedCommand(process.returncode, ended, watch.stdout, watch.stderr, watch.output, duration)


class _OutputPump:
    """Reads both outputs of a process and detects its end."""

    # The process is reaped only after its group is gone: until then its number cannot be reused for another group.

    def __init__(self, spawned: Spawned, limit: int, leaves: bool) -> None:
        self.process = process = spawned.process
        self.tree = spawned.tree
        self.leaves = leaves
        self.stdout, self.stderr, self.output = BoundedOutput(limit), BoundedOutput(limit), BoundedOutput(limit)
        self.selector = selectors.DefaultSelector()
        self._watch(process.stdout, self.stdout)
        self._watch(process.stderr, self.stderr)

    def _watch(self, stream: IO[bytes] | None, output: BoundedOutput) -> None:
        assert stream is not None
        os.set_blocking(stream.fileno(), False)
        self.selector.register(stream, selectors.EVENT_READ, output)

    def until(self, deadline: float, cancelled: Callable[[], bool]) -> Ended:
        """Read until the process has ended or must be stopped; return why."""
        while not self._has_ended():
            if cancelled():
                return "cancelled"
            if time.monotonic() >= deadline:
                return "timeout"
            self._read(min(_POLL, max(0.0, deadline - time.monotonic())))
        return "exit"

    def end(self) -> None:
        """End whatever it started and has not ended, and read what is still in the pipes."""
        spared = self.leaves and self._has_ended()
        if not self._has_ended():
            self._signal(signal.SIGTERM)
            self._read_while(lambda: not self._has_ended(), GRACE)
        self._read_while(self._has_data, _DRAIN)
        if not spared:
            self._signal(signal.SIGKILL)
            self.tree.terminate(signal.SIGKILL, timeout=GRACE)
            self._read_while(self._is_open, _DRAIN)
        self.selector.close()
        self.process.wait()

    def _read_while(self, condition: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and condition():
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
