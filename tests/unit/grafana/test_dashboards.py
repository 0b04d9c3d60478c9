"""Dashboards are read in every form, and each query is judged or counted as not judged."""

from __future__ import annotations

from typing import Any

import pytest

from gate.grafana.dashboards import read

PROMETHEUS = {"type": "prometheus", "uid": "p"}
PANEL = {"title": "P", "datasource": PROMETHEUS, "targets": [{"expr": "up"}]}
CLASSIC = {"title": "D", "panels": [PANEL]}


def element(query: dict[str, Any], **rest: Any) -> dict[str, Any]:
    """Return a panel of schema v2 with one query."""
    spec = {"kind": "PanelQuery", "spec": {"refId": "A", "query": query, **rest}}
    return {"kind": "Panel", "spec": {"title": "P", "data": {"kind": "QueryGroup", "spec": {"queries": [spec]}}}}


V2_ALPHA = element({"kind": "prometheus", "spec": {"expr": "up"}}, datasource=PROMETHEUS)
V2_BETA = element(
    {"kind": "DataQuery", "group": "prometheus", "version": "v0", "datasource": {"name": "p"}, "spec": {"expr": "up"}}
)
FORMS = {
    "classic": CLASSIC,
    "rows": {"title": "D", "rows": [{"title": "R", "panels": [PANEL]}]},
    "collapsed row": {"title": "D", "panels": [{"type": "row", "collapsed": True, "panels": [PANEL]}]},
    "open row": {"title": "D", "panels": [{"type": "row", "collapsed": False, "panels": []}, PANEL]},
    "of the API": {"meta": {}, "dashboard": CLASSIC},
    "to import": {"dashboard": CLASSIC, "overwrite": True, "folderUid": "x"},
    "resource": {"apiVersion": "dashboard.grafana.app/v1beta1", "kind": "Dashboard", "metadata": {}, "spec": CLASSIC},
    "schema v2alpha1": {"kind": "Dashboard", "spec": {"title": "D", "elements": {"panel-1": V2_ALPHA}}},
    "schema v2beta1": {"kind": "Dashboard", "spec": {"title": "D", "elements": {"panel-1": V2_BETA}}},
    "schema v2 alone": {"title": "D", "elements": {"panel-1": V2_BETA}},
    "library panel": {"result": {"uid": "l", "kind": 1, "model": PANEL}},
    "library panels": {"result": {"elements": [{"uid": "l", "kind": 1, "model": PANEL}]}},
    "library panel alone": {"uid": "l", "kind": 1, "model": PANEL},
    "with its library panel": {
        "title": "D",
        "__elements": {"l": {"uid": "l", "kind": 1, "model": PANEL}},
        "panels": [{"title": "P", "libraryPanel": {"uid": "l", "name": "L"}}],
    },
    "with its library panels in a list": {
        "title": "D",
        "__elements": [{"uid": "l", "kind": 1, "model": PANEL}],
        "panels": [{"title": "P", "libraryPanel": {"uid": "l", "name": "L"}}],
    },
    "library panel in full": {"title": "D", "panels": [{**PANEL, "libraryPanel": {"uid": "l"}}]},
}


def value_at(document: Any, path: tuple[str | int, ...]) -> Any:
    """Return the value at a path."""
    for key in path:
        document = document[key]
    return document


@pytest.mark.parametrize("form", FORMS)
def test_forms(form: str) -> None:
    """Each form gives the query of its panel, and the path that leads to it."""
    [dashboard] = read(FORMS[form])
    assert [(query.text, str(query.where)) for query in dashboard.queries] == [("up", 'panel "P"')]
    assert value_at(FORMS[form], dashboard.queries[0].path) == "up"
    assert (dashboard.not_judged, dashboard.problems) == ([], [])


@pytest.mark.parametrize(
    "document",
    [
        [],
        7,
        "x",
        None,
        {},
        {"a": 1},
        {"apiVersion": 1, "providers": []},
        {"apiVersion": 1, "datasources": []},
        [CLASSIC],
    ],
)
def test_not_a_dashboard(document: Any) -> None:
    """JSON that is no dashboard is not taken for one without queries."""
    assert read(document) == []


def judged(datasource: Any, target: Any = None, **model: Any) -> list[str]:
    """Return what becomes of one query of a panel with a data source."""
    panel = {
        "title": "P",
        "datasource": datasource,
        "targets": [{"expr": "up", **({"datasource": target} if target else {})}],
    }
    [dashboard] = read({"title": "D", "panels": [panel], **model})
    return [query.text for query in dashboard.queries] or [str(each.reason) for each in dashboard.not_judged]


def variable(plugin: str) -> dict[str, Any]:
    """Return a variable that is a data source."""
    return {"templating": {"list": [{"name": "ds", "type": "datasource", "query": plugin}]}}


