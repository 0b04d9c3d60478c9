"""The sticky comment, against a server that plays GitHub: one a pull request and gate, and never an older one."""

from __future__ import annotations

from typing import Any

import pytest
from markdown_it import MarkdownIt

from gate.core.messages import msg
from gate.model import Report, Status
from gate.publish import comment, status
from gate.publish.time_budget import TimeBudget
from gate.render.comment import LIMIT, render
from tests.support import reports
from tests.support.github.fixtures import github, settings
from tests.support.github.server import (
    ACTIONS,
    HEAD,
    PAGES,
    PERSONAL,
    READ_ONLY,
    TOKEN,
    WRITES,
    Fault,
    GitHub,
    User,
    between,
)

__all__ = ["github"]
SOMEONE = User("mallory", bot=False)


def bodies(github: GitHub) -> list[str]:
    """Return the texts of all comments."""
    return [one["body"] for one in github.comments]


def report(**status: Status) -> Report:
    """Return a report with an item of this status for each name."""
    items = [
        reports.item(name, f"Item {name}", state, msg("GET / answered {code}", code=500))
        for name, state in status.items()
    ]
    return reports.report([reports.section("all", "All", *items)])


def test_one_comment_is_updated_in_place(github: GitHub) -> None:
    """The second run changes the comment of the first."""
    comment.publish(reports.all_down(), settings(github))
    comment.publish(reports.go(), settings(github, run=(5001, 1)))
    (body,) = bodies(github)
    assert "🟢 GO" in body


def test_it_is_found_on_any_page(github: GitHub) -> None:
    """250 comments of others before and after it: still one of ours."""
    for number in range(120):
        github.comment(f"first {number}", SOMEONE)
    comment.publish(reports.all_down(), settings(github))
    for number in range(130):
        github.comment(f"later {number}", SOMEONE)
    comment.publish(reports.go(), settings(github, run=(5001, 1)))
    assert len([body for body in bodies(github) if "<!-- prodgate" in body]) == 1


def test_a_copied_mark_is_not_ours(github: GitHub) -> None:
    """A person's comment with our mark, of a run far in the future, neither stops us nor is written to."""
    copied = comment.hidden_marker(reports.go(), settings(github, run=(10**15, 1)))
    github.comment(copied, SOMEONE)
    comment.publish(reports.go(), settings(github))
    assert bodies(github)[0] == copied
    assert len(github.comments) == 2


def test_a_mark_inside_a_comment_is_not_ours(github: GitHub) -> None:
    """A bot that quotes our mark has not made our comment."""
    quoted = "> " + comment.hidden_marker(reports.go(), settings(github, run=(10**15, 1)))
    github.comment(quoted, User("helper[bot]"))
    comment.publish(reports.go(), settings(github))
    assert bodies(github)[0] == quoted
    assert len(github.comments) == 2


def test_another_app_s_comment_is_not_ours(github: GitHub) -> None:
    """An app that copies our mark, of any run, neither stops us nor is written to."""
    marks = [comment.hidden_marker(reports.go(), settings(github, run=(run, 1))) for run in (4000, 10**15)]
    for mark in marks:
        github.comment(mark, User("helper[bot]"))
    assert comment.publish(reports.all_down(), settings(github)) == []
    assert bodies(github)[:2] == marks
    assert len(github.comments) == 3


@pytest.mark.parametrize("wished", [True, False])
def test_an_app_s_token(github: GitHub, wished: bool) -> None:
    """An app of one's own has one comment: known by who set the run's status; without one a new one takes its place."""
    github.tokens["ghs_app"] = (User("gate-app[bot]"), WRITES)
    for run in (5000, 5001):
        app = settings(github, token="ghs_app", status=wished, run=(run, 1))
        status.set_verdict(reports.go(), app)
        assert comment.publish(reports.go(), app) == []
    (made,) = github.comments
    assert made["user"]["login"] == "gate-app[bot]"
    assert " 5001.1 " in made["body"]


def test_two_gates_have_two_comments(github: GitHub) -> None:
    """Each context has its own."""
    for _ in range(2):
        comment.publish(reports.go(), settings(github, context="one"))
        comment.publish(reports.go(), settings(github, context="one--> two @x"))
    assert len(github.comments) == 2


