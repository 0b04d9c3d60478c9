"""From the rule of an alert to its runbook, on a real Prometheus."""

from __future__ import annotations

import json
import os
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gate.alertmanager.config import parse_config
from gate.checks.attempts import run_check
from gate.checks.context import CheckContext
from gate.checks.entry import CheckEntry
from gate.checks.traceability import Traceability
from gate.core.messages import msg
from gate.decode.structs import ValidationError, decode_all_errors
from gate.model import Evidence, ItemResult, Outcome, Severity, Status, Timeline, TimelineEvent
from gate.prometheus.client import Api
from gate.redaction.secrets import Redactor
from gate.staging.pages import PageInbox
from gate.staging.target import RunningTarget
from tests.support.services import Service, newest, prometheus_running
from tests.support.web import Reply, Web

CONFIG = "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [rules.yml]\n"
RULES = """
groups:
  - name: g
    rules:
      - {alert: Good, expr: vector(1), labels: {severity: critical}, annotations: {runbook: docs/good.md}}
      - {alert: Metricless, expr: nobody_has_it > 0, labels: {severity: minor}, annotations: {runbook: docs/good.md}}
      - {alert: Bare, expr: vector(1) < 0, labels: {severity: minor}}
      - {alert: Lost, expr: vector(1) < 0, labels: {severity: minor}, annotations: {runbook: docs/lost.md}}
      - {alert: Thin, expr: vector(1) < 0, labels: {severity: minor}, annotations: {runbook: docs/thin.md}}
"""


@pytest.fixture(scope="module")
def running() -> Iterator[Service]:
    """Start a Prometheus with the rules and wait until it has evaluated them."""
    with prometheus_running(CONFIG, RULES) as service:
        time.sleep(3)
        yield service


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Create a checkout with the rules and their runbooks."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "good.md").write_text("# Good\n\n## Signal\n\ntext\n")
    (tmp_path / "docs" / "thin.md").write_text("# Thin\n\n## Signal\n")
    (tmp_path / "docs" / "orphan.md").write_text("# Orphan\n\n## Signal\n\ntext\n")
    (tmp_path / "rules.yml").write_text(RULES)
    return tmp_path


def drilled(*alerts: str) -> dict[str, ItemResult]:
    """Return the results of a drill in which these alerts fired."""
    moments = tuple(TimelineEvent(at=1.0, what=msg("alert {alert}", alert=name), kind="alert") for name in alerts)
    outcome = Outcome(status=Status.PASS, message=msg("seen"), timeline=Timeline(events=moments))
    item = ItemResult(id="d", title="D", severity=Severity.BLOCKING, check="drill", outcome=outcome)
    return {"d": item}


def asking(
    service: Service,
    root: Path,
    results: dict[str, ItemResult] | None = None,
    within: float | None = None,
    inbox: PageInbox | None = None,
    **fields: Any,
) -> Outcome:
    """Run the check and return its outcome."""
    check = decode_all_errors({"target": "prometheus", "file": "rules.yml", **fields}, Traceability)
    running = RunningTarget(name="prometheus", base_url=service.url)
    now = time.monotonic()
    context = CheckContext(
        root=root,
        targets={"prometheus": running, "alertmanager": RunningTarget("alertmanager", inbox=inbox)},
        secrets=Redactor(),
        deadline=now + 20,
        fresh_after=now,
        results=results or {},
    )
    return run_check(CheckEntry(check=check, within=within, timeout=15.0), context)


def rows(outcome: Outcome) -> dict[str, str]:
    """Return the message of each alert's row."""
    return {str(row.title): str(row.message) for row in outcome.rows}


def test_first_broken_link(running: Service, checkout: Path) -> None:
    """Each alert's first broken link is named; without a drill none was seen firing."""
    outcome = asking(running, checkout, drilled("Good"), sections=["Signal"])
    assert outcome.status is Status.FAIL
    assert rows(outcome) == {
        "Good": "no link is broken",
        "Metricless": "no scraped target exposes nobody_has_it",
        "Bare": "no runbook annotation",
        "Lost": "docs/lost.md does not exist",
        "Thin": 'docs/thin.md:3: section "Signal" has no text under it',
    }
    assert [f"{title}: {why}" in str(outcome.message) for title, why in rows(outcome).items()] == [False, *[True] * 4]


