"""Decode YAML nodes into typed values as go-yaml does: version 2 reads prometheus.yml, version 3 rule files.

A `Kind` is a type of a Go program: text, number, list, object with known keys. A value that go-yaml rejects becomes a
`Problem`. A value that it converts silently (a number to a text, `yes` to a bool, a null to anything) is converted
here, too. https://github.com/go-yaml/yaml
"""

from __future__ import annotations

import base64
import binascii
import difflib
import math
import re
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Mapping as MappingType
from typing import Any, Literal

from msgspec import Struct

from gate.core.errors import GateError
from gate.core.messages import Message, msg
from gate.core.override import override
from gate.prometheus.releases import Release
from gate.prometheus.yaml_tree import Alias, Mapping, Node, Scalar, Sequence, YamlSyntaxError

# Maximum nesting of `<<` and of aliases; the kinds themselves are flat.
_DEPTH = 60
_PROBLEMS = 200
_FREE_STEPS, _FREE_ALIASES = 1000, 100
# go-yaml's limits against documents that consist of aliases of aliases.
_RATIO_FROM, _RATIO_TO = 400_000, 4_000_000
_TRUE = frozenset(("y", "Y", "yes", "Yes", "YES", "on", "On", "ON"))
_FALSE = frozenset(("n", "N", "no", "No", "NO", "off", "Off", "OFF"))
_MAP: dict[str, bool | float | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True), **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL")), **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}  # fmt: skip
_MAP2 = {**_MAP, **dict.fromkeys(_TRUE, True), **dict.fromkeys(_FALSE, False)}
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_INTEGER = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-(0?[1-9]|1[0-2])-(0?[1-9]|[12][0-9]|3[01])(?![0-9]).*", re.ASCII)
_TAGS = {bool: "!!bool", int: "!!int", float: "!!float", str: "!!str", type(None): "!!null"}


class Problem(Struct, frozen=True):
    """A problem at a place of a file. Lines and columns count from 1."""

    line: int
    column: int
    reason: Message


class InvalidValueError(GateError):
    """A value that its kind does not accept."""


class _Failed:
    """The type of `FAILED` and `ABSENT`."""


# The result for a node that has a problem.
FAILED = _Failed()
# The result for a null in version 3: the key counts as not given.
ABSENT = _Failed()


