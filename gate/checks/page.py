"""Check that a notification of an alert arrived at a receiver of Alertmanager, and why not."""

from __future__ import annotations

import difflib
import json
import shlex
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, Struct

from gate.alertmanager.client import AlertmanagerError, Api, KnownAlert
from gate.alertmanager.config import Config
from gate.alertmanager.matchers import shown
from gate.alertmanager.routing import Route
from gate.checks.alert import Alert
from gate.checks.base import Attachment, Check, CheckResult, ObservationError, TargetName, base_url, errored, failed
from gate.checks.base import passed as passed_result
from gate.checks.context import CheckContext
from gate.checks.prometheus_queries import prometheus_client
from gate.core.messages import Message, join_messages, msg
from gate.core.override import override
from gate.core.strictness import stricter
from gate.decode.quantities import DurationSeconds, format_duration
from gate.matchers import TextMatcher, describe
from gate.redaction.secrets import redacted_head
from gate.staging.pages import Notification, PagedAlert, PageInbox

State = Literal["firing", "resolved"]
_SHOWN = 5
# Seconds between two requests for why a page did not arrive, and for the answers of Prometheus.
_DIAGNOSIS_INTERVAL = 1.0
_PROMETHEUS_TIMEOUT = 3.0


class Arrival(Struct, frozen=True):
    """The last news of one alert at one receiver."""

    receiver: str
    integration: str
    alert: PagedAlert
    at_unix: float
    raw: bytes


class Diagnosis(Struct, frozen=True):
    """What Alertmanager and Prometheus know of an alert whose page did not arrive."""

    alerts: tuple[KnownAlert, ...] = ()
    # By id of a silence, by fingerprint of an alert.
    silences: Mapping[str, str] = {}
    inhibitors: tuple[str, ...] = ()
    # The last line of Alertmanager's log about a notification that it could not deliver.
    delivery_error: str = ""
    # Why no Prometheus sends the alert, as far as is known.
    sender: Message | None = None


class Observation(Struct, frozen=True):
    """The pages of the alert that arrived at any receiver, the configuration, and a diagnosis if something is missing.

    `routes` are the routes of each alert that is known to Alertmanager, by its labels as text.
    """

    config: Config
    file: str
    pages: tuple[Arrival, ...] = ()
    diagnosis: Diagnosis | None = None
    muted: tuple[tuple[str, str], ...] = ()
    waiting: tuple[float, ...] = ()