def test_a_pass_names_the_links_that_hold(running: Service, checkout: Path) -> None:
    """A link that is broken and not demanded is said to be so in a row that passes, and is not in the message."""
    outcome = asking(running, checkout, links=["loaded"])
    links = "5 alerts, and of each these links hold: loaded; 0 seen firing in a drill; judged by "
    assert str(outcome.message).startswith(links)
    assert {row.status for row in outcome.rows} == {Status.PASS}
    assert rows(outcome)["Metricless"] == "no scraped target exposes nobody_has_it (not demanded)"


def test_a_row_has_its_whole_chain(running: Service, checkout: Path) -> None:
    """An alert's severity, the place of its rule and every link, whether demanded or not, are in its row."""
    good, metricless, *_ = asking(running, checkout, drilled("Good"), links=["loaded"]).rows
    assert [link.name for link in metricless.links] == [
        "loaded",
        "exposed",
        "fired",
        "annotation",
        "runbook",
        "sections",
    ]
    assert [link.name for link in metricless.links if not link.holds] == ["exposed", "fired"]
    assert {link.holds for link in good.links} == {True}
    assert (good.severity, metricless.severity) == ("critical", "minor")
    assert [str(place) for place in metricless.evidence.locations] == ["rules.yml:6"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("<!-- TODO -->\n", "docs/good.md has no section"),
        ("# Good\n\n<!-- TODO -->\n", 'docs/good.md:1: section "Good" has no text under it'),
        ("# Good\n\ntext\n\n## Steps\n", 'docs/good.md:5: section "Steps" has no text under it'),
    ],
)
def test_without_sections_all_are_to_be_filled_in(running: Service, checkout: Path, text: str, why: str) -> None:
    """A runbook has sections, and text under each of them, where the checklist names none."""
    (checkout / "docs/good.md").write_text(text)
    outcome = asking(running, checkout, links=["sections"])
    assert (outcome.status, rows(outcome)["Good"]) == (Status.FAIL, why)


@pytest.mark.parametrize(
    ("links", "status"), [(["loaded"], Status.PASS), (["exposed"], Status.FAIL), (["annotation"], Status.FAIL)]
)
def test_links(running: Service, checkout: Path, links: list[str], status: Status) -> None:
    """Only the links that are asked for have to hold."""
    assert asking(running, checkout, links=links).status is status


@pytest.mark.parametrize(
    ("drills", "least", "status"),
    [(["Good"], "100%", Status.PASS), ([], "100%", Status.FAIL), (["Bare"], "100%", Status.FAIL)],
)
def test_coverage(running: Service, checkout: Path, drills: list[str], least: str, status: Status) -> None:
    """An alert counts as seen firing when a drill noticed it and Prometheus had it firing."""
    outcome = asking(running, checkout, drilled(*drills), links=["loaded"], fired={"critical": least})
    assert outcome.status is status


@pytest.mark.parametrize(
    ("fields", "once"),
    [
        ({"links": ["fired"]}, True),
        ({"links": ["loaded"], "fired": {"critical": "100%"}}, True),
        ({"links": ["annotation"]}, True),
        ({"file": "nothing.yml"}, True),
        ({"links": ["exposed"]}, False),
    ],
)
def test_nothing_is_retried_that_cannot_change(
    running: Service, checkout: Path, fields: dict[str, Any], once: bool
) -> None:
    """After the drills no alert is seen firing any more; Prometheus may still come to expose a metric."""
    outcome = asking(running, checkout, within=1.0, **fields)
    assert (outcome.status, outcome.evidence.attempts == 1) == (Status.FAIL, once)


