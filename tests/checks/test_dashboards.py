"""Dashboards are judged against real servers of each supported release, before and after metrics are renamed."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gate.checks.base import CheckResult, ObservationError
from gate.model import Status
from tests.support.checks import check, context
from tests.support.paths import ROOT
from tests.support.services import Service, prometheus_running
from tests.support.web import Reply, Web, serving

CONFIG = """
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
scrape_configs:
  - job_name: api
    static_configs: [{targets: ["127.0.0.1:%d"]}]
"""
RULES = """
groups:
  - name: api
    rules:
      - {record: "job:requests:rate", expr: "sum by (job) (rate(api_requests_total[1m]))"}
      - {record: "job:errors:rate", expr: "sum by (job) (rate(api_errors_total[1m]))"}
      - {alert: Quiet, expr: api_pool_open > 100}
"""
EXPOSITION = """\
# TYPE api_requests_total counter
api_requests_total{code="200"} 12
# TYPE api_errors_total counter
# TYPE api_pool_open gauge
api_pool_open{pool="a.b"} 3
api_pool_open{pool="c"} 3
# TYPE api_duration_seconds histogram
api_duration_seconds_bucket{le="+Inf"} 12
api_duration_seconds_sum 0.9
api_duration_seconds_count 12
"""
TEXT = {"Content-Type": "text/plain; version=0.0.4"}
PROMETHEUS = {"type": "prometheus", "uid": "prometheus"}


class Staging:
    """A Prometheus, and the API that it scrapes."""

    def __init__(self, prometheus: Service, api: Web) -> None:
        self.prometheus, self.api = prometheus, api

    def expose(self, text: str) -> None:
        """Change what the API exposes."""
        self.api.routes["/metrics"] = Reply(200, text, TEXT)

    def judge(self, root: Path, limit: float = 30.0, **fields: Any) -> CheckResult:
        """Judge the checkout's dashboards once."""
        made = check("dashboards", target="prometheus", files="*.json", **fields)
        return made.judge(made.observe(context(root, limit=limit, prometheus=self.prometheus.url)))

    def await_result(self, root: Path, status: Status, text: str, **fields: Any) -> CheckResult:
        """Judge them until the result is as expected, as an item with `within` does."""
        end = time.monotonic() + 60
        while True:
            result = self.judge(root, **fields)
            if (result.status, text in str(result.message)) == (status, True) or time.monotonic() > end:
                assert result.status == status, result.message
                assert text in str(result.message), result.message
                return result
            time.sleep(0.3)


def program(release: str) -> str:
    """Return the server of a release: the installed one, or one that `make parts` has unpacked."""
    if release == "installed":
        return shutil.which("prometheus") or ""
    path = ROOT / ".cache" / "prometheus" / release / "bin" / "prometheus"
    assert path.exists(), "make parts fetches it"
    return str(path)


@pytest.fixture(scope="module", params=["installed", "trixie", "forky"])
def staging(request: pytest.FixtureRequest) -> Iterator[Staging]:
    """Provide a Prometheus of each release."""
    with (
        serving({"/metrics": Reply(200, EXPOSITION, TEXT)}) as api,
        prometheus_running(CONFIG % api.port, RULES, program=program(request.param)) as prometheus,
    ):
        yield Staging(prometheus, api)


def write(folder: Path, *queries: str, variables: tuple[dict[str, Any], ...] = (), name: str = "api.json") -> None:
    """Write a dashboard with a panel for each query, one line each."""
    panels = [{"title": f"P{number}", "targets": [{"expr": text}]} for number, text in enumerate(queries)]
    head = {"title": name, "uid": name.replace(".", "-"), "templating": {"list": list(variables)}}
    lines = ",\n".join(json.dumps(panel) for panel in panels)
    (folder / name).write_text(json.dumps(head)[:-1] + f', "panels": [\n{lines}\n]}}')


def test_before_and_after_a_rename(staging: Staging, tmp_path: Path) -> None:
    """Metrics with samples, declared without any, recorded or of alerts pass; renamed ones are named."""
    write(
        tmp_path,
        "sum(rate(api_requests_total[$__rate_interval]))",
        "histogram_quantile(0.9, sum by (le) (rate(api_duration_seconds_bucket[5m]))) + api_duration_seconds_count",
        "api_errors_total or up or scrape_duration_seconds or ALERTS",
        "job:requests:rate",
        "job:errors:rate",
        '{__name__=~"api_pool_.*"}',
    )
    staging.expose(EXPOSITION)
    result = staging.await_result(tmp_path, Status.PASS, "1 dashboard: 6 queries parse")
    assert "10 metrics are exposed, 0 queries are not judged" in str(result.message)

    staging.expose(EXPOSITION.replace("api_requests_total", "api_http_requests_total").replace("_pool_", "_pools_"))
    gone = 'api.json:2:48: panel "P0": api_requests_total: '
    result = staging.await_result(tmp_path, Status.FAIL, "; api_http_requests_total is exposed")
    message = str(result.message)
    assert message.startswith(gone), message
    assert 'api.json:5:39: panel "P3": job:requests:rate: recorded by a rule that reads api_requests_total' in message
    assert 'api.json:7:39: panel "P5": {__name__=~"api_pool_.*"}: not exposed' in message
    assert (result.locations[0].line, result.locations[0].column) == (2, 48)
    assert not result.final
    optional = ["api_requests_total", "job:*:rate"]
    assert "api_requests_total" not in str(staging.judge(tmp_path, optional=optional).message)


