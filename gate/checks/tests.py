"""Check the results of a test command or of an earlier step, with a quarantine of tests that may fail."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from msgspec import Meta, Struct

from gate.checks._checkout import find_files, read_bytes, read_text, relative_path, shell_pattern
from gate.checks._quarantine import MAX_ROWS, QuarantineResult, classify_failures, similar_name
from gate.checks.base import Attachment, Check, CheckResult, ObservationError, errored, failed, passed
from gate.checks.command import Arguments, Command
from gate.checks.context import CheckContext
from gate.core.messages import Message, join_messages, msg
from gate.core.override import override
from gate.core.strictness import stricter
from gate.decode.quantities import ByteSize, DurationSeconds, format_duration, format_size
from gate.decode.structs import custom_type
from gate.decode.types import listify
from gate.model import (
    CheckoutPath,
    ExemptionFile,
    NonEmptyStr,
    NonNegativeInt,
)
from gate.redaction.secrets import drop_torn_secret
from gate.runtime import processes
from gate.runtime.evidence import FILE_LIMIT, FILES_PER_ITEM, as_bytes
from gate.source import git_index
from gate.testresults import base as testresults
from gate.testresults.base import CaseResult, InvalidResultsError, Results, StillTime
from gate.testresults.quarantine import InvalidQuarantineError, QuarantineEntry, parse_quarantine

_FILE_LIMIT = 32 * 1024 * 1024
_NAMED = 5
_CODE_LIMIT = 100
_CODE = re.compile(r"[0-9]{1,3}")
# The largest offset of a local time from UTC.
MAX_UTC_OFFSET = timedelta(hours=14)
# Seconds by which the clock of a file system may differ.
CLOCK_SKEW = 2.0
# Exit codes from here on mean that a command could not be run, or was ended by a signal.
SHELL_EXIT_CODES_FROM = 126


if TYPE_CHECKING:
    Paths = list[str]
else:
    _PATH = {"type": "string", "minLength": 1}
    Paths = custom_type(
        listify,
        {"anyOf": [_PATH, {"type": "array", "items": _PATH, "minItems": 1}]},
        target_type=Annotated[list[CheckoutPath], Meta(min_length=1)],
    )


class QuarantineFile(ExemptionFile):
    """Where the quarantine is kept."""

    file: Annotated[
        CheckoutPath, Meta(description="A YAML file, or a Markdown file with a table.", extra=stricter("never"))
    ]

    @override
    def entries(self, text: str, still_time: StillTime = lambda: None) -> list[QuarantineEntry]:
        """Return the entries of the file. Raise NoQuarantine if it is none."""
        return parse_quarantine(text, self.file, still_time)


class Observation(Struct, frozen=True):
    """The results, how the command that made them ended where that is known, the quarantine, the day, raw evidence."""

    results: Results
    today: date
    quarantine: tuple[QuarantineEntry, ...] = ()
    code: int | None = None
    files: tuple[str, ...] = ()
    kept: tuple[Attachment, ...] = ()


class Tests(Check[Observation]):
    """Tests and their results."""

    kind: ClassVar[str] = "tests"
    summary: ClassVar[str] = "a test command, or its results; with a quarantine of tests that may fail"
    expectation_keys: ClassVar[tuple[str, ...]] = ("run", "results")
    time_limit: ClassVar[float | None] = 600.0
    needs_cleanup: ClassVar[bool] = True

    run: Annotated[
        NonEmptyStr | Arguments | None,
        Meta(
            description="The test command, as in `command`.",
            examples=[["go", "test", "-json", "./..."]],
            extra=stricter("never"),
        ),
    ] = None
    shell: Annotated[bool, Meta(description="Whether `run` is a script for `sh -c`.", extra=stricter("never"))] = False
    cwd: Annotated[CheckoutPath, Meta(description="Where it is run, below the checkout.", extra=stricter("never"))] = (
        "."
    )
    env: Annotated[
        dict[str, str], Meta(description="Variables to add to its environment.", extra=stricter("never"))
    ] = {}
    image: Annotated[
        NonEmptyStr | None, Meta(description="The image to run it in, as in `command`.", extra=stricter("never"))
    ] = None
    results: Annotated[
        Paths | None,
        Meta(
            description="The files with the results, or globs; without it, the output of `run`.",
            extra=stricter("never"),
        ),
    ] = None
    exit_code: Annotated[
        CheckoutPath | None,
        Meta(
            description="A file with the exit code of the command that left the results in an earlier step.",
            extra=stricter("never"),
        ),
    ] = None
    format: Annotated[
        Literal["auto", "junit", "gojson", "go", "tap"],
        Meta(description="The format of the results.", extra=stricter("never")),
    ] = "auto"
    quarantine: Annotated[
        list[QuarantineEntry] | QuarantineFile,
        Meta(description="Tests that may fail, here or in a file.", extra=stricter("fewer", entry_key="test")),
    ] = []
    min_tests: Annotated[
        int,
        Meta(ge=1, description="How many tests there have to be, without the skipped ones.", extra=stricter("higher")),
    ] = 1
    max_skipped: Annotated[
        NonNegativeInt | None, Meta(description="How many may be skipped.", extra=stricter("set", "lower"))
    ] = None
    max_failures: Annotated[
        NonNegativeInt | None,
        Meta(description="How many may fail at most, all of them in quarantine.", extra=stricter("set", "lower")),
    ] = None
    max_age: Annotated[
        DurationSeconds, Meta(description="How old the results of an earlier step may be.", extra=stricter("lower"))
    ] = 3600.0
    limit: Annotated[ByteSize, Meta(description="How large an output or a file may be.", extra=stricter("never"))] = (
        _FILE_LIMIT
    )

    def __post_init__(self) -> None:
        if self.run is None and (self.shell or self.env or self.image or self.cwd != "."):
            raise ValueError("expected 'run' beside 'shell', 'cwd', 'env' and 'image'")
        if self.exit_code is not None and (self.run is not None or not self._patterns):
            raise ValueError("expected 'results' and no 'run' beside 'exit_code'")
        if isinstance(self.quarantine, list):
            names = Counter(entry.test for entry in self.quarantine)
            for name, count in names.items():
                if count > 1:
                    raise ValueError(f"expected each test once in 'quarantine', got '{name}' twice")
        if self.run is not None:
            self._command()

    def _command(self) -> Command:
        names = ("run", "shell", "cwd", "env", "image")
        fields: dict[str, Any] = {name: getattr(self, name) for name in names}
        return Command(**fields, limit=self.limit)

    @property
    def _patterns(self) -> list[str]:
        return self.results or []

    @override
    def describe(self, context: CheckContext) -> str:
        return self._command().describe(context) if self.run is not None else ", ".join(self._patterns)

    @override
    def reproduce_command(self, context: CheckContext) -> str:
        if self.run is not None:
            return self._command().reproduce_command(context)
        return " && ".join(f"ls -l {shell_pattern(pattern)}" for pattern in self._patterns)

    @override
    def observe(self, context: CheckContext) -> Observation:
        quarantine = self._quarantine(context)
        began = time.time()
        finished = self._command().observe(context) if self.run is not None else None
        kept = [Attachment("output.txt", _raw(finished.output.text()))] if finished else []
        oldest = began - CLOCK_SKEW if finished else began - self.max_age
        try:
            found, files = self._found(context, oldest, finished, kept)
            code = finished.returncode if finished else self._code(context, oldest, kept)
        except ObservationError as error:
            error.attachments = tuple(kept)
            raise
        return Observation(found, _today(), quarantine, code, files, tuple(kept))

    def _found(
        self, context: CheckContext, oldest: float, finished: processes.CompletedCommand | None, kept: list[Attachment]
    ) -> tuple[Results, tuple[str, ...]]:
        """Return the results and the files that hold them. Adds what was read to `kept`."""
        if finished is not None and finished.end_reason != "exit":
            raise _not_ended(finished)
        if finished is not None and not self._patterns:
            return self._of_output(context, finished), ()
        return self._of_files(context, oldest, finished, kept)

    def _code(self, context: CheckContext, oldest: float, kept: list[Attachment]) -> int | None:
        """Return the exit code that an earlier step wrote, or None."""
        if self.exit_code is None:
            return None
        paths = find_files(context, self.exit_code)
        if not paths:
            raise ObservationError(
                msg("The exit code of the tests is not known: {path} does not exist", path=self.exit_code)
            )
        text = read_text(paths[0], context.root.resolve(), _CODE_LIMIT)
        kept.append(Attachment("exit-code.txt", _raw(text)))
        _check_made_now(paths, context.root.resolve())
        if not _CODE.fullmatch(text.strip()):
            raise ObservationError(msg("{path} does not hold an exit code", path=self.exit_code))
        _check_age(self.exit_code, datetime.fromtimestamp(paths[0].stat().st_mtime, UTC), None, oldest)
        return int(text)

    def _quarantine(self, context: CheckContext) -> tuple[QuarantineEntry, ...]:
        if not isinstance(self.quarantine, QuarantineFile):
            return tuple(self.quarantine)
        name = self.quarantine.file
        paths = find_files(context, name)
        if not paths:
            raise ObservationError(msg("The quarantine {path} does not exist", path=name))
        text = read_text(paths[0], context.root.resolve())
        try:
            return tuple(self.quarantine.entries(text, lambda: _check_time(context)))
        except InvalidQuarantineError as error:
            raise ObservationError(msg("The quarantine {path}: {why}", path=name, why=error.message)) from None

    def _of_output(self, context: CheckContext, finished: processes.CompletedCommand) -> Results:
        if finished.stdout.dropped_bytes:
            raise ObservationError(msg("The tests wrote more than {limit}", limit=format_size(self.limit)))
        try:
            text = testresults.decode(finished.stdout.content)
            return testresults.parse(text, self.format, lambda: _check_time(context))
        except InvalidResultsError as error:
            message = msg("The output of the tests: {why}", why=error.message)
            raise ObservationError(
                message, response=testresults.output_tail(finished.output.text()), advice=_ADVICE
            ) from None

    def _of_files(
        self, context: CheckContext, oldest: float, finished: processes.CompletedCommand | None, kept: list[Attachment]
    ) -> tuple[Results, tuple[str, ...]]:
        root = context.root.resolve()
        paths = [path for pattern in self._patterns for path in self._matching(context, pattern, finished)]
        paths = list(dict.fromkeys(paths))
        if finished is None:
            _check_made_now(paths, root)
        parts = [self._of_file(path, context, oldest, kept) for path in paths]
        return testresults.merge_results(parts), tuple(relative_path(path, root) for path in paths)

    def _matching(self, context: CheckContext, pattern: str, finished: processes.CompletedCommand | None) -> list[Path]:
        paths = find_files(context, pattern)
        if not paths:
            response = testresults.output_tail(finished.output.text()) if finished else ""
            raise ObservationError(msg("There are no results: {path} does not exist", path=pattern), response=response)
        return paths

    def _of_file(self, path: Path, context: CheckContext, oldest: float, kept: list[Attachment]) -> Results:
        root = context.root.resolve()
        name = relative_path(path, root)
        content = read_bytes(path, root, self.limit)
        try:
            text = testresults.decode(content)
            if "\0" in text:
                raise ObservationError(msg("{path} is not a text file", path=name))
            if len(kept) < FILES_PER_ITEM:
                kept.append(Attachment(f"results.{name}", _raw(text)))
            found = testresults.parse(text, self.format, lambda: _check_time(context))
        except InvalidResultsError as error:
            raise ObservationError(msg("{path}: {why}", path=name, why=error.message)) from None
        if not found.cases:
            raise ObservationError(msg("{path}: no tests were collected", path=name))
        _check_age(name, datetime.fromtimestamp(path.stat().st_mtime, UTC), found.timestamp, oldest)
        return found

    @override
    def judge(self, observation: Observation) -> CheckResult:
        results = observation.results
        classified = classify_failures(results.cases, results.hides_passing, observation.quarantine, observation.today)
        evidence: dict[str, Any] = {
            "response": _shown(observation),
            "rows": tuple(classified.rows()),
            "locations": classified.locations(),
            "attachments": observation.kept,
        }
        error = self._unusable(observation, classified)
        if error:
            return errored(error, **evidence)
        problems = list(self._problems(observation, classified))
        if problems:
            return failed(join_messages(problems), **evidence)
        return passed(_proof(observation.results, classified), **evidence)

    def _unusable(self, observation: Observation, classified: QuarantineResult) -> Message | None:
        """Return why the results can't be judged, or None."""
        if not observation.results.cases:
            return msg("No tests were collected")
        if classified.unknown and not classified.broken:
            name = classified.unknown[0].test
            if near := similar_name(name, observation.results.cases):
                return msg("{test} is in quarantine, but does not exist; {near} does", test=name, near=near)
            return msg("{test} is in quarantine, but does not exist", test=name)
        if observation.results.stray and observation.code != 0 and not (classified.failing or classified.expired):
            return msg("The results have a line that is not theirs, and may be why the tests did not pass: {line}",
                       line=observation.results.stray)  # fmt: skip
        return None

    def _problems(self, observation: Observation, classified: QuarantineResult) -> Iterator[Message]:
        failing = len(classified.failing) + len(classified.tolerated)
        if classified.broken:
            yield _broken(classified.broken)
        if others := [case for case in classified.failing if not case.is_group]:
            yield _names(others)
        for entry, case in classified.expired:
            yield msg("the quarantine of {test} ended on {day}", test=case.id, day=entry.expires.isoformat())
        if observation.code is not None:
            yield from _exit_problem(observation.code, failing + len(classified.expired))
        ran = observation.results.count("passed") + observation.results.count("failed")
        if ran < self.min_tests:
            yield msg("{count} tests ran, expected at least {wish}", count=ran, wish=self.min_tests)
        skipped = observation.results.count("skipped")
        if self.max_skipped is not None and skipped > self.max_skipped:
            yield msg("{count} tests were skipped, expected at most {wish}", count=skipped, wish=self.max_skipped)
        if self.max_failures is not None and failing > self.max_failures:
            yield msg("{count} tests fail, expected at most {wish}", count=failing, wish=self.max_failures)


