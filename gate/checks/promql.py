"""The check `promql`: the value of a query, on a running Prometheus."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field

from gate.checks._prometheus import ask_prometheus, by_hand
from gate.checks.base import CannotObserve, Check, Judgement, TargetName, failed, passed
from gate.checks.world import World
from gate.matchers import Matcher
from gate.messages import Message, say
from gate.prometheus.api import number

_SHOWN = 20


@dataclass(frozen=True)
class Seen:
    """The series of the result: labels as text, and the value."""

    series: tuple[tuple[str, float], ...]


class Promql(Check[Seen]):
    """What a query comes to, now."""

    kind: ClassVar[str] = "promql"
    summary: ClassVar[str] = "the value of a query, on a running Prometheus"

    target: TargetName = Field(description="The Prometheus to ask.")
    query: str = Field(min_length=1, description="PromQL, for an instant vector or a scalar.", examples=["up"])
    value: Matcher | None = Field(None, description="What every series' value has to be.", examples=[{"gt": 0}])
    count: Matcher | None = Field(None, description="How many series there have to be.")
    empty: bool | None = Field(None, description="`true`: there must be no series; no data is a pass only then.")

    def simplest(self) -> str | None:
        if self.value or self.count or self.empty is not None:
            return None
        return "expected at least one of 'value', 'count' and 'empty'"

    def asked(self, world: World) -> str:
        return f"{self.query} on {world.url(self.target)}"

    def reproduce(self, world: World) -> str:
        return by_hand(world, self.target, "query", {"query": self.query})

    def observe(self, world: World) -> Seen:
        data = ask_prometheus(world, self.target, "query", {"query": self.query})
        try:
            return Seen(tuple(_series(data)))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            why = say("The result is no vector and no scalar: {error}", error=str(error)[:200])
            raise CannotObserve(why, answer=str(data)[:2000]) from error

    def judge(self, seen: Seen) -> Judgement:
        answer = "\n".join(f"{labels} {value:g}" for labels, value in seen.series[:_SHOWN]) or "(no series)"
        problem = self._problem(seen)
        if problem is not None:
            return failed(problem, answer=answer)
        if not seen.series:
            return passed(say("There is no series, as expected"), answer=answer)
        value = seen.series[0][1]
        if len(seen.series) == 1:
            return passed(say("The value is {value}", value=f"{value:g}"), answer=answer)
        return passed(
            say("{count} series, the first {value}", count=len(seen.series), value=f"{value:g}"), answer=answer
        )

    def _problem(self, seen: Seen) -> Message | None:
        if self.empty and seen.series:
            return say("There are {count} series, expected none", count=len(seen.series))
        if self.empty is not True and not seen.series and not (self.count and self.count.matches(0)):
            return say("There is no data: no series matches")
        if self.count is not None and (mismatch := self.count.mismatch(len(seen.series))):
            return say("number of series: {why}", why=mismatch)
        for labels, value in seen.series:
            found = self._value_problem(labels, value)
            if found is not None:
                return found
        return None

    def _value_problem(self, labels: str, value: float) -> Message | None:
        if self.value is None:
            return say("{labels} is NaN: no data", labels=labels) if math.isnan(value) and not self.count else None
        mismatch = self.value.mismatch(value)
        return say("{labels}: {why}", labels=labels, why=mismatch) if mismatch else None


def _series(data: Any) -> list[tuple[str, float]]:
    if data["resultType"] == "scalar":
        return [("scalar", number(data["result"][1]))]
    if data["resultType"] != "vector":
        raise ValueError(f"it is a {data['resultType']}")
    return [(_labels(entry["metric"]), number(entry["value"][1])) for entry in data["result"]]


def _labels(metric: dict[str, str]) -> str:
    pairs = ", ".join(f'{key}="{value}"' for key, value in sorted(metric.items()) if key != "__name__")
    return f"{metric.get('__name__', '')}{{{pairs}}}"
