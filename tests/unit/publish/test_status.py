"""The commit status, against a server that plays GitHub: what is set, on what, and what failing to set it means."""

from __future__ import annotations

import json
import time

import pytest

from gate.core.messages import msg
from gate.model import Report, Verdict, VerdictReason
from gate.publish import status
from gate.publish.settings import Notice, RetryPolicy
from gate.publish.time_budget import TimeBudget
from tests.support import reports
from tests.support.github.fixtures import enterprise, github, settings
from tests.support.github.server import HEAD, PAGES, READ_ONLY, REPOSITORY, Fault, GitHub, between

__all__ = ["enterprise", "github"]
POST = f"/repos/{REPOSITORY}/statuses/{HEAD}"


def texts(notices: list[Notice]) -> str:
    """Return all notices as one text."""
    return "\n".join(str(notice.message) for notice in notices)


def test_pending_then_the_verdict(github: GitHub) -> None:
    """The status is pending first, then what the verdict is, with a link to the run."""
    assert status.set_pending(settings(github)) + status.set_verdict(reports.go(), settings(github)) == []
    assert [one["state"] for one in github.statuses] == ["pending", "success"]
    assert github.latest()["target_url"] == f"https://github.com/{REPOSITORY}/actions/runs/5000/attempts/1"
    assert github.latest()["description"] == "GO: 4 of 4 passed"


@pytest.mark.parametrize(
    ("report", "state"),
    [
        (reports.go(), "success"),
        (reports.reserved(), "success"),
        (reports.all_down(), "failure"),
        (reports.go().replace(ended="cancelled"), "error"),
        (reports.go().replace(ended="broken"), "error"),
        (reports.all_down().replace(ended="deadline"), "failure"),
    ],
)
def test_states(report: Report, state: str) -> None:
    """A GO is success, a NO-GO failure, and what has no verdict of its own an error."""
    assert status.state(report) == state


def test_the_description_says_the_most_useful_thing() -> None:
    """It says the first reason, and how many more there are."""
    assert (
        status.description(reports.all_down("en")) == "NO-GO: api is not ready: connection refused (13 items); 4 more"
    )
    text = "NO-GO: api n'est pas prêt : connection refused (13 items); 4 de plus"
    assert status.description(reports.all_down("fr")) == text


def test_a_long_description_is_cut() -> None:
    """140 characters, and how many more reasons there are is never cut."""
    reasons = tuple(VerdictReason(message=msg("{text}", text="reason " * 50)) for _ in range(3))
    verdict = reports.all_down().verdict.replace(reasons=reasons)
    text = status.description(reports.all_down("en").replace(verdict=verdict))
    assert len(text) == 140
    assert text.endswith("…; 2 more")


@pytest.mark.parametrize("text", ["💥 boom 🚒", "a\nb\r\nc", "\x00\x1b[31m\u202e", reports.HOSTILE, "", "é" * 300])
def test_no_description_is_refused(github: GitHub, text: str) -> None:
    """Whatever stands in a reason, GitHub takes the description."""
    verdict = Verdict(decision="NO-GO", reasons=(VerdictReason(message=msg("{text}", text=text)),))
    report = reports.all_down().replace(verdict=verdict)
    assert status.set_verdict(report, settings(github)) == []
    assert "\n" not in github.latest()["description"]


def test_a_read_only_token_is_a_warning(github: GitHub) -> None:
    """A fork's token may not set a status: a warning names the lines of the workflow, and a GO stays one."""
    (notice,) = status.set_verdict(reports.go(), settings(github, token=READ_ONLY))
    assert notice.level == "warning"
    assert notice.not_published is False
    assert "statuses: write" in str(notice.message)
    assert "Resource not accessible by integration" in str(notice.message)


def test_no_token_is_a_warning(github: GitHub) -> None:
    """Without a token nothing is asked, and that is said."""
    (notice,) = status.set_verdict(reports.go(), settings(github, token=""))
    assert notice.level == "warning"
    assert notice.not_published is False
    assert github.requests == []


def test_a_wrong_token_is_told_to_nobody(github: GitHub) -> None:
    """Bad credentials are no fork: a GO that nobody was told of."""
    (notice,) = status.set_verdict(reports.go(), settings(github, token="ghp_wrong"))
    assert notice.level == "error"
    assert notice.not_published is True


def test_another_repository_is_not_found(github: GitHub) -> None:
    """404 is GitHub's word for no right, too."""
    (notice,) = status.set_verdict(reports.go(), settings(github, repository="veza/private"))
    assert notice.level == "warning"
    assert notice.not_published is False


def test_422_is_told_to_nobody(github: GitHub) -> None:
    """A commit that GitHub does not know: refused, said, and not tried again."""
    (notice,) = status.set_verdict(reports.go(), settings(github, commit="0" * 40))
    assert notice.not_published
    assert "No commit found" in str(notice.message)
    assert len(github.requests) == 1