class Decoder:
    """One pass over a file, in the dialect of go-yaml 2 or 3. A lenient one keeps no problems."""

    def __init__(self, release: Release, go_yaml: Literal[2, 3], *, lenient: bool = False) -> None:
        self.release, self.is_v2, self.lenient = release, go_yaml == 2, lenient
        self.problems: list[Problem] = []
        self._steps = self._aliased = self._alias_depth = 0
        self._open: set[int] = set()
        self._depth = 0
        # By (target of an alias, kind): the decoded value and the number of steps, so that each is decoded once.
        self._decoded: dict[tuple[int, int], tuple[Any, int]] = {}

    def problem(self, at: Node, reason: Message) -> _Failed:
        """Add a problem and return `FAILED`."""
        if len(self.problems) < _PROBLEMS and not self.lenient:
            self.problems.append(Problem(at.line, at.column, reason))
        return FAILED

    def prefix_last_problem(self, key: str) -> None:
        """Put a key before the message of the last problem, which is the problem of its value."""
        if not self.problems:
            return
        last = self.problems[-1]
        self.problems[-1] = Problem(last.line, last.column, msg("{key}: {reason}", key=key, reason=last.reason))

    def decode(self, node: Node, kind: Kind) -> Any:
        """Return the value of a node, `FAILED` after a problem, `ABSENT` for a null that changes nothing.

        Raise YamlSyntaxError if the file consists of aliases, as go-yaml does.
        """
        self._steps += 1
        self._aliased += self._alias_depth > 0
        if self._aliased > _FREE_ALIASES and self._steps > _FREE_STEPS and self._aliased > self._steps * self._ratio():
            raise YamlSyntaxError(msg("The file consists of too many aliases"), node.line, node.column)
        if isinstance(kind, NodeText) and self.release.version < kind.until:
            return kind.text_of(node)
        if isinstance(node, Alias):
            return self._aliased_value(node, kind)
        if self.is_v2:
            return kind.read(node, self, custom=not _is_early_null(node))
        if isinstance(node, Scalar) and node.null:
            return kind.zero if kind.nullable else ABSENT
        return kind.read(node, self, custom=True)

    def _ratio(self) -> float:
        """Return the share of the steps that may come from aliases."""
        share = (min(max(self._steps, _RATIO_FROM), _RATIO_TO) - _RATIO_FROM) / (_RATIO_TO - _RATIO_FROM)
        return 0.99 - 0.89 * share

    def _aliased_value(self, node: Alias, kind: Kind) -> Any:
        cached = self._decoded.get((id(node.target), id(kind)))
        if cached is not None:
            value, steps = cached
            self._steps += steps
            self._aliased += steps
            return value
        if id(node) in self._open or self._depth > _DEPTH:
            return self.problem(node, msg("The alias is inside of the node that it refers to"))
        before = self._steps
        self._open.add(id(node))
        self._alias_depth += 1
        self._depth += 1
        value = self.decode(node.target, kind)
        self._depth -= 1
        self._alias_depth -= 1
        self._open.discard(id(node))
        self._decoded[id(node.target), id(kind)] = (value, self._steps - before)
        return value

    def resolved(self, node: Scalar) -> Any:
        """Return the value of a scalar by YAML's own rules: None, bool, int, float or str.

        Raise InvalidValueError.
        """
        tag, text = node.tag, node.value
        if tag == "!" and node.plain and not self.is_v2:
            tag = ""
        if (not tag and not node.plain) or tag == "!!str":
            return text
        if tag == "!!binary":
            try:
                return base64.b64decode(re.sub(r"[\r\n]", "", text), validate=True).decode("utf-8", "surrogateescape")
            except (binascii.Error, ValueError):
                raise InvalidValueError(msg("not valid base64")) from None
        if tag and tag not in ("!!bool", "!!int", "!!float", "!!null", "!!timestamp"):
            return text
        value = _plain(text, self.is_v2, dates=tag in ("", "!!timestamp"))
        resolved_tag = _TAGS[type(value)]
        if tag == "!!float" and resolved_tag == "!!int":
            return float(value)
        if tag and tag != resolved_tag and not (tag == "!!timestamp" and _DATE.fullmatch(text)):
            raise InvalidValueError(msg("{value} is not a value of the type {tag}", value=text, tag=tag))
        return value

    def mismatch(self, node: Node, expected: Message) -> _Failed:
        """Add the problem that a node is of another type, and return `FAILED`."""
        if isinstance(node, Scalar):
            return self.problem(node, msg("{expected} is expected here, not {value}", expected=expected,
                                          value=f'"{node.value[:50]}"'))  # fmt: skip
        actual = msg("a list") if isinstance(node, Sequence) else msg("a mapping")
        return self.problem(node, msg("{expected} is expected here, not {value}", expected=expected, value=actual))

    def pairs(self, node: Mapping, keys: Callable[[Node], Any]) -> Iterator[tuple[Any, Node, Node, bool]]:
        """Yield each key of a mapping as (decoded, key, value, merged), in the order in which they take effect.

        `keys` decodes a key. In version 2, `<<` overwrites the keys before it; in version 3 it only adds keys.
        """
        if self.is_v2:
            yield from self._pairs_2(node, keys, merged=False)
        elif self._unique(node):
            yield from self._pairs_3(node, keys, None)

    def _unique(self, node: Mapping) -> bool:
        keys: set[str] = set()
        unique = True
        for key, _ in node.entries:
            if not isinstance(key, Scalar):
                continue
            if key.value in keys:
                self.problem(key, msg("duplicate key '{key}'", key=key.value))
                unique = False
            keys.add(key.value)
        return unique

    def _pairs_2(
        self, node: Mapping, keys: Callable[[Node], Any], *, merged: bool
    ) -> Iterator[tuple[Any, Node, Node, bool]]:
        for key, value in node.entries:
            if _is_merge(key):
                sources = self._sources(value)
                for source in reversed(sources):
                    yield from self._within(source, lambda at: self._pairs_2(at, keys, merged=True))
            elif not isinstance(name := keys(key), _Failed):
                yield name, key, value, merged

    def _pairs_3(
        self, node: Mapping, keys: Callable[[Node], Any], inherited: set[Any] | None
    ) -> Iterator[tuple[Any, Node, Node, bool]]:
        merge: Node | None = None
        own: set[Any] = set() if inherited is None else inherited
        for key, value in node.entries:
            if _is_merge(key):
                merge = value
                continue
            name = keys(key)
            if isinstance(name, _Failed) or (inherited is not None and name in inherited):
                continue
            own.add(name)
            yield name, key, value, inherited is not None
        for source in self._sources(merge) if merge is not None else ():
            yield from self._within(source, lambda at: self._pairs_3(at, keys, own))

    def _sources(self, node: Node) -> list[Node]:
        """Return the mappings that a `<<` merges; none after a problem."""
        sources: list[Node] = node.entries if isinstance(node, Sequence) else [node]
        for source in sources:
            if not isinstance(source.target if isinstance(source, Alias) else source, Mapping):
                self.problem(source, msg("'<<' takes a mapping, or a list of mappings"))
                return []
        return sources

    def _within(
        self, source: Node, entries: Callable[[Mapping], Iterator[tuple[Any, Node, Node, bool]]]
    ) -> Iterator[tuple[Any, Node, Node, bool]]:
        self._steps += 1
        target = source.target if isinstance(source, Alias) else source
        if self._depth > _DEPTH or id(target) in self._open:
            self.problem(source, msg("'<<' is nested too deeply"))
            return
        self._depth += 1
        self._open.add(id(target))
        self._alias_depth += isinstance(source, Alias)
        if isinstance(target, Mapping) and (self.is_v2 or self._unique(target)):
            yield from entries(target)
        self._alias_depth -= isinstance(source, Alias)
        self._open.discard(id(target))
        self._depth -= 1


