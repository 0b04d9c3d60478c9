"""The check `tests`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from gate.checks.attempts import run_check
from gate.checks.base import CheckResult, ObservationError
from gate.checks.entry import CheckEntry
from gate.checks.tests import Observation
from gate.decode.structs import ValidationError, decode_all_errors
from gate.model import Status
from gate.redaction.secrets import Redactor
from gate.runtime.evidence import EvidenceStore
from gate.testresults.base import CaseResult, Results
from gate.testresults.quarantine import QuarantineEntry
from tests.support.checks import check, context

TODAY = date(2026, 1, 1)
OK = CaseResult("p", "ok", "passed", 1.0)
BAD = CaseResult("p", "bad", "failed", 0.5, "boom", "p.py", 7)
WORSE = CaseResult("p", "worse", "failed")
SUB = CaseResult("p", "bad/sub", "failed", subtest=True)
BROKEN = CaseResult("q", "", "failed", output="import x\nNo module named 'x'\n")
SKIPPED = CaseResult("p", "later", "skipped")


def entry(test: str, days: int = 30) -> QuarantineEntry:
    """Return a quarantine entry that expires in `days` days."""
    return QuarantineEntry(test=test, owner="team", reason="known", expires=TODAY + timedelta(days=days))


def seen(*cases: CaseResult, listed: tuple[QuarantineEntry, ...] = (), code: int | None = None) -> Observation:
    """Return the observation of results."""
    return Observation(Results(cases), TODAY, listed, code)


JUDGED = [
    ({}, seen(OK, SKIPPED), Status.PASS, "1 of 2 tests passed, 1 were skipped"),
    ({}, seen(OK, BAD), Status.FAIL, "p::bad fails"),
    ({}, seen(OK, BAD, WORSE), Status.FAIL, "2 tests fail: p::bad, p::worse"),
    ({}, seen(*[CaseResult("p", str(n), "failed") for n in range(9)]), Status.FAIL,
     "9 tests fail, among them p::0, p::1, p::2, p::3, p::4"),
    ({}, seen(), Status.ERROR, "No tests were collected"),
    ({}, seen(SKIPPED), Status.FAIL, "0 tests ran, expected at least 1"),
    ({"min_tests": 5}, seen(OK), Status.FAIL, "1 tests ran, expected at least 5"),
    ({"max_skipped": 0}, seen(OK, SKIPPED), Status.FAIL, "1 tests were skipped, expected at most 0"),
    ({}, seen(OK, BAD, listed=(entry("p::bad"),)), Status.PASS,
     "1 of 2 tests passed, 0 were skipped, 1 that fail are in quarantine"),
    ({}, seen(OK, BAD, listed=(entry("p"),)), Status.PASS, None),
    ({}, seen(OK, SUB, BAD, listed=(entry("p::bad"),)), Status.PASS, None),
    ({}, seen(OK, SUB, BAD, listed=(entry("p::bad/sub"),)), Status.PASS, None),
    ({}, seen(OK, SUB, listed=(entry("p::bad"),)), Status.ERROR,
     "p::bad is in quarantine, but does not exist; p::bad/sub does"),
    ({}, seen(CaseResult("a/b", "T", "failed"), CaseResult("a", "T", "passed"), listed=(entry("a"),)), Status.FAIL,
     "a/b::T fails"),
    ({}, seen(CaseResult("a/b", "T", "failed"), listed=(entry("a"),)), Status.ERROR, None),
    ({}, seen(CaseResult("api", "GET /u", "failed"), CaseResult("api", "GET /u/:id", "failed"),
              listed=(entry("api::GET /u/:id"),)),
     Status.FAIL, "api::GET /u fails"),
    ({}, seen(CaseResult("api", "GET /u", "failed"), CaseResult("api", "GET /u/:id", "failed"),
              listed=(entry("api::GET /u"),)),
     Status.FAIL, "api::GET /u/:id fails"),
    ({}, seen(OK, BAD, listed=(entry("p", 0), entry("p::bad"))), Status.PASS, None),
    ({}, seen(OK, BAD, listed=(entry("p", 0), entry("p::bad", -1))), Status.FAIL,
     "the quarantine of p::bad ended on 2026-01-01"),
    ({}, seen(OK, BAD, WORSE, listed=(entry("p::bad"),)), Status.FAIL, "p::worse fails"),
    ({}, seen(OK, BAD, listed=(entry("p::bad", 0),)), Status.FAIL, "the quarantine of p::bad ended on 2026-01-01"),
    ({}, seen(OK, BAD, listed=(entry("p::bad", 1),)), Status.PASS, None),
    ({}, seen(OK, listed=(entry("p::ok"),)), Status.PASS, None),
    ({}, seen(OK, listed=(entry("zzz"),)), Status.ERROR, "zzz is in quarantine, but does not exist"),
    ({}, seen(OK, BAD, listed=(entry("p::bat"),)), Status.ERROR,
     "p::bat is in quarantine, but does not exist; p::bad does"),
    ({}, seen(OK, BROKEN, BAD, listed=(entry("q::T"), entry("zzz"))), Status.FAIL,
     "q broke outside of its tests: No module named 'x'; p::bad fails"),
    ({}, seen(OK, BROKEN, replace(BROKEN, group="r"), listed=(entry("q.Class::t"),)), Status.FAIL,
     "2 groups broke outside of their tests, q first: No module named 'x'"),
    ({}, seen(OK, replace(BROKEN, output="")), Status.FAIL, "q broke outside of its tests"),
    ({}, seen(OK, BROKEN, listed=(entry("q"), entry("q::T"))), Status.PASS, None),
    ({}, seen(OK, BROKEN, listed=(entry("q"), entry("zzz"))), Status.ERROR, "zzz is in quarantine, but does not exist"),
    ({"max_failures": 1}, seen(OK, BAD, WORSE, listed=(entry("p"),)), Status.FAIL, "2 tests fail, expected at most 1"),
    ({}, seen(OK, code=0), Status.PASS, None),
    ({}, seen(OK, code=1), Status.FAIL, "the command ended with exit code 1 although no test fails"),
    ({}, seen(OK, code=-9), Status.FAIL, "the command was ended by signal SIGKILL"),
    ({}, seen(OK, BAD, code=137, listed=(entry("p::bad"),)), Status.FAIL,
     "the command ended with exit code 137: it could not be run, or was ended by a signal"),
    ({}, seen(OK, BAD, code=125, listed=(entry("p::bad"),)), Status.PASS, None),
    ({}, seen(OK, BAD, code=0), Status.FAIL,
     "p::bad fails; the command ended with exit code 0 although 1 tests fail"),
    ({}, seen(OK, BAD, code=0, listed=(entry("p::bad"),)), Status.FAIL,
     "the command ended with exit code 0 although 1 tests fail"),
    ({}, seen(OK, BAD, code=1, listed=(entry("p::bad"),)), Status.PASS, None),
]  # fmt: skip


def judge(fields: dict[str, Any], what: Observation) -> CheckResult:
    """Judge an observation."""
    judged: CheckResult = check("tests", results="r.xml", **fields).judge(what)
    return judged


@pytest.mark.parametrize(("fields", "what", "status", "message"), JUDGED)
def test_judgement(fields: dict[str, Any], what: Observation, status: Status, message: str | None) -> None:
    """What is said of results and a quarantine."""
    judged = judge(fields, what)
    assert judged.status is status
    assert message in (None, str(judged.message))


def test_rows() -> None:
    """Failing tests are rows that fail, those in quarantine and stale entries rows that are waived."""
    listed = (entry("p::worse", 9), entry("p::ok"))
    rows = judge({}, seen(OK, BAD, WORSE, listed=listed)).rows
    assert [(str(row.title), row.status, row.expires) for row in rows] == [
        ("p::bad", Status.FAIL, None),
        ("p::worse", Status.WAIVED, date(2026, 1, 10)),
        ("p::ok", Status.WAIVED, None),
    ]
    assert "(team: known)" in str(rows[1].message)
    assert "remove the entry" in str(rows[2].message)


@pytest.mark.parametrize(
    ("cases", "listed", "stale"),
    [
        ((OK,), "p::ok", True),
        ((OK, SKIPPED), "p::later", False),
        ((OK, SKIPPED), "p", False),
        ((OK, CaseResult("p", "ok", "failed")), "p::ok", False),
    ],
    ids=["passes", "skipped", "partly skipped", "passes once"],
)
def test_what_is_stale(cases: tuple[CaseResult, ...], listed: str, stale: bool) -> None:
    """An entry is stale when all that it covers has passed; a skipped test has not shown that it does."""
    rows = judge({}, seen(*cases, listed=(entry(listed),))).rows
    assert ("remove the entry" in "".join(str(row.message) for row in rows)) is stale


def test_evidence() -> None:
    """The evidence has counts, the slowest, the output of failures, and the place of each."""
    judged = judge({}, seen(OK, BAD))
    assert (
        judged.response
        == "1 passed, 1 failed, 0 skipped\nslowest: p::ok 1.0 s\nslowest: p::bad 0.5 s\n\nFAIL p::bad\n  boom"
    )
    assert [(str(place), place.text) for place in judged.locations] == [("p.py:7", "p::bad")]


GOOD = "<testsuite><testcase classname='p' name='ok'/></testsuite>"
EMPTY = "<testsuites tests='0'/>"
OLD = "<testsuite timestamp='2020-01-01T00:00:00'><testcase classname='p' name='ok'/></testsuite>"


# Written by jest-junit with `reportTestSuiteErrors` for a suite that could not be loaded.
NEVER_BEGAN = (
    "<testsuites name='jest tests' tests='0' failures='0' errors='1'><testsuite name='a.test.js' errors='1'"
    " failures='0' skipped='0' timestamp='1970-01-01T00:00:00' time='0' tests='0'>"
    "<testcase classname='Test suite failed to run' name='a.test.js' time='0'>"
    "<error>Cannot find module './a'</error></testcase></testsuite></testsuites>"
)


def observe(root: Path, **fields: Any) -> CheckResult:
    """Check real result files."""
    made = check("tests", **fields)
    judged: CheckResult = made.judge(made.observe(context(root, limit=60)))
    return judged


def test_files(tmp_path: Path) -> None:
    """Several files are one result."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.xml").write_text(GOOD.replace("ok", name))
    assert str(observe(tmp_path, results="*.xml").message) == "2 of 2 tests passed, 0 were skipped"


