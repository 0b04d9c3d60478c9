"""Call the HTTP API of a running Prometheus (https://prometheus.io/docs/prometheus/latest/querying/api/).

A response that does not follow the API (HTML, truncated or oversized JSON) raises `PrometheusError`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal, TypeVar
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Raw, Struct

from gate.core.errors import GateError
from gate.core.messages import Message, msg
from gate.http import client
from gate.http.content import decode_text
from gate.http.errors import HttpError
from gate.http.models import Request, Response
from gate.prometheus import durations
from gate.prometheus.releases import AGENT, Release, version
from gate.redaction.secrets import OVERLAP, redacted_head

Data = TypeVar("Data")
Converted = TypeVar("Converted")

# Bytes of a response.
ANSWER_LIMIT = 32 * 2**20
# Memory that decoding takes, as a multiple of the response's size. Labels of two characters take the most.
_WEIGHT = 20
_REMARKS_LIMIT = 64 * 1024
_MOST_OPENINGS = 2_000_000
_SHOWN = 2000
# What the API writes. float() reads more, such as "1_000", " 1", "infinity" and digits of other scripts.
_NUMBER = re.compile(r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|Inf)|NaN")
_DEFAULT_INTERVAL = 60.0
# Seconds by which a scrape or an evaluation may miss its time on a busy machine.
_LATE = 10.0


class PrometheusError(GateError):
    """Prometheus did not return a usable response. `response` is the beginning of what it returned.

    `bad_query`: Prometheus rejected the query itself, so that a retry cannot help.
    """

    def __init__(self, message: Message, response: str = "", *, bad_query: bool = False) -> None:
        super().__init__(message)
        self.response = response
        self.bad_query = bad_query


class _Envelope(Struct, rename="camel"):
    """The envelope of every response. `data` stays raw: each endpoint decodes its own type."""

    status: Literal["success", "error"]
    data: Raw = Raw(b"null")
    error: str = ""
    error_type: str = ""
    warnings: Raw = Raw(b"null")
    infos: Raw = Raw(b"null")


class _Result(Struct, rename="camel"):
    """The data of a query."""

    result_type: str
    result: Raw


class _Histogram(Struct):
    count: str
    sum: str


class _Entry(Struct):
    """A series of a query result: an instant query sets `value` or `histogram`, a range query sets `values`."""

    metric: dict[str, str]
    value: tuple[float, str] | None = None
    values: list[tuple[float, str]] | None = None
    histogram: tuple[float, _Histogram] | None = None


class Series(Struct, frozen=True):
    """A series of an instant query. A scalar has no labels. `value` is None for a native histogram."""

    labels: Mapping[str, str]
    value: float | None
    # Count and sum of a native histogram, for evidence.
    histogram: str = ""

    def __str__(self) -> str:
        inner = ", ".join(f'{name}="{value}"' for name, value in sorted(self.labels.items()) if name != "__name__")
        shown = self.histogram if self.value is None else repr(self.value)
        return f"{self.labels.get('__name__', '')}{{{inner}}} {shown}"


class RangeSeries(Struct, frozen=True):
    """A series of a range query: points of (Unix time, value)."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


class ActiveTarget(Struct, frozen=True):
    """A target that Prometheus scrapes. `health` is `up`, `down` or `unknown` (not scraped yet).

    `pool` is the `job_name` of its scrape configuration.
    """

    pool: str
    url: str
    health: str
    error: str
    labels: Mapping[str, str]
    # Seconds since the last scrape, if that is too long ago for its interval.
    overdue: float | None = None


class ActiveAlert(Struct, frozen=True):
    """A pending or firing alert."""

    name: str
    state: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    active_at: str = ""


class LoadedRule(Struct, frozen=True):
    """A rule that Prometheus has loaded. `health` is `ok`, `err` or `unknown` (not evaluated yet).

    Durations are in seconds. `for_seconds` is the rule's `for`.
    """

    name: str
    alerting: bool
    expr: str
    for_seconds: float
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    health: str
    error: str
    state: str
    alerts: tuple[ActiveAlert, ...] = ()
    keep_firing_for: float = 0.0
    # Seconds since the last evaluation, if that is too long ago for the group's interval.
    overdue: float | None = None


class LoadedGroup(Struct, frozen=True):
    """A rule group that Prometheus has loaded. `interval` is in seconds."""

    name: str
    file: str
    interval: float
    rules: tuple[LoadedRule, ...]
    limit: float = 0.0


