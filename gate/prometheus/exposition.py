"""Parse expositions as strictly as Prometheus: line by line, in one pass, in bounded memory.

Formats: text 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/), with the quoted UTF-8 names of
Prometheus 3, and OpenMetrics 1.0 (https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md).
A line is a problem if Prometheus's scraper or `promtool check metrics` rejects it.

Both accept some input that the specifications forbid, and then drop a part of it silently. This parser rejects that
input: a duplicate series, a NUL byte outside of a label, and in OpenMetrics a second TYPE, HELP or UNIT, one of them
after the samples, interleaved families, exemplars with more than 128 characters, and an `le` or `quantile` that is not
a number. Input that Prometheus keeps and other parsers reject is a warning: a NUL byte in a label, a blank before a
name, an exemplar of a gauge.

Limits: bytes of a line (`LINE_LIMIT`), families (`FAMILY_LIMIT`), sets of label names (`SHAPE_LIMIT`) and bytes of all
names (`NAMES_LIMIT`). Beyond them `LimitExceededError` is raised. Series are kept as 64-bit hashes, most of them on
disk.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct, field

from gate.core.errors import GateError
from gate.core.messages import Message, msg
from gate.prometheus.duplicate_series import DuplicateDetector
from gate.prometheus.exposition_lines import (
    LABEL,
    NAME,
    PAIRS,
    QUOTED,
    VALUE,
    LineError,
    Meta,
    openmetrics_line,
    shown,
    text_line,
    unquote,
)
from gate.prometheus.exposition_lines import Sample as SampleLine

# Bytes of one line.
LINE_LIMIT = 1024 * 1024
FAMILY_LIMIT = 200_000
SHAPE_LIMIT = 100_000
# Bytes of all names together, of metrics and of sets of labels.
NAMES_LIMIT = 8 * 1024 * 1024
# Parsing stops after so many problems.
PROBLEM_LIMIT = 20
# Bytes that are matched at once.
BLOCK = 256 * 1024

_LABELS = LABEL + b"=" + QUOTED + rb"(?:," + LABEL + b"=" + QUOTED + rb")*+"
_ORDINARY = rb"(?:(" + NAME + rb")(?:\{(" + _LABELS + rb")\})? (" + VALUE + rb")%b|([^\n]*+))\n"
# By whether it is OpenMetrics. An ordinary sample matches as name, labels and value, any other line as group 4.
_LINES = {
    False: re.compile(_ORDINARY % rb"(?: [0-9]{1,18})?"),
    True: re.compile(_ORDINARY % rb"(?: [0-9]{1,18}(?:\.[0-9]+)?)?"),
}
_LABEL_VALUES = re.compile(b"=" + QUOTED)
_FLOAT_LABELS = {
    "histogram": re.compile(rb'(?:^|,)le="([^"]*)"'),
    "gaugehistogram": re.compile(rb'(?:^|,)le="([^"]*)"'),
    "summary": re.compile(rb'(?:^|,)quantile="([^"]*)"'),
}
_INFINITE = (float("inf"), float("-inf"))
_TYPES = {
    False: ("counter", "gauge", "histogram", "summary", "untyped"),
    True: ("counter", "gauge", "histogram", "gaugehistogram", "stateset", "info", "summary", "unknown"),
}
_SUFFIXES: dict[bool, dict[str, tuple[str, ...]]] = {
    False: {"_count": ("summary", "histogram"), "_sum": ("summary", "histogram"), "_bucket": ("histogram",)},
    True: {
        "_total": ("counter",), "_created": ("counter", "histogram", "summary"), "_info": ("info",),
        "_count": ("summary", "histogram"), "_sum": ("summary", "histogram"),
        "_bucket": ("histogram", "gaugehistogram"), "_gcount": ("gaugehistogram",), "_gsum": ("gaugehistogram",),
    },
}  # fmt: skip
_HELP_KEPT = 200


class LimitExceededError(GateError):
    """An exposition that exceeds a limit of this parser. The message names the limit."""


class Problem(Struct, frozen=True):
    """A problem of one line. Lines count from 1; `text` is the beginning of the line."""

    line: int
    text: str
    reason: Message


class Family(Struct):
    """A metric family: its metadata, and the number of its samples by sample name.

    `type` is "" without a TYPE. `first` and `last` are lines of samples, 0 if there are none.
    """

    name: str
    type: str = ""
    help: str | None = None
    unit: str | None = None
    samples: int = 0
    names: dict[str, int] = field(default_factory=dict)
    first: int = 0
    last: int = 0


class Sample(Struct, frozen=True):
    """A sample: metric name, labels, value and line."""

    name: str
    labels: dict[str, str]
    value: float
    line: int


class Exposition(Struct):
    """A parsed exposition. `problems` is empty if Prometheus would accept all of it."""

    families: dict[str, Family] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    # What Prometheus accepts and other parsers reject.
    warnings: list[Problem] = field(default_factory=list)
    openmetrics: bool = False
    lines: int = 0
    samples: int = 0
    size: int = 0
    # (line, byte) where each block starts, so that some lines can be reread.
    blocks: list[tuple[int, int]] = field(default_factory=list)

    @property
    def valid(self) -> bool:
        """Return True if Prometheus would accept it."""
        return not self.problems

    def find_family(self, name: str) -> Family | None:
        """Return the family with samples of this name, such as `latency` for `latency_bucket`."""
        candidates = [name, *(name.removesuffix(suffix) for suffix in _SUFFIXES[True] if name.endswith(suffix))]
        for candidate in candidates:
            family = self.families.get(candidate)
            if family and family.samples and (candidate == name or name in family.names):
                return family
        return None

    def offset_of(self, family: Family) -> tuple[int, int]:
        """Return the (line, byte) from which all samples of a family can be read again."""
        return self.blocks[bisect_right(self.blocks, (family.first, self.size)) - 1]


def parse_exposition(chunks: Iterable[bytes], *, openmetrics: bool = False) -> Exposition:
    """Parse a whole exposition.

    Raise LimitExceededError beyond this parser's limits, and whatever `chunks` raises.
    """
    reader = _Reader(openmetrics)
    try:
        return reader.read(chunks)
    finally:
        reader.detector.close()


def reread_samples(
    chunks: Iterable[bytes], line: int, last: int, selects: Callable[[str], bool], *, openmetrics: bool = False
) -> Iterator[Sample]:
    """Yield the samples of some lines whose name `selects` accepts.

    `chunks` starts at `line`; `last` is included. The lines were parsed before: their problems are skipped.
    """
    parse = openmetrics_line if openmetrics else text_line
    for block in _blocks(chunks):
        for name, labels, value, unusual in _LINES[openmetrics].findall(block):
            if line > last:
                return
            if unusual:
                name, labels, value = _unusual_sample(parse, unusual)
            if name and selects(name.decode()):
                yield Sample(name.decode(), _label_texts(labels), float(value), line)
            line += 1


def _unusual_sample(parse: Callable[[bytes], SampleLine | Meta | None], line: bytes) -> tuple[bytes, bytes, bytes]:
    try:
        parsed = parse(line)
    except LineError:
        return b"", b"", b""
    return (parsed.name, parsed.labels, parsed.value) if isinstance(parsed, SampleLine) else (b"", b"", b"")


def _label_texts(labels: bytes) -> dict[str, str]:
    return {
        unquote(name) if name.startswith(b'"') else name.decode(): unquote(value)
        for name, value in PAIRS.findall(labels)
    }


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the bytes in blocks of whole lines. The last block may lack its line feed."""
    carry = b""
    for chunk in chunks:
        for start in range(0, len(chunk), BLOCK):
            block = carry + chunk[start : start + BLOCK]
            end = block.rfind(b"\n") + 1
            carry = block[end:]
            if len(carry) > LINE_LIMIT:
                raise LimitExceededError(msg("A line of the exposition is longer than 1 MiB"))
            if end:
                yield block[:end]
    if carry:
        yield carry


