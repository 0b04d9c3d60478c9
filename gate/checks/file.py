"""The check `file`: files of the checkout exist, with their size, permission, number and text."""

from __future__ import annotations

import shlex
import stat
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from gate.checks._paths import find, read_text, shell_pattern, shown
from gate.checks.base import Check, Judgement, failed, passed
from gate.checks.world import World
from gate.matchers import CountMatcher, SizeMatcher, TextMatcher, unlike
from gate.messages import Message, say, together
from gate.model import CheckoutPath, Location, SomeText, SomeTexts
from gate.quantities import size
from gate.secrets import beginning_of

_SHOWN = 50


class One(Struct, frozen=True):
    """A file as it is. `size` is in bytes, `text` None where nobody asked for it."""

    path: str
    mode: int
    size: int
    text: str | None = None

    @property
    def executable(self) -> bool:
        """A regular file that somebody may run."""
        return stat.S_ISREG(self.mode) and bool(self.mode & 0o111)


Seen = tuple[One, ...]


class File(Check[Seen]):
    """A path or a glob and what has to be there. What is said of a file is said of each that matches."""

    kind: ClassVar[str] = "file"
    summary: ClassVar[str] = "files exist, with their size, permission, number and text"
    expects: ClassVar[tuple[str, ...]] = ("exists", "executable", "size", "count", "contains", "text")

    path: Annotated[
        CheckoutPath, Meta(description="A path in the checkout, or a glob.", examples=["docs/runbooks/*.md"])
    ]
    exists: Annotated[bool | None, Meta(description="Whether there is such a file.")] = None
    executable: Annotated[bool | None, Meta(description="Whether it may be run.")] = None
    size: Annotated[SizeMatcher | None, Meta(description="Its size.", examples=[{"gt": "1KiB"}])] = None
    count: Annotated[CountMatcher | None, Meta(description="How many match the glob.", examples=[3])] = None
    contains: Annotated[
        SomeText | SomeTexts | None, Meta(description="Text that stands in it; of several, all do.")
    ] = None
    text: Annotated[TextMatcher | None, Meta(description="Its whole text.")] = None

    def __post_init__(self) -> None:
        if self.exists is False and any(wish is not None for wish in self._wishes()):
            raise ValueError("expected nothing else beside 'exists: false'")

    def _wishes(self) -> tuple[object, ...]:
        return self.executable, self.size, self.count, self.contains, self.text

    @property
    def _texts(self) -> list[str]:
        return [self.contains] if isinstance(self.contains, str) else list(self.contains or [])

    def asked(self, world: World) -> str:
        return self.path

    def reproduce(self, world: World) -> str:
        name = shell_pattern(self.path)
        if self._texts:
            return " && ".join(f"grep -nF -e {shlex.quote(text)} {name}" for text in self._texts)
        return f"cat {name}" if self.text else f"ls -ld {name}"

    def observe(self, world: World) -> Seen:
        root = world.root.resolve()
        read = bool(self.text or self.contains)
        made = []
        for path in find(world, self.path):
            found = path.stat()
            text = read_text(path, root) if read else None
            made.append(One(shown(path, root), found.st_mode, found.st_size, text))
        return tuple(made)

    def judge(self, seen: Seen) -> Judgement:
        listing = "\n".join(f"{stat.filemode(one.mode)} {one.size:>10} {one.path}" for one in seen[:_SHOWN])
        if len(seen) > _SHOWN:
            listing += f"\n[... {len(seen) - _SHOWN} more ...]"
        locations = tuple(Location(file=one.path) for one in seen[:_SHOWN])
        if self.exists is False:
            return self._judge_absence(seen, listing, locations)
        problems = self._problems(seen)
        if problems:
            return failed(together(problems), answer=listing, locations=locations)
        places = self._places(seen) or locations
        return passed(self._proof(seen), answer=listing, locations=places)

    def _judge_absence(self, seen: Seen, listing: str, locations: tuple[Location, ...]) -> Judgement:
        if seen:
            return failed(
                say("{path} exists, expected that it does not", path=seen[0].path), answer=listing, locations=locations
            )
        return passed(say("{path} does not exist", path=self.path))

    def _problems(self, seen: Seen) -> list[Message]:
        counted = unlike(self.count, len(seen), self.path)
        if counted:
            return [say("files that match {why}", why=counted)]
        only_counted = self.exists is None and self._wishes() == (None, None, self.count, None, None)
        if not seen and not only_counted:
            return [say("{path} does not exist", path=self.path)]
        return [problem for one in seen for problem in self._problems_of(one)]

    def _problems_of(self, one: One) -> list[Message]:
        found: list[Message | None] = [
            None if self.executable in (None, one.executable) else _permission(one),
            unlike(self.size, one.size, one.path),
            unlike(self.text, one.text, one.path),
        ]
        for text in self._texts:
            if text not in (one.text or ""):
                found.append(say("{path} does not contain {text}", path=one.path, text=beginning_of(repr(text), 200)))
        return [problem for problem in found if problem]

    def _places(self, seen: Seen) -> tuple[Location, ...]:
        """Where the asked texts stand."""
        places = []
        for one in seen[:_SHOWN]:
            for text in self._texts:
                before, _, _ = (one.text or "").partition(text)
                number = before.count("\n") + 1
                line = (one.text or "").split("\n")[number - 1]
                places.append(Location(file=one.path, line=number, text=beginning_of(line.strip(), 200)))
        return tuple(places)

    def _proof(self, seen: Seen) -> Message:
        if len(seen) != 1:
            total = size(sum(one.size for one in seen))
            return say("{count} files match {path}, {size} in all", count=len(seen), path=self.path, size=total)
        one = seen[0]
        if self.executable:
            return say("{path} exists and is executable, {size}", path=one.path, size=size(one.size))
        if self._texts:
            text = beginning_of(", ".join(repr(each) for each in self._texts), 200)
            return say("{path} exists, {size}, and contains {text}", path=one.path, size=size(one.size), text=text)
        return say("{path} exists, {size}", path=one.path, size=size(one.size))


def _permission(one: One) -> Message:
    if one.executable:
        return say("{path} is executable, expected that it is not", path=one.path)
    return say("{path} is not executable, expected that it is", path=one.path)
