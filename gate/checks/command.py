"""Check the exit code and the output of a command."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated, ClassVar

from msgspec import Meta, field

from gate.checks._checkout import find_files
from gate.checks.base import Check, CheckResult, ObservationError, errored, failed, passed
from gate.checks.context import CheckContext
from gate.core.messages import Message, join_messages, msg
from gate.core.override import override
from gate.core.strictness import stricter
from gate.decode.quantities import ByteSize, format_duration, format_size
from gate.matchers import BodyMatcher, ExitCodeMatcher, mismatch_if_set
from gate.model import CheckoutPath, NonEmptyStr
from gate.redaction.secrets import redacted_head
from gate.runtime import processes
from gate.staging.target import fill_addresses

_EXCERPT = 200
Argument = Annotated[str, Meta(pattern=r"^[^\x00]*$")]
Arguments = Annotated[list[Argument], Meta(min_length=1)]


# What only a shell understands: it would be passed to the program as an argument.
_SHELL_SYNTAX = re.compile(r"(?:^cd|(?<=\s)(?:&&|\|\||[|;<&]|>{1,2}|2>&1))(?=\s|$)|;(?=\s|$)|\$\(")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


class Command(Check[processes.CompletedCommand]):
    """A command, its exit code and its output."""

    kind: ClassVar[str] = "command"
    summary: ClassVar[str] = "exit code and output of a command"
    time_limit: ClassVar[float | None] = 60.0
    needs_cleanup: ClassVar[bool] = True

    run: Annotated[
        NonEmptyStr | Arguments,
        Meta(
            description="The command: a list of arguments, or text that is split as a shell would.",
            examples=[["go", "vet", "./..."]],
            extra=stricter("never"),
        ),
    ]
    shell: Annotated[bool, Meta(description="Whether `run` is a script for `sh -c`.", extra=stricter("never"))] = False
    exit: Annotated[
        ExitCodeMatcher,
        Meta(description="The expected exit code; 0 where nothing else is said.", extra=stricter("narrower")),
    ] = field(default_factory=lambda: ExitCodeMatcher(0))
    stdout: Annotated[BodyMatcher | None, Meta(description="The expected standard output.", extra=stricter("set"))] = (
        None
    )
    stderr: Annotated[BodyMatcher | None, Meta(description="The expected standard error.", extra=stricter("set"))] = (
        None
    )
    output: Annotated[
        BodyMatcher | None,
        Meta(description="The expected output, both together as they came.", extra=stricter("set")),
    ] = None
    cwd: Annotated[CheckoutPath, Meta(description="Where it is run, below the checkout.", extra=stricter("never"))] = (
        "."
    )
    env: Annotated[
        dict[str, str], Meta(description="Variables to add to its environment.", extra=stricter("never"))
    ] = {}
    image: Annotated[
        NonEmptyStr | None,
        Meta(description="The image to run it in, as a container beside the job's.", extra=stricter("never")),
    ] = None
    limit: Annotated[ByteSize, Meta(description="How much of its output to keep.", extra=stricter("never"))] = (
        processes.OUTPUT_LIMIT
    )

    def __post_init__(self) -> None:
        if self.shell and not isinstance(self.run, str):
            raise ValueError("expected text after 'run' beside 'shell: true'")
        try:
            words = self.argv()
        except ValueError as error:
            raise ValueError(f"expected a command after 'run': {error}") from error
        lines = self.run.splitlines() if self.shell and isinstance(self.run, str) else []
        if not self.shell and isinstance(self.run, str) and (syntax := _SHELL_SYNTAX.search(_QUOTED.sub("", self.run))):
            raise ValueError(f"'{syntax[0].strip()}' is shell syntax, expected a command alone; add `shell: true`")
        if not words or not words[0] or (self.shell and all(re.match(r"\s*(#|$)", line) for line in lines)):
            raise ValueError("expected a command after 'run'")

    @property
    @override
    def needs_engine(self) -> bool:
        return self.image is not None

    def argv(self) -> list[str]:
        """Return the command as arguments. Raises ValueError if a quote is not closed."""
        if isinstance(self.run, list):
            return list(self.run)
        return ["sh", "-c", self.run] if self.shell else shlex.split(self.run)

    @override
    def describe(self, context: CheckContext) -> str:
        return self.run if isinstance(self.run, str) else shlex.join(self.run)

    @override
    def reproduce_command(self, context: CheckContext) -> str:
        return self._resolved(context)._reproduced()

    def _resolved(self, context: CheckContext) -> Command:
        """Return the command with `{NAME.host}`, `{NAME.port}` and `{NAME.address}` of the run's targets replaced."""

        def fill(text: str) -> str:
            return fill_addresses(text, context.targets, in_container=self.image is not None)

        run = fill(self.run) if isinstance(self.run, str) else [fill(word) for word in self.run]
        return self.replace(run=run, env={name: fill(value) for name, value in self.env.items()})

    def _reproduced(self) -> str:
        words = [f"{name}={shlex.quote(value)}" for name, value in self.env.items()]
        if self.image is not None:
            options = " ".join(f"-e {word}" for word in words)
            place = f"/github/workspace/{self.cwd}".removesuffix("/.")
            call = shlex.join([self.image, *self.argv()])
            return (
                f'docker run --rm --entrypoint "" -v "$PWD":/github/workspace -w {shlex.quote(place)} {options} {call}'
            )
        line = " ".join([*words, shlex.join(self.argv())])
        return line if self.cwd == "." else f"(cd {shlex.quote(self.cwd)} && {line})"

    @override
    def observe(self, context: CheckContext) -> processes.CompletedCommand:
        return self._resolved(context)._executed(context)

    def _executed(self, context: CheckContext) -> processes.CompletedCommand:
        folders = [path for path in find_files(context, self.cwd) if path.is_dir()]
        if not folders:
            raise ObservationError(msg("{path} is not a folder of the checkout", path=self.cwd))
        if self.image is not None:
            return self._in_image(self.image, folders[0], context)
        journal = context.stage.journal if context.stage else None
        try:
            return processes.run(
                self.argv(),
                deadline=context.deadline,
                cwd=folders[0],
                env=processes.environment({**self.env, **(journal.env_marker if journal else {})}),
                cancelled=context.cancelled,
                limit=self.limit,
                on_group_created=journal.record_process if journal else None,
            )
        except OSError as error:
            why = error.strerror or str(error)
            message = msg("{command} can't be run: {why}", command=self.argv()[0], why=why)
            raise ObservationError(message, advice=msg("Install it where the gate runs, or correct `run`")) from error

    def _in_image(self, image: str, folder: Path, context: CheckContext) -> processes.CompletedCommand:
        from gate.staging import one_off_container
        from gate.staging.errors import StagingError

        if context.stage is None:
            raise ObservationError(msg("No container engine to run {image}", image=image))
        try:
            return one_off_container.run_one_off(
                self.argv(),
                image,
                staging=context.stage,
                folder=folder,
                environment=self.env,
                deadline=context.deadline,
                cancelled=context.cancelled,
                limit=self.limit,
            )
        except StagingError as error:
            raise ObservationError(error.message) from error

    @override
    def judge(self, observation: processes.CompletedCommand) -> CheckResult:
        response, duration = _shown(observation), format_duration(observation.duration)
        if observation.end_reason == "timeout":
            advice = msg("Give it more time with `timeout`, or make it faster")
            return errored(msg("Timed out after {took}", took=duration), response=response, advice=advice)
        if observation.end_reason == "cancelled":
            return errored(msg("The run ended before the command finished"), response=response)
        if self._cut(observation):
            message = msg("The output is larger than {limit} and can't be judged", limit=format_size(self.limit))
            return errored(message, response=response, advice=msg("Raise its `limit`"))
        problems = self._problems(observation)
        if problems:
            return failed(_with_excerpt(join_messages(problems), observation), response=response)
        return passed(msg("Ended with {how} after {took}", how=_how(observation), took=duration), response=response)

    def _cut(self, observation: processes.CompletedCommand) -> bool:
        pairs = (
            (self.stdout, observation.stdout),
            (self.stderr, observation.stderr),
            (self.output, observation.output),
        )
        return any(matcher is not None and output.dropped_bytes for matcher, output in pairs)

    def _problems(self, observation: processes.CompletedCommand) -> list[Message]:
        code = self.exit.mismatch(observation.returncode)
        mismatches = [
            msg("ended with {how}, expected exit code {wish}", how=_how(observation), wish=str(self.exit))
            if code
            else None,
            mismatch_if_set(self.stdout, observation.stdout.text(), "stdout"),
            mismatch_if_set(self.stderr, observation.stderr.text(), "stderr"),
            mismatch_if_set(self.output, observation.output.text(), "output"),
        ]
        return [problem for problem in mismatches if problem]


def _how(observation: processes.CompletedCommand) -> Message:
    if observation.signal:
        return msg("signal {name}", name=observation.signal)
    return msg("exit code {code}", code=observation.returncode)


def _with_excerpt(problem: Message, observation: processes.CompletedCommand) -> Message:
    """Return the problem with the last line of the output, which often names the cause."""
    lines = (observation.stderr.text().strip() or observation.stdout.text().strip()).splitlines()
    if not lines:
        return problem
    return msg("{problem} (its last line: {line})", problem=problem, line=redacted_head(lines[-1].strip(), _EXCERPT))


def _shown(observation: processes.CompletedCommand) -> str:
    head = f"{observation.signal or observation.returncode} after {format_duration(observation.duration)}"
    return f"{observation.output.text().rstrip()}\n[{head}]".lstrip()
