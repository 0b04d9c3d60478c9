"""Make configurations and expressions of Prometheus at random: mostly good ones, with a slip here and there."""

from __future__ import annotations

from random import Random
from typing import Any

from gate.prometheus import config_schema, config_values, goyaml
from gate.prometheus.releases import Release

# What may stand anywhere, and seldom fits.
ODD = ("1", '"1"', "1.5", "true", "yes", '"yes"', "no", "~", "null", '"null"', "Null", '""', "[]", "{}", "[a]",
       "{a: b}",
       "x", "-1", "0", "08", "0x1f", "1e3", ".inf", "2020-01-01", "!!str 5", '!!int "5"', "!!int x", "!!binary aGk=",
       "!foo 5", "1_000", "18446744073709551616", "5m", "0s", "1.5m", '"5m"', "10MB", "http://a/", '"%zz"', "é", "[~]",
       "[[]]", "{a: [b]}", "y", "a?b", "&a 5", '"é.b"', "${1}_x", '"\\/"')  # fmt: skip
_OF_KIND: dict[int, tuple[str, ...]] = {
    id(config_values.TEXT): ("x", '"a b"', "5", "a.b", '""'),
    id(config_values.TEXTS): ("[a, b]", "[a]", "[]", '["1", 2]'),
    id(config_values.BOOL): ("true", "false", "yes", "off"),
    id(config_values.POINTER_BOOL): ("true", "false"),
    id(config_values.INT): ("5", "80", "0", "-1"),
    id(config_values.UINT): ("5", "0", "7.0"),
    id(config_values.FLOAT): ("0.5", "5", "1e3"),
    id(config_values.SIZE): ("10MB", "0", "1KiB", '"5GB"'),
    id(config_values.DURATION): ("5m", "30s", "1h30m", "0s", "1s", "0"),
    id(config_values.REGEX): ("a.*", "(.*)", '"(a|b)"', '"("', '""'),
    id(config_values.URL): ("http://a/", "http://u:p@h:80/x", "x:y", '""', '"http://[::1]/"', '"http://a b/"', "/p"),
    id(config_values.LABEL_NAME): ("a", "__address__", '"é"', "a.b", '""'),
    id(config_values.LABELS): ("{a: b}", '{"a.b": c}', "{__address__: x}", "{}", '{"": x}'),
    id(config_values.TEXT_TABLE): ("{a: b}", '{X: "1"}', "{Authorization: x}", "{host: x}"),
}
_OF_KEY = {
    "job_name": ("a", "b", "a", "5", '"x y"'), "type": ("SRV", "A", "aaaa", "NS", "x", "Bearer", "basic"),
    "scheme": ("http", "https", "x"), "translation_strategy": ("NoTranslation", "NoUTF8EscapingWithSuffixes", "x",
    '""'),
    "metric_name_validation_scheme": ("utf8", "legacy", '""', "x"),
    "metric_name_escaping_scheme": ("allow-utf-8", "underscores", "dots", '""', "x"),
    "fallback_scrape_protocol": ("PrometheusText0.0.4", "PrometheusText1.0.0", '""', "x"),
    "scrape_protocols": ("[PrometheusProto]", "[OpenMetricsText1.0.0, PrometheusText1.0.0]", "[]", "[x]", "~",
                         "[PrometheusProto, PrometheusProto]"),
    "rule_files": ("[r.yml]", "[none.yml]", '["*.none"]', '["r*.yml"]', '["a*/b.yml"]', '["[.yml"]', "[~]"),
    "scrape_config_files": ("[jobs.yml]", '["none*.yml"]', '["a*/x"]', "[none.yml]"),
    "files": ("[t.yml]", '["t*.json"]', "[a.txt]", "[none.yml]", "[bad.yml]"),
    "targets": ('["a:1"]', '["a:1", "b:2"]', '["http://x"]', '[""]'),
    "url": ("http://a/", '"http://a b"', "ftp://x/", "/x", '""'), "server": ("http://a/", "a", '""'),
    "host": ("unix:///x", '""', '"http://[x"'), "role": ("node", "pod", "endpoints", "tasks", "instance", "cn",
    "robot"),
    "protobuf_message": ("prometheus.WriteRequest", "io.prometheus.write.v2.Request", "x"),
    "compression": ("gzip", '""', "x"), "promote_resource_attributes": ("[a]", "[a, a]", '[" a", a]', '[""]'),
    "service": ("vps", "x"), "paths": ("[/a]", "[a]"), "credentials_file": ("r.yml", "none", '""'),
    "bearer_token_file": ("r.yml", "none"), "cert_file": ("r.yml", "none", '""'), "key_file": ("r.yml", "none"),
    "target_label": ("a", '"${1}_x"', "a.b", '""', "__address__"), "replacement": ("$1", "x", '""', '"a.b"'),
    "source_labels": ("[a]", "[__address__]", "[job, a]", "~"), "secret_key": ("x",), "region": ("x",),
    "label": ("a=b", '"a in (b,c)"', '"!a"', "x"), "field": ("a=b", "metadata.name=x", '"a"', '"a==b,c!=d"'),
    "labels": ("{a: b}", '{"é": c}', "{__scrape_interval__: 5s}", "{__scrape_timeout__: 5h}"),
    "api_version": ("v2", "v1"), "modulus": ("5", "0", "8.0"),
}  # fmt: skip
_NEEDED = {
    "a scrape configuration": ("job_name",), "remote_write": ("url",), "remote_read": ("url",),
    "tracing": ("endpoint",),
    "dns_sd_configs": ("names",), "file_sd_configs": ("files",), "http_sd_configs": ("url",),
    "ec2_sd_configs": ("region",),
    "lightsail_sd_configs": ("region",), "kubernetes_sd_configs": ("role",), "oauth2": ("client_id", "token_url"),
    "docker_sd_configs": ("host",), "dockerswarm_sd_configs": ("host", "role"), "eureka_sd_configs": ("server",),
    "gce_sd_configs": ("project", "zone"), "triton_sd_configs": ("account", "dns_suffix", "endpoint"),
}  # fmt: skip
# The files that the configurations may name.
FILES = {
    "r.yml": "groups: []\n", "t.yml": '- {targets: ["a:1"], labels: {x: y}}\n', "t.json": '[{"targets": ["a:1"]}]',
    "jobs.yml": 'scrape_configs: [{job_name: of_a_file, static_configs: [{targets: ["a:1"]}]}]\n',
    "bad.yml": '- {targets: ["http://a"]}\n',
}  # fmt: skip