def test_a_suite_that_never_began(tmp_path: Path) -> None:
    """It has failed, and is not said to be of 1970."""
    (tmp_path / "r.xml").write_text(NEVER_BEGAN)
    judged = observe(tmp_path, results="r.xml")
    assert (judged.status, str(judged.message)) == (Status.FAIL, "Test suite failed to run::a.test.js fails")
    assert "Cannot find module './a'" in judged.response


@pytest.mark.parametrize(
    ("text", "fields", "why"),
    [
        (None, {}, "There are no results: r.xml does not exist"),
        ("", {}, "r.xml: it is neither"),
        ("<testsuite>", {}, "r.xml: line 1: not valid XML"),
        (GOOD, {"format": "tap"}, "r.xml: it has no plan"),
        (OLD, {}, "r.xml is older than this run"),
        (OLD.replace("2020", "2999"), {}, "r.xml has a modification time in the future (2999-01-01 00:00Z)"),
        (EMPTY, {}, "r.xml: no tests were collected"),
        ("1..0 # skip", {}, "r.xml: no tests were collected"),
        (GOOD, {"quarantine": {"file": "q.md"}}, "The quarantine q.md does not exist"),
        (GOOD, {"limit": "10B"}, "r.xml is larger than 10 B"),
    ],
)
def test_what_can_not_be_judged(tmp_path: Path, text: str | None, fields: dict[str, Any], why: str) -> None:
    """Results that are missing, broken, old or too large could not be observed."""
    if text is not None:
        (tmp_path / "r.xml").write_text(text)
    with pytest.raises(ObservationError, match=re.escape(why)):
        observe(tmp_path, results="r.xml", **fields)


