"""The checks about Prometheus, asked of a real one: what passes, what fails, what cannot be observed."""

from __future__ import annotations

import gzip
import json
import subprocess
import time
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from gate.checks import alert
from gate.checks.base import CheckResult, ObservationError
from gate.decode.structs import ValidationError
from gate.model import Status
from gate.prometheus.client import LoadedGroup, LoadedRule
from gate.prometheus.recording_rules import RecordingRules
from tests.support.checks import check, context
from tests.support.services import Service, prometheus_running
from tests.support.web import Reply, send, serving, trickle

CONFIG = """
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
scrape_configs:
  - job_name: self
    static_configs: [{targets: ["%s"]}]
  - job_name: gone
    static_configs: [{targets: ["127.0.0.1:1"]}]
"""
RULES = """groups:
  - name: critical
    rules:
      - alert: SelfDown
        expr: up{job="self"} == 0
        for: 2s
        labels: {severity: critical}
        annotations: {summary: "{{ $labels.job }} is down", runbook: docs/down.md}
      - alert: GoneDown
        expr: up{job="gone"} == 0
        labels: {severity: critical}
        annotations: {summary: "{{ $labels.job }} is down", runbook: docs/down.md}
      - alert: Typo
        expr: upp == 0
        labels: {severity: warning}
        annotations: {summary: never, runbook: docs/down.md}
  - name: recorded
    rules:
      - record: job:up:sum
        expr: sum by (job) (up)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Service]:
    """Start a Prometheus that scrapes itself and an absent target; yield once it has evaluated its rules."""
    with prometheus_running(CONFIG % "127.0.0.1:9", RULES) as service:
        (service.folder / "prometheus.yml").write_text(CONFIG % service.address)
        service.stop()
        service.start()
        settled = check("alert", target="prometheus", name="GoneDown", state="firing")
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                if settled.judge(settled.observe(context(prometheus=service.url))).status is Status.PASS:
                    break
            except ObservationError:
                pass
            time.sleep(0.2)
        time.sleep(1.5)
        yield service


def ask(kind: str, root: Path = Path(), *, urls: dict[str, str], limit: float = 10.0, **fields: Any) -> CheckResult:
    """Run a check once on real servers and return its result."""
    made = check(kind, **fields)
    return made.judge(made.observe(context(root, limit=limit, **urls)))


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({"valid": True}, "pass", "Valid "),
        ({"present": ["prometheus_*", "go_goroutines"]}, "pass", "metrics asked for are exposed"),
        ({"present": ["veza_*"]}, "fail", "No metric begins with veza_"),
        ({"present": ["go_gorutines"]}, "fail", "go_gorutines is not exposed; go_goroutines is"),
        ({"name": "go_goroutines", "type": "gauge", "value": {"ge": 1}}, "pass", "go_goroutines is "),
        ({"name": "go_goroutines", "type": "counter"}, "fail", "go_goroutines is a gauge, expected a counter"),
        ({"name": "go_goroutines", "value": {"lt": 0}}, "fail", "go_goroutines: expected less than 0, got"),
        ({"name": "go_goroutines", "labels": {"a": "b"}}, "fail", 'go_goroutines has no sample with a "b"'),
        ({"name": "prometheus_http_requests_total", "labels": {"code": 200}, "count": {"ge": 1}}, "pass", ""),
        ({"name": "go_gc_duration_seconds", "type": "summary", "count": 5}, "pass", "5 samples"),
        ({"name": "prometheus_http_request_duration_seconds", "type": "histogram"}, "pass", "is exposed as histogram"),
        ({"path": "/nowhere", "valid": True}, "fail", "Answered 404, expected 200"),
        ({"path": "/debug/pprof/", "valid": True}, "fail", "Content-Type is text/html"),
    ],
)  # fmt: skip
def test_metrics(server: Service, fields: dict[str, Any], status: str, message: str) -> None:
    """`metrics` reads what Prometheus says of itself."""
    made = ask("metrics", urls={"api": server.url}, target="api", **fields)
    assert (made.status, message) == (status, message if message in str(made.message) else str(made.message))


def test_metrics_of_a_service_that_is_not_there() -> None:
    """Nothing that listens is a failure, with its phase."""
    made = ask("metrics", urls={"api": "http://127.0.0.1:1"}, target="api", valid=True)
    assert made.status == Status.FAIL
    assert "The connection failed" in str(made.message)


@pytest.mark.parametrize(
    ("body", "kind", "status", "message"),
    [
        (b"a 1\n# EOF\n", "application/openmetrics-text; version=1.0.0", "pass", "Valid OpenMetrics"),
        (b"a 1\n", "application/openmetrics-text; version=1.0.0", "fail", "cut short"),
        (b"a 1\nb one\n", "text/plain", "fail", "line 2: The value is one, which is not a number: b one"),
        (b"", "text/plain", "fail", "no sample in the exposition"),
        (b"a NaN\n", "text/plain", "pass", "Valid Prometheus text"),
    ],
)
def test_metrics_by_content_type(body: bytes, kind: str, status: str, message: str) -> None:
    """The content type says which format is read; compressed or not makes no difference."""
    for encoding, sent in (("identity", body), ("gzip", gzip.compress(body))):
        reply = Reply(200, sent, {"Content-Type": kind, "Content-Encoding": encoding})
        with serving({"/metrics": reply}) as web:
            made = ask("metrics", urls={"api": web.url}, target="api", valid=True)
        assert made.status == status
        assert message in str(made.message)


# Expressions that Prometheus 3.5.3 rejected.
REFUSED = ["", "text", "text/", "/plain", "text/plain/x", "text/html", "*/*", "text/plain; charset", "text/plain; ;",
           'text/plain; charset="utf-8', "text/plain, text/plain", "text/plain; a=1; A=2", "text/plain version=0.0.4",
           "text / plain", "text/plain; charset="]  # fmt: skip
TAKEN = ["text/plain", "TEXT/Plain", "text/plain;", 'text/plain; charset=""', "text/plain; a=1; a=1",
         "text/plain\t;\ta=b", "text/plain; charset='utf-8'",
         "text/plain; version=1.0.0; escaping=allow-utf-8"]  # fmt: skip


@pytest.mark.parametrize(("kind", "taken"), [*((kind, False) for kind in REFUSED), *((kind, True) for kind in TAKEN)])
def test_content_types_as_prometheus_parses_them(kind: str, taken: bool) -> None:
    """A response is valid if Prometheus 3 would parse it; with the job's `fallback_scrape_protocol` it always does."""
    with serving({"/metrics": Reply(200, "a 1\n", {"Content-Type": kind})}) as web:
        urls = {"api": web.url}
        assert ask("metrics", urls=urls, target="api", valid=True).status is (Status.PASS if taken else Status.FAIL)
        made = ask("metrics", urls=urls, target="api", valid=True, fallback_scrape_protocol="PrometheusText0.0.4")
        assert made.status is Status.PASS
        made = ask("metrics", urls=urls, target="api", valid=True, fallback_scrape_protocol="OpenMetricsText1.0.0")
        assert ("cut short" in str(made.message)) is not taken