def _is_early_null(node: Node) -> bool:
    """Return True if version 2 takes a node for a null before it calls a type's own decoder."""
    if not isinstance(node, Scalar):
        return False
    # `"null"` in quotes is one, too.
    return node.tag == "!!null" or (not node.tag and node.value in ("null", "~")) or (node.plain and not node.value)


def _is_merge(key: Node) -> bool:
    return isinstance(key, Scalar) and key.value == "<<" and (key.tag == "!!merge" or (not key.tag and key.plain))


def is_number_or_bool(text: str) -> bool:
    """Return True if a plain scalar is a number or a bool in YAML 1.1, which Kubernetes reads."""
    return isinstance(_plain(text, True, dates=True), bool | int | float)


def _plain(text: str, is_v2: bool, *, dates: bool) -> Any:
    """Return the value of a plain scalar."""
    first = text[:1]
    if first not in "+-.0123456789":
        return (_MAP2 if is_v2 else _MAP).get(text, text) if first in "yYnNtTfFoO~" else text
    table = _MAP2 if is_v2 else _MAP
    if text in table:
        return table[text]
    if first == ".":
        return float(text) if _FLOAT.fullmatch(text) and math.isfinite(float(text)) else text
    if dates and _DATE.fullmatch(text):
        return text
    return _number(text.replace("_", ""), text)


def _number(plain: str, text: str) -> Any:
    match = _INTEGER.fullmatch(plain)
    if match:
        sign, hexadecimal, binary, octal, decimal = match.groups()
        digits, base = next((d, b) for d, b in ((hexadecimal, 16), (binary, 2), (octal, 8), (decimal, 10)) if d)
        value = int(digits, base) * (-1 if sign == "-" else 1)
        if -(2**63) <= value < 2**63 or (not sign and value < 2**64):
            return value
    if _FLOAT.fullmatch(plain) and math.isfinite(float(plain)):
        return float(plain)
    return text


class Kind:
    """The type of a value."""

    zero: Any = None
    # True if a null in version 3 sets it, as it does a list or a mapping.
    nullable = False

    def read(self, node: Node, decoder: Decoder, *, custom: bool) -> Any:
        """Return the value of a node, or `FAILED`.

        `custom` is false for a null that go-yaml does not pass to a type's own decoder.
        """
        raise NotImplementedError