def committed(folder: Path) -> None:
    """Make a commit of all files of a folder."""
    names = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "a"]):
        subprocess.run(["git", *names, *words], cwd=folder, check=True)


def test_results_of_the_commit(tmp_path: Path) -> None:
    """Results that are part of the commit were not made now, whatever time the checkout gave them."""
    (tmp_path / "r.xml").write_text(GOOD)
    (tmp_path / "code").write_text("0")
    committed(tmp_path)
    (tmp_path / "r.xml").touch()
    with pytest.raises(ObservationError, match=r"r\.xml is part of the commit and unchanged"):
        observe(tmp_path, results="*.xml")
    (tmp_path / "r.xml").write_text(GOOD.replace("ok", "other"))
    assert observe(tmp_path, results="r.xml").status is Status.PASS
    with pytest.raises(ObservationError, match="code is part of the commit and unchanged"):
        observe(tmp_path, results="r.xml", exit_code="code")


def test_results_of_the_commit_that_are_made_again(tmp_path: Path) -> None:
    """What the item's own command has written is new, even if every byte is as before."""
    (tmp_path / "r.xml").write_text(GOOD)
    committed(tmp_path)
    assert observe(tmp_path, run="touch r.xml", results="r.xml").status is Status.PASS


def test_results_in_another_encoding(tmp_path: Path) -> None:
    """Results of a file and of a command's output are read in their own encoding."""
    text = "<?xml version='1.0' encoding='UTF-16'?><testsuite><testcase classname='p' name='été'/></testsuite>"
    (tmp_path / "r.xml").write_bytes(text.encode("utf-16"))
    quarantine = [{"test": "p::été", "owner": "me", "reason": "known", "expires": "2999-01-31"}]
    for fields in ({"results": "r.xml"}, {"run": "cat r.xml"}):
        assert observe(tmp_path, quarantine=quarantine, **fields).status is Status.PASS


