"""Render formats in a second process, which loads Jinja and the templates while the items run.

The worker only saves time. If it cannot be started or fails, the caller renders the formats itself. It exits when its
input pipe is closed, however the gate ends, and never writes to the standard streams that it shares.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import NoReturn

import msgspec

from gate.model import Decision, Report, Verdict

# The formats that take long. The first takes as long as the others together.
WORKER_FORMATS = ("md", "html", "junit")
# Seconds for the worker to take the report and to render it: the verdict must not wait for a worker that hangs.
_TIMEOUT = 60.0
_CHUNK_SIZE = 64 * 1024
# Characters of a report from which on a third process saves time.
_LARGE_REPORT = 16 * 1024


class RenderWorker:
    """The gate's side of the worker. `input_fd` and `output_fd` are pipes to and from the process."""

    def __init__(self, pid: int, input_fd: int, output_fd: int) -> None:
        self._pid = pid
        self._input = input_fd
        self._output = output_fd
        self._warmed_up = False
        self._deadline = time.monotonic() + _TIMEOUT

    def warm_up(self, language: str) -> None:
        """Send the language of the coming report, so that the worker loads its templates now."""
        if not self._warmed_up:
            self._warmed_up = True
            self._send(f"{language}\n".encode())

    def submit(self, report: bytes) -> None:
        """Send the report, as JSON. `result` waits for the rendered formats."""
        self.warm_up("en")
        self._send(report)
        self._close_input()

    def result(self) -> dict[str, bytes]:
        """Return the content of each format's file; empty if the worker failed, or did not finish in time."""
        with suppress(OSError, msgspec.DecodeError):
            return msgspec.msgpack.decode(self._read_output(), type=dict[str, bytes])
        return {}

    def _read_output(self) -> bytes:
        """Read the worker's output to its end. Raise TimeoutError if it does not end in time."""
        output = bytearray()
        while chunk := self._wait_until_ready(self._output, select.POLLIN) and os.read(self._output, _CHUNK_SIZE):
            output += chunk
        return bytes(output)

    def _wait_until_ready(self, pipe: int, event: int) -> bool:
        """Wait until a pipe can be read or written, and return True. Raise TimeoutError after the deadline."""
        poll = select.poll()
        poll.register(pipe, event)
        if not poll.poll(1000 * max(0.0, self._deadline - time.monotonic())):
            raise TimeoutError
        return True

    def close(self) -> None:
        """Stop the worker if it is still running, and wait for its exit."""
        self._close_input()
        os.close(self._output)
        with suppress(OSError):
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)

    def _send(self, data: bytes) -> None:
        self._deadline = time.monotonic() + _TIMEOUT
        # Not blocking, because the worker may hang before it reads everything.
        left = memoryview(data)
        with suppress(OSError):
            os.set_blocking(self._input, False)
            while left and self._wait_until_ready(self._input, select.POLLOUT):
                left = left[os.write(self._input, left[:_CHUNK_SIZE]) :]

    def _close_input(self) -> None:
        if self._input >= 0:
            os.close(self._input)
            self._input = -1


@contextmanager
def render_worker() -> Iterator[RenderWorker | None]:
    """Run a worker while the body runs. Yield None if there can be none."""
    # A lock that another thread holds stays locked in a forked process for ever.
    worker = _fork() if hasattr(os, "fork") and threading.active_count() == 1 else None
    try:
        yield worker
    finally:
        if worker:
            worker.close()


def _fork() -> RenderWorker | None:
    """Start a worker; return None if the system refuses another process."""
    worker_input, input_fd = os.pipe()
    output_fd, worker_output = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        pid = -1
    if pid == 0:
        os.close(input_fd)
        os.close(output_fd)
        _run_worker(worker_input, worker_output)
    os.close(worker_input)
    os.close(worker_output)
    if pid < 0:
        os.close(input_fd)
        os.close(output_fd)
        return None
    return RenderWorker(pid, input_fd, output_fd)


def _run_worker(input_fd: int, output_fd: int) -> NoReturn:
    """Warm up, wait for the report, render it, write the result to the pipe and exit."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the gate ends the worker
        from gate.report.serialization import to_json

        with os.fdopen(input_fd, "rb") as pipe:
            _render_json(to_json(_empty_report("en")))
            if (language := pipe.readline().decode().strip()) not in ("", "en"):
                _render_json(to_json(_empty_report(language)))
            text = pipe.read().decode()
        if text:
            with os.fdopen(output_fd, "wb") as pipe:
                pipe.write(msgspec.msgpack.encode(_render_json(text)))
    except BaseException:  # noqa: BLE001 - the gate renders by itself then, and reports the error
        os._exit(1)
    os._exit(0)


def _render_json(text: str) -> dict[str, bytes]:
    """Return the content of each format's file for a report in JSON; a third process helps with a large report."""
    from gate.render.formats import FILE_NAMES
    from gate.report.serialization import from_json

    report = from_json(text, FILE_NAMES["json"])
    if len(text) < _LARGE_REPORT:
        return _render_formats(report, WORKER_FORMATS)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(msgspec.msgpack.encode(_render_formats(report, WORKER_FORMATS[:1])))
        os._exit(0)
    os.close(writer)
    contents = _render_formats(report, WORKER_FORMATS[1:])
    with os.fdopen(reader, "rb") as pipe:
        contents |= msgspec.msgpack.decode(pipe.read(), type=dict[str, bytes])
    os.waitpid(pid, 0)
    return contents


def _render_formats(report: Report, formats: tuple[str, ...]) -> dict[str, bytes]:
    from gate.render.formats import render_format

    return {name: render_format(report, name) for name in formats}


def _empty_report(language: str) -> Report:
    """Return a report without sections. Rendering it loads everything that rendering needs."""
    now = datetime.now(UTC)
    verdict = Verdict(decision=Decision.NO_GO)
    return Report(gate="", service="", environment="", language=language, started=now, finished=now, verdict=verdict)
