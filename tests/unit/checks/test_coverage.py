"""The check `coverage`."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from msgspec import structs

from gate.checks.context import DrilledFault
from gate.checks.coverage import FaultName, Observation
from gate.core.messages import msg
from gate.decode.structs import ValidationError
from gate.model import ItemResult, Outcome, Severity, Status
from gate.staging.faults import FAULTS
from gate.staging.faults.base import TargetFault
from tests.support.checks import check, context

STOP = DrilledFault("db.stop", "stop", "database")
SLOW = DrilledFault("db.slow", "slow", "database")
SCRIPT = DrilledFault("cache.script", "", "cache")
BOTH = ("database", "cache")
NONE_OF_TWO = "0 of 2 dependencies are covered by drills with stop"
JUDGED = [
    # nothing to cover is not a pass
    ({}, Observation((), ((STOP, Status.PASS),)), Status.FAIL, "No target is a dependency: there is nothing to cover"),
    # any drill will do, also a script
    (
        {},
        Observation(BOTH, ((STOP, Status.PASS), (SCRIPT, Status.PASS))),
        Status.PASS,
        "2 of 2 dependencies are covered by a drill",
    ),
    # a script is no fault
    (
        {"faults": ["stop"]},
        Observation(("cache",), ((SCRIPT, Status.PASS),)),
        Status.FAIL,
        "cache: no drill with stop; 0 of 1 dependency is covered by drills with stop, expected 100 %",
    ),
    # each target with each fault that is missing
    (
        {"faults": ["stop", "slow"]},
        Observation(BOTH, ((STOP, Status.PASS),)),
        Status.FAIL,
        "database: no drill with slow; cache: no drill with stop; no drill with slow; "
        "0 of 2 dependencies are covered by drills with stop, slow, expected 100 %",
    ),
    (
        {"faults": ["stop", "slow"]},
        Observation(("database",), ((STOP, Status.PASS), (SLOW, Status.PASS))),
        Status.PASS,
        "1 of 1 dependency is covered by drills with stop, slow",
    ),
    # the drill of another target is none
    (
        {},
        Observation(("cache",), ((STOP, Status.PASS),)),
        Status.FAIL,
        "cache: no drill; 0 of 1 dependency is covered by a drill, expected 100 %",
    ),
    # a share that is reached exactly, and one that is not
    (
        {"dependencies": "50%"},
        Observation(BOTH, ((STOP, Status.PASS),)),
        Status.PASS,
        "1 of 2 dependencies are covered by a drill",
    ),
    (
        {"dependencies": "51%"},
        Observation(BOTH, ((STOP, Status.PASS),)),
        Status.FAIL,
        "cache: no drill; 1 of 2 dependencies are covered by a drill, expected 51 %",
    ),
]


@pytest.mark.parametrize(("fields", "observation", "status", "message"), JUDGED)
def test_judgement(fields: dict[str, Any], observation: Observation, status: Status, message: str) -> None:
    """The share of dependencies with all drills decides, and each drill that is missing is named."""
    judged = check("coverage", **{"dependencies": "100%", **fields}).judge(observation)
    assert (judged.status, str(judged.message)) == (status, message)


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (Status.FAIL, "db.stop did not pass"),
        (Status.ERROR, "db.stop did not pass"),
        (Status.SKIP, "db.stop was skipped"),
        (Status.WAIVED, "db.stop did not pass, and is waived"),
        (None, "db.stop was not run"),
    ],
)
def test_a_drill_that_did_not_pass_covers_nothing(status: Status | None, why: str) -> None:
    """Only a drill that passed has shown anything; the row says what became of any other."""
    judged = check("coverage", dependencies="100%").judge(Observation(("database",), ((STOP, status),)))
    assert judged.status is Status.FAIL
    assert [(str(row.title), row.status, str(row.message)) for row in judged.rows] == [
        ("database", Status.FAIL, f"no drill passed: {why}")
    ]


def test_one_drill_that_passed_is_enough() -> None:
    """A second drill of the same fault that failed takes nothing away from the first."""
    again = structs.replace(STOP, item="db.again")
    drills = ((again, Status.FAIL), (STOP, Status.PASS))
    judged = check("coverage", dependencies="100%", faults=["stop"]).judge(Observation(("database",), drills))
    assert judged.status is Status.PASS
    assert [str(row.message) for row in judged.rows] == ["covered by db.stop"]


def test_a_row_that_the_share_allows() -> None:
    """In an item that passes, the row of a dependency without a drill is neither a pass nor a failure."""
    judged = check("coverage", dependencies="50%").judge(Observation(BOTH, ((STOP, Status.PASS),)))
    assert [(row.status, str(row.message)) for row in judged.rows] == [
        (Status.PASS, "covered by db.stop"),
        (Status.SKIP, "no drill (the demanded share allows it)"),
    ]


def result(item: str, status: Status) -> ItemResult:
    """Return the result of a drill."""
    outcome = Outcome(status=status, message=msg("done"))
    return ItemResult(id=item, title=item, severity=Severity.BLOCKING, check="drill", outcome=outcome)


def test_observation_reads_the_results_of_this_run() -> None:
    """The dependencies are the derived ones, or those that the item names; a drill without a result was not run."""
    here = structs.replace(
        context(),
        dependencies=("database",),
        drilled_faults=(STOP, SCRIPT),
        results={"db.stop": result("db.stop", Status.PASS)},
        rerun_command="prodgate run --only covered",
    )
    derived, named = check("coverage", dependencies="100%"), check("coverage", dependencies="100%", targets=["cache"])
    assert derived.observe(here) == Observation(("database",), ((STOP, Status.PASS), (SCRIPT, None)))
    assert named.observe(here).targets == ("cache",)
    assert (derived.describe(here), named.describe(here)) == ("database", "cache")
    assert derived.reproduce_command(here) == "prodgate run --only covered --only db.stop"
    assert named.reproduce_command(here) == "prodgate run --only covered --only cache.script"


def test_the_faults_are_those_of_targets() -> None:
    """Every fault that is done to a target can be demanded, and no other."""
    of_targets = [kind for kind in FAULTS.kinds() if issubclass(FAULTS.get_class(kind), TargetFault)]
    assert sorted(get_args(FaultName)) == of_targets


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"dependencies": "0%"},
        {"dependencies": "101%"},
        {"dependencies": "100%", "faults": ["halt"]},
        {"dependencies": "100%", "faults": ["run"]},
        {"dependencies": "100%", "faults": []},
        {"dependencies": "100%", "targets": []},
    ],
)
def test_what_can_demand_nothing_is_rejected(fields: dict[str, Any]) -> None:
    """A share of nothing, an unknown fault and empty lists are errors of the checklist."""
    with pytest.raises(ValidationError):
        check("coverage", **fields)
