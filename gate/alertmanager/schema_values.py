"""Define the kinds of values in an alertmanager.yml that a prometheus.yml does not have."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from gate.alertmanager import matchers, time_intervals
from gate.alertmanager.matchers import InvalidMatcherError, Matcher
from gate.core.messages import msg
from gate.core.override import override
from gate.prometheus import go_templates
from gate.prometheus.config_schema import HTTP, http_client
from gate.prometheus.config_values import TEXT, TEXTS, parsed_regex, parsed_url
from gate.prometheus.durations import seconds
from gate.prometheus.goyaml import (
    FAILED,
    Decoder,
    Field,
    InvalidValueError,
    Kind,
    List,
    Number,
    Object,
    Table,
    Text,
    Values,
)
from gate.prometheus.releases import Release
from gate.prometheus.yaml_tree import Mapping, Node, Scalar, Sequence

# What Alertmanager prints instead of a secret URL, and accepts in place of one.
SECRET = "<secret>"  # noqa: S105 - not a secret
_GO_DURATION = re.compile(r"[+-]?(?:0|(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+)", re.ASCII)
_TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")


def pointer(parse: Callable[[str, Release], Any]) -> Kind:
    """Return the kind of a text that is None if it is not given."""
    return Text(parse, None)


def _http_url(text: str, _: Release) -> str:
    url = parsed_url(text)
    if url.scheme not in ("http", "https"):
        raise InvalidValueError(msg("{text} is not an address that begins with http:// or https://", text=text or '""'))
    if not url.host:
        raise InvalidValueError(msg("{text} has no host", text=text))
    return text


def _secret_url(text: str, release: Release) -> str:
    return text if text == SECRET else _http_url(text, release)


def is_template(text: str) -> bool:
    """Return whether a text is a Go template. Raise InvalidValueError if it is not a valid one."""
    if "{{" not in text:
        return False
    if found := go_templates.find_error(text, go_templates.BUILTINS, ("$",)):
        raise InvalidValueError(msg("{text} is not a valid template: {why}", text=text, why=found[0]))
    return True


def _template_url(text: str, release: Release) -> str:
    return text if text in ("", SECRET) or is_template(text) else _http_url(text, release)


def _duration(text: str, _: Release) -> float:
    found = seconds(text)
    if found is None:
        raise InvalidValueError(msg("{text} is not a duration, such as 30s or 1h30m", text=text or '""'))
    return found


def _go_duration(text: str, _: Release) -> str:
    if not _GO_DURATION.fullmatch(text):
        raise InvalidValueError(msg("{text} is not a duration, such as 30s or 1h30m", text=text or '""'))
    return text


class TimeoutValue(Kind):
    """Go's `time.Duration`: a duration such as `1.5s`, or a number of nanoseconds."""

    zero = 0

    @override
    def read(self, node: Node, decoder: Decoder, *, custom: bool) -> Any:
        if isinstance(node, Scalar):
            try:
                value = decoder.resolved(node)
                if isinstance(value, str):
                    return _go_duration(value, decoder.release)
            except InvalidValueError as error:
                return decoder.problem(node, error.message)
        return Number("int").read(node, decoder, custom=custom)


class AnyValue(Kind):
    """A value of any type. Its mappings have no duplicate keys."""

    nullable = True

    @override
    def read(self, node: Node, decoder: Decoder, *, custom: bool) -> Any:
        if isinstance(node, Sequence):
            return List(self).read(node, decoder, custom=custom)
        if isinstance(node, Mapping):
            return Table(self, _Key()).read(node, decoder, custom=custom)
        assert isinstance(node, Scalar)
        try:
            return decoder.resolved(node)
        except InvalidValueError as error:
            return decoder.problem(node, error.message)


class _Key(Kind):
    """A key of a mapping of any type: not a list or a mapping."""

    @override
    def read(self, node: Node, decoder: Decoder, *, custom: bool) -> Any:
        if not isinstance(node, Scalar):
            return decoder.problem(node, msg("A list or a mapping cannot be a key"))
        return AnyValue().read(node, decoder, custom=custom)


