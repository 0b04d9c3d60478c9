"""Parse an alertmanager.yml as Alertmanager does, and its templates as `amtool check-config` does.

https://prometheus.io/docs/alertmanager/latest/configuration/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct

from gate.alertmanager import schema, templates
from gate.alertmanager.matchers import Matcher, all_match
from gate.alertmanager.matchers import matcher as make_matcher
from gate.alertmanager.routing import Route
from gate.alertmanager.time_intervals import TimeInterval, parse_time
from gate.core.messages import Message, msg
from gate.prometheus.config import InvalidConfigError, Surroundings
from gate.prometheus.goyaml import Decoder, Problem, Values
from gate.prometheus.releases import Release
from gate.prometheus.yaml_tree import FILE_LIMIT, Node, Scalar, YamlSyntaxError, parse

# The version of Alertmanager whose configuration is read.
VERSION = "0.33"
# The release of Prometheus with the same settings for HTTP clients: both use prometheus/common 0.67.
_RELEASE = Release((3, 10))
# Seconds that Alertmanager waits before the first notification of a group, between two of a group, and between two of
# the same alerts.
_GROUP_WAIT, _GROUP_INTERVAL, _REPEAT_INTERVAL = 30.0, 300.0, 4 * 3600.0


class Integration(Struct, frozen=True):
    """Describe one way in which a receiver notifies somebody: `pagerduty`, `slack`, ..."""

    kind: str
    send_resolved: bool
    line: int


class Receiver(Struct, frozen=True):
    """Represent a receiver. Without integrations it notifies nobody."""

    name: str
    line: int
    integrations: tuple[Integration, ...] = ()

    @property
    def sends_resolved(self) -> bool:
        """Return whether it notifies somebody that an alert is resolved."""
        return any(integration.send_resolved for integration in self.integrations)


class InhibitionRule(Struct, frozen=True):
    """While an alert that matches `source` fires, alerts that match `target` are muted if `equal` labels agree."""

    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...]
    line: int
    name: str = ""

    def inhibits(self, source: dict[str, str], target: dict[str, str]) -> bool:
        """Return whether a firing alert mutes another one. An alert that matches both sides mutes no other such."""
        return (
            all_match(self.source, source)
            and all_match(self.target, target)
            and all(source.get(name, "") == target.get(name, "") for name in self.equal)
            and not (all_match(self.target, source) and all_match(self.source, target))
        )


class Config(Struct, frozen=True):
    """Represent an alertmanager.yml. `unseen` are templates outside of the checkout; `document` is the decoded file."""

    route: Route
    receivers: tuple[Receiver, ...]
    inhibit_rules: tuple[InhibitionRule, ...]
    intervals: dict[str, tuple[TimeInterval, ...]]
    document: Values
    unseen: tuple[str, ...] = ()

    def receiver(self, name: str) -> Receiver | None:
        """Return the receiver of that name, if there is one."""
        return next((receiver for receiver in self.receivers if receiver.name == name), None)


def parse_config(raw: bytes, surroundings: Surroundings | None = None) -> Config:
    """Parse an alertmanager.yml, and its templates if `surroundings` is given. Raise InvalidConfigError."""
    decoder = Decoder(_RELEASE, 2)
    try:
        if len(raw) > FILE_LIMIT:
            raise InvalidConfigError(msg("The file is larger than 32 MiB"), 1)
        top = decoder.decode(parse(raw) or Scalar("", True, 1, 1), schema.FILE)
        _raise_first(decoder.problems)
        _check_document(top, decoder)
        _raise_first(decoder.problems)
        config = _config(top)
    except YamlSyntaxError as error:
        raise InvalidConfigError(error.message, error.line, error.column) from None
    except RecursionError:
        raise InvalidConfigError(msg("The file is nested too deeply"), 1) from None
    if surroundings is None:
        return config
    return Config(
        config.route, config.receivers, config.inhibit_rules, config.intervals, top,
        unseen=tuple(_check_templates(top, surroundings)),
    )  # fmt: skip


def _raise_first(problems: list[Problem]) -> None:
    if problems:
        first = min(problems, key=lambda problem: (problem.line, problem.column))
        raise InvalidConfigError(first.reason, first.line, first.column)


def _check_document(top: Values, decoder: Decoder) -> None:
    """Add a problem for each mistake between two parts of the file."""
    route = top["route"]
    if route is None:
        decoder.problem(top.at("route"), msg("'{key}' is missing or empty", key="route"))
        return
    settings = top["global"] if top["global"] is not None else Values(top.node, schema.GLOBAL.defaults)
    _unique(top, "receivers", decoder)
    for receiver in top["receivers"] or ():
        for key in schema.INTEGRATIONS:
            entries = receiver[key]
            for at, entry in enumerate(entries or ()):
                if why := schema.missing_defaults(key, entry, settings):
                    decoder.problem(entries.nodes[at], why)
    if not route["receiver"]:
        decoder.problem(route.at("receiver"), msg("The first route needs a 'receiver'"))
    for key in ("match", "match_re", "matchers", "mute_time_intervals", "active_time_intervals"):
        if route[key]:
            decoder.problem(route.at(key), msg("The first route takes no '{key}': it is the fallback", key=key))
    if route["continue"]:
        decoder.problem(route.at("continue"), msg("The first route takes no '{key}': it is the fallback",
                                                  key="continue"))  # fmt: skip
    names = {interval["name"] for key in _INTERVALS for interval in top[key] or ()}
    _unique(top, "mute_time_intervals", decoder)
    _unique(top, "time_intervals", decoder, {interval["name"] for interval in top[_INTERVALS[0]] or ()})
    _check_references(route, {receiver["name"] for receiver in top["receivers"] or ()}, names, decoder)


_INTERVALS = ("mute_time_intervals", "time_intervals")


def _unique(top: Values, key: str, decoder: Decoder, taken: Iterable[str] = ()) -> None:
    names = set(taken)
    for entry in top[key] or ():
        if entry["name"] in names:
            decoder.problem(entry.at("name"), msg("{what}: duplicate name {name}", what=key, name=entry["name"]))
        names.add(entry["name"])


def _check_references(route: Values, receivers: set[str], intervals: set[str], decoder: Decoder) -> None:
    if route["receiver"] and route["receiver"] not in receivers:
        decoder.problem(route.values_at["receiver"], msg(
            "There is no receiver {name}; there are {names}", name=route["receiver"],
            names=", ".join(sorted(receivers)) or "-"))  # fmt: skip
    for key in ("active_time_intervals", "mute_time_intervals"):
        for at, name in enumerate(route[key] or ()):
            if name not in intervals:
                decoder.problem(route[key].nodes[at], msg(
                    "There is no time interval {name}; there are {names}", name=name,
                    names=", ".join(sorted(intervals)) or "-"))  # fmt: skip
    for child in route["routes"] or ():
        _check_references(child, receivers, intervals, decoder)


def _check_templates(top: Values, surroundings: Surroundings) -> Iterator[str]:
    """Raise InvalidConfigError for the first template that is not valid. Yield those outside of the checkout."""
    for at, pattern in enumerate(top["templates"] or ()):
        node = top["templates"].nodes[at]
        try:
            paths = surroundings.glob(pattern)
        except ValueError:
            message = msg("{path} is not a valid pattern", path=pattern)
            raise InvalidConfigError(message, node.line, node.column) from None
        if paths is None:
            yield pattern
        for path in paths or ():
            _check_template(path, surroundings.root, node)


def _check_template(path: Path, root: Path, node: Node) -> None:
    name = str(path.resolve().relative_to(root)) if root in path.resolve().parents else str(path)
    try:
        with path.open("rb") as file:
            text = file.read(FILE_LIMIT).decode("utf-8", "surrogateescape")
    except OSError as error:
        message = msg("{path} cannot be read: {why}", path=name, why=error.strerror or "")
        raise InvalidConfigError(message, node.line, node.column) from None
    if found := templates.find_error(text):
        before = text[: found[1]]
        column = len(before) - before.rfind("\n")
        raise InvalidConfigError(found[0], before.count("\n") + 1, column, name)


def _config(top: Values) -> Config:
    intervals = {
        entry["name"]: tuple(_interval(each) for each in entry["time_intervals"] or ())
        for key in _INTERVALS
        for entry in top[key] or ()
    }
    root = Route(receiver="", group_wait=_GROUP_WAIT, group_interval=_GROUP_INTERVAL, repeat_interval=_REPEAT_INTERVAL)
    return Config(
        route=_route(top["route"], root),
        receivers=tuple(map(_receiver, top["receivers"] or ())),
        inhibit_rules=tuple(map(_inhibition, top["inhibit_rules"] or ())),
        intervals=intervals,
        document=top,
    )


def _receiver(values: Values) -> Receiver:
    integrations = tuple(
        Integration(
            key.removesuffix("_configs"),
            bool(entry["send_resolved"]),
            values[key].nodes[at].line,
        )
        for key in schema.INTEGRATIONS
        for at, entry in enumerate(values[key] or ())
    )
    return Receiver(values["name"], values.node.line, integrations)


def _matchers(values: Values, prefix: str = "") -> tuple[Matcher, ...]:
    """Return the matchers of the three keys that hold some."""
    found = [make_matcher(name, "=", text) for name, text in (values[f"{prefix}match"] or {}).items()]
    found += [make_matcher(name, "=~", text) for name, text in (values[f"{prefix}match_re"] or {}).items()]
    return tuple(sorted([*found, *(values[f"{prefix}matchers"] or ())], key=_order))


def _order(matcher: Matcher) -> tuple[str, str, int]:
    return matcher.name, matcher.value, ("=", "!=", "=~", "!~").index(matcher.operator)


def _route(values: Values, parent: Route) -> Route:
    """Return a route with the settings that it inherits."""
    names = values["group_by"]
    group_by: tuple[str, ...] | None = parent.group_by
    if names is not None and "..." in names:
        group_by = None
    elif names is not None:
        group_by = tuple(names)
    route = Route(
        receiver=values["receiver"] or parent.receiver,
        group_wait=_inherited(values["group_wait"], parent.group_wait),
        group_interval=_inherited(values["group_interval"], parent.group_interval),
        repeat_interval=_inherited(values["repeat_interval"], parent.repeat_interval),
        matchers=_matchers(values),
        continues=bool(values["continue"]),
        group_by=group_by,
        mute=tuple(values["mute_time_intervals"] or ()),
        active=tuple(values["active_time_intervals"] or ()),
        line=values.node.line,
    )
    return route.with_routes(tuple(_route(child, route) for child in values["routes"] or ()))


def _inherited(own: float | None, inherited: float) -> float:
    return inherited if own is None else own


def _inhibition(values: Values) -> InhibitionRule:
    return InhibitionRule(
        source=_matchers(values, "source_"),
        target=_matchers(values, "target_"),
        equal=tuple(values["equal"] or ()),
        line=values.node.line,
        name=values["name"],
    )


def _interval(values: Values) -> TimeInterval:
    times = values["times"]
    return TimeInterval(
        times=None if times is None else tuple(_minutes(each) for each in times),
        **{key: None if values[key] is None else tuple(values[key]) for key in _RANGES},
        location=values["location"],
    )


_RANGES = ("weekdays", "days_of_month", "months", "years")


def _minutes(values: Values) -> tuple[int, int]:
    return parse_time(values["start_time"]), parse_time(values["end_time"])


def inhibition_message(rule: InhibitionRule) -> Message:
    """Return how a rule is named in messages: its name, or its line."""
    return msg("{name}", name=rule.name) if rule.name else msg("line {line}", line=rule.line)
