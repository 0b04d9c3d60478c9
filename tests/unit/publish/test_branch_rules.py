"""Whether the branch requires the gate's status: rulesets and classic protection, and where nobody may say."""

from __future__ import annotations

from typing import Any

import pytest

from gate.publish.branch_rules import branch_rule_note
from gate.publish.time_budget import TimeBudget
from tests.support.github.fixtures import github, settings
from tests.support.github.server import PAGES, Fault, GitHub, between

__all__ = ["github"]


def rule(*contexts: str) -> dict[str, Any]:
    """Return a rule of a ruleset that requires statuses."""
    checks = [{"context": context} for context in contexts]
    return {
        "type": "required_status_checks",
        "ruleset_source_type": "Repository",
        "ruleset_source": "veza/veza-backend-api",
        "ruleset_id": 1,
        "parameters": {"required_status_checks": checks, "strict_required_status_checks_policy": False},
    }


def test_not_required(github: GitHub) -> None:
    """Neither a ruleset nor classic protection requires it: a NO-GO does not stop a merge."""
    github.rules["main"] = [rule("lint", "prodgate-2")]
    assert str(branch_rule_note(settings(github))) == (
        "The status `prodgate` is not required on `main`: a NO-GO does not stop a merge"
    )


def test_required_by_a_ruleset(github: GitHub) -> None:
    """A ruleset requires it, in whatever case it is written, on whatever page it stands."""
    github.rules["main"] = [rule("lint")] * 150 + [rule("PRODGATE")]
    assert branch_rule_note(settings(github)) is None


def test_required_by_classic_protection(github: GitHub) -> None:
    """The branch's protection requires it."""
    github.protected["main"] = ["lint", "prodgate"]
    assert branch_rule_note(settings(github)) is None


def test_a_branch_with_a_slash(github: GitHub) -> None:
    """A branch's name is one part of the address."""
    github.protected["release/2"] = ["prodgate"]
    assert branch_rule_note(settings(github, branch="release/2")) is None


@pytest.mark.parametrize("status", [403, 404, 500])
def test_it_cannot_be_asked(github: GitHub, status: int) -> None:
    """Where GitHub does not say, that is what the report says."""
    github.faults.append(Fault("GET", "rules", status=status, message="No", times=1000))
    assert "Could not check whether" in str(branch_rule_note(settings(github)))


@pytest.mark.parametrize("page", [*PAGES, b'[{"type": 1}]', b'{"protected": 1}'])
def test_an_answer_that_is_not_github_s(github: GitHub, page: bytes) -> None:
    """A proxy's page says nothing of the rules."""
    github.faults = between(page)
    assert "Could not check whether" in str(branch_rule_note(settings(github, budget=TimeBudget(0.5))))


@pytest.mark.parametrize("more", [{"status": False}, {"branch": ""}, {"token": ""}])
def test_nothing_is_asked(github: GitHub, more: dict[str, Any]) -> None:
    """Where no status is wished, or no branch is known, nothing is asked."""
    assert branch_rule_note(settings(github, **more)) is None
    assert github.requests == []