def inputs(plugin: str) -> dict[str, Any]:
    """Return the input of an exported dashboard."""
    return {"__inputs": [{"name": "DS_X", "type": "datasource", "pluginId": plugin}]}


@pytest.mark.parametrize(
    ("datasource", "model"),
    [
        (None, {}),
        ({}, {}),
        ("default", {}),
        ("Prometheus", {}),
        (PROMETHEUS, {}),
        ({"type": "grafana-amazonprometheus-datasource", "uid": "x"}, {}),
        ({"uid": "$ds"}, variable("prometheus")),
        ("$ds", variable("prometheus")),
        ("[[ds]]", variable("prometheus")),
        ("${DS_X}", inputs("prometheus")),
        ({"type": "loki", "uid": "${ds}"}, variable("prometheus")),
    ],
)
def test_prometheus(datasource: Any, model: dict[str, Any]) -> None:
    """A query to Prometheus, or to a default data source, is judged."""
    assert judged(datasource, **model) == ["up"]


@pytest.mark.parametrize(
    ("datasource", "model", "reason"),
    [
        ({"type": "loki", "uid": "x"}, {}, "data source loki"),
        ("Loki", {}, "data source Loki"),
        ("$ds", variable("loki"), "data source loki"),
        ("${DS_X}", inputs("loki"), "data source loki"),
        ({"type": "prometheus", "uid": "$ds"}, variable("loki"), "data source loki"),
        ({"type": "__expr__", "uid": "__expr__"}, {}, "data source expression"),
        ("__expr__", {}, "data source expression"),
        ({"type": "datasource", "uid": "grafana"}, {}, "data source grafana"),
        ({"type": "datasource", "uid": "-- Dashboard --"}, {}, "data source dashboard"),
        ("-- Grafana --", {}, "data source grafana"),
        ({"type": "mysql", "uid": "x"}, {}, "data source mysql"),
        (
            {"type": "victoriametrics-metrics-datasource", "uid": "x"},
            {},
            "data source victoriametrics-metrics-datasource",
        ),
    ],
)
def test_not_prometheus(datasource: Any, model: dict[str, Any], reason: str) -> None:
    """What is not PromQL is counted as not judged, never as passed."""
    assert judged(datasource, **model) == [reason]


@pytest.mark.parametrize("mixed", ["-- Mixed --", {"type": "datasource", "uid": "-- Mixed --"}])
def test_mixed(mixed: Any) -> None:
    """In a panel of several data sources, each query has its own."""
    assert judged(mixed, PROMETHEUS) == ["up"]
    assert judged(mixed, {"type": "loki", "uid": "x"}) == ["data source loki"]


def test_named_sources() -> None:
    """With names or uids, only their queries are judged."""
    document = {"title": "D", "panels": [PANEL, {**PANEL, "datasource": {"type": "prometheus", "uid": "q"}}]}
    [dashboard] = read(document, ["q"])
    assert [query.path for query in dashboard.queries] == [("panels", 1, "targets", 0, "expr")]
    assert [str(each.reason) for each in dashboard.not_judged] == ["data source prometheus"]


def test_without_a_query() -> None:
    """An empty query, and a library panel that is elsewhere, are not judged."""
    panels = [{"title": "A", "targets": [{"refId": "A"}, {"expr": ""}]}, {"title": "L", "libraryPanel": {"uid": "l"}}]
    [dashboard] = read({"title": "D", "panels": panels})
    reasons = [str(each.reason) for each in dashboard.not_judged]
    assert (dashboard.queries, reasons) == (
        [],
        ["no query is written"] * 2 + ["a library panel that is not in the file"],
    )


def test_variables_and_annotations() -> None:
    """Queries of variables and annotations are read, also those of the forms of schema v2."""
    alpha = {"kind": "prometheus", "spec": {"query": "label_values(up, job)"}}
    beta = {"kind": "DataQuery", "group": "prometheus", "spec": {"__legacyStringValue": "metrics(x)"}}
    documents = [
        {
            "title": "D",
            "panels": [],
            "templating": {"list": [
                {"name": "a", "type": "query", "datasource": PROMETHEUS, "query": "label_values(up, job)"},
                {"name": "b", "type": "query", "datasource": PROMETHEUS, "query": {"query": "metrics(x)"}},
                {"name": "c", "type": "query", "datasource": {"type": "loki"}, "query": "label_values(up, job)"},
            ]},
            "annotations": {"list": [
                {"builtIn": 1, "datasource": "-- Grafana --", "name": "Annotations & Alerts"},
                {"name": "X", "datasource": PROMETHEUS, "expr": "ALERTS"},
                {"name": "Y", "datasource": PROMETHEUS, "target": {"expr": "changes(up[5m])"}},
            ]},
        },
        {
            "title": "D",
            "elements": {},
            "variables": [
                {"kind": "QueryVariable", "spec": {"name": "a", "datasource": PROMETHEUS, "query": alpha}},
                {"kind": "QueryVariable", "spec": {"name": "b", "query": beta}},
                {"kind": "QueryVariable", "spec": {"name": "c", "query": {"kind": "loki", "spec": {"query": "x"}}}},
            ],
            "annotations": [
                {"kind": "AnnotationQuery", "spec": {"builtIn": True, "name": "Annotations & Alerts"}},
                {"kind": "AnnotationQuery", "spec": {
                    "name": "X", "query": {"kind": "prometheus", "spec": {"expr": "ALERTS"}}}},
                {"kind": "AnnotationQuery", "spec": {"name": "Y", "query": {
                    "kind": "DataQuery", "group": "prometheus", "spec": {"expr": "changes(up[5m])"}}}},
            ],
        },
    ]  # fmt: skip
    for document in documents:
        [dashboard] = read(document)
        texts = [(query.text, query.variable, query.annotation) for query in dashboard.queries]
        assert texts == [
            ("label_values(up, job)", "a", False),
            ("metrics(x)", "b", False),
            ("ALERTS", "", True),
            ("changes(up[5m])", "", True),
        ]
        assert [value_at(document, query.path) for query in dashboard.queries] == [text for text, _, _ in texts]
        assert [str(each.where) for each in dashboard.not_judged] == ['variable "c"']


