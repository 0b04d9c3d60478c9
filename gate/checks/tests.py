"""Check the results of a test command or of an earlier step, with a quarantine of tests that may fail."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from msgspec import Meta, Struct

from gate.checks._checkout import find_files, read_text, shell_pattern
from gate.checks._quarantine import MAX_ROWS, QuarantineResult, classify_failures, similar_name
from gate.checks._test_results import CLOCK_SKEW, ResultsReader, check_time
from gate.checks.base import Attachment, Check, CheckResult, ObservationError, errored, failed, passed
from gate.checks.command import Arguments, Command
from gate.checks.context import CheckContext
from gate.core.messages import Message, join_messages, msg
from gate.core.override import override
from gate.core.strictness import stricter
from gate.decode.quantities import ByteSize, DurationSeconds, format_duration
from gate.decode.structs import custom_type
from gate.decode.types import listify
from gate.model import (
    CheckoutPath,
    ExemptionFile,
    NonEmptyStr,
    NonNegativeInt,
)
from gate.runtime import processes
from gate.testresults.base import CaseResult, Results, StillTime
from gate.testresults.quarantine import InvalidQuarantineError, QuarantineEntry, parse_quarantine

_FILE_LIMIT = 32 * 1024 * 1024
# Maximum number of failing tests in the message.
_NAMED = 5
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
        """Return the entries of the file. Raise InvalidQuarantineError."""
        return parse_quarantine(text, self.file, still_time)


class Observation(Struct, frozen=True):
    """The results with the day and the quarantine. `code`: the exit code of the tests, None if it is not known."""

    results: Results
    today: date
    quarantine: tuple[QuarantineEntry, ...] = ()
    code: int | None = None
    files: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()


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
        command = self._command().observe(context) if self.run is not None else None
        oldest = began - CLOCK_SKEW if command else began - self.max_age
        reader = ResultsReader(context, self._patterns, self.format, int(self.limit), oldest, command)
        code = command.returncode if command else None
        try:
            results, files = reader.read()
            if self.exit_code is not None:
                code = reader.read_exit_code(self.exit_code)
        except ObservationError as error:
            error.attachments = tuple(reader.attachments)
            raise
        return Observation(results, _today(), quarantine, code, files, tuple(reader.attachments))

    def _quarantine(self, context: CheckContext) -> tuple[QuarantineEntry, ...]:
        if not isinstance(self.quarantine, QuarantineFile):
            return tuple(self.quarantine)
        name = self.quarantine.file
        paths = find_files(context, name)
        if not paths:
            raise ObservationError(msg("The quarantine {path} does not exist", path=name))
        text = read_text(paths[0], context.root.resolve())
        try:
            return tuple(self.quarantine.entries(text, lambda: check_time(context)))
        except InvalidQuarantineError as error:
            raise ObservationError(msg("The quarantine {path}: {why}", path=name, why=error.message)) from None

    @override
    def judge(self, observation: Observation) -> CheckResult:
        results = observation.results
        classified = classify_failures(results.cases, results.hides_passing, observation.quarantine, observation.today)
        evidence: dict[str, Any] = {
            "response": _shown(observation),
            "rows": tuple(classified.rows()),
            "locations": classified.locations(),
            "attachments": observation.attachments,
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
            yield _describe_broken(classified.broken)
        if tests := [case for case in classified.failing if not case.is_group]:
            yield _describe_failing(tests)
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


def _describe_broken(groups: Sequence[CaseResult]) -> Message:
    first = groups[0]
    why = " ".join(first.output.strip().rpartition("\n")[2].split())
    if len(groups) > 1:
        return msg("{count} groups broke outside of their tests, {group} first: {why}", count=len(groups),
                   group=first.id, why=why or "-")  # fmt: skip
    if why:
        return msg("{group} broke outside of its tests: {why}", group=first.id, why=why)
    return msg("{group} broke outside of its tests", group=first.id)


def _describe_failing(cases: Sequence[CaseResult]) -> Message:
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


def _proof(results: Results, classified: QuarantineResult) -> Message:
    total, ok, skipped = len(results.cases), results.count("passed"), results.count("skipped")
    message = msg("{passed} of {total} tests passed, {skipped} were skipped", passed=ok, total=total, skipped=skipped)
    if not classified.tolerated:
        return message
    count = len(classified.tolerated)
    return msg("{message}, {count} that fail are in quarantine", message=message, count=count)


def _shown(observation: Observation) -> str:
    """Return counts, the slowest tests and the output of the failing ones."""
    results = observation.results
    counts = [f"{results.count(outcome)} {outcome}" for outcome in ("passed", "failed", "skipped")]
    lines = [", ".join(counts)]
    lines += [f"from {name}" for name in observation.files[:MAX_ROWS]]
    lines += [f"slowest: {case.id} {format_duration(case.duration)}" for case in results.slowest]
    for case in [case for case in results.cases if case.outcome == "failed"][:MAX_ROWS]:
        lines += ["", f"FAIL {case.id}", *(f"  {line}" for line in case.output.splitlines())]
    return "\n".join(lines)


def _today() -> date:
    return datetime.now(UTC).date()