@pytest.mark.parametrize(
    ("address", "passes"), [("api:8080", True), ("api", True), ("ADDRESS", True), ("other:8080", False)]
)
def test_the_fallback_of_a_job(tmp_path: Path, address: str, passes: bool) -> None:
    """The fallback is that of a job in a `scrape_config` item which scrapes the target, and of no other."""
    with serving({"/metrics": send(b"HTTP/1.1 200 OK\r\n\r\na 1\n")}) as web:
        job = {"job_name": "api", "fallback_scrape_protocol": "PrometheusText0.0.4",
               "static_configs": [{"targets": [address.replace("ADDRESS", f"127.0.0.1:{web.port}")]}]}  # fmt: skip
        (tmp_path / "prometheus.yml").write_text(json.dumps({"scrape_configs": [job]}))
        (tmp_path / "broken.yml").write_text("scrape_configs: 5")
        jobs = (("missing.yml", "api"), ("broken.yml", "api"), ("prometheus.yml", "other"), ("prometheus.yml", "api"))
        made = check("metrics", target="api", valid=True)
        here = structs.replace(context(tmp_path, api=web.url), scrape_jobs=jobs)
        assert (made.judge(made.observe(here)).status is Status.PASS) is passes
        here = structs.replace(context(tmp_path, api=web.url), scrape_jobs=jobs[:3])
        assert made.judge(made.observe(here)).status is Status.FAIL


def test_what_prometheus_sends() -> None:
    """A target is asked for UTF-8 names and for OpenMetrics, as Prometheus 3 asks."""
    names = '{"http.requests",code="200"} 3\n'
    with serving({"/metrics": Reply(200, names, {"Content-Type": "text/plain; version=1.0.0"})}) as web:
        made = ask("metrics", urls={"api": web.url}, target="api", present=["http.requests"], valid=True)
        (got,) = web.requests
    assert made.status is Status.PASS
    assert got.headers["accept"] == (
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
        "application/openmetrics-text;version=0.0.1;q=0.5,"
        "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
    )
    assert got.headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize("coding", ["deflate", "GZIP", "gzip, gzip", "x-gzip"])
def test_codings_that_prometheus_does_not_unpack(coding: str) -> None:
    """A body is valid only in a coding that Prometheus unpacks."""
    body = {"deflate": zlib.compress, "gzip, gzip": lambda raw: gzip.compress(gzip.compress(raw))}.get(
        coding, gzip.compress
    )(b"a 1\n")
    reply = Reply(200, body, {"Content-Type": "text/plain", "Content-Encoding": coding})
    with serving({"/metrics": reply}) as web:
        made = ask("metrics", urls={"api": web.url}, target="api", valid=True)
    assert (made.status, str(made.message)) == (
        Status.FAIL,
        f"The Content-Encoding is {coding}: Prometheus takes gzip only",
    )


