"""Check the state of an alert on a running Prometheus, with its labels and annotations."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args

from msgspec import Meta, Struct

from gate.checks.base import Check, CheckResult, ObservationError, TargetName, errored, failed, passed
from gate.checks.context import CheckContext
from gate.checks.prometheus_queries import Presence, prometheus_client
from gate.core.messages import Message, join_messages, msg
from gate.core.override import override
from gate.core.strictness import stricter
from gate.decode.quantities import format_duration
from gate.decode.structs import custom_type
from gate.decode.types import listify
from gate.matchers import MISSING, TextMatcher, describe
from gate.prometheus import config, missing_series
from gate.prometheus.client import ActiveAlert, Api, LoadedGroup, LoadedRule
from gate.prometheus.recording_rules import RecordingRules
from gate.redaction.secrets import redacted_head

State = Literal["inactive", "pending", "firing"]
STATES = get_args(State)
_SHOWN = 20
_PLAIN_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
# Functions whose results have labels that no series has, or that need no series.
_MAKES_LABELS = re.compile(r"\b(?:label_replace|label_join|count_values|info|absent|absent_over_time)\b", re.IGNORECASE)
Texts = Mapping[str, str]


if TYPE_CHECKING:
    States = list[State]
else:
    _ONE = {"enum": list(STATES)}
    States = custom_type(
        listify,
        {"anyOf": [_ONE, {"type": "array", "items": _ONE, "minItems": 1}]},
        target_type=Annotated[list[State], Meta(min_length=1)],
    )


class Observation(Struct, frozen=True):
    """The rules of that name, the names of all alerts, and what an alert that is quiet needs to be inactive.

    `unknown` are selectors of the expression without series, `due` the labels of alerts that the next evaluation
    brings, and `values` those of labels that no rule has itself, as the series have them that the expressions read.
    """

    rules: tuple[LoadedRule, ...]
    names: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    due: tuple[Texts, ...] = ()
    values: Mapping[str, tuple[str, ...]] = {}


class Alert(Check[Observation]):
    """An alert, and the state that it has to be in."""

    kind: ClassVar[str] = "alert"
    summary: ClassVar[str] = "the state of an alert, with its labels and annotations"
    expectation_keys: ClassVar[tuple[str, ...]] = ("state", "labels", "annotations")

    target: Annotated[TargetName, Meta(description="The Prometheus to ask.", extra=stricter("never"))]
    name: Annotated[
        str, Meta(min_length=1, description="The alert's name.", examples=["VezaDatabaseDown"], extra=stricter("never"))
    ]
    state: Annotated[
        States | None,
        Meta(
            description="`inactive`, `pending` or `firing`, or several of them.",
            examples=["firing", ["pending", "firing"]],
            extra=stricter("never"),
        ),
    ] = None
    labels: Annotated[
        dict[str, TextMatcher],
        Meta(
            min_length=1,
            description="Only instances with these labels are looked at; the rule, where there is none.",
            extra=stricter("never"),
        ),
    ] = {}
    annotations: Annotated[
        dict[str, TextMatcher],
        Meta(min_length=1, description="What the annotations of these have to be.", extra=stricter("never")),
    ] = {}
    no_data: Annotated[
        bool,
        Meta(
            description="Whether an alert is inactive, too, while metrics of its expression have no series.",
            extra=stricter("never"),
        ),
    ] = False

    @override
    def describe(self, context: CheckContext) -> str:
        return f"GET {context.url(self.target, '/api/v1/rules?type=alert')}: {self.name}"

    @override
    def reproduce_command(self, context: CheckContext) -> str:
        return shlex.join(["curl", "-sS", context.url(self.target, "/api/v1/rules?type=alert")])

    @override
    def observe(self, context: CheckContext) -> Observation:
        with prometheus_client(context, self.target) as api:
            groups = api.rules()
            loaded = [rule for group in groups for rule in group.rules]
            rules = tuple(rule for rule in loaded if rule.alerting and rule.name == self.name)
            quiet = rules and not any(rule.alerts for rule in rules) and self._needs_data()
            presence = Presence(api, groups)
            unknown = _without_series(presence, rules) if quiet else ()
            due = _due(api, rules) if self._claims_quiet() else ()
            values = self._values(presence, rules) if self._claims_quiet() and not self.no_data else {}
            return Observation(rules, _names(groups), unknown, due, values)

    @override
    def judge(self, observation: Observation) -> CheckResult:
        if not observation.rules:
            return failed(self._not_loaded(observation.names))
        instances = [alert for rule in observation.rules for alert in rule.alerts]
        chosen = [alert for alert in instances if self._is_chosen(alert)]
        response = "\n".join(map(_line, (chosen or instances)[:_SHOWN])) or f"{self.name}: inactive"
        bad = next((rule for rule in observation.rules if rule.health != "ok"), None)
        if bad is not None and not chosen and self.state:
            return self._unhealthy(bad)
        states = {alert.state for alert in chosen} or {"inactive"}
        problems = list(self._problems(observation, chosen, instances, states))
        if problems:
            return failed(join_messages(problems), response=response, advice=self._advice(observation))
        if bad is not None and self._claims_quiet():
            return self._unhealthy(bad)
        if late := self._overdue(observation.rules):
            return errored(msg("{alert} was last evaluated {time} ago, so its state is not known", alert=self.name,
                                  time=format_duration(late)), response=response)  # fmt: skip
        return passed(msg("{alert} is {states}", alert=self.name, states=", ".join(sorted(states))), response=response)

    def _needs_data(self) -> bool:
        """Return whether an alert that is quiet because data is missing would be misread as healthy."""
        return self.is_event() or (self._claims_quiet() and not self.no_data)

    def _claims_quiet(self) -> bool:
        """Return whether the check passes for an inactive alert, and not for every state."""
        return "inactive" in (self.state or ()) and len(set(self.state or ())) < len(STATES)

    def _not_loaded(self, names: tuple[str, ...]) -> Message:
        near = difflib.get_close_matches(self.name, names, n=1)
        if near:
            return msg("No alert {alert} is loaded; {near} is", alert=self.name, near=near[0])
        return msg("No alert {alert} is loaded: {count} others are", alert=self.name, count=len(names))

    def _unhealthy(self, rule: LoadedRule) -> CheckResult:
        if rule.health == "err":
            return failed(
                msg("{alert} can't be evaluated: {error}", alert=self.name, error=redacted_head(rule.error, 300))
            )
        return errored(msg("{alert} has not been evaluated yet", alert=self.name))

    def _overdue(self, rules: tuple[LoadedRule, ...]) -> float | None:
        """Return for how long a rule was not evaluated that the state depends on: any one if the alert may be quiet."""
        if not self.state or set(self.state) == set(STATES):
            return None
        showing = [rule for rule in rules if any(self._is_chosen(alert) for alert in rule.alerts)]
        decisive = showing if self.is_event() else rules
        late = [rule.overdue for rule in decisive if rule.overdue is not None]
        enough = len(late) == len(decisive) if self.is_event() else bool(late)
        return max(late) if late and enough else None

    def _values(self, presence: Presence, rules: tuple[LoadedRule, ...]) -> dict[str, tuple[str, ...]]:
        """Return the values of the labels that only series can bring; not those that an expression may make up."""
        names = {
            name for name, matcher in self.labels.items() if not matcher.matches("") and _PLAIN_LABEL.fullmatch(name)
        }
        names -= {"alertname", *(name for rule in rules for name in rule.labels)}
        if not names or any(_MAKES_LABELS.search(rule.expr) for rule in rules):
            return {}
        read = [selector for rule in rules for selector in missing_series.required_selectors(rule.expr)]
        if not presence.have_series(read):
            return {}
        values_by_name = {
            name: {value for selector in read for value in presence.lately(selector, name)} for name in names
        }
        return {name: tuple(sorted(values - {""})) for name, values in values_by_name.items()}

    def _is_chosen(self, alert: ActiveAlert) -> bool:
        return self.has_labels(alert.labels)

    def has_labels(self, labels: Texts) -> bool:
        """Return whether an instance with these labels is selected."""
        return all(matcher.matches(labels.get(name, "")) for name, matcher in self.labels.items())

    def _problems(self, observation: Observation, chosen: list[ActiveAlert], instances: list[ActiveAlert],
                  states: set[str]) -> Iterator[Message]:  # fmt: skip
        if self.state and not states & set(self.state):
            yield msg("{alert} is {states}, expected {wanted}", alert=self.name, states=", ".join(sorted(states)),
                      wanted=describe(list(self.state)))  # fmt: skip
        if instances and not chosen and self.is_event():
            yield msg("{count} instances have other labels, such as {labels}", count=len(instances),
                      labels=_labels(instances[0]))  # fmt: skip
        if not instances and any(self.has_labels(labels) for labels in observation.due):
            yield msg("the expression of {alert} holds: the next evaluation makes it pending or firing",
                      alert=self.name)  # fmt: skip
        yield from self._impossible_labels(observation, instances)
        if observation.unknown:
            yield msg("the expression of {alert} reads {metrics}, of which Prometheus has no series",
                      alert=self.name, metrics=", ".join(observation.unknown))  # fmt: skip
        for labels, notes in self._looked_at(observation.rules, chosen):
            mismatches = [
                matcher.mismatch(labels[name], f"label {name}")
                for name, matcher in self.labels.items()
                if name in labels
            ]
            mismatches += [
                matcher.mismatch(notes.get(name, MISSING), f"annotation {name}")
                for name, matcher in self.annotations.items()
            ]
            yield from (problem for problem in mismatches if problem)

    def _impossible_labels(self, observation: Observation, instances: list[ActiveAlert]) -> Iterator[Message]:
        """Yield a message for each label that no alert of this name can have: without it, none is ever looked at."""
        labels = {name for alert in instances for name in alert.labels}
        labels |= {"alertname", *(name for rule in observation.rules for name in rule.labels)}
        for name, matcher in self.labels.items():
            if instances and name not in labels and not matcher.matches(""):
                yield msg("no alert of {alert} has a label {name}; they have {names}", alert=self.name, name=name,
                          names=", ".join(sorted(labels)[:_SHOWN]))  # fmt: skip
            elif name in observation.values and not any(map(matcher.matches, observation.values[name])):
                yield msg("no alert of {alert} can have {name} {wish}; the series that it reads have {values}",
                          alert=self.name, name=name, wish=describe(matcher.spec),
                          values=", ".join(observation.values[name][:_SHOWN]) or "-")  # fmt: skip

    def _advice(self, observation: Observation) -> Message | None:
        if not observation.unknown or self.is_event():
            return None
        return msg("Have Prometheus scrape {metrics}, or say `no_data: true` where having none is no fault",
                   metrics=", ".join(observation.unknown))  # fmt: skip

    def _looked_at(self, rules: tuple[LoadedRule, ...], chosen: list[ActiveAlert]) -> list[tuple[Texts, Texts]]:
        """Return labels and annotations of the selected instances; without any, those of the rules."""
        if chosen:
            return [(alert.labels, alert.annotations) for alert in chosen]
        matching = [rule for rule in rules if self._may_have_labels(rule)]
        return [(rule.labels, rule.annotations) for rule in matching or rules[:1]]

    def _may_have_labels(self, rule: LoadedRule) -> bool:
        """Return whether no label of a rule contradicts the expected labels."""
        return all(matcher.matches(rule.labels[name]) for name, matcher in self.labels.items() if name in rule.labels)

    def is_event(self) -> bool:
        """Return whether the check waits for the alert to become pending or firing."""
        return self.state is not None and "inactive" not in self.state

    def minimum_delay(self, context: CheckContext) -> tuple[float, Message] | None:
        """Return scrape interval, evaluation intervals and, unless pending is enough, the rule's `for`."""
        if not self.is_event():
            return None
        with prometheus_client(context, self.target) as api:
            groups = api.rules()
            match = _rule_and_group(groups, self.name)
            if match is None:
                raise ObservationError(self._not_loaded(_names(groups)))
            rule, group = match
            before = RecordingRules(groups).upstream_of(rule, group)
            scrape = _scrape_interval(api, before.selectors)
        wait = 0.0 if "pending" in (self.state or []) else rule.for_seconds
        why = msg(
            "scrape interval {scrape}, evaluation interval {evaluation}, 'for' {wait}",
            scrape=format_duration(scrape),
            evaluation=format_duration(group.interval),
            wait=format_duration(wait),
        )
        if before.seconds:
            why = msg("{why}, recording rules {recording}", why=why, recording=format_duration(before.seconds))
        return scrape + before.seconds + group.interval + wait, why

    def recovery_timeout(self) -> float | None:
        """Return None: an alert resolves within the drill's own limit."""
        return None

    def recovery_problem(self, context: CheckContext, timeout: float) -> Message | None:
        """Return None: an alert may resolve at the next evaluation."""
        return None

    def precondition(self) -> Check[Any] | None:
        """Return the check that the alert is inactive before the fault, also for lack of data."""
        return self._quiet(no_data=True)

    def postcondition(self) -> Check[Any] | None:
        """Return the check that the alert is inactive again after the recovery."""
        return self._quiet(no_data=self.no_data)

    def _quiet(self, *, no_data: bool) -> Alert | None:
        """Return a check that the same alert is inactive; None if this check does not wait for it."""
        if not self.is_event():
            return None
        inactive: list[State] = ["inactive"]
        return Alert(target=self.target, name=self.name, state=inactive, labels=self.labels, no_data=no_data)


