"""Variants of Prometheus's files: every key with values of every type, in a file that is otherwise valid."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from gate.prometheus import config_schema, goyaml
from tests.support.prometheus_files import ODD

# The keys that an object needs to be valid.
_UUID = "11111111-1111-1111-1111-111111111111"
_NEEDED = {
    "a scrape configuration": ("job_name: a",), "remote_write": ("url: 'http://a/'",),
    "remote_read": ("url: 'http://a/'",), "tracing": ("endpoint: a",), "basic_auth": ("username: a",),
    "oauth2": ("client_id: a", "token_url: b", "client_secret: c"), "sigv4": ("region: x",),
    "a relabelling": ("source_labels: [a]", "target_label: b"), "dns_sd_configs": ("names: [a]", "type: A", "port: 80"),
    "file_sd_configs": ("files: [t.yml]",), "http_sd_configs": ("url: 'http://a/'",), "ec2_sd_configs": ("region: x",),
    "lightsail_sd_configs": ("region: x",), "kubernetes_sd_configs": ("role: pod",),
    "docker_sd_configs": ("host: 'unix:///x'",), "dockerswarm_sd_configs": ("host: 'unix:///x'", "role: nodes"),
    "eureka_sd_configs": ("server: 'http://a/'",), "gce_sd_configs": ("project: a", "zone: b"),
    "triton_sd_configs": ("account: a", "dns_suffix: b", "endpoint: c"), "hetzner_sd_configs": ("role: hcloud",),
    "ionos_sd_configs": ("datacenter_id: a",), "marathon_sd_configs": ("servers: [a]",),
    "nerve_sd_configs": ("servers: [a]", "paths: [/a]"), "serverset_sd_configs": ("servers: [a]", "paths: [/a]"),
    "ovhcloud_sd_configs": ("application_key: a", "application_secret: b", "consumer_key: c", "service: vps"),
    "puppetdb_sd_configs": ("url: 'http://a/'", "query: x"),
    "scaleway_sd_configs": ("role: instance", f"project_id: {_UUID}", "access_key: SCWXXXXXXXXXXXXXXXXX",
                            f"secret_key: {_UUID}"),
    "uyuni_sd_configs": ("server: 'http://a/'", "username: a", "password: b"),
}  # fmt: skip
# Debian builds Prometheus with newer libraries than its authors: these keys come earlier there.
_OF_LIBRARIES = frozenset(
    ("use_fips_sts_endpoint", "external_id",
     *(key for key, field in config_schema.OAUTH2.fields.items() if field.since == (3, 8)))
)  # fmt: skip
# Without a region, promtool asks the network for one.
_ASKS_THE_NETWORK = frozenset(("region",))
_MORE = ("[1, 2]", "[true]", "{a: 1}", "{a: ~}", "[{}]", "[~, a]", "' '", "5.0", "1e2", "+5", "0b11", "0o7", "1:30",
         "TRUE", "Yes", ".nan", "99999999999999999999", "4294967296", "9223372036854775808", "1m1h", "1.5h", "5 m",
         "292y", "293y", "1KB", "1.5MiB", "18446744073709551615B", "!!null x", "!!bool 'true'", "!!float 5",
         "2020-01-01T00:00:00Z", "'a,b'", "POD", "HTTP", "TLS13", "tls13", "ftp", "https", "$1", "${x}")  # fmt: skip
VALUES = (*ODD, *_MORE)
_NAMES = ("a", "a.b", "é", '"a b"', '""', "__name__", "1a", "a:b", "a-b", '"{"', "_", '"{{ x }}"', "日本", "😀")
_DURATIONS = ("0", "0s", "1h30m", "30m1h", "1.5h", "5", "-5m", "1y2w3d4h5m6s7ms", "1Y", "292y", "293y", "ms", "00m",
              "+5m", "1e3s", "5m5m", "inf", "9223372036855s")  # fmt: skip
_TEMPLATES = ("{{ now }}", "{{ toDuration 5.0 }}", '{{ urlQueryEscape "a" }}', '{{ tmpl "x" . }}', "{{ $foo }}",
              '{{ parseDuration "5m" }}', "{{ with 1 }}a{{ else with 2 }}b{{ end }}", "{{ range 5 }}{{ end }}",
              '{{ template "x" }}', "{{ humanize }}", "{{ $labels.a.b }}", "{{ $labels.é }}", "{{-$value-}}",
              "{{ nil }}", "{{ 0x1F }}", "{{ break }}", "{{ if true }}{{ else if false }}{{ end }}")  # fmt: skip
_EXPRESSIONS = (
    "1_000", "1__0", "0x1_F", "0b11", "1e", ".5", "5.", "1d", "5m > 1", "up[300]", "rate(up[5])", "rate(up[1e3])",
    "rate(up[30m1h])", "rate(up[0s])", "rate(up[5:1])", "up offset 5", "up offset -5", "up offset 1e3", "up @ 5m",
    "up offset 1000y", "rate(up[293y])", '{"up"}', '{"up.x", a="b"}', "{'up'}", '{"up", "down"}', 'up{"down"}',
    '{"a.b"="c"}', 'sum by ("a.b") (up)', 'up * on ("a.b") up', 'label_replace(up, "a.b", "$1", "c", "d")',
    'label_join(up, "é", ",", "c")', 'count_values("a.b", up)', '{__name__="é"}', '{""}', 'up{é="x"}',
    'sort_by_label(up, "a")', "histogram_avg(up)", "histogram_stddev(up)", "mad_over_time(up[5m])", "info(up)",
    "double_exponential_smoothing(up[5m], 0.5, 0.5)", "holt_winters(up[5m], 0.5, 0.5)", "limitk(1, up)",
    "ts_of_max_over_time(up[5m])", "first_over_time(up[5m])", "step()", "start()", "rate(up[5m + 1m])",
    "rate(up[(5m)])", "up offset (5m)", "rate(up[step()])", "up anchored", "up + fill(0) up", "up </ 5",
    'up{a=~"x{1001}"}', "up == bool 1", "1 == 1", "up and on() group_left() up", "up offset 1m30s", "SUM(up)",
)  # fmt: skip


def configurations(without: frozenset[str]) -> list[str]:
    """Return every key, except some, with every value."""
    made: dict[str, None] = {}
    for key, wrap in _keys(config_schema.FILE, lambda value: f"{value}\n", frozenset()):
        if key not in without | _OF_LIBRARIES | _ASKS_THE_NETWORK and not any(name in wrap("") for name in without):
            made |= dict.fromkeys(wrap(value) for value in VALUES)
    return list(made)


def _keys(
    kind: goyaml.Object, wrap: Callable[[str], str], open_kinds: frozenset[int]
) -> Iterator[tuple[str, Callable[[str], str]]]:
    """Yield each key of an object and of what is in it, with a function that puts a value there."""
    needed = _NEEDED.get(str(kind.name), ())
    for key, field in kind.fields.items():
        others = "".join(f"{pair}, " for pair in needed if not pair.startswith(f"{key}:"))
        place = _put(wrap, "{" + others + key + ": ", "}")
        yield key, place
        inner = field.kind
        while isinstance(inner, goyaml.List | goyaml.Table):
            place = _put(place, *(("[", "]") if isinstance(inner, goyaml.List) else ("{k: ", "}")))
            inner = inner.of
            yield key, place
        if isinstance(inner, goyaml.Object) and id(inner) not in open_kinds:
            yield from _keys(inner, place, open_kinds | {id(inner)})


def _put(wrap: Callable[[str], str], before: str, after: str) -> Callable[[str], str]:
    return lambda value: wrap(before + value + after)


def rule_files() -> list[str]:
    """Return every key of a rule file with every value; names, durations, numbers, functions and templates."""
    made = [text % value for value in VALUES for text in (
        "groups: %s", "groups: [%s]", "groups: [{name: %s, rules: []}]", _group("interval: %s"),
        _group("query_offset: %s"), _group("limit: %s"), _group("labels: %s"), _group("labels: {a: %s}"),
        _group("rules: %s"), _group("rules: [%s]"), _rule("alert: %s, expr: up"), _rule("record: %s, expr: up"),
        _rule("alert: A, expr: %s"), *(_rule(f"{start}, expr: up, {key}: %s") for start in ("alert: A", "record: a")
        for key in ("for", "keep_firing_for", "labels", "annotations")),
        _rule("alert: A, expr: up, labels: {a: %s}"), _rule("alert: A, expr: up, annotations: {a: %s}"),
    )]  # fmt: skip
    made += [text % name for name in _NAMES for text in (
        _rule("alert: %s, expr: up"), _rule("record: %s, expr: up"), _rule("alert: A, expr: up, labels: {%s: x}"),
        _rule("alert: A, expr: up, annotations: {%s: x}"), _group("labels: {%s: x}"), "groups: [{name: %s}]",
    )]  # fmt: skip
    made += [text % length for length in _DURATIONS for text in (
        _group("interval: %s"), _group("query_offset: %s"), _rule("alert: A, expr: up, for: %s"),
        _rule("record: a, expr: 'rate(up[%s])'"), _rule("record: a, expr: 'up offset %s'"),
        _rule("record: a, expr: 'up > %s'"), _rule("record: a, expr: 'up[5m:%s]'"),
    )]  # fmt: skip
    made += [_rule(f"record: a, expr: {json.dumps(text, ensure_ascii=False)}") for text in _EXPRESSIONS]
    made += [_rule(f"alert: A, expr: up, {part}: {{a: {json.dumps(text, ensure_ascii=False)}}}")
             for text in _TEMPLATES for part in ("labels", "annotations")]  # fmt: skip
    return [f"{text}\n" for text in dict.fromkeys(made)]


def _group(body: str) -> str:
    return "groups: [{name: g, " + body + "}]"


def _rule(body: str) -> str:
    return _group("rules: [{" + body + "}]")
