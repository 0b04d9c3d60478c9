"""Each query is parsed with its variables filled in, and its metrics are found where they are written."""

from __future__ import annotations

import pytest

from gate.core.messages import msg
from gate.grafana.dashboards import Query
from gate.grafana.queries import Reading, read
from gate.grafana.templating import PLACEHOLDER, Variable, built_in
from gate.prometheus.releases import Release

VARIABLES = {
    "job": Variable("job", ((PLACEHOLDER,), ("1",), ("5m",)), known=False),
    "agg": Variable("agg", (("avg",), ("max",))),
    "bad": Variable("bad", (("avg",), ("p99",))),
    "metric": Variable("metric", (("api_requests",), ("api_errors",))),
    **built_in(15, 3600, 0),
}


def reading(text: str, *, variable: bool = False, release: Release | None = None) -> Reading:
    """Return what Prometheus reads in a query."""
    query = Query(text, ("expr",), msg("x"), variable="v" if variable else "")
    return read(query, VARIABLES, release or Release((3, 5)))


@pytest.mark.parametrize(
    ("text", "metrics"),
    [
        ("up", {"up": 0}),
        ('sum(rate(a_total{job=~"$job"}[$__rate_interval])) / b', {"a_total": 9, "b": 52}),
        ("rate(a_total[[[__interval]]])", {"a_total": 5}),
        ("$agg(a) by (x)", {"a": 5}),
        ("${metric}_total", {"api_requests_total": 0, "api_errors_total": 0}),
        ("topk($job, up)", {"up": 11}),
        ("rate(up[$job])", {"up": 5}),
        ("up_total - up", {"up_total": 0, "up": 11}),
        ('{"my.metric"}', {"my.metric": 0}),
        ("1 + 1", {}),
        ('{job="x"}', {}),
        ('label_replace(up, "a", "$1", "b", "(.*)")', {"up": 14}),
        ('label_replace(up, "a", "${rest}", "b", "(?P<rest>.*)")', {"up": 14}),
        ("a or b unless c and absent(d)", {"a": 0, "b": 5, "c": 14, "d": 27}),
    ],
)
def test_metrics(text: str, metrics: dict[str, int]) -> None:
    """The names of all metrics are found, each where it is first written."""
    found = reading(text)
    assert found.error is None
    assert {metric.selector.name: metric.position for metric in found.metrics} == metrics


@pytest.mark.parametrize(
    ("text", "metrics"),
    [
        ("label_values(up, job)", ["up"]),
        ('label_values(up{a=~"$job", b="c"}, job)', ["up"]),
        ("label_values($metric, job)", ["api_errors", "api_requests"]),
        ("query_result(topk(1, sum by (x) (a)))", ["a"]),
        ('up{job="x"}', ["up"]),
        ("label_values(job)", []),
        ("label_names()", []),
    ],
)
def test_variable_queries(text: str, metrics: list[str]) -> None:
    """Grafana's functions for variables are known, and the selectors in them are read."""
    found = reading(text, variable=True)
    assert found.error is None
    assert sorted(metric.selector.name for metric in found.metrics) == metrics


def test_pattern_of_names() -> None:
    """`metrics()` has a pattern that may match anywhere in a name."""
    [metric] = reading("metrics(requests_)", variable=True).metrics
    assert metric.selector.names("api_requests_total")
    assert not metric.selector.names("api_errors_total")


@pytest.mark.parametrize(
    ("text", "position", "why"),
    [
        ("sum(rate(up[5m])", 16, "a left parenthesis is not closed"),
        ("rate(up)", 5, "rate takes a matrix"),
        ('up{job="$nope"}', 8, "the dashboard has no variable $nope"),
        ("up[[[nope]]]", 3, "the dashboard has no variable $nope"),
        ("$bad(up)", 0, "with $bad = p99"),
        ("sum(${metric}_total) by (", 25, "a left parenthesis is not closed"),
        ("up offset $agg", 10, "unexpected"),
        ("x" * 70_000, 0, "longer than 65536 characters"),
        ("(" * 2000, 0, "more than 1000 operators"),
        ("", 0, "no expression"),
    ],
)
def test_errors(text: str, position: int, why: str) -> None:
    """The first error is found at its place in the query as written."""
    error = reading(text).error
    assert error is not None
    assert error.position == position, error
    assert why in str(error.reason), error


@pytest.mark.parametrize(
    ("text", "position", "why"),
    [
        ("label_values(sum(up), job)", 13, "not a selector of series"),
        ("label_values(up offset 5m, job)", 13, "not a selector of series"),
        ("label_values(up{, job)", 16, "unexpected"),
        ("label_values(up{a='b'})", 0, "not a valid variable query"),
        ("metrics(a[)", 8, "not a valid regular expression"),
        ("query_result(sum(up)", 19, "a left parenthesis is not closed"),
        ("query_result(up", 0, "not a valid variable query"),
        ("sum(up)", 0, "not a selector of series"),
    ],
)
def test_errors_of_variable_queries(text: str, position: int, why: str) -> None:
    """What Grafana or Prometheus would reject is named, with its place in the query."""
    error = reading(text, variable=True).error
    assert error is not None
    assert error.position == position, error
    assert why in str(error.reason), error


def test_name_from_a_variable() -> None:
    """A metric whose name only Prometheus knows is not judged, and said to be so."""
    found = reading("${job}_total + up")
    assert found.unnamed is True
    assert [metric.selector.name for metric in found.metrics] == ["up"]


def test_release() -> None:
    """A query is valid if the release takes it."""
    assert reading("sort_by_label(up, 'a')", release=Release((2, 42))).error is not None
    assert reading('{"my.metric"}', release=Release((2, 42))).error is not None