def _is_utf8(block: bytes) -> bool:
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True


class _Reader:
    """One pass over an exposition."""

    def __init__(self, openmetrics: bool) -> None:
        self.exposition = Exposition(openmetrics=openmetrics)
        self.families = self.exposition.families
        self.detector = DuplicateDetector()
        self.parse = openmetrics_line if openmetrics else text_line
        # The family of each sample name.
        self.homes: dict[bytes, tuple[Family, str]] = {}
        # Label names in some order, and their canonical order; None if they are in it.
        self.shapes: dict[bytes, tuple[bytes, ...] | None] = {b"": None}
        self.orders: dict[frozenset[bytes], tuple[bytes, ...]] = {}
        self.floats: set[bytes] = set()
        # The family that OpenMetrics has begun and not ended.
        self.open: Family | None = None
        self.ended = False
        self.names_kept = 0

    def read(self, chunks: Iterable[bytes]) -> Exposition:
        exposition = self.exposition
        for block in _blocks(chunks):
            exposition.blocks.append((exposition.lines + 1, exposition.size))
            exposition.size += len(block)
            self._block(block)
            if len(exposition.problems) >= PROBLEM_LIMIT:
                break
        else:
            self._end()
        exposition.problems.sort(key=lambda problem: problem.line)
        return exposition

    def _end(self) -> None:
        for line, first in self.detector.duplicates():
            self._problem(line, b"", msg("Duplicate series, first given on line {line}", line=first))
        if self.exposition.openmetrics and not self.ended:
            self._problem(self.exposition.lines, b"", msg('The exposition does not end with "# EOF": it was cut short'))

    def _problem(self, line: int, text: bytes, reason: Message) -> None:
        if len(self.exposition.problems) < PROBLEM_LIMIT:
            self.exposition.problems.append(Problem(line, shown(text), reason))

    def _warn(self, line: int, text: bytes, reason: Message) -> None:
        if len(self.exposition.warnings) < PROBLEM_LIMIT:
            self.exposition.warnings.append(Problem(line, shown(text), reason))

    def _block(self, block: bytes) -> None:
        whole, feed, rest = block.rpartition(b"\n")
        if rest == b"# EOF" and self.exposition.openmetrics:
            whole, feed, rest = block, b"\n", b""
        self._lines(whole + feed)
        if rest:
            self.exposition.lines += 1
            cut = msg("The last line does not end with a line feed: the exposition was cut short")
            reason = msg('There is something after "# EOF"') if self.ended else cut
            self._problem(self.exposition.lines, rest, reason)

    def _lines(self, block: bytes) -> None:
        """Parse whole lines and add their samples to their families."""
        # The speed of the parser depends on this loop.
        ordinary = _is_utf8(block) and b"\0" not in block
        line = self.exposition.lines
        counted = 0
        homes, shapes, first_line = self.homes, self.shapes, self.detector.first_line
        for name, labels, value, unusual in _LINES[self.exposition.openmetrics].findall(block):
            line += 1
            try:
                if not name or not ordinary or self.ended:
                    sample = self._unusual(unusual or _whole(name, labels, value))
                    if sample is None:
                        continue
                    if sample.warning is not None:
                        self._warn(line, unusual or _whole(name, labels, value), sample.warning)
                    name, labels, value = sample.name, sample.labels, sample.value
                family, text = homes.get(name) or self._home(name, line)
                if family is not self.open:
                    self._enter(family)
                shape = _LABEL_VALUES.sub(b"", labels) if labels else b""
                order = shapes[shape] if shape in shapes else self._learn(shape, labels)
                if order is not None:
                    labels = _in_order(labels, order)
                if family.type in _FLOAT_LABELS:
                    self._check_float_label(family, labels)
                if float(value) in _INFINITE and b"n" not in value.lower():
                    raise LineError(msg("The value {value} is out of range", value=shown(value)))
                first = first_line(hash((name, labels)), line)
                if first is not None:
                    raise LineError(msg("Duplicate series, first given on line {line}", line=first))
                counted += 1
                family.names[text] += 1
                family.samples += 1
                family.last = line
            except LineError as error:
                self._problem(line, unusual or _whole(name, labels, value), error.message)
        self.exposition.lines = line
        self.exposition.samples += counted

    def _home(self, name: bytes, line: int) -> tuple[Family, str]:
        """Return the family of a sample name, and create it if it is new."""
        self._keep(name)
        text = name.decode()
        family = self._family(text)
        family.names[text] = 0
        family.first = family.first or line
        self.homes[name] = family, text
        return family, text

    def _family(self, name: str) -> Family:
        family = self.families.get(name)
        if family:
            return family
        for suffix, types in _SUFFIXES[self.exposition.openmetrics].items():
            family = self.families.get(name.removesuffix(suffix)) if name.endswith(suffix) else None
            if family and family.type in types:
                return family
        if len(self.families) >= FAMILY_LIMIT:
            raise LimitExceededError(msg("The exposition has more than {limit} metric families", limit=FAMILY_LIMIT))
        self.families[name] = family = Family(name)
        return family

    def _keep(self, names: bytes) -> None:
        """Count names that stay in memory. Raise LimitExceededError if there are too many."""
        self.names_kept += len(names)
        if self.names_kept > NAMES_LIMIT:
            raise LimitExceededError(msg("The exposition has more than 8 MiB of different names"))

    def _enter(self, family: Family) -> None:
        """Begin another family. In OpenMetrics that ends the previous family for good."""
        self.open = family
        if self.exposition.openmetrics:
            self.detector.reset()
            if family.samples:
                raise LineError(msg("The samples of {name} are not all in one place", name=family.name))

    def _learn(self, shape: bytes, labels: bytes) -> tuple[bytes, ...] | None:
        """Return the order in which to sort label names that come in a new order."""
        names = tuple(name for name, _ in PAIRS.findall(labels))
        if len(set(names)) != len(names):
            raise LineError(msg("A label name is given twice"))
        if b"__name__" in names:
            raise LineError(msg("The label name __name__ is reserved"))
        if len(self.shapes) >= SHAPE_LIMIT:
            raise LimitExceededError(
                msg("The exposition has more than {limit} different sets of labels", limit=SHAPE_LIMIT)
            )
        self._keep(shape)
        order = self.orders.setdefault(frozenset(names), names)
        self.shapes[shape] = None if order == names else order
        return self.shapes[shape]

    def _check_float_label(self, family: Family, labels: bytes) -> None:
        match = _FLOAT_LABELS[family.type].search(labels)
        if not match or match[1] in self.floats:
            return
        if not re.fullmatch(VALUE, match[1]):
            raise LineError(msg("{name} is a {type}, and {value} is not a number",
                            name=family.name, type=family.type, value=shown(match[0].lstrip(b","))))  # fmt: skip
        if len(self.floats) < SHAPE_LIMIT:
            self.floats.add(match[1])

    def _unusual(self, line: bytes) -> SampleLine | None:
        """Parse a line that the fast path did not match; return its sample, if it has one."""
        if self.ended:
            raise LineError(msg('There is something after "# EOF"'))
        parsed = self.parse(line)
        if isinstance(parsed, Meta):
            self._meta(parsed)
            return None
        return parsed

    def _meta(self, meta: Meta) -> None:
        if meta.keyword == "EOF":
            self.ended = True
            return
        family = self.families.get(meta.name) if self.exposition.openmetrics else self._family(meta.name)
        if family is None:
            family = self._family(meta.name)
            if family.name != meta.name:
                self.families[meta.name] = family = Family(meta.name)
        self._set(family, meta)

    def _set(self, family: Family, meta: Meta) -> None:
        if not family.samples:
            self._keep(meta.name.encode())
        if self.exposition.openmetrics and family.samples:
            raise LineError(msg("{keyword} of {name} comes after its samples", keyword=meta.keyword, name=family.name))
        if meta.keyword == "HELP":
            _refuse_second(meta, family.help)
            family.help = meta.text[:_HELP_KEPT]
        elif meta.keyword == "UNIT":
            _refuse_second(meta, family.unit)
            family.unit = meta.text
        else:
            _refuse_second(meta, family.type or None)
            if family.samples:
                raise LineError(msg("TYPE of {name} comes after its samples", name=family.name))
            if meta.text not in _TYPES[self.exposition.openmetrics]:
                raise LineError(msg("{type} is not a metric type", type=shown(meta.text.encode()) or '""'))
            family.type = meta.text


def _refuse_second(meta: Meta, previous: str | None) -> None:
    if previous is not None:
        raise LineError(msg("A second {keyword} of {name}", keyword=meta.keyword, name=meta.name))


def _whole(name: bytes, labels: bytes, value: bytes) -> bytes:
    return name + (b"{" + labels + b"}" if labels else b"") + b" " + value


def _in_order(labels: bytes, order: tuple[bytes, ...]) -> bytes:
    values = dict(PAIRS.findall(labels))
    return b",".join(name + b"=" + values[name] for name in order)
