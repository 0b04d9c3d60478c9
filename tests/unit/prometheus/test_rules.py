"""Rule files: what is read from them, what is wrong with them and where, and which metrics an expression reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gate.prometheus import durations, expressions, go_templates, releases
from gate.prometheus.config import Config, InvalidConfigError
from gate.prometheus.config import parse_config as read_config
from gate.prometheus.releases import Release
from gate.prometheus.rules import parse_rule_file

RULES = b"""groups:
  - name: critical
    interval: 30s
    labels: {team: backend}
    rules:
      - alert: Down
        expr: |
          up{job="veza"} == 0
            and on (job) rate(requests_total[5m]) > 0
        for: 1m30s
        labels: {severity: critical}
        annotations:
          summary: "{{ $labels.job }} is down"
          runbook: docs/down.md
      - record: job:up:sum
        expr: sum by (job) (up)
"""


def problems(text: bytes) -> list[str]:
    """Return the errors of a rule file with their places."""
    return [f"{problem.line}:{problem.column}: {problem.reason}" for problem in parse_rule_file(text).problems]


def test_a_file_is_read() -> None:
    """Groups and rules, with their durations in seconds, the group's labels, and places."""
    found = parse_rule_file(RULES)
    assert found.problems == []
    (group,) = found.groups
    assert (group.name, group.interval, group.line, len(group.alerts)) == ("critical", 30.0, 2, 1)
    alert, record = group.rules
    assert alert.name == "Down"
    assert alert.alerting is True
    assert (alert.for_seconds, alert.line) == (90.0, 6)
    assert alert.labels == {"team": "backend", "severity": "critical"}
    assert alert.annotation_lines == {"summary": 13, "runbook": 14}
    assert record.name == "job:up:sum"
    assert record.alerting is False


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b"interval:", b"intervall:", "3:5: unknown key 'intervall' in a group; did you mean 'interval'?"),
        (b"1m30s", b"90", "10:14: for: 90 is not a duration, such as 30s or 1h30m"),
        (b"up{job", b"up{{job", "7:15: Down: The expression does not parse at character 4: unexpected character '{'"),
        (b"$labels.job", b"$label.job", "13:24: Down, summary: The variable $label is not defined"),
        (b"$labels.job }}", b"$labels.job", "13:21: Down, summary: The action {{ has no end }}"),
        (b"record: job:up:sum", b"record: job-up}", "15:9: job-up} has braces: 'record' takes the name of a metric"),
        (b"        expr: sum by (job) (up)\n", b"", "15:9: job:up:sum has no expression 'expr'"),
        (b"severity: critical", b'"": critical', "11:18: \"\" is not a name for a label"),
        (b"alert: Down", b"alert: Down\n        record: x", "6:9: A rule has either 'alert' or 'record', not both"),
        (b"groups:", b"groups: []\ngroups:", "2:1: duplicate key 'groups'"),
        (b"groups:", b"groups:\n\t", "2:1: not valid YAML: "),
        (b"veza", b"v\xffza", "8:20: The file is not UTF-8"),
        (b"docs/down.md", b"*nowhere", "14:20: The alias *nowhere has no anchor &nowhere"),
        (b"docs/down.md", b"!!int abc", "14:20: runbook: abc is not a value of the type !!int"),
    ],
)  # fmt: skip
def test_a_problem_has_its_place(old: bytes, new: bytes, problem: str) -> None:
    """Each problem is said with line, column and reason."""
    found = problems(RULES.replace(old, new, 1))
    assert any(each.startswith(problem) for each in found), found


def test_all_problems_at_once() -> None:
    """Every problem of a file is said, in its order."""
    bad = RULES.replace(b"30s", b"30x", 1).replace(b"severity:", b'"":').replace(b"sum by", b"sum bye")
    assert [each.split(":")[0] for each in problems(bad)] == ["3", "11", "16"]


def test_aliases_do_not_expand_without_end() -> None:
    """A small file that stands for a million rules is refused in time."""
    rules = ", ".join("{alert: A, expr: up}" for _ in range(1000))
    groups = "".join(f"  - {{name: g{number}, rules: *r}}\n" for number in range(1000))
    found = problems(f"groups:\n  - {{name: g, rules: &r [{rules}]}}\n{groups}".encode())
    assert any("too many aliases" in each for each in found)


