"""The log of the runner: groups and annotations that are ours, and every other line with nothing in it that it obeys.

The runner reads commands from both standard output and standard error. A line ends at LF, CR or both. `::name::` counts
at the start of a line, after white space; `##[name]` counts anywhere in it.
https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

import io
import re
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from gate.i18n.language import Language, language
from gate.model import ItemResult, Report, Severity, Status

PER_TYPE = 10
"""Annotations of one type that the runner takes from a step; the rest is only logged."""
OF_ITEMS = PER_TYPE - 3
"""Of these for items: `pending`, the verdict's status and the comment may each have something to say."""
LONGEST = 4096
"""Characters of an annotation; the runner cuts what is longer."""
_ANSWER_LINES = 40
_ENDS = re.compile(r"\r\n|\r|\n")
_INVISIBLE = re.compile(r"[^\x20-\x7e]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_ORDER = [Status.FAIL, Status.ERROR, Status.SKIP, Status.WAIVED]


def escape_workflow_commands(line: str) -> str:
    """A line that the runner shows as it is and does not obey.

    The runner compares text by the rules of a culture, which pass over invisible characters: whatever does not begin
    with a letter, a digit or a symbol such as a mark gets a bar in front. Control characters, which would move the
    cursor or ring the bell of whoever reads the log, are shown as U+FFFD.
    """
    line = _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", line)
    if "##[" in _INVISIBLE.sub("", line):
        line = line.replace("#", "# ")
    start = line.lstrip()[:1]
    return line if not start or _plain(start) else f"| {line}"


def _plain(character: str) -> bool:
    return (character < "\u0250" and character.isalnum()) or unicodedata.category(character) == "So"


class Log(io.TextIOBase):
    """A text stream that lets whole lines through, harmless; `command` alone writes what the runner obeys."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.held = ""
        self.lock = threading.RLock()

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.stream.encoding

    def fileno(self) -> int:
        return self.stream.fileno()

    def write(self, text: str) -> int:
        """Writes the lines that are complete, and holds the rest back."""
        with self.lock:
            *lines, self.held = _ENDS.split(self.held + text)
            self._put(lines)
        return len(text)

    def command(self, name: str, message: str = "", **properties: str | int | None) -> None:
        """Tells the runner something."""
        with self.lock:
            self.flush_partial()
            said = ",".join(f"{key}={_property(value)}" for key, value in properties.items() if value is not None)
            self._raw(f"::{name}{' ' + said if said else ''}::{_data(message)}\n")

    def flush_partial(self) -> None:
        """Writes what is held back, as a line."""
        with self.lock:
            if self.held:
                self._put([self.held])
            self.held = ""

    def flush(self) -> None:
        self.stream.flush()

    def _put(self, lines: list[str]) -> None:
        if lines:
            self._raw("".join(f"{escape_workflow_commands(line)}\n" for line in lines))

    def _raw(self, text: str) -> None:
        encoding = self.stream.encoding or "utf-8"
        self.stream.write(text.encode(encoding, "replace").decode(encoding))
        self.stream.flush()


@contextmanager
def guard_std_streams() -> Iterator[None]:
    """Makes standard output and standard error harmless meanwhile."""
    before = sys.stdout, sys.stderr
    out, errors = Log(sys.stdout), Log(sys.stderr)
    sys.stdout, sys.stderr = out, errors
    try:
        yield
    finally:
        out.flush_partial()
        errors.flush_partial()
        sys.stdout, sys.stderr = before


def write(report: Report, log: Log) -> None:
    """The evidence of what did not pass, a group for each item, and the annotations."""
    words = language(report.language)
    for item in _worst_first(report):
        log.command("group", f"{item.status.upper()} {item.id}: {item.title}")
        for part in _proof(item, words):
            log.write(f"{part}\n")
        log.command("endgroup")
    for name, item in select_annotations(report):
        place = item.outcome.evidence.locations or ((item.location,) if item.location else ())
        at = {"file": place[0].file, "line": place[0].line, "col": place[0].column} if place else {}
        log.command(name, words.message(item.outcome.message)[:LONGEST], **at, title=f"{item.id}: {item.title}"[:200])


def select_annotations(report: Report) -> list[tuple[str, ItemResult]]:
    """What is annotated, the most important first, and no more of a type than leaves room for the gate's own."""
    found: list[tuple[str, ItemResult]] = []
    for name, wanted in _TYPES.items():
        found += [(name, item) for item in _worst_first(report) if wanted(item)][:OF_ITEMS]
    return found


def _blocks(item: ItemResult) -> bool:
    return item.severity is Severity.BLOCKING and item.status is not Status.WAIVED


_TYPES: dict[str, Callable[[ItemResult], bool]] = {"error": _blocks, "warning": lambda item: not _blocks(item)}


def _worst_first(report: Report) -> list[ItemResult]:
    """The items that did not pass: blocking ones first, what failed before what was skipped."""
    items = [item for item in report.items if item.status in _ORDER]
    return sorted(items, key=lambda item: (not _blocks(item), _ORDER.index(item.status)))


def _proof(item: ItemResult, words: Language) -> list[str]:
    outcome = item.outcome
    lines = [words.message(outcome.message)]
    lines += [words.message(outcome.advice)] if outcome.advice else []
    lines += [f"> {outcome.evidence.request}"] if outcome.evidence.request else []
    response = _ENDS.split(outcome.evidence.response)
    lines += [f"| {line}" for line in response[:_ANSWER_LINES] if line]
    return [*lines, f"$ {outcome.evidence.reproduce_command}"] if outcome.evidence.reproduce_command else lines


def _data(text: str) -> str:
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", escaped)


def _property(value: str | int) -> str:
    return _data(str(value)).replace(":", "%3A").replace(",", "%2C")
