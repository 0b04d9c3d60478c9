"""Define the parts of a drill as a checklist writes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from msgspec import Meta, field

from gate.checks.context import CheckContext
from gate.checks.entry import CheckEntry
from gate.checks.http import HeaderValue, Http, TlsExpectation
from gate.core.messages import Message, msg
from gate.core.override import override
from gate.core.strictness import stricter
from gate.decode.quantities import DurationSeconds, PositiveDurationSeconds
from gate.decode.structs import KeyPath, ShortForm, ValidationIssue, custom_type, fields_by_key
from gate.matchers import CountMatcher, DurationMatcher, Matcher, ShareMatcher, StatusMatcher
from gate.model import FrozenStruct, NonEmptyStr, TargetName
from gate.staging.faults import FAULTS
from gate.staging.spec import CommandLine

TrafficPhase = Literal["before", "during", "after"]
# Requests per second.
_MAX_RATE = 200
_MAX_LEDGER_RATE = 50
# Stands for the id of a write in the requests of a ledger.
ID_PLACEHOLDER = "{id}"


class Criterion(CheckEntry):
    """A check inside a drill, with a title for the report."""

    title: Annotated[
        str, Meta(description="The title in reports; by default what the check requests.", extra=stricter("never"))
    ] = ""

    def display_title(self, context: CheckContext) -> Message:
        """Return the title, or what the check requests."""
        return msg("{title}", title=self.title or self.check.describe(context))


class BuiltinCriterion(Criterion, kw_only=True):
    """A criterion that the gate adds to a drill. Its title is translated."""

    message_title: Message

    @override
    def display_title(self, context: CheckContext) -> Message:
        return self.message_title


class FaultSpec(FrozenStruct):
    """Exactly one fault: `stop: database`, or `slow: {target: database, latency: 2s}`."""

    fault: Any = None

    @classmethod
    @override
    def decode(cls, value: Any) -> Self:
        """Decode a mapping that holds the fault under its kind. Raises ValueError or msgspec.ValidationError."""
        kind, settings = _single_fault(value)
        return cls(fault=FAULTS.get_class(kind).decode(settings))

    @classmethod
    @override
    def iter_issues(cls, value: Any, path: KeyPath = ()) -> Iterator[ValidationIssue]:
        try:
            kind, settings = _single_fault(value)
        except ValueError as error:
            yield ValidationIssue(path, str(error), value, "whole")
        else:
            yield from FAULTS.get_class(kind).iter_issues(settings, (*path, kind))


def _single_fault(value: Any) -> tuple[str, Any]:
    """Return the kind and the settings of the only fault of a mapping. Raises ValueError."""
    if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in FAULTS.kinds():
        raise ValueError(f"expected exactly one fault of {', '.join(FAULTS.kinds())}")
    ((kind, settings),) = value.items()
    return kind, settings


def _parse_rate(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _MAX_RATE:
        raise ValueError(f"expected a number of more than 0 and at most {_MAX_RATE}")
    return float(value)


def _parse_ledger_rate(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _MAX_LEDGER_RATE:
        raise ValueError(f"expected a number of more than 0 and at most {_MAX_LEDGER_RATE}")
    return float(value)


if TYPE_CHECKING:
    Rate = float
    LedgerRate = float
else:
    Rate = custom_type(_parse_rate, {"type": "number", "exclusiveMinimum": 0, "maximum": _MAX_RATE})
    LedgerRate = custom_type(_parse_ledger_rate, {"type": "number", "exclusiveMinimum": 0, "maximum": _MAX_LEDGER_RATE})


class LatencyLimits(FrozenStruct):
    """Limits of latency percentiles. A percentile is that of the nearest rank: p99 of 20 requests is the slowest."""

    p50: Annotated[DurationMatcher | None, Meta(description="The median.", extra=stricter("set"))] = None
    p75: Annotated[DurationMatcher | None, Meta(description="The 75th percentile.", extra=stricter("set"))] = None
    p90: Annotated[DurationMatcher | None, Meta(description="The 90th percentile.", extra=stricter("set"))] = None
    p95: Annotated[DurationMatcher | None, Meta(description="The 95th percentile.", extra=stricter("set"))] = None
    p99: Annotated[DurationMatcher | None, Meta(description="The 99th percentile.", extra=stricter("set"))] = None
    p99_9: Annotated[DurationMatcher | None, Meta(description="The 99.9th percentile.", extra=stricter("set"))] = field(
        default=None, name="p99.9"
    )
    max: Annotated[DurationMatcher | None, Meta(description="The slowest request.", extra=stricter("set"))] = None

    def __post_init__(self) -> None:
        if not self.by_percentile():
            raise ValueError("expected at least one percentile, such as 'p95: 300ms'")

    def by_percentile(self) -> dict[str, DurationMatcher]:
        """Return the limits that are set, by the name of the percentile."""
        limits = {info.encode_name: getattr(self, info.name) for info in fields_by_key(type(self)).values()}
        return {name: limit for name, limit in limits.items() if limit is not None}


class PhaseLimits(FrozenStruct):
    """Limits of the traffic in one phase of a drill, instead of those for all phases."""

    errors: Annotated[
        ShareMatcher | None, Meta(description="The share of errors.", examples=["1%"], extra=stricter("set"))
    ] = None
    latency: Annotated[LatencyLimits | None, Meta(description="Latency by percentile.", extra=stricter("set"))] = None

    def __post_init__(self) -> None:
        if self.errors is None and self.latency is None:
            raise ValueError("expected at least one of 'errors' and 'latency'")


class Traffic(FrozenStruct):
    """Requests that are sent before, during and after the fault, as users would: what they get can be judged."""

    target: Annotated[TargetName, Meta(description="The target to send them to.", extra=stricter("never"))]
    path: Annotated[str, Meta(description="The path, with its query.", extra=stricter("never"))] = "/"
    method: Annotated[
        Annotated[str, Meta(pattern="^[A-Z]{1,20}$")] | None,
        Meta(
            description="The method: `GET`, unless there is a `body`, which needs one such as `POST`.",
            extra=stricter("never"),
        ),
    ] = None
    headers: Annotated[dict[str, HeaderValue], Meta(description="Headers to send.", extra=stricter("never"))] = {}
    body: Annotated[
        Any, Meta(description="The body to send: text as it is, a mapping or a list as JSON.", extra=stricter("never"))
    ] = None
    tls: Annotated[
        TlsExpectation, Meta(description="What to ask of the certificate: `verify`, `ca`.", extra=stricter("never"))
    ] = TlsExpectation()
    rate: Annotated[Rate, Meta(description="Requests per second.", extra=stricter("never"))] = 5.0
    timeout: Annotated[
        PositiveDurationSeconds,
        Meta(description="How long to wait for a response.", extra=stricter("lower")),
    ] = 5.0
    status: Annotated[
        StatusMatcher | None,
        Meta(description="The expected status; by default, a 5xx is an error.", extra=stricter("set")),
    ] = None
    errors: Annotated[
        ShareMatcher | None,
        Meta(
            description="The share of requests without a response, or with an unexpected status, in each phase.",
            examples=["1%"],
            extra=stricter("set"),
        ),
    ] = None
    latency: Annotated[
        LatencyLimits | None, Meta(description="Latency by percentile, in each phase.", extra=stricter("set"))
    ] = None
    before: Annotated[
        PhaseLimits | None, Meta(description="Limits before the fault, instead.", extra=stricter("never"))
    ] = None
    during: Annotated[
        PhaseLimits | None,
        Meta(description="Limits from the fault until the recovery, instead.", extra=stricter("never")),
    ] = None
    after: Annotated[
        PhaseLimits | None, Meta(description="Limits after the recovery, instead.", extra=stricter("never"))
    ] = None

    def __post_init__(self) -> None:
        _ = self.http  # raises ValueError if these are not the parts of a request

    @property
    def http(self) -> Http:
        """Return the request as a check."""
        return Http(
            target=self.target,
            path=self.path,
            method=self.method,
            headers=self.headers,
            body=self.body,
            tls=self.tls,
        )

    def effect(self) -> Message:
        """Return what it sends, for the plan."""
        return msg("send {method} {path} to {target}, {rate} per second", method=self.http.method_name,
                   path=self.path, target=self.target, rate=self.rate)  # fmt: skip

    def limits(self, phase: TrafficPhase) -> tuple[ShareMatcher | None, LatencyLimits | None]:
        """Return the limits of errors and of latency in a phase."""
        own: PhaseLimits | None = getattr(self, phase)
        errors = own.errors if own is not None and own.errors is not None else self.errors
        latency = own.latency if own is not None and own.latency is not None else self.latency
        return errors, latency

    def has_limits(self, phase: TrafficPhase) -> bool:
        """Return whether the traffic of a phase is judged."""
        return self.limits(phase) != (None, None)


class Ledger(FrozenStruct):
    """Writes that go on through the fault. After the recovery, each one that was acknowledged must be readable."""

    elsewhere: ClassVar[Mapping[str, str]] = {"http": "'write: {http: ...}' and 'read: {http: ...}'"}

    write: Annotated[
        ShortForm[Criterion],
        Meta(
            description="The write, an `http` check: it passes if the write is acknowledged. `{id}` is a new id.",
            extra=stricter("never"),
        ),
    ]
    read: Annotated[
        ShortForm[Criterion],
        Meta(
            description="The read, an `http` check: it passes if the write with `{id}` is there.",
            extra=stricter("never"),
        ),
    ]
    id: Annotated[
        NonEmptyStr | None,
        Meta(
            description="Where the response of a write has the id, such as `id` or `track.id`; `{id}` in `read`.",
            extra=stricter("never"),
        ),
    ] = None
    rate: Annotated[LedgerRate, Meta(description="Writes per second.", extra=stricter("never"))] = 5.0
    lost: Annotated[
        CountMatcher, Meta(description="How many acknowledged writes may be lost.", extra=stricter("narrower"))
    ] = field(default_factory=lambda: CountMatcher(0))

    def __post_init__(self) -> None:
        for name, entry in (("write", self.write), ("read", self.read)):
            if not isinstance(entry.check, Http):
                raise ValueError(f"expected an 'http' check under '{name}'")
        if self.write.within is not None:
            raise ValueError("expected no 'within' under 'write': a write that was not acknowledged is not repeated")
        if not mentions_id(self.read.check):
            raise ValueError("expected '{id}' in 'read', such as 'path: /orders/{id}'")
        if self.id is None and not mentions_id(self.write.check):
            raise ValueError(
                "expected '{id}' in 'write', or an 'id' that says where its response has it, such as 'id: order.id'"
            )

    def effect(self) -> Message:
        """Return what it writes, for the plan."""
        http: Http = self.write.check
        return msg("write with {method} {path}, {rate} per second; what is written stays in staging",
                   method=http.method_name, path=http.path, rate=self.rate)  # fmt: skip


def mentions_id(http: Http) -> bool:
    """Return whether a request or its expectation contains `{id}`."""
    return with_id(http, "a") != with_id(http, "b")


def with_id(http: Http, value: Any) -> Http:
    """Return the check with `{id}` replaced by an id in what it sends and expects."""
    return http.replace(
        url=_substitute(http.url, value),
        path=_substitute(http.path, value),
        headers=_substitute(http.headers, value),
        body=_substitute(http.body, value),
        header=_substitute(http.header, value),
        text=_substitute(http.text, value),
        json_=_substitute(http.json_, value),
    )


def _substitute(part: Any, value: Any) -> Any:
    """Return a part of a check with its id. A text that is the placeholder alone becomes the id, with its type."""
    if isinstance(part, Matcher):
        return type(part)(_substitute(part.spec, value))
    if isinstance(part, dict):
        return {key: _substitute(entry, value) for key, entry in part.items()}
    if isinstance(part, list):
        return [_substitute(entry, value) for entry in part]
    if isinstance(part, str) and ID_PLACEHOLDER in part:
        return value if part == ID_PLACEHOLDER else part.replace(ID_PLACEHOLDER, str(value))
    return part


class OtherAlerts(FrozenStruct):
    """No alert may begin to fire during the drill, except the awaited and the allowed ones."""

    target: Annotated[TargetName, Meta(description="The Prometheus to query.", extra=stricter("never"))]
    allow: Annotated[list[str], Meta(description="Alerts that may fire.", extra=stricter("never"))] = []


class MetricCurves(FrozenStruct):
    """Metrics to draw below the drill's timeline."""

    target: Annotated[TargetName, Meta(description="The Prometheus to query.", extra=stricter("never"))]
    queries: Annotated[
        dict[str, str],
        Meta(min_length=1, max_length=6, description="PromQL queries, by the curve's name.", extra=stricter("never")),
    ]


class Script(FrozenStruct):
    """A drill script of the user. The gate bounds it and restores the targets that it touches."""

    command: Annotated[CommandLine, Meta(description="The command; it must exit with 0.", extra=stricter("never"))]
    timeout: Annotated[DurationSeconds, Meta(description="How long it may take.", extra=stricter("lower"))] = 300.0
    touches: Annotated[
        list[TargetName],
        Meta(description="The targets that it breaks; the gate restores them afterwards.", extra=stricter("never")),
    ] = []