class Configurations:
    """Makes configurations from the gate's own schema, without some keys."""

    def __init__(self, dice: Random, release: Release, without: frozenset[str]) -> None:
        self.dice, self.release, self.without = dice, release, without

    def one(self) -> str:
        """Return a configuration with one or two parts, or one with a single part of a job."""
        if self.dice.random() < 0.5:
            return self._object(config_schema.FILE, whole=True) + "\n"
        fields = {key: field for key, field in config_schema.JOB.fields.items() if self._usable(key, field)}
        key = self.dice.choice(sorted(fields))
        return f"{{scrape_configs: [{{job_name: a, {key}: {self._value(key, fields[key].kind)}}}]}}\n"

    def _usable(self, key: str, field: goyaml.Field) -> bool:
        return key not in self.without and field.known(self.release)

    def _object(self, kind: goyaml.Object, *, whole: bool = False) -> str:
        keys = [key for key, field in kind.fields.items() if self._usable(key, field)]
        chosen = self.dice.sample(keys, min(len(keys), self.dice.choice([1, 1, 2] if whole else [0, 1, 1, 2, 3])))
        if whole and self.dice.random() < 0.7:
            chosen.append("scrape_configs")
        chosen += [key for key in _NEEDED.get(str(kind.name), ()) if self.dice.random() < 0.93]
        chosen = chosen if self.dice.random() < 0.02 else list(dict.fromkeys(chosen))
        slip = "s" if self.dice.random() < 0.01 else ""
        pairs = (f"{key}{slip}: {self._value(key, kind.fields[key].kind)}" for key in chosen)
        return "{" + ", ".join(pairs) + "}"

    def _value(self, key: str, kind: Any) -> str:
        if self.dice.random() < 0.02:
            return self.dice.choice(ODD)
        if key in _OF_KEY and self.dice.random() < 0.9:
            return self.dice.choice(_OF_KEY[key])
        if id(kind) in _OF_KIND:
            return self.dice.choice(_OF_KIND[id(kind)])
        if isinstance(kind, goyaml.Object):
            return self._object(kind)
        if isinstance(kind, goyaml.List):
            return "[" + ", ".join(self._value("", kind.of) for _ in range(self.dice.choice([0, 1, 1, 1, 2]))) + "]"
        if isinstance(kind, goyaml.Table):
            keys = self.dice.sample(["a", "X-B", "host", '"c d"'], self.dice.choice([0, 1, 1, 2]))
            return "{" + ", ".join(f"{key}: {self._value('', kind.of)}" for key in keys) + "}"
        return self.dice.choice(("x", "replace", "keep", "hashmod", "labelmap", "TLS12", "v2", "http", "pod"))