@pytest.mark.parametrize(
    "text",
    [
        b"&a [*a]", b"groups: &a [*a]", b"groups: [{name: a, rules: &a [*a]}]", b"a: &a {<<: *a}",
        b"groups: [{name: a, rules: [&a {alert: x, expr: up, labels: {<<: *a}}]}]", b"[" * 10_000, b"{a: " * 10_000,
        b"groups: [{name: a, rules: [{alert: x, expr: " + b"(" * 50_000 + b"}]}]",
        b"groups: [{name: a, rules: [{alert: x, expr: " + b"-" * 50_000 + b"1}]}]",
        b"groups: [{name: a, rules: [{alert: x, expr: up, labels: {a: '{{" + b"(" * 50_000 + b"'}}]}]",
    ],
)  # fmt: skip
def test_hostile_files_are_refused(text: bytes) -> None:
    """What refers to itself, or is nested without end, is a problem and no crash."""
    assert problems(text)


@given(st.lists(st.one_of(st.binary(max_size=10), st.sampled_from(RULES.splitlines(True))), max_size=20))
def test_no_bytes_break_it(lines: list[bytes]) -> None:
    """Whatever stands in a file, the answer is groups and problems."""
    parse_rule_file(b"".join(lines))


@given(st.lists(st.sampled_from(["{{", "}}", " ", "$x", ":=", "if", "end", "(", ")", "|", '"', "a", ".", "\n"])))
def test_no_template_breaks_it(pieces: list[str]) -> None:
    """Whatever a template says, the answer is a reason or none."""
    go_templates.find_syntax_error("".join(pieces))


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("up == 0", ("up",)),
        ('rate(a_total{x="1"}[5m]) > on(job) group_left(z) b', ("a_total", "b")),
        ('{__name__="x"} + {__name__=~"veza_.*"}', ("x", "~veza_.*")),
        ("sum without (c) (d) / count(e) by (f)", ("d", "e")),
        ("max_over_time(rate(a[1m])[5m:1m]) and on() vector(1)", ("a",)),
        ("foo @ end() offset -5m # bar", ("foo",)),
        ('a{x="b{c}", y!~"d|e"} > 0x1f unless 5m', ("a",)),
        ('{"my.metric", a="b"}', ("my.metric",)),
        ("inf > NaN + foo:bar:baz", ("foo:bar:baz",)),
        ("time() > 5", ()),
    ],
)
def test_metrics_of_an_expression(expression: str, names: tuple[str, ...]) -> None:
    """The metrics that an expression reads, whatever else stands in it."""
    assert expressions.metrics(expression) == names


def test_expressions_are_compared_without_their_layout() -> None:
    """Blanks, line breaks and the way a number of brackets is written make no difference."""
    assert expressions.normalize("sum( up )  by(job)\n> 1") == expressions.normalize("sum by (job) (up) > 1")
    assert expressions.normalize("up > 1") != expressions.normalize("up >= 1")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30.0), ("1h30m", 5400.0), ("5ms", 0.005), ("1y", 31536000.0), ("0", 0.0), ("5", None), ("", None),
     ("1.5m", None), ("1m1h", None), ("999999999y", None), (f"{'9' * 400}ms", None), (f"{'9' * 5000}s", None)],
)  # fmt: skip
def test_durations(text: str, seconds: float | None) -> None:
    """Prometheus's durations, in seconds."""
    assert durations.seconds(text) == seconds


def test_a_configuration_is_read() -> None:
    """Jobs with what they inherit, and the rule files."""
    found = read_config(
        b"global: {scrape_interval: 5s}\nrule_files: [a.yml]\nscrape_configs:\n"
        b"  - {job_name: a, static_configs: [{targets: ['x:1']}]}\n"
        b"  - {job_name: b, scrape_interval: 1s, metrics_path: /m, dns_sd_configs: []}\n"
    )
    assert [(job.name, job.interval, job.addresses, job.line) for job in found.jobs] == [
        ("a", 5.0, ("x:1",), 4), ("b", 1.0, (), 5)
    ]  # fmt: skip
    assert (found.rule_files, found.evaluation_interval, found.jobs[1].discovery) == (
        ("a.yml",),
        60.0,
        ("dns_sd_configs",),
    )
    assert read_config(b"") == Config()


