"""The check `loaded_rules`: the running Prometheus has loaded the rules of a file, unchanged, and they are healthy."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from itertools import takewhile
from pathlib import PurePosixPath
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from gate.checks._prometheus import ReadFile, asking, no_files, rule_files
from gate.checks.base import Check, Judgement, TargetName, failed, passed
from gate.checks.world import World
from gate.messages import Message, say, together
from gate.model import CheckoutPath, Location
from gate.prometheus import expressions
from gate.prometheus.api import LoadedGroup, LoadedRule
from gate.prometheus.rules import Group, Rule
from gate.quantities import duration
from gate.secrets import beginning_of

_SHOWN = 50
Wrong = tuple[Location | None, Message]


class Seen(Struct, frozen=True):
    """What is loaded, and the files to compare it with."""

    loaded: tuple[LoadedGroup, ...]
    files: tuple[ReadFile, ...] = ()


class LoadedRules(Check[Seen]):
    """Rules as a running Prometheus has them."""

    kind: ClassVar[str] = "loaded_rules"
    summary: ClassVar[str] = "the running Prometheus has loaded the rules of a file, unchanged and healthy"
    expects: ClassVar[tuple[str, ...]] = ("file", "groups")

    target: Annotated[TargetName, Meta(description="The Prometheus to ask.")]
    file: Annotated[CheckoutPath | None, Meta(description="The rule file that it has to have loaded, or a glob.")] = (
        None
    )
    groups: Annotated[
        Annotated[list[str], Meta(min_length=1)] | None, Meta(description="Groups that it has to have loaded.")
    ] = None

    def asked(self, world: World) -> str:
        return f"GET {world.url(self.target, '/api/v1/rules')}"

    def reproduce(self, world: World) -> str:
        return shlex.join(["curl", "-sS", world.url(self.target, "/api/v1/rules")])

    def observe(self, world: World) -> Seen:
        files = rule_files(world, self.file) if self.file else ()
        with asking(world, self.target) as api:
            return Seen(tuple(api.rules()), files)

    def judge(self, seen: Seen) -> Judgement:
        if self.file and not seen.files:
            return failed(no_files(self.file))
        answer = "\n".join(_line(group) for group in seen.loaded[:_SHOWN]) or "(no groups are loaded)"
        wrong = list(self._wrong(seen))
        if wrong:
            places = tuple(where for where, _ in wrong[:_SHOWN] if where)
            return failed(together([_placed(*each) for each in wrong]), answer=answer, locations=places)
        groups = self._compared(seen)
        rules = sum(len(group.rules) for group in groups)
        return passed(say("{groups} groups with {rules} rules are loaded and healthy", groups=len(groups), rules=rules),
                      answer=answer)  # fmt: skip

    def _compared(self, seen: Seen) -> list[LoadedGroup]:
        """The loaded groups that the item is about."""
        found = [
            _loaded(seen.loaded, group.name, _loaded_file(seen.loaded, file))
            for file in seen.files
            for group in file.content.groups
        ]
        found += [_loaded(seen.loaded, name, None) for name in self.groups or []]
        return list({(group.file, group.name): group for group in found if group}.values())

    def _wrong(self, seen: Seen) -> Iterator[Wrong]:
        for file in seen.files:
            for problem in file.content.problems:
                yield file.at(problem.line, problem.column), problem.reason
            if not file.content.rules and not file.content.problems:
                yield file.at(1), say("There is no rule in it")
            came_from = _loaded_file(seen.loaded, file)
            for group in file.content.groups:
                yield from _compare(file, group, _loaded(seen.loaded, group.name, came_from))
        yield from _no_longer(seen)
        compared = {group.name for file in seen.files for group in file.content.groups}
        for name in self.groups or []:
            found = _loaded(seen.loaded, name, None)
            if found is None:
                yield None, say("The group {name} is not loaded", name=name)
            elif name not in compared:
                for rule in found.rules:
                    yield from ((None, problem) for problem in _health(rule))


def _no_longer(seen: Seen) -> Iterator[Wrong]:
    """Groups that are loaded from a file of the checkout and no longer stand in it: Prometheus has an older one."""
    for file in seen.files:
        came_from = _loaded_file(seen.loaded, file)
        known = {
            group.name for each in seen.files if _base(each.path) == _base(file.path) for group in each.content.groups
        }
        for group in seen.loaded:
            if group.file == came_from and group.name not in known:
                yield file.at(1), say("{group} is loaded from {file}, but is not in the file", group=group.name,
                                      file=group.file)  # fmt: skip


def _loaded_file(groups: tuple[LoadedGroup, ...], file: ReadFile) -> str | None:
    """The loaded file that is this one of the checkout, by its base name; or None where that can't be told.

    Several have the same base name where each team has its `alerts.yml`: it is one that holds groups of the file, and
    of those the one whose path ends like the file's, and whose groups are most like the file's.
    """
    named: dict[str, set[str]] = {}
    for group in groups:
        if _base(group.file) == _base(file.path):
            named.setdefault(group.file, set()).add(group.name)
    wanted = {group.name for group in file.content.groups}
    if len(named) > 1:
        named = {path: names for path, names in named.items() if names & wanted or _alike(path, file.path) > 1}

    def nearness(path: str) -> tuple[bool, int, int, int]:
        shared = named[path] & wanted
        return bool(shared), _alike(path, file.path), len(shared), -len(named[path])

    return max(named, key=nearness, default=None)


def _base(path: str) -> str:
    return PurePosixPath(path).name


def _alike(one: str, other: str) -> int:
    """How many parts at their ends two paths have in common."""
    pairs = zip(reversed(PurePosixPath(one).parts), reversed(PurePosixPath(other).parts), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _loaded(groups: tuple[LoadedGroup, ...], name: str, path: str | None) -> LoadedGroup | None:
    """The loaded group of that name; of several, the one from that loaded file."""
    same = [group for group in groups if group.name == name]
    return next((group for group in same if group.file == path), same[0] if same else None)


def _compare(file: ReadFile, group: Group, loaded: LoadedGroup | None) -> Iterator[Wrong]:
    if loaded is None:
        yield file.at(group.line), say("The group {name} is not loaded", name=group.name)
        return
    left = list(loaded.rules)
    for rule in group.rules:
        found = _best(rule, left)
        if found is None:
            yield file.at(rule.line), say("{rule} is not loaded", rule=rule.name)
            continue
        left.remove(found)
        for problem in (*differences(rule, found), *_health(found)):
            yield file.at(rule.line), problem
    for rest in left:
        yield file.at(group.line), say("{rule} is loaded in {group}, but not in the file", rule=rest.name,
                                       group=group.name)  # fmt: skip


def _best(rule: Rule, loaded: list[LoadedRule]) -> LoadedRule | None:
    """The loaded rule of that name, the one that differs least where there are several."""
    same = [each for each in loaded if each.name == rule.name and each.alerting == rule.alerting]
    return min(same, key=lambda each: len(list(differences(rule, each))), default=None)


def differences(rule: Rule, loaded: LoadedRule) -> Iterator[Message]:
    """What a loaded rule has otherwise than the file: expression, `for`, labels."""
    if rule.expr.strip() != loaded.expr.strip() and expressions.normal(rule.expr) != expressions.normal(loaded.expr):
        yield say("{rule}: the file has the expression {wanted}, loaded is {loaded}", rule=rule.name,
                  wanted=_short(rule.expr), loaded=_short(loaded.expr))  # fmt: skip
    if abs(rule.wait - loaded.wait) > 0.0005:
        yield say("{rule}: the file has 'for: {wanted}', loaded is {loaded}", rule=rule.name,
                  wanted=duration(rule.wait), loaded=duration(loaded.wait))  # fmt: skip
    if rule.labels != dict(loaded.labels):
        yield say("{rule}: the file has the labels {wanted}, loaded are {loaded}", rule=rule.name,
                  wanted=_labels(rule.labels), loaded=_labels(dict(loaded.labels)))  # fmt: skip


def _health(rule: LoadedRule) -> Iterator[Message]:
    if rule.health == "err":
        yield say("{rule} can't be evaluated: {error}", rule=rule.name, error=beginning_of(rule.error, 300))
    elif rule.health != "ok":
        yield say("{rule} was not evaluated yet", rule=rule.name)


def _short(expression: str) -> str:
    text = " ".join(expression.split())
    return text if len(text) <= 200 else beginning_of(text, 200) + "..."


def _labels(labels: dict[str, str]) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items())) + "}"


def _placed(where: Location | None, reason: Message) -> Message:
    return say("{place}: {reason}", place=str(where), reason=reason) if where else reason


def _line(group: LoadedGroup) -> str:
    states = ", ".join(sorted({rule.health for rule in group.rules}))
    return f"{group.file}: {group.name}: {len(group.rules)} rules, health {states}"
