"""The check `alert`: the state of an alert on a running Prometheus, with its labels and annotations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import yaml
from pydantic import Field

from gate.checks._prometheus import ask_prometheus, by_hand
from gate.checks.base import CannotObserve, Check, Judgement, TargetName, failed, passed
from gate.checks.world import World
from gate.matchers import MISSING, Matcher, TextMatcher
from gate.messages import Message, say
from gate.prometheus.api import objects
from gate.prometheus.durations import seconds
from gate.quantities import duration

_PATH = "rules"
_ALERTS = {"type": "alert"}
_ACTIVE = ("pending", "firing")


@dataclass(frozen=True)
class Rule:
    """An alerting rule as Prometheus has it loaded, or one of its active alerts. Durations in seconds."""

    state: str
    labels: dict[str, str]
    annotations: dict[str, str]
    hold: float
    interval: float


@dataclass(frozen=True)
class Seen:
    """The rules of that name, and the names of all."""

    rules: tuple[Rule, ...]
    names: tuple[str, ...]


class Alert(Check[Seen]):
    """Whether an alert is inactive, pending or firing."""

    kind: ClassVar[str] = "alert"
    summary: ClassVar[str] = "an alert's state: inactive, pending, firing, with its labels and annotations"

    target: TargetName = Field(description="The Prometheus to ask.")
    name: str = Field(min_length=1, description="The name of the alert.")
    state: Matcher | None = Field(None, description="`inactive`, `pending`, `firing`, or a list of them.")
    labels: dict[str, TextMatcher] = Field({}, description="Labels that one alert of that state has to have.")
    annotations: dict[str, TextMatcher] = Field({}, description="Annotations that it has to have.")

    def simplest(self) -> str | None:
        if self.state or self.labels or self.annotations:
            return None
        return "expected at least one of 'state', 'labels' and 'annotations'"

    def asked(self, world: World) -> str:
        return f"alert {self.name} on {world.url(self.target)}"

    def reproduce(self, world: World) -> str:
        return by_hand(world, self.target, _PATH, _ALERTS)

    def observe(self, world: World) -> Seen:
        groups = objects(ask_prometheus(world, self.target, _PATH, _ALERTS), "groups")
        rules = [(group, rule) for group in groups for rule in objects(group, "rules")]
        mine = [found for group, rule in rules if rule.get("name") == self.name for found in _rules(group, rule)]
        return Seen(tuple(mine), tuple(sorted({str(rule.get("name", "")) for _, rule in rules})))

    def judge(self, seen: Seen) -> Judgement:
        if not seen.rules:
            names = ", ".join(seen.names[:20]) or "none"
            return failed(say("No rule called {name} is loaded; there are: {names}", name=self.name, names=names))
        answer = "\n".join(f"{rule.state} {rule.labels} {rule.annotations}" for rule in seen.rules[:20])
        problems = [self._problem(rule) for rule in seen.rules]
        first = problems[0]
        if first is not None and all(problem is not None for problem in problems):
            return failed(say("{name}: {why}", name=self.name, why=first), answer=answer)
        rule = seen.rules[problems.index(None)]
        return passed(say("{name} is {state}", name=self.name, state=rule.state), answer=answer)

    def _problem(self, rule: Rule) -> Message | None:
        mismatch = self.state.mismatch(rule.state, "state") if self.state else None
        for wanted, there in ((self.labels, rule.labels), (self.annotations, rule.annotations)):
            for key, matcher in wanted.items():
                mismatch = mismatch or matcher.mismatch(there.get(key, MISSING), key)
        return mismatch

    def awaits(self) -> bool:
        matcher = self.state
        return bool(matcher and not matcher.matches("inactive") and any(matcher.matches(state) for state in _ACTIVE))

    def afterwards(self) -> Check[Any] | None:
        changes = {"state": Matcher("inactive"), "labels": {}, "annotations": {}}
        return self.model_copy(update=changes) if self.awaits() else None

    def least_wait(self, world: World) -> tuple[float, Message] | None:
        """Scrape interval + evaluation interval + the rule's `for`, unless pending is enough."""
        if not self.awaits():
            return None
        rules = self.observe(world).rules
        if not rules:
            raise CannotObserve(say("No rule called {name} is loaded, so it cannot fire", name=self.name))
        hold = 0.0 if self.state and self.state.matches("pending") else max(rule.hold for rule in rules)
        interval = max(rule.interval for rule in rules)
        scrape = _scrape_interval(ask_prometheus(world, self.target, "status/config"))
        why = say(
            "scrape interval {scrape} + evaluation interval {interval} + for {hold}",
            scrape=duration(scrape),
            interval=duration(interval),
            hold=duration(hold),
        )
        return scrape + interval + hold, why


def _rules(group: dict[str, Any], rule: dict[str, Any]) -> list[Rule]:
    """The active alerts of a rule, or the rule itself where it has none."""
    hold, interval = _seconds(rule.get("duration")), _seconds(group.get("interval"))
    alerts = objects(rule, "alerts") or [{**rule, "state": "inactive"}]
    return [
        Rule(str(alert.get("state", "")), _texts(alert.get("labels")), _texts(alert.get("annotations")), hold, interval)
        for alert in alerts
    ]


def _texts(value: Any) -> dict[str, str]:
    return {str(key): str(entry) for key, entry in value.items()} if isinstance(value, dict) else {}


def _seconds(value: Any) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good else 0.0


def _scrape_interval(data: Any) -> float:
    """The longest interval at which anything is scraped, in seconds. Raises CannotObserve."""
    try:
        config = yaml.load(data["yaml"], Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - it is safe
        found = [config["global"]["scrape_interval"], *(job["scrape_interval"] for job in config["scrape_configs"])]
        return max(_known(seconds(text)) for text in found)
    except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise CannotObserve(say("Prometheus does not say at what interval it scrapes")) from error


def _known(value: float | None) -> float:
    if value is None:
        raise ValueError("no duration")
    return value
