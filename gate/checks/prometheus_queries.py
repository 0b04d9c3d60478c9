"""Provide what the checks of a Prometheus server share: client, series presence, formatted expressions, rule files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct

from gate.checks._checkout import find_files, relative_path
from gate.checks.base import ObservationError, no_url
from gate.checks.context import CheckContext
from gate.core.messages import Message, msg
from gate.core.strictness import stricter
from gate.decode.structs import custom_type
from gate.model import Location, TargetName
from gate.prometheus import expressions, missing_series
from gate.prometheus.client import Api, LoadedGroup, LoadedRule, PrometheusError
from gate.prometheus.missing_series import Matcher, Selector
from gate.prometheus.releases import PROMQL_FLAGS, Flag, Release, version
from gate.prometheus.rules import RuleFile, parse_rules, rule_texts
from gate.prometheus.yaml_tree import FILE_LIMIT
from gate.runtime import memory_budget

# Selectors in one query.
_AT_ONCE = 50
# Characters of such a query: proxies reject long URLs.
_QUERY_LENGTH = 4000
# Recording rules that read each other's series.
_DEPTH = 10
# The newest release with all feature flags: those of a running Prometheus are not known here.
ANY_FLAGS = Release(flags=frozenset(PROMQL_FLAGS))
# Series that Prometheus records for pending and firing alerts.
_ALERT_SERIES = ("ALERTS", "ALERTS_FOR_STATE")


def _version(value: Any) -> tuple[int, int]:
    if not isinstance(value, str):
        raise ValueError('expected a version in quotes, such as "3.5"')
    return version(value)


if TYPE_CHECKING:
    Version = tuple[int, int]
else:
    Version = custom_type(_version, {"type": "string", "pattern": r"^v?[0-9]{1,3}\.[0-9]{1,3}([.+~-].*)?$"})
    """A version of Prometheus, as major and minor."""


VersionKey = Annotated[
    Version | None,
    Meta(
        description="The version of Prometheus that loads it; without it, that of `target`, else the newest known.",
        examples=["3.5"],
        extra=stricter("never"),
    ),
]
FlagsKey = Annotated[
    list[Flag] | None,
    Meta(
        description="Feature flags that Prometheus is started with; without it, those of `target`, else none.",
        extra=stricter("never"),
    ),
]
LoaderKey = Annotated[
    TargetName | None,
    Meta(
        description="The Prometheus that loads it: asked for its version and flags; its promtool judges.",
        extra=stricter("never"),
    ),
]


@contextmanager
def prometheus_client(context: CheckContext, target: str) -> Iterator[Api]:
    """Return a client for a target's API. Within the context, API errors are raised as ObservationError."""
    if why := context.not_there(target):
        raise ObservationError(why, final=True)
    if not context.targets[target].base_url:
        raise no_url(target)
    try:
        with memory_budget.current():
            yield Api(context.url(target), context.deadline)
    except PrometheusError as error:
        raise ObservationError(error.message, response=error.response, final=error.bad_query) from error


class Formatted:
    """Expressions as one Prometheus formats them, so that two ways of writing the same one are equal."""

    def __init__(self, texts: Mapping[str, str] | None = None) -> None:
        self._texts = dict(texts or {})

    @classmethod
    def of(cls, api: Api, pairs: Iterable[tuple[str, str]]) -> Formatted:
        """Have Prometheus format each two expressions that are not known to be equal without it."""
        here, texts = cls(), {}
        for written, loaded in pairs:
            if here.same(written, loaded):
                continue
            for text in (loaded, written):
                if text not in texts and (formatted := api.format_query(text)) is not None:
                    texts[text] = formatted
            if loaded not in texts:
                break  # It has parsed this one: a Prometheus that refuses it cannot format.
        return cls(texts)

    def same(self, left: str, right: str) -> bool:
        """Return whether two expressions are written alike, or are formatted alike."""
        if left.strip() == right.strip() or expressions.normalize(left) == expressions.normalize(right):
            return True
        return left in self._texts and self._texts[left] == self._texts.get(right)


