"""Find which metrics a running Prometheus has: with samples now, declared by a target, or recorded by a loaded rule."""

from __future__ import annotations

import difflib
import json
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from threading import Lock
from typing import TypeVar

from msgspec import Struct

from gate.checks.base import ObservationError
from gate.checks.context import CheckContext
from gate.checks.prometheus_queries import prometheus_client
from gate.core.messages import Message, msg
from gate.prometheus import missing_series
from gate.prometheus.client import Api, LoadedGroup, LoadedRule
from gate.prometheus.missing_series import Selector, metric_selectors
from gate.redaction.secrets import redacted_head
from gate.runtime.threads import Attempt

Input = TypeVar("Input")
Output = TypeVar("Output")

# Requests at the same time.
_PARALLEL = 8
# Characters of one query: proxies reject long URLs.
_QUERY_LENGTH = 4000
# Recording rules that read each other's series.
_DEPTH = 10
# Names among which a similar one is looked for.
_NEAR = 5000
# Missing metrics for which that is done: it takes long.
_SUGGESTIONS = 20
# Seconds for which Prometheus shows a series without new samples.
_LOOKBACK = 300.0
_SUFFIXES = {
    "histogram": ("", "_bucket", "_sum", "_count", "_created"),
    "gaugehistogram": ("", "_bucket", "_gsum", "_gcount"),
    "summary": ("", "_sum", "_count", "_created"),
    "counter": ("", "_total", "_created"),
    "info": ("", "_info"),
}
_ALERT_SERIES = ("ALERTS", "ALERTS_FOR_STATE")
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")


def in_parallel(context: CheckContext, target: str, inputs: Iterable[Input],
                request: Callable[[Api, Input], Output]) -> list[Output]:  # fmt: skip
    """Return the results of a request for each input, several at a time. Raises ObservationError."""
    todo = list(inputs)
    results: dict[int, Output] = {}
    numbers, lock = iter(range(len(todo))), Lock()
    failed: list[BaseException] = []

    def work() -> bool:
        try:
            with prometheus_client(context, target) as api:
                while not failed:
                    with lock:
                        number = next(numbers, None)
                    if number is None:
                        break
                    results[number] = request(api, todo[number])
        except BaseException as error:
            failed.append(error)
            raise
        return True

    attempts = [Attempt(work) for _ in range(min(_PARALLEL, len(todo)))]
    for attempt in attempts:
        if not attempt.wait(context.remaining()):
            raise ObservationError(msg("the requests to {target} did not end in time", target=target))
    return [results[number] for number in range(len(todo))]


class Absence(Struct, frozen=True):
    """Why a metric is not exposed. `metric` is the one that is not there: for a recorded one, what its rule reads."""

    metric: Selector
    reason: Message