EVENTS = (
    '{"Action":"run","Package":"p","Test":"TestKnown"}\n{"Action":"fail","Package":"p","Test":"TestKnown"}\n'
    '{"Action":"fail","Package":"p"}\n'
)
STRAY = "no space left on device\n"


@pytest.mark.parametrize(
    ("text", "code", "status"),
    [
        (EVENTS, "1", Status.PASS),
        (STRAY + EVENTS, "1", Status.ERROR),
        (STRAY + EVENTS, None, Status.ERROR),
        ("FAIL\tq [setup failed]\n" + EVENTS, "1", Status.FAIL),
        (STRAY + EVENTS.replace('"fail"', '"pass"'), "0", Status.PASS),
        (STRAY + EVENTS.replace('"fail"', '"pass"'), None, Status.ERROR),
    ],
)
def test_a_failure_that_something_else_explains(tmp_path: Path, text: str, code: str | None, status: Status) -> None:
    """A quarantined failure does not explain an exit code that a line beside the results may explain."""
    (tmp_path / "r.json").write_text(text)
    if code:
        (tmp_path / "code").write_text(code)
    quarantine = [{"test": "p::TestKnown", "owner": "me", "reason": "known", "expires": "2999-01-31"}]
    judged = observe(tmp_path, results="r.json", quarantine=quarantine, **({"exit_code": "code"} if code else {}))
    assert judged.status is status, judged.message
    assert ("no space left" in str(judged.message)) is (status is Status.ERROR)


class Counted(str):
    """A text that counts how often it is compared by content."""

    compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return str.__eq__(self, other)


