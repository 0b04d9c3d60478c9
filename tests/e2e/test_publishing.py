"""The program on a runner, with a GitHub of ours: what people are told of a run, whatever becomes of it."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from gate.publish.workflow_commands import PER_TYPE
from tests.support.github.checkout import GO, NO_GO, WAITS, Runner, states, until
from tests.support.github.fixtures import enterprise, github
from tests.support.github.server import HEAD, READ_ONLY, REPOSITORY, Fault, GitHub, between
from tests.support.runner import files
from tests.support.runner.log import commands

__all__ = ["enterprise", "github"]


def test_a_go_is_told(tmp_path: Path, github: GitHub) -> None:
    """Pending, then success, on the head of the pull request, and a comment; the report says what is not required."""
    runner = Runner(tmp_path, github, GO)
    code, text = runner.run()
    assert (code, states(github)) == (0, ["pending", "success"]), text
    assert {status["sha"] for status in github.statuses} == {HEAD}
    (comment,) = github.comments
    assert "## 🟢 GO - shop" in comment["body"]
    assert "is not required on" in json.dumps(runner.report["notes"])
    assert "is not required on `main`" in comment["body"]


def test_a_no_go_is_told(tmp_path: Path, github: GitHub) -> None:
    """The status says what failed."""
    assert Runner(tmp_path, github, GO, NO_GO).run()[0] == 1
    assert states(github) == ["pending", "failure"]
    assert github.latest()["description"].startswith("NO-GO: Database drill: ")


def test_pending_comes_before_anything_else(tmp_path: Path, github: GitHub) -> None:
    """The first request of all sets the status, also where the checklist turns out to be wrong; then it is an error."""
    runner = Runner(tmp_path, github)
    assert runner.run()[0] == 2
    assert states(github) == ["pending", "error"]
    assert github.requests[0].path == f"/repos/{REPOSITORY}/statuses/{HEAD}"
    assert "The checklist is not valid" in github.latest()["description"]


@pytest.mark.parametrize(
    ("items", "code", "faults"),
    [
        ([GO], 3, [Fault("POST", "statuses", status=422, message="No", times=99)]),
        ([NO_GO], 1, [Fault("POST", "statuses", status=422, message="No", times=99)]),
        ([GO], 0, [Fault("POST", "statuses", status=403, message="Resource not accessible by integration", times=99)]),
        ([NO_GO], 1, [Fault("POST", "statuses", status=404, message="Not Found", times=99)]),
        ([GO], 0, [Fault("POST", "comments", status=422, message="No", times=99)]),
        ([GO], 0, [Fault("POST", "statuses", status=422, message="No", times=1)]),
    ],
    ids=["go-untold", "no-go-untold", "go-no-rights", "no-go-no-rights", "go-no-comment", "go-no-pending"],
)
def test_failing_to_tell(
    tmp_path: Path, github: GitHub, items: list[dict[str, Any]], code: int, faults: list[Fault]
) -> None:
    """No failure turns a NO-GO into anything else, or into a GO; a GO that nobody was told of exits with 3."""
    github.faults = faults
    runner = Runner(tmp_path, github, *items)
    found, text = runner.run()
    assert found == code, text
    assert runner.report["verdict"]["decision"] == ("GO" if items == [GO] else "NO-GO")
    assert "Traceback" not in text


@pytest.mark.parametrize("page", [b"<html>Please log in</html>", b"[]", b"{}"])
@pytest.mark.parametrize(("item", "code"), [(GO, 3), (NO_GO, 1)])
def test_something_else_than_github_answers(
    tmp_path: Path, github: GitHub, page: bytes, item: dict[str, Any], code: int
) -> None:
    """A proxy that says yes to everything: nobody was told of a GO, and a NO-GO stays one."""
    github.faults = between(page)
    found, text = Runner(tmp_path, github, item).run()
    assert found == code, text
    assert "Traceback" not in text, text


def test_the_rules_are_asked_before_the_items(tmp_path: Path, github: GitHub) -> None:
    """After the last item nothing is asked before the reports are written: a gate that is killed then has them."""
    item = {"id": "a.http", "title": "Asks", "http": {"url": github.url, "path": "/user", "status": 401}}
    runner = Runner(tmp_path, github, item)
    assert runner.run()[0] == 0
    asked = [request.path.removeprefix(f"/repos/{REPOSITORY}") for request in github.requests]
    assert asked[:5] == [f"/statuses/{HEAD}", "/rules/branches/main", "/branches/main", "/user", f"/statuses/{HEAD}"]
    assert runner.report["notes"] != []


def test_no_place_for_the_reports(tmp_path: Path, github: GitHub) -> None:
    """A folder that can't hold them is found before anything is run, and leaves no pending."""
    runner = Runner(tmp_path, github, GO)
    code, text = runner.run("run", "--out=/proc/x")
    assert (code, states(github)) == (2, ["pending", "error"]), text
    assert "/proc/x: the reports can't be written" in github.latest()["description"]