def test_a_severity_that_no_alert_has(running: Service, checkout: Path) -> None:
    """A share of nothing is not reached."""
    outcome = asking(running, checkout, links=["loaded"], fired={"none": "1%"})
    assert str(outcome.message) == "0 of 0 none alerts were seen firing, expected 1 %"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("groups: [", "more.yml:2:1: "),
        (
            "groups:\n  - name: h\n    rules:\n      - {expr: up}\n",
            "more.yml:4:9: A rule needs either 'alert' or 'record'",
        ),
        ("groups: []\n", "There is no alert in more.yml"),
    ],
    ids=["no YAML", "without a name", "without alerts"],
)
def test_a_file_that_prometheus_would_not_load(running: Service, checkout: Path, text: str, why: str) -> None:
    """What is wrong with a rule file is said with its place, and no alert of it has a row that says nothing."""
    (checkout / "more.yml").write_text(text)
    outcome = asking(running, checkout, file="more.yml", links=["loaded"])
    assert outcome.status == Status.FAIL
    assert str(outcome.message).startswith(why)
    assert outcome.rows == ()
    outcome = asking(running, checkout, file="*.yml", links=["loaded"])
    assert len(outcome.rows) == 5
    assert outcome.status is (Status.PASS if "no alert" in why else Status.FAIL)


def test_metrics_that_need_not_exist(running: Service, checkout: Path) -> None:
    """Nobody has to expose what stands to the right of `unless` or inside `absent()`: the alert fires without it."""
    rule = "groups: [{name: h, rules: [{alert: Kept, expr: '%s'}]}]"
    for expression, status in (
        ("vector(1) unless on() maintenance == 1", Status.PASS),
        ("absent(heartbeat)", Status.PASS),
        ("maintenance == 1 unless on() vector(1)", Status.FAIL),
        ("(count(heartbeat) or vector(0)) < 1", Status.PASS),
        ("(count(heartbeat) or vector(0)) > 1", Status.FAIL),
        ("heartbeat == 0 or absent(heartbeat)", Status.PASS),
        ('heartbeat{job=~"("} == 0', Status.FAIL),
    ):
        (checkout / "more.yml").write_text(rule % expression)
        assert asking(running, checkout, file="more.yml", links=["exposed"]).status is status


def test_orphans(running: Service, checkout: Path) -> None:
    """A runbook that no alert leads to is named."""
    outcome = asking(running, checkout, links=["loaded"], runbooks="docs/*.md")
    assert str(outcome.message) == "no alert leads to docs/orphan.md"


def test_a_rule_that_is_not_loaded(running: Service, checkout: Path) -> None:
    """An alert of the file that Prometheus has not loaded breaks its first link."""
    more = "      - {alert: New, expr: vector(1), labels: {severity: minor}}\n"
    (checkout / "rules.yml").write_text(RULES + more)
    outcome = asking(running, checkout, links=["loaded"])
    assert (outcome.status, rows(outcome)["New"]) == (Status.FAIL, "it is not loaded")


# Alerts of one name: told apart by severity; one of them unhealthy; not to be told apart when one of them fires.
TWINS = """
groups:
  - name: g
    rules:
      - {alert: HighErrors, expr: vector(1), labels: {severity: warning}}
      - {alert: HighErrors, expr: vector(1) < 0, labels: {severity: critical}}
      - {alert: Broken, expr: "label_replace(http_up, 'a', '', '', '')", labels: {severity: minor}}
      - {alert: Broken, expr: vector(2) < 0, labels: {severity: minor}}
      - {alert: Same, expr: vector(1), labels: {severity: info}}
      - {alert: Same, expr: vector(2) < 0, labels: {severity: info}}
"""
FIRING_TWICE = 'http_up{a="1"} 1\nhttp_up{a="2"} 1\n'


@pytest.fixture(scope="module")
def twins() -> Iterator[Service]:
    """Start a Prometheus with several alerts of one name and wait until they fire."""
    web = Web({"/metrics": Reply(200, FIRING_TWICE, {"Content-Type": "text/plain"})})
    web.start()
    static = f"scrape_configs: [{{job_name: a, static_configs: [{{targets: ['127.0.0.1:{web.port}']}}]}}]\n"
    with prometheus_running(CONFIG + static, TWINS) as service:
        wait_until(lambda: len(alerting(service)) >= 2 and "err" in healths(service))
        yield service
    web.stop()