class Api:
    """A client of one Prometheus. `deadline` is a `time.monotonic()` timestamp.

    Every method raises PrometheusError if the request fails.
    """

    def __init__(self, base_url: str, deadline: float) -> None:
        self.base_url = base_url.rstrip("/")
        self.deadline = deadline
        # Hints of the responses so far, such as "metric might not be a counter". They make no result incomplete.
        self.infos: list[str] = []

    def query(self, query: str) -> list[Series]:
        """Run an instant query and return its vector; a scalar becomes one series without labels."""
        data = _typed(self._get_raw("query", query=query)[0], _Result)
        if data.result_type == "scalar":
            return [Series({}, _sample(_typed(data.result, tuple[float, str])))]
        if data.result_type != "vector":
            raise PrometheusError(msg("The result of the query is a {kind}, not a vector or scalar",
                                      kind=redacted_head(data.result_type, 40)), bad_query=True)  # fmt: skip
        return _converted(_typed(data.result, list[_Entry]), _series)

    def query_range(self, query: str, start: float, end: float, step: float) -> list[RangeSeries]:
        """Run a range query between two Unix times, with a point every `step` seconds."""
        bounds = {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
        data = _typed(self._get_raw("query_range", query=query, **bounds)[0], _Result)
        return _converted(_typed(data.result, list[_Entry]), _range_series)

    def targets(self) -> list[ActiveTarget]:
        """Return the active targets."""
        data, now = self._get_at("targets", state="active")
        return [_target(_mapping(entry), now) for entry in _list(_mapping(data).get("activeTargets"))]

    def rules(self) -> list[LoadedGroup]:
        """Return the rule groups that are loaded."""
        data, now = self._get_at("rules")
        return [_group(_mapping(entry), now) for entry in _list(_mapping(data).get("groups"))]

    def alerts(self) -> list[ActiveAlert]:
        """Return the alerts that are pending or firing."""
        data = _mapping(self._get("alerts"))
        return [_alert(_mapping(entry)) for entry in _list(data.get("alerts"))]

    def alertmanagers(self) -> list[str]:
        """Return the URLs of the Alertmanagers that alerts are sent to."""
        data = _mapping(self._get("alertmanagers"))
        return [_text(_mapping(entry).get("url")) for entry in _list(data.get("activeAlertmanagers"))]

    def config(self) -> str:
        """Return the loaded configuration as YAML."""
        return _text(_mapping(self._get("status/config")).get("yaml"))

    def metric_types(self) -> dict[str, str]:
        """Return the type of each metric family that the active targets declare, by its name, even without samples."""
        entries = _mapping(self._get("metadata"))
        return {name: _text(_mapping(found[0]).get("type")) for name, found in entries.items() if _list(found)}

    def label_values(self, label: str, start: float) -> list[str]:
        """Return the values of a label since a Unix time, sorted."""
        path = f"label/{quote(label, safe='')}/values"
        return [_text(value) for value in _list(self._get(path, start=f"{start:.3f}"))]

    def label_names(self, start: float) -> list[str]:
        """Return the names of all labels since a Unix time, sorted."""
        return [_text(value) for value in _list(self._get("labels", start=f"{start:.3f}"))]

    def format_query(self, query: str) -> str | None:
        """Return the expression as Prometheus formats it; None if this server cannot format."""
        try:
            return _text(self._get("format_query", query=query))
        except PrometheusError:
            return None

    def release(self) -> Release | None:
        """Return the version and feature flags of this server, None if it does not report them as Prometheus does.

        Raise PrometheusError if it does not respond.
        """
        try:
            number = version(_text(_mapping(self._get("status/buildinfo")).get("version")))
            options = _mapping(self._get("status/flags"))
            flags = frozenset(_text(options.get("enable-feature", "")).split(","))
        except ValueError:
            return None
        except PrometheusError as error:
            if not error.response:
                raise
            return None
        return Release(number, flags | {AGENT} if options.get("agent") == "true" else flags)

    def _get(self, path: str, **parameters: str) -> Any:
        return self._get_at(path, **parameters)[0]

    def _get_at(self, path: str, **parameters: str) -> tuple[Any, float]:
        """Return the data of a response and the server's time in Unix seconds."""
        raw, now = self._get_raw(path, **parameters)
        if _openings(raw) > _MOST_OPENINGS:
            raise PrometheusError(
                msg("The response of Prometheus has more than {count} lists and objects; narrow the query",
                    count=_MOST_OPENINGS))  # fmt: skip
        return _typed(raw, object), now

    def _get_raw(self, path: str, **parameters: str) -> tuple[Raw, float]:
        """Return the data of a response as JSON, and the server's time in Unix seconds."""
        url = f"{self.base_url}/api/v1/{path}" + (f"?{urlencode(parameters)}" if parameters else "")
        request = Request(url=url, headers={"Accept": "application/json", "Accept-Encoding": "gzip"},
                               limit=ANSWER_LIMIT, weight=_WEIGHT)  # fmt: skip
        try:
            response = client.send(request, self.deadline)
        except HttpError as failure:
            raise PrometheusError(msg("Prometheus did not respond: {why}", why=failure.message)) from None
        return self._data(response), _server_time(response)

    def _data(self, response: Response) -> Raw:
        head = decode_text(response.body[: 4 * _SHOWN + OVERLAP], response.header("content-type") or "")
        shown = f"HTTP {response.status}\n\n{redacted_head(head, _SHOWN)}"
        if response.truncated:
            raise PrometheusError(msg("The response of Prometheus is larger than 32 MiB; narrow the query"), shown)
        try:
            body = msgspec.json.decode(response.body, type=_Envelope)
        except msgspec.ValidationError:
            raise self._unexpected_json(response, shown) from None
        except (ValueError, RecursionError, msgspec.DecodeError) as error:
            reason = msg("The server is not a Prometheus API: HTTP {status}, not valid JSON: {why}; check the URL",
                       status=response.status, why=redacted_head(str(error), 100))  # fmt: skip
            raise PrometheusError(reason, shown) from None
        if body.status == "success" and response.status != 200:
            raise self._unexpected_json(response, shown)
        if body.status == "error":
            raise PrometheusError(
                msg("Prometheus rejected the request: {error}", error=redacted_head(str(body.error), 500)),
                shown,
                bad_query=body.error_type == "bad_data",
            )
        if warnings := _remarks(body.warnings):
            # A warning says that something is missing: a store that did not answer, samples that were dropped.
            shown = redacted_head("; ".join(warnings), 500)
            raise PrometheusError(msg("The response of Prometheus may be incomplete; it warns: {warning}",
                                      warning=shown), shown)  # fmt: skip
        self.infos += [info for info in _remarks(body.infos) if info not in self.infos]
        return body.data

    def _unexpected_json(self, response: Response, shown: str) -> PrometheusError:
        return PrometheusError(
            msg("The server is not a Prometheus API: HTTP {status} with unexpected JSON; check the URL",
                status=response.status), shown)  # fmt: skip


def _remarks(raw: Raw) -> list[str]:
    """Return the warnings or infos of a response, whatever their JSON type."""
    text = bytes(raw)
    if len(text) > _REMARKS_LIMIT:
        return [text[:_REMARKS_LIMIT].decode(errors="replace")]
    value = _typed(raw, object)
    return [str(remark) for remark in (value if isinstance(value, list) else [value]) if remark]


def _typed(raw: Raw, target: type[Data]) -> Data:
    """Decode a part of a response as a type."""
    try:
        return msgspec.json.decode(raw, type=target)
    except (ValueError, RecursionError, msgspec.DecodeError) as error:
        raise PrometheusError(msg("The server is not a Prometheus API: {why}; check the URL",
                                  why=redacted_head(str(error), 200))) from None  # fmt: skip


def _openings(raw: Raw) -> int:
    """Count `{` and `[` in raw JSON, an upper bound of its lists and objects."""
    # Lists and objects are what makes small JSON large in memory.
    text = bytes(raw)
    return text.count(b"{") + text.count(b"[")


def _converted(entries: list[Any], convert: Callable[[Any], Converted]) -> list[Converted]:
    """Convert the entries of a list in place and return the list."""
    # In place, so that memory never holds both lists in full.
    for number, entry in enumerate(entries):
        entries[number] = convert(entry)
    return entries


def _server_time(response: Response) -> float:
    """Return the server's clock in Unix seconds, or this machine's if the response has no date."""
    # Its timestamps are compared with this clock: another machine's may differ.
    try:
        return parsedate_to_datetime(response.header("date") or "").timestamp()
    except (ValueError, OverflowError):
        return time.time()


def _missing(what: str) -> PrometheusError:
    return PrometheusError(msg("The server is not a Prometheus API: {what} is missing; check the URL", what=what))


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _missing("an object")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _missing("a list")
    return value


def _pair(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) != 2 or isinstance(value[0], bool) or not _is_number(value[0]):
        raise _missing("a sample")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _missing("a text")
    return value


def _texts(value: Any) -> Mapping[str, str]:
    return {name: _text(text) for name, text in _mapping(value if value is not None else {}).items()}


def _series(entry: _Entry) -> Series:
    if entry.histogram is not None:
        count, total = entry.histogram[1].count, entry.histogram[1].sum
        return Series(entry.metric, None, f"{{count:{redacted_head(count, 40)}, sum:{redacted_head(total, 40)}}}")
    if entry.value is None:
        raise _missing("a sample")
    return Series(entry.metric, _sample(entry.value))


def _range_series(entry: _Entry) -> RangeSeries:
    return RangeSeries(entry.metric, tuple(_converted(entry.values or [], lambda point: (point[0], _sample(point)))))


def _sample(point: tuple[float, str]) -> float:
    if not _NUMBER.fullmatch(point[1]):
        raise _missing("a number")
    return float(point[1])


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not _is_number(value):
        raise _missing("a duration")
    return _number(value)


def _number(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise _missing("a number") from None


def _overdue(last: Any, interval: float, now: float) -> float | None:
    """Return the age in seconds of a scrape or evaluation that is late for its interval, else None.

    Return None, too, if the server does not report the time, as Prometheus did not before 2.17.
    """
    if last is None:
        return None
    try:
        # Prometheus writes nanoseconds, of which Python keeps the microseconds.
        moment = datetime.fromisoformat(_text(last))
        if moment.tzinfo is None:
            raise ValueError
        age = now - moment.timestamp()
    except (ValueError, OverflowError):
        raise _missing("a time") from None
    return age if age > 2 * interval + _LATE else None


def _target(entry: Mapping[str, Any], now: float) -> ActiveTarget:
    labels = _texts(entry.get("labels"))
    interval = durations.seconds(str(entry.get("scrapeInterval", ""))) or _DEFAULT_INTERVAL
    health = str(entry.get("health", ""))
    return ActiveTarget(
        pool=str(entry.get("scrapePool", "")),
        url=str(entry.get("scrapeUrl", "")),
        health=health,
        error=str(entry.get("lastError", "")),
        labels=labels,
        overdue=None if health == "unknown" else _overdue(entry.get("lastScrape"), interval, now),
    )


def _alert(entry: Mapping[str, Any]) -> ActiveAlert:
    labels = _texts(entry.get("labels"))
    return ActiveAlert(
        name=labels.get("alertname", ""),
        state=str(entry.get("state", "")),
        labels=labels,
        annotations=_texts(entry.get("annotations")),
        active_at=str(entry.get("activeAt", "")),
    )


def _group(entry: Mapping[str, Any], now: float) -> LoadedGroup:
    interval = _seconds(entry.get("interval", 0))
    # A group that takes longer than its interval is evaluated as often as it can be.
    period = (interval or _DEFAULT_INTERVAL) + _seconds(entry.get("evaluationTime", 0))
    return LoadedGroup(
        name=_text(entry.get("name")),
        file=str(entry.get("file", "")),
        interval=interval,
        rules=tuple(_rule(_mapping(rule), period, now) for rule in _list(entry.get("rules"))),
        limit=_seconds(entry.get("limit", 0)),
    )


def _rule(entry: Mapping[str, Any], period: float, now: float) -> LoadedRule:
    health = str(entry.get("health", ""))
    return LoadedRule(
        name=_text(entry.get("name")),
        alerting=entry.get("type") == "alerting",
        expr=_text(entry.get("query")),
        for_seconds=_seconds(entry.get("duration", 0)),
        labels=_texts(entry.get("labels")),
        annotations=_texts(entry.get("annotations")),
        health=health,
        error=str(entry.get("lastError", "")),
        state=str(entry.get("state", "")),
        alerts=tuple(_alert(_mapping(alert)) for alert in _list(entry.get("alerts") or [])),
        keep_firing_for=_seconds(entry.get("keepFiringFor", 0)),
        overdue=None if health == "unknown" else _overdue(entry.get("lastEvaluation"), period, now),
    )