@pytest.mark.parametrize(
    ("written", "choices"),
    [
        ({"type": "custom", "query": "a,b : B\\,C, d"}, [("a",), ("B,C",), ("d",)]),
        ({"type": "custom", "query": "a,b", "current": {"value": "b"}}, [("b",), ("a",)]),
        (
            {"type": "custom", "query": "a,b", "multi": True, "current": {"value": ["a", "b"]}},
            [("a", "b"), ("a",), ("b",)],
        ),
        ({"type": "custom", "query": "a,b", "includeAll": True, "current": {"value": "$__all"}}, [("a", "b")]),
        ({"type": "custom", "query": "a,b", "includeAll": True, "allValue": ".*"}, [(".*",)]),
        ({"type": "custom", "options": [{"value": "x"}, {"value": "$__all"}]}, [("x",)]),
        ({"type": "constant", "query": "x,y"}, [("x,y",)]),
        ({"type": "textbox", "query": "x", "current": {"value": "z"}}, [("z",), ("x",)]),
        ({"type": "interval", "query": "1m,5m", "current": {"value": "5m"}}, [("5m",), ("1m",)]),
        ({"type": "adhoc"}, [("",)]),
    ],
)
def test_choices(written: dict[str, Any], choices: list[tuple[str, ...]]) -> None:
    """A variable of a fixed list offers its options, the saved selection first."""
    [dashboard] = read({"title": "D", "panels": [], "templating": {"list": [{"name": "v", **written}]}})
    assert list(dashboard.variables["v"].choices) == choices


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ({"panels": {}}, "'panels' is not a list"),
        ({"panels": [7]}, "an entry of 'panels' is not an object"),
        ({"panels": [{"targets": "up"}]}, "'targets' is not a list"),
        ({"panels": [{"title": "P", "targets": [{"expr": 7}]}]}, "panel \"P\": 'expr' is not a text"),
        ({"panels": [], "templating": {"list": [{"type": "query"}]}}, "a variable has no name"),
        ({"panels": [], "title": ""}, "the dashboard has no title"),
        ({"panels": [], "uid": "a b"}, "'uid' is not valid"),
        ({"panels": [], "uid": "x" * 41}, "'uid' is not valid"),
        ({"elements": {"panel-1": 7}}, "the element panel-1 has no 'spec'"),
    ],
)
def test_what_grafana_does_not_take(model: dict[str, Any], problem: str) -> None:
    """Values of the wrong type are named."""
    [dashboard] = read({"title": "D", **model})
    assert [str(each.reason)[: len(problem)] for each in dashboard.problems] == [problem]


def test_repeated() -> None:
    """A panel of a repeated row shows one value of the row's variable, and one of its own."""
    row = {"type": "row", "repeat": "node", "panels": [{**PANEL, "repeat": "disk"}]}
    [dashboard] = read({"title": "D", "panels": [row]})
    assert dashboard.queries[0].repeated == {"node", "disk"}


@pytest.mark.parametrize("form", FORMS)
def test_survives_wrong_types(form: str) -> None:
    """No value of another type, wherever it stands, raises."""
    for wrong in (None, 7, "x", [], {}, [[]], [None], {"spec": 1}, True):
        for damaged in replaced(FORMS[form], wrong):
            read(damaged)


def replaced(value: Any, wrong: Any) -> Any:
    """Yield a document for each place in it that the wrong value replaces."""
    yield wrong
    if isinstance(value, dict):
        for key, entry in value.items():
            for inner in replaced(entry, wrong):
                yield {**value, key: inner}
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            for inner in replaced(entry, wrong):
                yield [*value[:index], inner, *value[index + 1 :]]
