"""Check that Markdown documents have the required sections, none of them empty."""

from __future__ import annotations

import shlex
from difflib import get_close_matches
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from gate.checks._checkout import find_files, read_text, relative_path, shell_pattern
from gate.checks.base import Check, CheckResult, failed, passed
from gate.checks.context import CheckContext
from gate.core.messages import Message, join_messages, msg
from gate.core.override import override
from gate.core.strictness import stricter
from gate.matchers import CountMatcher, TextMatcher, mismatch_if_set
from gate.model import CheckoutPath, Location
from gate.source import markdown

_SHOWN = 50


class DocumentFile(Struct, frozen=True):
    """A document and its sections."""

    path: str
    sections: tuple[markdown.Section, ...]


Observation = tuple[DocumentFile, ...]


class Document(Check[Observation]):
    """Documents and the headings that each has to have, with text under them."""

    kind: ClassVar[str] = "document"
    summary: ClassVar[str] = "Markdown documents have the required sections, none of them empty"
    expectation_keys: ClassVar[tuple[str, ...]] = ("sections",)

    file: Annotated[
        CheckoutPath,
        Meta(description="A Markdown file, or a glob.", examples=["docs/runbooks/*.md"], extra=stricter("never")),
    ]
    sections: Annotated[
        list[TextMatcher],
        Meta(
            min_length=1,
            description="The headings that have to be there, each with text under it.",
            examples=[["Signal", "Actions"]],
            extra=stricter("more"),
        ),
    ] = []
    words: Annotated[
        CountMatcher | None,
        Meta(description="How many words have to stand under each of these headings.", extra=stricter("set")),
    ] = None
    count: Annotated[
        CountMatcher | None, Meta(description="How many documents match the glob.", extra=stricter("narrower"))
    ] = None

    def __post_init__(self) -> None:
        if self.words is not None and not self.sections:
            raise ValueError("expected 'sections' beside 'words'")
        if any(
            isinstance(heading.spec, str) and not markdown.normalize_heading(heading.spec) for heading in self.sections
        ):
            raise ValueError("expected the text of a heading in 'sections'")

    @override
    def describe(self, context: CheckContext) -> str:
        return f"{self.file}: {', '.join(str(heading) for heading in self.sections)}"

    @override
    def reproduce_command(self, context: CheckContext) -> str:
        return f"grep -nE {shlex.quote('^ {0,3}#{1,6} ')} {shell_pattern(self.file)}"

    @override
    def observe(self, context: CheckContext) -> Observation:
        root = context.root.resolve()
        return tuple(
            DocumentFile(relative_path(path, root), tuple(markdown.sections(read_text(path, root))))
            for path in find_files(context, self.file)
        )

    @override
    def judge(self, observation: Observation) -> CheckResult:
        counted = mismatch_if_set(self.count, len(observation), self.file)
        if counted:
            return failed(msg("documents that match {why}", why=counted), response=_shown(observation))
        if not observation:
            return failed(msg("{path} does not exist", path=self.file))
        problems = [problem for document in observation for problem in self._problems(document)]
        if problems:
            places = tuple(place for _, place in problems)[:_SHOWN]
            return failed(
                join_messages([message for message, _ in problems]), response=_shown(observation), locations=places
            )
        return passed(self._proof(observation), response=_shown(observation), locations=self._places(observation))

    def _problems(self, document: DocumentFile) -> list[tuple[Message, Location]]:
        problems = []
        for heading in self.sections:
            matching = _matching(heading, document)
            if not matching:
                problems.append((_missing(heading, document), Location(file=document.path)))
                continue
            why = [self.thin(document.path, section) for section in matching]
            if all(why):
                place = Location(file=document.path, line=matching[0].line, text=matching[0].title)
                problems += [(message, place) for message in why[:1] if message]
        return problems

    def thin(self, path: str, section: markdown.Section) -> Message | None:
        """Return why the text of a section is too short, or None."""
        if section.words == 0:
            return msg(
                '{path}:{line}: section "{title}" has no text under it',
                path=path,
                line=section.line,
                title=section.title,
            )
        counted = mismatch_if_set(self.words, section.words)
        if counted is None:
            return None
        return msg(
            '{path}:{line}: words under "{title}": {why}',
            path=path,
            line=section.line,
            title=section.title,
            why=counted,
        )

    def _places(self, observation: Observation) -> tuple[Location, ...]:
        places = []
        for document in observation:
            for heading in self.sections:
                section = _matching(heading, document)[0]
                places.append(Location(file=document.path, line=section.line, text=section.title))
        return tuple(places[:_SHOWN])

    def _proof(self, observation: Observation) -> Message:
        names = ", ".join(
            dict.fromkeys(
                _matching(heading, document)[0].title for document in observation for heading in self.sections
            )
        )
        if len(observation) == 1:
            return msg("{path} has these sections, with text: {names}", path=observation[0].path, names=names)
        return msg("{count} documents have these sections, with text: {names}", count=len(observation), names=names)


def _matching(heading: TextMatcher, document: DocumentFile) -> list[markdown.Section]:
    return [section for section in document.sections if _is(heading, section.title)]


def _is(heading: TextMatcher, title: str) -> bool:
    if isinstance(heading.spec, str):
        return markdown.normalize_heading(heading.spec) == title
    return heading.matches(title)


def _missing(heading: TextMatcher, document: DocumentFile) -> Message:
    near = get_close_matches(str(heading.spec), markdown.titles(document.sections), n=1)
    if near:
        return msg(
            "{path} has no section {wish}, but {near}", path=document.path, wish=str(heading), near=f'"{near[0]}"'
        )
    return msg("{path} has no section {wish}", path=document.path, wish=str(heading))


def _shown(observation: Observation) -> str:
    lines = [
        f"{document.path}:{section.line}: {'#' * section.level} {section.title} ({section.words} words)"
        for document in observation
        for section in document.sections
    ]
    return "\n".join(lines)