class Text(Kind):
    """A text. `parse` converts and validates it, or raises InvalidValueError.

    `from_text` is the version since which the type of Go decodes any text, also one that looks like a null.
    """

    def __init__(
        self,
        parse: Callable[[str, Release], Any] | None = None,
        zero: Any = "",
        from_text: tuple[int, int] = (1000, 0),
    ) -> None:
        self.parse, self.zero, self.from_text = parse, zero, from_text

    @override
    def read(self, node: Node, decoder: Decoder, *, custom: bool) -> Any:
        if not isinstance(node, Scalar):
            return decoder.mismatch(node, msg("Text"))
        try:
            text = _text(node, decoder)
            if not custom or self.parse is None:
                if self.parse and text is not None and decoder.release.version >= self.from_text:
                    return self.parse(text, decoder.release)
                if text is not None and not isinstance(self.zero, str):
                    return decoder.mismatch(node, msg("Another value"))
                return self.zero if text is None else text
            return self.parse(text or "", decoder.release)
        except InvalidValueError as error:
            return decoder.problem(node, error.message)


class NodeText(Text):
    """A text that releases before `until` decode as a `yaml.Node`: they take what is written, a null included."""

    def __init__(self, until: tuple[int, int]) -> None:
        super().__init__()
        self.until = until

    def text_of(self, node: Node) -> str:
        """Return the text of a node as it is written: that of an alias is its name."""
        if isinstance(node, Alias):
            return node.name
        return node.value if isinstance(node, Scalar) else ""


def _text(node: Scalar, decoder: Decoder) -> str | None:
    """Return the text of a scalar, None for a null. Raise InvalidValueError."""
    if node.null:
        return None
    if not node.tag:
        return node.value
    value = decoder.resolved(node)
    return str(value) if node.tag == "!!binary" else node.value


class Bytes(Kind):
    """A number of bytes with a unit, such as `10MB`."""

    zero = 0

    @override
    def read(self, node: Node, decoder: Decoder, *, custom: bool) -> Any:
        if not isinstance(node, Scalar):
            return decoder.mismatch(node, msg("A number of bytes such as 10MB"))
        if node.null:
            return 0
        try:
            return _bytes(node.value)
        except InvalidValueError as error:
            return decoder.problem(node, error.message)


_UNITS = {"B": 0, "KiB": 1, "MiB": 2, "GiB": 3, "TiB": 4, "PiB": 5, "EiB": 6}
_OLD_UNITS = {"B": 0, "KB": 1, "MB": 2, "GB": 3, "TB": 4, "PB": 5, "EB": 6}
_AMOUNTS = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]+)")


def _bytes(text: str) -> int:
    body = text[1:] if text[:1] in ("+", "-") else text
    if body == "0":
        return 0
    for units in (_UNITS, _OLD_UNITS):
        at, total = 0, 0.0
        while (match := _AMOUNTS.match(body, at)) and (match[1] or match[2]) and match[3] in units:
            total += float(f"{match[1] or '0'}.{match[2] or '0'}") * 1024 ** units[match[3]]
            at = match.end()
        if body and at == len(body):
            # alecthomas/units compares as a float, which accepts 2^63 itself
            if total > 2**63:
                raise InvalidValueError(msg("{text} is too large", text=text))
            return int(total) * (-1 if text.startswith("-") else 1)
    raise InvalidValueError(msg("{text} is not a number of bytes such as 512KB, 10MB or 1GiB", text=text or '""'))


class Bool(Kind):
    """A bool. `zero` is the value of a null."""

    def __init__(self, zero: bool | None = False) -> None:
        self.zero = zero

    @override
    def read(self, node: Node, decoder: Decoder, *, custom: bool) -> Any:
        if isinstance(node, Scalar):
            try:
                value = decoder.resolved(node)
            except InvalidValueError as error:
                return decoder.problem(node, error.message)
            if value is None:
                return self.zero
            if isinstance(value, bool):
                return value
            if not decoder.is_v2 and value in _TRUE | _FALSE:
                return value in _TRUE
        return decoder.mismatch(node, msg("true or false"))


