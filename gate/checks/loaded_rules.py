"""Check that the running Prometheus has loaded the rules of a file, unchanged and healthy."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from itertools import takewhile
from pathlib import PurePosixPath
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from gate.checks.base import Check, CheckResult, TargetName, failed, passed
from gate.checks.context import CheckContext
from gate.checks.prometheus_queries import Formatted, ReadFile, no_match_message, prometheus_client, rule_files
from gate.core.messages import Message, join_messages, msg
from gate.core.override import override
from gate.core.strictness import stricter
from gate.decode.quantities import format_duration
from gate.model import CheckoutPath, Location, SomeTexts
from gate.prometheus import config
from gate.prometheus.client import Api, LoadedGroup, LoadedRule, PrometheusError
from gate.prometheus.rules import Group, Rule
from gate.redaction.secrets import redacted_head

_SHOWN = 50
# Prometheus rounds durations to the millisecond.
_ROUNDING = 0.0005
Wrong = tuple[Location | None, Message]


class Observation(Struct, frozen=True):
    """What is loaded, and the files to compare it with. `interval` is the global one, None if it is not known."""

    loaded: tuple[LoadedGroup, ...]
    files: tuple[ReadFile, ...] = ()
    formatted: Formatted = Formatted()
    interval: float | None = None


class LoadedRules(Check[Observation]):
    """Rules as a running Prometheus has them."""

    kind: ClassVar[str] = "loaded_rules"
    summary: ClassVar[str] = "the running Prometheus has loaded the rules of a file, unchanged and healthy"
    expectation_keys: ClassVar[tuple[str, ...]] = ("file", "groups")

    target: Annotated[TargetName, Meta(description="The Prometheus to ask.", extra=stricter("never"))]
    file: Annotated[
        CheckoutPath | None,
        Meta(description="The rule file that it has to have loaded, or a glob.", extra=stricter("never")),
    ] = None
    groups: Annotated[
        SomeTexts | None, Meta(description="Groups that it has to have loaded.", extra=stricter("more"))
    ] = None

    @override
    def describe(self, context: CheckContext) -> str:
        return f"GET {context.url(self.target, '/api/v1/rules')}"

    @override
    def reproduce_command(self, context: CheckContext) -> str:
        return shlex.join(["curl", "-sS", context.url(self.target, "/api/v1/rules")])

    @override
    def observe(self, context: CheckContext) -> Observation:
        files = rule_files(context, self.file) if self.file else ()
        with prometheus_client(context, self.target) as api:
            loaded = tuple(api.rules())
            rules = [rule for file in files for rule in file.content.rules]
            return Observation(loaded, files, Formatted.of(api, namesakes(rules, loaded)), _global_interval(api, files))

    @override
    def judge(self, observation: Observation) -> CheckResult:
        if self.file and not observation.files:
            return failed(no_match_message(self.file))
        response = "\n".join([_line(group) for group in observation.loaded[:_SHOWN]] or ["(no groups are loaded)"])
        response = "\n".join([response, *_not_compared(observation)])
        wrong = list(self._wrong(observation))
        if wrong:
            places = tuple(where for where, _ in wrong[:_SHOWN] if where)
            return failed(join_messages([_placed(*problem) for problem in wrong]), response=response, locations=places)
        groups = [*_compared(observation), *self._named(observation)]
        rules = sum(len(group.rules) for group in groups)
        return passed(msg("{groups} groups with {rules} rules are loaded and healthy", groups=len(groups), rules=rules),
                      response=response)  # fmt: skip

    def _named(self, observation: Observation) -> list[LoadedGroup]:
        """Return every loaded group of the given names, from any file, that is not compared with a file here."""
        compared = {(group.file, group.name) for group in _compared(observation)}
        return [
            group
            for group in observation.loaded
            if group.name in (self.groups or ()) and (group.file, group.name) not in compared
        ]

    def _wrong(self, observation: Observation) -> Iterator[Wrong]:
        for file in observation.files:
            for wrong in file.content.problems:
                yield file.at(wrong.line, wrong.column), wrong.reason
            if not file.content.rules and not file.content.problems:
                yield file.at(1), msg("no rule in the file")
            for group in file.content.groups:
                yield from _compare(file, group, _loaded(observation, file, group), observation)
        yield from _no_longer(observation)
        named = self._named(observation)
        for name in self.groups or []:
            if not any(group.rules for group in observation.loaded if group.name == name):
                # Prometheus 3 does not list a group without rules, and there is nothing in it to check.
                yield None, msg("The group {name} is not loaded, or has no rules", name=name)
        for loaded in named:
            for problem in (problem for rule in loaded.rules for problem in _health(rule)):
                yield None, msg("{group} of {file}: {reason}", group=loaded.name, file=loaded.file, reason=problem)


def namesakes(rules: Iterable[Rule], loaded: Iterable[LoadedGroup]) -> Iterator[tuple[str, str]]:
    """Return the expressions of each rule and of each loaded rule of its name."""
    by_name: dict[tuple[str, bool], list[str]] = {}
    for group in loaded:
        for loaded_rule in group.rules:
            by_name.setdefault((loaded_rule.name, loaded_rule.alerting), []).append(loaded_rule.expr)
    for rule in rules:
        for expr in by_name.get((rule.name, rule.alerting), ()):
            yield rule.expr, expr


def _global_interval(api: Api, files: Iterable[ReadFile]) -> float | None:
    """Return the evaluation interval of groups that give none, if one does and the configuration can be read."""
    if all(group.interval for file in files for group in file.content.groups):
        return None
    try:
        return config.parse_config(api.config().encode()).evaluation_interval
    except (PrometheusError, config.InvalidConfigError):
        return None


def _not_compared(observation: Observation) -> Iterator[str]:
    """Return what the API of Prometheus does not tell, for the evidence."""
    groups = [group for file in observation.files for group in file.content.groups if group.rules]
    if offset := [group.name for group in groups if group.query_offset]:
        yield f"(not compared, as Prometheus does not list it: query_offset of {', '.join(offset[:_SHOWN])})"
    if observation.interval is None and (silent := [group.name for group in groups if not group.interval]):
        yield f"(not compared, as the global one is not known: interval of {', '.join(silent[:_SHOWN])})"


def _compared(observation: Observation) -> list[LoadedGroup]:
    """Return the loaded groups that are compared with a file."""
    groups = [_loaded(observation, file, group) for file in observation.files for group in file.content.groups]
    return list({(group.file, group.name): group for group in groups if group}.values())


def _no_longer(observation: Observation) -> Iterator[Wrong]:
    """Yield groups that are loaded from a file of the checkout and no longer in it: Prometheus has an older file."""
    for file in observation.files:
        came_from = _loaded_file(observation.loaded, file)
        group_names = {
            group.name
            for other_file in observation.files
            if _base(other_file.path) == _base(file.path)
            for group in other_file.content.groups
        }
        for group in observation.loaded:
            if group.file == came_from and group.name not in group_names:
                yield file.at(1), msg("{group} is loaded from {file}, but is not in the file", group=group.name,
                                      file=group.file)  # fmt: skip


def _loaded_file(groups: tuple[LoadedGroup, ...], file: ReadFile) -> str | None:
    """Return the path under which Prometheus loaded a file of the checkout, found by its base name; None if unknown."""
    # Teams can have an `alerts.yml` each: a candidate shares groups with the file, or the end of its path. Of several,
    # the most similar path and groups decide.
    named: dict[str, set[str]] = {}
    for group in groups:
        if _base(group.file) == _base(file.path):
            named.setdefault(group.file, set()).add(group.name)
    group_names = {group.name for group in file.content.groups}
    if len(named) > 1:
        named = {path: names for path, names in named.items() if names & group_names or _alike(path, file.path) > 1}

    def nearness(path: str) -> tuple[bool, int, int, int]:
        shared = named[path] & group_names
        return bool(shared), _alike(path, file.path), len(shared), -len(named[path])

    return max(named, key=nearness, default=None)


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _alike(left: str, right: str) -> int:
    """Return the number of trailing parts that two paths have in common."""
    pairs = zip(reversed(PurePosixPath(left).parts), reversed(PurePosixPath(right).parts), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _loaded(observation: Observation, file: ReadFile, group: Group) -> LoadedGroup | None:
    """Return the loaded group that is this one: from the file that is this one, else the most similar of its name."""
    came_from = _loaded_file(observation.loaded, file)
    same = [candidate for candidate in observation.loaded if candidate.name == group.name]

    def difference(loaded: LoadedGroup) -> tuple[bool, int]:
        return loaded.file != came_from, sum(1 for _ in _compare(file, group, loaded, observation))

    return same[0] if len(same) == 1 else min(same, key=difference, default=None)


def _compare(file: ReadFile, group: Group, loaded: LoadedGroup | None, observation: Observation) -> Iterator[Wrong]:
    if loaded is None:
        if group.rules:  # Prometheus 3 does not list a group without rules.
            yield file.at(group.line), msg("The group {name} is not loaded", name=group.name)
        return
    yield from ((file.at(group.line), problem) for problem in _of_group(group, loaded, observation.interval))
    left = list(loaded.rules)
    for rule in group.rules:
        best = _best(rule, left, observation.formatted)
        if best is None:
            yield file.at(rule.line), msg("{rule} is not loaded", rule=rule.name)
            continue
        left.remove(best)
        for problem in (*differences(rule, best, observation.formatted), *_health(best)):
            yield file.at(rule.line), problem
    for rest in left:
        yield file.at(group.line), msg("{rule} is loaded in {group}, but not in the file", rule=rest.name,
                                       group=group.name)  # fmt: skip


def _of_group(group: Group, loaded: LoadedGroup, global_interval: float | None) -> Iterator[Message]:
    """Return what a loaded group has otherwise than the file: interval and limit."""
    interval = group.interval or global_interval
    if interval is not None and abs(interval - loaded.interval) > _ROUNDING:
        yield msg("{group}: the file has 'interval: {wanted}', loaded is {loaded}", group=group.name,
                  wanted=format_duration(interval), loaded=format_duration(loaded.interval))  # fmt: skip
    if group.limit != loaded.limit:
        yield msg("{group}: the file has 'limit: {wanted}', loaded is {loaded}", group=group.name, wanted=group.limit,
                  loaded=f"{loaded.limit:g}")  # fmt: skip


def _best(rule: Rule, loaded: list[LoadedRule], formatted: Formatted) -> LoadedRule | None:
    """Return the loaded rule of that name; of several, the one with the fewest differences."""
    same = [candidate for candidate in loaded if candidate.name == rule.name and candidate.alerting == rule.alerting]
    return min(same, key=lambda candidate: len(list(differences(rule, candidate, formatted))), default=None)


def differences(rule: Rule, loaded: LoadedRule, formatted: Formatted) -> Iterator[Message]:
    """Yield how a loaded rule differs from the file: expression, `for`, `keep_firing_for`, labels, annotations."""
    if not formatted.same(rule.expr, loaded.expr):
        yield msg("{rule}: the file has the expression {wanted}, loaded is {loaded}", rule=rule.name,
                  wanted=_short(rule.expr), loaded=_short(loaded.expr))  # fmt: skip
    if abs(rule.for_seconds - loaded.for_seconds) > _ROUNDING:
        yield msg("{rule}: the file has 'for: {wanted}', loaded is {loaded}", rule=rule.name,
                  wanted=format_duration(rule.for_seconds), loaded=format_duration(loaded.for_seconds))  # fmt: skip
    if abs(rule.keep_firing_for - loaded.keep_firing_for) > _ROUNDING:
        yield msg(
            "{rule}: the file has 'keep_firing_for: {wanted}', loaded is {loaded}",
            rule=rule.name,
            wanted=format_duration(rule.keep_firing_for),
            loaded=format_duration(loaded.keep_firing_for),
        )
    if _given(rule.labels) != _given(loaded.labels):
        yield msg("{rule}: the file has the labels {wanted}, loaded are {loaded}", rule=rule.name,
                  wanted=_labels(rule.labels), loaded=_labels(loaded.labels))  # fmt: skip
    if _given(rule.annotations) != _given(loaded.annotations):
        yield msg("{rule}: the file has the annotations {wanted}, loaded are {loaded}", rule=rule.name,
                  wanted=_only(rule.annotations, loaded.annotations),
                  loaded=_only(loaded.annotations, rule.annotations))  # fmt: skip


def _given(texts: Mapping[str, str]) -> dict[str, str]:
    """Return labels or annotations without empty ones, which Prometheus treats as missing."""
    return {name: text for name, text in texts.items() if text}


def _only(texts: Mapping[str, str], others: Mapping[str, str]) -> str:
    """Return the texts that differ from the others, formatted."""
    different = {name: text for name, text in texts.items() if text != others.get(name, "")}
    return redacted_head(_labels(different), 300)


def _health(rule: LoadedRule) -> Iterator[Message]:
    if rule.health == "err":
        yield msg("{rule} can't be evaluated: {error}", rule=rule.name, error=redacted_head(rule.error, 300))
    elif rule.health != "ok":
        yield msg("{rule} has not been evaluated yet", rule=rule.name)
    elif rule.overdue is not None:
        yield msg("{rule} was last evaluated {time} ago", rule=rule.name, time=format_duration(rule.overdue))


def _short(expression: str) -> str:
    text = " ".join(expression.split())
    return text if len(text) <= 200 else redacted_head(text, 200) + "..."


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items())) + "}"


def _placed(where: Location | None, reason: Message) -> Message:
    return msg("{place}: {reason}", place=str(where), reason=reason) if where else reason


def _line(group: LoadedGroup) -> str:
    states = ", ".join(sorted({rule.health for rule in group.rules}))
    return f"{group.file}: {group.name}: {len(group.rules)} rules, health {states}"
