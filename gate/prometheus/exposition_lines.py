"""Parse one line of an exposition that is not ordinary: slowly, and with the exact reason if it is not valid.

Text format: the intersection of Prometheus's two parsers, `model/textparse/promlex.l` (the scraper) and
`prometheus/common/expfmt/text_parse.go` (promtool). OpenMetrics: `model/textparse/openmetricslex.l`.
"""

from __future__ import annotations

import re

from msgspec import Struct

from gate.core.errors import GateError
from gate.core.messages import Message, msg
from gate.core.override import override
from gate.redaction.secrets import OVERLAP, redacted_head

NAME = rb"[a-zA-Z_:][a-zA-Z0-9_:]*+"
LABEL = rb"[a-zA-Z_][a-zA-Z0-9_]*+"
QUOTED = rb'"[^"\\\n]*+(?:\\["\\n][^"\\\n]*+)*+"'
_NUMBER = rb"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
VALUE = rb"(?:" + _NUMBER + rb"|[+-]?(?i:inf(?:inity)?)|(?i:nan))"
PAIRS = re.compile(rb"(" + LABEL + rb"|" + QUOTED + rb")=(" + QUOTED + rb")")

_NAME = re.compile(NAME)
_LABEL = re.compile(LABEL)
_ANY_QUOTED = rb'"(?:[^"\\\n]|\\.)*+"'
_QUOTED = re.compile(_ANY_QUOTED)
_VALUE = re.compile(VALUE)
_BLANKS = re.compile(rb"[ \t]*+")
_NO_BLANKS = re.compile(b"")
_TOKEN = re.compile(rb"[^ \t]*+")
_BAD_ESCAPE = re.compile(rb'\\[^"\\n]')
_BAD_HELP_ESCAPE = re.compile(rb"^(?:[^\\]|\\[\\n])*+(\\.?)", re.DOTALL)
_EXEMPLAR_LIMIT = 128
_SHOWN = 80


class LineError(GateError):
    """A line that Prometheus does not accept."""


class Sample(Struct):
    """The parts of a sample line. `labels` is in ordinary form: `a="1",b="2"`.

    `warning` is why other parsers reject the line.
    """

    name: bytes
    labels: bytes
    value: bytes
    warning: Message | None = None


class Meta(Struct):
    """A comment with a meaning. `keyword` is HELP, TYPE, UNIT or EOF."""

    keyword: str
    name: str = ""
    text: str = ""


def shown(raw: bytes) -> str:
    """Return the beginning of a line for a message, redacted."""
    return redacted_head(raw[: 4 * _SHOWN + OVERLAP].decode(errors="replace"), _SHOWN)


def text_line(line: bytes) -> Sample | Meta | None:
    """Parse a line of the text format; return None for a blank line or a comment. Raise LineError."""
    rest = line.lstrip(b" \t")
    if not rest:
        return None
    if rest.startswith(b"#"):
        _refuse_nul(rest)
        return _text_comment(rest[1:].lstrip(b" \t"))
    sample = _TextSample(rest, 0).parse()
    if len(rest) != len(line):
        sample.warning = msg("There is a blank before the metric name, which other parsers reject")
    return sample


def openmetrics_line(line: bytes) -> Sample | Meta:
    """Parse a line of OpenMetrics. Raise LineError."""
    if line.startswith(b"#"):
        _refuse_nul(line)
        return _openmetrics_comment(line)
    if not line.strip():
        raise LineError(msg("OpenMetrics has no empty lines"))
    return _OpenMetricsSample(line, 0).parse()


def _refuse_nul(text: bytes) -> None:
    """Raise LineError if there is a NUL byte."""
    # Outside of quotes Prometheus takes it for the end, and drops the rest silently.
    if b"\0" in text:
        raise LineError(msg("There is a NUL byte in the line"))


def _text_comment(rest: bytes) -> Meta | None:
    keyword, name, text = _words(rest)
    if keyword not in (b"HELP", b"TYPE") or (not name and not text):
        return None
    metric = _metric_name(name)
    if keyword == b"TYPE":
        return Meta("TYPE", metric, text[1:].decode(errors="replace"))
    text = text.lstrip(b" \t")
    invalid = _BAD_HELP_ESCAPE.match(text)
    if invalid and invalid[1]:
        raise LineError(
            msg("HELP of {name} has an invalid escape sequence: {escape}", name=metric, escape=shown(invalid[1]))
        )
    return Meta("HELP", metric, _utf8(text).decode())


