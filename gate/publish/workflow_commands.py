"""Write groups and annotations into the runner's log, and neutralise workflow commands in all other output.

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

from gate.core.override import override
from gate.i18n.language import Language, language
from gate.model import ItemResult, Report, Severity, Status

# Annotations of one type that the runner shows for a step; it only logs the others.
PER_TYPE = 10
# Of these for items: `pending`, the status of the verdict and the comment may need one each.
OF_ITEMS = PER_TYPE - 3
# Characters of an annotation; the runner truncates a longer one.
MAX_LENGTH = 4096
_RESPONSE_LINES = 40
_LINE_END = re.compile(r"\r\n|\r|\n")
_INVISIBLE = re.compile(r"[^\x20-\x7e]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_ORDER = [Status.FAIL, Status.ERROR, Status.SKIP, Status.WAIVED]


def escape_workflow_commands(line: str) -> str:
    """Return a line that the runner shows and does not execute, with U+FFFD for control characters."""
    # Control characters would move the cursor of whoever reads the log.
    line = _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", line)
    if "##[" in _INVISIBLE.sub("", line):
        line = line.replace("#", "# ")
    # The runner's culture-sensitive comparison ignores invisible characters. So a line is safe only if it starts with a
    # letter, a digit or a symbol such as a status mark.
    start = line.lstrip()[:1]
    return line if not start or _is_safe_start(start) else f"| {line}"


def _is_safe_start(character: str) -> bool:
    return (character < "\u0250" and character.isalnum()) or unicodedata.category(character) == "So"


class Log(io.TextIOBase):
    """A text stream that writes whole, neutralised lines. Only `command` writes what the runner executes."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.partial = ""
        self.lock = threading.RLock()

    @override
    def writable(self) -> bool:
        """Return True."""
        return True

    @property
    @override
    def encoding(self) -> str:  # type: ignore[override]
        """Return the encoding of the underlying stream."""
        return self.stream.encoding

    @override
    def fileno(self) -> int:
        """Return the file descriptor of the underlying stream."""
        return self.stream.fileno()

    @override
    def write(self, text: str) -> int:
        """Write the complete lines and buffer the rest."""
        with self.lock:
            *lines, self.partial = _LINE_END.split(self.partial + text)
            self._put(lines)
        return len(text)

    def command(self, name: str, message: str = "", **properties: str | int | None) -> None:
        """Write a workflow command."""
        with self.lock:
            self.flush_partial()
            text = ",".join(
                f"{key}={_escape_property(value)}" for key, value in properties.items() if value is not None
            )
            self._raw(f"::{name}{' ' + text if text else ''}::{_escape_data(message)}\n")

    def flush_partial(self) -> None:
        """Write the buffered text as a line."""
        with self.lock:
            if self.partial:
                self._put([self.partial])
            self.partial = ""

    @override
    def flush(self) -> None:
        """Flush the underlying stream, but not the buffered partial line."""
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
    """Neutralise everything written to standard output and standard error while the body runs."""
    streams = sys.stdout, sys.stderr
    out, errors = Log(sys.stdout), Log(sys.stderr)
    sys.stdout, sys.stderr = out, errors
    try:
        yield
    finally:
        out.flush_partial()
        errors.flush_partial()
        sys.stdout, sys.stderr = streams


def write(report: Report, log: Log) -> None:
    """Write a group with the evidence of each item that did not pass, and the annotations."""
    words = language(report.language)
    for item in _worst_first(report):
        log.command("group", f"{item.status.upper()} {item.id}: {item.title}")
        for line in _evidence_lines(item, words):
            log.write(f"{line}\n")
        log.command("endgroup")
    for name, item in select_annotations(report):
        locations = item.outcome.evidence.locations or ((item.location,) if item.location else ())
        position = (
            {"file": locations[0].file, "line": locations[0].line, "col": locations[0].column} if locations else {}
        )
        log.command(
            name, words.message(item.outcome.message)[:MAX_LENGTH], **position, title=f"{item.id}: {item.title}"[:200]
        )


def select_annotations(report: Report) -> list[tuple[str, ItemResult]]:
    """Return the items to annotate with their annotation type, most important first, at most OF_ITEMS of a type."""
    annotations: list[tuple[str, ItemResult]] = []
    for name, is_of_type in _TYPES.items():
        annotations += [(name, item) for item in _worst_first(report) if is_of_type(item)][:OF_ITEMS]
    return annotations


def _blocks(item: ItemResult) -> bool:
    return item.severity is Severity.BLOCKING and item.status is not Status.WAIVED


_TYPES: dict[str, Callable[[ItemResult], bool]] = {"error": _blocks, "warning": lambda item: not _blocks(item)}


def _worst_first(report: Report) -> list[ItemResult]:
    """Return the items that did not pass: blocking items first, failures before skips."""
    items = [item for item in report.items if item.status in _ORDER]
    return sorted(items, key=lambda item: (not _blocks(item), _ORDER.index(item.status)))


def _evidence_lines(item: ItemResult, words: Language) -> list[str]:
    outcome = item.outcome
    lines = [words.message(outcome.message)]
    lines += [words.message(outcome.advice)] if outcome.advice else []
    lines += [f"> {outcome.evidence.request}"] if outcome.evidence.request else []
    response = _LINE_END.split(outcome.evidence.response)
    lines += [f"| {line}" for line in response[:_RESPONSE_LINES] if line]
    return [*lines, f"$ {outcome.evidence.reproduce_command}"] if outcome.evidence.reproduce_command else lines


def _escape_data(text: str) -> str:
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", escaped)


def _escape_property(value: str | int) -> str:
    return _escape_data(str(value)).replace(":", "%3A").replace(",", "%2C")