@pytest.mark.parametrize("page", PAGES)
def test_a_yes_that_is_not_github_s_is_told_to_nobody(github: GitHub, page: bytes) -> None:
    """A proxy that answers 200 has set no status, whatever its page says; and nothing breaks of it."""
    github.faults = between(page)
    (notice,) = status.set_verdict(reports.go(), settings(github, budget=TimeBudget(0.5)))
    assert notice.level == "error"
    assert notice.not_published is True
    status.fix_stale_pending(settings(github, budget=TimeBudget(0.5)))


@pytest.mark.parametrize("code", [403, 404])
def test_a_no_that_is_not_github_s_is_no_want_of_rights(github: GitHub, code: int) -> None:
    """A proxy that forbids us the way to GitHub: a GO was told to nobody."""
    github.faults.append(Fault("POST", "statuses", status=code, page=b"<html>Forbidden by policy</html>", times=9))
    (notice,) = status.set_verdict(reports.go(), settings(github))
    assert notice.level == "error"
    assert notice.not_published is True


@pytest.mark.parametrize("name", ["state", "context", "description"])
def test_another_status_than_was_sent_is_told_to_nobody(github: GitHub, name: str) -> None:
    """The answer has to be the status that was sent."""
    sent = {"id": 1, "state": "success", "context": "prodgate", "description": "GO: 4 of 4 passed"}
    github.faults = between(json.dumps(sent).encode())
    assert status.set_verdict(reports.go(), settings(github)) == []
    github.faults = between(json.dumps({**sent, name: "other"}).encode())
    (notice,) = status.set_verdict(reports.go(), settings(github))
    assert notice.not_published


def test_no_commit_is_told_to_nobody(github: GitHub) -> None:
    """Where it is not known what is judged nothing is asked, and a GO was told to nobody."""
    (notice,) = status.set_verdict(reports.go(), settings(github, commit=""))
    assert notice.level == "error"
    assert notice.not_published is True
    assert github.requests == []


def test_1000_statuses_are_told_to_nobody(github: GitHub) -> None:
    """GitHub takes 1,000 statuses of a context on a commit, and no more."""
    assert status.set_pending(settings(github)) == []
    github.statuses *= 1000
    (notice,) = status.set_verdict(reports.go(), settings(github))
    assert notice.not_published
    assert "maximum number of statuses" in str(notice.message)


@pytest.mark.parametrize("fault", [{"status": 502}, {"status": 500}, {"reset": True}, {"silence": 30.0}])
def test_a_short_failure_is_outlasted(github: GitHub, fault: dict[str, object]) -> None:
    """A 5xx, a reset and a silence are tried again, and the status is set once."""
    github.faults.append(Fault("POST", "statuses", times=2 if "status" in fault else 1, **fault))
    policy = RetryPolicy(timeout=1.0 if "silence" in fault else 20.0, initial_delay=0.05, write_interval=0)
    assert status.set_verdict(reports.go(), settings(github, retry_policy=policy)) == []
    assert [one["state"] for one in github.statuses] == ["success"]


@pytest.mark.parametrize("fault", [{"status": 502}, {"reset": True}])
def test_a_lost_answer_is_not_done_twice(github: GitHub, fault: dict[str, object]) -> None:
    """Where the status was set and only the answer was lost, it is found and not set again."""
    github.faults.append(Fault("POST", "statuses", after=True, **fault))
    assert status.set_verdict(reports.go(), settings(github)) == []
    assert [one["state"] for one in github.statuses] == ["success"]
    assert len(github.writes()) == 1


def test_a_long_failure_is_given_up(github: GitHub) -> None:
    """A GitHub that stays down is given up within the budget, with its last word, and a GO was told to nobody."""
    github.faults.append(Fault("POST", "statuses", status=503, message="Unavailable"))
    github.faults.append(Fault("POST", "statuses", silence=30, times=1000))
    began = time.monotonic()
    (notice,) = status.set_verdict(reports.go(), settings(github, budget=TimeBudget(3.0)))
    assert notice.level == "error"
    assert notice.not_published is True
    assert "HTTP 503: Unavailable" in str(notice.message)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("code", [403, 429])
def test_retry_after_is_honoured(github: GitHub, code: int) -> None:
    """After a limit the next try comes no earlier than GitHub asks."""
    message = "You have exceeded a secondary rate limit"
    github.faults.append(Fault("POST", "statuses", status=code, headers={"Retry-After": "1"}, message=message))
    assert status.set_verdict(reports.go(), settings(github)) == []
    first, second = (request.at for request in github.writes())
    assert second - first >= 1.0