def _broken(groups: Sequence[CaseResult]) -> Message:
    first = groups[0]
    why = " ".join(first.output.strip().rpartition("\n")[2].split())
    if len(groups) > 1:
        return msg("{count} groups broke outside of their tests, {group} first: {why}", count=len(groups),
                   group=first.id, why=why or "-")  # fmt: skip
    if why:
        return msg("{group} broke outside of its tests: {why}", group=first.id, why=why)
    return msg("{group} broke outside of its tests", group=first.id)


def _names(cases: Sequence[CaseResult]) -> Message:
    names = ", ".join(case.id for case in cases[:_NAMED])
    if len(cases) == 1:
        return msg("{test} fails", test=names)
    if len(cases) <= _NAMED:
        return msg("{count} tests fail: {tests}", count=len(cases), tests=names)
    return msg("{count} tests fail, among them {tests}", count=len(cases), tests=names)


def _exit_problem(code: int, failing: int) -> Iterator[Message]:
    """Yield a contradiction between the exit code of a command and its results."""
    signal = processes.signal_of(code)
    if code == 0 and failing:
        yield msg("the command ended with exit code 0 although {count} tests fail", count=failing)
    elif signal:
        yield msg("the command was ended by signal {name}", name=signal)
    elif code >= SHELL_EXIT_CODES_FROM:
        yield msg("the command ended with exit code {code}: it could not be run, or was ended by a signal", code=code)
    elif code != 0 and not failing:
        yield msg("the command ended with exit code {code} although no test fails", code=code)