def _words(rest: bytes) -> tuple[bytes, bytes, bytes]:
    """Split a comment into its keyword, its name (quoted if it starts with a quote) and the rest."""
    keyword = _token(rest)
    rest = rest[len(keyword) :].lstrip(b" \t")
    quoted = _QUOTED.match(rest)
    name = quoted[0] if quoted else _token(rest)
    return keyword, name, rest[len(name) :]


def _token(text: bytes) -> bytes:
    return re.split(rb"[ \t]", text, maxsplit=1)[0]


def _openmetrics_comment(line: bytes) -> Meta:
    if line == b"# EOF":
        return Meta("EOF")
    match = re.match(rb"# (HELP|TYPE|UNIT) (" + NAME + rb"|" + _ANY_QUOTED + rb") (.*)\Z", line, re.DOTALL)
    if not match:
        raise LineError(
            msg('OpenMetrics has only "# HELP name text", "# TYPE name type", "# UNIT name unit" and "# EOF"')
        )
    quoted = match[2].startswith(b'"')
    keyword, name = match[1].decode(), unquote(_utf8(match[2])) if quoted else match[2].decode()
    try:
        text = match[3].decode()
    except UnicodeDecodeError:
        raise LineError(msg("{keyword} of {name} is not valid UTF-8", keyword=keyword, name=name)) from None
    if keyword == "UNIT" and text and not name.endswith("_" + text):
        raise LineError(msg("The unit {unit} is not a suffix of the name {name}", unit=shown(match[3]), name=name))
    return Meta(keyword, name, text)


def _metric_name(raw: bytes) -> str:
    if re.fullmatch(QUOTED, raw):
        return unquote(_utf8(raw))
    if not _NAME.fullmatch(raw):
        raise LineError(msg("{name} is not a metric name", name=shown(raw) or '""'))
    return raw.decode()


def _utf8(raw: bytes) -> bytes:
    try:
        raw.decode()
    except UnicodeDecodeError:
        raise LineError(msg("{text} is not valid UTF-8", text=shown(raw))) from None
    return raw


_ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


def unquote(quoted: bytes) -> str:
    """Return the text between quotes with its escapes replaced."""
    text = quoted[1:-1].decode(errors="replace")
    return re.sub(r'\\[\\"n]', lambda match: _ESCAPES[match[0]], text) if "\\" in text else text