def test_a_person_s_token(github: GitHub) -> None:
    """With a person's token our comment is that person's, not one that an app has made."""
    mine = settings(github, token=PERSONAL)
    github.comment(comment.hidden_marker(reports.go(), mine), ACTIONS)
    comment.publish(reports.all_down(), mine)
    comment.publish(reports.go(), mine)
    assert [one["user"]["login"] for one in github.comments] == [ACTIONS.login, "ada"]


@pytest.mark.parametrize("older", [(4999, 9), (5000, 1)])
def test_an_older_run_never_overwrites_a_newer(github: GitHub, older: tuple[int, int]) -> None:
    """A slower run that began before, or an earlier attempt of the same run, leaves the comment alone."""
    comment.publish(reports.go(), settings(github, run=(5000, 2)))
    before = bodies(github)
    (notice,) = comment.publish(reports.all_down(), settings(github, run=older))
    assert "newer run (5000.2)" in str(notice.message)
    assert bodies(github) == before


def test_an_older_run_never_overwrites_a_newer_that_had_nothing_to_say(github: GitHub) -> None:
    """In mode `changes` a newer run without a change leaves the text, and its number: a slower one stays away."""
    for run, one in ((1, reports.go()), (3, reports.go())):
        comment.publish(one, settings(github, comment="changes", run=(run, 1), run_url=f"https://github.com/r/{run}"))
    (shown,) = bodies(github)
    assert "https://github.com/r/1" in shown
    (notice,) = comment.publish(reports.all_down(), settings(github, comment="changes", run=(2, 1)))
    assert "newer run (3.1)" in str(notice.message)
    assert bodies(github) == [shown]


@pytest.mark.parametrize("head", [HEAD, "3" * 40])
def test_an_older_run_makes_no_comment_after_a_newer(github: GitHub, head: str) -> None:
    """In mode `problems` a newer run that was a GO has no comment: its status, on the newest commit, tells of it."""
    github.commits.add(head)
    github.head = head
    address = "https://github.com/veza/api/actions/runs/5001/attempts/1"
    newer = settings(github, comment="problems", run=(5001, 1), commit=head, run_url=address)
    assert [*status.set_verdict(reports.go(), newer), *comment.publish(reports.go(), newer)] == []
    (notice,) = comment.publish(reports.all_down(), settings(github, comment="problems"))
    assert "newer run (5001.1)" in str(notice.message)
    assert github.comments == []


def test_a_change_of_a_reason_is_a_change(github: GitHub) -> None:
    """In mode `changes` another answer is written, and another time that something took is not."""
    for number, text in enumerate(("answered 500 after 3 ms", "answered 500 after 1 min 2 s", "answered 404")):
        item = reports.item("a", "A", Status.FAIL, msg("GET / {text}", text=text))
        made = reports.report([reports.section("all", "All", item)])
        comment.publish(made, settings(github, comment="changes", run=(5000 + number, 1)))
        assert ("404" in bodies(github)[0], "3 ms" in bodies(github)[0]) == (number == 2, number != 2)


def test_two_at_once_leave_one(github: GitHub) -> None:
    """Where two runs made a comment at the same time, the newer one's stays."""
    github.comment(comment.comment_body(reports.go(), settings(github, run=(5002, 1)), None))
    github.comment(comment.comment_body(reports.go(), settings(github, run=(5001, 1)), None))
    comment.publish(reports.all_down(), settings(github))
    (body,) = bodies(github)
    assert " 5002.1 " in body


@pytest.mark.parametrize(
    ("mode", "first", "second", "made"),
    [
        ("always", reports.go(), reports.go(), [1, 2]),
        ("off", reports.all_down(), reports.all_down(), [0, 0]),
        ("changes", reports.go(), reports.go(), [1, 2]),
        ("changes", reports.go(), reports.all_down(), [1, 2]),
        ("problems", reports.go(), reports.go(), [0, 0]),
        ("problems", reports.go(), reports.all_down(), [0, 1]),
        ("problems", reports.all_down(), reports.go(), [1, 2]),
    ],
)
def test_modes(github: GitHub, mode: str, first: Report, second: Report, made: list[int]) -> None:
    """What each mode writes at the first and at the second run."""
    counts = []
    for number, one in enumerate((first, second)):
        comment.publish(one, settings(github, comment=mode, run=(5000 + number, 1)))
        counts.append(len(github.writes()))
    assert counts == made