@pytest.fixture
def twins_checkout(tmp_path: Path) -> Path:
    """Create a checkout with the rules of one name."""
    (tmp_path / "rules.yml").write_text(TWINS)
    return tmp_path


def alerting(service: Service) -> list[str]:
    """Return the names of the firing alerts."""
    return [alert.name for alert in Api(service.url, time.monotonic() + 5).alerts() if alert.state == "firing"]


def healths(service: Service) -> set[str]:
    """Return the health of every loaded rule."""
    return {rule.health for group in Api(service.url, time.monotonic() + 5).rules() for rule in group.rules}


def holding(outcome: Outcome, link: str) -> list[tuple[str, str, bool]]:
    """Return title, message and state of one link, for each row."""
    return [
        (str(row.title), row.severity, each.holds) for row in outcome.rows for each in row.links if each.name == link
    ]


def test_an_alert_fires_for_its_own_rule(twins: Service, twins_checkout: Path) -> None:
    """An alert that was seen firing counts for the rule whose labels it has, and for none where that can't be told."""
    outcome = asking(twins, twins_checkout, drilled("HighErrors", "Same"), links=["loaded"], fired={"critical": "100%"})
    assert holding(outcome, "fired") == [
        ("HighErrors", "warning", True), ("HighErrors", "critical", False), ("Broken", "minor", False),
        ("Broken", "minor", False), ("Same", "info", False), ("Same", "info", False),
    ]  # fmt: skip
    assert "0 of 1 critical alerts were seen firing, expected 100 %" in str(outcome.message)
    assert str(outcome.rows[4].message).startswith(
        "an alert of its name was seen firing in a drill, and it can't be told"
    )


def test_an_unhealthy_rule_beside_a_healthy_one(twins: Service, twins_checkout: Path) -> None:
    """A rule that can't be evaluated is not hidden by another of its name."""
    found = holding(asking(twins, twins_checkout, links=["loaded"]), "loaded")
    assert [holds for name, _, holds in found if name == "Broken"] == [False, True]


def test_another_rule_of_the_name(running: Service, checkout: Path) -> None:
    """A rule counts as loaded only with its own group, expression and labels."""
    for change in (
        ("vector(1), labels", "vector(3), labels"),
        ("severity: critical", "severity: x"),
        ("name: g", "name: h"),
    ):
        (checkout / "rules.yml").write_text(RULES.replace(*change))
        outcome = asking(running, checkout, links=["loaded"])
        assert rows(outcome)["Good"] == "another rule of its name is loaded, and not this one"


def test_what_prometheus_only_remembers_is_not_exposed(checkout: Path) -> None:
    """A metric that somebody exposed once, and nobody does now, breaks the link."""
    (checkout / "rules.yml").write_text(RULES.replace("nobody_has_it", "gone_total"))
    web = Web({"/metrics": Reply(200, "gone_total 5\n", {"Content-Type": "text/plain"})})
    web.start()
    static = f"scrape_configs: [{{job_name: a, static_configs: [{{targets: ['127.0.0.1:{web.port}']}}]}}]\n"
    with prometheus_running(CONFIG + static, RULES) as service:
        assert until(service, checkout, "no link is broken")
        web.stop()
        assert until(service, checkout, "no scraped target exposes gone_total")


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait until the condition holds, for a limited time."""
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.2)


def until(service: Service, root: Path, words: str) -> bool:
    """Wait until the check reports this of the alert without metrics, for half a minute."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        rules = decode_all_errors({"target": "prometheus", "file": "rules.yml", "links": ["exposed"]}, Traceability)
        now = time.monotonic()
        here = CheckContext(
            root, {"prometheus": RunningTarget(name="prometheus", base_url=service.url)}, Redactor(), now + 9, now
        )
        (chain,) = (each for each in rules.observe(here).chains if each.name == "Metricless")
        if words == str(chain.first_broken(("exposed",)) or "no link is broken"):
            return True
        time.sleep(0.3)
    return False