@pytest.mark.parametrize(
    "text",
    [b"[", b"5", b"scrape_configs: 5", b"scrape_configs: [{}]", b"global: {scrape_interval: 5}", b"a: 1\na: 2",
     b"scrape_configs: [{job_name: a}, {job_name: a}]", b"\xff", b"scrape_configs: [{job_name: [a]}]"],
)  # fmt: skip
def test_a_bad_configuration_is_refused(text: bytes) -> None:
    """What Prometheus would not load is an error with its place."""
    with pytest.raises(InvalidConfigError):
        read_config(text)


@pytest.mark.parametrize(
    ("expression", "flag", "since"),
    [
        ("limitk(1, up)", "promql-experimental-functions", "2.54"),
        ("limit_ratio by (job) (0.5, up)", "promql-experimental-functions", "2.54"),
        ("LIMITK(1, up)", "promql-experimental-functions", "2.54"),
        ("sum(info (up)) > 1", "promql-experimental-functions", "2.55"),
        ("start() - 5", "promql-experimental-functions", "3.12"),
        ("rate(up[1m + 1m])", "promql-duration-expr", "3.4"),
        ("up offset (1m * 2)", "promql-duration-expr", "3.4"),
        ("rate(up[5m] anchored)", "promql-extended-range-selectors", "3.7"),
        ("a / fill(0) b", "promql-binop-fill-modifiers", "3.10"),
        ("up @start()", None, "2.42"),
        ("up @ # of the range\nend()", None, "2.42"),
        ('up{a="info(up)"}', None, "2.42"),
        ("up # limitk(1, up)", None, "2.42"),
        ("anchored + smoothed + fill + step", None, "2.42"),
        ("1_000_000 + 0x_ff", None, "2.54"),
        ("rate(up[300]) + 5m", None, "2.54"),
        ('sum by ("a.b") ({"http.requests", "k8s.pod"="x"})', None, "3.0"),
        ("histogram_avg(up)", None, "2.51"),
    ],
)
def test_what_a_version_and_its_flags_take(expression: str, flag: str | None, since: str) -> None:
    """An expression is valid since a version, and from then on with a feature flag, if it needs one."""
    first = releases.version(since)
    flags = frozenset([flag] if flag else [])
    assert expressions.find_syntax_error(expression, Release(first, flags)) is None
    assert expressions.find_syntax_error(expression, Release(releases.NEWEST, flags)) is None
    if since != "2.42":
        before = (first[0], first[1] - 1) if first[1] else (2, 55)
        assert expressions.find_syntax_error(expression, Release(before, flags))
    if flag:
        assert flag in str(expressions.find_syntax_error(expression, Release(first)))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("expr: up", "expr: 'up{\"down\"}'", "the name of the metric is set twice"),
        ("text", "{{ " + "(" * 3000 + "$value" + ")" * 3000 + " }}", "The action has more than 200 parentheses"),
    ],
    ids=["twice", "deep"],
)
def test_what_would_not_be_loaded(old: str, new: str, reason: str) -> None:
    """Each of these is a problem with a reason, and none of them breaks the reader."""
    text = "groups: [{name: g, rules: [{alert: A, expr: up, annotations: {s: 'text'}}]}]"
    (problem,) = parse_rule_file(text.replace(old, new, 1).encode()).problems
    assert reason in str(problem.reason)


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ('up{job="api"} == 0', 'up{job="api"}'),
        ("5 < rate(e[1m]) / rate(r[1m])", "rate(e[1m]) / rate(r[1m])"),
        ("((a > 1) and on (x) b > 2)", "a"),
        (r"rate(a{h=~`/api/\w+`}[1m]) > 1", r'rate(a{h=~"/api/\\w+"}[1m])'),
        ("a > b", None),
        ("absent(up)", None),
        ("1 > 0", None),
        ("up{", None),
        ("+".join(["a"] * 2000), None),
    ],
)
def test_what_an_expression_compares(expression: str, wanted: str | None) -> None:
    """The side of a comparison that is no number; nothing where there is no such comparison."""
    assert expressions.compared_operand(expression) == wanted