def test_protobuf_is_an_error() -> None:
    """A format that Prometheus takes and that cannot be read here is not judged."""
    kind = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
    with serving({"/metrics": Reply(200, b"\x0a\x01a", {"Content-Type": kind})}) as web, \
         pytest.raises(ObservationError, match="protobuf"):  # fmt: skip
        ask("metrics", urls={"api": web.url}, target="api", valid=True)


def test_nan_is_no_healthy_value() -> None:
    """NaN passes only where the item asks for it."""
    with serving({"/metrics": Reply(200, "a NaN\n", {"Content-Type": "text/plain"})}) as web:
        urls = {"api": web.url}
        assert ask("metrics", urls=urls, target="api", name="a", value={"not": 5}).status is Status.FAIL
        assert ask("metrics", urls=urls, target="api", name="a", value=float("nan")).status is Status.PASS
        assert ask("metrics", urls=urls, target="api", name="a").status is Status.FAIL


def test_metrics_beyond_the_limit_is_an_error() -> None:
    """A body over the limit is not judged."""
    bomb = Reply(200, gzip.compress(b"# comment\n" * 1_000_000), {"Content-Encoding": "gzip"})
    made = check("metrics", target="api", valid=True, limit="1MiB")
    with serving({"/metrics": bomb}) as web, pytest.raises(ObservationError) as got:
        made.observe(context(limit=60, api=web.url))
    assert "larger than the limit of 1.0 MiB" in str(got.value)


def test_metrics_that_trickle_end_in_time() -> None:
    """An exposition that never ends costs the time limit and no more."""
    response = trickle(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n", b"a 1\n")
    made = check("metrics", target="api", valid=True)
    with serving({"/metrics": response}) as web, pytest.raises(ObservationError, match="within the timeout"):
        made.observe(context(limit=0.5, api=web.url))


def test_one_scrape_serves_all_items() -> None:
    """Items that ask the same address at one time share a scrape; later ones do not."""
    with serving({"/metrics": Reply(200, "a 1\nb 2\n", {"Content-Type": "text/plain"})}) as web:
        shared = context(api=web.url)
        for name in ("a", "b"):
            made = check("metrics", target="api", name=name, value={"ge": 1})
            assert made.judge(made.observe(shared)).status is Status.PASS
        assert len(web.requests) == 1
        made = check("metrics", target="api", valid=True)
        made.observe(shared.with_deadline(time.monotonic() + 5))
        assert len(web.requests) == 2


def test_metrics_of_a_file(tmp_path: Path) -> None:
    """A file is read like a body, and its bad line is a place."""
    (tmp_path / "good.prom").write_text("a 1\n")
    (tmp_path / "bad.prom").write_text("a 1\na 1\n")
    assert ask("metrics", tmp_path, urls={}, file="good.prom", valid=True).status is Status.PASS
    made = ask("metrics", tmp_path, urls={}, file="bad.prom", valid=True)
    assert (made.status, [str(place) for place in made.locations]) == (Status.FAIL, ["bad.prom:2"])


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({"query": 'up{job="self"}', "value": 1}, "pass", "The value is 1"),
        ({"query": "up", "value": 1}, "fail", "expected 1, got 0.0"),
        ({"query": "up", "value": 1, "matching": "any"}, "pass", "2 series"),
        ({"query": "up", "count": 2}, "pass", ""),
        ({"query": "upp", "value": {"ge": 0}}, "fail", "no data: the query returned no series"),
        ({"query": "upp", "empty": True}, "pass", "There is no series, as expected"),
        ({"query": "up", "empty": True}, "fail", "expected nothing, got 2 series"),
        ({"query": "0 / 0", "value": {"not": 1}}, "fail", "NaN, which is no data"),
        ({"query": "1 + 1", "value": 2}, "pass", "The value is 2"),
    ],
)
def test_promql(server: Service, fields: dict[str, Any], status: str, message: str) -> None:
    """`promql` judges values; no data is never healthy by itself."""
    made = ask("promql", urls={"prometheus": server.url}, target="prometheus", **fields)
    assert made.status == status
    assert message in str(made.message)


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({"job": "self"}, "pass", "1 active targets are up: "),
        ({"job": "gone"}, "fail", "connection refused"),
        ({"job": "gone", "health": "down"}, "pass", ""),
        ({"job": "veza"}, "fail", "no active target of job veza; its jobs are gone, self"),
        ({"job": "self", "count": 2}, "fail", "number of targets: expected 2, got 1"),
    ],
)
def test_scrape_target(server: Service, fields: dict[str, Any], status: str, message: str) -> None:
    """`scrape_target` asks for the job's targets."""
    made = ask("scrape_target", urls={"prometheus": server.url}, target="prometheus", **fields)
    assert made.status == status
    assert message in str(made.message)


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({"name": "SelfDown", "state": "inactive"}, "pass", "SelfDown is inactive"),
        ({"name": "GoneDown", "state": ["pending", "firing"]}, "pass", "GoneDown is firing"),
        ({"name": "GoneDown", "state": "firing", "labels": {"severity": "critical"},
          "annotations": {"summary": "gone is down"}}, "pass", ""),
        ({"name": "GoneDown", "state": "firing", "labels": {"severity": "low"}}, "fail", "have other labels"),
        ({"name": "GoneDown", "state": "firing", "annotations": {"summary": "x"}}, "fail", "annotation summary"),
        ({"name": "GoneDown", "state": "inactive"}, "fail", "GoneDown is firing, expected"),
        ({"name": "GoneDown", "state": ["inactive", "pending"]}, "fail", "GoneDown is firing, expected"),
        ({"name": "Typo", "state": "inactive"}, "fail", "of Typo reads upp, of which Prometheus has no series"),
        ({"name": "Typo", "state": "inactive", "no_data": True}, "pass", "Typo is inactive"),
        ({"name": "Typo", "state": ["inactive", "pending", "firing"]}, "pass", "Typo is inactive"),
        ({"name": "Typo", "state": "firing"}, "fail", "reads upp, of which Prometheus has no series"),
        ({"name": "SelfDown", "annotations": {"runbook": "docs/down.md"}}, "pass", "SelfDown is inactive"),
        ({"name": "SelfDown", "annotations": {"runbook": "docs/up.md"}}, "fail", "annotation runbook: expected"),
        ({"name": "SelfDown", "state": "inactive", "labels": {"severity": "low"}}, "fail", "label severity: expected"),
        ({"name": "SelfDwn", "state": "inactive"}, "fail", "No alert SelfDwn is loaded; SelfDown is"),
    ],
)  # fmt: skip
def test_alert(server: Service, fields: dict[str, Any], status: str, message: str) -> None:
    """`alert` asks for a state; an alert that is not loaded has none."""
    made = ask("alert", urls={"prometheus": server.url}, target="prometheus", **fields)
    assert made.status == status
    assert message in str(made.message)


