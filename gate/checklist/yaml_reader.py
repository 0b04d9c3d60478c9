"""Read a YAML file into a tree with the source location of every key and value.

Built from the parser's events, so that duplicate keys, places and the text of numbers are kept, depth and size are
bounded before anything is built, and aliases cannot expand without end. Plain scalars are resolved by the core schema
of YAML 1.2.2 (https://yaml.org/spec/1.2.2/#103-core-schema): `on` and `yes` are text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct, field

from gate.checklist.errors import ChecklistError, Diagnostic, SourceLocation
from gate.checklist.syntax_errors import describe_syntax_error, without_entry
from gate.decode.structs import KeyPath, Unfilled

FILE_LIMIT = 4 * 2**20
DEPTH_LIMIT = 64
NODE_LIMIT = 200_000
# Each is found by parsing the text once more.
_SYNTAX_ERRORS_LIMIT = 10

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)")
_HALF = re.compile("[\ud800-\udfff]")
_NAMED: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}


class IntLiteral(int):
    """An integer that keeps its source text."""

    text: str


class FloatLiteral(float):
    """A float that keeps its source text: `1.10` is not `1.1`."""

    text: str


class Scalar(Struct):
    """A leaf: text, number, boolean or null."""

    place: SourceLocation
    value: Any
    # True if the value is missing: neither `null` nor quotes.
    blank: bool = False


class Sequence(Struct):
    """A list."""

    place: SourceLocation
    entries: list[Tree] = field(default_factory=list)


class Mapping(Struct):
    """A mapping with text keys. `keys` holds where each key stands."""

    place: SourceLocation
    entries: dict[str, Tree] = field(default_factory=dict)
    keys: dict[str, SourceLocation] = field(default_factory=dict)


Tree = Scalar | Sequence | Mapping
Interpolate = Callable[[str], str]


def read_yaml(path: Path, name: str) -> str:
    """Return the text of a file. Raise ChecklistError if it is missing, too large or not UTF-8."""
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_LIMIT + 1)
    except FileNotFoundError as error:
        text = "no such file, expected a checklist; `prodgate init` writes one, and `--file` names another"
        raise ChecklistError([Diagnostic(SourceLocation(name), text)]) from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ChecklistError(
            [Diagnostic(SourceLocation(name), f"cannot be read, expected a YAML file: {why}")]
        ) from error
    if len(raw) > FILE_LIMIT:
        raise ChecklistError(
            [Diagnostic(SourceLocation(name), f"is larger than {FILE_LIMIT // 2**20} MiB, expected a checklist")]
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        place = SourceLocation(name, before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1)
        text = f"byte 0x{raw[error.start]:02x} is not UTF-8, expected a file in UTF-8"
        raise ChecklistError([Diagnostic(place, text)]) from error


def parse_yaml(text: str, name: str, interpolate: Interpolate) -> tuple[Mapping, list[Diagnostic]]:
    """Return the tree of a YAML text, and the errors that did not prevent parsing it.

    `interpolate` is applied to every scalar value, and may raise ValueError. Raise
    ChecklistError if the text is not valid YAML or not a mapping.
    """
    if _HALF.search(text):
        raise ChecklistError(
            [Diagnostic(SourceLocation(name, 1, 1), "holds half a character, expected a text in UTF-8")]
        )
    tree, problems, mistakes = _read_on(text, name, interpolate)
    if mistakes:
        raise BrokenYamlError([*mistakes, *problems], tree if isinstance(tree, Mapping) else None)
    if tree is None or (isinstance(tree, Scalar) and tree.value is None):
        raise ChecklistError([Diagnostic(SourceLocation(name, 1, 1), "the file is empty, expected a checklist")])
    if not isinstance(tree, Mapping):
        raise ChecklistError([Diagnostic(tree.place, "expected a mapping with 'version', 'service' and 'sections'")])
    return tree, problems


class BrokenYamlError(ChecklistError):
    """A text is not YAML; `readable` is the tree of what is left without the entries that are not."""

    def __init__(self, problems: list[Diagnostic], readable: Mapping | None) -> None:
        super().__init__(problems)
        self.readable = readable


def _read_on(text: str, name: str, interpolate: Interpolate) -> tuple[Tree | None, list[Diagnostic], list[Diagnostic]]:
    """Return the tree of a text, its errors, and its syntax errors: after each, read on from the next list entry."""
    mistakes: list[Diagnostic] = []
    while True:
        builder = _Builder(name, interpolate)
        try:
            return builder.document(yaml.parse(text, Loader=_LOADER)), builder.problems, mistakes
        except yaml.MarkedYAMLError as error:
            found = describe_syntax_error(error, text)
        except yaml.YAMLError as error:
            raise ChecklistError([_reader_problem(error, name)]) from error
        place = SourceLocation(name, found.line, found.column)
        # What is left after a mistake may be broken by that alone: only a mistake further below is one of its own.
        if mistakes and place <= mistakes[-1].place:
            return None, builder.problems, mistakes
        mistakes.append(Diagnostic(place, found.text))
        if len(mistakes) == _SYNTAX_ERRORS_LIMIT:
            return None, builder.problems, mistakes
        text = without_entry(text, found.line)


def _reader_problem(error: yaml.YAMLError, name: str) -> Diagnostic:
    return Diagnostic(SourceLocation(name, 1, 1), f"is not YAML: {str(error).splitlines()[0]}")


class _Builder:
    """Builds the tree from the events of the parser."""

    def __init__(self, name: str, interpolate: Interpolate) -> None:
        self.name = name
        self.interpolate = interpolate
        self.problems: list[Diagnostic] = []
        self.anchors: dict[str, Tree | None] = {}
        self.sizes: dict[int, int] = {}
        self.nodes = 0

    def document(self, events: Iterator[Any]) -> Tree:
        tree: Tree = Scalar(SourceLocation(self.name, 1, 1), None)
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._fatal(event, "a second document starts here, expected one checklist in a file")
            elif isinstance(event, yaml.NodeEvent):
                tree = self.node(event, events, 0)
        return tree

    def node(self, event: Any, events: Iterator[Any], depth: int) -> Tree:
        """Return the tree that begins with `event`."""
        self._count(event, 1)
        if depth > DEPTH_LIMIT:
            raise self._fatal(event, f"is nested deeper than {DEPTH_LIMIT} levels, expected a checklist")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        anchor = event.anchor
        if anchor:
            self.anchors[anchor] = None
        before = self.nodes
        tree = self._build(event, events, depth)
        if anchor:
            self.anchors[anchor] = tree
            self.sizes[id(tree)] = self.nodes - before + 1
        return tree

    def _build(self, event: Any, events: Iterator[Any], depth: int) -> Tree:
        place = self._place(event)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(place, event)
        if isinstance(event, yaml.SequenceStartEvent):
            sequence = Sequence(place)
            while not isinstance(child := next(events), yaml.SequenceEndEvent):
                sequence.entries.append(self.node(child, events, depth + 1))
            return sequence
        return self._mapping(place, events, depth)

    def _mapping(self, place: SourceLocation, events: Iterator[Any], depth: int) -> Mapping:
        mapping, merged = Mapping(place), []
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key_place = self._place(event)
            key = self._key(event, events, depth)
            value = self.node(next(events), events, depth + 1)
            if key == "<<":
                merged.append(value)
            elif key in mapping.entries:
                first = mapping.keys[key]
                self._problem(key_place, f"key '{key}' stands twice, expected it once: first on line {first.line}")
            elif key is not None:
                mapping.entries[key], mapping.keys[key] = value, key_place
        for source in merged:
            self._merge_key(mapping, source)
        return mapping

    def _merge_key(self, mapping: Mapping, merged: Tree) -> None:
        for source in merged.entries if isinstance(merged, Sequence) else [merged]:
            if not isinstance(source, Mapping):
                self._problem(source.place, "expected a mapping after '<<'")
                continue
            for key, value in source.entries.items():
                if key not in mapping.entries:
                    mapping.entries[key], mapping.keys[key] = value, source.keys[key]

    def _key(self, event: Any, events: Iterator[Any], depth: int) -> str | None:
        if isinstance(event, yaml.ScalarEvent):
            return str(event.value)
        self.node(event, events, depth + 1)
        self._problem(self._place(event), "expected a name as a key, got a list or a mapping")
        return None

    def _alias(self, event: Any) -> Tree:
        tree = self.anchors.get(event.anchor)
        if tree is None:
            raise self._fatal(event, f"alias '*{event.anchor}' names no finished anchor, expected one above it")
        self._count(event, self.sizes[id(tree)])
        return tree

    def _scalar(self, place: SourceLocation, event: Any) -> Scalar:
        text = event.value
        if "${" in text or "$$" in text:
            try:
                text = self.interpolate(text)
            except ValueError as error:
                self._problem(place, str(error))
        if event.tag not in (None, "!", "tag:yaml.org,2002:str"):
            self._problem(place, f"tag '{event.tag}' stands here, expected a value without a tag")
        if event.style in (None, "") and event.tag is None:
            return Scalar(place, _resolved(text), blank=text == "")
        return Scalar(place, Unfilled() if event.value and not text else text)

    def _count(self, event: Any, nodes: int) -> None:
        self.nodes += nodes
        if self.nodes > NODE_LIMIT:
            raise self._fatal(event, f"comes to more than {NODE_LIMIT} values with its aliases, expected a checklist")

    def _place(self, event: Any) -> SourceLocation:
        return SourceLocation(self.name, event.start_mark.line + 1, event.start_mark.column + 1)

    def _problem(self, place: SourceLocation, text: str) -> None:
        self.problems.append(Diagnostic(place, text))

    def _fatal(self, event: Any, text: str) -> ChecklistError:
        return ChecklistError([*self.problems, Diagnostic(self._place(event), text)])


def _resolved(text: str) -> Any:
    if text in _NAMED:
        return _NAMED[text]
    if _INT.fullmatch(text) and len(text) <= 100:
        whole = IntLiteral(text, 0 if text[:2] in ("0o", "0x") else 10)
        whole.text = text
        return whole
    if _FLOAT.fullmatch(text) or _INFINITE.fullmatch(text):
        number = FloatLiteral(text.replace(".inf", "inf").replace(".Inf", "inf").replace(".INF", "inf"))
        number.text = text
        return number
    return text


def blanks(tree: Tree, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield the path of each blank value."""
    if isinstance(tree, Scalar):
        if tree.blank:
            yield path
        return
    entries = tree.entries.items() if isinstance(tree, Mapping) else enumerate(tree.entries)
    for key, entry in entries:
        yield from blanks(entry, (*path, key))


def to_plain_data(tree: Tree) -> tuple[Any, dict[KeyPath, SourceLocation], dict[KeyPath, SourceLocation]]:
    """Return the plain data of a tree, and the locations of its values and of its keys by path."""
    values: dict[KeyPath, SourceLocation] = {}
    keys: dict[KeyPath, SourceLocation] = {}

    def walk(node: Tree, path: KeyPath) -> Any:
        values[path] = node.place
        if isinstance(node, Scalar):
            return node.value
        if isinstance(node, Sequence):
            return [walk(entry, (*path, number)) for number, entry in enumerate(node.entries)]
        for key, place in node.keys.items():
            keys[(*path, key)] = place
        return {key: walk(entry, (*path, key)) for key, entry in node.entries.items()}

    return walk(tree, ()), values, keys
