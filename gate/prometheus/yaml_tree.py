"""Parse the YAML of Prometheus's files into nodes with their line and column.

Scalars stay text: `gate.prometheus.goyaml` decodes them by the type that is expected.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Any

import yaml
from msgspec import Struct

from gate.core.errors import GateError
from gate.core.messages import Message, msg

# Bytes of one file.
FILE_LIMIT = 32 * 2**20
NULLS = ("", "~", "null", "Null", "NULL")
_TAGS = "tag:yaml.org,2002:"
# The nodes are built from libyaml's events: composing them costs five times as much, and rule files are long.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class YamlSyntaxError(GateError):
    """Text that is not valid YAML. Lines and columns count from 1."""

    def __init__(self, message: Message, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.line, self.column = line, column


class Scalar(Struct):
    """A scalar node. `plain`: neither quoted nor a block. `tag` is an explicit one, such as `!!int`."""

    value: str
    plain: bool
    line: int
    column: int
    block: bool = False
    tag: str = ""

    @property
    def null(self) -> bool:
        """Return True if it is a null."""
        return self.value in NULLS and ((self.plain and not self.tag) or self.tag == "!!null")


class Sequence(Struct):
    """A list node."""

    entries: list[Node]
    line: int
    column: int


class Mapping(Struct):
    """A mapping node. Duplicate keys are kept: the decoder reports them."""

    entries: list[tuple[Node, Node]]
    line: int
    column: int


class Alias(Struct):
    """A reference to a node with an anchor, which may be one of its own parents."""

    target: Scalar | Sequence | Mapping
    line: int
    column: int
    name: str = ""


Node = Scalar | Sequence | Mapping | Alias


def parse(raw: bytes) -> Node | None:
    """Return the first document, or None if there is none. Raise YamlSyntaxError."""
    # Prometheus ignores all documents but the first.
    return next(_parse(raw), None)


def parse_all(raw: bytes) -> list[Node]:
    """Return all documents. Raise YamlSyntaxError."""
    return list(_parse(raw))


def _parse(raw: bytes) -> Iterator[Node]:
    try:
        text = _decoded(raw)
        yield from _documents(yaml.parse(text, Loader=_LOADER), text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise YamlSyntaxError(msg("not valid YAML: {what}", what=what), *place) from None
    except yaml.YAMLError as error:
        raise YamlSyntaxError(msg("not valid YAML: {what}", what=str(error).splitlines()[0])) from None


def _decoded(raw: bytes) -> str:
    """Decode a file: UTF-8, or UTF-16 with a byte order mark."""
    encoding = "utf-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise YamlSyntaxError(msg("The file is not UTF-8"), line, column) from None


class _Open:
    """A list or mapping that has not ended. A mapping waits for the value of `key`."""

    __slots__ = ("key", "node", "pairs")

    def __init__(self, node: Sequence | Mapping) -> None:
        self.node: Any = node.entries
        self.pairs = isinstance(node, Mapping)
        self.key: Node | None = None

    def append(self, node: Node) -> None:
        if not self.pairs:
            self.node.append(node)
        elif self.key is None:
            self.key = node
        else:
            self.node.append((self.key, node))
            self.key = None


def _documents(events: Iterator[Any], text: str) -> Iterator[Node]:
    """Yield the documents, built without recursion."""
    stack: list[_Open] = []
    anchors: dict[str, Any] = {}
    root: Node = Scalar("", True, 1, 1)
    flow = 0
    for event in events:
        kind = type(event)
        if kind is yaml.ScalarEvent:
            mark, style = event.start_mark, event.style
            tag = (event.tag or "").replace(_TAGS, "!!", 1)
            node: Node = Scalar(event.value, not style, mark.line + 1, mark.column + 1, style in ("|", ">"), tag)
            _refuse_foreign(event, text, in_flow=flow > 0)
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            collection = Mapping if kind is yaml.MappingStartEvent else Sequence
            node = collection([], event.start_mark.line + 1, event.start_mark.column + 1)
            flow += bool(flow or event.flow_style)
        elif kind is yaml.AliasEvent:
            node = _anchored(event, anchors)
        else:
            if kind is yaml.DocumentEndEvent:
                anchors.clear()
                yield root
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                stack.pop()
                flow = max(flow - 1, 0)
            elif kind is yaml.DocumentStartEvent and event.version not in (None, (1, 1)):
                raise YamlSyntaxError(msg("This is YAML {version}, but Prometheus reads YAML 1.1",
                                  version=".".join(map(str, event.version))))  # fmt: skip
            continue
        if stack:
            stack[-1].append(node)
        else:
            root = node
        if kind is not yaml.AliasEvent:
            if event.anchor:
                anchors[event.anchor] = node
            if kind is not yaml.ScalarEvent:
                stack.append(_Open(node))  # type: ignore[arg-type]


def _refuse_foreign(event: Any, text: str, *, in_flow: bool) -> None:
    """Raise YamlSyntaxError for a scalar that libyaml accepts and go-yaml rejects."""
    mark = event.start_mark
    if in_flow and not event.style and "?" in event.value:
        raise YamlSyntaxError(
            msg("not valid YAML: a '?' inside of brackets must be quoted"), mark.line + 1, mark.column + 1
        )
    if (
        event.style == '"'
        and "/" in event.value
        and "\\/" in text[mark.index : event.end_mark.index].replace("\\\\", "")
    ):
        raise YamlSyntaxError(
            msg("not valid YAML: {what}", what="\\/ is not an escape sequence"), mark.line + 1, mark.column + 1
        )


def _anchored(event: Any, anchors: dict[str, Any]) -> Alias:
    mark = event.start_mark
    if event.anchor not in anchors:
        raise YamlSyntaxError(
            msg("The alias *{name} has no anchor &{name}", name=event.anchor), mark.line + 1, mark.column + 1
        )
    return Alias(anchors[event.anchor], mark.line + 1, mark.column + 1, event.anchor)