def test_what_changed_since_the_last_run(github: GitHub) -> None:
    """Newly failing, fixed, newly skipped, new and removed items are named."""
    comment.publish(report(a=Status.PASS, b=Status.FAIL, c=Status.PASS, gone=Status.PASS), settings(github))
    later = report(a=Status.FAIL, b=Status.PASS, c=Status.SKIP, fresh=Status.PASS)
    comment.publish(later, settings(github, run=(5001, 1)))
    (body,) = bodies(github)
    lines = [line for line in body.split("### Since the last run")[1].split("|")[0].splitlines() if line]
    assert lines == [
        "- **Newly failing**: `a`",
        "- **Fixed**: `b`",
        "- **Newly skipped**: `c`",
        "- **New**: `fresh`",
        "- **Removed**: `gone`",
    ]


def test_it_fits_whatever_the_report(github: GitHub) -> None:
    """10,000 items and hostile texts: GitHub takes the comment, which says what is left out."""
    failing = [
        reports.item(f"many.{n}", f"Item {n} {reports.HOSTILE}", Status.FAIL, msg("{t}", t="é" * 2000))
        for n in range(2000)
    ]
    sections = [reports.section(f"s{n}", f"Part {n}", *failing[n * 20 : n * 20 + 20]) for n in range(100)]
    assert comment.publish(reports.report(sections), settings(github)) == []
    (body,) = bodies(github)
    assert len(body) <= LIMIT
    assert "Parts left out because of their size" in body


@pytest.mark.parametrize("code", ["en", "fr"])
def test_hostile_text_means_nothing(code: str) -> None:
    """No link, image, mention or table of ours is broken out of, and no HTML but our own comes out."""
    text = render(reports.hostile(code), code)
    tokens = [
        token
        for line in MarkdownIt("commonmark").enable("table").parse(text)
        for token in [line, *(line.children or [])]
    ]
    assert {token.type for token in tokens} & {"image", "link_open", "fence"} == set()
    html = {token.content for token in tokens if token.type == "html_inline"}
    assert html <= {"<br>"}
    assert "@everyone" not in text


def test_the_link_to_the_run_is_the_only_one() -> None:
    """The run's own address is a link; an address that is none is not."""
    assert "[the run](https://github.com/veza/x/actions/runs/1)" in render(
        reports.go(), "en", link="https://github.com/veza/x/actions/runs/1"
    )
    assert "[the run]" not in render(reports.go(), "en", link="javascript:alert(1)")


def test_a_read_only_token_is_a_warning(github: GitHub) -> None:
    """A fork's token may not comment: a warning, and no more."""
    (notice,) = comment.publish(reports.go(), settings(github, token=READ_ONLY))
    assert notice.level == "warning"
    assert notice.not_published is False
    assert "pull-requests: write" in str(notice.message)


def test_a_lost_answer_makes_no_second_comment(github: GitHub) -> None:
    """Where the comment was made and only the answer was lost, there is one."""
    github.faults.append(Fault("POST", "comments", status=502, after=True))
    assert comment.publish(reports.go(), settings(github)) == []
    assert len(github.comments) == 1


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 422}, {"reset": True}])
def test_failing_to_comment_is_a_warning(github: GitHub, fault: dict[str, Any]) -> None:
    """A comment that could not be made changes nothing: the verdict was told by the status."""
    github.faults.append(Fault("POST", "comments", times=1000, **fault))
    (notice,) = comment.publish(reports.go(), settings(github))
    assert notice.level == "warning"
    assert notice.not_published is False


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("path", ["", "/user", "comments", "comments/"])
def test_an_answer_that_is_not_github_s(github: GitHub, page: bytes, path: str) -> None:
    """A proxy's page is a warning at most, and breaks nothing."""
    comment.publish(reports.all_down(), settings(github))
    github.faults = between(page, path)
    notices = comment.publish(reports.go(), settings(github, run=(5001, 1), budget=TimeBudget(0.5)))
    assert [(notice.level, notice.not_published) for notice in notices] in ([], [("warning", False)])


