"""Take apart what a query of a dashboard asks Prometheus for: an expression, a series selector or a pattern.

https://grafana.com/docs/grafana/latest/datasources/prometheus/template-variables/
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Literal

from msgspec import Struct

from gate.core.messages import Message, msg
from gate.decode import regex
from gate.grafana.dashboards import Query
from gate.grafana.templating import PLACEHOLDER, Filled, Variable, fill, references
from gate.prometheus import expressions
from gate.prometheus.missing_series import Matcher, Selector, metric_selectors
from gate.prometheus.releases import Release

_LABEL_NAMES = re.compile(r"label_names\((.*)\)\s*")
_LABEL_VALUES = re.compile(rf'label_values\((?:(.+),\s*)?([a-zA-Z_$][a-zA-Z0-9_]*|"[^"]*"|{PLACEHOLDER})\s*\)\s*')
_METRICS = re.compile(r"metrics\((.+)\)\s*")
_QUERY_RESULT = re.compile(r"query_result\((.+)\)\s*", re.DOTALL)
_FUNCTION = re.compile(r"(label_values|label_names|metrics|query_result)\(")
_CAPTURE = "(?P<{name}>"

# Characters of one query. Prometheus takes more, but a longer one has not been written by hand.
_LONGEST = 64 * 1024

# expression: PromQL; selector: a selector of series; names: a pattern for metrics; labels: nothing but labels.
Kind = Literal["expression", "selector", "names", "labels"]


class Request(Struct, frozen=True):
    """What is asked of Prometheus. `start` is where `text` begins in the filled query. `label`: whose values."""

    kind: Kind
    text: str
    start: int = 0
    label: str = ""


class QueryError(Struct, frozen=True):
    """Why Prometheus rejects a query, and at which character of the query as written."""

    reason: Message
    position: int = 0


class Metric(Struct, frozen=True):
    """A metric that a query reads: the demands of a selector on its name, and where they stand in the query."""

    selector: Selector
    position: int


class Reading(Struct, frozen=True):
    """A query with its variables filled in. `unnamed`: variables decide which metrics it reads."""

    request: Request | None = None
    error: QueryError | None = None
    metrics: tuple[Metric, ...] = ()
    unnamed: bool = False


def request(query: Query, text: str) -> Request | None:
    """Return what a filled query asks for; None if it is not one of the variable queries that Grafana has."""
    if not query.variable:
        return Request("expression", text)
    start = len(text) - len(text.lstrip())
    if match := _LABEL_NAMES.fullmatch(text, start):
        return Request("names", match[1], match.start(1)) if match[1].strip() else Request("labels", "")
    if match := _LABEL_VALUES.fullmatch(text, start):
        label = match[2].strip('"')
        return Request("selector", match[1], match.start(1), label) if match[1] else Request("labels", "", 0, label)
    if match := _METRICS.fullmatch(text, start):
        return Request("names", match[1], match.start(1))
    if match := _QUERY_RESULT.fullmatch(text, start):
        return Request("expression", match[1], match.start(1))
    return None if _FUNCTION.match(text, start) else Request("selector", text)


def read(query: Query, variables: Mapping[str, Variable], release: Release, *, undefined: bool = True) -> Reading:
    """Fill in the variables of a query, and find its first error or the metrics that it reads.

    Every choice of a variable has to be valid; of one whose values only Prometheus knows, any. `undefined`: a
    variable that the dashboard does not have is an error.
    """
    if len(query.text) > _LONGEST:
        return Reading(error=QueryError(msg("longer than {limit} characters", limit=_LONGEST)))
    if undefined and (error := _undefined(query.text, variables)):
        return Reading(error=error)
    first = None
    for filled in _stand_ins(query, variables):
        reading = _read(query, filled, release)
        first = first or reading
        if reading.error is None:
            break
    else:
        assert first is not None
        return first
    metrics = {metric.selector: metric for metric in reading.metrics}
    for selected, filled in _choices(query, variables):
        other = _read(query, filled, release)
        if other.error is not None:
            ((name, values),) = selected.items()
            reason = msg("with {variable} = {value}: {reason}", variable=f"${name}", value=", ".join(values),
                         reason=other.error.reason)  # fmt: skip
            return Reading(error=QueryError(reason, other.error.position))
        metrics |= {metric.selector: metric for metric in other.metrics if metric.selector not in metrics}
    return Reading(reading.request, None, tuple(metrics.values()), reading.unnamed)


def _undefined(text: str, variables: Mapping[str, Variable]) -> QueryError | None:
    """Return an error for the first variable that the dashboard does not have. label_replace() has some of its own."""
    for reference in references(text):
        name = reference.name
        if name not in variables and not name.isdigit() and _CAPTURE.format(name=name) not in text:
            return QueryError(msg("the dashboard has no variable {name}", name=f"${name}"), reference.position)
    return None


def _used(query: Query, variables: Mapping[str, Variable]) -> list[Variable]:
    names = dict.fromkeys(reference.name for reference in references(query.text))
    return [variables[name] for name in names if name in variables]


def _stand_ins(query: Query, variables: Mapping[str, Variable]) -> Iterator[Filled]:
    """Yield the query with the first choices, and with each stand-in for the variables whose values are not known."""
    unknown = [variable for variable in _used(query, variables) if not variable.known]
    tries = max((len(variable.choices) for variable in unknown), default=1)
    for number in range(tries):
        selected = {variable.name: variable.choices[min(number, len(variable.choices) - 1)] for variable in unknown}
        yield fill(query.text, variables, selected)


def _choices(query: Query, variables: Mapping[str, Variable]) -> Iterator[tuple[dict[str, tuple[str, ...]], Filled]]:
    """Yield the query with each further choice of each variable whose values are known, one variable at a time."""
    for variable in _used(query, variables):
        for choice in variable.choices[1:] if variable.known else ():
            selected = {variable.name: choice}
            yield selected, fill(query.text, variables, selected)


def _read(query: Query, filled: Filled, release: Release) -> Reading:
    asked = request(query, filled.text)
    if asked is None:
        return Reading(
            error=QueryError(
                msg(
                    "not a valid variable query; Grafana has label_names(), label_values(label), "
                    "label_values(series, label), metrics(pattern), query_result(expression)"
                )
            )
        )
    if asked.kind == "labels":
        return Reading(asked)
    if asked.kind == "names":
        return _read_pattern(asked, filled)
    error = expressions.first_error(asked.text, release)
    if error is None and asked.kind == "selector" and expressions.first_error(f"{asked.text}\n[1m]", release):
        return Reading(error=QueryError(msg("not a selector of series; use query_result() for an expression"),
                                        filled.origin(asked.start)))  # fmt: skip
    if error is not None:
        return Reading(error=QueryError(error.message, filled.origin(asked.start + error.position)))
    named = metric_selectors(asked.text)
    metrics = {
        names: Metric(names, filled.origin(asked.start + _find(selector.text, asked.text)))
        for selector, names in reversed(named.items())
        if PLACEHOLDER not in names.text
    }
    unnamed = any(PLACEHOLDER in names.text for names in named.values())
    return Reading(asked, metrics=tuple(reversed(metrics.values())), unnamed=unnamed)


def _read_pattern(asked: Request, filled: Filled) -> Reading:
    """Read a pattern for names of metrics, which may match anywhere in a name."""
    position = filled.origin(asked.start)
    if PLACEHOLDER in asked.text:
        return Reading(asked, unnamed=True)
    try:
        regex.validate(asked.text)
    except regex.InvalidPatternError as error:
        return Reading(error=QueryError(msg("not a valid regular expression: {why}", why=str(error)), position))
    pattern = f".*(?:{asked.text}).*"
    selector = Selector(
        f"{{__name__=~{json.dumps(pattern, ensure_ascii=False)}}}", (Matcher("__name__", "=~", pattern),)
    )
    return Reading(asked, metrics=(Metric(selector, position),))


def _find(selector: str, text: str) -> int:
    """Return where a selector stands in an expression."""
    match = re.search(rf"(?<![\w:]){re.escape(selector)}(?![\w:])", text)
    return match.start() if match else 0
