"""Faults as a checklist writes them: what means nothing, or does not suit its target, is an error before the run."""

from __future__ import annotations

from typing import Any

import pytest

from gate.decode.structs import ValidationError, decode_all_errors
from gate.drills.check import Drill
from gate.drills.spec import FaultSpec
from gate.staging.faults.base import TargetFault
from gate.staging.spec import Target

CONTAINER: dict[str, Any] = {"container": "db", "port": 1}
PROCESS: dict[str, Any] = {"start": {"command": "run"}, "port": 1}


def fault(**kind: Any) -> Any:
    """Return a fault as a checklist has it."""
    return decode_all_errors(kind, FaultSpec).fault


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ({"slow": {"target": "db", "latency": ["1s"]}}, "at least two latencies"),
        ({"slow": {"target": "db", "latency": ["2s", "1s"]}}, "ascending"),
        ({"slow": {"target": "db", "latency": ["0s", "1s"]}}, "more than 0s"),
        ({"slow": {"target": "db", "latency": "0s"}}, "at least one of 'latency'"),
        ({"slow": {"target": "db", "latency": "1s", "withstand": "1s"}}, "one of several latencies"),
        ({"slow": {"target": "db", "latency": ["1s", "2s"], "withstand": "3s"}}, "one of several latencies"),
        ({"slow": {"target": "db", "latency": ["1s", "2s"], "cut": "2s"}}, "expected 'cut' above 'latency'"),
        ({"starve": "db"}, "cpu"),
        ({"starve": {"target": "db", "cpu": 10}}, "expected a share"),
        ({"starve": {"target": "db", "cpu": "0.5%"}}, "at least 1%"),
        ({"deploy": "db"}, "expected an 'image', a 'build' or a 'command'"),
        ({"deploy": {"target": "db", "image": "a", "build": "b"}}, "got both"),
        ({"restart": {"target": "db", "within": "0s"}}, "more than 0s"),
    ],
    ids=str,
)
def test_fault_that_means_nothing_is_an_error(kind: dict[str, Any], why: str) -> None:
    """A fault without effect, or that contradicts itself, is an error of the checklist."""
    with pytest.raises(ValidationError) as error:
        fault(**kind)
    assert why in "; ".join(f"{issue.path} {issue.text}" for issue in error.value.issues)


@pytest.mark.parametrize(
    ("kind", "target", "why"),
    [
        ({"starve": {"target": "db", "cpu": "10%"}}, CONTAINER, None),
        ({"starve": {"target": "db", "cpu": "10%"}}, PROCESS, "'starve' does not support processes"),
        ({"restart": "db"}, PROCESS, None),
        ({"restart": "db"}, {"url": "http://db"}, "faults support nothing else"),
        ({"deploy": {"target": "db", "image": "a"}}, CONTAINER, None),
        ({"deploy": {"target": "db", "command": "a"}}, CONTAINER, "expected an 'image' or a 'build'"),
        ({"deploy": {"target": "db", "image": "a"}}, PROCESS, "expected a 'command'"),
        ({"deploy": {"target": "db", "image": "a", "command": "b"}}, PROCESS, "expected no 'image'"),
        ({"slow": {"target": "db", "latency": ["1s", "2s"]}}, PROCESS, "expected a target with a 'listen'"),
    ],
    ids=str,
)
def test_target_that_a_fault_does_not_support(kind: dict[str, Any], target: dict[str, Any], why: str | None) -> None:
    """Whether a fault can be injected into a target is known before the run."""
    made = fault(**kind)
    assert isinstance(made, TargetFault)
    reason = made.unsupported_reason(decode_all_errors(target, Target))
    assert (reason is None) if why is None else why in str(reason)


@pytest.mark.parametrize(
    ("more", "valid"),
    [
        ({}, False),
        ({"observe": [{"within": "1s", "tcp": {"target": "db"}}]}, True),
        ({"throughout": [{"tcp": {"target": "db"}}]}, True),
        ({"traffic": {"target": "db"}}, False),
        ({"traffic": {"target": "db", "before": {"errors": 0}}}, False),
        ({"traffic": {"target": "db", "errors": 0}}, True),
    ],
    ids=str,
)
def test_drill_that_expects_nothing_is_an_error(more: dict[str, Any], valid: bool) -> None:
    """A fault during which nothing is expected could never fail."""
    drill = {"steady": [{"tcp": {"target": "db"}}], "fault": {"restart": "db"}, **more}
    if valid:
        assert decode_all_errors(drill, Drill).effects()
        return
    with pytest.raises(ValidationError, match="expected at least one criterion"):
        decode_all_errors(drill, Drill)