class _TextSample:
    """A parser of one sample line of the text format."""

    blanks = _BLANKS

    def __init__(self, line: bytes, at: int) -> None:
        self.line = line
        self.at = at
        self.name = b""
        self.warning: Message | None = None

    def parse(self) -> Sample:
        if not self.line.startswith(b"{", self.at):
            self.name = self._take(_NAME) or self._fail(msg("A line starts with a metric name, with {{ or with #"))
        labels = self._between_braces()
        if not self.name:
            self._fail(msg("There is no metric name"))
        value = self._value()
        self._after_value()
        if b"\0" in labels:
            self.warning = msg("There is a NUL byte in the value of a label, which other parsers reject")
        return Sample(self.name, labels, value, self.warning)

    def _fail(self, reason: Message) -> bytes:
        _refuse_nul(self.line)  # the likelier cause, and invisible in an editor
        raise LineError(reason)

    def _take(self, pattern: re.Pattern[bytes]) -> bytes:
        match = pattern.match(self.line, self.at)
        self.at = match.end() if match else self.at
        return match[0] if match else b""

    def _next(self) -> bytes:
        self._take(self.blanks)
        return self.line[self.at : self.at + 1]

    def _between_braces(self, exemplar: bool = False) -> bytes:
        if self._next() != b"{":
            return b""
        self.at += 1
        pairs: list[bytes] = []
        while self._next() != b"}":
            pair = self._pair(exemplar)
            pairs += [pair] if pair else []
            if self._next() == b",":
                self.at += 1
            elif self._next() != b"}":
                self._fail(
                    msg("A comma or }} is expected before {found}", found=shown(self.line[self.at :]) or "the end")
                )
        self.at += 1
        return b",".join(pairs)

    def _pair(self, exemplar: bool) -> bytes:
        """Return one label in ordinary form, or nothing for a metric name in quotes."""
        quoted = self._next() == b'"'
        label = self._take(_QUOTED if quoted else _LABEL)
        _refuse_nul(label)
        if not label:
            self._fail(msg("{found} is not a label name", found=shown(self.line[self.at :]) or "The end of the line"))
        if quoted and self._next() != b"=":
            if self.name or exemplar:
                self._fail(msg("A second metric name, {name}", name=shown(label)))
            self.name = unquote(_utf8(label)).encode()
            return b""
        if self._next() != b"=":
            self._fail(msg("= is expected after the label name {label}", label=shown(label)))
        if label == b'""':
            self._fail(msg("A label name is empty"))
        self.at += 1
        if quoted:
            plain = unquote(_utf8(label)).encode()
            label = plain if _LABEL.fullmatch(plain) else label
        return label + b"=" + self._label_value(label)

    def _label_value(self, label: bytes) -> bytes:
        if self._next() != b'"':
            self._fail(msg('" is expected before the value of the label {label}', label=shown(label)))
        value = self._take(_QUOTED)
        if not value:
            self._fail(msg("The value of the label {label} has no end", label=shown(label)))
        return self._escapes(label, _utf8(value))

    def _escapes(self, label: bytes, value: bytes) -> bytes:
        if b"\\" in value and _BAD_ESCAPE.search(value.replace(b"\\\\", b"")):
            self._fail(msg("The value of the label {label} has an invalid escape sequence", label=shown(label)))
        return value

    def _value(self) -> bytes:
        self._take(self.blanks)
        value = self._take(_TOKEN)
        if not _VALUE.fullmatch(value):
            self._fail(msg("The value is {value}, which is not a number", value=shown(value) or "missing"))
        return value

    def _after_value(self) -> None:
        if self.at == len(self.line):
            return
        stamp = self.line[self.at :].lstrip(b" \t")
        if not re.fullmatch(rb"[0-9]+", stamp):
            self._fail(msg("After the value comes a timestamp in milliseconds or nothing, not {found}",
                           found=shown(stamp) or "a blank"))  # fmt: skip
        if len(stamp) > 19 or int(stamp) >= 1 << 63:
            self._fail(msg("The timestamp {stamp} is out of range", stamp=shown(stamp)))


class _OpenMetricsSample(_TextSample):
    """A parser of one sample line of OpenMetrics: strict blanks, timestamps in seconds, exemplars."""

    blanks = _NO_BLANKS

    @override
    def _escapes(self, label: bytes, value: bytes) -> bytes:
        """Return the value with unknown escapes doubled: OpenMetrics takes their backslash literally."""
        return re.sub(rb'\\(?:(["\\n])|)', lambda match: b"\\" + (match[1] or b"\\"), value)

    def _space(self) -> None:
        if self.line[self.at : self.at + 1] != b" ":
            self._fail(msg("One space is expected before {found}", found=shown(self.line[self.at :]) or "the end"))
        self.at += 1

    @override
    def _value(self) -> bytes:
        self._space()
        value = self._take(_TOKEN)
        if not _VALUE.fullmatch(value):
            self._fail(msg("The value is {value}, which is not a number", value=shown(value) or "missing"))
        return value

    @override
    def _after_value(self) -> None:
        self._timestamp()
        if self.line.startswith(b" # {", self.at):
            if not self.name.endswith((b"_total", b"_bucket")):
                self.warning = msg("{name} has an exemplar; OpenMetrics has them for counters and buckets only",
                                   name=shown(self.name))  # fmt: skip
            self.at += 3
            labels = self._between_braces(exemplar=True)
            texts = [unquote(value) for _, value in PAIRS.findall(labels)]
            length = sum(map(len, texts)) + sum(len(name) for name, _ in PAIRS.findall(labels))
            if length > _EXEMPLAR_LIMIT:
                self._fail(msg("The exemplar's labels have {length} characters, more than 128", length=length))
            self._value()
            self._timestamp()
        if self.at != len(self.line):
            self._fail(msg("{found} is not a timestamp in seconds or an exemplar", found=shown(self.line[self.at :])))

    def _timestamp(self) -> None:
        rest = self.line[self.at :]
        if not rest.startswith(b" ") or rest.startswith(b" # {"):
            return
        self.at += 1
        stamp = self._take(_TOKEN)
        if not re.fullmatch(_NUMBER, stamp) or abs(float(stamp)) == float("inf"):
            self._fail(msg("{found} is not a timestamp in seconds", found=shown(stamp) or "A blank"))
