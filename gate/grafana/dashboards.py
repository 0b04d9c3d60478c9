"""Read a Grafana dashboard in any form in which it is kept: its panels, variables and annotations.

https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct, field

from gate.core.messages import Message, msg
from gate.grafana.datasources import DataSource, DataSources
from gate.grafana.json_text import Path
from gate.grafana.templating import ALL, PLACEHOLDER, Variable, auto_intervals
from gate.redaction.secrets import redacted_head

# Options of one variable that are tried in each query.
_CHOICES = 50
_TITLE = 100
_UID = re.compile(r"[a-zA-Z0-9_-]{0,40}")
_RANGE = re.compile(r"now-(\d{1,6})([smhdwMy])")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "M": 2592000.0, "y": 31536000.0}
_DEFAULT_RANGE = 6 * 3600.0
_KINDS = {
    "QueryVariable": "query", "CustomVariable": "custom", "ConstantVariable": "constant", "TextVariable": "textbox",
    "IntervalVariable": "interval", "DatasourceVariable": "datasource", "AdhocVariable": "adhoc",
    "GroupByVariable": "groupby", "SwitchVariable": "switch",
}  # fmt: skip


class Query(Struct, frozen=True):
    """A query to Prometheus as it is written. `path` leads to it in the file, `where` names it for a reader.

    `variable`: it fills the variable of this name, and is one of Grafana's variable queries, such as `label_values()`.
    `repeated`: the panel is repeated for each value of these variables.
    """

    text: str
    path: Path
    where: Message
    variable: str = ""
    repeated: frozenset[str] = frozenset()
    # Events, of which there need not be any.
    annotation: bool = False


class NotJudged(Struct, frozen=True):
    """A query that is not judged, and why."""

    where: Message
    reason: Message


class Problem(Struct, frozen=True):
    """Something that Grafana does not take."""

    path: Path
    reason: Message


class VariableQuery(Struct, frozen=True):
    """How a variable gets its values from Prometheus."""

    query: Query
    regex: str = ""
    all_value: str = ""
    includes_all: bool = False
    current: tuple[str, ...] = ()


class Dashboard(Struct):
    """A dashboard. `duration` is the range of time that it shows, in seconds. `has_variables`: it defines its own."""

    title: str = ""
    uid: str = ""
    path: Path = ()
    duration: float = _DEFAULT_RANGE
    library: bool = False
    queries: list[Query] = field(default_factory=list)
    variables: dict[str, Variable] = field(default_factory=dict)
    variable_queries: dict[str, VariableQuery] = field(default_factory=dict)
    not_judged: list[NotJudged] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


Located = tuple[Mapping[str, Any], Path]


def read(document: Any, sources: Collection[str] = ()) -> list[Dashboard]:
    """Return the dashboards and library panels of a document; an empty list if it holds none.

    `sources` are the names or uids of the data sources to judge; all of Prometheus without any.
    """
    return [_Reader(model, path, sources, library=library).read() for model, path, library in _models(document)]


def _models(document: Any) -> Iterator[tuple[Mapping[str, Any], Path, bool]]:
    """Yield each model of a document, its path, and whether it is a library panel: wrappers are opened."""
    if not isinstance(document, dict):
        return
    result = document.get("result")
    if isinstance(result, dict):
        elements = result.get("elements")
        if isinstance(elements, list):
            for index, element in enumerate(elements):
                if isinstance(element, dict) and isinstance(element.get("model"), dict):
                    yield element["model"], ("result", "elements", index, "model"), True
        elif isinstance(result.get("model"), dict):
            yield result["model"], ("result", "model"), True
    elif isinstance(document.get("model"), dict):
        yield document["model"], ("model",), True
    elif isinstance(document.get("dashboard"), dict):
        yield document["dashboard"], ("dashboard",), False
    elif isinstance(document.get("spec"), dict) and document.get("kind") == "Dashboard":
        yield document["spec"], ("spec",), False
    elif {"panels", "rows", "elements", "templating", "schemaVersion"} & document.keys():
        yield document, (), False


class _Reader:
    """One pass over a dashboard."""

    def __init__(self, model: Mapping[str, Any], path: Path, sources: Collection[str], *, library: bool) -> None:
        self.model, self.path, self.sources = model, path, sources
        self.dashboard = Dashboard(path=path, library=library)
        self.elements = self._library_panels()
        self.data_sources = DataSources(dict(self._plugins()))

    def read(self) -> Dashboard:
        """Return the dashboard."""
        dashboard = self.dashboard
        if dashboard.library:
            self._panel(self.model, self.path, frozenset())
            return dashboard
        dashboard.title = _text(self.model.get("title"))
        dashboard.uid = _text(self.model.get("uid"))
        dashboard.duration = _duration(self.model.get("time") or self.model.get("timeSettings"))
        self._check_head()
        for variable, path, kind in self._written_variables():
            self._variable(variable, path, kind)
        for panel, path, repeated in self._panels():
            self._panel(panel, path, repeated)
        for annotation, path in self._objects("annotations", "list"):
            self._annotation(annotation, path)
        return dashboard

    def _check_head(self) -> None:
        if not self.dashboard.title:
            self._problem((*self.path, "title"), msg("the dashboard has no title"))
        uid = self.model.get("uid")
        if uid is not None and not (isinstance(uid, str) and _UID.fullmatch(uid)):
            self._problem((*self.path, "uid"), msg("'uid' is not valid: Grafana takes up to 40 letters, digits, '-' "
                                                   "and '_'"))  # fmt: skip

    def _problem(self, path: Path, reason: Message) -> None:
        self.dashboard.problems.append(Problem(path, reason))

    def _skip(self, where: Message, reason: Message) -> None:
        self.dashboard.not_judged.append(NotJudged(where, reason))

    # The parts of a model

    def _objects(self, key: str, inner: str = "") -> Iterator[Located]:
        """Yield the objects of a list of the model: at `key`, or at `inner` of the object at `key`."""
        value, path = self.model.get(key), (*self.path, key)
        if inner and isinstance(value, dict):
            value, path = value.get(inner), (*path, inner)
        return self._entries(value, path)

    def _entries(self, value: Any, path: Path) -> Iterator[Located]:
        """Yield the objects of a list, and report a list that is not one, and an entry that is not an object."""
        if value is None:
            return
        if not isinstance(value, list):
            self._problem(path, msg("'{key}' is not a list", key=str(path[-1])))
            return
        for index, entry in enumerate(value):
            if isinstance(entry, dict):
                yield entry, (*path, index)
            else:
                self._problem((*path, index), msg("an entry of '{key}' is not an object", key=str(path[-1])))

    def _plugins(self) -> Iterator[tuple[str, str]]:
        """Yield the name and the plugin of each input and each variable that is a data source."""
        inputs = self.model.get("__inputs")
        for entry in inputs if isinstance(inputs, list) else ():
            if isinstance(entry, dict) and entry.get("type") == "datasource":
                yield _text(entry.get("name")), _text(entry.get("pluginId"))
        for variable, _, kind in self._written_variables():
            if kind == "datasource":
                yield _text(variable.get("name")), _text(variable.get("query") or variable.get("pluginId"))
        # What was read here is read again later: its problems are reported then.
        self.dashboard.problems.clear()

    def _written_variables(self) -> Iterator[tuple[Mapping[str, Any], Path, str]]:
        """Yield each variable, its path and its kind."""
        for variable, path in self._objects("templating", "list"):
            yield variable, path, _text(variable.get("type")) or "query"
        for variable, path in self._objects("variables"):
            if isinstance(variable.get("spec"), dict):
                yield variable["spec"], (*path, "spec"), _KINDS.get(_text(variable.get("kind")), "")

    def _library_panels(self) -> dict[str, Located]:
        """Return the library panels that an exported dashboard brings along, by uid."""
        elements = self.model.get("__elements")
        named: Iterable[tuple[str | int, Any]] = enumerate(elements) if isinstance(elements, list) else ()
        if isinstance(elements, dict):
            named = elements.items()
        return {
            _text(element.get("uid")): (element["model"], (*self.path, "__elements", key, "model"))
            for key, element in named
            if isinstance(element, dict) and isinstance(element.get("model"), dict)
        }

    def _panels(self) -> Iterator[tuple[Mapping[str, Any], Path, frozenset[str]]]:
        """Yield each panel, its path and the variables that it is repeated by. Rows are panels with panels."""
        elements = self.model.get("elements")
        for name, element in elements.items() if isinstance(elements, dict) else ():
            path = (*self.path, "elements", name)
            if isinstance(element, dict) and isinstance(element.get("spec"), dict):
                yield element["spec"], (*path, "spec"), frozenset()
            else:
                self._problem(path, msg("the element {name} has no 'spec'", name=name))
        waiting = [(*panel, frozenset[str]()) for key in ("rows", "panels") for panel in self._objects(key)][::-1]
        while waiting:
            panel, path, outer = waiting.pop()
            repeat = panel.get("repeat")
            repeated = outer | {repeat} if isinstance(repeat, str) and repeat else outer
            yield panel, path, repeated
            inner = list(self._entries(panel.get("panels"), (*path, "panels")))
            waiting += [(*each, repeated) for each in reversed(inner)]

    # Panels and annotations

    def _panel(self, panel: Mapping[str, Any], path: Path, repeated: frozenset[str]) -> None:
        where = msg('panel "{title}"', title=_title(panel, "title"))
        library, data = panel.get("libraryPanel"), panel.get("data")
        if isinstance(library, dict) and not panel.get("targets") and not self.dashboard.library:
            if element := self.elements.get(_text(library.get("uid"))):
                self._targets(*element, where, repeated)
            else:
                self._skip(where, msg("a library panel that is not in the file"))
        elif isinstance(data, dict) and isinstance(data.get("spec"), dict):
            for query, at in self._entries(data["spec"].get("queries"), (*path, "data", "spec", "queries")):
                if isinstance(query.get("spec"), dict):
                    self._new_query(query["spec"], (*at, "spec"), where)
        else:
            self._targets(panel, path, where, repeated)

    def _targets(self, panel: Mapping[str, Any], path: Path, where: Message, repeated: frozenset[str]) -> None:
        for target, at in self._entries(panel.get("targets"), (*path, "targets")):
            source = self.data_sources.find(target.get("datasource"), panel.get("datasource"))
            self._expression(target, at, source, where, repeated)

    def _new_query(self, holder: Mapping[str, Any], path: Path, where: Message, *, annotation: bool = False) -> None:
        """Add the query of an object of schema v2: `query` is an object with the plugin and its own object."""
        query = holder.get("query")
        if not isinstance(query, dict) or not isinstance(query.get("spec"), dict):
            self._skip(where, msg("no query is written"))
            return
        source = self._new_source(holder)
        self._expression(query["spec"], (*path, "query", "spec"), source, where, annotation=annotation)

    def _new_source(self, holder: Mapping[str, Any]) -> DataSource:
        """Return the data source of a query of schema v2, whose plugin is the kind or the group of the query."""
        query = holder["query"]
        kind = _text(query.get("kind"))
        plugin = _text(query.get("group")) if kind == "DataQuery" else kind
        found = self.data_sources.find(holder.get("datasource"), query.get("datasource"))
        return DataSource(found.plugin or DataSources({}).find({"type": plugin}).plugin, found.names)

    def _annotation(self, annotation: Mapping[str, Any], path: Path) -> None:
        if isinstance(annotation.get("spec"), dict):
            annotation, path = annotation["spec"], (*path, "spec")
        if annotation.get("builtIn"):
            return
        where = msg('annotation "{title}"', title=_title(annotation, "name"))
        target = annotation.get("target")
        if isinstance(annotation.get("query"), dict):
            self._new_query(annotation, path, where, annotation=True)
            return
        source = self.data_sources.find(annotation.get("datasource"))
        if isinstance(target, dict) and target.get("expr"):
            self._expression(target, (*path, "target"), source, where, annotation=True)
        else:
            self._expression(annotation, path, source, where, annotation=True)

    def _expression(self, holder: Mapping[str, Any], path: Path, source: DataSource, where: Message,
                    repeated: frozenset[str] = frozenset(), *, annotation: bool = False) -> None:  # fmt: skip
        """Add the query under `expr`, if it is one for Prometheus."""
        text = holder.get("expr")
        if not source.is_prometheus(self.sources):
            self._skip(where, msg("data source {source}", source=redacted_head(str(source), _TITLE)))
        elif text is None or text == "":
            self._skip(where, msg("no query is written"))
        elif not isinstance(text, str):
            self._problem((*path, "expr"), msg("{where}: 'expr' is not a text", where=where))
        else:
            self.dashboard.queries.append(Query(text, (*path, "expr"), where, repeated=repeated, annotation=annotation))

    # Variables

    def _variable(self, variable: Mapping[str, Any], path: Path, kind: str) -> None:
        name = _text(variable.get("name"))
        where = msg('variable "{title}"', title=redacted_head(name, _TITLE))
        if not name:
            self._problem(path, msg("a variable has no name"))
            return
        many = bool(variable.get("multi") or variable.get("includeAll"))
        current = _selection(variable.get("current"))
        options = tuple((value,) for value in _options(variable, kind))[:_CHOICES]
        if kind == "query":
            self._variable_query(variable, path, where, name, current)
            known = [values for values in (current,) if values and ALL not in values]
            choices = ((PLACEHOLDER,), *known, ("1",), ("5m",))
            self.dashboard.variables[name] = Variable(name, choices, many, known=False)
            return
        if kind == "datasource":
            options = ()
        if ALL in current or (not current and variable.get("includeAll")):
            all_value = _text(variable.get("allValue"))
            everything = tuple(value for values in options for value in values)
            if all_value or everything:
                self._known(Variable(name, ((all_value,) if all_value else everything,), many, raw=bool(all_value)))
                return
        first = (current,) if current and ALL not in current else ()
        made = Variable(name, tuple(dict.fromkeys((*first, *options))) or (("",),), many)
        self._known(made)
        if kind == "interval":
            self.dashboard.variables |= auto_intervals((name, ""), made)

    def _known(self, variable: Variable) -> None:
        self.dashboard.variables[variable.name] = variable

    def _variable_query(self, variable: Mapping[str, Any], path: Path, where: Message, name: str,
                        current: tuple[str, ...]) -> None:  # fmt: skip
        """Add the query of a variable: a text, or an object with it."""
        query = variable.get("query")
        if isinstance(query, dict) and isinstance(query.get("spec"), dict):
            source, query, path = self._new_source(variable), query["spec"], (*path, "query", "spec")
        else:
            source = self.data_sources.find(variable.get("datasource"))
            path = (*path, "query") if isinstance(query, dict) else path
        if not source.is_prometheus(self.sources):
            self._skip(where, msg("data source {source}", source=redacted_head(str(source), _TITLE)))
            return
        holder: Mapping[str, Any] = query if isinstance(query, dict) else variable
        key = next((key for key in ("query", "expr", "__legacyStringValue", "definition") if holder.get(key)), "query")
        text = holder.get(key)
        if text is None or text == "":
            self._skip(where, msg("no query is written"))
            return
        if not isinstance(text, str):
            self._problem((*path, key), msg("{where}: '{key}' is not a text", where=where, key=key))
            return
        made = Query(text, (*path, key), where, variable=name)
        self.dashboard.queries.append(made)
        self.dashboard.variable_queries[name] = VariableQuery(
            made,
            _text(variable.get("regex")),
            _text(variable.get("allValue")),
            bool(variable.get("includeAll")),
            current,
        )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _title(holder: Mapping[str, Any], key: str) -> str:
    """Return the title of a panel or an annotation, or its number."""
    title = " ".join(_text(holder.get(key)).split())
    return redacted_head(title or f"{holder.get('id', '-')}", _TITLE)


def _selection(current: Any) -> tuple[str, ...]:
    """Return the values that are selected when the dashboard opens."""
    value = current.get("value") if isinstance(current, dict) else None
    values = value if isinstance(value, list) else [value]
    return tuple(each for each in values if isinstance(each, str) and each)


def _options(variable: Mapping[str, Any], kind: str) -> list[str]:
    """Return the values that a variable of a fixed list offers."""
    written = variable.get("query")
    if kind in ("constant", "textbox", "switch"):
        return [written] if isinstance(written, str) and written else []
    texts = _split(written) if isinstance(written, str) else []
    options = variable.get("options")
    if not texts and isinstance(options, list):
        texts = [_text(option.get("value")) for option in options if isinstance(option, dict)]
    return [text for text in dict.fromkeys(texts) if text and text != ALL]


def _split(written: str) -> list[str]:
    """Return the values of a list such as `5m,1h` or `Mean : avg, Maximum : max`. A backslash escapes a comma."""
    parts = (part.replace("\\,", ",").strip() for part in re.split(r"(?<!\\),", written))
    return [re.sub(r"^.*?\s:\s", "", part, count=1).strip() for part in parts]


def _duration(time: Any) -> float:
    """Return the seconds of the range that a dashboard shows when it opens."""
    match = _RANGE.fullmatch(_text(time.get("from"))) if isinstance(time, dict) else None
    return int(match[1]) * _UNITS[match[2]] if match and int(match[1]) else _DEFAULT_RANGE
