"""Reads the YAML of Prometheus's files as its own reader does (go-yaml 3), and knows the place of everything.

Scalars stay text: what is a number or a duration is for the reader of the file to say, and so a tag such as `!!int` is
refused, which go-yaml takes where it fits. Built from the parser's events,
because composing nodes costs five times as much, and rule files are long.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml
from msgspec import Struct

from gate.messages import Message, say

FILE_LIMIT = 32 * 2**20
"""Bytes of one file."""
_NULLS = ("", "~", "null", "Null", "NULL")
_TAGS = (None, "!", *(f"tag:yaml.org,2002:{name}" for name in ("str", "seq", "map")))
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class BadYaml(Exception):
    """A text that is no YAML. Lines and columns count from 1."""

    def __init__(self, reason: Message, line: int = 1, column: int = 1) -> None:
        super().__init__(str(reason))
        self.reason, self.line, self.column = reason, line, column


class Scalar(Struct):
    """A leaf. `plain` is false where it stands in quotes or in a block."""

    value: str
    plain: bool
    line: int
    column: int
    block: bool = False

    @property
    def null(self) -> bool:
        """Whether nothing stands there."""
        return self.plain and self.value in _NULLS


class Sequence(Struct):
    """A list."""

    entries: list[Node]
    line: int
    column: int


class Mapping(Struct):
    """A mapping, with its keys as they stand there: twice the same is for the reader to find."""

    entries: list[tuple[Node, Node]]
    line: int
    column: int


Node = Scalar | Sequence | Mapping


def parse(raw: bytes) -> tuple[Node | None, Node | None]:
    """The first document (None where there is none) and the second one, which Prometheus does not look at.

    Raises `BadYaml`.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise BadYaml(say("The file is not UTF-8"), line, column) from None
    try:
        documents = _documents(yaml.parse(text, Loader=_LOADER))
        return next(documents, None), next(documents, None)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise BadYaml(say("This is not YAML: {what}", what=what), *place) from None
    except yaml.YAMLError as error:
        raise BadYaml(say("This is not YAML: {what}", what=str(error).splitlines()[0])) from None


class _Open:
    """A list or mapping that has not ended. A mapping waits for the value of `key`."""

    __slots__ = ("key", "node", "pairs")

    def __init__(self, node: Sequence | Mapping) -> None:
        self.node: Any = node.entries
        self.pairs = isinstance(node, Mapping)
        self.key: Node | None = None

    def take(self, node: Node) -> None:
        if not self.pairs:
            self.node.append(node)
        elif self.key is None:
            self.key = node
        else:
            self.node.append((self.key, node))
            self.key = None


def _documents(events: Iterator[Any]) -> Iterator[Node]:
    """The documents, made without recursion. An alias is the very node that it stands for."""
    stack: list[_Open] = []
    anchors: dict[str, Node] = {}
    root: Node = Scalar("", True, 1, 1)
    for event in events:
        kind = type(event)
        if getattr(event, "tag", None) not in _TAGS:
            mark = event.start_mark
            what = say("The tag {tag} stands here, expected a value without a tag", tag=event.tag)
            raise BadYaml(what, mark.line + 1, mark.column + 1)
        if kind is yaml.ScalarEvent:
            mark, style = event.start_mark, event.style
            node: Node = Scalar(event.value, not style, mark.line + 1, mark.column + 1, style in ("|", ">"))
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            made = Mapping if kind is yaml.MappingStartEvent else Sequence
            node = made([], event.start_mark.line + 1, event.start_mark.column + 1)
        elif kind is yaml.AliasEvent:
            node = _anchored(event, anchors)
        else:
            if kind is yaml.DocumentEndEvent:
                anchors.clear()
                yield root
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                stack.pop()
            continue
        if stack:
            stack[-1].take(node)
        else:
            root = node
        if kind is not yaml.AliasEvent:
            if event.anchor:
                anchors[event.anchor] = node
            if kind is not yaml.ScalarEvent:
                stack.append(_Open(node))  # type: ignore[arg-type]


def _anchored(event: Any, anchors: dict[str, Node]) -> Node:
    if event.anchor not in anchors:
        mark = event.start_mark
        raise BadYaml(say("The alias *{name} stands for nothing", name=event.anchor), mark.line + 1, mark.column + 1)
    return anchors[event.anchor]