@pytest.mark.parametrize(
    "headers", [{"Retry-After": "3600"}, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "99999999999"}, {}]
)
def test_a_long_limit_is_not_waited_for(github: GitHub, headers: dict[str, str]) -> None:
    """A limit that ends after the budget is given up at once, and said; it is no want of rights."""
    message = "You have exceeded a secondary rate limit"
    github.faults.append(Fault("POST", "statuses", status=403, headers=headers, message=message, times=1000))
    (notice,) = status.set_verdict(reports.go(), settings(github))
    assert notice.level == "error"
    assert notice.not_published is True
    assert "which is too long" in str(notice.message)
    assert len(github.requests) == 1


def test_an_enterprise_server(enterprise: GitHub) -> None:
    """An address with a path before it, as GitHub Enterprise Server has it."""
    assert enterprise.url.endswith("/api/v3")
    assert status.set_verdict(reports.go(), settings(enterprise)) == []
    assert enterprise.latest()["state"] == "success"


def test_a_server_that_is_not_there(github: GitHub) -> None:
    """Nobody listens: given up within the budget, said without a traceback."""
    (notice,) = status.set_verdict(reports.go(), settings(github, api_url="http://127.0.0.1:9", budget=TimeBudget(0.5)))
    assert notice.not_published
    assert "refused" in str(notice.message)


@pytest.mark.parametrize("url", ["not a url", "api.github.com", "ftp://api.github.com", "http://[", "http://x:port"])
def test_an_address_that_is_none(github: GitHub, url: str) -> None:
    """What no address can be is said as such, and no second try can mend it."""
    ours = settings(github, api_url=url)
    (notice,) = status.set_verdict(reports.go(), ours)
    assert notice.not_published is True
    assert ours.budget.spent == 0.0
    assert f"'{url}' is not an http(s) URL" in str(notice.message)


def test_a_token_that_is_none(github: GitHub) -> None:
    """What can't be sent is not tried again: it is no failure of the network."""
    ours = settings(github, token="a\nb", budget=TimeBudget(0.5))
    (notice,) = status.set_verdict(reports.go(), ours)
    assert notice.not_published is True
    assert ours.budget.unresponsive is False
    assert github.requests == []
    assert "InvalidHeader" in str(notice.message)


def test_a_leftover_pending_becomes_an_error(github: GitHub) -> None:
    """The post step of a run that was killed turns its pending into an error."""
    status.set_pending(settings(github))
    status.fix_stale_pending(settings(github))
    assert github.latest()["state"] == "error"


@pytest.mark.parametrize(
    ("ended", "why"),
    [
        (status.end_state(reports.all_down()), "The verdict was NO-GO, but it could not be published"),
        (status.end_state(reports.go()), "The verdict was GO, but it could not be published"),
        (status.end_state(reports.go().replace(ended="cancelled")), "The run was cancelled"),
        (status.end_state(None), "No verdict: the gate could not run, or failed"),
        ("", "No verdict: the gate was killed"),
        ("success: trust me", "No verdict: the gate was killed"),
    ],
)
def test_a_leftover_pending_says_how_the_run_ended(github: GitHub, ended: str, why: str) -> None:
    """What the main step has kept is said, never believed: a leftover pending becomes an error and no success."""
    status.set_pending(settings(github))
    status.fix_stale_pending(settings(github), ended)
    assert (github.latest()["state"], github.latest()["description"]) == ("error", why)


@pytest.mark.parametrize("more", [{"run_url": "https://github.com/veza/x/actions/runs/5001/attempts/1"}, {}])
def test_only_our_own_pending_is_leftover(github: GitHub, more: dict[str, str]) -> None:
    """Another run's pending is at work, and a verdict is a verdict: both stay."""
    status.set_pending(settings(github, **more))
    if not more:
        status.set_verdict(reports.go(), settings(github))
    before = list(github.statuses)
    assert status.fix_stale_pending(settings(github)) == []
    assert github.statuses == before


def test_nothing_is_set_where_nothing_is_wished(github: GitHub) -> None:
    """Without the wish for a status GitHub is not asked."""
    off = settings(github, status=False)
    assert [*status.set_pending(off), *status.set_verdict(reports.go(), off), *status.fix_stale_pending(off)] == []
    assert github.requests == []


def test_the_context_is_ours(github: GitHub) -> None:
    """The status has the context that was given."""
    status.set_verdict(reports.go(), settings(github, context="gate/staging"))
    assert github.latest("gate/staging")["state"] == "success"


def test_texts_of_failures_have_no_token(github: GitHub) -> None:
    """An answer that repeats the token is masked."""
    github.faults.append(Fault("POST", "statuses", status=422, message=f"bad {settings(github).token}"))
    found = texts(status.set_verdict(reports.go(), settings(github)))
    assert settings(github).token not in found
    assert "***" in found
