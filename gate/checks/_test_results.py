"""Read the results of tests: from the output of their command, or from files that this run's tests wrote."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec import Struct, field

from gate.checks._checkout import find_files, read_bytes, read_text, relative_path
from gate.checks.base import Attachment, ObservationError
from gate.checks.context import CheckContext
from gate.core.messages import msg
from gate.decode.quantities import format_duration, format_size
from gate.redaction.secrets import drop_torn_secret
from gate.runtime.evidence import FILE_LIMIT, FILES_PER_ITEM, as_bytes
from gate.runtime.processes import CompletedCommand
from gate.source import git_index
from gate.testresults import base as testresults
from gate.testresults.base import InvalidResultsError, Results

_CODE_LIMIT = 100
_CODE = re.compile(r"[0-9]{1,3}")
# The largest offset of a local time from UTC.
MAX_UTC_OFFSET = timedelta(hours=14)
# Seconds by which the clock of a file system may differ.
CLOCK_SKEW = 2.0
_ADVICE = msg("Name the files that the command leaves in `results`, or let it write `go test -json`, JUnit XML or TAP")


class ResultsReader(Struct):
    """Reads the results of one attempt, and keeps what it read as `attachments`.

    A file that was written before `oldest` (seconds since 1970) is rejected. `command`: the completed test command;
    None if an earlier step ran the tests.
    """

    context: CheckContext
    patterns: list[str]
    format: str
    limit: int
    oldest: float
    command: CompletedCommand | None = None
    attachments: list[Attachment] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.command:
            self.attachments.append(Attachment("output.txt", _raw(self.command.output.text())))

    @property
    def root(self) -> Path:
        """Return the checkout, without links in its path."""
        return self.context.root.resolve()

    def read(self) -> tuple[Results, tuple[str, ...]]:
        """Return the results and the files that hold them. Raises ObservationError."""
        if self.command is not None and self.command.end_reason != "exit":
            raise _not_ended(self.command)
        if self.command is not None and not self.patterns:
            return self._from_output(self.command), ()
        return self._from_files()

    def read_exit_code(self, name: str) -> int:
        """Return the exit code that an earlier step wrote to a file. Raises ObservationError."""
        paths = find_files(self.context, name)
        if not paths:
            raise ObservationError(msg("The exit code of the tests is not known: {path} does not exist", path=name))
        text = read_text(paths[0], self.root, _CODE_LIMIT)
        self.attachments.append(Attachment("exit-code.txt", _raw(text)))
        _check_not_committed(paths, self.root)
        if not _CODE.fullmatch(text.strip()):
            raise ObservationError(msg("{path} does not hold an exit code", path=name))
        _check_age(name, datetime.fromtimestamp(paths[0].stat().st_mtime, UTC), None, self.oldest)
        return int(text)

    def _from_output(self, command: CompletedCommand) -> Results:
        if command.stdout.dropped_bytes:
            raise ObservationError(msg("The tests wrote more than {limit}", limit=format_size(self.limit)))
        try:
            text = testresults.decode(command.stdout.content)
            return testresults.parse(text, self.format, lambda: check_time(self.context))
        except InvalidResultsError as error:
            message = msg("The output of the tests: {why}", why=error.message)
            response = testresults.output_tail(command.output.text())
            raise ObservationError(message, response=response, advice=_ADVICE) from None

    def _from_files(self) -> tuple[Results, tuple[str, ...]]:
        paths = list(dict.fromkeys(path for pattern in self.patterns for path in self._matching(pattern)))
        if self.command is None:
            _check_not_committed(paths, self.root)
        parts = [self._from_file(path) for path in paths]
        return testresults.merge_results(parts), tuple(relative_path(path, self.root) for path in paths)

    def _matching(self, pattern: str) -> list[Path]:
        paths = find_files(self.context, pattern)
        if not paths:
            response = testresults.output_tail(self.command.output.text()) if self.command else ""
            raise ObservationError(msg("There are no results: {path} does not exist", path=pattern), response=response)
        return paths

    def _from_file(self, path: Path) -> Results:
        name = relative_path(path, self.root)
        content = read_bytes(path, self.root, self.limit)
        try:
            text = testresults.decode(content)
            if "\0" in text:
                raise ObservationError(msg("{path} is not a text file", path=name))
            if len(self.attachments) < FILES_PER_ITEM:
                self.attachments.append(Attachment(f"results.{name}", _raw(text)))
            results = testresults.parse(text, self.format, lambda: check_time(self.context))
        except InvalidResultsError as error:
            raise ObservationError(msg("{path}: {why}", path=name, why=error.message)) from None
        if not results.cases:
            raise ObservationError(msg("{path}: no tests were collected", path=name))
        _check_age(name, datetime.fromtimestamp(path.stat().st_mtime, UTC), results.timestamp, self.oldest)
        return results


def check_time(context: CheckContext) -> None:
    """Raise ObservationError if the time to read results is over."""
    if context.cancelled.is_set():
        raise ObservationError(msg("The run ended before this check finished"))
    if context.remaining() <= 0:
        raise ObservationError(
            msg("The results could not be read within the timeout"), advice=msg("Give it more time with `timeout`")
        )


def _check_age(name: str, written: datetime, stated: datetime | None, oldest: float) -> None:
    """Raise ObservationError if a file is older than `oldest` or from the future, by its date or the one it states."""
    first, last = datetime.fromtimestamp(oldest, UTC), datetime.now(UTC) + timedelta(seconds=CLOCK_SKEW)
    for when, offset in ((written, timedelta()), *([(stated, MAX_UTC_OFFSET)] if stated else [])):
        if when + offset < first:
            raise ObservationError(
                msg("{path} is older than this run: it was written {when}", path=name, when=f"{when:%Y-%m-%d %H:%M}Z"),
                advice=msg("Run the tests again before the gate, or raise `max_age`"),
            )
        if when - offset > last:
            raise ObservationError(
                msg("{path} has a modification time in the future ({when})", path=name, when=f"{when:%Y-%m-%d %H:%M}Z"),
                advice=msg("Set the clock of the machine that ran the tests, and run them again"),
            )


def _check_not_committed(paths: Iterable[Path], root: Path) -> None:
    """Raise ObservationError if a file is part of the commit and unchanged."""
    # A checkout gives committed files the current time: their date does not show that this run wrote them.
    try:
        committed = git_index.unchanged(paths)
    except git_index.GitIndexError as error:
        message = msg(
            "It can't be seen whether the results are part of the commit: git's index: {why}", why=error.message
        )
        raise ObservationError(message) from None
    if committed:
        raise ObservationError(
            msg(
                "{path} is part of the commit and unchanged: this run's tests did not write it",
                path=relative_path(committed[0], root),
            ),
            advice=msg(
                "Take it out of the commit (`git rm --cached`), and let the tests write it before the gate runs"
            ),
        )


def _raw(text: str) -> bytes:
    """Return a text as raw evidence, truncated to the size limit of a file."""
    content = as_bytes(text)
    return content if len(content) <= FILE_LIMIT else drop_torn_secret(content[:FILE_LIMIT])


def _not_ended(command: CompletedCommand) -> ObservationError:
    response = testresults.output_tail(command.output.text())
    if command.end_reason == "cancelled":
        return ObservationError(msg("The run ended before the tests finished"), response=response)
    message = msg("The tests timed out after {took}", took=format_duration(command.duration))
    return ObservationError(message, response=response, advice=msg("Give them more time with `timeout`"))