def test_no_payload(tmp_path: Path, github: GitHub) -> None:
    """Where the event does not say which commit is judged none gets a status, and nobody was told of a GO."""
    runner = Runner(tmp_path, github, GO)
    runner.environment["GITHUB_EVENT_PATH"] = str(tmp_path / "nowhere")
    code, text = runner.run()
    assert (code, github.writes()) == (3, []), text
    assert "the repository or the judged commit is unknown" in text


def test_room_for_the_gate_s_own_annotations(tmp_path: Path, github: GitHub) -> None:
    """However many items there are, the missing rights are annotated: the runner takes ten of a type."""
    items = [{**NO_GO, "id": f"a.no{number}", "severity": "advisory"} for number in range(12)]
    runner = Runner(tmp_path, github, *items)
    runner.environment["INPUT_GITHUB-TOKEN"] = READ_ONLY
    warnings = [command for command in commands(runner.run()[1]) if command.name == "warning"]
    assert len(warnings) <= PER_TYPE
    assert [command for command in warnings if "pull-requests: write" in command.data] != []


def test_a_fork_keeps_its_verdict(tmp_path: Path, github: GitHub) -> None:
    """A read-only token: the verdict stands, and an annotation names the rights."""
    runner = Runner(tmp_path, github, GO)
    runner.environment["INPUT_GITHUB-TOKEN"] = READ_ONLY
    code, text = runner.run()
    assert (code, github.statuses, github.comments) == (0, [], [])
    assert "::warning title=prodgate::" in text
    assert "pull-requests: write" in text


def test_nothing_is_published(tmp_path: Path, github: GitHub) -> None:
    """`--publish=none` asks GitHub nothing, nor does a run that is on no runner."""
    runner = Runner(tmp_path, github, GO)
    assert runner.run("run", "--publish=none")[0] == 0
    del runner.environment["GITHUB_ACTIONS"]
    assert runner.run()[0] == 0
    assert github.requests == []


def test_an_enterprise_server(tmp_path: Path, enterprise: GitHub) -> None:
    """The address of an enterprise server comes from the runner."""
    assert Runner(tmp_path, enterprise, GO).run()[0] == 0
    assert states(enterprise) == ["pending", "success"]


