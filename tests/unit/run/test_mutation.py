"""`prodgate prove`: which items can fail, and which can't."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gate.checklist.load import load
from gate.checklist.models import Checklist, Item
from gate.checks.base import Check, CheckResult, failed, passed
from gate.checks.context import CheckContext
from gate.core.messages import msg
from gate.core.override import override
from gate.matchers import Matcher
from gate.run.mutation import FalsifiabilityResult, check_falsifiability
from tests.support.web import Reply, serving

API = {"api": {"url": "http://127.0.0.1:1", "ready": {"path": "/"}}}
READY = {"http": {"target": "api", "path": "/readyz", "status": 200}}
TRUE = {"command": {"run": ["true"], "exit": 0}}


def proof(folder: Path, **item: Any) -> FalsifiabilityResult:
    """Return the result of `prodgate prove` for a checklist of one item."""
    section = {"id": "s", "title": "S", "items": [{"id": "a", "title": "A", **item}]}
    checklist = {"version": 1, "service": "shop", "targets": API, "sections": [section]}
    (folder / "prodgate.yml").write_text(json.dumps(checklist))
    loaded = load([str(folder / "prodgate.yml")]).checklist
    (found,) = check_falsifiability(loaded, loaded.items, 1)
    return found


def drill(**parts: Any) -> dict[str, Any]:
    """Return a drill with a script instead of a fault; the script must never run."""
    return {"drill": {"steady": [READY], "script": {"command": ["false"]}, **parts}}


@pytest.mark.parametrize(
    ("check", "how"),
    [
        (READY, "does not pass with nothing there"),
        (TRUE, "does not pass with the opposite of exit"),
        ({"file": {"path": "core.dump", "exists": False}}, "does not pass with the opposite of exists"),
        (
            {"command": {"shell": True, "run": 'test "$HOME" != /nonexistent', "exit": 0}},
            "does not pass with the opposite of exit",
        ),
    ],
)
def test_proven(tmp_path: Path, check: dict[str, Any], how: str) -> None:
    """An item can fail where it does not pass with nothing there, or with an expectation, and no option, inverted."""
    assert proof(tmp_path, **check).how == how
    assert proof(tmp_path, **check).proven is True


class Careless(Check[None]):
    """A check that does not look at one of its expectations."""

    kind = "careless"
    summary = "looks at one expectation of two"

    looked_at: Matcher = Matcher(1)
    ignored: Matcher = Matcher(2)

    @override
    def describe(self, context: CheckContext) -> str:
        return "1 and 2"

    @override
    def reproduce_command(self, context: CheckContext) -> str:
        return "echo 1 2"

    @override
    def observe(self, context: CheckContext) -> None:
        return None

    @override
    def judge(self, observation: None) -> CheckResult:
        return passed(msg("1")) if self.looked_at.matches(1) else failed(msg("not 1"))


def test_an_expectation_that_does_not_matter(tmp_path: Path) -> None:
    """An item that passes with the opposite of one of its expectations, too, is not proven."""
    fields = {"id": "a", "title": "A", "within": None, "timeout": None}
    item = Item(check=Careless(), **fields)
    checklist = Checklist(version=1, service="s", targets={}, sections=[])
    (found,) = check_falsifiability(checklist, [item], 1)
    assert found.proven is False
    assert found.how == "passes with every target refusing, also with the opposite of ignored"


@pytest.mark.parametrize(
    ("command", "paths"),
    [
        ({"run": ["echo", "ab"], "exit": 0, "stdout": {"contains": "a", "not": {"contains": "c"}}},
         ["exit", "stdout.contains", "stdout.not"]),
        ({"run": ["true"], "exit": [0, 1], "stdout": "", "stderr": ""}, ["exit", "stdout", "stderr"]),
    ],
)  # fmt: skip
def test_every_single_expectation_is_inverted(tmp_path: Path, command: dict[str, Any], paths: list[str]) -> None:
    """Each expectation is tried by itself, each operator of a matcher, too."""
    found = proof(tmp_path, command=command)
    assert found.proven is True
    assert found.how == f"does not pass with the opposite of {', '.join(paths)}"


def test_expectations_of_a_real_answer(tmp_path: Path) -> None:
    """Headers, fields of JSON and what is below a mapping are expectations of their own."""
    reply = Reply(200, '{"a": {"b": 1, "c": [1, 2]}}', headers={"X-A": "1", "X-B": "2"})
    with serving({"/": reply}) as web:
        wish = {"status": 200, "header": {"X-A": 1, "X-B": 2}, "json": {"a": {"b": 1, "c": {"contains": 2}}}}
        found = proof(tmp_path, http={"url": web.url, **wish})
    paths = "status, header.X-A, header.X-B, json.a.b, json.a.c"
    assert found.proven is True
    assert found.how == f"does not pass with the opposite of {paths}"


def test_a_time_limit_shows_nothing(tmp_path: Path) -> None:
    """A trial that was ended is no proof."""
    found = proof(tmp_path, timeout="300ms", command={"run": ["sleep", "30"], "exit": 0})
    assert found.proven is False
    assert found.how == "did not end within 0.3 s, which shows nothing"


def test_a_drill_whose_criteria_can_fail(tmp_path: Path) -> None:
    """A drill is proven by its criteria."""
    found = proof(tmp_path, **drill(observe=[{"within": "9s", **READY}], recover=[READY], throughout=[TRUE]))
    assert found.proven is True
    assert found.how == "each of its criteria can fail, 4 in all"


def test_a_drill_whose_observation_passes_with_nothing_there(tmp_path: Path) -> None:
    """What would be seen without the fault is no observation, although its opposite would not be seen."""
    found = proof(tmp_path, **drill(observe=[{"within": "9s", **TRUE}]))
    how = "observe, criterion 1 (command): passes with nothing there, and so without the fault"
    assert found.proven is False
    assert found.how == how


def test_a_drill_with_one_criterion_that_cannot_fail(tmp_path: Path) -> None:
    """One criterion that can't fail is enough to leave a drill unproven."""
    endless = {"timeout": "300ms", "command": {"run": ["sleep", "30"]}}
    found = proof(tmp_path, **drill(observe=[{"within": "9s", **READY}], recover=[READY, endless]))
    assert found.proven is False
    assert found.how.startswith("recover, criterion 2 (command): did not end")