def test_an_alert_that_the_next_evaluation_brings_is_not_inactive() -> None:
    """Between a scrape and the evaluation after it Prometheus still says inactive; the expression knows better."""
    rule = LoadedRule("A", True, "up == 0", 0.0, {"severity": "high"}, {}, "ok", "", "inactive")
    observation = alert.Observation((rule,), ("A",), due=({"job": "a", "severity": "high"},))
    made = check("alert", target="prometheus", name="A", state="inactive").judge(observation)
    assert made.status == "fail"
    assert "the next evaluation makes it pending or firing" in str(made.message)
    other = check("alert", target="prometheus", name="A", state="inactive", labels={"job": "b"}).judge(observation)
    assert other.status == "pass"


@pytest.mark.parametrize(
    ("labels", "status", "message"),
    [
        ({"job": "self"}, "pass", "SelfDown is inactive"),
        ({"job": {"matches": "s.*"}}, "pass", "SelfDown is inactive"),
        ({"job": "slef"}, "fail", 'can have job "slef"; the series that it reads have self'),
        ({"team": "x"}, "fail", "the series that it reads have -"),
        ({"team": ""}, "pass", "SelfDown is inactive"),
        ({"severity": "critical"}, "pass", "SelfDown is inactive"),
    ],
)
def test_a_quiet_alert_with_labels(server: Service, labels: dict[str, Any], status: str, message: str) -> None:
    """A label that neither the rule nor the series bring can be in no alert: its quiet proves nothing."""
    fields = {"target": "prometheus", "name": "SelfDown", "state": "inactive", "labels": labels}
    made = ask("alert", urls={"prometheus": server.url}, **fields)
    assert (made.status, message) == (status, message if message in str(made.message) else str(made.message))


def test_an_alert_that_fires_without_a_metric_can_be_inactive() -> None:
    """What stands to the right of `unless` need have no series for `inactive` to hold."""
    rules = "groups: [{name: g, rules: [{alert: Down, expr: vector(1) == 0 unless on() maintenance == 1}]}]"
    with prometheus_running("global: {evaluation_interval: 1s}\nrule_files: [rules.yml]\n", rules) as service:
        evaluated = check("loaded_rules", target="prometheus", groups=["g"])
        end = time.monotonic() + 30
        while (
            time.monotonic() < end
            and evaluated.observe(context(prometheus=service.url)).loaded[0].rules[0].health != "ok"
        ):
            time.sleep(0.1)
        made = ask("alert", urls={"prometheus": service.url}, target="prometheus", name="Down", state="inactive")
    assert (made.status, str(made.message)) == ("pass", "Down is inactive")


def test_an_alert_needs_its_time(server: Service) -> None:
    """What an alert takes at least: scrape interval, evaluation interval and `for`, the last one only to fire."""
    here = context(prometheus=server.url)
    firing = check("alert", target="prometheus", name="SelfDown", state="firing").minimum_delay(here)
    pending = check("alert", target="prometheus", name="SelfDown", state=["pending", "firing"]).minimum_delay(here)
    assert firing is not None
    assert pending is not None
    assert (firing[0], pending[0]) == (4.0, 2.0)
    assert check("alert", target="prometheus", name="SelfDown", state="inactive").minimum_delay(here) is None