@pytest.mark.parametrize("share", ["\uff11\uff10\uff10%", "\u0661%", "1_0%", "100", "0%", "101%", " 5%"])
def test_a_share_that_is_none(share: str) -> None:
    """A share is a number of plain digits with its sign."""
    with pytest.raises(ValidationError):
        decode_all_errors({"target": "prometheus", "file": "rules.yml", "fired": {"critical": share}}, Traceability)


UNIT_TESTS = """
rule_files: [rules.yml]
tests:
  - interval: 1m
    input_series: [{series: nobody_has_it, values: "0 0 5 5"}]
    alert_rule_test:
      - {eval_time: 3m, alertname: Metricless, exp_alerts: [{exp_labels: {severity: minor}, exp_annotations: %s}]}
      - {eval_time: 1m, alertname: Metricless, exp_alerts: []}
      - {eval_time: 1m, alertname: Good, exp_alerts: [{exp_labels: {severity: %s}, exp_annotations: %s}]}
      - {eval_time: 1m, alertname: Bare, exp_alerts: []}
"""
ANNOTATIONS = "{runbook: docs/good.md}"


def test_unit_tests(running: Service, checkout: Path) -> None:
    """An alert is tested if a unit test has a case in which it fires and one in which it is silent, and both pass."""
    (checkout / "rules_test.yml").write_text(UNIT_TESTS % (ANNOTATIONS, "critical", ANNOTATIONS))
    outcome = asking(running, checkout, links=["tested"], tests="*_test.yml")
    whys = {str(row.title): str(row.message) for row in outcome.rows}
    assert whys["Good"] == "no unit test in which it stays silent although there are series"
    assert whys["Bare"] == "no unit test in which it fires"
    assert whys["Lost"] == "no unit test"
    assert not whys["Metricless"].startswith("no unit test")
    assert "tested" in {link.name for link in outcome.rows[0].links}


