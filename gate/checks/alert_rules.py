"""Check that a rule file is valid, with its groups, labels, annotations and runbooks."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterator
from typing import Annotated, ClassVar

from msgspec import Meta, Struct, field

from gate.checks._checkout import shell_pattern
from gate.checks._promtool import find_edition, judged_rule_files, with_judge
from gate.checks._runbooks import ANNOTATIONS, RunbookRule, Runbooks
from gate.checks.base import Check, CheckResult, failed, passed
from gate.checks.context import CheckContext
from gate.checks.prometheus_queries import FlagsKey, LoaderKey, ReadFile, VersionKey, no_match_message, rule_files
from gate.core.messages import Message, msg
from gate.core.override import override
from gate.core.strictness import stricter
from gate.decode.types import LiteralTrue
from gate.matchers import MISSING, CountMatcher, PresentCountMatcher, TextMatcher, mismatch_if_set
from gate.model import CheckoutPath, Location, SomeTexts
from gate.prometheus.rules import Group, Rule
from gate.redaction.secrets import redacted_head

_SHOWN = 3
_PLACES = 50
Labels = SomeTexts | Annotated[dict[str, TextMatcher], Meta(min_length=1)]
Wrong = tuple[Location, Message]


class Observation(Struct, frozen=True):
    """The rule files, who has judged them, and for each link of a runbook why it leads to no file."""

    files: tuple[ReadFile, ...]
    judge: Message | None = None
    dead: dict[str, Message] = field(default_factory=dict)


class AlertRules(Check[Observation]):
    """Rule files, and what they have to say."""

    kind: ClassVar[str] = "alert_rules"
    summary: ClassVar[str] = "a rule file is valid, with its groups, labels, annotations and runbooks"
    time_limit: ClassVar[float | None] = 60.0
    expectation_keys: ClassVar[tuple[str, ...]] = (
        "valid",
        "groups",
        "group_count",
        "alerts",
        "labels",
        "annotations",
        "runbooks",
    )

    file: Annotated[
        CheckoutPath,
        Meta(description="A rule file, or a glob.", examples=["ops/prometheus/alerts.yml"], extra=stricter("never")),
    ]
    valid: Annotated[
        LiteralTrue | None,
        Meta(description="Prometheus would load it: YAML, schema, PromQL, templates.", extra=stricter("set")),
    ] = None
    version: VersionKey = None
    flags: FlagsKey = None
    target: LoaderKey = None
    groups: Annotated[
        Annotated[dict[str, PresentCountMatcher], Meta(min_length=1)] | None,
        Meta(
            description="Groups, and how many alerts each has.",
            examples=[{"veza_backend_critical": 8}],
            extra=stricter("set", "more"),
        ),
    ] = None
    group_count: Annotated[
        CountMatcher | None, Meta(description="How many groups there are.", examples=[4], extra=stricter("set"))
    ] = None
    alerts: Annotated[
        CountMatcher | None,
        Meta(description="How many alerts there are in all.", examples=[{"ge": 10}], extra=stricter("set")),
    ] = None
    labels: Annotated[
        Labels | None,
        Meta(
            description="Labels that each alert has; with what values, where it is a mapping.",
            examples=[["severity"], {"severity": ["critical", "warning"]}],
            extra=stricter("set", "more"),
        ),
    ] = None
    annotations: Annotated[
        Labels | None,
        Meta(
            description="Annotations that each alert has, likewise.",
            examples=[["summary"]],
            extra=stricter("set", "more"),
        ),
    ] = None
    runbooks: Annotated[
        Runbooks | None,
        Meta(
            description="Each alert has a runbook annotation that leads to a file of the checkout.",
            extra=stricter("set"),
        ),
    ] = None

    @override
    def describe(self, context: CheckContext) -> str:
        return self.file

    @override
    def reproduce_command(self, context: CheckContext) -> str:
        files, keys = shell_pattern(self.file), self._keys()
        commands = [f"promtool check rules {files}"] if self.valid or not keys else []
        if keys:
            commands.append(f"grep -nE {shlex.quote('^[- ]*(' + '|'.join(map(re.escape, keys)) + '):')} {files}")
        return " && ".join(commands)

    def _keys(self) -> list[str]:
        """Return the keys of a rule file that the expectations name, except `valid`."""
        counted = self.groups or self.group_count is not None or self.alerts is not None
        keys = ["name", "alert"] if counted or self.labels or self.annotations or self.runbooks else []
        keys += [name for name, _ in (*_wishes(self.labels), *_wishes(self.annotations))]
        if self._runbook_rule:
            keys += [self._runbook_rule.annotation] if self._runbook_rule.annotation else list(ANNOTATIONS)
        return list(dict.fromkeys(keys))

    @override
    def observe(self, context: CheckContext) -> Observation:
        edition = find_edition(context, self.version, self.flags, self.target)
        if self.valid:
            files, judge = judged_rule_files(context, self.file, edition)
        else:
            files, judge = rule_files(context, self.file, edition.release), None
        runbook_rule = self._runbook_rule
        dead: dict[str, Message] = {}
        for rule in (rule for file in files for rule in file.content.alerts) if runbook_rule else ():
            name = runbook_rule.annotation_of(rule) if runbook_rule else None
            if runbook_rule and name and rule.annotations[name] not in dead:
                runbook = runbook_rule.file_of(context, rule.annotations[name])
                if isinstance(runbook, Message):
                    dead[rule.annotations[name]] = runbook
        return Observation(files, judge.name if judge else None, dead)

    @property
    def _runbook_rule(self) -> RunbookRule | None:
        return self.runbooks

    @override
    def judge(self, observation: Observation) -> CheckResult:
        if not observation.files:
            return failed(no_match_message(self.file))
        wrong = list(self._wrong(observation))
        response = _listing(observation.files)
        if wrong:
            lines = "\n".join(f"{where}: {reason}" for where, reason in wrong[:_PLACES])
            places = tuple(where for where, _ in wrong[:_PLACES])
            message = with_judge(_sentence(wrong), observation.judge)
            return failed(message, response=f"{lines}\n\n{response}", locations=places)
        groups = [group for file in observation.files for group in file.content.groups]
        message = msg("{groups} groups with {alerts} alerts, {file}: as expected", groups=len(groups),
                      alerts=sum(len(group.alerts) for group in groups), file=_names(observation.files))  # fmt: skip
        message = with_judge(message, observation.judge)
        return passed(
            message, response=response, locations=tuple(Location(file=file.path) for file in observation.files)
        )

    def _wrong(self, observation: Observation) -> Iterator[Wrong]:
        for file in observation.files:
            if self.valid or not file.content.groups:
                for problem in file.content.problems:
                    yield file.at(problem.line, problem.column), problem.reason
            if not file.content.rules and not file.content.problems and self._keys():
                yield file.at(1), msg("no rule in the file")
        yield from self._wrong_groups(observation)
        for file in observation.files:
            for rule in file.content.alerts:
                yield from self._wrong_alert(file, rule, observation.dead)

    def _wrong_groups(self, observation: Observation) -> Iterator[Wrong]:
        places = {group.name: (file, group) for file in observation.files for group in file.content.groups}
        start = observation.files[0].at(1)
        for name, matcher in (self.groups or {}).items():
            if name not in places:
                near = difflib.get_close_matches(name, places, n=1)
                yield start, msg("There is no group {name}; there are {names}",
                                 name=name, names=", ".join(near or list(places)[:10]) or "-")  # fmt: skip
                continue
            file, group = places[name]
            mismatch = mismatch_if_set(matcher, len(group.alerts), msg("alerts of {group}", group=name))
            if mismatch:
                yield file.at(group.line), mismatch
        alerts = sum(len(group.alerts) for _, group in places.values())
        for mismatch in (
            mismatch_if_set(self.group_count, len(places), msg("number of groups")),
            mismatch_if_set(self.alerts, alerts, msg("number of alerts")),
        ):
            if mismatch:
                yield start, mismatch

    def _wrong_alert(self, file: ReadFile, rule: Rule, dead: dict[str, Message]) -> Iterator[Wrong]:
        here = file.at(rule.line, text=f"alert: {rule.name}")
        for name, matcher in _wishes(self.labels):
            mismatch = _missing(rule, msg("label"), name, matcher, rule.labels)
            if mismatch:
                yield here, mismatch
        for name, matcher in _wishes(self.annotations):
            mismatch = _missing(rule, msg("annotation"), name, matcher, rule.annotations)
            if mismatch:
                yield file.at(rule.annotation_lines.get(name, rule.line), text=f"alert: {rule.name}"), mismatch
        if self._runbook_rule:
            yield from self._wrong_runbook(file, rule, self._runbook_rule, dead)

    def _wrong_runbook(
        self, file: ReadFile, rule: Rule, runbook_rule: RunbookRule, dead: dict[str, Message]
    ) -> Iterator[Wrong]:
        name = runbook_rule.annotation_of(rule)
        if name is None:
            names = (
                msg("{name}", name=runbook_rule.annotation)
                if runbook_rule.annotation
                else msg("{name}", name=ANNOTATIONS[0])
            )
            yield (
                file.at(rule.line, text=f"alert: {rule.name}"),
                msg("{alert} has no annotation {name}", alert=rule.name, name=names),
            )
        elif rule.annotations[name] in dead:
            text = redacted_head(f"{name}: {rule.annotations[name]}", 200)
            where = file.at(rule.annotation_lines.get(name, rule.line), text=text)
            yield where, msg("the runbook of {alert}: {reason}", alert=rule.name, reason=dead[rule.annotations[name]])


def _wishes(labels: Labels | None) -> list[tuple[str, TextMatcher | None]]:
    if isinstance(labels, dict):
        return list(labels.items())
    return [(name, None) for name in labels or []]


def _missing(
    rule: Rule, what: Message, name: str, matcher: TextMatcher | None, values: dict[str, str]
) -> Message | None:
    if not values.get(name, "").strip():
        return msg("{alert} has no {what} {name}", alert=rule.name, what=what, name=name)
    mismatch = matcher.mismatch(values.get(name, MISSING), name) if matcher else None
    return msg("{alert}: {found}", alert=rule.name, found=mismatch) if mismatch else None


def _sentence(wrong: list[Wrong]) -> Message:
    parts = [msg("{place}: {reason}", place=str(where), reason=reason) for where, reason in wrong[:_SHOWN]]
    sentence = parts[0]
    for part in parts[1:]:
        sentence = msg("{one}; {other}", one=sentence, other=part)
    more = len(wrong) - len(parts)
    return msg("{shown}; and {count} more", shown=sentence, count=more) if more > 0 else sentence


def _names(files: tuple[ReadFile, ...]) -> str:
    return ", ".join(file.path for file in files[:5]) + (", ..." if len(files) > 5 else "")


def _listing(files: tuple[ReadFile, ...]) -> str:
    return "\n".join(_line(file, group) for file in files for group in file.content.groups)


def _line(file: ReadFile, group: Group) -> str:
    alerts = len(group.alerts)
    return f"{file.path}:{group.line}: {group.name}: alert: {alerts}, record: {len(group.rules) - alerts}"