class Number(Kind):
    """A number of Go's type `int64`, `uint64` or `float64`."""

    zero = 0

    def __init__(self, kind: Literal["int", "uint", "float"]) -> None:
        self.kind = kind

    @override
    def read(self, node: Node, decoder: Decoder, *, custom: bool) -> Any:
        if isinstance(node, Scalar):
            try:
                value = decoder.resolved(node)
            except InvalidValueError as error:
                return decoder.problem(node, error.message)
            if value is None:
                return 0
            if not isinstance(value, bool | str) and self._fits(value):
                return value
        expected = {"int": msg("A whole number"), "uint": msg("A whole number of 0 or more"), "float": msg("A number")}
        return decoder.mismatch(node, expected[self.kind])

    def _fits(self, value: float) -> bool:
        if self.kind == "float":
            return True
        if isinstance(value, float):
            return value <= (2**63 if self.kind == "int" else 2**64)
        return -(2**63) <= value < 2**63 if self.kind == "int" else 0 <= value < 2**64


class Anything(Kind):
    """Any value, which stays a node."""

    nullable = True

    @override
    def read(self, node: Node, decoder: Decoder, *, custom: bool) -> Any:
        return node


class List(Kind):
    """A list of values of one kind. A null decodes to None."""

    nullable = True

    def __init__(self, of: Kind) -> None:
        self.of = of

    @override
    def read(self, node: Node, decoder: Decoder, *, custom: bool) -> Any:
        if isinstance(node, Scalar) and node.null:
            return None
        if not isinstance(node, Sequence):
            return decoder.mismatch(node, msg("A list"))
        values = ((entry, decoder.decode(entry, self.of)) for entry in node.entries)
        return Entries((value, entry) for entry, value in values if not isinstance(value, _Failed))


class Entries(list[Any]):
    """The values of a list. `nodes` holds the node of each value."""

    def __init__(self, pairs: Iterable[tuple[Any, Node]] = ()) -> None:
        values_and_nodes = list(pairs)
        super().__init__(value for value, _ in values_and_nodes)
        self.nodes = [node for _, node in values_and_nodes]


class Table(Kind):
    """A mapping with any keys, and values of one kind. A `custom` one has a decoder of its own in Go."""

    nullable = True

    def __init__(self, of: Kind, keys: Kind | None = None, *, custom: bool = False) -> None:
        self.of, self.keys, self.custom = of, keys or Text(), custom

    @override
    def read(self, node: Node, decoder: Decoder, *, custom: bool) -> Any:
        if isinstance(node, Scalar) and node.null:
            return Values(node) if self.custom and custom else None
        if not isinstance(node, Mapping):
            return decoder.mismatch(node, msg("A mapping"))
        values = Values(node)
        for name, key, value_node, _ in decoder.pairs(node, lambda key: decoder.decode(key, self.keys)):
            value = decoder.decode(value_node, self.of)
            if value is FAILED:
                if isinstance(value_node, Scalar):
                    decoder.prefix_last_problem(str(name))
                continue
            if decoder.is_v2 and name in values:
                decoder.problem(key, msg("duplicate key '{key}'", key=str(name)))
                continue
            values[name] = self.of.zero if value is ABSENT else value
            values.keys_at[name], values.values_at[name] = key, value_node
        return values


class Values(dict[Any, Any]):
    """The values of an object or a table. `node` is its own node, `keys_at` and `values_at` those of its keys."""

    def __init__(self, node: Node, defaults: MappingType[str, Any] | None = None) -> None:
        super().__init__()
        self.node, self.defaults = node, defaults or {}
        self.keys_at: dict[Any, Node] = {}
        self.values_at: dict[Any, Node] = {}

    def __missing__(self, key: Any) -> Any:
        return self.defaults.get(key)

    def at(self, *keys: str) -> Node:
        """Return the node of the first key that is present, else that of the object."""
        return next((self.keys_at[key] for key in keys if key in self.keys_at), self.node)


