"""Parse rule files as strictly as Prometheus does when it loads them, and collect every problem.

The schema is that of https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/ and `model/rulefmt`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from collections.abc import Mapping as MappingType
from typing import Any

from msgspec import Struct, field

from gate.core.messages import msg
from gate.prometheus import expressions, go_templates, manifests
from gate.prometheus.config_values import DURATION, INT, TEXT_TABLE, is_label, text
from gate.prometheus.goyaml import Decoder, Field, List, NodeText, Object, Problem, Values, is_number_or_bool
from gate.prometheus.releases import Release
from gate.prometheus.yaml_tree import FILE_LIMIT, Mapping, Node, Scalar, Sequence, YamlSyntaxError, parse

# Maximum number of rules of one file: aliases could multiply them without end.
RULE_LIMIT = 100_000
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")

_RULE = Object(
    msg("a rule"),
    {
        **{key: Field(NodeText(until=(3, 3))) for key in ("record", "alert", "expr")},
        "for": Field(DURATION),
        "keep_firing_for": Field(DURATION),
        "labels": Field(TEXT_TABLE),
        "annotations": Field(TEXT_TABLE),
    },
)
_GROUP = Object(
    msg("a group"),
    {
        **text("name"),
        "interval": Field(DURATION),
        "query_offset": Field(DURATION, since=(2, 53)),
        "limit": Field(INT),
        "labels": Field(TEXT_TABLE, since=(3, 0)),
        "rules": Field(List(_RULE)),
    },
)
_FILE = Object(msg("a rule file"), {"groups": Field(List(_GROUP))})
# A key of Thanos, which the operator removes before Prometheus reads the file.
_ONLY_IN_MANIFESTS = frozenset(("partial_response_strategy",))


class Rule(Struct):
    """An alerting or recording rule. Durations are in seconds, `line` is its first line."""

    name: str
    alerting: bool
    expr: str
    line: int
    # Its `for`.
    for_seconds: float = 0.0
    keep_firing_for: float = 0.0
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    annotation_lines: dict[str, int] = field(default_factory=dict)
    group: str = ""


class Group(Struct):
    """A group of rules, evaluated together. `interval` is None if it has the global one."""

    name: str
    line: int
    interval: float | None = None
    # Maximum number of series or alerts of each rule; 0 for no limit.
    limit: int = 0
    query_offset: float | None = None
    rules: list[Rule] = field(default_factory=list)

    @property
    def alerts(self) -> list[Rule]:
        """Return its alerts."""
        return [rule for rule in self.rules if rule.alerting]


class RuleFile(Struct):
    """A parsed rule file: its groups as far as they could be decoded, and its problems in order.

    `manifest_problems` are those of a manifest around it, which Prometheus does not see.
    """

    groups: list[Group]
    problems: list[Problem]
    manifest_problems: list[Problem] = field(default_factory=list)

    @property
    def rules(self) -> list[Rule]:
        """Return the rules of all groups."""
        return [rule for group in self.groups for rule in group.rules]

    @property
    def alerts(self) -> list[Rule]:
        """Return the alerts of all groups."""
        return [rule for rule in self.rules if rule.alerting]


def bears_labels(labels: MappingType[str, str], of_rule: MappingType[str, str]) -> bool:
    """Return whether an alert can belong to a rule: it has all labels of the rule, except templated ones."""
    return all(labels.get(name, "") == value for name, value in of_rule.items() if "{{" not in value)


def parse_rule_file(raw: bytes, release: Release | None = None) -> RuleFile:
    """Parse the text of a rule file. Never raises: errors are in `problems`."""
    return _Reader(release or Release()).read(raw)


def parse_rules(raw: bytes, release: Release | None = None) -> RuleFile:
    """Parse a rule file, or a manifest with `PrometheusRule` objects. Never raises: errors are in `problems`."""
    manifest = manifests.read_manifest(raw, "PrometheusRule") if len(raw) <= FILE_LIMIT else None
    if manifest is None:
        return parse_rule_file(raw, release)
    # Each object becomes a rule file of its own: two may have a group of one name.
    readers = [(_Reader(release or Release()), each.spec) for each in manifest.objects if each.spec is not None]
    read = [reader.read_spec(spec) for reader, spec in readers]
    around = [*manifest.problems, *(problem for _, spec in readers for problem in _not_text(spec))]
    problems = [*around, *(problem for file in read for problem in file.problems)]
    groups = [group for file in read for group in file.groups]
    return RuleFile(groups, sorted(problems, key=lambda problem: (problem.line, problem.column)), around)


def _not_text(spec: Mapping) -> Iterator[Problem]:
    """Yield labels and annotations that are not text: Kubernetes does not convert numbers, as Prometheus does."""
    groups = manifests.value_of(spec, "groups")
    for group in groups.entries if isinstance(groups, Sequence) else ():
        rules = manifests.value_of(manifests.target_of(group), "rules")
        for owner in (group, *(rules.entries if isinstance(rules, Sequence) else ())):
            for part in ("labels", "annotations"):
                yield from _not_text_in(manifests.value_of(manifests.target_of(owner), part))


def _not_text_in(table: Node | None) -> Iterator[Problem]:
    for _, value in table.entries if isinstance(table, Mapping) else ():
        target = manifests.target_of(value)
        if isinstance(target, Scalar) and target.plain and not target.tag and is_number_or_bool(target.value):
            yield Problem(target.line, target.column, msg("{value} must be in quotes: Kubernetes takes only text here",
                                                          value=target.value))  # fmt: skip


def rule_texts(raw: bytes) -> list[bytes]:
    """Return the rule files that Prometheus loads: the file itself, or one for each `PrometheusRule` of a manifest."""
    manifest = manifests.read_manifest(raw, "PrometheusRule") if len(raw) <= FILE_LIMIT else None
    if manifest is None:
        return [raw]
    try:
        return [manifests.to_yaml(_as_rule_file(each.spec)) for each in manifest.objects if each.spec is not None]
    except YamlSyntaxError:
        return []


def _as_rule_file(spec: Mapping) -> Node:
    """Return the specification of a `PrometheusRule` as the node of a rule file."""
    groups = manifests.value_of(spec, "groups")
    if not isinstance(groups, Sequence):
        return spec
    entries = [manifests.without_keys(group, _ONLY_IN_MANIFESTS) for group in groups.entries]
    kept = [(key, Sequence(entries, groups.line, groups.column) if manifests.target_of(value) is groups else value)
            for key, value in spec.entries]  # fmt: skip
    return Mapping(kept, spec.line, spec.column)


class _Reader:
    """A parser of one rule file."""

    def __init__(self, release: Release) -> None:
        self.release = release
        self.decoder = Decoder(release, 3)
        self.count = 0
        # Expressions that are valid: many rules of a file share theirs.
        self.valid: set[str] = set()

    def read(self, raw: bytes) -> RuleFile:
        if len(raw) > FILE_LIMIT:
            return RuleFile([], [Problem(1, 1, msg("The file is larger than 32 MiB"))])
        try:
            root = parse(raw)
            values = self.decoder.decode(root, _FILE) if root is not None else None
        except YamlSyntaxError as error:
            return RuleFile([], [Problem(error.line, error.column, error.message)])
        return self._file(values)

    def read_spec(self, spec: Mapping) -> RuleFile:
        """Parse the specification of a `PrometheusRule`."""
        try:
            return self._file(self.decoder.decode(_as_rule_file(spec), _FILE))
        except YamlSyntaxError as error:
            return RuleFile([], [Problem(error.line, error.column, error.message)])

    def _file(self, values: Any) -> RuleFile:
        groups = self._groups(values["groups"] or ()) if isinstance(values, Values) else []
        problems = sorted(self.decoder.problems, key=lambda problem: (problem.line, problem.column))
        return RuleFile(groups, problems)

    def _groups(self, entries: Iterable[Values]) -> list[Group]:
        names: dict[str, int] = {}
        groups = []
        for values in entries:
            group = self._group(values)
            if group.name in names:
                self.decoder.problem(values.node, msg("duplicate group {name}, first defined on line {line}",
                                                      name=group.name, line=names[group.name]))  # fmt: skip
            names.setdefault(group.name, group.line)
            groups.append(group)
        return groups

    def _group(self, values: Values) -> Group:
        group = Group(
            values["name"], values.node.line, values.get("interval"), values["limit"], values.get("query_offset")
        )
        if not group.name:
            self.decoder.problem(values.node, msg("The group has no name"))
        labels = self._labels(values)
        for entry in values["rules"] or ():
            self.count += 1
            if self.count > RULE_LIMIT:
                self.decoder.problem(values.node, msg("The file has more than {limit} rules", limit=RULE_LIMIT))
                break
            rule = self._rule(entry, group.name)
            rule.labels = {**labels, **rule.labels}
            group.rules.append(rule)
        return group

    def _rule(self, values: Values, group: str) -> Rule:
        alert, record = values["alert"], values["record"]
        rule = Rule(alert or record, not record, values["expr"], values.node.line, group=group)
        if alert and record:
            self.decoder.problem(values.node, msg("A rule has either 'alert' or 'record', not both"))
        if not rule.name:
            self.decoder.problem(values.node, msg("A rule needs either 'alert' or 'record'"))
        self._expression(values, rule)
        rule.for_seconds, rule.keep_firing_for = values["for"], values["keep_firing_for"]
        rule.labels = self._labels(values)
        self._annotations(values, rule)
        if record:
            self._recording(values, rule)
        if alert:
            self._templates(values, rule)
        return rule

    def _expression(self, values: Values, rule: Rule) -> None:
        if not rule.expr:
            self.decoder.problem(
                values.at("expr"), msg("{name} has no expression 'expr'", name=rule.name or "The rule")
            )
            return
        if rule.expr in self.valid:
            return
        reason = expressions.find_syntax_error(rule.expr, self.release)
        if reason:
            at = values.values_at.get("expr", values.node)
            self.decoder.problem(at, msg("{name}: {reason}", name=rule.name, reason=reason))
        else:
            self.valid.add(rule.expr)

    def _recording(self, values: Values, rule: Rule) -> None:
        for key, is_set in (("annotations", bool(rule.annotations)), ("for", rule.for_seconds > 0),
                           ("keep_firing_for", rule.keep_firing_for > 0)):  # fmt: skip
            if is_set:
                self.decoder.problem(values.at(key), msg("The recording rule {name} cannot have '{key}'",
                                                         name=rule.name, key=key))  # fmt: skip
        valid = is_label(rule.name, self.release) if self.release.utf8 else _METRIC.fullmatch(rule.name)
        if not valid:
            self.decoder.problem(values.at("record"), msg("{name} is not a metric name", name=rule.name))
        elif self.release.version >= (3, 2) and ("{" in rule.name or "}" in rule.name):
            self.decoder.problem(values.at("record"), msg("{name} has braces: 'record' takes the name of a metric, and"
                                                          " 'expr' the selector", name=rule.name))  # fmt: skip

    def _annotations(self, values: Values, rule: Rule) -> None:
        annotations = values["annotations"]
        for name, value in (annotations or {}).items():
            if not is_label(name, self.release):
                self.decoder.problem(annotations.at(name), msg("{name} is not a name for an annotation",
                                                               name=name or '""'))  # fmt: skip
            rule.annotations[name] = value
            rule.annotation_lines[name] = annotations.values_at[name].line

    def _labels(self, values: Values) -> dict[str, str]:
        labels = values["labels"]
        for name in labels or ():
            if not is_label(name, self.release) or name == "__name__":
                self.decoder.problem(labels.at(name), msg("{name} is not a name for a label", name=name or '""'))
        return dict(labels or {})

    def _templates(self, values: Values, rule: Rule) -> None:
        for part in ("labels", "annotations"):
            table: Any = values[part]
            for name, template in (table or {}).items():
                error = go_templates.find_syntax_error(template, self.release) if "{{" in template else None
                if error:
                    reason, offset = error
                    self.decoder.problem(_place(table.values_at[name], offset), msg(
                        "{alert}, {name}: {reason}", alert=rule.name, name=name, reason=reason))  # fmt: skip


def _place(node: Node, offset: int) -> Node:
    """Return the place of a character of a scalar, as exactly as its YAML style allows."""
    if not isinstance(node, Scalar):
        return node
    before = node.value[:offset]
    if node.block:
        return Scalar("", True, node.line + 1 + before.count("\n"), 1)
    if "\n" in before:
        return node
    return Scalar("", True, node.line, node.column + offset + (0 if node.plain else 1))