def test_a_large_quarantine_is_linear() -> None:
    """Each case and each entry is looked at a few times, and not each entry for each case."""
    count = 2000
    cases = [CaseResult(Counted("p"), Counted(f"t{number}"), "failed") for number in range(count)]
    listed = tuple(entry(Counted(f"p::t{number}")) for number in range(0, count, 2))
    Counted.compared = 0
    judged = judge({}, seen(*cases, listed=listed))
    assert (judged.status, str(judged.message).split(",")[0]) == (Status.FAIL, f"{count // 2} tests fail")
    assert Counted.compared < 20 * count


def test_subtests_and_groups_of_a_large_quarantine() -> None:
    """An entry covers its test, its subtests at any depth, or its group; what begins alike is another test."""
    names = ("TestA", "TestA/b", "TestA/b/c", "TestAB", "TestA.b")
    cases = [CaseResult("p", name, "failed", subtest="/" in name) for name in names]
    rows = judge({}, seen(*cases, listed=(entry("p::TestA"), entry("p::TestA/b", 3)))).rows
    assert [(str(row.title), row.status) for row in rows] == [
        ("p::TestAB", Status.FAIL), ("p::TestA.b", Status.FAIL), ("p::TestA/b/c", Status.WAIVED),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("r.xml", "<testsuite>" + "<testcase name='a'/>" * 10 + "</testsuite>"),
        ("r.json", EVENTS),
        ("r.tap", "1..1\nok 1\n"),
        ("r.txt", "ok  \tp\t0.1s\n"),
    ],
)
def test_no_time_to_read_results(tmp_path: Path, name: str, text: str) -> None:
    """Reading results ends with the time limit of the check, in every format, and so does reading a quarantine."""
    (tmp_path / name).write_text(text)
    with pytest.raises(ObservationError, match="could not be read within the timeout"):
        check("tests", results=name).observe(context(tmp_path, limit=0))
    (tmp_path / "q.yml").write_text("- {test: a, owner: b, reason: c, expires: 2999-01-31}")
    with pytest.raises(ObservationError, match="could not be read within the timeout"):
        check("tests", results="none", quarantine={"file": "q.yml"}).observe(context(tmp_path, limit=0))


@pytest.mark.parametrize(
    ("text", "status", "message"),
    [
        ("0\n", Status.PASS, "1 of 1 tests passed, 0 were skipped"),
        ("1\n", Status.FAIL, "the command ended with exit code 1 although no test fails"),
        ("137", Status.FAIL, "the command ended with exit code 137: it could not be run, or was ended by a signal"),
    ],
)
def test_an_exit_code_of_an_earlier_step(tmp_path: Path, text: str, status: Status, message: str) -> None:
    """How the command of an earlier step ended is judged as that of the item's own command is."""
    (tmp_path / "r.xml").write_text(GOOD)
    (tmp_path / "code").write_text(text)
    judged = observe(tmp_path, results="r.xml", exit_code="code")
    assert (judged.status, str(judged.message)) == (status, message)


@pytest.mark.parametrize(
    ("text", "age", "why"),
    [
        (None, 0, "The exit code of the tests is not known: code does not exist"),
        ("", 0, "code does not hold an exit code"),
        ("-1", 0, "code does not hold an exit code"),
        ("0", 7200, "code is older than this run"),
    ],
)
def test_an_exit_code_that_is_not_known(tmp_path: Path, text: str | None, age: int, why: str) -> None:
    """An exit code that is missing, is none or is old is an error."""
    (tmp_path / "r.xml").write_text(GOOD)
    if text is not None:
        (tmp_path / "code").write_text(text)
        os.utime(tmp_path / "code", (time.time() - age,) * 2)
    with pytest.raises(ObservationError, match=re.escape(why)):
        observe(tmp_path, results="r.xml", exit_code="code")