class Field(Struct, frozen=True):
    """A key of an object: its kind, its default, and the versions of Prometheus that have it."""

    kind: Any
    default: Any = None
    since: tuple[int, int] = (0, 0)
    until: tuple[int, int] = (1000, 0)

    def known(self, release: Release) -> bool:
        """Return True if a release has it."""
        return self.since <= release.version < self.until


# A rule about an object as a whole: adds problems to the decoder.
Rule = Callable[[Values, Decoder], None]


class Object(Kind):
    """A mapping with known keys. `rules` are checked after all its keys are valid; a null skips them."""

    def __init__(self, name: Message, fields: MappingType[str, Field], *rules: Rule, pointer: bool = False,
                 ) -> None:  # fmt: skip
        self.name, self.fields, self.rules, self.pointer = name, fields, rules, pointer
        self.nullable = pointer
        self.defaults = {key: _default(field) for key, field in fields.items()}

    def add_field(self, key: str, field: Field) -> None:
        """Add a key whose kind refers to the object itself."""
        self.fields = {**self.fields, key: field}
        self.defaults[key] = _default(field)

    @override
    def read(self, node: Node, decoder: Decoder, *, custom: bool) -> Any:
        if isinstance(node, Scalar) and node.null:
            if not custom:
                return None if self.pointer else Values(node, _zeros(self.fields))
            # `Null` and `NULL` reach the type's own decoding, which sees an empty object
            return self._checked(Values(node, _zeros(self.fields)), decoder)
        if not isinstance(node, Mapping):
            return decoder.mismatch(node, msg("A mapping"))
        before = len(decoder.problems)
        values = Values(node, self.defaults)
        own: set[str] = set()
        for name, key, value, merged in decoder.pairs(node, lambda key: decoder.decode(key, _KEY)):
            self._take(values, name, key, value, decoder, own if not merged else None)
        return values if len(decoder.problems) > before else self._checked(values, decoder)

    def _checked(self, values: Values, decoder: Decoder) -> Any:
        before = len(decoder.problems)
        for rule in self.rules:
            rule(values, decoder)
            if len(decoder.problems) > before:
                return FAILED
        return values

    def _take(self, values: Values, name: str, key: Node, value: Node, decoder: Decoder, own: set[str] | None) -> None:
        field = self.fields.get(name)
        if field is None or not field.known(decoder.release):
            decoder.problem(key, self._unknown(name, field, decoder.release))
            return
        if own is not None and name in own:
            decoder.problem(key, msg("duplicate key '{key}'", key=name))
            return
        if own is not None:
            own.add(name)
        decoded = decoder.decode(value, field.kind)
        if decoded is FAILED and isinstance(value, Scalar):
            decoder.prefix_last_problem(name)
        if decoded is not FAILED and decoded is not ABSENT:
            values[name] = decoded
            values.keys_at[name], values.values_at[name] = key, value

    def _unknown(self, name: str, field: Field | None, release: Release) -> Message:
        if field is not None:
            if release.version < field.since:
                since = ".".join(map(str, field.since))
                return msg("Prometheus knows '{key}' in {what} since {since}, not in {release}",
                           key=name, what=self.name, since=since, release=str(release))  # fmt: skip
            until = ".".join(map(str, field.until))
            return msg("Prometheus has no '{key}' in {what} since {until}", key=name, what=self.name, until=until)
        known_keys = [key for key, field in self.fields.items() if field.known(release)]
        near = difflib.get_close_matches(name, known_keys, n=1)
        if near:
            return msg("unknown key '{key}' in {what}; did you mean '{near}'?", key=name, what=self.name, near=near[0])
        if len(known_keys) <= 12:
            return msg("unknown key '{key}' in {what}; expected one of {known}", key=name, what=self.name,
                       known=", ".join(known_keys))  # fmt: skip
        return msg("unknown key '{key}' in {what}", key=name, what=self.name)


_KEY = Text()


def _default(field: Field) -> Any:
    return field.kind.zero if field.default is None else field.default


def _zeros(fields: MappingType[str, Field]) -> dict[str, Any]:
    return {key: field.kind.zero for key, field in fields.items()}
