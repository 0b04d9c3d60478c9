"""The time that a process spends on GitHub: one budget for all requests, of which a signal leaves little."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from gate.publish import branch_rules, comment, status
from gate.publish.session import catch_publish_errors
from gate.publish.settings import RetryPolicy
from gate.publish.time_budget import GRACE_SECONDS, TimeBudget
from tests.support import reports
from tests.support.github.fixtures import github, settings
from tests.support.github.server import TOKEN, Fault, GitHub

__all__ = ["github"]
CALM = RetryPolicy(timeout=30, initial_delay=0.05, write_interval=0)
LIMITED = {"status": 429, "message": "Too many", "times": 99}


def test_one_budget_for_all(github: GitHub) -> None:
    """What one purpose has spent is missing for the next: then GitHub is not asked any more, and that is said."""
    github.faults.append(Fault("POST", "statuses", silence=30, times=9))
    ours = settings(github, budget=TimeBudget(0.5))
    status.set_pending(ours)
    asked = len(github.requests)
    (notice,) = status.set_verdict(reports.go(), ours)
    assert notice.not_published is True
    assert len(github.requests) == asked
    assert "no time left for GitHub" in str(notice.message)


def test_pending_may_spend_a_part_of_it(github: GitHub) -> None:
    """A wait that the verdict would bear is too long for `pending`, and for the branch's rules."""
    github.faults += [
        Fault("POST", "statuses", headers={"Retry-After": "30"}, **LIMITED),
        Fault("GET", "rules", headers={"Retry-After": "8"}, **LIMITED),
    ]
    (notice,) = status.set_pending(settings(github, budget=TimeBudget(), retry_policy=CALM))
    assert "which is too long" in str(notice.message)
    assert "which is too long" in str(
        branch_rules.branch_rule_note(settings(github, budget=TimeBudget(), retry_policy=CALM))
    )
    assert len(github.requests) == 2


def test_a_github_that_was_given_up_is_not_asked_for_more(github: GitHub) -> None:
    """After a status that was given up neither rules nor comment are tried; after one that was set they are."""
    github.faults.append(Fault("POST", "statuses", headers={"Retry-After": "3600"}, **{**LIMITED, "times": 1}))
    ours = settings(github, budget=TimeBudget(), retry_policy=CALM)
    assert status.set_pending(ours)
    assert "did not respond before" in str(branch_rules.branch_rule_note(ours))
    assert "did not respond before" in str(comment.publish(reports.go(), ours)[0].message)
    assert len(github.requests) == 1
    assert status.set_verdict(reports.go(), ours) == []
    assert comment.publish(reports.go(), ours) == []
    assert len(github.comments) == 1


def test_a_hurry_drops_what_is_not_the_verdict(github: GitHub) -> None:
    """In the middle of a wait: `pending` is dropped at once, a comment is not begun, the verdict is told."""
    github.faults.append(Fault("POST", "statuses", silence=30))
    ours = settings(github, budget=TimeBudget(), retry_policy=CALM)

    def hurry() -> None:
        while not github.requests:
            time.sleep(0.01)
        ours.budget.shrink()

    threading.Thread(target=hurry).start()
    (notice,) = status.set_pending(ours)
    assert "no response within" in str(notice.message)
    assert comment.publish(reports.go(), ours) != []
    assert status.set_verdict(reports.go(), ours) == []
    assert ([one["state"] for one in github.statuses], len(github.requests)) == (["success"], 2)


def test_a_hurry_never_gives_time() -> None:
    """It leaves the seconds that a runner gives, and no more than there were."""
    long, short = TimeBudget(60), TimeBudget(1)
    for budget in (long, short):
        budget.shrink()
        budget.shrink()
    assert (long.allowance(None).remaining, short.allowance(None).remaining) == (GRACE_SECONDS, 1)
    assert long.allowance(1).remaining == 0


def test_the_library_is_loaded_before_the_first_request() -> None:
    """Never in a request's thread: one that is given up meanwhile would leave the next one half a library."""
    code = """
import sys
from gate.publish.github import GitHub
from gate.publish.settings import Settings
assert "github" not in sys.modules
GitHub(Settings())
assert "github" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("untold", "level"), [(True, "error"), (False, "warning")])
def test_a_publisher_that_breaks_is_a_notice(github: GitHub, untold: bool, level: str) -> None:
    """Whatever is raised, the verdict stands; what is said of it has no secret."""

    def breaks() -> None:
        raise AttributeError(f"no {TOKEN}")

    (notice,) = catch_publish_errors(settings(github), breaks, blocking=untold)
    assert (notice.level, notice.not_published) == (level, untold)
    assert str(notice.message) == "Could not publish to GitHub: AttributeError: no ***"
