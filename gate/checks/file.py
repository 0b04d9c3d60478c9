"""Check that files of the checkout exist, with their size, permission, number and text."""

from __future__ import annotations

import shlex
import stat
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from gate.checks._checkout import find_files, read_text, relative_path, shell_pattern
from gate.checks.base import Check, CheckResult, failed, passed
from gate.checks.context import CheckContext
from gate.core.messages import Message, join_messages, msg
from gate.core.override import override
from gate.core.strictness import stricter
from gate.decode.quantities import format_size
from gate.matchers import BodyMatcher, CountMatcher, SizeMatcher, mismatch_if_set
from gate.model import CheckoutPath, Location, NonEmptyStr, SomeTexts
from gate.redaction.secrets import redacted_head

_SHOWN = 50


class FileInfo(Struct, frozen=True):
    """A file as it is. `size` is in bytes, `text` None where nobody asked for it."""

    path: str
    mode: int
    size: int
    text: str | None = None

    @property
    def executable(self) -> bool:
        """Return whether this is a regular file that someone may execute."""
        return stat.S_ISREG(self.mode) and bool(self.mode & 0o111)


Observation = tuple[FileInfo, ...]


class File(Check[Observation]):
    """A path or a glob and what has to be there. What is said of a file is said of each that matches."""

    kind: ClassVar[str] = "file"
    summary: ClassVar[str] = "files exist, with their size, permission, number and text"
    expectation_keys: ClassVar[tuple[str, ...]] = ("exists", "executable", "size", "count", "contains", "text")

    path: Annotated[
        CheckoutPath,
        Meta(
            description="A path in the checkout, or a glob.", examples=["docs/runbooks/*.md"], extra=stricter("never")
        ),
    ]
    exists: Annotated[bool | None, Meta(description="Whether there is such a file.", extra=stricter("set"))] = None
    executable: Annotated[bool | None, Meta(description="Whether it may be run.", extra=stricter("set"))] = None
    size: Annotated[
        SizeMatcher | None, Meta(description="Its size.", examples=[{"gt": "1KiB"}], extra=stricter("set"))
    ] = None
    count: Annotated[
        CountMatcher | None, Meta(description="How many match the glob.", examples=[3], extra=stricter("narrower"))
    ] = None
    contains: Annotated[
        NonEmptyStr | SomeTexts | None,
        Meta(description="Text that stands in it; of several, all do.", extra=stricter("more")),
    ] = None
    text: Annotated[BodyMatcher | None, Meta(description="Its whole text.", extra=stricter("set"))] = None

    def __post_init__(self) -> None:
        if self.exists is False and any(matcher is not None for matcher in self._wishes()):
            raise ValueError("expected nothing else beside 'exists: false'")

    def _wishes(self) -> tuple[object, ...]:
        return self.executable, self.size, self.count, self.contains, self.text

    @property
    def _texts(self) -> list[str]:
        return [self.contains] if isinstance(self.contains, str) else list(self.contains or [])

    @override
    def describe(self, context: CheckContext) -> str:
        return self.path

    @override
    def reproduce_command(self, context: CheckContext) -> str:
        name = shell_pattern(self.path)
        if self._texts:
            return " && ".join(f"grep -nF -e {shlex.quote(text)} {name}" for text in self._texts)
        return f"cat {name}" if self.text else f"ls -ld {name}"

    @override
    def observe(self, context: CheckContext) -> Observation:
        root = context.root.resolve()
        read = bool(self.text or self.contains)
        files = []
        for path in find_files(context, self.path):
            status = path.stat()
            text = read_text(path, root) if read else None
            files.append(FileInfo(relative_path(path, root), status.st_mode, status.st_size, text))
        return tuple(files)

    @override
    def judge(self, observation: Observation) -> CheckResult:
        listing = "\n".join(f"{stat.filemode(file.mode)} {file.size:>10} {file.path}" for file in observation[:_SHOWN])
        if len(observation) > _SHOWN:
            listing += f"\n[... {len(observation) - _SHOWN} more ...]"
        locations = tuple(Location(file=file.path) for file in observation[:_SHOWN])
        if self.exists is False:
            return self._judge_absence(observation, listing, locations)
        problems = self._problems(observation)
        if problems:
            return failed(join_messages(problems), response=listing, locations=locations)
        places = self._places(observation) or locations
        return passed(self._proof(observation), response=listing, locations=places)

    def _judge_absence(self, observation: Observation, listing: str, locations: tuple[Location, ...]) -> CheckResult:
        if observation:
            return failed(
                msg("{path} exists, expected that it does not", path=observation[0].path),
                response=listing,
                locations=locations,
            )
        return passed(msg("{path} does not exist", path=self.path))

    def _problems(self, observation: Observation) -> list[Message]:
        counted = mismatch_if_set(self.count, len(observation), self.path)
        if counted:
            return [msg("files that match {why}", why=counted)]
        only_counted = self.exists is None and self._wishes() == (None, None, self.count, None, None)
        if not observation and not only_counted:
            return [msg("{path} does not exist", path=self.path)]
        return [problem for file in observation for problem in self._problems_of(file)]

    def _problems_of(self, file: FileInfo) -> list[Message]:
        problems: list[Message | None] = [
            None if self.executable in (None, file.executable) else _permission(file),
            mismatch_if_set(self.size, file.size, file.path),
            mismatch_if_set(self.text, file.text, file.path),
        ]
        for text in self._texts:
            if text not in (file.text or ""):
                problems.append(
                    msg("{path} does not contain {text}", path=file.path, text=redacted_head(repr(text), 200))
                )
        return [problem for problem in problems if problem]

    def _places(self, observation: Observation) -> tuple[Location, ...]:
        """Return the locations of the expected texts."""
        places = []
        for file in observation[:_SHOWN]:
            for text in self._texts:
                before, _, _ = (file.text or "").partition(text)
                number = before.count("\n") + 1
                line = (file.text or "").split("\n")[number - 1]
                places.append(Location(file=file.path, line=number, text=redacted_head(line.strip(), 200)))
        return tuple(places)

    def _proof(self, observation: Observation) -> Message:
        if len(observation) != 1:
            total = format_size(sum(file.size for file in observation))
            return msg("{count} files match {path}, {size} in all", count=len(observation), path=self.path, size=total)
        file = observation[0]
        if self.executable:
            return msg("{path} exists and is executable, {size}", path=file.path, size=format_size(file.size))
        if self._texts:
            text = redacted_head(", ".join(repr(expected) for expected in self._texts), 200)
            return msg(
                "{path} exists, {size}, and contains {text}", path=file.path, size=format_size(file.size), text=text
            )
        return msg("{path} exists, {size}", path=file.path, size=format_size(file.size))


def _permission(file: FileInfo) -> Message:
    if file.executable:
        return msg("{path} is executable, expected that it is not", path=file.path)
    return msg("{path} is not executable, expected that it is", path=file.path)
