"""Test reading an alertmanager.yml: mistakes with their place, matchers, routes, time intervals, inhibition."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from gate.alertmanager.config import Config, parse_config
from gate.alertmanager.matchers import InvalidMatcherError, parse_matchers
from gate.prometheus.config import InvalidConfigError, Surroundings

_BASE = "route: {receiver: default, routes: [%s]}\nreceivers: [{name: default}, {name: pager}]\n%s"


def config(routes: str = "", more: str = "") -> Config:
    """Return a configuration with some routes and more keys."""
    return parse_config((_BASE % (routes, more)).encode())


@pytest.mark.parametrize(
    ("text", "place", "why"),
    [
        ("", (1, 1), "'route' is missing or empty"),
        ("route: {receiver: x}", (1, 19), "There is no receiver x; there are -"),
        ("route: {}\nreceivers: []", (1, 8), "The first route needs a 'receiver'"),
        ("route: {receiver: a, matchers: [b=c]}\nreceivers: [{name: a}]", (1, 22), "takes no 'matchers'"),
        ("route: {receiver: a, continue: true}\nreceivers: [{name: a}]", (1, 22), "takes no 'continue'"),
        ("route: {receiver: a, recever: b}\nreceivers: [{name: a}]", (1, 22), "did you mean 'receiver'?"),
        ("route: {receiver: a}\nreceivers: [{name: a}, {name: a}]", (2, 25), "duplicate name a"),
        ("route: {receiver: a}\nreceivers: [{name: a, slack_configs: [{channel: x}]}]", (2, 39), "slack_api_url"),
        ("route: {receiver: a}\nreceivers: [{name: a, pagerduty_configs: [{}]}]", (2, 43), "routing_key"),
        ("route: {receiver: a}\nreceivers: [{name: a, webhook_configs: [{url: ftp://x}]}]", (2, 47), "http://"),
        ("route: {receiver: a, group_wait: 5}\nreceivers: [{name: a}]", (1, 34), "5 is not a duration"),
        ("route: {receiver: a, group_by: [a, a]}\nreceivers: [{name: a}]", (1, 36), "a is listed twice"),
    ],
)
def test_mistakes(text: str, place: tuple[int, int], why: str) -> None:
    """A mistake is reported with its line and column."""
    with pytest.raises(InvalidConfigError) as caught:
        parse_config(text.encode())
    assert (caught.value.line, caught.value.column) == place
    assert why in str(caught.value.message)


def test_hostile_files() -> None:
    """A file that is nested without end, or an alias of itself, is an error."""
    for text in (
        "route: " + "{routes: [" * 3000 + "]}" * 3000,
        "&a {route: *a}",
        "route: &r {receiver: d, routes: [*r]}",
    ):
        with pytest.raises(InvalidConfigError):
            parse_config(text.encode())


def test_templates(tmp_path: Path) -> None:
    """A template that does not parse makes the configuration invalid; one outside of the checkout is named."""
    text = b"route: {receiver: a}\nreceivers: [{name: a}]\ntemplates: ['t/*.tmpl', /etc/alertmanager/*.tmpl]\n"
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "a.tmpl").write_text('{{ define "x" }}{{ .Status | toUpper }}{{ end }}')
    around = Surroundings(tmp_path, tmp_path.resolve())
    assert parse_config(text, around).unseen == ("/etc/alertmanager/*.tmpl",)
    (tmp_path / "t" / "b.tmpl").write_text("one\n{{ .Status | toShout }}")
    with pytest.raises(InvalidConfigError) as caught:
        parse_config(text, around)
    assert (caught.value.file, caught.value.line) == ("t/b.tmpl", 2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=b", ['a="b"']),
        ('{a="b", c=~"d|e",}', ['a="b"', 'c=~"d|e"']),
        ("a=b,c!=d", ['a="b"', 'c!="d"']),
        ("a=", ['a=""']),
        ('a="b\\"c"', ['a="b\\"c"']),
        # The old parser keeps the backslash, and its meaning holds.
        ('a="b\\c"', ['a="b\\\\c"']),
        ('"sp ace"="x"', ['"sp ace"="x"']),
        ("é=x", ['é="x"']),
        ("", []),
    ],
)
def test_matchers(text: str, expected: list[str]) -> None:
    """Matchers are parsed in the old and in the new syntax."""
    assert [str(matcher) for matcher in parse_matchers(text)] == expected


@pytest.mark.parametrize("text", ["a", "a==b", "=b", "{a=b", "a=~[", 'a="b', "a=b,,c=d", '"a"b=c'])
def test_bad_matchers(text: str) -> None:
    """What neither parser takes is an error, except that the old one forgives a missing brace."""
    if text == "{a=b":
        assert [str(matcher) for matcher in parse_matchers(text)] == ['a="b"']
        return
    if text == "a==b":
        assert [str(matcher) for matcher in parse_matchers(text)] == ['a="=b"']
        return
    with pytest.raises(InvalidMatcherError):
        parse_matchers(text)


def test_routes_inherit() -> None:
    """A route inherits the receiver, the grouping and the timing of its parent."""
    found = config("{matchers: [a=b], group_wait: 5s, group_by: ['...'], routes: [{match: {c: d}, receiver: pager}]}")
    (route,) = found.route.match({"a": "b", "c": "d"})
    assert (route.receiver, route.group_wait, route.group_interval, route.group_by) == ("pager", 5, 300, None)
    assert found.route.match({"a": "b"})[0].receiver == "default"
    assert found.route.match({"c": "d"}) == [found.route]


def test_continue() -> None:
    """After a route with `continue`, the next ones are tried, too."""
    found = config("{matchers: [a=b], receiver: pager, continue: true}, {match_re: {a: b|c}, receiver: default}")
    assert [route.receiver for route in found.route.match({"a": "b"})] == ["pager", "default"]
    assert [route.receiver for route in found.route.match({"a": "bb"})] == ["default"]


@pytest.mark.parametrize(
    ("interval", "moment", "inside"),
    [
        ("{weekdays: ['monday:friday']}", "2026-12-04T12:00:00+00:00", True),
        ("{weekdays: ['monday:friday']}", "2026-12-05T12:00:00+00:00", False),
        ("{weekdays: [sunday]}", "2026-12-06T00:00:00+00:00", True),
        ("{times: [{start_time: '08:00', end_time: '17:00'}]}", "2026-12-04T16:59:59+00:00", True),
        ("{times: [{start_time: '08:00', end_time: '17:00'}]}", "2026-12-04T17:00:00+00:00", False),
        (
            "{times: [{start_time: '08:00', end_time: '17:00'}], location: Asia/Tokyo}",
            "2026-12-04T23:30:00+00:00",
            True,
        ),
        ("{days_of_month: ['-1']}", "2026-02-28T12:00:00+00:00", True),
        ("{days_of_month: ['30:31']}", "2026-02-28T12:00:00+00:00", False),
        ("{months: ['december:12']}", "2026-12-04T12:00:00+00:00", True),
        ("{years: ['2020:2025']}", "2026-12-04T12:00:00+00:00", False),
        ("{times: []}", "2026-12-04T12:00:00+00:00", False),
        ("{}", "2026-12-04T12:00:00+00:00", True),
    ],
)
def test_time_intervals(interval: str, moment: str, inside: bool) -> None:
    """A route is muted inside of a mute time interval, and outside of an active one."""
    at = datetime.fromisoformat(moment)
    more = f"time_intervals: [{{name: t, time_intervals: [{interval}]}}]"
    for key, muted in (("mute_time_intervals", inside), ("active_time_intervals", not inside)):
        found = config(f"{{matchers: [a=b], {key}: [t]}}", more)
        assert bool(found.route.match({"a": "b"})[0].muted_by(found.intervals, at)) is muted


def test_inhibition() -> None:
    """An alert inhibits those with equal labels; one that matches both sides inhibits none like it."""
    (rule,) = config(
        "", "inhibit_rules: [{source_matchers: [severity=critical], target_match_re: {severity: .+}, equal: [job]}]"
    ).inhibit_rules
    assert rule.inhibits({"severity": "critical", "job": "a"}, {"severity": "warning", "job": "a"})
    assert not rule.inhibits({"severity": "critical", "job": "a"}, {"severity": "warning", "job": "b"})
    assert not rule.inhibits({"severity": "warning"}, {"severity": "warning"})
    assert not rule.inhibits({"severity": "critical"}, {"severity": "critical"})


def test_send_resolved() -> None:
    """Each kind of integration has its own default for `send_resolved`."""
    text = """
route: {receiver: a}
receivers:
- {name: a, pagerduty_configs: [{routing_key: k}]}
- {name: b, slack_configs: [{api_url: "http://x/"}]}
- {name: c, slack_configs: [{api_url: "http://x/", send_resolved: true}]}
- {name: d}
"""
    found = {receiver.name: receiver.sends_resolved for receiver in parse_config(text.encode()).receivers}
    assert found == {"a": True, "b": False, "c": True, "d": False}