class HostPort(Text):
    """An address such as `mail.example.org:587`."""

    def __init__(self) -> None:
        super().__init__(_host_port)


def _host_port(text: str, _: Release) -> str:
    if not text:
        return ""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]") and not set(host[1:-1]) & set("[]")
    if not colon or not port or (not bracketed and set(host) & set(":[]")) or set(port) & set("[]"):
        raise InvalidValueError(msg("{text} is not an address, such as mail.example.org:587", text=text))
    return text


class TextOrObject(Kind):
    """A text, or an object with known keys."""

    def __init__(self, otherwise: Object) -> None:
        self.otherwise = otherwise

    @override
    def read(self, node: Node, decoder: Decoder, *, custom: bool) -> Any:
        if isinstance(node, Scalar):
            return TEXT.read(node, decoder, custom=custom)
        return self.otherwise.read(node, decoder, custom=custom)


class MatcherList(Kind):
    """The list `matchers`, each entry of which may hold several matchers."""

    nullable = True

    @override
    def read(self, node: Node, decoder: Decoder, *, custom: bool) -> Any:
        lines = TEXTS.read(node, decoder, custom=custom)
        if lines is FAILED or lines is None:
            return lines
        found: list[Matcher] = []
        for at, line in enumerate(lines):
            try:
                found += matchers.parse_matchers(line)
            except InvalidMatcherError as error:
                return decoder.problem(lines.nodes[at], error.message)
        return found


def plain_names(*keys: str) -> Callable[[Values, Decoder], None]:
    """Return the rule that the keys of some mappings are names of labels in the old syntax."""

    def rule(values: Values, decoder: Decoder) -> None:
        for key in keys:
            for name in values[key] or ():
                if not matchers.is_plain_name(name):
                    decoder.problem(values[key].at(name), msg("{name} is not a name for a label", name=name or '""'))
                elif values[key][name] is None:
                    decoder.problem(
                        values[key].at(name), msg("{key}: the value of {name} is empty", key=key, name=name)
                    )

    return rule


def _location(text: str, _: Release) -> str:
    time_intervals.load_location(text)
    return text


def _ranges(parse: Callable[[str], Any], zero: Any) -> List:
    return List(Text(lambda text, _: parse(text), zero))


def _time_range(values: Values, decoder: Decoder) -> None:
    try:
        start, end = (time_intervals.parse_time(values[key]) for key in ("start_time", "end_time"))
    except InvalidValueError as error:
        decoder.problem(values.node, error.message)
        return
    if start >= end:
        decoder.problem(values.node, msg("A time range must end after it starts"))


HTTP_URL = pointer(_http_url)
SECRET_URL = pointer(_secret_url)
TEMPLATE_URL = Text(_template_url)
# An empty text counts as given.
POINTER_TEXT = pointer(lambda text, _: text)
POINTER_DURATION = pointer(_duration)
REGEX = pointer(parsed_regex)
TIMEOUT = TimeoutValue()
GO_DURATION = Text(_go_duration)
MATCHERS = MatcherList()
ANY_TABLE = Table(AnyValue())
HTTP_CONFIG = Object(msg("http_config"), HTTP, http_client, pointer=True)
INTERVAL = Object(
    msg("a time interval"),
    {
        "times": Field(List(Object(msg("a time range"), {"start_time": Field(TEXT), "end_time": Field(TEXT)},
                                   _time_range))),
        "weekdays": Field(_ranges(time_intervals.parse_weekdays, (0, 0))),
        "days_of_month": Field(_ranges(time_intervals.parse_days_of_month, (0, 0))),
        "months": Field(_ranges(time_intervals.parse_months, (0, 0))),
        "years": Field(_ranges(time_intervals.parse_years, (0, 0))),
        "location": Field(pointer(_location)),
    },
)  # fmt: skip


def canonical_header(name: str) -> str:
    """Return the name of a header as Go's `textproto.CanonicalMIMEHeaderKey` writes it."""
    return "-".join(part.capitalize() for part in name.split("-")) if _TOKEN.fullmatch(name) else name
