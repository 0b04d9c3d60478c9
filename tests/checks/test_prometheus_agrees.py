"""The same files before the gate's readers and Prometheus's own programs: their verdicts must agree.

Each corpus is a good file, the same with slips that people make, and the same with random changes of a fixed seed.
Where the gate is stricter or newer on purpose, that is said in the case.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gate.prometheus import config, expressions, go_templates, rules
from gate.prometheus.exposition import parse_exposition
from gate.prometheus.releases import Release
from tests.support.prometheus_files import FILES, ODD, Configurations, expression
from tests.support.prometheus_variants import configurations, rule_files
from tests.support.promtools import Promtool, installed
from tests.support.services import prometheus_running
from tests.support.web import Reply, Web

TEXT = [
    "# HELP a_total Some \\\\ help\\n.\n", "# TYPE a_total counter\n", 'a_total{x="1",y="b\\"c"} 3\n',
    'a_total{y="2",x="é"} +Inf\n', "# TYPE h histogram\n", 'h_bucket{le="0.1"} 1\n', 'h_bucket{le="+Inf"} 2\n',
    "h_sum 2.5e3\n", "h_count 2 1700000000000\n", "# TYPE s summary\n", 's{quantile="0.5"} 1\n', "s_sum 4\n",
    "s_count 7\n", "# a comment\n", "\n", "g 4\n", "# TYPE g2 gauge\n", "g2 NaN\n",
]  # fmt: skip
OPENMETRICS = [
    "# HELP a Some help.\n", "# TYPE a counter\n", 'a_total{x="1",y="b\\"c"} 3 # {trace_id="abc"} 1 12.5\n',
    'a_total{y="2",x="é"} 4 1700000000.5\n', 'a_created{x="1"} 1.5e9\n', "# TYPE h_seconds histogram\n",
    "# UNIT h_seconds seconds\n", 'h_seconds_bucket{le="0.1"} 1 # {} 0.05\n', 'h_seconds_bucket{le="+Inf"} 2\n',
    "h_seconds_sum 2.5e3\n", "h_seconds_count 2\n", "# TYPE i info\n", 'i_info{v="1"} 1\n', "# TYPE g gauge\n",
    "g NaN\n", "# EOF\n",
]  # fmt: skip
# What the gate refuses and Prometheus loses in silence, by a part of the reason. And a NUL outside of a label, which
# ends its reading.
STRICTER = ("given before", "A second", "after its samples", "all in one place", "more than 128")
# What Prometheus 2 refuses and 3 takes, by a part of its error.
TAKEN_BY_NEWER = ("does not support exemplars",)
CHARACTERS = ' \t"{}=,#\\\n0123abc_:.+-eEINFnaé\r\x00\xff'

NEWEST = Release()
each_promtool = pytest.mark.parametrize("tool", installed(), ids=lambda tool: str(tool.release))


def mutated(lines: list[str], dice: random.Random) -> bytes:
    """Return the lines with one to three small changes."""
    changed = list(lines)
    if dice.random() < 0.3:
        del changed[dice.randrange(len(changed))]
    if dice.random() < 0.2:
        one, other = dice.randrange(len(changed)), dice.randrange(len(changed))
        changed[one], changed[other] = changed[other], changed[one]
    number = dice.randrange(len(changed))
    changed[number] = scrambled(changed[number], CHARACTERS, dice)
    return "".join(changed).encode("latin-1" if dice.random() < 0.1 else "utf-8", "replace")


def scrambled(text: str, characters: str, dice: random.Random) -> str:
    """Return the text with one to three characters inserted, replaced or deleted."""
    letters = list(text)
    for _ in range(dice.choice([1, 1, 1, 2, 3])):
        at = dice.randrange(len(letters) + 1)
        if dice.random() < 0.6 or at == len(letters):
            letters[at : at + dice.choice([0, 1])] = dice.choice(characters)
        else:
            del letters[at]
    return "".join(letters)


def corpus(lines: list[str], count: int, seed: int) -> list[bytes]:
    """Return the lines unchanged, and `count` mutations of them."""
    dice = random.Random(seed)
    return ["".join(lines).encode(), *(mutated(lines, dice) for _ in range(count))]


def scraped(cases: list[bytes], content_type: str) -> list[str]:
    """Return the scrape error of a real Prometheus for each case; "" if it accepts the case."""
    web = Web({f"/{number}": Reply(200, case, {"Content-Type": content_type}) for number, case in enumerate(cases)})
    web.start()
    static = [
        {"targets": [f"127.0.0.1:{web.port}"], "labels": {"__metrics_path__": f"/{number}", "case": str(number)}}
        for number in range(len(cases))
    ]
    config = {
        "global": {"scrape_interval": "3s", "scrape_timeout": "3s"},
        "scrape_configs": [{"job_name": "cases", "static_configs": static}],
    }
    try:
        with prometheus_running(json.dumps(config)) as service:
            end = time.monotonic() + 60
            while time.monotonic() < end:
                found = active(f"{service.url}/api/v1/targets?state=active")
                if len(found) == len(cases) and all(target["health"] != "unknown" for target in found):
                    break
                time.sleep(0.3)
            errors = {int(target["labels"]["case"]): str(target["lastError"]) for target in found}
    finally:
        web.stop()
    return [errors[number] for number in range(len(cases))]


def active(url: str) -> list[dict[str, Any]]:
    """Return the active targets of a Prometheus."""
    with urllib.request.urlopen(url, timeout=10) as response:
        targets: list[dict[str, Any]] = json.load(response)["data"]["activeTargets"]
    return targets


def checked(case: bytes) -> str:
    """Return the parse error of `promtool check metrics`; "" if there is none."""
    done = subprocess.run(["promtool", "check", "metrics"], input=case, capture_output=True, check=False)
    return done.stderr.decode(errors="replace") if done.returncode == 1 else ""


@pytest.mark.parametrize("openmetrics", [False, True], ids=["text", "openmetrics"])
def test_expositions(openmetrics: bool) -> None:
    """An exposition is refused where Prometheus's scraper or promtool refuses it, else only for a stated reason."""
    cases = corpus(OPENMETRICS if openmetrics else TEXT, 150, seed=11)
    kind = "application/openmetrics-text; version=1.0.0; charset=utf-8" if openmetrics else "text/plain; version=0.0.4"
    refusals = scraped(cases, kind)
    differing, verdicts = [], set()
    for case, refusal in zip(cases, refusals, strict=True):
        theirs = refusal or ("" if openmetrics else checked(case))
        found = parse_exposition([case], openmetrics=openmetrics)
        ours = [str(problem.reason) for problem in found.problems]
        stricter = (*STRICTER, "is a histogram") if openmetrics else STRICTER
        stated = b"\0" in case or all(any(part in why for part in stricter) for why in ours)
        newer = any(part in theirs for part in TAKEN_BY_NEWER)
        if bool(theirs) != bool(ours) and not (ours and stated) and not newer:
            differing.append((case, theirs, ours))
        verdicts.add(bool(ours))
    assert differing == []
    assert verdicts == {True, False}


