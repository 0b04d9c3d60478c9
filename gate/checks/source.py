"""The check `source`: a pattern stands in source code, inside a named function where one is given."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Annotated, ClassVar

from msgspec import Meta, Struct, field

from gate import code, patterns
from gate.checks._paths import find, read_text, shell_pattern, shown
from gate.checks.base import CannotObserve, Check, Judgement, failed, passed
from gate.checks.world import World
from gate.matchers import CountMatcher
from gate.messages import Message, say
from gate.model import CheckoutPath, Location, SomeText
from gate.secrets import beginning_of
from gate.written import form

_SHOWN = 50
_LINE = 200
_MOST = 100_000
_SPANS = re.compile(r"\\[nsWDPpxC]|\[\^|\[\[:|\(\?[a-zA-Z]*s")
"""What a regular expression has in it where it may match the end of a line."""


class Seen(Struct, frozen=True):
    """Where it stands: how often, the first places, the files and functions that were searched."""

    count: int = 0
    places: tuple[Location, ...] = ()
    files: tuple[str, ...] = ()
    searched: tuple[str, ...] = ()
    """The functions of the asked name, as `file:first-last`."""
    known: tuple[str, ...] = ()
    """The functions that there are, for a suggestion."""


def _pattern(value: str) -> str:
    try:
        nothing = patterns.matches_nothing(value)
    except patterns.BadPattern as error:
        raise ValueError(f"expected a regular expression: {error}") from error
    if nothing:
        raise ValueError("expected a regular expression that does not match nothing")
    return value


if TYPE_CHECKING:
    Pattern = str
else:
    Pattern = form(_pattern, {"type": "string", "minLength": 1}, of=SomeText)


class Source(Check[Seen]):
    """Source files, what stands in them, and how often."""

    kind: ClassVar[str] = "source"
    summary: ClassVar[str] = "a text or a pattern stands in source code, inside a function where one is named"
    expects: ClassVar[tuple[str, ...]] = ("text", "pattern", "function")

    file: Annotated[CheckoutPath, Meta(description="A source file, or a glob.", examples=["internal/handlers/*.go"])]
    text: Annotated[SomeText | None, Meta(description="Text that has to stand there, as it is.")] = None
    pattern: Annotated[Pattern | None, Meta(description="A regular expression (RE2's; `^` begins a line).")] = None
    function: Annotated[
        SomeText | None,
        Meta(
            description="The function to search, in Go or Python; alone, it has to exist.",
            examples=["Readiness", "HealthHandler.Readiness"],
        ),
    ] = None
    count: Annotated[CountMatcher, Meta(description="How often; at least once where nothing else is said.")] = field(
        default_factory=lambda: CountMatcher({"ge": 1})
    )

    def __post_init__(self) -> None:
        if self.text is not None and self.pattern is not None:
            raise ValueError("expected only one of 'text' and 'pattern'")

    @property
    def _what(self) -> str:
        return self.text or self.pattern or self.function or ""

    def asked(self, world: World) -> str:
        inside = f"{self.function}(): " if self.function and self._what != self.function else ""
        return f"{self.file}: {inside}{self._what!r}"

    def reproduce(self, world: World) -> str:
        parts = self._parts_by_hand(world) if self.function else []
        if parts:
            return self._inside_by_hand(parts)
        if "**" in self.file:
            base, _, name = self.file.partition("**/")
            return f"{self._grep()} -R --include={shlex.quote(name)} {shell_pattern(base or '.')}"
        return f"{self._grep()} -H {shell_pattern(self.file)}"

    def _inside_by_hand(self, parts: list[tuple[str, int, int]]) -> str:
        """Searches whole files and keeps what is in the functions: the numbers of lines are those of the files."""
        shows = [f"sed -n {first},{last}p {shlex.quote(name)}" for name, first, last in parts]
        if self.text is None and self.pattern is None:
            return "; ".join(shows)
        if self.pattern and _SPANS.search(self.pattern):
            return f"{{ {'; '.join(shows)}; }} | {self._grep()}"
        finds = [
            f"{self._grep()} {shlex.quote(name)} | awk -F: '$1 >= {first} && $1 <= {last}'"
            for name, first, last in parts
        ]
        return "; ".join(finds)

    def _grep(self) -> str:
        """The call of grep. One that may find more than a line takes the file as one: it shows no line's number."""
        how = "-n -F" if not self.pattern else "-zo -P" if _SPANS.search(self.pattern) else "-n -P"
        what = f"(?m){self.pattern}" if how == "-zo -P" else self._what
        return f"grep {how} -e {shlex.quote(what)}"

    def _parts_by_hand(self, world: World) -> list[tuple[str, int, int]]:
        """The functions of the asked name: file, first and last line."""
        root = world.root.resolve()
        found = []
        for path in [path for path in find(world, self.file) if path.is_file()]:
            with contextlib.suppress(CannotObserve):
                parts, _ = self._parts(shown(path, root), _lines(read_text(path, root)))
                found += [(shown(path, root), first, last) for first, last in parts]
        return found[:_SHOWN]

    def observe(self, world: World) -> Seen:
        root = world.root.resolve()
        seen = Seen()
        for path in find(world, self.file):
            if path.is_file():
                seen = self._with_file(seen, shown(path, root), _lines(read_text(path, root)))
        return seen

    def _with_file(self, seen: Seen, name: str, lines: list[str]) -> Seen:
        parts, known = self._parts(name, lines)
        places = list(islice(self._found(name, lines, parts), _MOST + 1))
        if seen.count + len(places) > _MOST:
            raise CannotObserve(say("{what} stands there more than {count} times", what=self._what, count=_MOST))
        return Seen(
            count=seen.count + len(places),
            places=(*seen.places, *places)[:_SHOWN],
            files=(*seen.files, name),
            searched=(*seen.searched, *(f"{name}:{first}-{last}" for first, last in parts if self.function)),
            known=(*seen.known, *known),
        )

    def _parts(self, name: str, lines: list[str]) -> tuple[list[tuple[int, int]], list[str]]:
        """The lines to search, and the functions that there are."""
        if self.function is None:
            return [(1, len(lines))], []
        try:
            functions = code.functions(name, "".join(lines))
        except code.NotCode as error:
            raise CannotObserve(say("{path}: {why}", path=name, why=error.reason)) from None
        parts = [(each.first, each.last) for each in functions if self.function in each.names]
        return parts, [each.names[0] for each in functions]

    def _found(self, name: str, lines: list[str], parts: list[tuple[int, int]]) -> Iterator[Location]:
        if self.text is None and self.pattern is None:
            for first, _ in parts:
                yield Location(file=name, line=first, text=beginning_of(lines[first - 1].strip(), _LINE))
            return
        shown, text = 0, ""
        for first, last in parts:
            region = "".join(lines[first - 1 : last])
            line, at = first, 0
            for start in self._starts(region):
                line += region.count("\n", at, start)
                at = start
                column = at - region.rfind("\n", 0, at)
                if line != shown:
                    shown, text = line, beginning_of(lines[line - 1].strip(), _LINE)
                yield Location(file=name, line=line, column=column, text=text)

    def _starts(self, region: str) -> Iterator[int]:
        if self.pattern:
            return patterns.starts(self.pattern, region)
        return (each.start() for each in re.finditer(re.escape(self._what), region))

    def judge(self, seen: Seen) -> Judgement:
        answer = "\n".join(f"{place.file}:{place.line}: {place.text}" for place in seen.places)
        if not seen.files:
            return failed(say("{path} does not exist", path=self.file))
        if self.function and not seen.searched and (self.text or self.pattern or self.count.mismatch(0)):
            return failed(_no_function(self.function, self.file, seen.known))
        mismatch = self.count.mismatch(seen.count)
        if mismatch is None:
            return passed(self._proof(seen), answer=answer, locations=seen.places)
        if seen.count == 0:
            return failed(self._absent(seen), answer="\n".join(seen.searched or seen.files[:_SHOWN]))
        message = say("{what}, how often it stands there: {why}", what=self._what, why=mismatch)
        return failed(message, answer=answer, locations=seen.places)

    def _absent(self, seen: Seen) -> Message:
        what = self._what
        if self.function:
            place = ", ".join(seen.searched[:3])
            return say("{what} does not stand in {function} ({place})", what=what, function=self.function, place=place)
        if len(seen.files) == 1:
            return say("{what} does not stand in {path}", what=what, path=seen.files[0])
        count = len(seen.files)
        return say("{what} stands in none of {count} files that match {path}", what=what, count=count, path=self.file)

    def _proof(self, seen: Seen) -> Message:
        if not seen.places:
            return say("{what} does not stand in {path}", what=self._what, path=self.file)
        first = seen.places[0]
        place = f"{first.file}:{first.line}"
        if seen.count == 1:
            return say("{place}: {line}", place=place, line=first.text)
        return say("{place}: {line} (and {count} more)", place=place, line=first.text, count=seen.count - 1)


def _lines(text: str) -> list[str]:
    """The lines of a text as an editor counts them, each with its end."""
    return [f"{line}\n" for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]


def _no_function(name: str, path: str, known: tuple[str, ...]) -> Message:
    if known:
        others = ", ".join(get_close_matches(name.rpartition(".")[2], known, n=8, cutoff=0.0))
        return say("There is no function {name} in {path}, only {others}", name=name, path=path, others=others)
    return say("There is no function {name} in {path}", name=name, path=path)