def test_an_alert_needs_the_time_of_its_own_job() -> None:
    """The scrape interval is that of the series that the expression selects, and not of another job's `up`."""
    config = """
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
scrape_configs:
  - {job_name: fast, static_configs: [{targets: ["127.0.0.1:1"]}]}
  - {job_name: slow, scrape_interval: 3s, static_configs: [{targets: ["127.0.0.1:1"]}]}
"""
    rule = "{alert: %s, expr: 'up{job%s} == 0'}"
    rules = ", ".join(rule % each for each in (("Fast", '="fast"'), ("Slow", '=~"sl.*"'), ("Any", '!=""')))
    with prometheus_running(config, f"groups: [{{name: g, rules: [{rules}]}}]") as service:
        here = context(prometheus=service.url)
        both = check("promql", target="prometheus", query="up", count=2)
        end = time.monotonic() + 60
        while both.judge(both.observe(context(prometheus=service.url))).status is not Status.PASS:
            assert time.monotonic() < end
            time.sleep(0.2)
        found = {
            name: check("alert", target="prometheus", name=name, state="firing").minimum_delay(here)
            for name in ("Fast", "Slow", "Any")
        }
    assert {name: wait and wait[0] for name, wait in found.items()} == {"Fast": 2.0, "Slow": 4.0, "Any": 4.0}


def loaded(name: str, interval: float, *rules: tuple[str, str]) -> LoadedGroup:
    """Return a group of recording rules, each with its expression; the rule `A` is an alert."""
    made = (LoadedRule(rule, rule == "A", expr, 0.0, {}, {}, "ok", "", "") for rule, expr in rules)
    return LoadedGroup(name, f"{name}.yml", interval, tuple(made))


@pytest.mark.parametrize(
    ("groups", "metrics", "wait"),
    [
        ([loaded("g", 5.0, ("A", "x > 1 and y > 1"))], {"x", "y"}, 0.0),
        ([loaded("g", 5.0, ("r", "x"), ("A", "r > 1"))], {"x"}, 0.0),
        ([loaded("g", 5.0, ("A", "r > 1"), ("r", "x"))], {"x"}, 5.0),
        ([loaded("g", 5.0, ("A", "r > 1")), loaded("h", 7.0, ("r", "x"))], {"x"}, 7.0),
        ([loaded("g", 5.0, ("A", "r > s")), loaded("h", 7.0, ("r", "x")), loaded("i", 9.0, ("s", "r"))], {"x"}, 16.0),
        (
            [loaded("g", 5.0, ("A", "r > 1")), loaded("h", 7.0, ("r", "x")), loaded("i", 2.0, ("r", "y"))],
            {"x", "y"},
            2.0,
        ),
        ([loaded("g", 5.0, ("A", "r > 1")), loaded("h", 7.0, ("r", "r offset 1m"))], {"r"}, 7.0),
    ],
    ids=["none", "before it in its group", "after it", "another group", "two in a row", "two for one", "of itself"],
)
def test_what_recording_rules_take(groups: list[LoadedGroup], metrics: set[str], wait: float) -> None:
    """Each recording rule on the way to an alert costs its interval, unless it stands before the alert in its group."""
    (rule,) = [rule for rule in groups[0].rules if rule.alerting]
    before = RecordingRules(groups).upstream_of(rule, groups[0])
    assert (set(before.selectors), before.seconds) == (metrics, wait)


def test_what_an_alert_leaves_to_wait_for() -> None:
    """An awaited alert has to resolve afterwards; one that is not awaited leaves nothing."""
    awaited = check("alert", target="prometheus", name="A", state=["pending", "firing"], labels={"job": "a"})
    after = awaited.postcondition()
    assert after is not None
    assert after == check("alert", target="prometheus", name="A", state="inactive", labels={"job": "a"})
    assert after.postcondition() is None


def test_a_query_that_prometheus_refuses(server: Service) -> None:
    """Prometheus's own words say what is wrong with a query that only fails when it is evaluated."""
    with pytest.raises(ObservationError, match=r"Prometheus rejected the request: .*many-to-many"):
        ask("promql", urls={"prometheus": server.url}, target="prometheus", query="up * on() up", value=1)
    with pytest.raises(ObservationError, match="is a matrix, not a vector"):
        ask("promql", urls={"prometheus": server.url}, target="prometheus", query="up[1m]", value=1)