RULES = """groups:
  - name: critical
    interval: 30s
    limit: 10
    rules:
      - alert: Down
        expr: up{job="veza"} == 0
        for: 1m
        keep_firing_for: 5m
        labels: {severity: critical, "team": 'a'}
        annotations:
          summary: "{{ $labels.instance }} is down"
          runbook: docs/a.md
      - record: job:up:sum
        expr: |
          sum by (job) (up)
        labels:
          x: "1"
  - name: other
    rules:
      - alert: Slow
        expr: histogram_quantile(0.9, sum(rate(h_bucket[5m])) by (le)) > 1
        annotations: &a
          summary: >-
            Slow {{ $value | humanizeDuration }}
      - alert: Slow2
        expr: rate(x_total[5m]) > 0
        annotations: *a
"""
SLIPS = {
    "interval: 30s": ["interval: 30", 'interval: ""', "interval:", "interval: 0", "interval: 1h30m", "interval: -1s",
                      "interval: 30s30s", "interval: [1]", "interval: 999999999y"],
    "limit: 10": ["limit: ten", "limit: 1.5", "limit: -1", "limit: 0x10", "limit:", "foo: 1", 'limit: "10"'],
    "name: critical": ["name: other", 'name: ""', "name:", "nam: x", "name: [a]", "name: 5"],
    "alert: Down": ['alert: ""', "record: x", "alert: Down\n        record: x", "alrt: Down", "alert: a b",
                    "alert: Down\n        alert: Down"],
    'expr: up{job="veza"} == 0': [
        "expr: up{", 'expr: ""', "expr:", "expr: 1", "expr: {a: b}", 'expr: up{job=~"("}', "expr: sum(",
        "expr: foo(up)", "expr: rate(up)", "expr: up[5m]", 'expr: up + "a"', "expr: up == bool 1",
        "expr: sum by (job) up",
        "expr: topk(up)", "expr: vector(1) and 1", "expr: up > 0 and on(a) group_left b", "expr: time(1)", "expr: -up",
        'expr: up{__name__="x"}', 'expr: "{}"', "expr: '{a!=\"b\"}'", "expr: up atan2 up", "expr: 1 and 2",
        "expr: 1 == 2", 'expr: count_values("a b", up)', "expr: up @ 5", "expr: rate(up[5m:])", "expr: rate(up[0s])",
        "expr: up[5m] offset 1m", "expr: absent(up) or vector(0)", 'expr: up{job="a" job="b"}', "expr: up # c",
        "expr: round(up,1,2)", "expr: quantile(0.5)", "expr: 0x1f + .5 + Inf", "expr: up by (x)", "expr: a:b:c",
        "expr: up unless on() up or up", "expr: day_of_month()", "expr: up ^ 2 % 3", 'expr: up{le="\\x"}',
    ],
    "for: 1m": ["for: 1", 'for: "1m"', "for: x", "for:", "for: 0", "for: 1.5m", "for: 5m1h", "for: [1m]"],
    "keep_firing_for: 5m": ["keep_firing_for: 5", "keep_fire: 5m"],
    'labels: {severity: critical, "team": \'a\'}': [
        "labels: {a-b: c}", "labels: {__name__: c}", "labels: []", "labels: x", "labels:", "labels: {a: }",
        "labels: {a: 1, b: true}", "labels: {a: b, a: c}", "labels: {a: [b]}", 'labels: {a: "{{ $value }}"}',
        'labels: {a: "{{ $val }}"}', "labels: {1: a}", 'labels: {"": a}', "labels: {é: a}", "labels: {a: {}}",
    ],
    "runbook: docs/a.md": ["run-book: x", "runbook: {a: b}", "runbook:", 'runbook: "{{ nope }}"', "summary: again",
                           "runbook: {{ $value }}", "runbook: 2020-01-01"],
    "record: job:up:sum": ["record: job-up", "record: a\n        for: 5m", "record: a\n        annotations: {a: b}",
                           "record: a\n        for: 0s", "record: a\n        keep_firing_for: 1m"],
    "*a": ["*b", "{<<: *a, x: y}", "{<<: [*a], summary: z}", "{<<: 5}", "{<<: *a, <<: *a}"],
    "groups:": ["group:", "groups: []\nx:", "# c\ngroups:", "---\ngroups:", "groups: null\ngroups:", "\ufeffgroups:"],
    "  - name: other": [" - name: other", "\t- name: other", "  -\n    name: other", "  - name: other\n    name: x"],
}  # fmt: skip
WHOLE = ["", "{}", "[]", "groups:\n", "x", "groups: 5\n", "groups: [5]\n", "groups: [{name: a}]\n", "null\n", "# c\n",
         "groups: [{name: a, rules: }]\n", "groups: [{name: a, rules: [5]}]\n",
         "groups: [{name: a, rules: [{}]}]\n", "~: []\ngroups: []\n",
         "groups: [{name: g, ~: 5, rules: [~]}]\n"]  # fmt: skip