def test_the_age_of_a_file(tmp_path: Path) -> None:
    """A file of an earlier step may be so old, and one of this command's may not be older than it."""
    path = tmp_path / "r.xml"
    path.write_text(GOOD)
    os.utime(path, (path.stat().st_mtime - 600,) * 2)
    assert observe(tmp_path, results="r.xml").status is Status.PASS
    with pytest.raises(ObservationError, match="older than this run"):
        observe(tmp_path, results="r.xml", max_age="5m")
    with pytest.raises(ObservationError, match="older than this run"):
        observe(tmp_path, run="true", results="r.xml")
    assert observe(tmp_path, run="touch r.xml", results="r.xml").status is Status.PASS


def test_one_file_of_many_that_collected_nothing(tmp_path: Path) -> None:
    """A file without a test is an error, whatever the others have."""
    (tmp_path / "one.xml").write_text(GOOD)
    (tmp_path / "zero.xml").write_text(EMPTY)
    with pytest.raises(ObservationError, match=r"zero\.xml: no tests were collected"):
        observe(tmp_path, results=["one.xml", "zero.xml"])


def test_a_file_from_the_future(tmp_path: Path) -> None:
    """A file whose time is still to come tells nothing of its age."""
    path = tmp_path / "r.xml"
    path.write_text(GOOD)
    os.utime(path, (path.stat().st_mtime + 600,) * 2)
    with pytest.raises(ObservationError, match="in the future"):
        observe(tmp_path, results="r.xml")


@pytest.mark.parametrize(("text", "status"), [(GOOD, "pass"), ("<testsuite>", "error")], ids=["whole", "broken"])
def test_raw_evidence(tmp_path: Path, text: str, status: str) -> None:
    """The command's output and the results are kept as files, also where they can't be judged."""
    (tmp_path / "made.xml").write_text(text)
    tests = {
        "run": "mkdir -p out; cp made.xml out/r.xml; echo said; echo more >&2",
        "shell": True,
        "results": "out/*.xml",
    }
    store = EvidenceStore(tmp_path / "report", Redactor())
    outcome = run_check(
        decode_all_errors({"tests": tests}, CheckEntry),
        replace(context(tmp_path, limit=60), evidence=store.for_owner("t")),
    )
    kept = {artifact.path: (tmp_path / "report" / artifact.path).read_text() for artifact in outcome.evidence.artifacts}
    assert outcome.status.value == status
    assert kept["evidence/t.results.out_r.xml"] == text
    assert sorted(kept["evidence/t.output.txt"].split()) == ["more", "said"]


PYTEST = """
import pytest
def test_ok(): pass
@pytest.mark.parametrize("n", [1, 2])
def test_sum(n): assert n == 1
@pytest.mark.skip
def test_later(): pass
"""


def test_a_real_test_program(tmp_path: Path) -> None:
    """A real pytest: one test fails, until the quarantine lists it; then it passes with a reservation."""
    (tmp_path / "unit_checks.py").write_text(PYTEST)
    run = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--junitxml=r.xml", "unit_checks.py"]
    judged = observe(tmp_path, run=run, results="r.xml")
    assert (judged.status, str(judged.message)) == (Status.FAIL, "unit_checks::test_sum[2] fails")
    assert "assert 2 == 1" in judged.response
    row = "| `unit_checks::test_sum[2]` | me | known | 2999-01-31 |"
    (tmp_path / "Q.md").write_text(f"| test | owner | reason | expires |\n|---|---|---|---|\n{row}\n")
    judged = observe(tmp_path, run=run, results="r.xml", quarantine={"file": "Q.md"})
    assert str(judged.message) == "2 of 4 tests passed, 1 were skipped, 1 that fail are in quarantine"