def test_nowhere_to_comment(github: GitHub) -> None:
    """Without a pull request nothing is asked."""
    assert comment.publish(reports.go(), settings(github, pull=None)) == []
    assert github.requests == []


def test_no_comment_has_the_token(github: GitHub) -> None:
    """The token does not stand in a comment, wherever it stands in the report."""
    item = reports.item("a", f"Title {TOKEN}", Status.FAIL, msg("{text}", text=f"it said {TOKEN}"))
    comment.publish(reports.report([reports.section("s", TOKEN, item)]), settings(github))
    (body,) = bodies(github)
    assert TOKEN not in body


def test_a_run_without_a_verdict_replaces_the_verdict_before_it(github: GitHub) -> None:
    """No GO of an earlier run stays; the next run still is compared with the last verdict."""
    comment.publish(report(db=Status.PASS), settings(github))
    assert comment.publish_no_verdict(settings(github, run=(5001, 1)), f"<b>{TOKEN}") == []
    (body,) = bodies(github)
    assert "GO" not in body.partition("\n")[2]
    assert f"No verdict for `{HEAD}`" in body
    assert TOKEN not in body
    comment.publish(report(db=Status.FAIL), settings(github, run=(5002, 1)))
    assert "Since the last run" in bodies(github)[0]


@pytest.mark.parametrize("run", [(5000, 1), (4000, 1)], ids=["the same run", "an older run"])
def test_a_verdict_of_this_or_a_newer_run_stays(github: GitHub, run: tuple[int, int]) -> None:
    """The post step replaces only what an earlier run wrote."""
    comment.publish(reports.go(), settings(github))
    before = bodies(github)
    comment.publish_no_verdict(settings(github, run=run), "killed")
    assert bodies(github) == before


def test_a_run_without_a_verdict_makes_no_comment(github: GitHub) -> None:
    """Nothing is written where no verdict stands."""
    assert comment.publish_no_verdict(settings(github), "killed") == []
    assert bodies(github) == []


def test_a_locked_conversation_is_no_missing_permission(github: GitHub) -> None:
    """Say that the conversation is locked, and how to go on."""
    github.locked = True
    (notice,) = comment.publish(reports.go(), settings(github))
    assert "the conversation of pull request 7 is locked" in str(notice.message)
    assert "permission" not in str(notice.message)


def test_only_what_is_new_is_scanned(github: GitHub) -> None:
    """Of 1,200 comments a run reads those up to its own, and those since its own was written."""
    comment.publish(reports.all_down(), settings(github))
    for number in range(1200):
        github.comment(f"later {number}", SOMEONE)
    comment.publish(reports.all_down(), settings(github, run=(5001, 1), budget=TimeBudget(60.0)))
    before = len(github.requests)
    comment.publish(reports.go(), settings(github, run=(5002, 1), budget=TimeBudget(60.0)))
    lists = [request for request in github.requests[before:] if request.path.endswith("/comments")]
    assert len([request for request in lists if request.method == "GET"]) <= 2
    assert "🟢 GO" in bodies(github)[0]


def test_a_renamed_repository(github: GitHub) -> None:
    """GitHub redirects every request: the status is set, and the comment of page 3 is found and updated."""
    for number in range(70):
        github.comment(f"first {number}", SOMEONE)
    comment.publish(reports.all_down(), settings(github))
    github.renamed = True
    run = settings(github, run=(5001, 1))
    assert status.set_verdict(reports.go(), run) == []
    assert comment.publish(reports.go(), run) == []
    assert github.latest()["state"] == "success"
    assert [body for body in bodies(github) if "<!-- prodgate" in body and "🟢 GO" in body] == bodies(github)[70:]


def test_a_redirect_to_another_server_gets_no_token(github: GitHub) -> None:
    """The token is sent to the API's own address only."""
    elsewhere = "https://elsewhere.example/repositories/1/statuses/x"
    github.faults.append(Fault("POST", "statuses", status=307, headers={"Location": elsewhere}))
    (notice,) = status.set_verdict(reports.go(), settings(github))
    assert "redirected to another server" in str(notice.message)
    assert notice.not_published