@each_promtool
def test_rule_files(tool: Promtool, tmp_path: Path) -> None:
    """A rule file is refused exactly where `promtool check rules` of the same version refuses it."""
    dice = random.Random(5)
    cases = [RULES, *WHOLE, *(RULES.replace(old, new, 1) for old, news in SLIPS.items() for new in news)]
    cases += [scrambled(RULES, "\t :\"'{}[]#,-\n|>&*!%@`0a.$()=~", dice) for _ in range(150)]
    cases += [
        f"groups: [{{name: g, limit: {odd}, rules: [{{alert: A, expr: up, labels: {{a: {odd}}}}}]}}]\n" for odd in ODD
    ]
    raw = [case.encode() for case in cases]
    refused = tool.refused("rules", tmp_path, raw)
    found = [
        "; ".join(str(problem.reason) for problem in rules.parse_rule_file(text, tool.release).problems) for text in raw
    ]
    assert different(cases, refused, found) == []
    assert {bool(each) for each in refused} == {True, False}


CONFIG = """global:
  scrape_interval: 15s
  scrape_timeout: 10s
  external_labels: {cluster: a}
rule_files: [rules/*.yml]
scrape_configs:
  - job_name: api
    scrape_interval: 5s
    scrape_timeout: 2s
    basic_auth: {username: a, password: b}
    tls_config: {insecure_skip_verify: true}
    static_configs:
      - targets: ["api:8080"]
        labels: {a: b}
    metric_relabel_configs:
      - source_labels: [a]
        target_label: b
  - job_name: found
    dns_sd_configs: [{names: [a.example], type: A, port: 80}]
alerting:
  alertmanagers:
    - static_configs: [{targets: ["am:9093"]}]
remote_write:
  - url: http://a/
    queue_config: {capacity: 5}
remote_read:
  - url: http://a/
storage: {tsdb: {out_of_order_time_window: 5m}}
tracing: {endpoint: a, tls_config: {}}
"""
CONFIG_SLIPS = {
    "global:": ["globals:", "x-a: 5\nglobal:", "global: {}\nglobal:"],
    "  scrape_interval: 15s": ["  scrape_intervall: 15s", "  scrape_interval: 0s", "  scrape_interval: 15",
                               "  job_name: a", "  x: y", "  scrape_interval: 15s\n  evaluation_interval: 1m1h"],
    "  scrape_timeout: 10s": ["  scrape_timeout: 16s", "  query_log_file: a"],
    "rules/*.yml": ["rules/**/a.yml", "a*/b.yml", "'a*'"],
    "    scrape_interval: 5s": ["    scrape_interval: 0s"],
    "job_name: api": ["job_names: api", "job_name: found", "job_name: ''", "job_name: api\n    honor_label: true",
                      "job_name: api\n    honor_labels: true\n    params: {a: [b]}",
                      "job_name: api\n    x_sd_confgs: []",
                      "job_name: api\n    kubernets_sd_configs: []", "job_name: api\n    file_sd_configs: []",
                      "job_name: api\n    follow_redirects: false", "job_name: api\n    interval: 5s"],
    "    scrape_timeout: 2s": ["    scrape_timeout: 6s", "    scrape_timeout: 0s", "    metrics_path: /m",
                              "    metric_path: /m"],
    "username: a": ["user: a", "username: a, username: b"],
    "insecure_skip_verify": ["insecure", "skip_verify"],
    '["api:8080"]': ['["http://api:8080"]', '["api:8080/metrics"]', "[]"],
    "      - targets:": ["      - target:", "      - target_s:"],
    "        labels: {a: b}": ["        label: {a: b}", ""],
    "      - source_labels:": ["      - source_label:"],
    "target_label: b": ["target_labels: b", "target_label: b\n        action: replace"],
    "  alertmanagers:": ["  alertmanager:", "  alert_relabel_configs: []\n  alertmanagers:"],
    "- static_configs": ["- static_config", "- timeout: 5s\n      static_configs",
                         "- timeouts: 5s\n      static_configs"],
    "queue_config:": ["queue:", "metadata_config: {send: true}\n    queue_config:", "queue_config: {a: b}\n    x:"],
    "capacity": ["capacities"],
    "tracing:": ["traces:"],
    "tls_config: {}": ["tls: {}", "tls_config: {ca: a, b: c}"],
}  # fmt: skip
CONFIGS = ["", "{}", "global:\n", "scrape_configs:\n", "scrape_configs: [null]\n", "x: 5\n", "[]\n", "5\n",
           "scrape_configs:\n  - &a {job_name: a}\n  - {<<: *a, job_name: b}\n",
           "scrape_configs:\n  - &a {job_name: a}\n  - {<<: *a}\n",
           "global: {<<: {scrape_interval: 5s}}\n", "global: {<<: {scrape_intervals: 5s}}\n"]  # fmt: skip