def test_loaded_rules(server: Service, tmp_path: Path) -> None:
    """The file that is loaded passes; each difference is named with its line."""
    urls = {"prometheus": server.url}
    (tmp_path / "rules.yml").write_text(RULES)
    made = ask("loaded_rules", tmp_path, urls=urls, target="prometheus", file="rules.yml")
    assert (made.status, str(made.message)) == ("pass", "2 groups with 4 rules are loaded and healthy")
    for old, new, problem in (
        ("for: 2s", "for: 3s", "rules.yml:4: SelfDown: the file has 'for: 3.0 s', loaded is 2.0 s"),
        ("upp == 0", "up  ==  0", "rules.yml:13: Typo: the file has the expression up == 0, loaded is upp == 0"),
        ("severity: warning", "severity: low", 'the file has the labels {severity="low"}'),
        ("summary: never", "summary: once", 'annotations {summary="once"}, loaded are {summary="never"}'),
        ("for: 2s", "for: 2s\n        keep_firing_for: 1m", "has 'keep_firing_for: 1 min', loaded is 0 ms"),
        ("name: critical", "name: critical\n    interval: 5s", "rules.yml:2: critical: the file has 'interval: 5.0 s'"),
        ("name: critical", "name: critical\n    limit: 0x10", "critical: the file has 'limit: 16', loaded is 0"),
        ("name: critical", "name: critical\n    labels: {team: a}", '{severity="critical", team="a"}, loaded are'),
        ("name: recorded", "name: other", "rules.yml:17: The group other is not loaded"),
        ("alert: Typo", "alert: Typos", "rules.yml:13: Typos is not loaded; rules.yml:2: Typo is loaded in critical"),
    ):
        (tmp_path / "rules.yml").write_text(RULES.replace(old, new))
        made = ask("loaded_rules", tmp_path, urls=urls, target="prometheus", file="rules.yml")
        assert (made.status, problem) == ("fail", problem if problem in str(made.message) else str(made.message))
    for old, new in (
        ("name: critical", 'name: critical\n    interval: 1s\n    limit: 0\n    labels: {team: ""}'),
        ('up{job="self"} == 0', "up{job='self'} == 0x0"),
        ("  - name: recorded", "  - name: empty\n    rules: []\n  - name: recorded"),
    ):
        (tmp_path / "rules.yml").write_text(RULES.replace(old, new))
        made = ask("loaded_rules", tmp_path, urls=urls, target="prometheus", file="rules.yml")
        assert (made.status, str(made.message)) == ("pass", "2 groups with 4 rules are loaded and healthy")
    assert ask("loaded_rules", urls=urls, target="prometheus", groups=["critical"]).status is Status.PASS
    assert ask("loaded_rules", urls=urls, target="prometheus", groups=["other"]).status is Status.FAIL


@pytest.mark.parametrize("kind", ["promql", "scrape_target", "alert", "loaded_rules"])
@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, "<html>hello</html>"),
        Reply(200, '{"status": "success", "data": 5}'),
        Reply(200, '{"status": "success", "data": {"groups": 5, "activeTargets": 5, "resultType": "vector",'
                   ' "result": 5}}'),
        Reply(200, '{"status": "success", "data": {"groups": [5], "activeTargets": [5], "resultType": "vector",'
                   ' "result": [{"metric": {}, "value": [1, "x"]}]}}'),
        Reply(503, '{"status": "error", "error": "not ready"}'),
        Reply(200, "[" * 100_000),
        Reply(200, b"\xff\xfe\x00"),
    ],
)  # fmt: skip
def test_garbage_is_not_judged(kind: str, reply: Reply) -> None:
    """Whatever is no answer of Prometheus cannot be observed, and what came back is kept."""
    fields = {
        "promql": {"query": "up", "value": 1},
        "scrape_target": {"job": "x"},
        "alert": {"name": "X", "state": "firing"},
        "loaded_rules": {"groups": ["x"]},
    }
    path = {"promql": "query", "scrape_target": "targets"}.get(kind, "rules")
    with serving({f"/api/v1/{path}": reply}) as web, pytest.raises(ObservationError):
        ask(kind, urls={"prometheus": web.url}, target="prometheus", **fields[kind])


@pytest.mark.parametrize(
    ("config", "files", "version", "message"),
    [
        ("rule_files: [none.yml]", {}, None, "prometheus.yml:1:14: The rule file none.yml does not exist"),
        ("rule_files: ['none*.yml']", {}, None, ""),
        ("rule_files: [r.yml]", {"r.yml": "groups: [{}]"}, None, "r.yml:1:10: The group has no name"),
        ("rule_files: [/etc/prometheus/r.yml]", {}, None,
         "outside of the checkout, and not looked at: /etc/prometheus/r.yml"),
        ("scrape_config_files: ['j*.yml']", {"j.yml": "scrape_configs: [{job_name: a}]"}, None,
         "j.yml:1:1: duplicate job a, already defined in another file"),
        ("rule_files: [../r.yml]", {}, None, "outside of the checkout, and not looked at: ../r.yml"),
        ("scrape_configs: []\nstorage: {tsdb: {retention: {time: 5d}}}", {}, "3.5",
         "Prometheus knows 'retention' in tsdb since 3.8, not in 3.5"),
        ("storage: {tsdb: {retention: {time: 5d}}}", {}, None, ""),
        ("tracing: {endpoint: a, client_type: ftp}", {}, "3.5", "client_type: ftp is not a tracing client"),
        ("global: {scrape_interval: 5}", {}, "3.5", "scrape_interval: 5 is not a duration"),
        ("rule_files: ['" + "*a" * 40 + "b']", {"a" * 200: ""}, None, ""),
    ],
)  # fmt: skip
def test_files_of_a_configuration(
    config: str, files: dict[str, str], version: str | None, message: str, tmp_path: Path
) -> None:
    """A configuration is judged by its version, together with the files that it names."""
    job = "scrape_configs: [{job_name: a, static_configs: [{targets: ['a:1']}]}]\n"
    (tmp_path / "prometheus.yml").write_text(f"{config}\n{job}")
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    fields = {"version": version} if version else {}
    made = ask("scrape_config", tmp_path, urls={}, file="prometheus.yml", job="a", **fields)
    assert message in str(made.message)
    fails = bool(message) and "outside of the checkout" not in message
    assert made.status == ("fail" if fails else "pass"), str(made.message)