def test_gone_but_still_declared(staging: Staging, tmp_path: Path) -> None:
    """A metric whose samples ended is not exposed, although its target still declares it."""
    write(tmp_path, "api_pool_open")
    staging.expose(EXPOSITION)
    staging.await_result(tmp_path, Status.PASS, "1 metric is exposed")
    staging.expose("\n".join(line for line in EXPOSITION.splitlines() if not line.startswith("api_pool")) + "\n")
    staging.await_result(tmp_path, Status.FAIL, "api_pool_open: no longer exposed")


def test_data(staging: Staging, tmp_path: Path) -> None:
    """The share of queries with data is counted, with the variables' values from Prometheus."""
    variables = (
        {
            "name": "pool",
            "type": "query",
            "query": "label_values(api_pool_open, pool)",
            "multi": True,
            "includeAll": True,
        },
        {"name": "job", "type": "query", "query": 'label_values(up{job=~"$other"}, job)'},
        {"name": "other", "type": "query", "query": "label_values(job)", "regex": "/^(ap.)$/"},
        {"name": "limit", "type": "query", "query": "query_result(count(api_pool_open))", "regex": "/.* (\\d+)/"},
        {"name": "none", "type": "query", "query": 'label_values(up{job="nobody"}, job)'},
        {"name": "agg", "type": "custom", "query": "max,min"},
    )
    write(
        tmp_path,
        'sum(api_pool_open{pool=~"$pool", job="$job"}) > $limit',
        "$agg(up)",
        "scalar(up)",
        "up[5m]",
        'up{job="$none"}',
        'api_pool_open{pool=~"${pool:regex}"}',
        "api_pool_open > 100",
        "ALERTS",
        variables=variables,
    )
    staging.expose(EXPOSITION)
    result = staging.await_result(tmp_path, Status.FAIL, "8 of 13 queries return data, expected 70 %", data="70%")
    message = str(result.message)
    assert 'variable "none": the variable $none has no values' in message
    assert 'panel "P4": the variable $none has no values' in message
    assert 'panel "P5": with the values of its variables it does not parse: unknown escape sequence' in message
    assert "put '${pool:regex}' in back quotes" in message
    assert 'panel "P6": no data' in message
    assert staging.judge(tmp_path, data="61%").status is Status.PASS
    assert staging.judge(tmp_path, data="62%").status is Status.FAIL


def test_nothing_passes_unjudged(staging: Staging, tmp_path: Path) -> None:
    """A file with nothing judged fails beside one that passes; a duplicate uid, a manifest and its places are found."""
    staging.expose(EXPOSITION)
    write(tmp_path, "up")
    staging.await_result(tmp_path, Status.PASS, "1 dashboard")
    (tmp_path / "empty.json").write_text('{"title": "Empty", "panels": [{"type": "text"}]}')
    result = staging.judge(tmp_path)
    assert (result.status, str(result.message)) == (Status.FAIL, "empty.json: nothing was judged; it has no query")
    assert result.final
    (tmp_path / "empty.json").unlink()
    write(tmp_path, "up", name="again.json")
    (tmp_path / "again.json").write_text((tmp_path / "again.json").read_text().replace("again-json", "api-json"))
    assert "api.json: 'uid' api-json is a duplicate of again.json" in str(staging.judge(tmp_path).message)
    (tmp_path / "map.yml").write_text(
        "apiVersion: v1\nkind: ConfigMapList\nitems:\n- kind: ConfigMap\n  data:\n    a.json: |-\n"
        '      {"title": "A", "panels": [\n        {"title": "P", "targets": [{"expr": "upp"}]}\n      ]}\n'
    )
    made = check("dashboards", target="prometheus", files="map.yml")
    found = made.judge(made.observe(context(tmp_path, prometheus=staging.prometheus.url)))
    assert str(found.message).startswith('map.yml:8:46: panel "P": upp: not exposed')


def test_a_target_that_is_down(staging: Staging, tmp_path: Path) -> None:
    """What can't be scraped is named as advice: then nothing was renamed."""
    write(tmp_path, "api_pool_open")
    staging.expose(EXPOSITION)
    staging.await_result(tmp_path, Status.PASS, "1 metric is exposed")
    staging.expose("not a metric {")
    result = staging.await_result(tmp_path, Status.FAIL, "api_pool_open: no longer exposed")
    assert f"Prometheus can't scrape http://127.0.0.1:{staging.api.port}/metrics" in str(result.advice)


@pytest.mark.parametrize(
    "query", ["/api/v1/label/__name__/values", "/api/v1/metadata", "/api/v1/query", "/api/v1/targets"]
)
def test_no_answer_is_no_pass(query: str, tmp_path: Path) -> None:
    """Any request that fails is an ERROR: it could not be observed."""
    write(tmp_path, "upp")
    data = {
        "/api/v1/rules": {"groups": []},
        "/api/v1/status/config": {"yaml": "global:\n  scrape_interval: 1s\n"},
        "/api/v1/query": {"resultType": "vector", "result": []},
        "/api/v1/metadata": {},
        "/api/v1/label/__name__/values": [],
        "/api/v1/targets": {"activeTargets": []},
    }
    routes = {path: Reply(200, json.dumps({"status": "success", "data": value})) for path, value in data.items()}
    routes[query] = Reply(503, "<h1>no</h1>")
    web = Web(routes)
    web.start()
    try:
        made = check("dashboards", target="prometheus", files="*.json")
        with pytest.raises(ObservationError, match="not a Prometheus API"):
            made.observe(context(tmp_path, prometheus=web.url))
    finally:
        web.stop()
