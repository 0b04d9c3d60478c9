"""The check `command`: exit code and output of a command."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated, ClassVar

from msgspec import Meta, field

from gate import process
from gate.checks._paths import find
from gate.checks.base import CannotObserve, Check, Judgement, failed, passed, unobserved
from gate.checks.world import World
from gate.matchers import ExitCodeMatcher, TextMatcher, unlike
from gate.messages import Message, say, together
from gate.model import CheckoutPath, SomeText
from gate.quantities import Size, duration, size
from gate.secrets import beginning_of

_EXCERPT = 200
Argument = Annotated[str, Meta(pattern=r"^[^\x00]*$")]
Arguments = Annotated[list[Argument], Meta(min_length=1)]


class Command(Check[process.Finished]):
    """A command, its exit code and its output."""

    kind: ClassVar[str] = "command"
    summary: ClassVar[str] = "exit code and output of a command"
    time_limit: ClassVar[float | None] = 60.0
    ends_itself: ClassVar[bool] = True

    run: Annotated[
        SomeText | Arguments,
        Meta(
            description="The command: a list of arguments, or text that is split as a shell would.",
            examples=[["go", "vet", "./..."]],
        ),
    ]
    shell: Annotated[bool, Meta(description="Whether `run` is a script for `sh -c`.")] = False
    exit: Annotated[ExitCodeMatcher, Meta(description="The expected exit code; 0 where nothing else is said.")] = field(
        default_factory=lambda: ExitCodeMatcher(0)
    )
    stdout: Annotated[TextMatcher | None, Meta(description="The expected standard output.")] = None
    stderr: Annotated[TextMatcher | None, Meta(description="The expected standard error.")] = None
    output: Annotated[TextMatcher | None, Meta(description="The expected output, both together as they came.")] = None
    cwd: Annotated[CheckoutPath, Meta(description="Where it is run, below the checkout.")] = "."
    env: Annotated[dict[str, str], Meta(description="Variables to add to its environment.")] = {}
    image: Annotated[SomeText | None, Meta(description="The image to run it in, as a container beside the job's.")] = (
        None
    )
    limit: Annotated[Size, Meta(description="How much of its output to keep.")] = process.OUTPUT_LIMIT

    def __post_init__(self) -> None:
        if self.shell and not isinstance(self.run, str):
            raise ValueError("expected text after 'run' beside 'shell: true'")
        try:
            words = self.argv()
        except ValueError as error:
            raise ValueError(f"expected a command after 'run': {error}") from error
        lines = self.run.splitlines() if self.shell and isinstance(self.run, str) else []
        if not words or not words[0] or (self.shell and all(re.match(r"\s*(#|$)", line) for line in lines)):
            raise ValueError("expected a command after 'run'")

    @property
    def needs_engine(self) -> bool:
        return self.image is not None

    def argv(self) -> list[str]:
        """The command as its arguments. Raises ValueError where a quote is not closed."""
        if isinstance(self.run, list):
            return list(self.run)
        return ["sh", "-c", self.run] if self.shell else shlex.split(self.run)

    def asked(self, world: World) -> str:
        return self.run if isinstance(self.run, str) else shlex.join(self.run)

    def reproduce(self, world: World) -> str:
        words = [f"{name}={shlex.quote(value)}" for name, value in self.env.items()]
        if self.image is not None:
            given = " ".join(f"-e {word}" for word in words)
            place = f"/github/workspace/{self.cwd}".removesuffix("/.")
            call = shlex.join([self.image, *self.argv()])
            return f'docker run --rm --entrypoint "" -v "$PWD":/github/workspace -w {shlex.quote(place)} {given} {call}'
        line = " ".join([*words, shlex.join(self.argv())])
        return line if self.cwd == "." else f"(cd {shlex.quote(self.cwd)} && {line})"

    def observe(self, world: World) -> process.Finished:
        folders = [path for path in find(world, self.cwd) if path.is_dir()]
        if not folders:
            raise CannotObserve(say("{path} is no folder of the checkout", path=self.cwd))
        if self.image is not None:
            return self._in_image(self.image, folders[0], world)
        journal = world.stage.journal if world.stage else None
        try:
            return process.run(
                self.argv(),
                deadline=world.deadline,
                cwd=folders[0],
                env=process.environment({**self.env, **(journal.mark if journal else {})}),
                cancelled=world.cancelled,
                limit=self.limit,
                born=journal.born if journal else None,
            )
        except OSError as error:
            why = error.strerror or str(error)
            message = say("{command} can't be run: {why}", command=self.argv()[0], why=why)
            raise CannotObserve(message, advice=say("Install it where the gate runs, or correct `run`")) from error

    def _in_image(self, image: str, folder: Path, world: World) -> process.Finished:
        from gate.staging import sibling
        from gate.staging.engine import NoEngine

        if world.stage is None:
            raise CannotObserve(say("There is no engine here to run {image} with", image=image))
        try:
            return sibling.run(
                self.argv(),
                image,
                stage=world.stage,
                folder=folder,
                environment=self.env,
                deadline=world.deadline,
                cancelled=world.cancelled,
                limit=self.limit,
            )
        except NoEngine as error:
            raise CannotObserve(error.message) from error

    def judge(self, seen: process.Finished) -> Judgement:
        answer, took = _shown(seen), duration(seen.took)
        if seen.ended == "timeout":
            advice = say("Give it more time with `timeout`, or make it faster")
            return unobserved(
                say("It had not ended after {took} and was stopped", took=took), answer=answer, advice=advice
            )
        if seen.ended == "cancelled":
            return unobserved(say("The run ended before the command did"), answer=answer)
        if self._cut(seen):
            message = say("It wrote more than {limit}, which can't be judged", limit=size(self.limit))
            return unobserved(message, answer=answer, advice=say("Raise its `limit`"))
        problems = self._problems(seen)
        if problems:
            return failed(_with_excerpt(together(problems), seen), answer=answer)
        return passed(say("Ended with {how} after {took}", how=_how(seen), took=took), answer=answer)

    def _cut(self, seen: process.Finished) -> bool:
        pairs = ((self.stdout, seen.stdout), (self.stderr, seen.stderr), (self.output, seen.output))
        return any(wish is not None and kept.cut for wish, kept in pairs)

    def _problems(self, seen: process.Finished) -> list[Message]:
        code = self.exit.mismatch(seen.code)
        found = [
            say("ended with {how}, expected exit code {wish}", how=_how(seen), wish=str(self.exit)) if code else None,
            unlike(self.stdout, seen.stdout.text(), "stdout"),
            unlike(self.stderr, seen.stderr.text(), "stderr"),
            unlike(self.output, seen.output.text(), "output"),
        ]
        return [problem for problem in found if problem]


def _how(seen: process.Finished) -> Message:
    if seen.signal:
        return say("signal {name}", name=seen.signal)
    return say("exit code {code}", code=seen.code)


def _with_excerpt(problem: Message, seen: process.Finished) -> Message:
    """The problem, and the last line of what it wrote, which often says why."""
    lines = (seen.stderr.text().strip() or seen.stdout.text().strip()).splitlines()
    if not lines:
        return problem
    return say("{problem} (its last line: {line})", problem=problem, line=beginning_of(lines[-1].strip(), _EXCERPT))


def _shown(seen: process.Finished) -> str:
    head = f"{seen.signal or seen.code} after {duration(seen.took)}"
    return f"{seen.output.text().rstrip()}\n[{head}]".lstrip()