def test_unit_tests_that_fail(running: Service, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Promtool runs the unit tests: an alert whose case fails is not tested, and another in the file is."""
    monkeypatch.setenv("PATH", f"{Path(newest('promtool')).parent}{os.pathsep}{os.environ['PATH']}")
    (checkout / "rules_test.yml").write_text(UNIT_TESTS % ("{runbook: docs/other.md}", "critical", ANNOTATIONS))
    outcome = asking(running, checkout, links=["tested"], tests="rules_test.yml")
    whys = {str(row.title): str(row.message) for row in outcome.rows}
    assert whys["Metricless"].startswith("its unit test rules_test.yml fails: alertname: Metricless, time: 3m, exp:[")
    assert "fails" not in whys["Good"]
    (checkout / "rules_test.yml").write_text(UNIT_TESTS.replace("rule_files", "rule_filez") % ("{}", "x", "{}"))
    outcome = asking(running, checkout, links=["tested"], tests="rules_test.yml")
    assert {str(row.message) for row in outcome.rows} == {"no unit test"}
    (checkout / "rules_test.yml").write_text("not: tests")
    outcome = asking(running, checkout, links=["tested"], tests="rules_test.yml")
    assert (outcome.status, str(outcome.message)) == (
        Status.ERROR, "rules_test.yml is not a unit test of rules: it has no 'tests'")  # fmt: skip
    outcome = asking(running, checkout, links=["tested"], tests="nowhere.yml")
    assert (outcome.status, str(outcome.message)) == (Status.ERROR, "nowhere.yml matches no file")


def test_silence_without_series(running: Service, checkout: Path) -> None:
    """A case without any series shows nothing about an alert that reads one."""
    (checkout / "rules_test.yml").write_text(
        UNIT_TESTS.replace("- {eval_time: 1m, alertname: Metricless, exp_alerts: []}", "") % (ANNOTATIONS, "x", "{}")
        + "  - alert_rule_test: [{eval_time: 1m, alertname: Metricless, exp_alerts: []}]\n"
    )
    outcome = asking(running, checkout, links=["tested"], tests="rules_test.yml")
    why = "no unit test in which it stays silent although there are series"
    assert str(next(row for row in outcome.rows if str(row.title) == "Metricless").message) == why


ALERTMANAGER = """
route:
  receiver: nobody
  routes:
    - {matchers: [severity = critical], receiver: pager}
    - {matchers: [alertname = Bare], receiver: chat}
receivers:
  - {name: nobody}
  - {name: pager, webhook_configs: [{url: "http://127.0.0.1:9/"}]}
  - {name: chat, webhook_configs: [{url: "http://127.0.0.1:9/"}]}
"""


def test_routed(running: Service, checkout: Path) -> None:
    """An alert is routed if a route leads it to a receiver that notifies somebody."""
    (checkout / "alertmanager.yml").write_text(ALERTMANAGER)
    outcome = asking(running, checkout, links=["routed"], alertmanager="alertmanager.yml")
    found = {str(row.title): row.status for row in outcome.rows}
    assert found == {"Good": Status.PASS, "Metricless": Status.FAIL, "Bare": Status.PASS, "Lost": Status.FAIL,
                     "Thin": Status.FAIL}  # fmt: skip
    assert "Metricless: it is routed to nobody, which notifies nobody" in str(outcome.message)
    (checkout / "alertmanager.yml").write_text(ALERTMANAGER.replace("receiver: pager}", "receiver: page}"))
    outcome = asking(running, checkout, links=["routed"], alertmanager="alertmanager.yml")
    assert {row.status for row in outcome.rows} == {Status.FAIL}
    assert "alertmanager.yml:5:" in str(outcome.message)


def during(before: float, after: float) -> dict[str, ItemResult]:
    """Return the results of a drill that began and ended so many seconds before and after now."""
    evidence = Evidence(started=datetime.now(UTC) - timedelta(seconds=before), duration=before + after)
    outcome = Outcome(status=Status.PASS, message=msg("seen"), evidence=evidence)
    return {"d": ItemResult(id="d", title="D", severity=Severity.BLOCKING, check="drill", outcome=outcome)}


def test_paged(running: Service, checkout: Path) -> None:
    """An alert is paged if a notification that it fires arrived while a drill was under way."""
    inbox = PageInbox(parse_config(ALERTMANAGER.encode()), "alertmanager.yml", "127.0.0.1")
    try:
        for name, status in (("Good", "firing"), ("Bare", "resolved")):
            severity = {"Good": "critical", "Bare": "minor"}[name]
            alert = {"status": status, "labels": {"alertname": name, "severity": severity}, "annotations": {}}
            body = json.dumps({"alerts": [alert]}).encode()
            request = urllib.request.Request(f"{inbox.url}/1/webhook", body, method="POST")
            assert urllib.request.urlopen(request, timeout=10).status == 200
        seen = asking(running, checkout, during(60, 60), inbox=inbox, links=["routed", "paged"], pages="alertmanager")
        before = asking(running, checkout, during(120, -60), inbox=inbox, links=["paged"], pages="alertmanager")
        none = asking(running, checkout, inbox=inbox, links=["paged"], pages="alertmanager")
    finally:
        inbox.close()
    never = "no page of it arrived in a drill"
    unrouted = "it is routed to nobody, which notifies nobody"
    good = "it was not seen firing in a drill (not demanded)"
    assert rows(seen) == {"Good": good, "Bare": never, **dict.fromkeys(("Thin", "Metricless", "Lost"), unrouted)}
    assert {*rows(before).values(), *rows(none).values()} == {never}
    without = asking(running, checkout, during(60, 60), links=["paged"], pages="alertmanager")
    assert without.status == Status.ERROR
    assert "alertmanager has no `pages`" in str(without.message)


@pytest.mark.parametrize(("link", "key"), [("tested", "tests"), ("routed", "alertmanager"), ("paged", "pages")])
def test_a_link_needs_its_source(link: str, key: str) -> None:
    """A link that nothing could show is an error of the checklist, and is not shown without its source."""
    with pytest.raises(ValidationError, match=f"expected '{key}': the link '{link}' needs it"):
        decode_all_errors({"target": "p", "file": "rules.yml", "links": [link]}, Traceability)
    made = decode_all_errors({"target": "p", "file": "rules.yml"}, Traceability)
    assert link not in made.considered
