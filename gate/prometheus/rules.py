"""Reads rule files as strictly as Prometheus does when it loads them, and says everything that is wrong at once.

The schema is that of https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/ and `model/rulefmt`
of Prometheus 3. One thing that Prometheus ignores in silence is refused here, because rules are lost by it: a second
YAML document.
"""

from __future__ import annotations

import difflib
import re

from msgspec import Struct, field

from gate.messages import Message, say
from gate.prometheus import durations, expressions, templates
from gate.prometheus.tree import FILE_LIMIT, BadYaml, Mapping, Node, Scalar, Sequence, parse

RULE_LIMIT = 100_000
"""Rules of one file: aliases could make them endless."""
PROBLEM_LIMIT = 200
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_NUMBER = re.compile(r"[-+]?(?:0x[0-9a-fA-F_]+|0o[0-7_]+|0b[01_]+|[0-9_]+(?:\.[0-9]*)?)")
_GROUP_KEYS = ("name", "interval", "query_offset", "limit", "labels", "rules")
_RULE_KEYS = ("record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations")
_MERGE_DEPTH = 8


class RuleProblem(Struct, frozen=True):
    """What is wrong with a place of a rule file. Lines and columns count from 1."""

    line: int
    column: int
    reason: Message


class Rule(Struct):
    """An alert or a recording rule. Durations are in seconds, `line` is where it begins."""

    name: str
    alerting: bool
    expr: str
    line: int
    wait: float = 0.0
    """Its `for`."""
    keep_firing_for: float = 0.0
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    annotation_lines: dict[str, int] = field(default_factory=dict)
    group: str = ""


class Group(Struct):
    """A group of rules, evaluated together. `interval` is None where the global one holds."""

    name: str
    line: int
    interval: float | None = None
    limit: int = 0
    """How many series or alerts one of its rules may yield; 0 for any number."""
    query_offset: float | None = None
    rules: list[Rule] = field(default_factory=list)

    @property
    def alerts(self) -> list[Rule]:
        """Its alerts."""
        return [rule for rule in self.rules if rule.alerting]


class RuleFile(Struct):
    """What a rule file says, as far as it could be read, and all that is wrong with it, in its order."""

    groups: list[Group]
    problems: list[RuleProblem]
    flagged: list[RuleProblem] = field(default_factory=list)
    """What Prometheus loads only with a feature flag."""

    @property
    def rules(self) -> list[Rule]:
        """The rules of all groups."""
        return [rule for group in self.groups for rule in group.rules]

    @property
    def alerts(self) -> list[Rule]:
        """The alerts of all groups."""
        return [rule for rule in self.rules if rule.alerting]


def read(raw: bytes) -> RuleFile:
    """Reads the text of a rule file. Never raises: what is wrong is in `problems`."""
    return _Reader().read(raw)