def test_a_test_program_that_can_not_collect(tmp_path: Path) -> None:
    """A pytest that can't import a module: that is the reason, not a quarantined test that it did not reach."""
    (tmp_path / "unit_checks.py").write_text("import is_not_there\n" + PYTEST)
    (tmp_path / "more_checks.py").write_text(PYTEST)
    names = ["unit_checks.py", "more_checks.py"]
    run = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--junitxml=r.xml", *names]
    listed = [
        {"test": f"{name}::test_sum[2]", "owner": "me", "reason": "known", "expires": "2999-01-31"}
        for name in ("unit_checks", "more_checks")
    ]
    judged = observe(tmp_path, run=run, results="r.xml", quarantine=listed)
    told = "unit_checks broke outside of its tests: E ModuleNotFoundError: No module named 'is_not_there'"
    assert (judged.status, str(judged.message)) == (Status.FAIL, told)


BRIEF = "ok  \tm/a\t0.1s\n--- FAIL: TestOther (0.00s)\nFAIL\nFAIL\tm/b\t0.1s\n"
VERBOSE = "=== RUN   TestA\n--- PASS: TestA (0.00s)\nPASS\nok  \tm/a\t0.1s\n"


@pytest.mark.parametrize(
    ("text", "listed", "status", "message"),
    [
        (BRIEF, "m/a::TestFlaky", Status.FAIL, "m/b::TestOther fails"),
        (BRIEF, "m/b::TestFlaky", Status.FAIL, "m/b::TestOther fails"),
        (BRIEF.partition("---")[0], "m/a::TestFlaky", Status.PASS, "1 of 1 tests passed, 0 were skipped"),
        (BRIEF, "m/c::TestFlaky", Status.ERROR, "m/c::TestFlaky is in quarantine, but does not exist"),
        (
            VERBOSE,
            "m/a::TestFlaky",
            Status.ERROR,
            "m/a::TestFlaky is in quarantine, but does not exist; m/a::TestA does",
        ),
    ],
    ids=["of a package that is ok", "of a package that fails", "all pass", "of no package", "with -v"],
)
def test_an_entry_that_go_test_does_not_show(
    tmp_path: Path, text: str, listed: str, status: Status, message: str
) -> None:
    """Where plain `go test` shows only what fails, a test in quarantine that it does not show is a reservation."""
    (tmp_path / "r.txt").write_text(text)
    quarantine = [{"test": listed, "owner": "me", "reason": "known", "expires": "2999-01-31"}]
    judged = observe(tmp_path, results="r.txt", quarantine=quarantine)
    assert (judged.status, str(judged.message)) == (status, message)
    waived = [str(row.title) for row in judged.rows if row.status is Status.WAIVED]
    assert waived == ([listed] if status is not Status.ERROR else [])


def test_a_command_that_hides_its_failures(tmp_path: Path) -> None:
    """Exit code 0 with failing tests is a FAIL."""
    judged = observe(tmp_path, run="printf '1..1\\nnot ok 1 - a\\n'; exit 0", shell=True)
    assert judged.status == Status.FAIL
    assert str(judged.message).startswith("a fails; the command")


def test_a_command_that_hangs(tmp_path: Path) -> None:
    """Tests that do not end could not be observed."""
    made = check("tests", run="sleep 60")
    with pytest.raises(ObservationError, match="timed out after"):
        made.observe(context(tmp_path, limit=0.5))


@pytest.mark.parametrize(
    "fields",
    [
        {"results": "a", "shell": True},
        {"results": "../a"},
        {"exit_code": "a"},
        {"run": "a", "results": "b", "exit_code": "c"},
        {"results": "a", "min_tests": 0},
        {"results": "a", "format": "xml"},
        {"run": "a 'b"},
        {"run": "a", "quarantine": [{"test": "a", "owner": "b", "reason": "c"}]},
        {"run": "a", "quarantine": [{"test": "a", "owner": "b", "reason": "c", "expires": "2030-01-31"}] * 2},
    ],
)
def test_errors_of_the_checklist(fields: dict[str, Any]) -> None:
    """What can't be asked is an error when loaded."""
    with pytest.raises(ValidationError):
        check("tests", **fields)


def test_no_expectation() -> None:
    """Neither a command nor results are no tests."""
    assert check("tests").missing_expectation() is not None
