"""Which targets are dependencies, and what drills break."""

from __future__ import annotations

from typing import Any

import pytest

from gate.checklist.drilled_targets import dependency_targets, drilled_faults
from gate.checklist.models import Checklist
from gate.checks.context import DrilledFault
from gate.decode.structs import decode_all_errors
from gate.run.plan import plan

API = {"url": "http://api", "start": {"command": "api"}}
DATABASE = {"container": "postgres", "port": 5432}
ASKED = {"http": {"target": "api", "path": "/readyz", "status": 200}}
QUERIED = {"promql": {"target": "prometheus", "query": "up", "value": 1}}


def checklist(targets: dict[str, Any], *checks: dict[str, Any]) -> Checklist:
    """Return a checklist with these targets and an item for each check."""
    items = [{"id": f"item{number}", "title": "An item", **entry} for number, entry in enumerate(checks)]
    sections = [{"id": "all", "title": "All", "items": items}]
    return decode_all_errors({"version": 1, "service": "api", "targets": targets, "sections": sections}, Checklist)


def drill(judged: str = "api", **breaks: Any) -> dict[str, Any]:
    """Return a drill that judges one target while it breaks another."""
    asked = {"http": {"target": judged, "path": "/readyz", "status": 200}}
    return {"drill": {"steady": [asked], "throughout": [asked], **breaks}}


DERIVED: dict[str, tuple[dict[str, Any], list[dict[str, Any]], tuple[str, ...]]] = {
    "after": ({"api": {**API, "after": ["database"]}, "database": {"url": "http://db"}}, [ASKED], ("database",)),
    "address": (
        {"database": {"url": "http://db"}, "api": {**API, "start": {"command": "api {database.address}"}}},
        [ASKED],
        ("database",),
    ),
    "through a migration": (
        {
            "database": {"url": "http://db"},
            "migration": {"start": {"command": "migrate"}, "once": True, "after": ["database"]},
            "api": {**API, "after": ["migration"]},
        },
        [ASKED],
        ("database",),
    ),
    "only a test that ends comes after it": (
        {"api": API, "smoke": {"start": {"command": "test"}, "once": True, "after": ["api"]}},
        [ASKED],
        (),
    ),
    "behind a balancer": (
        {"balancer": {**API, "after": ["api"]}, "api": {**API, "after": ["database"]}, "database": DATABASE},
        [ASKED],
        ("api", "database"),
    ),
    "drilled": (
        {"api": {"url": "http://api"}, "cache": {"container": "c"}},
        [drill(fault={"stop": "cache"})],
        ("cache",),
    ),
    "drilled by a script": (
        {"api": {"url": "http://api"}, "cache": API},
        [
            drill(script={"command": "break", "touches": ["cache"]}),
            {"http": {"target": "cache", "path": "/", "status": 200}},
        ],
        ("cache",),
    ),
    "a restart of the service itself": ({"api": API}, [drill(fault={"restart": "api"})], ()),
    "a restart while a database accepts connections": (
        {"api": API, "database": {"url": "http://db"}},
        [
            {
                "drill": {
                    "steady": [ASKED, {"tcp": {"target": "database"}}],
                    "fault": {"restart": "api"},
                    "throughout": [ASKED],
                }
            }
        ],
        (),
    ),
    "a container that nothing explains": ({"api": API, "redis": DATABASE}, [ASKED], ("redis",)),
    "a container of which only the port is asked": (
        {"api": API, "redis": DATABASE},
        [ASKED, {"tcp": {"target": "redis"}}],
        ("redis",),
    ),
    "a container that is under test": ({"api": {"container": "api", "url": "http://api"}}, [ASKED], ()),
    "Prometheus": (
        {"api": API, "prometheus": {"container": "p", "url": "http://p", "after": ["api"]}},
        [ASKED, QUERIED],
        (),
    ),
    "Prometheus for Grafana": (
        {
            "api": API,
            "prometheus": {"container": "p", "url": "http://p"},
            "grafana": {"url": "http://g", "after": ["prometheus"]},
        },
        [ASKED, QUERIED],
        (),
    ),
    "an Alertmanager with pages": (
        {"api": API, "alertmanager": {"container": "a", "pages": {"config": "a.yml", "to": "/a.yml"}}},
        [ASKED],
        (),
    ),
    "covered is not asked": (
        {"api": API, "redis": DATABASE},
        [ASKED, {"coverage": {"dependencies": "100%", "targets": ["redis"]}}],
        ("redis",),
    ),
}


@pytest.mark.parametrize("name", DERIVED)
def test_dependencies(name: str) -> None:
    """What something under test needs, and what a drill breaks to judge another target, is a dependency."""
    targets, checks, expected = DERIVED[name]
    assert dependency_targets(checklist(targets, *checks)) == expected


def test_what_drills_break() -> None:
    """The fault and its target, and each target that a script touches; a command of the user names none."""
    user_fault = {"run": {"command": "break", "undo": "mend", "proof": "test"}}
    loaded = checklist(
        {"api": API, "database": DATABASE, "cache": API},
        drill(fault={"slow": {"target": "database", "latency": "2s"}}),
        drill(script={"command": "break", "touches": ["database", "cache"]}),
        drill(fault=user_fault),
        ASKED,
    )
    assert drilled_faults(loaded.items) == (
        DrilledFault("item0", "slow", "database"),
        DrilledFault("item1", "", "database"),
        DrilledFault("item1", "", "cache"),
    )


def test_plan_says_which_drills_are_missing() -> None:
    """The plan has a line for a `coverage` that no run could pass, and none for one that a run may."""
    targets: dict[str, Any] = {"api": {**API, "after": ["database"]}, "database": DATABASE}
    loaded = checklist(
        targets,
        drill(fault={"stop": "database"}),
        {"coverage": {"dependencies": "100%", "faults": ["stop"]}},
        {"coverage": {"dependencies": "100%", "faults": ["stop", "slow"]}},
    )
    last = plan(loaded, list(loaded.items), 1).steps[-1]
    assert [str(line) for line in last.lines] == [
        "item2: database: no drill with slow; 0 of 1 dependency is covered by drills with stop, slow, expected 100 %"
    ]
    alone = plan(loaded, list(loaded.items)[1:2], 1).steps[-1]
    assert [str(line) for line in alone.lines] == [
        "item1: database: no drill with stop; 0 of 1 dependency is covered by drills with stop, expected 100 %"
    ]