class Page(Check[Observation]):
    """An alert, the receiver that has to be notified of it, and the state that the notification reports."""

    kind: ClassVar[str] = "page"
    summary: ClassVar[str] = "a notification of an alert arrived at a receiver of Alertmanager"

    target: Annotated[TargetName, Meta(description="The Alertmanager, a target with `pages`.", extra=stricter("never"))]
    alert: Annotated[
        str, Meta(min_length=1, description="The alert's name.", examples=["DatabaseDown"], extra=stricter("never"))
    ]
    receiver: Annotated[
        str,
        Meta(
            min_length=1,
            description="The receiver that is notified, as production's configuration names it.",
            examples=["pager"],
            extra=stricter("never"),
        ),
    ]
    state: Annotated[
        State, Meta(description="What the last notification reports: `firing` or `resolved`.", extra=stricter("never"))
    ] = "firing"
    labels: Annotated[
        dict[str, TextMatcher],
        Meta(min_length=1, description="Labels that the alert in the notification has.", extra=stricter("more")),
    ] = {}
    annotations: Annotated[
        dict[str, TextMatcher],
        Meta(min_length=1, description="Annotations that the alert in the notification has.", extra=stricter("more")),
    ] = {}
    only: Annotated[bool, Meta(description="Whether no other receiver may be notified.", extra=stricter("set"))] = False
    resolved: Annotated[
        bool,
        Meta(
            description="Whether a drill waits for the notification that the alert is resolved.", extra=stricter("set")
        ),
    ] = True
    resolved_within: Annotated[
        DurationSeconds | None,
        Meta(
            description="How long a drill waits for it after the revert; by default as long as for the page itself.",
            extra=stricter("lower"),
        ),
    ] = None
    prometheus: Annotated[
        TargetName | None,
        Meta(
            description="The Prometheus that sends the alert; by default those that other checks query.",
            extra=stricter("never"),
        ),
    ] = None

    @property
    def name(self) -> str:
        """Return the alert's name."""
        return self.alert

    @override
    def describe(self, context: CheckContext) -> str:
        return f"{self.target}: {self.alert} -> {self.receiver} ({self.state})"

    @override
    def reproduce_command(self, context: CheckContext) -> str:
        url = context.url(self.target, "/api/v2/alerts?filter=alertname%3D" + self.alert)
        return shlex.join(["curl", "-sS", url])

    @override
    def observe(self, context: CheckContext) -> Observation:
        inbox = self._inbox(context)
        pages = tuple(_last_pages(inbox.received, self.alert))
        config = inbox.config
        observation = Observation(config, inbox.file, pages)
        if self._receiver_problem(config, inbox.file) or self._arrived(pages):
            return observation
        diagnosis = self._diagnosis(context)
        routes = [route for alert in diagnosis.alerts for route in config.route.match(alert.labels)]
        now = datetime.now(UTC)
        muted = tuple((route.receiver, name) for route in routes for name in route.muted_by(config.intervals, now)[:1])
        waiting = tuple(route.group_wait for route in routes if route.receiver == self.receiver)
        return Observation(config, inbox.file, pages, diagnosis, muted, waiting)

    @override
    def judge(self, observation: Observation) -> CheckResult:
        if problem := self._receiver_problem(observation.config, observation.file):
            return failed(problem, final=True)
        arrived = self._arrived(observation.pages)
        if not arrived:
            return self._missing(observation)
        problems = list(self._problems(arrived, observation))
        evidence: dict[str, Any] = {
            "response": "\n".join(_line(page) for page in observation.pages[:20]),
            "attachments": tuple(
                Attachment(f"page-{number}.json", page.raw) for number, page in enumerate(arrived[:_SHOWN], 1)
            ),
        }
        if problems:
            return failed(join_messages(problems), **evidence)
        page = arrived[0]
        kinds = ", ".join(sorted({page.integration for page in arrived}))
        return passed_result(
            msg("{receiver} was notified by {kinds}: {alert} is {state} {labels}", receiver=self.receiver, kinds=kinds,
                alert=self.alert, state=self.state, labels=redacted_head(shown(page.alert.labels), 300)),
            **evidence,
        )  # fmt: skip

    def _receiver_problem(self, config: Config, file: str) -> Message | None:
        """Return why the receiver can never be notified, else None."""
        receiver = config.receiver(self.receiver)
        if receiver is None:
            names = [other.name for other in config.receivers]
            near = difflib.get_close_matches(self.receiver, names, n=1) or names[:10]
            return msg("{file} has no receiver {name}; it has {names}", file=file, name=self.receiver,
                       names=", ".join(near))  # fmt: skip
        if not receiver.integrations:
            return msg("{file}:{line}: the receiver {name} has no integration: it notifies nobody", file=file,
                       line=receiver.line, name=self.receiver)  # fmt: skip
        return None

    def _inbox(self, context: CheckContext) -> PageInbox:
        """Return what receives the pages. Raises ObservationError, and TargetDownError if the target is down."""
        base_url(context, self.target)
        inbox = context.targets[self.target].inbox
        if inbox is None:
            raise ObservationError(
                msg("{target} has no `pages`: its notifications go to people, not to the gate", target=self.target),
                advice=msg("Name production's file under the target: pages: {{config: alertmanager.yml}}"),
                final=True,
            )
        return inbox

    def _arrived(self, pages: Iterable[Arrival]) -> list[Arrival]:
        """Return the pages at the receiver that report the state, with the labels."""
        return [
            page
            for page in pages
            if page.receiver == self.receiver
            and page.alert.status == self.state
            and self._has_labels(page.alert.labels)
        ]

    def _has_labels(self, labels: Mapping[str, str]) -> bool:
        return all(wish.matches(labels.get(name, "")) for name, wish in self.labels.items())

    def _problems(self, arrived: list[Arrival], observation: Observation) -> Iterator[Message]:
        for name, wish in self.annotations.items():
            if found := wish.mismatch(arrived[0].alert.annotations.get(name, ""), f"annotation {name}"):
                yield found
        if not self.only:
            return
        others = {page.receiver for page in observation.pages} - {self.receiver}
        if others:
            yield msg("{others} was notified, too, expected only {receiver}", others=", ".join(sorted(others)),
                      receiver=self.receiver)  # fmt: skip
            return
        # Another receiver with a longer `group_wait` would only be notified later.
        routed = {route.receiver for page in arrived for route in observation.config.route.match(page.alert.labels)}
        if later := routed - {self.receiver}:
            yield msg("the alert is also routed to {others}, expected only {receiver}",
                      others=", ".join(sorted(later)), receiver=self.receiver)  # fmt: skip

    def _missing(self, observation: Observation) -> CheckResult:
        """Return the result without the page: the cause first."""
        causes = list(self._causes(observation))
        response = "\n".join(_line(page) for page in observation.pages[:20])
        diagnosis = observation.diagnosis or Diagnosis()
        known = "\n".join(f"Alertmanager: {shown(alert.labels)} {alert.status.state} -> "
                          f"{', '.join(alert.receiver_names)}" for alert in diagnosis.alerts[:20])  # fmt: skip
        if not causes:
            message = msg("{receiver} was not notified that {alert} is {state}", receiver=self.receiver,
                          alert=self.alert, state=self.state)  # fmt: skip
        else:
            message = msg("no page: {cause}", cause=join_messages(causes[:_SHOWN]))
        return failed(message, response=f"{response}\n{known}".strip())

    def _causes(self, observation: Observation) -> Iterator[Message]:
        """Yield why the page is missing, the first cause first."""
        diagnosis = observation.diagnosis or Diagnosis()
        here = [page for page in observation.pages if page.receiver == self.receiver]
        if others := [page for page in here if page.alert.status == self.state]:
            yield msg("the notification that arrived has {labels}, expected {wanted}",
                      labels=shown(others[0].alert.labels), wanted=self._wanted_labels())  # fmt: skip
            return
        alerts = [alert for alert in diagnosis.alerts if self._has_labels(alert.labels)]
        if not alerts and self.state == "firing":
            yield self._not_received(diagnosis)
            return
        muted = list(self._muted(alerts, observation, diagnosis))
        yield from muted
        if diagnosis.delivery_error:
            yield msg("delivery failed with: {error}", error=diagnosis.delivery_error)
        elif here and self.state == "resolved":
            yield msg("the last notification reports {state}; the next of the group can take its group_interval",
                      state=here[-1].alert.status)  # fmt: skip
        elif not muted and observation.waiting:
            yield msg("Alertmanager has it, and waits {time} (group_wait) before it notifies",
                      time=format_duration(min(observation.waiting)))  # fmt: skip

    def _not_received(self, diagnosis: Diagnosis) -> Message:
        if diagnosis.alerts:
            return msg("Alertmanager has it with {labels}, expected {wanted}",
                       labels=shown(diagnosis.alerts[0].labels), wanted=self._wanted_labels())  # fmt: skip
        return diagnosis.sender or msg("Alertmanager has not received the alert")

    def _muted(self, alerts: list[KnownAlert], observation: Observation, diagnosis: Diagnosis) -> Iterator[Message]:
        """Yield why Alertmanager does not notify the receiver of alerts that it has."""
        if alerts and not any(self.receiver in alert.receiver_names for alert in alerts):
            yield msg("{labels} is not routed to {receiver} but to {others}", labels=shown(alerts[0].labels),
                      receiver=self.receiver, others=", ".join(alerts[0].receiver_names))  # fmt: skip
        for alert in alerts:
            for number in alert.status.silenced_by[:1]:
                yield msg("silenced by {silence}", silence=diagnosis.silences.get(number, number))
            if alert.status.inhibited_by:
                yield msg("inhibited by {alerts}", alerts="; ".join(diagnosis.inhibitors)
                          or ", ".join(alert.status.inhibited_by))  # fmt: skip
        for receiver, name in observation.muted:
            if receiver == self.receiver:
                yield msg("muted by the time interval {name}", name=name)

    def _wanted_labels(self) -> str:
        return ", ".join(f"{name} {describe(wish.spec)}" for name, wish in self.labels.items())

    def _diagnosis(self, context: CheckContext) -> Diagnosis:
        """Return why the page is missing, asked at most once a second. Raises ObservationError."""

        def make() -> Diagnosis:
            return self._diagnose(context)

        key = ("page", self.target, self.alert, tuple(sorted(self.labels)))
        fresh = max(context.fresh_after - _DIAGNOSIS_INTERVAL, time.monotonic() - _DIAGNOSIS_INTERVAL)
        return context.memo.get(key, make, not_before=fresh, remaining=context.remaining())

    def _diagnose(self, context: CheckContext) -> Diagnosis:
        api = Api(context.url(self.target), context.deadline)
        try:
            alerts = api.alerts(self.alert)
            silences = {}
            for number in {number for alert in alerts for number in alert.status.silenced_by}:
                silence = api.silence(number)
                silences[number] = redacted_head(
                    f"{number} ({silence.text}), {silence.created_by}: {silence.comment}, until {silence.ends_at}", 300
                )
            fingerprints = [number for alert in alerts for number in alert.status.inhibited_by]
            inhibitors = api.inhibitors(fingerprints) if fingerprints else []
        except AlertmanagerError as error:
            raise ObservationError(error.message) from error
        sender = self._sender(context) if not alerts and self.state == "firing" else None
        return Diagnosis(tuple(alerts), silences, tuple(inhibitors), self._delivery_error(context), sender)

    def _delivery_error(self, context: CheckContext) -> str:
        """Return the last line of the log in which Alertmanager reports that a notification could not be delivered."""
        running = context.targets[self.target]
        log = running.process.log if running.process else running.container.log_tail if running.container else ""
        lines = [line for line in log.splitlines() if _is_delivery_error(line) and f"{self.receiver}/" in line]
        return redacted_head(_error_of(lines[-1]), 300) if lines else ""

    def _senders(self, context: CheckContext) -> tuple[str, ...]:
        return (self.prometheus,) if self.prometheus else context.prometheus_targets

    def _sender(self, context: CheckContext) -> Message | None:
        """Return why no Prometheus has sent the alert; None if that is not known."""
        reasons = []
        for name in self._senders(context):
            limited = context.with_deadline(min(context.deadline, time.monotonic() + _PROMETHEUS_TIMEOUT))
            try:
                with prometheus_client(limited, name) as api:
                    active = api.alertmanagers()
                    states = {alert.state for alert in api.alerts() if alert.name == self.alert}
            except ObservationError as error:
                reasons.append(msg("{target}: {why}", target=name, why=error.message))
                continue
            if not active:
                return msg("Prometheus ({target}) has no active Alertmanager", target=name)
            if "firing" in states:
                reasons.append(msg("Prometheus ({target}) fires it and sends it to {urls}", target=name,
                                   urls=", ".join(active[:_SHOWN])))  # fmt: skip
            else:
                state = "pending" if "pending" in states else "inactive"
                reasons.append(msg("the alert is {state} in Prometheus ({target})", state=state, target=name))
        return reasons[0] if reasons else None

    # The event that a drill waits for

    def is_event(self) -> bool:
        """Return whether it waits for a page, not for the resolved notification."""
        return self.state == "firing"

    def minimum_delay(self, context: CheckContext) -> tuple[float, Message] | None:
        """Return what the alert takes at least, and the `group_wait` of the route to the receiver."""
        if not self.is_event():
            return None
        inbox = self._inbox(context)
        if problem := self._receiver_problem(inbox.config, inbox.file):
            raise ObservationError(problem, final=True)
        least = None
        for name in self._senders(context):
            labels = self._rule_labels(context, name)
            if labels is None:
                continue
            least = Alert(target=name, name=self.alert, state=["firing"]).minimum_delay(context)
            break
        else:
            labels = {}
        known = {**labels, "alertname": self.alert, **self.literal_labels()}
        route = route_to(inbox.config, known, self.receiver)
        if route is None:
            raise ObservationError(
                msg("no route of {file} leads to {receiver}", file=inbox.file, receiver=self.receiver)
            )
        why = msg("group_wait {wait}", wait=format_duration(route.group_wait))
        if least is None:
            return route.group_wait, why
        return least[0] + route.group_wait, msg("{why}, {more}", why=least[1], more=why)

    def literal_labels(self) -> dict[str, str]:
        """Return the labels whose value is known."""
        return {name: wish.spec for name, wish in self.labels.items() if isinstance(wish.spec, str)}

    def _rule_labels(self, context: CheckContext, target: str) -> dict[str, str] | None:
        """Return the labels of the loaded rule of that name, without templates; None if it is not loaded there."""
        with prometheus_client(context, target) as api:
            rules = [rule for group in api.rules() for rule in group.rules if rule.alerting and rule.name == self.alert]
        return {name: text for name, text in rules[0].labels.items() if "{{" not in text} if rules else None

    def recovery_timeout(self) -> float | None:
        """Return the seconds within which the resolved notification must arrive; None for the drill's own limit."""
        return self.resolved_within

    def recovery_problem(self, context: CheckContext, timeout: float) -> Message | None:
        """Return why the resolved notification cannot arrive within a time; None if it can."""
        if self.postcondition() is None:
            return None
        inbox = self._inbox(context)
        receiver = inbox.config.receiver(self.receiver)
        if receiver is None or not receiver.integrations:
            return self._receiver_problem(inbox.config, inbox.file)
        if not receiver.sends_resolved:
            kinds = ", ".join(sorted({integration.kind for integration in receiver.integrations}))
            return msg("{file}:{line}: {receiver} sends no resolved notification (send_resolved of {kinds} is false);"
                       " set it, or write `resolved: false`", file=inbox.file, line=receiver.line,
                       receiver=self.receiver, kinds=kinds)  # fmt: skip
        intervals = [route.group_interval for route in inbox.config.route.walk() if route.receiver == self.receiver]
        least = min(intervals, default=0.0)
        if least <= timeout:
            return None
        return msg("the resolved notification can take {interval} (group_interval), longer than {timeout}; set"
                   " `resolved_within`, or `resolved: false`", interval=format_duration(least),
                   timeout=format_duration(timeout))  # fmt: skip

    def precondition(self) -> Check[Any] | None:
        """Return the check that the alert is not paged already."""
        return NotPaged(target=self.target, alert=self.alert, receiver=self.receiver, labels=self.labels)

    def postcondition(self) -> Check[Any] | None:
        """Return the check that the resolved notification arrives."""
        if not self.is_event() or not self.resolved:
            return None
        return self.replace(state="resolved", only=False, annotations={})


