"""The client of Prometheus's HTTP API: what it takes for a result, and what for none."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from gate.prometheus.client import Api, PrometheusError, Series
from tests.support.web import Reply, serving


def reply(data: Any, **more: Any) -> Reply:
    """Return a successful response of the API."""
    return Reply(200, json.dumps({"status": "success", "data": data, **more}))


def vector(*samples: dict[str, Any]) -> dict[str, Any]:
    """Return a query result of these samples."""
    return {"resultType": "vector", "result": [{"metric": {"__name__": "a"}, **sample} for sample in samples]}


def query(response: Reply) -> list[Series]:
    """Run a query on a server with this response."""
    with serving({"/api/v1/query": response}) as web:
        return Api(web.url, time.monotonic() + 10).query("a")


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1.0), ("-1.5", -1.5), ("1e+06", 1e6), ("2.5e-07", 2.5e-7), ("+Inf", float("inf")), ("-Inf", -float("inf"))],
)
def test_numbers_of_the_api(text: str, value: float) -> None:
    """Every way in which Prometheus writes a sample's value is read."""
    assert [series.value for series in query(reply(vector({"value": [1.5, text]})))] == [value]


@pytest.mark.parametrize(
    "text", ["1_000", " 1", "1 ", "1\n", "infinity", "inf", "nan", "-NaN", "\u0661", "1\u0662", "0x10", "", "1e", "."]
)
def test_numbers_of_python_alone(text: str) -> None:
    """A text that Python reads as a number and Prometheus never writes is no sample."""
    with pytest.raises(PrometheusError, match="a number is missing"):
        query(reply(vector({"value": [1.5, text]})))


def test_a_number_too_large_for_a_float() -> None:
    """An integer of 300 digits and more is refused, not a crash."""
    response = Reply(
        200, '{"status":"success","data":{"groups":[{"name":"g","interval":1%s,"rules":[]}]}}' % ("0" * 350)
    )
    with serving({"/api/v1/rules": response}) as web, pytest.raises(PrometheusError, match="a number is missing"):
        Api(web.url, time.monotonic() + 10).rules()


def test_a_native_histogram_is_a_sample() -> None:
    """A vector may hold native histograms beside numbers; they have labels, and no value."""
    histogram = {"count": "5", "sum": "2.5", "buckets": [[3, "0", "1", "5"]]}
    found = query(reply(vector({"value": [1, "2"]}, {"histogram": [1, histogram]})))
    assert [(series.value, str(series)) for series in found] == [(2.0, "a{} 2.0"), (None, "a{} {count:5, sum:2.5}")]
    for bad in ({}, {"histogram": None}, {"histogram": [1, "5"]}, {"histogram": [1, {}]}):
        with pytest.raises(PrometheusError):
            query(reply(vector(bad)))


@pytest.mark.parametrize("warnings", [["store down"], "store down", {"a": 1}])
@pytest.mark.parametrize("path", ["query", "rules", "targets", "alerts", "status/config"])
def test_warnings_make_a_response_incomplete(path: str, warnings: Any) -> None:
    """Whatever is asked: a response with warnings may lack a part, and is no observation."""
    data = {**vector(), "groups": [], "activeTargets": [], "alerts": [], "yaml": ""}
    ask = {
        "query": lambda api: api.query("a"),
        "rules": Api.rules,
        "targets": Api.targets,
        "alerts": Api.alerts,
        "status/config": Api.config,
    }[path]
    response = reply(data, warnings=warnings)
    with serving({f"/api/v1/{path}": response}) as web, pytest.raises(PrometheusError, match="may be incomplete"):
        ask(Api(web.url, time.monotonic() + 10))
    for nothing in ([], None):
        with serving({f"/api/v1/{path}": reply(data, warnings=nothing)}) as web:
            ask(Api(web.url, time.monotonic() + 10))


def test_infos_are_hints() -> None:
    """An info drops nothing from the result: it is kept as evidence."""
    with serving({"/api/v1/query": reply(vector({"value": [1, "2"]}), infos=["not a counter"])}) as web:
        api = Api(web.url, time.monotonic() + 10)
        assert ([series.value for series in api.query("a")], api.infos) == ([2.0], ["not a counter"])


NOW = datetime(2021, 6, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ago", "overdue"),
    [(0.0, False), (39.9, False), (41.5, True), (86400.0, True), (-1.0, False)],
)
def test_overdue_by_the_clock_of_the_server(ago: float, overdue: bool) -> None:
    """An evaluation or a scrape is late by its interval and the server's own clock, wherever the gate runs."""
    last = f"{NOW - timedelta(seconds=ago):%Y-%m-%dT%H:%M:%S.%f}123Z"
    rule = {"name": "A", "type": "alerting", "query": "x", "health": "ok", "lastEvaluation": last}
    group = {"name": "g", "interval": 10, "evaluationTime": 5.0, "rules": [rule]}
    target = {"health": "up", "lastScrape": last, "scrapeInterval": "15s", "labels": {}}
    date = {"Date": format_datetime(NOW, usegmt=True)}
    response = Reply(200, reply({"groups": [group], "activeTargets": [target]}).body, date)
    with serving({"/api/v1/rules": response, "/api/v1/targets": response}) as web:
        api = Api(web.url, time.monotonic() + 10)
        found = (api.rules()[0].rules[0].overdue, api.targets()[0].overdue)
    assert [late is not None for late in found] == [overdue, overdue]


@pytest.mark.parametrize("last", ["yesterday", 5, "2020-01-01", "2020-01-01T00:00:00", ""])
def test_a_time_that_cannot_be_read(last: Any) -> None:
    """A time of evaluation that has no zone, or is none, is no answer of Prometheus."""
    rule = {"name": "A", "type": "alerting", "query": "x", "health": "ok", "lastEvaluation": last}
    response = reply({"groups": [{"name": "g", "rules": [rule]}]})
    with serving({"/api/v1/rules": response}) as web, pytest.raises(PrometheusError, match=r"a (time|text) is missing"):
        Api(web.url, time.monotonic() + 10).rules()


def test_an_answer_of_nothing_but_objects() -> None:
    """What would take twenty times its size in memory is refused before it is decoded."""
    groups = "{}," * 2_000_001 + "{}"
    response = Reply(
        200, f'{{"status":"success","data":{{"groups":[{groups}]}}}}', {"Content-Type": "application/json"}
    )
    with serving({"/api/v1/rules": response}) as web, pytest.raises(PrometheusError, match="lists and objects"):
        Api(web.url, time.monotonic() + 60).rules()