class ExposedMetrics:
    """The metrics of one Prometheus. A metric is a selector that only has demands on its name."""

    def __init__(self, context: CheckContext, target: str, groups: Sequence[LoadedGroup]) -> None:
        self.context, self.target = context, target
        self.rules: dict[str, list[LoadedRule]] = {}
        for rule in (rule for group in groups for rule in group.rules):
            for name in _ALERT_SERIES if rule.alerting else (rule.name,):
                self.rules.setdefault(name, []).append(rule)
        self.declared: set[str] = set()
        self.live: dict[Selector, bool] = {}
        self.gone: set[str] = set()

    def missing(self, metrics: Collection[Selector]) -> dict[Selector, Message]:
        """Return why each metric is not exposed that is not."""
        self._find_live(metrics)
        absent = [metric for metric in metrics if not self.live[metric]]
        if not absent:
            return {}
        [types] = in_parallel(self.context, self.target, [""], lambda api, _: api.metric_types())
        self.declared = {name + suffix for name, kind in types.items() for suffix in _SUFFIXES.get(kind, ("",))}
        self._find_gone(metric for metric in self.live if metric.name in self.declared)
        return self._reasons({metric: absence for metric in absent if (absence := self._absence(metric))})

    # What Prometheus has

    def _find_live(self, metrics: Iterable[Selector]) -> None:
        """Find which metrics have samples now, those that rules without samples read included."""
        wanted = list(dict.fromkeys(metrics))
        for _ in range(_DEPTH):
            wanted = [metric for metric in wanted if metric not in self.live]
            if not wanted:
                return
            exact = [metric for metric in wanted if metric.name and len(metric.matchers) == 1]
            names = self._with_samples(metric.name for metric in exact)
            self.live |= {metric: metric.name in names for metric in exact}
            patterns = [metric for metric in wanted if metric not in self.live]
            found = in_parallel(self.context, self.target, patterns, lambda api, metric: api.query(metric.query))
            self.live |= {metric: bool(series) for metric, series in zip(patterns, found, strict=True)}
            wanted = [
                read
                for metric in wanted
                if not self.live[metric]
                for rule in self._makers(metric)
                for read in metric_selectors(rule.expr).values()
            ]

    def _find_gone(self, declared: Iterable[Selector]) -> None:
        """Find which declared metrics without samples had some within the last hour."""
        # A target's metadata is kept for ten scrapes after a metric was renamed.
        names = (metric.name for metric in declared if not self.live[metric])
        self.gone = self._with_samples(names, "last_over_time({selector}[1h])")

    def _with_samples(self, names: Iterable[str], query: str = "{selector}") -> set[str]:
        """Return the metrics that a query over a selector finds."""

        def request(api: Api, pattern: str) -> set[str]:
            selector = f"{{__name__=~{json.dumps(pattern, ensure_ascii=False)}}}"
            series = api.query(f"group by (__name__) ({query.format(selector=selector)})")
            return {each.labels.get("__name__", "") for each in series}

        return set().union(*in_parallel(self.context, self.target, _patterns(names), request))

    def _makers(self, metric: Selector) -> list[LoadedRule]:
        names = [metric.name] if metric.name else [name for name in self.rules if metric.names(name)]
        return [rule for name in names for rule in self.rules.get(name, ())]

    # Why a metric is missing

    def _absence(self, metric: Selector, on_the_way: tuple[Selector, ...] = ()) -> Absence | None:
        """Return why a metric is not exposed, or None. What a loaded rule records is as exposed as what it reads."""
        if self.live.get(metric):
            return None
        if metric in on_the_way or len(on_the_way) > _DEPTH:
            return Absence(metric, msg("not exposed"))
        if metric.name and metric.name in self.declared:
            return Absence(metric, msg("no longer exposed")) if metric.name in self.gone else None
        if not metric.name and any(metric.names(name) for name in self.declared - self.gone):
            return None
        absences = [self._unrecorded(metric, rule, (*on_the_way, metric)) for rule in self._makers(metric)]
        if not absences:
            return Absence(metric, msg("not exposed"))
        return None if None in absences else absences[0]

    def _unrecorded(self, metric: Selector, rule: LoadedRule, on_the_way: tuple[Selector, ...]) -> Absence | None:
        """Return why a loaded rule can't record a metric, or None."""
        if rule.health == "err":
            error = redacted_head(rule.error, 200)
            return Absence(metric, msg("recorded by a rule that can't be evaluated: {error}", error=error))
        named = metric_selectors(rule.expr)
        absences = {selector: self._absence(name, on_the_way) for selector, name in named.items()}
        # An alert that does not fire has no series, and that is as it should be.
        if rule.alerting:
            return None
        missing = missing_series.missing_selectors(rule.expr, lambda selector: absences.get(selector) is None)
        return absences[missing[0]] if missing else None

    def _reasons(self, absences: Mapping[Selector, Absence]) -> dict[Selector, Message]:
        """Return the reason of each metric that is missing, with the nearest metric that is exposed."""
        near = self._nearest({absence.metric.name for absence in absences.values()} - {""})
        reasons = {}
        for metric, absence in absences.items():
            reason = absence.reason
            if absence.metric != metric:
                reason = msg("recorded by a rule that reads {metric}: {why}", metric=show(absence.metric), why=reason)
            if name := near.get(absence.metric.name):
                reason = msg("{why}; {near} is exposed", why=reason, near=name)
            reasons[metric] = reason
        return reasons

    def _nearest(self, missing: Collection[str]) -> dict[str, str]:
        """Return the exposed metric with the most similar name for each missing one that has one."""
        if not missing:
            return {}
        [names] = in_parallel(self.context, self.target, [time.time() - _LOOKBACK],
                              lambda api, start: api.label_values("__name__", start))  # fmt: skip
        # The names of metrics that are gone are listed for hours.
        known = [name for name in dict.fromkeys((*names, *self.rules)) if name not in (*_ALERT_SERIES, *missing)]
        near = {name: difflib.get_close_matches(name, known[:_NEAR], n=3) for name in list(missing)[:_SUGGESTIONS]}
        live = self._with_samples({name for names in near.values() for name in names})
        return {
            name: found for name, names in near.items() if (found := next((each for each in names if each in live), ""))
        }


def show(metric: Selector) -> str:
    """Return a metric as a reader knows it: its name, or the selector."""
    return redacted_head(metric.name if metric.name and len(metric.matchers) == 1 else metric.text, 200)


def _patterns(names: Iterable[str]) -> Iterator[str]:
    """Yield patterns that match some of the names each, none too long for a URL."""
    batch = ""
    for name in dict.fromkeys(names):
        escaped = _SPECIAL.sub(r"\\\g<0>", name)
        if batch and len(batch) + len(escaped) > _QUERY_LENGTH:
            yield batch
            batch = ""
        batch = f"{batch}|{escaped}" if batch else escaped
    if batch:
        yield batch