class NotPaged(Page):
    """The check before a drill: no page of the alert is open."""

    @override
    def observe(self, context: CheckContext) -> Observation:
        inbox = self._inbox(context)
        return Observation(inbox.config, inbox.file, tuple(_last_pages(inbox.received, self.alert)))

    @override
    def judge(self, observation: Observation) -> CheckResult:
        if problem := self._receiver_problem(observation.config, observation.file):
            return failed(problem, final=True)
        if arrived := self._arrived(observation.pages):
            return errored(msg("{receiver} has been notified already that {alert} is firing", receiver=self.receiver,
                               alert=self.alert), response=_line(arrived[0]))  # fmt: skip
        return passed_result(msg("{receiver} was not notified of {alert}", receiver=self.receiver, alert=self.alert))


def route_to(config: Config, labels: Mapping[str, str], receiver: str) -> Route | None:
    """Return the route with the shortest `group_wait` that notifies the receiver; None if no route leads to it.

    Labels that are not known can lead elsewhere: then every route to the receiver counts.
    """
    found = [route for route in config.route.match(labels) if route.receiver == receiver]
    found = found or [route for route in config.route.walk() if route.receiver == receiver]
    return min(found, key=lambda route: route.group_wait, default=None)


def _last_pages(received: Iterable[Notification], name: str) -> Iterator[Arrival]:
    """Yield the last news of each alert of a name, by receiver, integration and labels."""
    last: dict[tuple[str, str, str], Arrival] = {}
    for notification in received:
        for alert in notification.alerts:
            if alert.labels.get("alertname") == name:
                key = notification.receiver, notification.integration, json.dumps(alert.labels, sort_keys=True)
                last.pop(key, None)
                last[key] = Arrival(
                    notification.receiver, notification.integration, alert, notification.at_unix, notification.raw
                )
    yield from last.values()


def _line(page: Arrival) -> str:
    at = datetime.fromtimestamp(page.at_unix, UTC).strftime("%H:%M:%S")
    return (
        f"{at} {page.receiver} ({page.integration}): {page.alert.status} {redacted_head(shown(page.alert.labels), 500)}"
    )


def _is_delivery_error(line: str) -> bool:
    return "Notify for alerts failed" in line or "Notify attempt failed" in line


def _error_of(line: str) -> str:
    _, found, error = line.partition('err="')
    return error.rstrip('"') if found else line