class _Reader:
    """One pass over a rule file."""

    def __init__(self) -> None:
        self.problems: list[RuleProblem] = []
        self.count = 0
        self.flagged: list[RuleProblem] = []
        self.good: set[str] = set()
        """Expressions that parse, and need no flag."""

    def read(self, raw: bytes) -> RuleFile:
        if len(raw) > FILE_LIMIT:
            return RuleFile([], [RuleProblem(1, 1, say("The file is larger than 32 MiB"))])
        try:
            first, second = parse(raw)
        except BadYaml as bad:
            return RuleFile([], [RuleProblem(bad.line, bad.column, bad.reason)])
        groups = self._top(first) if first is not None else []
        if second is not None:
            self._wrong(second, say("Prometheus does not read a second YAML document"))
        self.problems.sort(key=lambda problem: (problem.line, problem.column))
        return RuleFile(groups, self.problems, self.flagged)

    def _wrong(self, at: Node, reason: Message) -> None:
        if len(self.problems) < PROBLEM_LIMIT:
            self.problems.append(RuleProblem(at.line, at.column, reason))

    def _top(self, root: Node) -> list[Group]:
        if isinstance(root, Scalar) and root.null:
            return []
        entries = self._entries(root, ("groups",), say("a rule file"))
        names: dict[str, int] = {}
        groups = []
        for node in self._list(entries.get("groups"), say("groups")):
            group = self._group(node)
            if group.name in names:
                line = names[group.name]
                self._wrong(node, say("The group {name} stands in the file before, on line {line}",
                                      name=group.name, line=line))  # fmt: skip
            names.setdefault(group.name, group.line)
            groups.append(group)
        return groups

    def _group(self, node: Node) -> Group:
        entries = self._entries(node, _GROUP_KEYS, say("a group"))
        group = Group(self._text(entries.get("name")), node.line)
        if not group.name:
            self._wrong(node, say("The group has no name"))
        group.interval = self._duration(entries.get("interval"), say("interval"))
        group.query_offset = self._duration(entries.get("query_offset"), say("query_offset"))
        group.limit = self._limit(entries.get("limit"))
        labels = self._labels(entries.get("labels"))
        for entry in self._list(entries.get("rules"), say("rules")):
            self.count += 1
            if self.count > RULE_LIMIT:
                self._wrong(node, say("The file has more than {limit} rules", limit=RULE_LIMIT))
                break
            rule = self._rule(entry, group.name)
            rule.labels = {**labels, **rule.labels}
            group.rules.append(rule)
        return group

    def _rule(self, node: Node, group: str) -> Rule:
        entries = self._entries(node, _RULE_KEYS, say("a rule"))
        alert, record = self._text(entries.get("alert")), self._text(entries.get("record"))
        rule = Rule(alert or record, not record, self._text(entries.get("expr")), node.line, group=group)
        if alert and record:
            self._wrong(node, say("A rule has either 'alert' or 'record', this one has both"))
        if not rule.name:
            self._wrong(node, say("A rule has either 'alert' or 'record', this one has neither"))
        self._expression(node, entries.get("expr"), rule)
        rule.wait = self._duration(entries.get("for"), say("for")) or 0.0
        rule.keep_firing_for = self._duration(entries.get("keep_firing_for"), say("keep_firing_for")) or 0.0
        rule.labels = self._labels(entries.get("labels"))
        self._annotations(entries.get("annotations"), rule)
        if record:
            self._recording(entries, rule)
        else:
            self._templates(entries, rule)
        return rule

    def _expression(self, node: Node, expression: Node | None, rule: Rule) -> None:
        if not rule.expr or not isinstance(expression, Scalar):
            self._wrong(expression or node, say("{name} has no expression 'expr'", name=rule.name or "The rule"))
            return
        if rule.expr in self.good:
            return
        reason = expressions.problem(rule.expr)
        if reason:
            self._wrong(expression, say("{name}: {reason}", name=rule.name, reason=reason))
        elif function := expressions.flagged(rule.expr):
            reason = say("{name}: Prometheus knows {function} only with its feature flag {flag}", name=rule.name,
                         function=function, flag=expressions.FLAG)  # fmt: skip
            self.flagged.append(RuleProblem(expression.line, expression.column, reason))
        else:
            self.good.add(rule.expr)

    def _recording(self, entries: dict[str, Node], rule: Rule) -> None:
        for key, given in (("annotations", bool(rule.annotations)), ("for", rule.wait > 0),
                           ("keep_firing_for", rule.keep_firing_for > 0)):  # fmt: skip
            if given:
                self._wrong(entries[key], say("The recording rule {name} cannot have '{key}'", name=rule.name, key=key))
        if not _METRIC.fullmatch(rule.name):
            self._wrong(entries["record"], say("{name} is not a metric name", name=rule.name))

    def _annotations(self, node: Node | None, rule: Rule) -> None:
        for key, value in self._pairs(node, say("annotations")):
            name = self._text(key)
            if not _LABEL.fullmatch(name):
                self._wrong(key, say("{name} is not a name for an annotation", name=name or '""'))
            if name in rule.annotations:
                self._wrong(key, say("The key '{key}' stands here twice", key=name))
            rule.annotations[name] = self._text(value)
            rule.annotation_lines[name] = value.line

    def _labels(self, node: Node | None) -> dict[str, str]:
        labels = {}
        for key, value in self._pairs(node, say("labels")):
            name = self._text(key)
            if not _LABEL.fullmatch(name) or name == "__name__":
                self._wrong(key, say("{name} is not a name for a label", name=name or '""'))
            if name in labels:
                self._wrong(key, say("The key '{key}' stands here twice", key=name))
            labels[name] = self._text(value)
        return labels

    def _templates(self, entries: dict[str, Node], rule: Rule) -> None:
        for name, text in (*rule.labels.items(), *rule.annotations.items()):
            found = templates.problem(text) if "{{" in text else None
            if found:
                self._bad_template(entries, rule, name, text, found)

    def _bad_template(
        self, entries: dict[str, Node], rule: Rule, name: str, text: str, found: tuple[Message, int]
    ) -> None:
        reason, offset = found
        for part in ("annotations", "labels"):
            for key, value in self._pairs(entries.get(part), say("labels")):
                if self._text(key) == name and isinstance(value, Scalar) and value.value == text:
                    at = _place(value, offset)
                    self._wrong(at, say("{alert}, {name}: {reason}", alert=rule.name, name=name, reason=reason))
                    return

    def _duration(self, node: Node | None, key: Message) -> float | None:
        if node is None or (isinstance(node, Scalar) and node.null):
            return None
        text = self._text(node)
        found = durations.seconds(text)
        if found is None and isinstance(node, Scalar):
            reason = say("{key}: {text} is not a duration, such as 30s or 1h30m", key=key, text=text or '""')
            self._wrong(node, reason)
        return found

    def _limit(self, node: Node | None) -> int:
        if not isinstance(node, Scalar) or node.null:
            return 0
        if node.plain and _NUMBER.fullmatch(node.value):
            return _whole(node.value)
        self._wrong(node, say("limit: {text} is not a whole number", text=self._text(node)))
        return 0

    def _text(self, node: Node | None) -> str:
        """The text of a scalar; "" for nothing. A list or mapping is a problem."""
        if node is None:
            return ""
        if isinstance(node, Scalar):
            return "" if node.null else node.value
        self._wrong(node, say("Text is expected here, not a list or a mapping"))
        return ""

    def _list(self, node: Node | None, what: Message) -> list[Node]:
        if isinstance(node, Sequence):
            return node.entries
        if node is not None and not (isinstance(node, Scalar) and node.null):
            self._wrong(node, say("{what}: a list is expected here", what=what))
        return []

    def _pairs(self, node: Node | None, what: Message, depth: int = 0) -> list[tuple[Node, Node]]:
        """Keys and values of a mapping, what is merged into it (`<<`) included."""
        if node is None or (isinstance(node, Scalar) and node.null):
            return []
        if not isinstance(node, Mapping):
            self._wrong(node, say("{what}: a mapping is expected here", what=what))
            return []
        if not any(type(key) is Scalar and key.value == "<<" and key.plain for key, _ in node.entries):
            return node.entries
        if len(merged := [value for key, value in node.entries if getattr(key, "value", "") == "<<"]) > 1:
            self._wrong(node, say("The key '{key}' stands here twice", key="<<"))
        own = [(key, value) for key, value in node.entries if getattr(key, "value", "") != "<<"]
        return own + self._merged(own, merged, what, depth)

    def _merged(self, own: list[tuple[Node, Node]], merged: list[Node], what: Message,
                depth: int) -> list[tuple[Node, Node]]:  # fmt: skip
        known = {self._text(key) for key, _ in own}
        more: list[tuple[Node, Node]] = []
        for node in merged:
            for source in node.entries if isinstance(node, Sequence) else [node]:
                if depth >= _MERGE_DEPTH:
                    self._wrong(source, say("'<<' is nested too deeply"))
                    return more
                for key, value in self._pairs(source, what, depth + 1):
                    if self._text(key) not in known:
                        known.add(self._text(key))
                        more.append((key, value))
        return more

    def _entries(self, node: Node, known: tuple[str, ...], what: Message) -> dict[str, Node]:
        """The values of a mapping that has certain keys only."""
        entries: dict[str, Node] = {}
        for key, value in self._pairs(node, what):
            name = self._text(key)
            if name not in known and not (isinstance(key, Scalar) and key.null):
                self._wrong(key, _unknown(name, known, what))
            elif name in entries:
                self._wrong(key, say("The key '{key}' stands here twice", key=name))
            else:
                entries[name] = value
        return entries


def _whole(text: str) -> int:
    """Return a number as YAML 1.1 writes it: `010` is octal, and blanks may be underscores."""
    plain = text.replace("_", "")
    sign, digits = (plain[0], plain[1:]) if plain[:1] in "+-" else ("", plain)
    if re.fullmatch("0[0-7]+", digits):
        digits = f"0o{digits}"
    try:
        return int(sign + digits, 0) if "." not in digits else int(float(plain))
    except ValueError:
        return 0


def _unknown(name: str, known: tuple[str, ...], what: Message) -> Message:
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return say("'{key}' is no key of {what}; did you mean '{near}'?", key=name, what=what, near=near[0])
    return say("'{key}' is no key of {what}, which has {known}", key=name, what=what, known=", ".join(known))


def _place(scalar: Scalar, offset: int) -> Scalar:
    """The place inside a scalar, as well as the way it is written lets it be known."""
    before = scalar.value[:offset]
    if scalar.block:
        return Scalar("", True, scalar.line + 1 + before.count("\n"), 1)
    if "\n" in before:
        return scalar
    return Scalar("", True, scalar.line, scalar.column + offset + (0 if scalar.plain else 1))
