"""The check `promql`: the value of a query on a running Prometheus."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

from gate.checks._numbers import number_unlike
from gate.checks._prometheus import asking
from gate.checks.base import Check, Judgement, TargetName, failed, passed
from gate.checks.world import World
from gate.matchers import CountMatcher, NumberMatcher, unlike
from gate.messages import Message, say, together
from gate.prometheus.api import Series
from gate.secrets import beginning_of

_SHOWN = 20


class Seen(Struct, frozen=True):
    """The series of a result, and hints of Prometheus on the query."""

    series: tuple[Series, ...]
    infos: tuple[str, ...] = ()


class Promql(Check[Seen]):
    """A query and what comes back."""

    kind: ClassVar[str] = "promql"
    summary: ClassVar[str] = "the value of a query on a running Prometheus"
    expects: ClassVar[tuple[str, ...]] = ("value", "count", "empty")

    target: Annotated[TargetName, Meta(description="The Prometheus to ask.")]
    query: Annotated[
        str, Meta(min_length=1, description="PromQL, for an instant vector or a scalar.", examples=['up{job="api"}'])
    ]
    value: Annotated[
        NumberMatcher | None, Meta(description="The value of the series that come back.", examples=[{"ge": 1}])
    ] = None
    matching: Annotated[Literal["each", "any"], Meta(description="Whether each series has that value, or any one.")] = (
        "each"
    )
    count: Annotated[CountMatcher | None, Meta(description="How many series come back.", examples=[1])] = None
    empty: Annotated[bool | None, Meta(description="true: nothing may come back; false: something must.")] = None

    def __post_init__(self) -> None:
        if self.empty and (self.value is not None or self.count is not None):
            raise ValueError("expected neither 'value' nor 'count' beside 'empty: true'")

    def asked(self, world: World) -> str:
        return f"{world.url(self.target)}: {self.query}"

    def reproduce(self, world: World) -> str:
        return shlex.join(["promtool", "query", "instant", world.url(self.target), self.query])

    def observe(self, world: World) -> Seen:
        with asking(world, self.target) as api:
            series = tuple(api.query(self.query))
            return Seen(series, tuple(api.infos))

    def judge(self, seen: Seen) -> Judgement:
        series = seen.series
        answer = "\n".join(map(str, series[:_SHOWN])) or "(nothing)"
        if len(series) > _SHOWN:
            answer += f"\n[... {len(series) - _SHOWN} more ...]"
        answer = "\n".join([answer, *seen.infos[:_SHOWN]])
        problems = list(self._problems(series))
        if problems:
            return failed(together(problems), answer=answer)
        if not series:
            return passed(say("There is no series, as expected"), answer=answer)
        if len(series) == 1:
            return passed(say("The value is {value}", value=_value(series[0])), answer=answer)
        shown = say("{count} series, the first {value}", count=len(series), value=_value(series[0]))
        return passed(shown, answer=answer)

    def _problems(self, seen: tuple[Series, ...]) -> Iterator[Message]:
        if self.empty:
            if seen:
                yield say(
                    "expected nothing, got {count} series, such as {series}", count=len(seen), series=str(seen[0])
                )
            return
        wrong = unlike(self.count, len(seen), say("number of series"))
        if wrong:
            yield wrong
        if not seen and (self.value is not None or self.empty is False):
            yield say("There is no data: no series matches")
        elif self.value is not None:
            yield from self._of_values(seen)

    def _of_values(self, seen: tuple[Series, ...]) -> Iterator[Message]:
        wrong = [series for series in seen if self._is_wrong(series)]
        if self.matching == "any" and len(wrong) < len(seen):
            return
        yield from filter(None, map(self._of_value, wrong[:_SHOWN]))
        if len(wrong) > _SHOWN:
            yield say("{count} more series are not as expected", count=len(wrong) - _SHOWN)

    def _is_wrong(self, series: Series) -> bool:
        return series.value is None or number_unlike(self.value, series.value, "") is not None

    def _of_value(self, series: Series) -> Message | None:
        at = beginning_of(str(series), 200)
        if series.value is None:
            return say("{series} is a native histogram, not a number; "
                       "query histogram_count(), histogram_sum() or histogram_quantile() of it", series=at)  # fmt: skip
        return number_unlike(self.value, series.value, at)


def _value(series: Series) -> str:
    return series.histogram if series.value is None else f"{series.value:g}"
