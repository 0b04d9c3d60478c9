"""The check `document`: Markdown documents have the required sections, none of them empty."""

from __future__ import annotations

import shlex
from difflib import get_close_matches
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from gate import markdown
from gate.checks._paths import find, read_text, shell_pattern, shown
from gate.checks.base import Check, Judgement, failed, passed
from gate.checks.world import World
from gate.matchers import CountMatcher, TextMatcher, unlike
from gate.messages import Message, say, together
from gate.model import CheckoutPath, Location

_SHOWN = 50


class One(Struct, frozen=True):
    """A document and its sections."""

    path: str
    sections: tuple[markdown.Section, ...]


Seen = tuple[One, ...]


class Document(Check[Seen]):
    """Documents and the headings that each has to have, with text under them."""

    kind: ClassVar[str] = "document"
    summary: ClassVar[str] = "Markdown documents have the required sections, none of them empty"
    expects: ClassVar[tuple[str, ...]] = ("sections",)

    file: Annotated[CheckoutPath, Meta(description="A Markdown file, or a glob.", examples=["docs/runbooks/*.md"])]
    sections: Annotated[
        list[TextMatcher],
        Meta(
            min_length=1,
            description="The headings that have to be there, each with text under it.",
            examples=[["Signal", "Actions"]],
        ),
    ] = []
    words: Annotated[
        CountMatcher | None, Meta(description="How many words have to stand under each of these headings.")
    ] = None
    count: Annotated[CountMatcher | None, Meta(description="How many documents match the glob.")] = None

    def __post_init__(self) -> None:
        if self.words is not None and not self.sections:
            raise ValueError("expected 'sections' beside 'words'")
        if any(isinstance(wish.spec, str) and not markdown.normal(wish.spec) for wish in self.sections):
            raise ValueError("expected the text of a heading in 'sections'")

    def asked(self, world: World) -> str:
        return f"{self.file}: {', '.join(str(wish) for wish in self.sections)}"

    def reproduce(self, world: World) -> str:
        return f"grep -nE {shlex.quote('^ {0,3}#{1,6} ')} {shell_pattern(self.file)}"

    def observe(self, world: World) -> Seen:
        root = world.root.resolve()
        return tuple(
            One(shown(path, root), tuple(markdown.sections(read_text(path, root)))) for path in find(world, self.file)
        )

    def judge(self, seen: Seen) -> Judgement:
        counted = unlike(self.count, len(seen), self.file)
        if counted:
            return failed(say("documents that match {why}", why=counted), answer=_shown(seen))
        if not seen:
            return failed(say("{path} does not exist", path=self.file))
        problems = [problem for one in seen for problem in self._problems(one)]
        if problems:
            places = tuple(place for _, place in problems)[:_SHOWN]
            return failed(together([message for message, _ in problems]), answer=_shown(seen), locations=places)
        return passed(self._proof(seen), answer=_shown(seen), locations=self._places(seen))

    def _problems(self, one: One) -> list[tuple[Message, Location]]:
        found = []
        for wish in self.sections:
            matching = _matching(wish, one)
            if not matching:
                found.append((_missing(wish, one), Location(file=one.path)))
                continue
            why = [self.thin(one.path, section) for section in matching]
            if all(why):
                place = Location(file=one.path, line=matching[0].line, text=matching[0].title)
                found += [(message, place) for message in why[:1] if message]
        return found

    def thin(self, path: str, section: markdown.Section) -> Message | None:
        """Why a section has too little text under it, if it has."""
        if section.words == 0:
            return say(
                '{path}:{line}: section "{title}" has no text under it',
                path=path,
                line=section.line,
                title=section.title,
            )
        counted = unlike(self.words, section.words)
        if counted is None:
            return None
        return say(
            '{path}:{line}: words under "{title}": {why}',
            path=path,
            line=section.line,
            title=section.title,
            why=counted,
        )

    def _places(self, seen: Seen) -> tuple[Location, ...]:
        places = []
        for one in seen:
            for wish in self.sections:
                section = _matching(wish, one)[0]
                places.append(Location(file=one.path, line=section.line, text=section.title))
        return tuple(places[:_SHOWN])

    def _proof(self, seen: Seen) -> Message:
        names = ", ".join(dict.fromkeys(_matching(wish, one)[0].title for one in seen for wish in self.sections))
        if len(seen) == 1:
            return say("{path} has these sections, with text: {names}", path=seen[0].path, names=names)
        return say("{count} documents have these sections, with text: {names}", count=len(seen), names=names)


def _matching(wish: TextMatcher, one: One) -> list[markdown.Section]:
    return [section for section in one.sections if _is(wish, section.title)]


def _is(wish: TextMatcher, title: str) -> bool:
    if isinstance(wish.spec, str):
        return markdown.normal(wish.spec) == title
    return wish.matches(title)


def _missing(wish: TextMatcher, one: One) -> Message:
    near = get_close_matches(str(wish.spec), markdown.titles(one.sections), n=1)
    if near:
        return say("{path} has no section {wish}, but {near}", path=one.path, wish=str(wish), near=f'"{near[0]}"')
    return say("{path} has no section {wish}", path=one.path, wish=str(wish))


def _shown(seen: Seen) -> str:
    lines = [
        f"{one.path}:{section.line}: {'#' * section.level} {section.title} ({section.words} words)"
        for one in seen
        for section in one.sections
    ]
    return "\n".join(lines)