def test_a_version_is_written_in_quotes() -> None:
    """`version: 3.10` without quotes would be 3.1: it is an error of the checklist that says so."""
    with pytest.raises(ValidationError, match="in quotes"):
        check("scrape_config", file="prometheus.yml", job="a", version=3.10)
    with pytest.raises(ValidationError, match=r"2\.42 or newer"):
        check("scrape_config", file="prometheus.yml", job="a", version="2.30")


def test_scrape_config(tmp_path: Path) -> None:
    """`scrape_config` reads the file, and says where the job is."""
    (tmp_path / "prometheus.yml").write_text(CONFIG % "api:8080")
    (tmp_path / "rules.yml").write_text("groups: []\n")
    for fields, status, message in (
        ({"job": "self"}, "pass", "prometheus.yml:5: the job self scrapes /metrics of api:8080"),
        (
            {"job": "self", "address": "api:8080", "metrics_path": "/metrics", "rules": "rules.yml", "interval": "1s"},
            "pass",
            "",
        ),
        ({"job": "slef"}, "fail", "prometheus.yml has no job slef; it has self"),
        ({"job": "self", "address": "api:9090"}, "fail", "does not scrape api:9090, but api:8080"),
        ({"job": "self", "metrics_path": "/other"}, "fail", "scrapes /metrics, expected /other"),
        ({"job": "self", "interval": "500ms"}, "fail", "scrapes every 1.0 s"),
        ({"job": "self", "rules": "alerts.yml"}, "fail", "alerts.yml is not in rule_files"),
        ({"job": "self", "version": "2.42"}, "pass", ""),
    ):
        made = ask("scrape_config", tmp_path, urls={}, file="prometheus.yml", **fields)
        assert made.status == status, str(made.message)
        assert message in str(made.message), str(made.message)
    assert ask("scrape_config", tmp_path, urls={}, file="none.yml", job="x").status is Status.FAIL
    (tmp_path / "prometheus.yml").write_text("scrape_configs: {")
    assert ask("scrape_config", tmp_path, urls={}, file="prometheus.yml", job="x").status is Status.FAIL


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({"valid": True}, "pass", "2 groups with 3 alerts, rules.yml: as expected"),
        ({"groups": {"critical": 3, "recorded": 0}, "group_count": 2, "alerts": 3}, "pass", ""),
        ({"groups": {"critical": 8}}, "fail", "rules.yml:2:"),
        ({"groups": {"critcal": 3}}, "fail", "There is no group critcal; there are critical"),
        ({"labels": ["severity"], "annotations": ["summary"], "runbooks": True}, "pass", ""),
        ({"labels": {"severity": ["critical"]}}, "fail", 'rules.yml:13: Typo: severity: expected "critical", got'),
        ({"labels": ["team"]}, "fail", "rules.yml:4: SelfDown has no label team"),
        ({"annotations": ["description"]}, "fail", "SelfDown has no annotation description"),
        ({"runbooks": {"folder": "other"}}, "fail", "the runbook of SelfDown: other/docs/down.md does not exist"),
        ({"runbooks": {"annotation": "link"}}, "fail", "SelfDown has no annotation link"),
    ],
)
def test_alert_rules(tmp_path: Path, fields: dict[str, Any], status: str, message: str) -> None:
    """`alert_rules` says file, line and reason."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/down.md").write_text("# Down\n")
    (tmp_path / "rules.yml").write_text(RULES)
    made = ask("alert_rules", tmp_path, urls={}, file="rules.yml", **fields)
    assert (made.status, message) == (status, message if message in str(made.message) else str(made.message))


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"valid": True}, "SUCCESS: 1 rules found"),
        ({"groups": {"one": 1}}, "2:  - name: one\n4:      - alert: A"),
        ({"labels": ["severity"]}, "7:          severity: page"),
        ({"runbooks": True, "valid": True}, "9:          runbook: docs/a.md"),
    ],
)
def test_alert_rules_by_hand(tmp_path: Path, fields: dict[str, Any], shown: str) -> None:
    """The command of the evidence shows what was judged, and not only that the file is valid."""
    (tmp_path / "rules.yml").write_text(
        "groups:\n  - name: one\n    rules:\n      - alert: A\n        expr: up == 0\n"
        "        labels:\n          severity: page\n        annotations:\n          runbook: docs/a.md\n"
    )
    line = check("alert_rules", file="rules.yml", **fields).reproduce_command(context(tmp_path))
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert shown in " ".join([done.stdout, done.stderr])


def test_alert_rules_names_every_problem(tmp_path: Path) -> None:
    """All that is wrong is said at once, with its place."""
    bad = (
        RULES.replace("upp == 0", "sum(upp ==")
        .replace("for: 2s", "for: 2")
        .replace("$labels.job }} is down", "$lab }}")
    )
    (tmp_path / "rules.yml").write_text(bad)
    made = ask("alert_rules", tmp_path, urls={}, file="*.yml", valid=True)
    assert made.status is Status.FAIL
    places = [str(place) for place in made.locations]
    assert places == ["rules.yml:6:14", "rules.yml:8:36", "rules.yml:12:36", "rules.yml:14:15"]
    assert ask("alert_rules", tmp_path, urls={}, file="none/*.yml", valid=True).status is Status.FAIL


def test_runbooks_at_an_address(tmp_path: Path) -> None:
    """A prefix says which folder an address stands for."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/down.md").write_text("# Down\n")
    (tmp_path / "rules.yml").write_text(RULES.replace("docs/down.md", "https://wiki.example/books/down.md#what"))
    made = ask("alert_rules", tmp_path, urls={}, file="rules.yml", runbooks=True)
    assert "is an address: say with `prefix`" in str(made.message)
    wish = {"prefix": "https://wiki.example/books/", "folder": "docs"}
    assert ask("alert_rules", tmp_path, urls={}, file="rules.yml", runbooks=wish).status is Status.PASS


