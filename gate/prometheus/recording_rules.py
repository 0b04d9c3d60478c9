"""The recording rules between what is scraped and what an expression reads: each of them costs an evaluation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from msgspec import Struct

from gate.prometheus import missing_series
from gate.prometheus.client import LoadedGroup, LoadedRule


class UpstreamDelay(Struct, frozen=True):
    """What comes before an evaluation: the selectors of what is scraped, and the seconds that recording rules take."""

    selectors: frozenset[str]
    wait: float


class _Recorded(Struct, frozen=True):
    rule: LoadedRule
    group: LoadedGroup
    position: int


class RecordingRules:
    """The recording rules that Prometheus has loaded, by what they record."""

    def __init__(self, groups: Iterable[LoadedGroup]) -> None:
        self._by_name: dict[str, list[_Recorded]] = defaultdict(list)
        for group in groups:
            for position, rule in enumerate(group.rules):
                if not rule.alerting:
                    self._by_name[rule.name].append(_Recorded(rule, group, position))

    def upstream_of(self, rule: LoadedRule, group: LoadedGroup) -> UpstreamDelay:
        """What comes before a rule of a group is evaluated."""
        return self._before(rule, group, frozenset())

    def _before(self, rule: LoadedRule, group: LoadedGroup, on_the_way: frozenset[str]) -> UpstreamDelay:
        """Of several metrics the one that takes longest counts; of several rules for one, the shortest way."""
        position = group.rules.index(rule)
        scraped: set[str] = set()
        wait = 0.0
        for selector in missing_series.parse_selectors(rule.expr):
            name = selector.name
            ways = [] if name in on_the_way else self._by_name.get(name, [])
            found = [self._through(way, group, position, on_the_way | {name}) for way in ways]
            scraped.update(*(way.selectors for way in found), () if found else (selector.text,))
            wait = max(wait, min((way.wait for way in found), default=0.0))
        return UpstreamDelay(frozenset(scraped), wait)

    def _through(self, way: _Recorded, group: LoadedGroup, position: int, on_the_way: frozenset[str]) -> UpstreamDelay:
        """Rules of a group are evaluated in order, at one time: what stands before costs no interval of its own."""
        before = self._before(way.rule, way.group, on_the_way)
        at_once = way.group == group and way.position < position
        return UpstreamDelay(before.selectors, before.wait + (0.0 if at_once else way.group.interval))