class Presence:
    """Which selectors have series on a Prometheus, asked once for each. Every method may raise PrometheusError."""

    def __init__(self, api: Api, groups: Sequence[LoadedGroup]) -> None:
        self.api = api
        self._known: dict[Selector, bool] = {}
        self._makers: dict[str, list[LoadedRule]] = {}
        """The loaded rules, by the names of the series that they make."""
        for rule in (rule for group in groups for rule in group.rules):
            for name in _ALERT_SERIES if rule.alerting else (rule.name,):
                self._makers.setdefault(name, []).append(rule)

    def missing(self, texts: Iterable[str]) -> dict[str, tuple[Selector, ...]]:
        """Return the selectors that keep each expression from returning anything, as Prometheus has no series of them.

        What a loaded rule would record or report has series, if the rule's own expression can return something.
        """
        unique = list(dict.fromkeys(texts))
        self._query(selector for text in unique for selector in missing_series.required_selectors(text))
        return {text: missing_series.missing_selectors(text, self._has) for text in unique}

    def have_series(self, selectors: Iterable[Selector]) -> bool:
        """Return whether each of some selectors has series, whatever rules could record."""
        unique = list(selectors)
        self._query(unique)
        return all(self._known[selector] for selector in unique)

    def lately(self, selector: Selector, label: str) -> set[str]:
        """Return the values that a label of a selector's series had within the last hour; "" for none."""
        series_list = self.api.query(f"group by ({label}) (last_over_time({selector.text}[1h]))")
        return {series.labels.get(label, "") for series in series_list}

    def _has(self, selector: Selector, on_the_way: frozenset[str] = frozenset()) -> bool:
        if selector not in self._known:
            self._query([selector])
        return self._known[selector] or self._is_recorded(selector, on_the_way)

    def _is_recorded(self, selector: Selector, on_the_way: frozenset[str]) -> bool:
        """Return whether a loaded rule that makes the selector's series can return something."""
        names = [selector.name] if selector.name else filter(selector.names, self._makers)
        makers = [
            rule
            for name in names
            for rule in self._makers.get(name, ())
            if rule.expr not in on_the_way and _can_match(rule, selector)
        ]
        if not makers or len(on_the_way) > _DEPTH:
            return False
        # A recorded metric that has series, but none that match, is recorded with other labels.
        recorded = next((rule.name for rule in makers if not rule.alerting), None)
        if recorded is not None and self._has_name(recorded):
            return False
        return any(
            not missing_series.missing_selectors(
                rule.expr,
                lambda source, text=rule.expr: self._has(source, on_the_way | {text}),  # type: ignore[misc]
            )
            for rule in makers
        )

    def _has_name(self, metric: str) -> bool:
        text = f"{{__name__={json.dumps(metric, ensure_ascii=False)}}}"
        bare = Selector(text, (Matcher("__name__", "=", metric),))
        if bare not in self._known:
            self._query([bare])
        return self._known[bare]

    def _query(self, selectors: Iterable[Selector]) -> None:
        batch: list[Selector] = []
        for selector in dict.fromkeys(selectors):
            if selector in self._known:
                continue
            if batch and (len(batch) == _AT_ONCE or sum(len(queued.query) + 50 for queued in batch) > _QUERY_LENGTH):
                self._query_batch(batch)
                batch = []
            batch.append(selector)
        if batch:
            self._query_batch(batch)

    def _query_batch(self, batch: list[Selector]) -> None:
        """Ask for the presence of several selectors: each is a sample with its number for a label."""
        parts = [f'label_replace({selector.query},"n","{number}","","")' for number, selector in enumerate(batch)]
        try:
            present = {series.labels.get("n") for series in self.api.query(" or ".join(parts))}
        except PrometheusError as error:
            if not error.bad_query:
                raise
            self._without_bad_ones(batch)
        else:
            self._known.update((selector, str(number) in present) for number, selector in enumerate(batch))

    def _without_bad_ones(self, batch: list[Selector]) -> None:
        """Ask again for each half of a refused batch, down to the selector that this Prometheus cannot read."""
        if len(batch) == 1:
            self._known[batch[0]] = False
            return
        middle = len(batch) // 2
        self._query_batch(batch[:middle])
        self._query_batch(batch[middle:])


def _can_match(rule: LoadedRule, selector: Selector) -> bool:
    """Return whether the series of a rule can match a selector, as far as the rule's own labels tell."""
    labels = {**rule.labels, "alertname": rule.name} if rule.alerting else rule.labels
    return all(
        matcher.label not in labels or "{{" in labels[matcher.label] or matcher.matches(labels[matcher.label])
        for matcher in selector.matchers
    )


def no_match_message(pattern: str) -> Message:
    """Return the message for a pattern that matches no file."""
    return msg("{pattern} matches no file", pattern=pattern)


class ReadFile(Struct, frozen=True):
    """A rule file of the checkout, by its path."""

    path: str
    content: RuleFile
    source: Path

    def texts(self) -> list[bytes]:
        """Return it as Prometheus loads it: itself, or a rule file for each PrometheusRule of a manifest."""
        return rule_texts(read_rules(self.source, self.path))

    def at(self, line: int, column: int | None = None, text: str = "") -> Location:
        """Return a location in the file."""
        return Location(file=self.path, line=line, column=column, text=text)


def rule_files(context: CheckContext, pattern: str, release: Release = ANY_FLAGS) -> tuple[ReadFile, ...]:
    """Return the rule files that a path or glob names, read once for all checks. Raises ObservationError."""
    root = context.root.resolve()
    return tuple(_read_once(context, path, root, release) for path in find_files(context, pattern))


def _read_once(context: CheckContext, path: Path, root: Path, release: Release) -> ReadFile:
    def make() -> ReadFile:
        return _read(path, root, release)

    return context.memo.get(
        ("rules", path, release), make, not_before=context.fresh_after, remaining=context.remaining()
    )


def _read(path: Path, root: Path, release: Release) -> ReadFile:
    name = relative_path(path, root)
    return ReadFile(name, parse_rules(read_rules(path, name), release), path)


def read_rules(path: Path, name: str) -> bytes:
    """Return the content of a rule file up to the limit. Raises ObservationError."""
    try:
        with path.open("rb") as file:
            return file.read(FILE_LIMIT + 1)
    except OSError as error:
        raise ObservationError(msg("{path} can't be read: {why}", path=name, why=error.strerror or "")) from error