@each_promtool
def test_configurations(tool: Promtool, tmp_path: Path) -> None:
    """A configuration is refused exactly where `promtool check config` of the same version refuses it.

    The cases are slips that people make, and what a generator makes of the gate's own schema: every key, with values
    that fit and some that do not.
    """
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    cases = [CONFIG, *CONFIGS, *(CONFIG.replace(old, new, 1) for old, news in CONFIG_SLIPS.items() for new in news)]
    made = Configurations(random.Random(11), tool.release, tool.left_out(tmp_path))
    cases += [made.one() for _ in range(800)]
    refused = tool.refused("config", tmp_path, [case.encode() for case in cases])
    surroundings = config.Surroundings(tmp_path, tmp_path)
    found = [_refused(case, tool.release, surroundings) for case in cases]
    assert different(cases, refused, found) == []
    assert 200 < sum(map(bool, refused)) < len(cases) - 200


@each_promtool
def test_variants_of_configurations(tool: Promtool, tmp_path: Path) -> None:
    """A value of any type under any key is refused exactly where promtool of the same version refuses it."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    cases = random.Random(17).sample(configurations(tool.left_out(tmp_path)), 500)
    refused = tool.refused("config", tmp_path, [case.encode() for case in cases])
    surroundings = config.Surroundings(tmp_path, tmp_path)
    found = [_refused(case, tool.release, surroundings) for case in cases]
    assert different(cases, refused, found) == []
    assert 100 < sum(map(bool, refused)) < len(cases) - 100


@each_promtool
def test_variants_of_rule_files(tool: Promtool, tmp_path: Path) -> None:
    """Any value, name, duration, number, function or template is refused exactly where promtool refuses it."""
    cases = random.Random(19).sample(rule_files(), 1200)
    refused = tool.refused("rules", tmp_path, [case.encode() for case in cases])
    problems = [rules.parse_rules(case.encode(), tool.release).problems for case in cases]
    found = [str(each[0].reason) if each else "" for each in problems]
    assert different(cases, refused, found) == []
    assert 200 < sum(map(bool, refused)) < len(cases) - 200


@each_promtool
def test_expressions(tool: Promtool, tmp_path: Path) -> None:
    """An expression is refused exactly where Prometheus of the same version refuses it, for its syntax or types."""
    dice = random.Random(13)
    texts = [expression(dice) for _ in range(1500)]
    cases = [json.dumps({"groups": [{"name": "g", "rules": [{"record": "r", "expr": text}]}]}) for text in texts]
    refused = tool.refused("rules", tmp_path, [case.encode() for case in cases])
    found = [str(expressions.find_syntax_error(text, tool.release) or "") for text in texts]
    assert different(texts, refused, found) == []
    assert 300 < sum(map(bool, refused)) < len(texts) - 300


@pytest.mark.parametrize(
    "more",
    ["scrape_config_files: [a.yml]", "runtime: {gogc: 50}", "otlp: {promote_resource_attributes: [a]}",
     "global: {metric_name_validation_scheme: utf8, sample_limit: 5, rule_query_offset: 1s}",
     "scrape_configs: [{job_name: a, fallback_scrape_protocol: PrometheusText0.0.4, http_headers: {}}]",
     "remote_write: [{url: 'http://a/', protobuf_message: io.prometheus.write.v2.Request}]"],
)  # fmt: skip
def test_newer_keys(more: str) -> None:
    """What this promtool does not know and a newer Prometheus does is taken."""
    assert _refused(more) == ""


def _refused(case: str, release: Release = NEWEST, surroundings: config.Surroundings | None = None) -> str:
    try:
        config.parse_config(case.encode(), release, surroundings)
    except config.InvalidConfigError as bad:
        return str(bad.message)
    return ""


def different(cases: list[str], refused: list[str], found: list[str]) -> list[tuple[str, str, str]]:
    """Return each case in which one refuses what the other takes, with the reasons of both."""
    rows = zip(cases, refused, found, strict=True)
    return [(case, theirs, ours) for case, theirs, ours in rows if bool(theirs) != bool(ours)]


PIECES = ["{{ ", "}}", "{{- ", " -}}", "$labels.job", "$value", "$x", " := ", " | ", "humanize", 'printf "%s" ', "if ",
          "else", "end", "range ", "with ", '"a"', "`r`", "(", ")", " ", ".", ".Labels", "nil", "true", "12", "1.5e3",
          "'c'", 'query "up"', "first", "$i, $e := ", "text", "/*c*/", 'define "t"', 'template "t"', "nope", "not",
          "break", "else if ", "$", "=", ",", '"', "\n", "-", "len", "0x1f", "..", "%", "é"]  # fmt: skip
GOOD = ["{{ $value }}", "{{ $labels.job | toUpper }}", "{{ if eq $value 1.0 }}a{{ else }}b{{ end }}",
        '{{ range query "up" }}{{ . | value }}{{ end }}', '{{ with $x := query "up" }}{{ $x }}{{ end }}',
        "{{- /* c */ -}}", '{{ range $i, $e := query "up" }}{{ $i }}{{ $e.Labels.job }}{{ else }}n{{ end }}',
        '{{ define "t" }}x{{ end }}{{ template "t" . }}', '{{ (query "up" | first).Labels }}',
        "{{ $x := 1 }}{{ $x = 2 }}{{ $x }}", "{{ if and $value (gt $value 1.0) }}{{ end }}",
        '{{ range query "a" }}{{ break }}{{ end }}', '{{ index $labels "a" | humanize }}']  # fmt: skip


def a_template(dice: random.Random) -> str:
    """Return a template put together from pieces of valid ones."""
    pieces = re.findall(r"\{\{-? ?| ?-?\}\}|\$\w+|\w+|\s+|.", dice.choice(GOOD) + dice.choice(["", *GOOD]))
    for _ in range(dice.choice([0, 1, 1, 2])):
        at = dice.randrange(len(pieces))
        pieces[at : at + dice.choice([0, 1])] = [dice.choice(["", *PIECES])]
    return "".join(pieces)


@each_promtool
def test_templates(tool: Promtool, tmp_path: Path) -> None:
    """A template is refused exactly where Prometheus of the same version refuses to parse it."""
    dice = random.Random(3)
    texts = [*GOOD, *(a_template(dice) for _ in range(1500))]
    _agree_on_rules(tool, tmp_path, texts, "A", lambda text: {"alert": "A", "expr": "up", "annotations": {"s": text}},
                    lambda text: go_templates.find_syntax_error(text, tool.release))  # fmt: skip


def _agree_on_rules(
    tool: Promtool,
    folder: Path,
    texts: list[str],
    name: str,
    made: Callable[[str], dict[str, Any]],
    problem: Callable[[str], Any],
) -> None:
    """Compare what a promtool and the gate refuse of the rules that are made of some texts."""
    found = [{**made(text), "alert" if name == "A" else "record": f"{name}{at}"} for at, text in enumerate(texts)]
    (said,) = tool.refused("rules", folder, [json.dumps({"groups": [{"name": "g", "rules": found}]}).encode()])
    refused = {int(number) for number in re.findall(rf'rule \d+, "{name}(\d+)":', said)}
    assert [texts[at] for at in refused ^ {at for at, text in enumerate(texts) if problem(text)}] == []
    assert 5 < len(refused) < len(texts) - 5


STRINGS = [
    r"up{path=~`/api/\d+`}", r'up{path=~"/api/\\d+"}', r'up{path=~"/api/\d+"}', r'up{a=~"\\Qa.b\\E"}', r'up{a=~"x++"}',
    r'up{a=~"a**"}', r'up{a=~"(?x)b"}', r'up{a=~"x{1001}"}', r'up{a=~"x{1000}"}', r'up{a=~"[a--b]"}', r'up{a=~"(?u)x"}',
    r'up{a=~"(?R)x"}', r'up{a=~"\\u0041"}', r'up{a="\u0041"}', r'up{a="\ud800"}', r'up{a="\777"}', r'up{a="\101"}',
    r'up{a="\xff"}', r'up{a=~"\xff"}', r'up{a="\'"}', r"up{a='\"'}", r"up{a='\''}", r'up{a="\q"}', r'{a=~""}',
    r'{a=~"x?"}',
    r'{a=~"x|"}', r'{a!~""}', r'{a!~"x?"}', r'{a=~"x"}', r'up{a!~"(?i)b"}', r'up{a=~"(?P<n>x)"}', r'up{a=~"(?=x)"}',
    r'up{a=~"\\p{Greek}"}', r'up{a=~"\\pN\\bx"}', r'up{a=~"\\1"}', r'up{a=~"a{,2}"}', r'up{a=~"a{2,1}"}', "up{a=~`x` }",
    "up{a='`'}", "label_replace(up, `a`, '$1', 'c', `d(\\w+)`)", 'up # =~ "("', 'count_values("a", up) # `',
    'up{a=~"("}',
    'up{a="=~", b=~"x"}', r'up{a=~"x\\"}', r'up{a=~"\\C"}', r'up{a=~"[[:alpha:]]"}', r'up{a=~"[[:nope:]]"}',
    "up @  end()", "up @\nend()", "up @ # c\nend ( )", "up @ END()", 'up{a=",",b=",",c=","}', 'up{a="{",b=",{",c="}"}',
    'up{a=~"a\nb"}', "up{a='a\nb'}", "up{a=~`a\nb`}", 'up{a="\\\n"}', "up{a=~\n'('}", 'up{a="', "up == `", 'up # "',
    "LIMITK(1, up)", "Limit_Ratio by (job) (0.5, up)", "SUM(up)", "up * on(info) up", "sum by (limitk) (up)",
    'up{info="limitk("}', "end()", "up + end @ start()",
]  # fmt: skip


@each_promtool
def test_strings_of_expressions(tool: Promtool, tmp_path: Path) -> None:
    """Strings and regular expressions are refused exactly where Prometheus refuses them: they are Go's and RE2's.

    So is what it has only with a feature flag, wherever blanks, strings and capitals stand.
    """
    _agree_on_rules(tool, tmp_path, STRINGS, "r", lambda text: {"record": "r", "expr": text},
                    lambda text: expressions.find_syntax_error(text, tool.release))  # fmt: skip


LITERALS = ['"\\q"', '"\\n\\x41\\u00e9"', '"\\x4"', "'ab'", "'a'", "'\\''", "'\\\"'", "'é'", "''", "08", "07", "0o17",
            "0b12", "0b11", "1_000", "1__0", "1_", "0x_f", "18446744073709551615", "18446744073709551616",
            "-9223372036854775808", "-9223372036854775809", "1e3", "1e999", ".5", "5.", "1.5e+3", "1i", "1.5i", "08i",
            "`a\\q`", "+1", "0", "00", "1_0.5", "0x1p4", "0x1.8p3", "0x1.8", "0x1p", "0x.8p-1", "0x.p1", "0x_1p4",
            "0X1P+4", "0x1p5000", "-0x1p4", "0x1p4i", "0x1i", "0b1i", "3+4i", "3+4", "1e3-.5i", "1i+2i", "08+1i",
            "0x1p1+0x1p1i", "0x1+1i", "1_0e1_0", "1e", "1e400i", "1e400+1i", "0x1e+4", "1+2+3i", "_1",
            "1p4"]  # fmt: skip


@each_promtool
def test_literals_of_templates(tool: Promtool, tmp_path: Path) -> None:
    """The literals in a template are Go's."""
    texts = [f"{{{{ print {text} }}}}" for text in LITERALS]
    _agree_on_rules(tool, tmp_path, texts, "A", lambda text: {"alert": "A", "expr": "up", "annotations": {"s": text}},
                    lambda text: go_templates.find_syntax_error(text, tool.release))  # fmt: skip
