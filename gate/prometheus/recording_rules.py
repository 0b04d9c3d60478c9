"""Follow an expression through recording rules to the scraped series: each rule delays the result."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from msgspec import Struct

from gate.prometheus import missing_series
from gate.prometheus.client import LoadedGroup, LoadedRule


class UpstreamDelay(Struct, frozen=True):
    """The scraped selectors that an evaluation depends on, and the seconds that recording rules add."""

    selectors: frozenset[str]
    seconds: float


class _Recorded(Struct, frozen=True):
    rule: LoadedRule
    group: LoadedGroup
    position: int


class RecordingRules:
    """The recording rules that Prometheus has loaded, by the metric that they record."""

    def __init__(self, groups: Iterable[LoadedGroup]) -> None:
        self._by_name: dict[str, list[_Recorded]] = defaultdict(list)
        for group in groups:
            for position, rule in enumerate(group.rules):
                if not rule.alerting:
                    self._by_name[rule.name].append(_Recorded(rule, group, position))

    def upstream_of(self, rule: LoadedRule, group: LoadedGroup) -> UpstreamDelay:
        """Return the scraped selectors of a rule, and the delay of the recording rules in between."""
        return self._before(rule, group, frozenset())

    def _before(self, rule: LoadedRule, group: LoadedGroup, visited: frozenset[str]) -> UpstreamDelay:
        """Return the delay of the slowest metric; of several rules for one metric the fastest counts."""
        position = group.rules.index(rule)
        scraped: set[str] = set()
        seconds = 0.0
        for selector in missing_series.all_selectors(rule.expr):
            name = selector.name
            recorders = [] if name in visited else self._by_name.get(name, [])
            delays = [self._through(rule, group, position, visited | {name}) for rule in recorders]
            scraped.update(*(delay.selectors for delay in delays), () if delays else (selector.text,))
            seconds = max(seconds, min((delay.seconds for delay in delays), default=0.0))
        return UpstreamDelay(frozenset(scraped), seconds)

    def _through(
        self, recorder: _Recorded, group: LoadedGroup, position: int, visited: frozenset[str]
    ) -> UpstreamDelay:
        """Return the delay of one recording rule and of the rules before it."""
        before = self._before(recorder.rule, recorder.group, visited)
        # A group evaluates its rules in order, at one time: an earlier rule of the same group costs no interval.
        same_evaluation = recorder.group == group and recorder.position < position
        delay = 0.0 if same_evaluation else recorder.group.interval
        return UpstreamDelay(before.selectors, before.seconds + delay)