def test_a_group_that_is_gone_from_the_file(server: Service, tmp_path: Path) -> None:
    """A group that Prometheus still has from a file of that name, and that the file has no more, is no pass."""
    (tmp_path / "rules.yml").write_text(RULES.partition("  - name: recorded")[0])
    made = ask("loaded_rules", tmp_path, urls={"prometheus": server.url}, target="prometheus", file="rules.yml")
    assert made.status == "fail"
    assert "recorded is loaded from" in str(made.message)


def test_loaded_files_of_one_base_name(tmp_path: Path) -> None:
    """Each of two files with one base name is compared with its own: the other's groups are none of its business."""
    group = "- name: {name}\n  rules: [{{alert: {alert}, expr: up == 0}}]\n"
    files = {
        "rules.yml": "groups:\n" + group.format(name="api", alert="ApiDown"),
        "b/rules.yml": "groups:\n" + group.format(name="api", alert="Down") + group.format(name="db", alert="DbDown"),
    }
    config = "global: {evaluation_interval: 1s}\nrule_files: [rules.yml, b/rules.yml]\n"
    with prometheus_running(config) as service:
        for folder in (service.folder, tmp_path / "ops"):
            (folder / "b").mkdir(parents=True)
            for name, text in files.items():
                (folder / name).write_text(text)
        request = urllib.request.Request(f"{service.url}/-/reload", method="POST")
        urllib.request.urlopen(request, timeout=20).close()

        def told(file: str) -> str:
            end = time.monotonic() + 30
            while True:
                asked = {"target": "prometheus", "file": file}
                message = str(ask("loaded_rules", tmp_path, urls={"prometheus": service.url}, **asked).message)
                if "evaluated yet" not in message or time.monotonic() > end:
                    return message
                time.sleep(0.2)

        assert told("ops/rules.yml") == "1 groups with 1 rules are loaded and healthy"
        assert told("ops/b/rules.yml") == "2 groups with 2 rules are loaded and healthy"
        (tmp_path / "ops/b/rules.yml").write_text("groups:\n" + group.format(name="api", alert="Down"))
        assert told("ops/b/rules.yml").startswith("ops/b/rules.yml:1: db is loaded from ")


def test_a_file_that_would_not_be_loaded(server: Service, tmp_path: Path) -> None:
    """What Prometheus would refuse fails, although all rules that could be read are loaded: it has an older file."""
    (tmp_path / "rules.yml").write_text(RULES.replace("for: 2s", "for: 2s\n        forr: 5m"))
    made = ask("loaded_rules", tmp_path, urls={"prometheus": server.url}, target="prometheus", file="rules.yml")
    assert made.status == "fail"
    assert "unknown key 'forr' in a rule" in str(made.message)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(200, b'{"status":"success","data":{"resultType":"vector","result":null}}'), "Expected `array`"),
        (Reply(200, b'{"status":"success","data":{"resultType":"vector"}}'), "missing required field `result`"),
        (
            Reply(500, b'{"status":"success","data":{"resultType":"vector","result":[]}}'),
            "HTTP 500 with unexpected JSON",
        ),
    ],
    ids=["null", "missing", "status"],
)
def test_nothing_is_an_empty_result_but_an_empty_list(reply: Reply, reason: str) -> None:
    """An answer without a result is no empty one: `empty: true` does not pass on it."""
    with serving({"/api/v1/query": reply}) as web, pytest.raises(ObservationError, match=reason):
        ask("promql", urls={"prometheus": web.url}, target="prometheus", query="up", empty=True)