def _names(groups: Iterable[LoadedGroup]) -> tuple[str, ...]:
    """Return the names of all loaded alerts."""
    return tuple(sorted({rule.name for group in groups for rule in group.rules if rule.alerting}))


def _rule_and_group(groups: list[LoadedGroup], name: str) -> tuple[LoadedRule, LoadedGroup] | None:
    """Return the loaded alert of that name; of several, the one with the shortest delay."""
    matches = [(rule, group) for group in groups for rule in group.rules if rule.alerting and rule.name == name]
    return min(matches, key=lambda pair: pair[0].for_seconds + pair[1].interval, default=None)


def _scrape_interval(api: Api, selectors: Iterable[str]) -> float:
    """Return the seconds between two scrapes of some series, as far as Prometheus tells which job they come from."""
    try:
        loaded = config.parse_config(api.config().encode())
    except config.InvalidConfigError as bad:
        raise ObservationError(bad.message) from bad
    intervals = {job.name: job.interval for job in loaded.jobs}
    jobs = {series.labels.get("job", "") for text in selectors for series in api.query(f"group by (job) ({text})")}
    of_jobs = [intervals[job] for job in jobs if job in intervals]
    return max(of_jobs) if of_jobs else min(intervals.values(), default=loaded.scrape_interval)


def _without_series(presence: Presence, rules: tuple[LoadedRule, ...]) -> tuple[str, ...]:
    """Return the selectors without series for want of which none of the rules can fire."""
    missing = presence.missing(rule.expr for rule in rules).values()
    return tuple(sorted({str(selector) for selectors in missing for selector in selectors})) if all(missing) else ()


def _due(api: Api, rules: tuple[LoadedRule, ...]) -> tuple[Texts, ...]:
    """Return the labels of the alerts that the next evaluation of quiet rules creates."""
    quiet = [rule for rule in rules if not rule.alerts and rule.health == "ok"]
    return tuple({**series.labels, **rule.labels} for rule in quiet for series in api.query(rule.expr))


def _labels(alert: ActiveAlert) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in sorted(alert.labels.items())) + "}"


def _line(alert: ActiveAlert) -> str:
    return f"{alert.name} {alert.state} since {alert.active_at} {_labels(alert)}"