def _proof(found: Results, classified: QuarantineResult) -> Message:
    total, ok, skipped = len(found.cases), found.count("passed"), found.count("skipped")
    message = msg("{passed} of {total} tests passed, {skipped} were skipped", passed=ok, total=total, skipped=skipped)
    if not classified.tolerated:
        return message
    count = len(classified.tolerated)
    return msg("{message}, {count} that fail are in quarantine", message=message, count=count)


def _shown(observation: Observation) -> str:
    """Return counts, the slowest tests and the output of the failing ones."""
    found = observation.results
    lines = [f"{found.count('passed')} passed, {found.count('failed')} failed, {found.count('skipped')} skipped"]
    lines += [f"from {name}" for name in observation.files[:MAX_ROWS]]
    lines += [f"slowest: {case.id} {format_duration(case.duration)}" for case in found.slowest]
    for case in [case for case in found.cases if case.outcome == "failed"][:MAX_ROWS]:
        lines += ["", f"FAIL {case.id}", *(f"  {line}" for line in case.output.splitlines())]
    return "\n".join(lines)


def _check_age(name: str, written: datetime, told: datetime | None, oldest: float) -> None:
    """Refuses a file that is older than `oldest` (seconds since 1970) or from the future, by what it tells, too."""
    first, last = datetime.fromtimestamp(oldest, UTC), datetime.now(UTC) + timedelta(seconds=CLOCK_SKEW)
    for when, zones in ((written, timedelta()), *([(told, MAX_UTC_OFFSET)] if told else [])):
        if when + zones < first:
            raise ObservationError(
                msg("{path} is older than this run: it was written {when}", path=name, when=f"{when:%Y-%m-%d %H:%M}Z"),
                advice=msg("Run the tests again before the gate, or raise `max_age`"),
            )
        if when - zones > last:
            raise ObservationError(
                msg("{path} has a modification time in the future ({when})", path=name, when=f"{when:%Y-%m-%d %H:%M}Z"),
                advice=msg("Set the clock of the machine that ran the tests, and run them again"),
            )