_ATOMS = ("up", 'foo{a="b"}', '{a="b"}', "1", "5m", "1_000", "0x1f", '"s"', "foo[5m]", "rate(foo[5m])", "sum(up)",
          "time()", "inf", '{"a.b"}', '{"a","b"}', 'foo{"bar"}', "up offset 5m", "up @ 5", "up @ end()", "start", "avg",
          "by", "topk(2, up)", "(up)", "-up", "a:b", "foo[5m:1m]", ".5", "5.", "08", "1e400", "1__0", "0b11", "5ms",
          "on",
          "limitk(1, up)", "info(up)", '{__name__=~"a.*"}', '{a!=""}', '{a=~".*"}', "{}", 'foo{a=~"("}', 'foo{a="b",}',
          "foo{,}", "holt_winters(foo[5m], 0.5, 0.5)", "mad_over_time(foo[5m])", "step", "fill", "anchored", "unless",
          "offset", "group_left", "atan2", "1d12h", "`raw`", '"\\q"', "round(up, 5)", "vector(1)")  # fmt: skip
_OPERATORS = ("+", "-", "*", "/", "%", "^", "==", "!=", ">", "<=", "and", "or", "unless", "atan2", "=~", "== bool",
              "+ bool",
              "and on(a)", "* on(a) group_left(b)", "* ignoring(a) group_right", "> bool on(x)",
              "and on(a) group_left(b)",
              "AND", '* on("a.b")', "+ on(a,)", " ", "/ fill(0)", "</")  # fmt: skip
_MODIFIERS = ("[5m]", "[5m:1m]", "[5m:]", "[0s]", "[5]", "[ 5m ]", "[-5m]", "[5m+1m]", "[(5m)]", "offset 5m",
              "offset -5m",
              "offset 0", "offset (5m)", "@ 5", "@ -5.5", "@ start()", "@ end ()", "@ inf", "[5m] offset 1m",
              "offset 1m [5m]", "@ start() [5m]", "[5m s]", "[:5m]", "anchored", '{a="b"}', "by (a)", "[1e3]",
              "[step()]",
              "offset +5m", "@1h", "[30m1h]", "[1.5m]")  # fmt: skip
_AROUND = ("rate(%s)", "sum by (a, b) (%s)", "sum(%s) by (a:b)", 'sum without ("a b") (%s)', "max(%s,)", "abs(%s)",
           "topk(%s, up)", "count_values(%s, up)", "(%s)", "-%s", "--%s", "scalar(%s)", "nope(%s)", "time(%s)",
           'label_join(up, %s, "a")', "round(%s)", "hour(%s)", "info(up, %s)", "sum by (a) (%s) by (b)", "SUM(%s)",
           "Rate(%s)",
           "(%s", "%s)", "%s # c", "# c\n%s", "{%s}", "deriv(%s)", "quantile_over_time(0.5, %s)")  # fmt: skip
_LETTERS = tuple("(){}[],\"'`=~!+-*/%^@:._#0a \nέ\\")


def expression(dice: Random, depth: int = 0) -> str:
    """Return an expression of PromQL, at most a few operators deep."""
    chance = dice.random()
    if depth > 1 or chance < 0.4:
        made = dice.choice(_ATOMS)
    elif chance < 0.65:
        made = f"{expression(dice, depth + 1)} {dice.choice(_OPERATORS)} {expression(dice, depth + 1)}"
    elif chance < 0.82:
        made = dice.choice(_AROUND).replace("%s", expression(dice, depth + 1))
    else:
        made = f"{expression(dice, depth + 1)} {dice.choice(_MODIFIERS)}"
    if depth == 0 and dice.random() < 0.15:
        at = dice.randrange(len(made) + 1)
        made = made[:at] + dice.choice(_LETTERS) + made[at + dice.choice([0, 1]) :]
    return made
