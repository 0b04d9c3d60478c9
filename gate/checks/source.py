"""Check that a pattern occurs in source code, inside a named function if one is given."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Annotated, ClassVar

from msgspec import Meta, Struct, field

from gate.checks._checkout import find_files, read_text, relative_path, shell_pattern
from gate.checks.base import Check, CheckResult, ObservationError, failed, passed
from gate.checks.context import CheckContext
from gate.core.messages import Message, msg
from gate.core.override import override
from gate.core.strictness import stricter
from gate.decode import regex
from gate.decode.structs import custom_type
from gate.matchers import CountMatcher
from gate.model import CheckoutPath, Location, NonEmptyStr
from gate.redaction.secrets import redacted_head
from gate.source import functions

_SHOWN = 50
_LINE = 200
_MOST = 100_000
# Parts of a regular expression that may match a line ending.
_SPANS = re.compile(r"\\[nsWDPpxC]|\[\^|\[\[:|\(\?[a-zA-Z]*s")


class Observation(Struct, frozen=True):
    """Where it stands: how often, the first places, the files and functions that were searched."""

    count: int = 0
    places: tuple[Location, ...] = ()
    files: tuple[str, ...] = ()
    # The functions with the requested name, as `file:first-last`.
    searched: tuple[str, ...] = ()
    # The names of all functions, for a suggestion.
    known: tuple[str, ...] = ()


def _pattern(value: str) -> str:
    try:
        nothing = regex.matches_empty(value)
    except regex.InvalidPatternError as error:
        raise ValueError(f"expected a regular expression: {error}") from error
    if nothing:
        raise ValueError("expected a regular expression that does not match nothing")
    return value


if TYPE_CHECKING:
    Pattern = str
else:
    Pattern = custom_type(_pattern, {"type": "string", "minLength": 1}, raw_type=NonEmptyStr)


class Source(Check[Observation]):
    """Source files, what stands in them, and how often."""

    kind: ClassVar[str] = "source"
    summary: ClassVar[str] = "a text or a pattern stands in source code, inside a function where one is named"
    expectation_keys: ClassVar[tuple[str, ...]] = ("text", "pattern", "function")

    file: Annotated[
        CheckoutPath,
        Meta(description="A source file, or a glob.", examples=["internal/handlers/*.go"], extra=stricter("never")),
    ]
    text: Annotated[
        NonEmptyStr | None, Meta(description="Text that has to stand there, as it is.", extra=stricter("never"))
    ] = None
    pattern: Annotated[
        Pattern | None, Meta(description="A regular expression (RE2's; `^` begins a line).", extra=stricter("never"))
    ] = None
    function: Annotated[
        NonEmptyStr | None,
        Meta(
            description="The function to search, in Go or Python; alone, it has to exist.",
            examples=["Readiness", "HealthHandler.Readiness"],
            extra=stricter("never"),
        ),
    ] = None
    count: Annotated[
        CountMatcher,
        Meta(description="How often; at least once where nothing else is said.", extra=stricter("narrower")),
    ] = field(default_factory=lambda: CountMatcher({"ge": 1}))

    def __post_init__(self) -> None:
        if self.text is not None and self.pattern is not None:
            raise ValueError("expected only one of 'text' and 'pattern'")

    @property
    def _what(self) -> str:
        return self.text or self.pattern or self.function or ""

    @override
    def describe(self, context: CheckContext) -> str:
        inside = f"{self.function}(): " if self.function and self._what != self.function else ""
        return f"{self.file}: {inside}{self._what!r}"

    @override
    def reproduce_command(self, context: CheckContext) -> str:
        parts = self._parts_by_hand(context) if self.function else []
        if parts:
            return self._inside_by_hand(parts)
        if "**" in self.file:
            base, _, name = self.file.partition("**/")
            return f"{self._grep()} -R --include={shlex.quote(name)} {shell_pattern(base or '.')}"
        return f"{self._grep()} -H {shell_pattern(self.file)}"

    def _inside_by_hand(self, parts: list[tuple[str, int, int]]) -> str:
        """Search whole files and keep the matches inside the functions: line numbers are those of the files."""
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
        """Return the call of grep. A pattern that may span lines takes the file as one line, without numbers."""
        how = "-n -F" if not self.pattern else "-zo -P" if _SPANS.search(self.pattern) else "-n -P"
        what = f"(?m){self.pattern}" if how == "-zo -P" else self._what
        return f"grep {how} -e {shlex.quote(what)}"

    def _parts_by_hand(self, context: CheckContext) -> list[tuple[str, int, int]]:
        """Return the functions with the requested name: file, first and last line."""
        root = context.root.resolve()
        all_parts = []
        for path in [path for path in find_files(context, self.file) if path.is_file()]:
            with contextlib.suppress(ObservationError):
                parts, _ = self._parts(relative_path(path, root), _lines(read_text(path, root)))
                all_parts += [(relative_path(path, root), first, last) for first, last in parts]
        return all_parts[:_SHOWN]

    @override
    def observe(self, context: CheckContext) -> Observation:
        root = context.root.resolve()
        observation = Observation()
        for path in find_files(context, self.file):
            if path.is_file():
                observation = self._with_file(observation, relative_path(path, root), _lines(read_text(path, root)))
        return observation

    def _with_file(self, observation: Observation, name: str, lines: list[str]) -> Observation:
        parts, names = self._parts(name, lines)
        places = list(islice(self._found(name, lines, parts), _MOST + 1))
        if observation.count + len(places) > _MOST:
            raise ObservationError(msg("{what} stands there more than {count} times", what=self._what, count=_MOST))
        return Observation(
            count=observation.count + len(places),
            places=(*observation.places, *places)[:_SHOWN],
            files=(*observation.files, name),
            searched=(*observation.searched, *(f"{name}:{first}-{last}" for first, last in parts if self.function)),
            known=(*observation.known, *names),
        )

    def _parts(self, name: str, lines: list[str]) -> tuple[list[tuple[int, int]], list[str]]:
        """Return the lines to search, and the names of all functions."""
        if self.function is None:
            return [(1, len(lines))], []
        try:
            all_functions = functions.find_functions(name, "".join(lines))
        except functions.UnsupportedSourceError as error:
            raise ObservationError(msg("{path}: {why}", path=name, why=error.message)) from None
        parts = [(function.first, function.last) for function in all_functions if self.function in function.names]
        return parts, [function.names[0] for function in all_functions]

    def _found(self, name: str, lines: list[str], parts: list[tuple[int, int]]) -> Iterator[Location]:
        if self.text is None and self.pattern is None:
            for first, _ in parts:
                yield Location(file=name, line=first, text=redacted_head(lines[first - 1].strip(), _LINE))
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
                    shown, text = line, redacted_head(lines[line - 1].strip(), _LINE)
                yield Location(file=name, line=line, column=column, text=text)

    def _starts(self, region: str) -> Iterator[int]:
        if self.pattern:
            return regex.find_starts(self.pattern, region)
        return (match.start() for match in re.finditer(re.escape(self._what), region))

    @override
    def judge(self, observation: Observation) -> CheckResult:
        response = "\n".join(f"{place.file}:{place.line}: {place.text}" for place in observation.places)
        if not observation.files:
            return failed(msg("{path} does not exist", path=self.file))
        if self.function and not observation.searched and (self.text or self.pattern or self.count.mismatch(0)):
            return failed(_no_function(self.function, self.file, observation.known))
        mismatch = self.count.mismatch(observation.count)
        if mismatch is None:
            return passed(self._proof(observation), response=response, locations=observation.places)
        if observation.count == 0:
            return failed(
                self._absent(observation), response="\n".join(observation.searched or observation.files[:_SHOWN])
            )
        message = msg("{what}, how often it stands there: {why}", what=self._what, why=mismatch)
        return failed(message, response=response, locations=observation.places)

    def _absent(self, observation: Observation) -> Message:
        what = self._what
        if self.function:
            place = ", ".join(observation.searched[:3])
            return msg("{what} does not stand in {function} ({place})", what=what, function=self.function, place=place)
        if len(observation.files) == 1:
            return msg("{what} does not stand in {path}", what=what, path=observation.files[0])
        count = len(observation.files)
        return msg("{what} stands in none of {count} files that match {path}", what=what, count=count, path=self.file)

    def _proof(self, observation: Observation) -> Message:
        if not observation.places:
            return msg("{what} does not stand in {path}", what=self._what, path=self.file)
        first = observation.places[0]
        place = f"{first.file}:{first.line}"
        if observation.count == 1:
            return msg("{place}: {line}", place=place, line=first.text)
        return msg("{place}: {line} (and {count} more)", place=place, line=first.text, count=observation.count - 1)


def _lines(text: str) -> list[str]:
    """Return the lines of a text as an editor counts them, with their line endings."""
    return [f"{line}\n" for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]


def _no_function(name: str, path: str, names: tuple[str, ...]) -> Message:
    if names:
        others = ", ".join(get_close_matches(name.rpartition(".")[2], names, n=8, cutoff=0.0))
        return msg("There is no function {name} in {path}, only {others}", name=name, path=path, others=others)
    return msg("There is no function {name} in {path}", name=name, path=path)
