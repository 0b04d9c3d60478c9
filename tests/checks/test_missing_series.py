"""Which missing series keep an expression from ever returning a sample, without and with a real Prometheus."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest

from gate.checks.prometheus_queries import Presence
from gate.prometheus.client import Api, LoadedGroup, LoadedRule, PrometheusError
from gate.prometheus.missing_series import Matcher, Selector, missing_selectors, required_selectors
from tests.support.services import Service, prometheus_running

CONFIG = """
global: {scrape_interval: 1s, evaluation_interval: 1s}
scrape_configs:
  - job_name: self
    static_configs: [{targets: ["%s"]}]
"""


def has(selector: Selector) -> bool:
    """Only `up` and what begins with x have series, and only of job self."""
    named = selector.names("up") or selector.names("x") or selector.names("x.y")
    return named and all(matcher.matches("self") for matcher in selector.matchers if matcher.label == "job")


@pytest.mark.parametrize(
    ("expression", "lacks"),
    [
        ("up == 0", []),
        ('up{job="self"} == 0', []),
        ('up{job="slef"} == 0', ['up{job="slef"}']),
        ('up{job=~"s.*",} == 0', []),
        ('up{job!~"s.*"} == 0', ['up{job!~"s.*"}']),
        ('{__name__=~"u.", job="slef"} == 0', ['{__name__=~"u.", job="slef"}']),
        ('{"x.y"} == 0', []),
        ('{"x.y", job="slef"} == 0', ['{"x.y", job="slef"}']),
        # Either side of `or` is enough, both sides of `and` and the left one of `unless` are needed.
        ("up == 0 or nope > 5", []),
        ("nope > 5 or up == 0", []),
        ("nope > 5 or nope2 > 5", ["nope", "nope2"]),
        ("up AND nope", ["nope"]),
        ("nope and up", ["nope"]),
        ("up unless nope", []),
        ("nope unless up", ["nope"]),
        ("up == 0 or up and nope", []),
        ("(up == 0 or up) and nope", ["nope"]),
        # What absent() reads need not be there.
        ("absent(nope)", []),
        ("nope == 0 or absent(nope)", []),
        ('absent_over_time(nope{job="a"}[5m]) and up', []),
        ("absent(nope) and nope2", ["nope2"]),
        # Constants have the value that they have.
        ("(count(nope) or vector(0)) < 1", []),
        ("(sum(rate(nope[5m])) or vector(0)) > 5", ["nope"]),
        ("(sum(nope) or vector(0)) / sum(up) > 0.05", ["nope"]),
        ("100 * (sum(nope) or vector(0)) / sum(up) > 5", ["nope"]),
        ("1 - (sum(nope) or vector(0)) / sum(up) < 0.5", ["nope"]),
        ("1 - (sum(nope) or vector(0)) / sum(up) > 0.5", []),
        ("vector(1) > 0x0 and nope", ["nope"]),
        ("(nope or vector(5e-1)) > 1", ["nope"]),
        ("(nope or vector(5m)) > 299", []),
        ("(nope or -vector(2)) < -1", []),
        ("(nope or vector(2)) > 1 unless up", []),
        ("1 < (nope or vector(2))", []),
        ("2 < (nope or vector(2))", ["nope"]),
        ("label_replace(nope or vector(1), 'a', 'b', '', '') > 1", ["nope"]),
        # An expression that constants alone keep from firing lacks no series.
        ("vector(1) == 0", []),
        ("vector(1) == 0 and nope", []),
        # scalar() of nothing is NaN, which compares with nothing but !=.
        ("up > scalar(nope)", ["nope"]),
        ("up != scalar(nope)", []),
        ("up > 2 * scalar(nope)", ["nope"]),
        ("up > bool scalar(nope)", []),
        ("vector(scalar(nope)) > 1", ["nope"]),
        ("vector(scalar(nope or vector(2))) > 1", []),
        # Functions, aggregations, arithmetic and matching need what they read.
        ("sum by (job) (rate(nope[5m])) > 0", ["nope"]),
        ("sum(rate(x[5m])) by (job) / on (job) group_left (a, b) sum(nope) by (job) > 0.1", ["nope"]),
        ("histogram_quantile(0.9, sum by (le) (rate(nope{a=~'b|c'}[5m]))) > 1", ["nope{a=~'b|c'}"]),
        ("count(nope) == 0", ["nope"]),
        ("time() - nope > 60", ["nope"]),
        ("-nope ^ 2 < 1", ["nope"]),
        ("topk(3, nope) > 1", ["nope"]),
        ('count_values("version", nope) > 1', ["nope"]),
        ("quantile_over_time(0.9, nope[5m]) > 1", ["nope"]),
        ('info(x, {k="v"})', []),
        ("x + on () fill (0) nope > 1", []),
        ("x + on () fill_right (0) nope > 1", []),
        ("x + on () fill_left (0) nope > 1", ["nope"]),
        # Modifiers belong to the selector.
        ("nope offset -5m > 1", ["nope"]),
        ("x offset 1w unless x", []),
        ("x @ end() offset 5m > 1", []),
        ("nope @ start() > 1", ["nope"]),
        ("max_over_time((x > nope)[1h:1m]) > 3", ["nope"]),
        ("increase(x[5m] smoothed) > 0", []),
        ("x > 0 # unless nope\n", []),
        ("count == 1", ["count"]),
        ("by{on='x'} == 1", ["by{on='x'}"]),
        # What is not understood needs all its metrics.
        ("up %% nope", ['{__name__="nope"}']),
        ("(" * 150 + "nope" + ")" * 150, ['{__name__="nope"}']),
        ("", []),
        ("up[", []),
        ("up)", []),
        ("up offset", []),
        ("up{job", []),
    ],
)
def test_missing(expression: str, lacks: list[str]) -> None:
    """The selectors are named that keep an expression from firing, exactly as it writes them, and no others."""
    assert [str(selector) for selector in missing_selectors(expression, has)] == lacks


@pytest.mark.parametrize(
    ("expression", "needed"),
    [
        ("up == 0 unless on() maintenance == 1", ["up"]),
        ('a unless on(x, y) b{c="d", e="f"} * sum(rate(g[5m])) or h unless i', ["a", "h"]),
        ("a and (b unless (c and d)) > e", ["a", "b", "e"]),
        ("max(a unless b) + c", ["a", "c"]),
        ("absent(up) or absent_over_time((sum(rate(a[1m])) > 1)[5m:]) and b", ["b"]),
        ("absent + unless_x", ["absent", "unless_x"]),
        ('x{unless="absent(y)"} UNLESS z AND w', ['x{unless="absent(y)"}', "w"]),
        ("a + A + a", ["a", "A"]),
    ],
)
def test_selectors(expression: str, needed: list[str]) -> None:
    """What stands to the right of `unless` or inside `absent()` need not have series, and is not asked for."""
    assert [str(selector) for selector in required_selectors(expression)] == needed


def test_a_long_chain_is_read_in_time() -> None:
    """A thousand operators need neither a deep stack nor much time."""
    chain = " or ".join(f'up{{job="{number}"}} == 0' for number in range(1000))
    began = time.monotonic()
    assert len(missing_selectors(chain, has)) == 1000
    assert missing_selectors(chain + " or up", has) == ()
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("expression", "windows"),
    [
        ("rate(x[5m])", [300.0]),
        ("rate(x[1h])", [3600.0]),
        ("max_over_time(x[2h:1m])", [7200.0]),
        ("max_over_time(rate(x[5m])[1h:])", [3900.0]),
        ("max_over_time((sum by (job) (x) > 1)[1h:1m]) or up", [3600.0, 0.0]),
        ("max_over_time(sum(x) by (job)[1h:1m])", [3600.0]),
        ("max_over_time(max_over_time(x[1h:1m])[1d:1h])", [90000.0]),
        ("sum(x) > avg_over_time(up[1h])", [0.0, 3600.0]),
        ("rate(x[5m * 2])", [0.0]),
    ],
)
def test_windows(expression: str, windows: list[float]) -> None:
    """A selector is asked for over its range and the ranges of the subqueries around it."""
    assert [selector.window for selector in required_selectors(expression)] == windows


@pytest.mark.parametrize(
    ("matcher", "value", "matches"),
    [
        (Matcher("a", "=", "b"), "b", True),
        (Matcher("a", "!=", "b"), "b", False),
        (Matcher("a", "=~", "b|c"), "c", True),
        (Matcher("a", "=~", "b|c"), "cc", False),
        (Matcher("a", "!~", "b.*"), "bb", False),
        (Matcher("a", "=~", "("), "x", True),
    ],
)
def test_matchers(matcher: Matcher, value: str, matches: bool) -> None:
    """A pattern has to match the whole value."""
    assert matcher.matches(value) is matches


@pytest.fixture(scope="module")
def server() -> Iterator[Service]:
    """Start a Prometheus that scrapes itself and wait until it has samples."""
    with prometheus_running(CONFIG % "127.0.0.1:9") as service:
        (service.folder / "prometheus.yml").write_text(CONFIG % service.address)
        service.stop()
        service.start()
        end = time.monotonic() + 60
        while not scraped(service) and time.monotonic() < end:
            time.sleep(0.2)
        yield service


def scraped(service: Service) -> bool:
    """Return whether Prometheus has scraped itself."""
    with contextlib.suppress(PrometheusError):
        return bool(Api(service.url, time.monotonic() + 10).query("prometheus_http_requests_total"))
    return False


def rule(name: str, expression: str, *, alerting: bool = False, **labels: str) -> LoadedRule:
    """Return a loaded rule."""
    return LoadedRule(name, alerting, expression, 0.0, labels, {}, "ok", "", "")


RULES = (
    rule("job:down", "up == 0", team="a"),
    rule("job:never", 'up{job="slef"} == 0'),
    rule("job:chain", "job:down > 0"),
    rule("job:loop", "job:loop > 0"),
    rule("up:now", "up"),
    rule("Down", "up == 0", alerting=True, severity="info", instance="{{ $labels.instance }}"),
    rule("Never", "nope == 0", alerting=True, severity="none"),
)


@pytest.mark.parametrize(
    ("expression", "lacks"),
    [
        ('up{job="self"}', []),
        ('up{job="slef"}', ['up{job="slef"}']),
        ("rate(prometheus_http_requests_total{code='200'}[1m]) > 0", []),
        ("up offset 1w", []),
        ("up @ 1000000000", ["up"]),
        ("nope[1h:1m] offset 5m", ["nope"]),
        ("max_over_time((up == 1)[1h:1m] offset 5m @ end())", []),
        # What a rule would record, or report of an alert, comes as soon as the rule returns something.
        ("job:down > 0", []),
        ('job:down{team="a"} > 0', []),
        ('job:down{team="b"} > 0', ['job:down{team="b"}']),
        ("job:chain > 0", []),
        ("job:never > 0", ["job:never"]),
        ("job:loop > 0", ["job:loop"]),
        ("job:nobody > 0", ["job:nobody"]),
        ('ALERTS{alertname="Down", alertstate="firing", instance="x"} == 1', []),
        ('ALERTS{severity="info"} == 1 unless on () ALERTS{severity="high"} == 1', []),
        ('ALERTS_FOR_STATE{severity=~"info|x"} > 0', []),
        ('ALERTS{severity="high"} == 1', ['ALERTS{severity="high"}']),
        ('ALERTS{alertname="Never"} == 1', ['ALERTS{alertname="Never"}']),
    ],
)
def test_presence(server: Service, expression: str, lacks: list[str]) -> None:
    """A real Prometheus is asked for the selectors, with their matchers and modifiers."""
    presence = Presence(Api(server.url, time.monotonic() + 20), (LoadedGroup("g", "g.yml", 1.0, RULES),))
    found = presence.missing([expression])[expression]
    assert [str(selector) for selector in found] == lacks


def test_many_selectors_in_few_queries(server: Service) -> None:
    """Hundreds of selectors are asked for in queries of a bounded length."""
    presence = Presence(Api(server.url, time.monotonic() + 60), ())
    expressions = [f'up{{job="self"}} == {number} and nope_{number}{{a="{"b" * 100}"}}' for number in range(300)]
    found = presence.missing([*expressions, "up == 0"])
    assert [len(found[expression]) for expression in (*expressions, "up == 0")] == [1] * 300 + [0]


def test_a_selector_that_prometheus_refuses(server: Service) -> None:
    """A selector that the running Prometheus cannot read has no series, and spoils no other one's answer."""
    presence = Presence(Api(server.url, time.monotonic() + 20), ())
    expressions = ["up == 0", 'up{job=~"("}', *(f"nope_{number} > 1" for number in range(9)), '{a=~".*"}', "up == 1"]
    found = presence.missing(expressions)
    assert [expression for expression in expressions if not found[expression]] == ["up == 0", "up == 1"]
