"""Check that an Alertmanager configuration is valid and routes label sets to the right receivers."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from msgspec import Meta

from gate.alertmanager.config import Config, inhibition_message
from gate.alertmanager.matchers import go_quote, shown
from gate.alertmanager.routing import Route
from gate.checks._alertmanager import ReadConfig, read_config
from gate.checks.base import Check, CheckResult, failed, passed
from gate.checks.context import CheckContext
from gate.core.messages import Message, join_messages, msg
from gate.core.override import override
from gate.core.strictness import stricter
from gate.decode.structs import custom_type
from gate.model import CheckoutPath, FrozenStruct, Location, NonEmptyStr

_SHOWN = 5
# Routes of a file that the evidence lists.
_ROUTES = 200


def _moment(value: Any) -> datetime:
    if isinstance(value, datetime):
        moment = value
    else:
        try:
            moment = datetime.fromisoformat(value)
        except (TypeError, ValueError):
            raise ValueError("expected a moment with its time zone, such as 2026-12-24T22:00:00+01:00") from None
    if moment.tzinfo is None:
        raise ValueError("expected a moment with its time zone, such as 2026-12-24T22:00:00+01:00")
    return moment


if TYPE_CHECKING:
    Moment = datetime
else:
    Moment = custom_type(_moment, {"type": "string", "format": "date-time"})


class ExpectedRoute(FrozenStruct):
    """The receivers that are notified of an alert with some labels."""

    labels: Annotated[
        dict[NonEmptyStr, str],
        Meta(description="The labels of the alert.", examples=[{"severity": "critical"}], extra=stricter("never")),
    ]
    receivers: Annotated[
        list[NonEmptyStr],
        Meta(
            description="The receivers that it is routed to, and no other.",
            examples=[["pager"]],
            extra=stricter("never"),
        ),
    ]
    at: Annotated[
        Moment | None,
        Meta(
            description="A moment: routes that a time interval mutes then have no receiver.",
            examples=["2026-12-24T22:00:00+01:00"],
            extra=stricter("never"),
        ),
    ] = None
    firing: Annotated[
        list[dict[NonEmptyStr, str]],
        Meta(
            min_length=1,
            description="The labels of other alerts that fire: one that they inhibit has no receiver.",
            examples=[[{"alertname": "DatabaseDown"}]],
            extra=stricter("never"),
        ),
    ] = []

    def __post_init__(self) -> None:
        if not self.receivers and self.at is None and not self.firing:
            raise ValueError("expected a receiver: only 'at' and 'firing' can keep an alert from all of them")


class Routes(Check[ReadConfig]):
    """A file, and where its routes lead."""

    kind: ClassVar[str] = "routes"
    summary: ClassVar[str] = "an Alertmanager configuration is valid and routes label sets to the right receivers"

    file: Annotated[
        CheckoutPath,
        Meta(
            description="The alertmanager.yml.",
            examples=["ops/alertmanager/alertmanager.yml"],
            extra=stricter("never"),
        ),
    ]
    expect: Annotated[
        list[ExpectedRoute],
        Meta(
            min_length=1,
            description="Label sets, and the receivers of each; without any, the file must be valid.",
            extra=stricter("more"),
        ),
    ] = []

    @override
    def describe(self, context: CheckContext) -> str:
        return self.file

    @override
    def reproduce_command(self, context: CheckContext) -> str:
        file = shlex.quote(self.file)
        commands = [f"amtool check-config {file}"]
        for wish in self.expect:
            labels = " ".join(shlex.quote(f"{_label(name)}={go_quote(value)}") for name, value in wish.labels.items())
            commands.append(f"amtool config routes test --config.file={file} {labels}".rstrip())
        return " && ".join(commands)

    @override
    def observe(self, context: CheckContext) -> ReadConfig:
        return read_config(context, self.file)

    @override
    def judge(self, observation: ReadConfig) -> CheckResult:
        if found := observation.problem(self.file):
            return failed(found[0], locations=found[1])
        config = observation.config
        assert config is not None
        problems = [problem for wish in self.expect for problem in _problems(wish, config, observation)]
        response = _listing(config)
        if problems:
            messages = [msg("{place}: {reason}", place=str(place), reason=reason) for place, reason in problems]
            places = tuple(place for place, _ in problems)
            return failed(join_messages(messages[:_SHOWN]), response=response, locations=places)
        start = observation.at(config.route.line)
        proof = msg("{file}: valid; receivers: {receivers}, routes: {routes}", file=observation.path,
                    receivers=len(config.receivers), routes=sum(1 for _ in config.route.walk()))  # fmt: skip
        if self.expect:
            proof = msg("{proof}; label sets routed as expected: {count}", proof=proof, count=len(self.expect))
        if config.unseen:
            proof = msg("{proof}; not checked, outside of the checkout: {paths}", proof=proof,
                        paths=", ".join(config.unseen[:_SHOWN]))  # fmt: skip
        return passed(proof, response=response, locations=(start,))


def _label(name: str) -> str:
    return name if name.isascii() and name.isidentifier() else go_quote(name)


def _problems(wish: ExpectedRoute, config: Config, file: ReadConfig) -> Iterator[tuple[Location, Message]]:
    """Yield why an alert does not reach exactly the expected receivers, each with the route that decides it."""
    names = [receiver.name for receiver in config.receivers]
    for name in wish.receivers:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1) or names[:10]
            yield file.at(config.route.line), msg("there is no receiver {name}; there are {names}", name=name,
                                                  names=", ".join(near))  # fmt: skip
            return
    routes = config.route.match(wish.labels)
    inhibited = _inhibition(wish, config)
    reached = [route for route in routes if inhibited is None and not _muted(route, wish, config)]
    if {route.receiver for route in reached} == set(wish.receivers):
        return
    wrong = next((route for route in routes if route.receiver not in wish.receivers), routes[0])
    reason = msg("{labels} is routed to {receivers}, expected {wanted}", labels=shown(wish.labels),
                 receivers=", ".join(dict.fromkeys(route.receiver for route in routes)),
                 wanted=", ".join(wish.receivers) or msg("no receiver"))  # fmt: skip
    if inhibited is not None:
        line, why = inhibited
        yield file.at(line), msg("{reason}; {why}", reason=reason, why=why)
        return
    muted = [(route, name) for route in routes for name in _muted(route, wish, config)[:1]]
    for route, name in muted:
        reason = msg("{reason}; the route to {receiver} is muted by the time interval {name}", reason=reason,
                     receiver=route.receiver, name=name)  # fmt: skip
    yield file.at(muted[0][0].line if muted else wrong.line), reason


def _muted(route: Route, wish: ExpectedRoute, config: Config) -> tuple[str, ...]:
    return route.muted_by(config.intervals, wish.at.astimezone(UTC)) if wish.at is not None else ()


def _inhibition(wish: ExpectedRoute, config: Config) -> tuple[int, Message] | None:
    """Return the line of the rule that inhibits the alert, and by which other alert; None if none does."""
    for rule in config.inhibit_rules:
        for other in wish.firing:
            if rule.inhibits(other, wish.labels):
                why = msg("it is inhibited by {other} ({rule})", other=shown(other), rule=inhibition_message(rule))
                return rule.line, why
    return None


def _listing(config: Config) -> str:
    """Return the routing tree as text, one route in a line."""
    lines: list[str] = []

    def add(route: Route, depth: int) -> None:
        if len(lines) < _ROUTES:
            matchers = ", ".join(map(str, route.matchers)) or "*"
            more = " (continue)" if route.continues else ""
            lines.append(f"{route.line}: {'  ' * depth}{matchers} -> {route.receiver}{more}")
            for child in route.routes:
                add(child, depth + 1)

    add(config.route, 0)
    return "\n".join(lines)
