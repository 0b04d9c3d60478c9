"""Fill in the variables of a query, as Grafana does before it sends the query to Prometheus.

https://grafana.com/docs/grafana/latest/dashboards/variables/variable-syntax/
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from msgspec import Struct

# The syntaxes of a variable: $name, [[name:format]], ${name.field:format}.
_REFERENCE = re.compile(r"\$(\w+)|\[\[(\w+?)(?::(\w+))?\]\]|\$\{(\w+)(?:\.[^:}]+)?(?::([^}]+))?\}", re.ASCII)
_REGEX_SPECIAL = re.compile(r"[\\^$*+?.()|\[\]{}/]")
_PROMETHEUS_SPECIAL = re.compile(r"[$^*{}\[\]'+?.()|]")
# Stands for a value that only a running Prometheus knows: a name, so that it may stand wherever one may.
PLACEHOLDER = "prodgate_variable"
ALL = "$__all"
_AUTO_INTERVAL = "__auto_interval_"


class Variable(Struct, frozen=True):
    """A variable of a dashboard. `choices`: each selection that is tried, the first one by default.

    A selection has several values if several options are selected. `known` is False if only Prometheus knows the
    values, and `choices` holds a stand-in.
    """

    name: str
    choices: tuple[tuple[str, ...], ...]
    # More than one option can be selected, so that Grafana escapes the values for a regular expression.
    many: bool = False
    known: bool = True
    # Filled in as it is: the custom value for All.
    raw: bool = False


class Reference(Struct, frozen=True):
    """A variable in a text: its name, and where it begins."""

    name: str
    position: int


class Filled(Struct, frozen=True):
    """A text with its variables filled in. `pieces` are (start here, start in the text as written, is a value)."""

    text: str
    pieces: tuple[tuple[int, int, bool], ...]

    def origin(self, position: int) -> int:
        """Return the position in the text as written; for a character of a value, that of its variable."""
        start, written, value = next(piece for piece in reversed(self.pieces) if piece[0] <= position)
        return written if value else written + position - start


def references(text: str) -> list[Reference]:
    """Return the variables of a text, those that its dashboard does not have included."""
    return [Reference(_name(match), match.start()) for match in _REFERENCE.finditer(text)]


def fill(text: str, variables: Mapping[str, Variable], selected: Mapping[str, tuple[str, ...]]) -> Filled:
    """Fill in the variables: with what is selected, else with their first choice. Unknown ones stay as written."""
    parts: list[str] = []
    pieces, at, length = [(0, 0, False)], 0, 0
    for match in _REFERENCE.finditer(text):
        variable = variables.get(_name(match))
        if variable is None:
            continue
        parts.append(text[at : match.start()])
        length += len(parts[-1])
        pieces.append((length, match.start(), True))
        values = selected.get(variable.name, variable.choices[0])
        parts.append(_formatted(values, variable, (match[3] or match[5] or "").lower()))
        length += len(parts[-1])
        at = match.end()
        pieces.append((length, at, False))
    return Filled("".join([*parts, text[at:]]), tuple(pieces))


def _name(match: re.Match[str]) -> str:
    return match[1] or match[2] or match[4]


def _formatted(values: tuple[str, ...], variable: Variable, style: str) -> str:
    """Return selected values in the format of a reference, by default that of the Prometheus data source."""
    if style.startswith("date"):
        return _date(values[0], style)
    if variable.raw:
        return values[0]
    if not style:
        return _for_prometheus(values, variable)
    if style == "regex":
        return _alternatives([_REGEX_SPECIAL.sub(r"\\\g<0>", value) for value in values])
    if style in ("json", "doublequote", "singlequote", "sqlstring", "percentencode", "queryparam"):
        return _quoted(values, variable.name, style)
    separators = {"pipe": "|", "text": " + ", "raw": ",", "csv": ",", "distributed": f",{variable.name}="}
    if style in separators:
        return separators[style].join(values)
    return values[0] if len(values) == 1 else "{" + ",".join(values) + "}"


def _for_prometheus(values: tuple[str, ...], variable: Variable) -> str:
    if not variable.many:
        return values[0].replace("\\", "\\\\").replace('"', '\\"')
    escaped = (_PROMETHEUS_SPECIAL.sub(r"\\\\\g<0>", value.replace("\\", "\\\\\\\\")) for value in values)
    return _alternatives(escaped)


def _alternatives(values: Iterable[str]) -> str:
    texts = list(values)
    return texts[0] if len(texts) == 1 else f"({'|'.join(texts)})"


def _quoted(values: tuple[str, ...], name: str, style: str) -> str:
    if style == "json":
        return json.dumps(values[0] if len(values) == 1 else values, ensure_ascii=False)
    if style == "queryparam":
        return "&".join(f"var-{name}={quote(value, safe='')}" for value in values)
    if style == "percentencode":
        return quote(values[0] if len(values) == 1 else "{" + ",".join(values) + "}", safe="")
    mark = '"' if style == "doublequote" else "'"
    escape = "''" if style == "sqlstring" else "\\" + mark
    return ",".join(mark + value.replace(mark, escape) + mark for value in values)


def _date(value: str, style: str) -> str:
    """Return a time in milliseconds in a format of dates. Only seconds and milliseconds are valid PromQL."""
    return str(int(value) // 1000) if style == "date:seconds" and value.isdigit() else value


def built_in(scrape_interval: float, dashboard_range: float, now: float) -> dict[str, Variable]:
    """Return Grafana's own variables for a range that ends now, all in seconds."""
    # A graph has about a thousand points, and none closer than the scrapes.
    interval = max(1, round(scrape_interval), round(dashboard_range / 1000))
    rate_interval = max(interval + round(scrape_interval), 4 * round(scrape_interval), 4)
    seconds = {"interval": interval, "rate_interval": rate_interval, "range": max(1, round(dashboard_range))}
    values = {f"__{name}": f"{value}s" for name, value in seconds.items()}
    values |= {f"__{name}_ms": f"{value * 1000}" for name, value in seconds.items()}
    values |= {
        "__range_s": str(seconds["range"]),
        "__from": str(int((now - dashboard_range) * 1000)),
        "__to": str(int(now * 1000)),
        "__dashboard": "dashboard",
        "__org": "1",
        "__user": "1",
        "timezone": "browser",
        "__timezone": "browser",
        "__searchFilter": ".*",
    }
    return {name: Variable(name, ((value,),), raw=True) for name, value in values.items()}


def auto_intervals(names: Iterable[str], interval: Variable) -> dict[str, Variable]:
    """Return the variables that stand for the choice `auto` of interval variables."""
    return {_AUTO_INTERVAL + name: Variable(_AUTO_INTERVAL + name, interval.choices) for name in names}
