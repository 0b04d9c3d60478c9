"""Renders in a process beside the run: it loads Jinja and the templates meanwhile, and waits for the report.

It changes nothing but the time: where it can't be had, or dies, the formats are rendered where they are wanted. It ends
with the pipe that leads to it, however the gate ends, and says nothing on the streams that it shares.
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

WORKER_FORMATS = ("md", "html", "junit")
"""The formats that it renders: all that take their time. The first takes as long as the others."""
_PATIENCE = 60.0
"""Seconds that the other process has for all formats: the verdict does not wait for one that hangs."""
_CHUNK = 64 * 1024
_LARGE = 16 * 1024
"""Characters of a report whose formats are worth another process."""


class RenderWorker:
    """The other process, seen from the run."""

    def __init__(self, pid: int, to: int, back: int) -> None:
        self._pid = pid
        self._to = to
        self._back = back
        self._told = False
        self._end = time.monotonic() + _PATIENCE

    def warm_up(self, language: str) -> None:
        """Tells it the language of the report that is to come."""
        if not self._told:
            self._told = True
            self._send(f"{language}\n".encode())

    def submit(self, report: bytes) -> None:
        """Hands it the report, as JSON. `contents` has what it makes of it."""
        self.warm_up("en")
        self._send(report)
        self._hang_up()

    def result(self) -> dict[str, bytes]:
        """What the files of its formats hold. Empty where it could not make them all."""
        with suppress(OSError, msgspec.DecodeError):
            return msgspec.msgpack.decode(self._answer(), type=dict[str, bytes])
        return {}

    def _answer(self) -> bytes:
        """Read what the other process writes, to its end. Raises TimeoutError if that does not come."""
        read = bytearray()
        while chunk := self._ready(self._back, select.POLLIN) and os.read(self._back, _CHUNK):
            read += chunk
        return bytes(read)

    def _ready(self, pipe: int, event: int) -> bool:
        """Wait until a pipe can be read or written. Raises TimeoutError when the other process has used up its time."""
        waiting = select.poll()
        waiting.register(pipe, event)
        if not waiting.poll(1000 * max(0.0, self._end - time.monotonic())):
            raise TimeoutError
        return True

    def close(self) -> None:
        """Ends it, if it has not ended by itself."""
        self._hang_up()
        os.close(self._back)
        with suppress(OSError):
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)

    def _send(self, data: bytes) -> None:
        self._end = time.monotonic() + _PATIENCE
        left = memoryview(data)
        with suppress(OSError):
            os.set_blocking(self._to, False)
            while left and self._ready(self._to, select.POLLOUT):
                left = left[os.write(self._to, left[:_CHUNK]) :]

    def _hang_up(self) -> None:
        if self._to >= 0:
            os.close(self._to)
            self._to = -1


@contextmanager
def render_worker() -> Iterator[RenderWorker | None]:
    """Another process that renders. None where there can be none: a process with threads can't be forked safely."""
    made = _fork() if hasattr(os, "fork") and threading.active_count() == 1 else None
    try:
        yield made
    finally:
        if made:
            made.close()


def _fork() -> RenderWorker | None:
    asked, to = os.pipe()
    back, answered = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        pid = -1
    if pid == 0:
        os.close(to)
        os.close(back)
        _render(asked, answered)
    os.close(asked)
    os.close(answered)
    if pid < 0:
        os.close(to)
        os.close(back)
        return None
    return RenderWorker(pid, to, back)


def _render(asked: int, answered: int) -> NoReturn:
    """The other process: loads, waits, renders, answers, and ends without a word."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run decides what becomes of it
        from gate.report.serialization import to_json

        with os.fdopen(asked, "rb") as pipe:
            _made(to_json(_empty_report("en")))
            if (language := pipe.readline().decode().strip()) not in ("", "en"):
                _made(to_json(_empty_report(language)))
            text = pipe.read().decode()
        if text:
            with os.fdopen(answered, "wb") as pipe:
                pipe.write(msgspec.msgpack.encode(_made(text)))
    except BaseException:  # noqa: BLE001 - whoever asked renders by itself then, and says what is wrong
        os._exit(1)
    os._exit(0)


def _made(text: str) -> dict[str, bytes]:
    """The files of a report. Those of a large one are made by two processes."""
    from gate.render.formats import FILE_NAMES
    from gate.report.serialization import from_json

    report = from_json(text, FILE_NAMES["json"])
    if len(text) < _LARGE:
        return _render_formats(report, WORKER_FORMATS)
    back, answered = os.pipe()
    pid = os.fork()
    if pid == 0:
        with os.fdopen(answered, "wb") as pipe:
            pipe.write(msgspec.msgpack.encode(_render_formats(report, WORKER_FORMATS[:1])))
        os._exit(0)
    os.close(answered)
    made = _render_formats(report, WORKER_FORMATS[1:])
    with os.fdopen(back, "rb") as pipe:
        made |= msgspec.msgpack.decode(pipe.read(), type=dict[str, bytes])
    os.waitpid(pid, 0)
    return made


def _render_formats(report: Report, formats: tuple[str, ...]) -> dict[str, bytes]:
    from gate.render.formats import render_format

    return {name: render_format(report, name) for name in formats}


def _empty_report(language: str) -> Report:
    """A report of nothing, which is rendered so that all that rendering needs is there."""
    now = datetime.now(UTC)
    verdict = Verdict(decision=Decision.NO_GO)
    return Report(gate="", service="", environment="", language=language, started=now, finished=now, verdict=verdict)
