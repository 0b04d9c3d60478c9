"""Ask Prometheus for the data of dashboards, with their variables filled in as Grafana does when it opens them."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Collection, Mapping

from msgspec import structs

from gate.checks._dashboard_files import DashboardFile, JudgedQuery
from gate.checks._exposed_metrics import in_parallel
from gate.checks.context import CheckContext
from gate.core.messages import Message, msg
from gate.decode import regex
from gate.grafana import queries
from gate.grafana.dashboards import Dashboard, VariableQuery
from gate.grafana.queries import Request
from gate.grafana.templating import ALL, Variable, fill, references
from gate.prometheus.client import Api, PrometheusError
from gate.prometheus.promql import parser
from gate.prometheus.promql.lexer import ExpressionError
from gate.prometheus.releases import Release

# A label without quotes.
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_SLASHED = re.compile(r"/(.*)/([gimsuy]*)", re.DOTALL)
_REGEX_FORMAT = re.compile(r"\$\{\w+:regex\}|\[\[\w+:regex\]\]")
# Values of one variable that are kept.
_VALUES = 1000
# Seconds for which a series without new samples is shown.
_LOOKBACK = 300.0
# The values of a variable, or why it has none.
Selected = Mapping[str, Variable | Message]
# A query to send, True for what returns data without one, why there can be none, or None for what is not asked.
Plan = str | bool | Message | None


def find_results(
    context: CheckContext, target: str, files: tuple[DashboardFile, ...], release: Release
) -> tuple[DashboardFile, ...]:
    """Return the files with what each query of a panel or a variable returns. Raises ObservationError."""
    boards = [(file, dashboard) for file in files for dashboard in file.dashboards]
    selections = iter(in_parallel(context, target, boards, lambda api, board: _select(api, *board)))
    of_files = [[next(selections) for _ in file.dashboards] for file in files]
    plans = [
        [_plan(file, judged, selected[judged.dashboard], release) for judged in file.queries]
        for file, selected in zip(files, of_files, strict=True)
    ]
    requests = list(dict.fromkeys(plan for row in plans for plan in row if isinstance(plan, str)))
    found = dict(zip(requests, in_parallel(context, target, requests, _find_no_data), strict=True))
    return tuple(
        structs.replace(file, queries=tuple(_answered(judged, plan, found)
                                            for judged, plan in zip(file.queries, row, strict=True)))
        for file, row in zip(files, plans, strict=True)
    )  # fmt: skip


def _answered(judged: JudgedQuery, plan: Plan, found: Mapping[str, Message | None]) -> JudgedQuery:
    if plan is None:
        return judged
    no_data = found[plan] if isinstance(plan, str) else plan if isinstance(plan, Message) else None
    return structs.replace(judged, asked=True, no_data=no_data)


def _plan(file: DashboardFile, judged: JudgedQuery, selected: Selected, release: Release) -> Plan:
    """Return what to ask for the data of a query."""
    query = judged.query
    if judged.reading.error is not None or query.annotation:
        return None
    if query.variable:
        values = selected[query.variable]
        return values if isinstance(values, Message) else True
    used = [selected[reference.name] for reference in references(query.text) if reference.name in selected]
    if unknown := next((variable for variable in used if isinstance(variable, Message)), None):
        return unknown
    variables = {variable.name: variable for variable in used if isinstance(variable, Variable)}
    # A panel that is repeated for each value shows one of them.
    ones = {name: variables[name].choices[0][:1] for name in query.repeated if name in variables}
    text = fill(query.text, {**file.variables(file.dashboards[judged.dashboard]), **variables}, ones).text
    try:
        kind = parser.check(text, release)
    except ExpressionError as error:
        why = msg("with the values of its variables it does not parse: {why}", why=error.message)
        # Grafana's format escapes for a regular expression, but not for the string around it.
        return msg("{why}; put '{text}' in back quotes", why=why, text=style[0]) if (
            style := _REGEX_FORMAT.search(query.text)) else why  # fmt: skip
    if kind in ("scalar", "string"):
        return True
    return f"group({text}\n)" if kind == "vector" else f"group(present_over_time({text}\n))"


def _find_no_data(api: Api, query: str) -> Message | None:
    """Return why a query returns nothing, or None."""
    try:
        return None if api.query(query) else msg("no data")
    except PrometheusError as error:
        if error.bad_query:
            return error.message
        raise


# Variables


def _select(api: Api, file: DashboardFile, dashboard: Dashboard) -> Selected:
    """Return the variables with the values that are selected when a dashboard opens."""
    selected: dict[str, Variable | Message] = {}
    waiting = dict(dashboard.variable_queries)
    while waiting:
        # One that others depend on comes first, wherever it is written.
        name = next((name for name in waiting if not _reads(waiting[name], waiting)), next(iter(waiting)))
        selected[name] = _selected(api, file, dashboard, waiting.pop(name), selected)
    return {**{name: variable for name, variable in dashboard.variables.items() if variable.known}, **selected}


def _reads(variable: VariableQuery, names: Collection[str]) -> bool:
    return any(reference.name in names for reference in references(variable.query.text))


def _selected(api: Api, file: DashboardFile, dashboard: Dashboard, variable: VariableQuery,
              selected: Selected) -> Variable | Message:  # fmt: skip
    """Return a variable with what is selected of its values: the saved selection, else All or the first value."""
    name = variable.query.variable
    used = [selected[reference.name] for reference in references(variable.query.text) if reference.name in selected]
    if unknown := next((each for each in used if isinstance(each, Message)), None):
        return unknown
    known = {each.name: each for each in used if isinstance(each, Variable)}
    request = queries.request(
        variable.query, fill(variable.query.text, {**file.variables(dashboard), **known}, {}).text
    )
    if request is None:
        return msg("the variable {name} has no valid query", name=f"${name}")
    try:
        values = _filtered(_values(api, request), variable.regex)
    except PrometheusError as error:
        if not error.bad_query:
            raise
        return msg("the variable {name} has no values: {why}", name=f"${name}", why=error.message)
    except regex.InvalidPatternError as error:
        return msg("the variable {name} has no values: {why}", name=f"${name}", why=str(error))
    if not values:
        return msg("the variable {name} has no values", name=f"${name}")
    many = dashboard.variables[name].many
    current = tuple(value for value in variable.current if value in values)
    if current:
        return Variable(name, (current,), many)
    if ALL in variable.current or variable.includes_all:
        everything = (variable.all_value,) if variable.all_value else tuple(values)
        return Variable(name, (everything,), many, raw=bool(variable.all_value))
    return Variable(name, ((values[0],),), many)


def _values(api: Api, request: Request) -> list[str]:
    """Return the values that Prometheus has for a variable query."""
    start = time.time() - _LOOKBACK
    if request.kind == "labels":
        return api.label_values(request.label, start) if request.label else api.label_names(start)
    if request.kind == "names":
        return [name for name in api.label_values("__name__", start) if regex.search(request.text, name)]
    if request.label:
        label = request.label if _LABEL.fullmatch(request.label) else json.dumps(request.label, ensure_ascii=False)
        series = api.query(f"group by ({label}) ({request.text}\n)")
        return sorted({each.labels[request.label] for each in series if each.labels.get(request.label)})
    return sorted({str(each) if request.kind == "expression" else str(each).rpartition(" ")[0]
                   for each in api.query(request.text)})  # fmt: skip


def _filtered(values: list[str], pattern: str) -> list[str]:
    """Return what the pattern of a variable leaves of its values: what its first group captures."""
    if not pattern:
        return values[:_VALUES]
    slashed = _SLASHED.fullmatch(pattern)
    flags = "".join(sorted(set(slashed[2]) & set("ims"))) if slashed else ""
    compiled = (f"(?{flags})" if flags else "") + (slashed[1] if slashed else pattern)
    captured = (regex.capture(compiled, value) for value in values)
    return list(dict.fromkeys(value for value in captured if value))[:_VALUES]