def _check_made_now(paths: Iterable[Path], root: Path) -> None:
    """Refuse files that are part of the commit: a checkout gives them the time of now."""
    try:
        found = git_index.unchanged(paths)
    except git_index.GitIndexError as error:
        message = msg(
            "It can't be seen whether the results are part of the commit: git's index: {why}", why=error.message
        )
        raise ObservationError(message) from None
    if found:
        raise ObservationError(
            msg(
                "{path} is part of the commit and unchanged: this run's tests did not write it",
                path=relative_path(found[0], root),
            ),
            advice=msg(
                "Take it out of the commit (`git rm --cached`), and let the tests write it before the gate runs"
            ),
        )


def _check_time(context: CheckContext) -> None:
    """Raise ObservationError if the time to read results is over."""
    if context.cancelled.is_set():
        raise ObservationError(msg("The run ended before this check finished"))
    if context.remaining() <= 0:
        raise ObservationError(
            msg("The results could not be read within the timeout"), advice=msg("Give it more time with `timeout`")
        )


def _raw(text: str) -> bytes:
    """Return a text as raw evidence, truncated to the size limit of a file."""
    content = as_bytes(text)
    return content if len(content) <= FILE_LIMIT else drop_torn_secret(content[:FILE_LIMIT])


def _today() -> date:
    return datetime.now(UTC).date()


def _not_ended(finished: processes.CompletedCommand) -> ObservationError:
    response = testresults.output_tail(finished.output.text())
    if finished.end_reason == "cancelled":
        return ObservationError(msg("The run ended before the tests finished"), response=response)
    message = msg("The tests timed out after {took}", took=format_duration(finished.duration))
    return ObservationError(message, response=response, advice=msg("Give them more time with `timeout`"))


_ADVICE = msg("Name the files that the command leaves in `results`, or let it write `go test -json`, JUnit XML or TAP")