def test_cancelled(tmp_path: Path, github: GitHub) -> None:
    """A cancelled run is an error, told before the runner would kill it."""
    runner = Runner(tmp_path, github, WAITS)
    started = runner.start("run")
    until(lambda: states(github) == ["pending"])
    time.sleep(1)
    started.send_signal(signal.SIGINT)
    started.communicate(timeout=60)
    assert (started.returncode, states(github)) == (130, ["pending", "error"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_cancelled_while_github_is_silent(tmp_path: Path, github: GitHub, number: signal.Signals) -> None:
    """A signal in the middle of `pending` drops it: nothing is run, the reports are written, the status is an error."""
    github.faults.append(Fault("POST", "statuses", silence=60))
    runner = Runner(tmp_path, github, WAITS)
    started = runner.start("run")
    until(lambda: github.requests)
    started.send_signal(number)
    _, text = started.communicate(timeout=60)
    assert (started.returncode, states(github)) == (130, ["error"]), text
    assert runner.report["ended"] == "cancelled"


def test_a_merge_is_cancelled(tmp_path: Path, github: GitHub) -> None:
    """A merge that is cancelled has no verdict."""
    Runner(tmp_path, github, GO).run("run", "--publish=none", "--out=parts/one")
    github.faults.append(Fault("POST", "statuses", silence=60))
    started = Runner(tmp_path, github, GO).start("merge", "parts")
    until(lambda: github.requests)
    started.send_signal(signal.SIGTERM)
    _, text = started.communicate(timeout=60)
    assert (started.returncode, states(github)) == (130, ["error"]), text


def test_killed(tmp_path: Path, github: GitHub) -> None:
    """After SIGKILL the post step turns the leftover pending into an error."""
    runner = Runner(tmp_path, github, WAITS)
    started = runner.start("run")
    until(lambda: states(github) == ["pending"])
    started.kill()
    started.communicate(timeout=60)
    code, text = runner.run("restore")
    assert (code, states(github)) == (0, ["pending", "error"]), text


def test_the_parts_of_many_jobs(tmp_path: Path, github: GitHub) -> None:
    """Parts publish nothing; the last job tells one verdict, and a part that is missing is a NO-GO."""
    for name, item in (("one", GO), ("two", {**GO, "id": "a.two"})):
        Runner(tmp_path, github, item).run("run", "--publish=none", f"--out=parts/{name}")
    runner = Runner(tmp_path, github, GO)
    assert github.requests == []
    assert runner.run("merge", "--expect=one two", "parts")[0] == 0
    assert runner.run("merge", "--expect=one two three", "parts")[0] == 1
    assert states(github) == ["pending", "success", "pending", "failure"]
    assert len(github.comments) == 1


def test_the_parts_of_one_checklist(tmp_path: Path, github: GitHub) -> None:
    """Parts that have run the whole checklist between them are a plain GO."""
    runner = Runner(tmp_path, github, GO, {**GO, "id": "a.two"})
    for name in ("a.go", "a.two"):
        assert runner.run("run", "--publish=none", f"--only={name}", f"--out=parts/{name}")[0] == 0
    assert runner.run("merge", "--expect=a.go a.two", "parts")[0] == 0
    assert (runner.report["verdict"]["decision"], runner.report["verdict"]["reservations"]) == ("GO", [])


def test_no_part_at_all(tmp_path: Path, github: GitHub) -> None:
    """Where no part has left a report, the status is a failure, and the comment names what is missing."""
    assert Runner(tmp_path, github, GO).run("merge", "--expect=one two", "parts")[0] == 1
    assert states(github) == ["pending", "failure"]
    assert github.latest()["description"] == "NO-GO: one: the report is missing; 1 more"
    assert "two: the report is missing" in github.comments[0]["body"]


def test_reports_of_another_commit(tmp_path: Path, github: GitHub) -> None:
    """Reports that an earlier commit has left are refused, and the status is an error."""
    runner = Runner(tmp_path, github, GO)
    runner.run("run", "--publish=none", "--out=parts/one")
    event = {"pull_request": {"number": 7, "head": {"sha": "2" * 40}}}
    runner.write("event.json", json.dumps(event))
    github.commits.add("2" * 40)
    code, text = runner.run("merge", "parts")
    assert (code, states(github)) == (2, ["pending", "error"])
    assert f"reports of commit {HEAD}, but this run judges {'2' * 40}" in text


@pytest.mark.parametrize(
    ("run", "event", "code"),
    [
        ("5000", {}, 0),
        ("4999", {}, 2),
        ("", {}, 2),
        ("4999", {"workflow_run": {"id": 4999}}, 0),
        ("4998", {"workflow_run": {"id": 4999}}, 2),
    ],
)
def test_a_merge_of_the_reports_of_another_run(
    tmp_path: Path, github: GitHub, run: str, event: dict[str, Any], code: int
) -> None:
    """Reports of an earlier run are refused, unless this run follows that one."""
    runner = Runner(tmp_path, github, GO)
    runner.environment["GITHUB_RUN_ID"] = run
    assert runner.run("run", "--publish=none", "--out=parts/one")[0] == 0
    runner.environment["GITHUB_RUN_ID"] = "5000"
    runner.write("event.json", json.dumps({**json.loads((tmp_path / "event.json").read_text()), **event}))
    found, text = runner.run("merge", "parts", "--expect=one")
    assert (found, "expected one of this run (5000)" in text) == (code, code == 2), text


def checklist(*items: dict[str, Any]) -> bytes:
    """Return the base branch's checklist."""
    section = {"id": "a", "title": "A", "items": list(items)}
    return json.dumps({"version": 1, "service": "shop", "sections": [section]}).encode()


def test_the_base_s_checklist_by_api(tmp_path: Path, github: GitHub) -> None:
    """What the pull request weakens in its own checklist is a reservation."""
    github.files["0" * 40, "prodgate.yml"] = checklist(GO, NO_GO)
    runner = Runner(tmp_path, github, GO)
    assert runner.run("run", "--compare=base")[0] == 0
    assert runner.report["verdict"]["decision"] == "GO with reservations"
    assert "a.no was removed" in runner.run("render", "prodgate-out/report.json")[1]


def test_the_base_s_checklist_is_the_authority(tmp_path: Path, github: GitHub) -> None:
    """With `policy: base` the items that the pull request has removed are asked all the same, at their own place."""
    github.files["0" * 40, "prodgate.yml"] = checklist(GO, NO_GO)
    runner = Runner(tmp_path, github, GO)
    assert runner.run("run", "--compare=base", "--policy=base")[0] == 1
    items = runner.report["sections"][0]["items"]
    assert [(item["id"], item["location"]["file"]) for item in items] == [
        ("a.go", "prodgate.yml"),
        ("a.no", "prodgate.yml"),
    ]


def failing_tests(folder: Path, *expires: str) -> dict[str, Any]:
    """Return an item whose only test fails, and write the commit's own quarantine of that test."""
    (folder / "r.xml").write_text("<testsuite><testcase classname='p' name='bad'><failure/></testcase></testsuite>")
    (folder / "q.yml").write_text(quarantine(*expires))
    return {"id": "a.tests", "title": "T", "tests": {"results": "r.xml", "quarantine": {"file": "q.yml"}}}


def quarantine(*expires: str) -> str:
    return "".join(f"- {{test: 'p::bad', owner: me, reason: known, expires: {day}}}\n" for day in expires) or "[]"


@pytest.mark.parametrize("policy", ["base", "report"])
@pytest.mark.parametrize(
    ("base", "own", "decisions", "reserved"),
    [
        ("", "2999-01-31", ("NO-GO", "GO with reservations"), "{item}: {key} is new: {now}"),
        ("2998-01-31", "2999-01-31", ("GO with reservations",) * 2, "quarantine[p::bad].expires"),
        ("2999-01-31", "2999-01-31", ("GO with reservations",) * 2, None),
        ("2999-01-31", "", ("GO with reservations", "NO-GO"), None),
    ],
)
def test_the_base_s_quarantine(
    tmp_path: Path, github: GitHub, policy: str, base: str, own: str, decisions: tuple[str, str], reserved: str | None
) -> None:
    """With `policy: base` the base branch's quarantine counts, and what the commit adds to it is always reserved."""
    item = failing_tests(tmp_path, *([own] if own else []))
    github.files["0" * 40, "prodgate.yml"] = checklist(item)
    github.files["0" * 40, "q.yml"] = quarantine(*([base] if base else [])).encode()
    runner = Runner(tmp_path, github, item)
    text = runner.run("run", "--compare=base", f"--policy={policy}")[1]
    verdict = runner.report["verdict"]
    assert verdict["decision"] == decisions[policy == "report"], text
    held = [text for reason in verdict["reservations"] if "quarantine[" in (text := json.dumps(reason["message"]))]
    assert ([] if reserved is None else [True]) == [reserved in text for text in held], held


@pytest.mark.parametrize(("policy", "code"), [("base", 1), ("report", 0)])
@pytest.mark.parametrize("content", [None, b"a: ["], ids=["not there", "broken"])
def test_a_base_s_quarantine_that_can_not_be_read(
    tmp_path: Path, github: GitHub, content: bytes | None, policy: str, code: int
) -> None:
    """An exemption that the base branch does not have is never taken from the commit."""
    item = failing_tests(tmp_path, "2999-01-31")
    github.files["0" * 40, "prodgate.yml"] = checklist(item)
    if content:
        github.files["0" * 40, "q.yml"] = content
    runner = Runner(tmp_path, github, item)
    found, text = runner.run("run", "--compare=base", f"--policy={policy}")
    assert found == code, text
    assert "can't be read from that branch" in text, text


@pytest.mark.parametrize(("where", "code"), [("base/", 1), ("../base/", 1), ("", 1)])
def test_the_quarantine_of_a_second_checkout(tmp_path: Path, github: GitHub, where: str, code: int) -> None:
    """With a checkout of the base branch, its quarantine is read there, and not in the commit's own."""
    own = tmp_path / "own"
    own.mkdir()
    item = failing_tests(own, "2999-01-31")
    runner = Runner(own, github, item)
    runner.write(f"{where}base.yml" if not where else f"{where}prodgate.yml", checklist(item).decode())
    if where:
        runner.write(f"{where}q.yml", quarantine())
    compare = f"--compare={where}{'prodgate.yml' if where else 'base.yml'}"
    assert runner.run("run", compare, "--policy=base")[0] == code
    if where:
        runner.write(f"{where}q.yml", quarantine("2999-01-31"))
        assert runner.run("run", compare, "--policy=base")[0] == 0


def test_a_base_without_a_checklist(tmp_path: Path, github: GitHub) -> None:
    """The first pull request that brings a checklist has nothing to be compared with."""
    runner = Runner(tmp_path, github, GO)
    assert runner.run("run", "--compare=base", "--policy=base")[0] == 0
    assert runner.report["verdict"]["decision"] == "GO with reservations"


@pytest.mark.parametrize("page", [b"{}", b"[]", b'{"type": "file", "encoding": "none", "content": ""}'])
def test_a_base_that_is_no_file(tmp_path: Path, github: GitHub, page: bytes) -> None:
    """An answer without the file's content is no empty file."""
    github.faults = between(page, "contents")
    runner = Runner(tmp_path, github, GO)
    assert runner.run("run", "--compare=base", "--policy=base")[0] == 1
    assert "could not be read" in json.dumps(runner.report["verdict"]["reasons"])


@pytest.mark.parametrize(("policy", "code"), [("base", 1), ("report", 0)])
def test_a_base_that_cannot_be_read(tmp_path: Path, github: GitHub, policy: str, code: int) -> None:
    """Where GitHub does not say, the authority is missing: a NO-GO; where it was only to compare, a reservation."""
    github.faults.append(Fault("GET", "contents", status=403, message="Resource not accessible", times=99))
    runner = Runner(tmp_path, github, GO)
    assert runner.run("run", "--compare=base", f"--policy={policy}")[0] == code
    assert runner.report["verdict"]["decision"] != "GO"


@pytest.mark.parametrize(("policy", "code"), [("base", 1), ("report", 0)])
def test_a_base_that_is_wrong(tmp_path: Path, github: GitHub, policy: str, code: int) -> None:
    """A base branch whose checklist is wrong is named as such, and does not keep out the commit that mends it."""
    github.files["0" * 40, "prodgate.yml"] = b"version: 1\nservice: ["
    runner = Runner(tmp_path, github, GO)
    found, text = runner.run("run", "--compare=base", f"--policy={policy}")
    assert (found, states(github)[-1]) == (code, "failure" if code else "success"), text
    (reason,) = runner.report["verdict"]["reasons" if code else "reservations"]
    assert reason["message"]["text"] == "The base branch's checklist is not valid: {why}"
    assert reason["message"]["args"]["why"].startswith("main:prodgate.yml:3:1: ")


def test_a_base_that_is_too_large(tmp_path: Path, github: GitHub) -> None:
    """A file that GitHub does not send whole is no empty checklist."""
    github.files["0" * 40, "prodgate.yml"] = checklist(GO, NO_GO) + b" " * 2**20
    assert Runner(tmp_path, github, GO).run("run", "--compare=base", "--policy=base")[0] == 1


@pytest.mark.parametrize(("policy", "code"), [("base", 1), ("report", 0)])
@pytest.mark.parametrize("name", ["prodgate.yml", "gate/prodgate.yml"])
def test_a_checklist_behind_a_link(tmp_path: Path, github: GitHub, name: str, policy: str, code: int) -> None:
    """A pull request that puts a link in the place of the checklist, or of its folder, does not get rid of the base."""
    github.files["0" * 40, name] = checklist(GO, NO_GO)
    runner = Runner(tmp_path, github, GO)
    (tmp_path / "new").mkdir()
    (tmp_path / "prodgate.yml").rename(tmp_path / "new" / "prodgate.yml")
    link = name.partition("/")[0]
    (tmp_path / link).symlink_to("new/prodgate.yml" if link == name else "new")
    found, text = runner.run("run", f"--file={name}", "--compare=base", f"--policy={policy}")
    assert found == code, text
    assert "a symbolic link, expected the file itself" in text


@pytest.mark.parametrize(("policy", "code"), [("base", 1), ("report", 0)])
def test_no_base(tmp_path: Path, github: GitHub, policy: str, code: int) -> None:
    """A run that is for no base branch is not taken for one that has weakened nothing."""
    runner = Runner(tmp_path, github, GO)
    runner.write("event.json", json.dumps({"repository": {"default_branch": "main"}}))
    runner.environment.update(GITHUB_EVENT_NAME="push", GITHUB_REF="refs/heads/topic", GITHUB_SHA=HEAD)
    found, text = runner.run("run", "--compare=base", f"--policy={policy}")
    assert found == code, text
    assert "the event names no base commit" in text


def test_on_the_base(tmp_path: Path, github: GitHub) -> None:
    """On the default branch itself the checklist is the base's, and there is nothing to compare."""
    runner = Runner(tmp_path, github, GO)
    runner.write("event.json", json.dumps({"repository": {"default_branch": "main"}}))
    runner.environment.update(GITHUB_EVENT_NAME="push", GITHUB_REF="refs/heads/main", GITHUB_SHA=HEAD)
    assert runner.run("run", "--compare=base", "--policy=base")[0] == 0
    assert runner.report["verdict"]["decision"] == "GO"


def test_the_base_of_another_run(tmp_path: Path, github: GitHub) -> None:
    """A workflow that follows another one is for that one's pull request, and its base is the authority."""
    github.files["0" * 40, "prodgate.yml"] = checklist(GO, NO_GO)
    runner = Runner(tmp_path, github, GO)
    pull = {"number": 7, "base": {"ref": "main", "sha": "0" * 40}}
    runner.write("event.json", json.dumps({"workflow_run": {"head_sha": HEAD, "pull_requests": [pull]}}))
    runner.environment.update(GITHUB_EVENT_NAME="workflow_run")
    assert runner.run("run", "--compare=base", "--policy=base")[0] == 1


def test_a_policy_without_a_base(tmp_path: Path, github: GitHub) -> None:
    """`policy: base` with nothing to compare is a wrong call, and not a run of the commit's own checklist."""
    code, text = Runner(tmp_path, github, GO).run("run", "--policy=base")
    assert (code, states(github)) == (2, ["pending", "error"]), text
    assert "--policy: 'base' has nothing to enforce" in text


def test_no_right_to_read_is_not_an_empty_base(tmp_path: Path, github: GitHub) -> None:
    """404 for everything is GitHub's word for no right: no checklist is not concluded from it."""
    github.faults += [Fault("GET", "contents|branches", status=404, message="Not Found", times=99)]
    assert Runner(tmp_path, github, GO).run("run", "--compare=base", "--policy=base")[0] == 1


def test_a_schedule_is_on_the_base(tmp_path: Path, github: GitHub) -> None:
    """A run every night is of the base itself, though its payload names no branch: nothing is to be compared."""
    runner = Runner(tmp_path, github, GO)
    runner.write("event.json", json.dumps({"schedule": "0 5 * * *"}))
    del runner.environment["GITHUB_BASE_REF"]
    runner.environment |= {"GITHUB_EVENT_NAME": "schedule", "GITHUB_SHA": HEAD, "GITHUB_REF_NAME": "main"}
    assert runner.run("run", "--compare=base", "--policy=base")[0] == 0
    assert runner.report["verdict"]["decision"] == "GO"
    assert [note["args"]["branch"] for note in runner.report["notes"]] == ["main"]


def test_a_wrong_call_leaves_no_go(tmp_path: Path, github: GitHub) -> None:
    """A call with a wrong value leaves outputs that nobody can take for a GO, an error, and no earlier report."""
    runner = Runner(tmp_path, github, GO)
    runner.environment["GITHUB_OUTPUT"] = str(tmp_path / "outputs")
    assert runner.run("run", "-o", "out")[0] == 0
    (tmp_path / "outputs").unlink()
    assert runner.run("run", "-o", "out", "--comment=x")[0] == 2
    told: dict[str, str] = {}
    files.parse((tmp_path / "outputs").read_text(), told)
    assert told == {"verdict": "", "go": "false"}
    assert states(github)[-1] == "error"
    assert not (tmp_path / "out" / "report.json").exists()


def test_a_wrong_merge_keeps_its_parts(tmp_path: Path, github: GitHub) -> None:
    """What a merge was to read is there for the call that is right, also where its own report was to go."""
    runner = Runner(tmp_path, github, GO)
    assert runner.run("run", "--publish=none", "--out=parts")[0] == 0
    assert runner.run("merge", "--out=parts", "--comment=x", "parts")[0] == 2
    assert runner.run("merge", "--out=merged", "parts")[0] == 0
    assert runner.run("merge", "--out=merged", "--comment=x", "parts")[0] == 2
    assert not (tmp_path / "merged" / "report.json").exists()


@pytest.mark.parametrize("checked_out", [HEAD, "a" * 40], ids=["its head", "main"])
def test_a_comment_starts_the_run(tmp_path: Path, github: GitHub, checked_out: str) -> None:
    """For a comment on a pull request publish about the head if that is checked out, and else nothing."""
    runner = Runner(tmp_path, github, GO)
    runner.write("event.json", json.dumps({"issue": {"number": 7, "pull_request": {"url": "x"}}}))
    runner.write(".git/HEAD", checked_out + "\n")
    runner.environment.update(GITHUB_EVENT_NAME="issue_comment", GITHUB_SHA="a" * 40)
    code, text = runner.run()
    published = checked_out == HEAD
    assert code == 0, text
    assert [status["sha"] for status in github.statuses] == [HEAD, HEAD] * published
    assert len(github.comments) == int(published)
    assert ("check out `refs/pull/7/head`" in text) is not published
    assert runner.report["source"]["commit"] == checked_out


def test_no_earlier_verdict_stays(tmp_path: Path, github: GitHub) -> None:
    """A checklist error, and a run that was killed, replace the GO of the run before in the comment."""
    runner = Runner(tmp_path, github, GO)
    assert runner.run()[0] == 0
    runner.environment["GITHUB_RUN_ID"] = "5001"
    runner.write("prodgate.yml", "version: 2")
    assert runner.run()[0] == 2
    assert "The checklist is not valid" in github.comments[0]["body"]
    runner = Runner(tmp_path, github, GO)
    runner.environment["GITHUB_RUN_ID"] = "5002"
    assert runner.run()[0] == 0
    assert "🟢 GO" in github.comments[0]["body"]
    runner = Runner(tmp_path, github, WAITS)
    runner.environment["GITHUB_RUN_ID"] = "5003"
    pending = len(github.statuses)
    started = runner.start("run")
    until(lambda: len(github.statuses) > pending)
    started.kill()
    started.communicate(timeout=60)
    assert runner.run("restore")[0] == 0
    assert "the gate was killed" in github.comments[0]["body"]
    assert "🟢 GO" not in github.comments[0]["body"]
