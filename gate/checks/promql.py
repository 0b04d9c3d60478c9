"""Check the value of a query on a running Prometheus."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

from gate.checks._metric_values import mismatch_of_number
from gate.checks.base import Check, CheckResult, TargetName, failed, passed
from gate.checks.context import CheckContext
from gate.checks.prometheus_queries import prometheus_client
from gate.core.messages import Message, join_messages, msg
from gate.core.override import override
from gate.core.strictness import stricter
from gate.matchers import CountMatcher, NumberMatcher, mismatch_if_set
from gate.prometheus.client import Series
from gate.redaction.secrets import redacted_head

_SHOWN = 20


class Observation(Struct, frozen=True):
    """The series of a result, and hints of Prometheus on the query."""

    series: tuple[Series, ...]
    infos: tuple[str, ...] = ()


class Promql(Check[Observation]):
    """A query and what comes back."""

    kind: ClassVar[str] = "promql"
    summary: ClassVar[str] = "the value of a query on a running Prometheus"
    expectation_keys: ClassVar[tuple[str, ...]] = ("value", "count", "empty")

    target: Annotated[TargetName, Meta(description="The Prometheus to ask.", extra=stricter("never"))]
    query: Annotated[
        str,
        Meta(
            min_length=1,
            description="PromQL, for an instant vector or a scalar.",
            examples=['up{job="api"}'],
            extra=stricter("never"),
        ),
    ]
    value: Annotated[
        NumberMatcher | None,
        Meta(description="The value of the series that come back.", examples=[{"ge": 1}], extra=stricter("narrower")),
    ] = None
    matching: Annotated[
        Literal["each", "any"],
        Meta(description="Whether each series has that value, or any one.", extra=stricter("never")),
    ] = "each"
    count: Annotated[
        CountMatcher | None, Meta(description="How many series come back.", examples=[1], extra=stricter("narrower"))
    ] = None
    empty: Annotated[
        bool | None, Meta(description="true: nothing may come back; false: something must.", extra=stricter("never"))
    ] = None

    def __post_init__(self) -> None:
        from gate.prometheus.promql.lexer import ExpressionError
        from gate.prometheus.promql.parser import check
        from gate.prometheus.releases import PROMQL_FLAGS, Release

        try:
            # The target may be of any version: only what none parses is a mistake of the checklist.
            check(self.query, Release(flags=frozenset(PROMQL_FLAGS)))
        except ExpressionError as error:
            raise ValueError(f"'query' is not PromQL: {error}") from error
        if self.empty and (self.value is not None or self.count is not None):
            raise ValueError("expected neither 'value' nor 'count' beside 'empty: true'")

    @override
    def describe(self, context: CheckContext) -> str:
        return f"{context.url(self.target)}: {self.query}"

    @override
    def reproduce_command(self, context: CheckContext) -> str:
        return shlex.join(["promtool", "query", "instant", context.url(self.target), self.query])

    @override
    def observe(self, context: CheckContext) -> Observation:
        with prometheus_client(context, self.target) as api:
            series = tuple(api.query(self.query))
            return Observation(series, tuple(api.infos))

    @override
    def judge(self, observation: Observation) -> CheckResult:
        series = observation.series
        response = "\n".join(map(str, series[:_SHOWN])) or "(nothing)"
        if len(series) > _SHOWN:
            response += f"\n[... {len(series) - _SHOWN} more ...]"
        response = "\n".join([response, *observation.infos[:_SHOWN]])
        problems = list(self._problems(series))
        if problems:
            return failed(join_messages(problems), response=response)
        if not series:
            return passed(msg("There is no series, as expected"), response=response)
        if len(series) == 1:
            return passed(msg("The value is {value}", value=_value(series[0])), response=response)
        shown = msg("{count} series, the first {value}", count=len(series), value=_value(series[0]))
        return passed(shown, response=response)

    def _problems(self, observation: tuple[Series, ...]) -> Iterator[Message]:
        if self.empty:
            if observation:
                yield msg(
                    "expected nothing, got {count} series, such as {series}",
                    count=len(observation),
                    series=str(observation[0]),
                )
            return
        wrong = mismatch_if_set(self.count, len(observation), msg("number of series"))
        if wrong:
            yield wrong
        if not observation and (self.value is not None or self.empty is False):
            yield msg("no data: the query returned no series")
        elif self.value is not None:
            yield from self._of_values(observation)

    def _of_values(self, observation: tuple[Series, ...]) -> Iterator[Message]:
        wrong = [series for series in observation if self._is_wrong(series)]
        if self.matching == "any" and len(wrong) < len(observation):
            return
        yield from filter(None, map(self._of_value, wrong[:_SHOWN]))
        if len(wrong) > _SHOWN:
            yield msg("{count} more series are not as expected", count=len(wrong) - _SHOWN)

    def _is_wrong(self, series: Series) -> bool:
        return series.value is None or mismatch_of_number(self.value, series.value, "") is not None

    def _of_value(self, series: Series) -> Message | None:
        at = redacted_head(str(series), 200)
        if series.value is None:
            return msg("{series} is a native histogram, not a number; "
                       "query histogram_count(), histogram_sum() or histogram_quantile() of it", series=at)  # fmt: skip
        return mismatch_of_number(self.value, series.value, at)


def _value(series: Series) -> str:
    return series.histogram if series.value is None else f"{series.value:g}"
