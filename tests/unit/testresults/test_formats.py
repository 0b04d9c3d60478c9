"""Results of tests in all formats: read as they are meant, and refused where they are not whole."""

from __future__ import annotations

import codecs
import json
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gate.testresults import FORMATS
from gate.testresults.base import CaseResult, InvalidResultsError, Results, decode, detect_format, leaf_failures, parse
from gate.testresults.quarantine import InvalidQuarantineError, parse_quarantine

JUNIT = """<?xml version="1.0" encoding="utf-8"?>
<testsuites>
  <testsuite name="a" tests="4" failures="1" errors="1" skipped="1" timestamp="2025-12-15T09:36:54">
    <testcase classname="pkg.a" name="ok" time="0.5"/>
    <testcase classname="pkg.a" name="bad" time="1,000.5" file="a.py" line="7">
      <failure message="expected 1">trace &amp; more</failure>
      <system-out>said</system-out>
    </testcase>
    <testcase classname="pkg.a" name="broken"><error/></testcase>
    <testcase classname="pkg.a" name="later"><skipped message="not now"/></testcase>
  </testsuite>
</testsuites>"""
GO_JSON = """{"Time":"2025-12-15T09:36:54.1Z","Action":"start","Package":"m/a"}
{"Action":"run","Package":"m/a","Test":"TestOne"}
{"Action":"output","Package":"m/a","Test":"TestOne","Output":"=== RUN   TestOne\\n"}
{"Action":"pass","Package":"m/a","Test":"TestOne","Elapsed":0.25}
{"Action":"run","Package":"m/a","Test":"TestTwo"}
{"Action":"run","Package":"m/a","Test":"TestTwo/sub"}
{"Action":"output","Package":"m/a","Test":"TestTwo/sub","Output":"    a_test.go:9: boom\\n"}
{"Action":"fail","Package":"m/a","Test":"TestTwo/sub","Elapsed":0}
{"Action":"fail","Package":"m/a","Test":"TestTwo","Elapsed":0}
{"Action":"fail","Package":"m/a","Elapsed":0.3}
{"Action":"start","Package":"m/b"}
{"Action":"skip","Package":"m/b","Elapsed":0}
# m/c
c.go:3:1: syntax error
{"ImportPath":"m/c [m/c.test]","Action":"build-output","Output":"c.go:3:1: syntax error\\n"}
{"Action":"start","Package":"m/c"}
{"Action":"output","Package":"m/c","Output":"FAIL\\tm/c [build failed]\\n"}
{"Action":"fail","Package":"m/c","Elapsed":0}"""
GO = """ok  \tveza/internal/validators\t0.021s
?   \tveza/internal/types\t[no test files]
--- FAIL: TestMock (0.00s)
    mock_test.go:12: expected 3 arguments
FAIL
FAIL\tveza/internal/testutils/servicemocks\t0.012s
=== RUN   TestRetry
    worker_test.go:88: gave up after 2
--- FAIL: TestRetry (1.50s)
    --- PASS: TestRetry/first (0.10s)
    --- FAIL: TestRetry/second (1.40s)
--- SKIP: TestRedis (0.00s)
FAIL
FAIL\tveza/internal/workers\t1.617s
# veza/internal/broken
./b.go:3: undefined: x
FAIL\tveza/internal/broken [build failed]
ok  \tveza/internal/cached\t(cached)
ok  \tveza/internal/none\t0.010s [no tests to run]
FAIL"""
TAP = """TAP version 13
1..5
ok 1 - first
not ok 2 - second
  ---
  message: boom
  ...
ok 3 - third # SKIP no redis
not ok 4 - fourth # TODO later
ok 5
# done"""


def endings(results: Results) -> dict[str, str]:
    """Return the outcome of each test."""
    return {case.id: case.outcome for case in results.cases}


def test_junit() -> None:
    """Passed, failed, broken and skipped, with time, place and output."""
    results = parse(JUNIT)
    assert endings(results) == {
        "pkg.a::ok": "passed", "pkg.a::bad": "failed", "pkg.a::broken": "failed", "pkg.a::later": "skipped",
    }  # fmt: skip
    bad = results.cases[1]
    assert (bad.duration, bad.file, bad.line, bad.output) == (1000.5, "a.py", 7, "expected 1\ntrace & moresaid")
    assert results.timestamp == datetime(2025, 12, 15, 9, 36, 54, tzinfo=UTC)
    assert [case.name for case in results.slowest] == ["bad", "ok"]


def test_go_json() -> None:
    """Tests, subtests and a package that could not be built; a skipped package is no test."""
    results = parse(GO_JSON)
    assert endings(results) == {
        "m/a::TestOne": "passed", "m/a::TestTwo": "failed", "m/a::TestTwo/sub": "failed", "m/c": "failed",
    }  # fmt: skip
    assert [(case.id, case.output) for case in leaf_failures(results.cases)] == [
        ("m/a::TestTwo/sub", "a_test.go:9: boom"),
        ("m/c", "c.go:3:1: syntax error\nFAIL\tm/c [build failed]"),
    ]


def test_go() -> None:
    """Packages that are ok, those whose tests fail, those that break without a test, those without tests."""
    results = parse(GO)
    assert endings(results) == {
        "veza/internal/validators": "passed",
        "veza/internal/testutils/servicemocks::TestMock": "failed",
        "veza/internal/workers::TestRetry": "failed",
        "veza/internal/workers::TestRetry/first": "passed",
        "veza/internal/workers::TestRetry/second": "failed",
        "veza/internal/workers::TestRedis": "skipped",
        "veza/internal/broken": "failed",
        "veza/internal/cached": "passed",
    }
    assert "expected 3 arguments" in results.cases[1].output
    assert [case.name for case in leaf_failures(results.cases)] == ["TestMock", "TestRetry/second", ""]


@pytest.mark.parametrize("line", ["=== coverage ===", "--- done ---", "# done", "# a heading\nand more"])
def test_go_what_follows_the_last_package(line: str) -> None:
    """What a script writes after `go test` is no test that never ended."""
    assert endings(parse(f"ok veza/a 0.010s\n{line}\n")) == {"veza/a": "passed"}


def test_go_as_the_report_shows_it() -> None:
    """Lines with spaces for tabs, without any test, are packages."""
    text = "ok veza/a 0.021s\nFAIL veza/b 0.012s\nFAIL veza/c 1.617s\n"
    assert endings(parse(text)) == {"veza/a": "passed", "veza/b": "failed", "veza/c": "failed"}


def test_tap() -> None:
    """Test points with directives; what is still to do does not fail."""
    results = parse(TAP)
    expected = {"first": "passed", "second": "failed", "third": "skipped", "fourth": "skipped", "test 5": "passed"}
    assert endings(results) == expected
    assert "message: boom" in results.cases[1].output


@pytest.mark.parametrize(("text", "form"), [(JUNIT, "junit"), (GO_JSON, "gojson"), (GO, "go"), (TAP, "tap")])
def test_recognised(text: str, form: str) -> None:
    """Each format is known by its looks."""
    assert detect_format(text) == form


LAUGHS = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><testsuite>&b;</testsuite>'
FETCHES = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><testsuite>&x;</testsuite>'
NOT_WHOLE = [
    ("", "neither"),
    ("hello", "neither"),
    ("<?xml version='1.0'?><html/>", "no <testsuite>"),
    ("<testsuite><testcase name='a'>", "not valid XML"),
    ("<testsuite><testcase/></testsuite>", "has no name"),
    ("<testsuite name='s' failures='2'><testcase name='a'/></testsuite>", "says that 2 tests failed, but shows 0"),
    ("<testsuites failures='0' errors='2'><testsuite name='s'><testcase name='a'/></testsuite></testsuites>",
     "says that 2 tests failed, but shows 0"),
    ("<testsuites failures='5'><testcase name='a'/></testsuites>", "says that 5 tests failed, but shows 0"),
    ("<testsuite name='s' tests='50'></testsuite>", "says that it has 50 tests, but shows none"),
    ("<testsuite>" * 300, "nested too deeply"),
    ("<?xml version='1.0'?>" + FETCHES, "document type"),
    (LAUGHS, "document type"),
    (GO_JSON.partition('{"Action":"fail","Package":"m/a","Elapsed":0.3}')[0], "never ended"),
    (GO_JSON[:-10], "cut off"),
    ('{"Action":"run","Package":"p","Test":"TestA"}\n{"Action":"pass","Package":"p","Test":"TestA"}',
     "package p never ended"),
    (GO_JSON + '\n{"Action":"start","Package":"m/a"}', "package m/a never ended"),
    ("--- FAIL: TestMock (0.00s)\n", "never ended"),
    ("ok q 0.1s\n=== RUN   TestB\n", "never ended"),
    ("ok q 0.1s\npanic: test timed out after 1s\n", "never ended"),
    ("ok q 0.1s\nPASS\n", "never ended"),
    ("ok q 0.1s\n# m/c\n./c.go:3: undefined: x\n", "never ended"),
    ("ok q 0.1s\nFAIL\n", "says FAIL, but shows nothing that fails"),
    ("FAIL\r\nok q 0.1s\r\n", "says FAIL, but shows nothing that fails"),
    ("1..5\nok 1\nok 2\n", "5 tests were planned, but 2 came"),
    ("TAP version 13\nok 1\nok 2\n", "has no plan"),
    ("1..2\nok 1\nBail out! no database\n", "gave up: Bail out! no database"),
    ("1..1\n1..1\nok 1\n", "two plans"),
    ("1..3\nok 1\nok 1\nok 1\n", "test 2 was planned, but did not come"),
    ("1..2\nok 2\nok 3\n", "test 1 was planned, but did not come"),
    ("1..1\n# Subtest: a\n    ok 1\n    Bail out! no database\nok 1 - a\n", "gave up: Bail out! no database"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "why"), NOT_WHOLE)
def test_not_whole(text: str, why: str) -> None:
    """Results that are cut off, contradict themselves, or are something else are refused."""
    with pytest.raises(InvalidResultsError, match=why):
        parse(text)


@pytest.mark.parametrize("form", FORMATS.kinds())
@given(text=st.text(st.sampled_from("<testcase nam=\"a'>/ok not1.2#-FAIL:()s\n\t{}")))
def test_any_text(form: str, text: str) -> None:
    """Whatever a file holds, it is results or it is refused."""
    try:
        results = parse(text, form)
    except InvalidResultsError:
        return
    assert all(case.id for case in results.cases)


CATCH2 = """<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
  <testsuite name="unit" errors="0" failures="2" skipped="0" tests="7" hostname="tbd" time="0.001">
    <testcase classname="unit.global" name="sums" time="0.000" status="run"/>
    <testcase classname="unit.global" name="products" time="0.000" status="run">
      <failure message="2 == 3" type="CHECK">at unit.cpp:9</failure>
      <failure message="4 == 5" type="CHECK">at unit.cpp:10</failure>
    </testcase>
  </testsuite>
</testsuites>"""
SUREFIRE = """<?xml version="1.0" encoding="UTF-8"?>
<testsuite version="3.0" name="com.acme.FooTest" time="0.05" tests="1" errors="1" skipped="0" failures="0">
  <testcase name="adds" classname="com.acme.FooTest" time="0.01"><error type="E">boom</error></testcase>
</testsuite>"""
GOTESTSUM = """<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="2" failures="1" errors="0" time="0.1">
  <testsuite tests="2" failures="1" time="0.004" name="m/a" timestamp="2025-12-15T09:36:54Z">
    <testcase classname="m/a" name="TestOne" time="0.000"></testcase>
    <testcase classname="m/a" name="TestTwo" time="0.000"><failure message="Failed" type="">x</failure></testcase>
  </testsuite>
</testsuites>"""


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        (CATCH2, {"unit.global::sums": "passed", "unit.global::products": "failed"}),
        (SUREFIRE, {"com.acme.FooTest::adds": "failed"}),
        (GOTESTSUM, {"m/a::TestOne": "passed", "m/a::TestTwo": "failed"}),
    ],
    ids=["Catch2", "surefire", "gotestsum"],
)
def test_junit_of_common_tools(text: str, ends: dict[str, str]) -> None:
    """What tools write is read, whatever they count as tests and as failures: cases, assertions or subtests."""
    assert endings(parse(text)) == ends


@pytest.mark.parametrize(
    ("case", "name"),
    [
        ('<testcase name="" classname="com.acme.FooTest" time="0.1"><error/></testcase>', "com.acme.FooTest"),
        ('<testcase name="" status="run" classname=""><failure/></testcase>', "inner"),
        ("<testcase><failure/></testcase>", "inner"),
    ],
    ids=["surefire's class that broke", "empty", "without attributes"],
)
def test_junit_a_case_without_a_name(case: str, name: str) -> None:
    """A case without a name has that of its class, or else that of the nearest suite which has one."""
    text = f'<testsuites name="outer"><testsuite name="inner"><testsuite>{case}</testsuite></testsuite></testsuites>'
    assert endings(parse(text)) == {name: "failed"}


def test_junit_of_pytest_with_subtests(tmp_path: Path) -> None:
    """A real pytest counts subtests in its suite, and shows the test alone."""
    source = "def test_all(subtests):\n    for n in range(4):\n        with subtests.test(n=n):\n            pass\n"
    (tmp_path / "test_a.py").write_text(source)
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--junitxml=r.xml", "test_a.py"]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    text = (tmp_path / "r.xml").read_text()
    assert 'tests="5"' in text
    assert endings(parse(text)) == {"test_a::test_all": "passed"}


def test_junit_more_failed_than_is_shown() -> None:
    """What a suite says has failed, and does not show, is a failing case of its own: once, under the suite's name."""
    suite = '<testsuite name="s" failures="3"><testcase classname="s" name="a"><failure/></testcase></testsuite>'
    results = parse(f'<testsuites name="all" failures="3">{suite}</testsuites>')
    assert [(case.id, case.outcome, case.output) for case in results.cases] == [
        ("s::a", "failed", ""), ("s", "failed", "suite 's' says that 3 tests failed, but shows 1"),
    ]  # fmt: skip


def test_junit_a_suite_that_broke() -> None:
    """What broke outside of all cases is a case of its own, under its suite's name, with what it said."""
    text = """<testsuites><testsuite name="s" errors="1" tests="1"><error message="beforeAll broke">no database</error>
        <testcase classname="s" name="a"/></testsuite><failure/></testsuites>"""
    results = parse(text)
    assert [(case.id, case.outcome, case.output) for case in results.cases] == [
        ("s", "failed", "beforeAll broke\nno database"), ("s::a", "passed", ""), ("testsuite", "failed", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("attributes", "ending"),
    [
        ('status="run" result="completed"', "passed"),
        ('status="notrun" result="suppressed"', "skipped"),
        ('status="Disabled"', "skipped"),
        ('status="fail"', "failed"),
        ('status="failed" result="skipped"', "failed"),
    ],
)
def test_junit_what_attributes_say(attributes: str, ending: str) -> None:
    """A case that its attributes alone say was not run was skipped, and one that they say failed has."""
    assert endings(parse(f'<testsuite><testcase name="a" {attributes}/></testsuite>')) == {"a": ending}


NOT_PASSED = {
    "Ginkgo": ("status", "timedout panicked interrupted aborted failed"),
    "Ginkgo, as it prints them": ("status", "TimedOut [TIMEDOUT] timed-out"),
    "Bazel": ("result", "interrupted cancelled"),
    "CTest": ("status", "fail"),
    "Qt Test": ("result", "fail xpass bfail bxpass"),
    "behave": ("status", "failed undefined error hook_error cleanup_error executing"),
    "TestNG": ("status", "FAIL SUCCESS_PERCENTAGE_FAILURE STARTED CREATED"),
    "NUnit": ("result", "Failure Error NotRunnable Cancelled Invalid Failed"),
    "MSTest": ("outcome", "Failed Error Timeout Aborted PassedButRunAborted NotRunnable Disconnected InProgress"),
    "Allure": ("status", "failed broken unknown"),
    "Jenkins": ("status", "FAILED REGRESSION"),
    "Katalon": ("status", "FAILED ERROR INCOMPLETE"),
    "DejaGnu": ("status", "FAIL XPASS UNRESOLVED"),
    "others": ("state", "crashed killed ConnectionError AssertionFailure timeout_exceeded"),
}
SKIPPED = {
    "GoogleTest": ("result", "suppressed skipped"),
    "Bazel": ("result", "suppressed skipped filtered"),
    "CTest": ("status", "notrun disabled"),
    "Ginkgo": ("status", "pending skipped"),
    "Qt Test": ("result", "skip xfail bskip"),
    "behave": ("status", "skipped untested"),
    "Pester": ("status", "Skipped NotRun Inconclusive Pending Ignored"),
    "MSTest": ("outcome", "NotExecuted Inconclusive"),
    "NUnit": ("result", "Ignored Inconclusive Skipped Explicit"),
}
PASSED = {
    "GoogleTest": ("result", "completed"),
    "Catch2": ("status", "run"),
    "Ginkgo": ("status", "passed"),
    "Qt Test": ("result", "pass bpass"),
    "Jenkins": ("status", "PASSED FIXED"),
    "NUnit": ("result", "Success Passed"),
    "TestNG": ("status", "SUCCESS PASS"),
}
WORDS = [
    (key, word, ending)
    for ending, tools in (("failed", NOT_PASSED), ("skipped", SKIPPED), ("passed", PASSED))
    for key, words in tools.values()
    for word in words.split()
]


@pytest.mark.parametrize(("key", "word", "ending"), sorted(set(WORDS)))
def test_junit_words_of_many_tools(key: str, word: str, ending: str) -> None:
    """A case ends as the word in its attributes says: no word for anything else counts as passed."""
    word = word.strip("[]")
    assert endings(parse(f'<testsuite><testcase name="a" {key}=" {word} "/></testsuite>')) == {"a": ending}


@pytest.mark.parametrize(
    ("attributes", "ending"),
    [
        ('success="True" executed="True"', "passed"),
        ('success="False"', "failed"),
        ('passed="0"', "failed"),
        ('executed="false"', "skipped"),
        ('aborted="yes"', "failed"),
        ('aborted="0" skipped="false" timeout="30"', "passed"),
        ('disabled="true"', "skipped"),
        ('status="notrun" result="completed"', "skipped"),
    ],
)
def test_junit_flags(attributes: str, ending: str) -> None:
    """Attributes that say yes or no are heard, too, and the worst of all counts."""
    assert endings(parse(f'<testsuite><testcase name="a" {attributes}/></testsuite>')) == {"a": ending}


@pytest.mark.parametrize(
    ("element", "ending"),
    [
        ("<flakyFailure/><flakyError/><rerunFailure/><system-err>no</system-err><properties/>", "passed"),
        ("<aborted/>", "failed"),
        ("<timeout message='1'/>", "failed"),
        ("<assertionFailure/>", "failed"),
        ("<incomplete/>", "failed"),
        ("<ignored/>", "skipped"),
        ("<warning/>", "skipped"),
        ("<properties><property name='p' value='failed'/></properties>", "passed"),
        ("<x:failure xmlns:x='x'/>", "failed"),
    ],
)
def test_junit_elements_of_many_tools(element: str, ending: str) -> None:
    """A case ends as the elements inside it say, also by other names than those of the first JUnit reports."""
    assert endings(parse(f'<testsuite><testcase name="a">{element}</testcase></testsuite>')) == {"a": ending}


QT = "<properties><property name='QTestVersion' value='5.15.3'/></properties>"
FLAKY = "<testcase name='f'><flakyFailure/></testcase>"
A = "<testcase name='a'/>"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"<testsuite failures=' 3 '>{A}</testsuite>", "says that 3 tests failed, but shows 0"),
        (f"<testsuite failures='3.0'>{A}</testsuite>", "says that 3 tests failed, but shows 0"),
        (f"<testsuite aborted='1'>{A}</testsuite>", "says that 1 tests failed, but shows 0"),
        (f"<testsuite aborted='true'>{A}</testsuite>", "says that 1 tests failed, but shows 0"),
        (f"<testsuite failures='three'>{A}</testsuite>", "has failures='three', expected a number"),
        (f"<testsuite failures='-1'>{A}</testsuite>", "has failures='-1', expected a number"),
        (f"<testsuite name='s' result='Failure'>{A}</testsuite>", "suite 's' says that it failed, but shows nothing"),
        (f"<testsuite name='s' status='odd'>{A}</testsuite>", "suite 's' has status='odd'"),
        (f"<testsuites success='false'><testsuite>{A}</testsuite></testsuites>", "says that it failed, but"),
        (f"<testsuite><properties><property name='SuiteSucceeded' value='false'/></properties>{A}</testsuite>",
         "says that it failed, but shows nothing"),
        ("<testsuite><testcase name='a' status='purple'/></testsuite>", "test 'a' has status='purple', which says"),
        (f"<testsuite failures='1' errors='1'>{A}{FLAKY}</testsuite>",
         {"a": "passed", "f": "passed", "testsuite": "failed"}),
        (f"<testsuite failures='1'>{A}{FLAKY}</testsuite>", {"a": "passed", "f": "passed"}),
        (f"<testsuite passed='0' executed='0' skipped='1'>{A}</testsuite>", {"a": "passed"}),
        (f"<testsuite failed='1'>{A}{FLAKY}</testsuite>", {"a": "passed", "f": "passed"}),
        (f"<testsuite failures='' errors=' '>{A}</testsuite>", {"a": "passed"}),
        (f"<testsuite errors='2'>{A}</testsuite>", "says that 2 tests failed, but shows 0"),
        (f"<testsuite errors='2'>{QT}{A}</testsuite>", {"a": "passed"}),
        (f"<testsuite errors='2' failures='1'>{QT}{A}</testsuite>", "says that 1 tests failed, but shows 0"),
    ],
)  # fmt: skip
def test_junit_what_a_suite_says(text: str, found: str | dict[str, str]) -> None:
    """A suite that says that something did not pass has to show it. Reruns and Qt's messages explain its counts."""
    if isinstance(found, dict):
        assert endings(parse(text)) == found
    else:
        with pytest.raises(InvalidResultsError, match=found):
            parse(text)


NAMED = "<testsuite><testcase name='prix en été'/></testsuite>"


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [("ISO-8859-1", b""), ("windows-1252", b""), ("ISO-8859-15", b""), ("UTF-8", codecs.BOM_UTF8), ("utf-8", b""),
     ("UTF-16", b""), ("UTF-16LE", b""), ("UTF-16BE", b""), ("UTF-16LE", codecs.BOM_UTF16_LE),
     ("UTF-16BE", codecs.BOM_UTF16_BE), ("GB18030", b"")],
)  # fmt: skip
def test_junit_in_the_encoding_that_it_declares(encoding: str, mark: bytes) -> None:
    """A report is read in its own encoding, with and without a byte order mark."""
    text = f"<?xml version='1.0' encoding='{encoding}'?>{NAMED}"
    assert endings(parse(decode(mark + text.encode(encoding)))) == {"prix en été": "passed"}


def test_encodings_that_are_none() -> None:
    """An encoding that nobody knows is refused; one that its own letters contradict is not believed."""
    with pytest.raises(InvalidResultsError, match="its encoding is 'utf-7', which is not known"):
        decode(b"<?xml version='1.0' encoding='utf-7'?><testsuite/>")
    assert endings(parse(decode(f"<?xml version='1.0' encoding='UTF-16'?>{NAMED}".encode()))) == {
        "prix en été": "passed"
    }
    assert endings(parse(decode("--- PASS: TestA (0.00s)\r\nPASS\r\nok \tp\t0.1s\r\n".encode("utf-16")))) == {
        "p::TestA": "passed"
    }


@pytest.mark.parametrize(
    "declared",
    [
        "<!DOCTYPE testsuite>",
        '<!DOCTYPE testsuites SYSTEM "junit.dtd">',
        "<!-- a --><!DOCTYPE\n testsuite PUBLIC 'p' 'x.dtd'>",
    ],
)
def test_junit_a_document_type_that_declares_nothing(declared: str) -> None:
    """A document type is passed over, and nothing that it leads to is read."""
    assert endings(parse(f"<?xml version='1.0'?>{declared}<testsuite>{A}</testsuite>")) == {"a": "passed"}
    for text in (f"<testsuite>&x;{A}</testsuite>", "<testsuite><testcase name='a' status='&x;'/></testsuite>"):
        with pytest.raises(InvalidResultsError, match="undefined entity"):
            parse(f"<?xml version='1.0'?>{declared}{text}")


@pytest.mark.parametrize("inside", ['[<!ENTITY x "y">]', "[]", 'SYSTEM "a" [<!ENTITY % p SYSTEM "http://h/p"> %p;]'])
def test_junit_a_document_type_with_declarations(inside: str) -> None:
    """A document type with declarations is refused, whatever they are."""
    with pytest.raises(InvalidResultsError, match="document type"):
        parse(f"<?xml version='1.0'?><!DOCTYPE testsuite {inside}><testsuite>{A}</testsuite>")


def test_junit_a_case_in_a_case() -> None:
    """A case within another takes nothing of it away: both end as their own elements say."""
    case = '<testcase name="A"><failure>one</failure><testcase name="B"/><failure>two</failure></testcase>'
    assert [(case.id, case.outcome, case.output) for case in parse(f"<testsuite>{case}</testsuite>").cases] == [
        ("B", "passed", ""), ("A", "failed", "one\ntwo"),
    ]  # fmt: skip


FAILS = "--- FAIL: TestKnown (0.00s)\n    k_test.go:3: known\n"
TRACE = "panic: boom [recovered]\n\tpanic: boom\n\ngoroutine 18 [running]:\nmain.f()\n\t/a.go:3\nexit status 2\n"


@pytest.mark.parametrize(
    ("said", "more"),
    [
        (f"{FAILS}FAIL\nexit status 1\n", None),
        (f"{FAILS}FAIL\ncoverage: 20.0% of statements\nexit status 1\n", None),
        (f"{FAILS}tailFAIL\nexit status 1\n", None),
        (f"{FAILS}FAIL\ncleanup\n", None),
        (f"progress 10%{FAILS}FAIL\n", None),
        (f"{FAILS}{TRACE}", "it ended before all of its tests had run: panic: boom [recovered]"),
        (
            f"{FAILS}panic: test timed out after 3s\n\ngoroutine 1 [running]:\nexit status 2\n",
            "it ended before all of its tests had run: panic: test timed out after 3s",
        ),
        (f"{FAILS}2026/11/28 bye\nexit status 1\n", "it ended before all of its tests had run"),
        (f"{FAILS}FAIL\ncleanup\nexit status 5\n", "exit status 5"),
        (f"{FAILS}FAIL\npanic: teardown\n", "panic: teardown"),
        (
            f"{FAILS}testing: race detected outside of test execution\nFAIL\nexit status 1\n",
            "testing: race detected outside of test execution",
        ),
        (f"{FAILS}FAIL\nFound 1 data race(s)\nexit status 66\n", "Found 1 data race(s)"),
        (f"{FAILS}signal: killed\n", "it ended before all of its tests had run: signal: killed"),
        (
            f"{FAILS}*** Test killed with quit: ran too long (11m0s).\n",
            "it ended before all of its tests had run: *** Test killed with quit: ran too long (11m0s).",
        ),
    ],
)
@pytest.mark.parametrize("form", ["go", "gojson"])
def test_go_what_else_made_a_package_fail(form: str, said: str, more: str | None) -> None:
    """A package that fails for another reason than its failing test is a failing case of its own, in both formats."""
    text = f"{said}FAIL\tm/a\t0.1s\n"
    if form == "gojson":
        lines = [{"Action": "output", "Output": f"{line}\n"} for line in f"=== RUN   TestKnown\n{text}".splitlines()]
        events = [{"Action": "run", "Test": "TestKnown"}, *lines, {"Action": "fail"}]
        text = "\n".join(json.dumps({**event, "Package": "m/a"}) for event in events)
    cases = parse(text, form).cases
    assert [case.id for case in cases] == (["m/a::TestKnown", "m/a"] if more else ["m/a::TestKnown"])
    assert more is None or cases[-1].output.endswith(more)


@pytest.mark.parametrize(
    ("line", "ends"),
    [
        ("FAIL\tm/x [build failed]", {"m/x": "failed"}),
        ("FAIL\tm/x [setup failed]", {"m/x": "failed"}),
        ("FAIL m/x [setup failed]", {"m/x": "failed"}),
        ("# m/x\nx.go:3:2: undefined: y", {"m/x": "failed"}),
        ("# m/x [m/x.test]\nx.go:3:2: undefined: y\nFAIL\tm/x [build failed]\nFAIL", {"m/x": "failed"}),
        ("# m/dep\ndep.go:3:2: undefined: y\nFAIL\tm/x [build failed]", {"m/x": "failed"}),
        ("# cgo/x\nx.c:3: warning: unused\n\tint y;", {}),
        ("?   \tm/x\t[no test files]\nok  \tm/y\t(cached)\n\tm/z\t\tcoverage: 0.0% of statements", {}),
    ],
)
@pytest.mark.parametrize("last", [True, False])
def test_go_json_plain_text_between_the_events(line: str, ends: dict[str, str], last: bool) -> None:
    """A package that could not be built is a failing one, also where plain text says so (before Go 1.24)."""
    passes = '{"Action":"run","Package":"m/a","Test":"TestA"}\n{"Action":"pass","Package":"m/a","Test":"TestA"}'
    passes += '\n{"Action":"pass","Package":"m/a"}'
    results = parse(f"{passes}\n{line}\n" if last else f"{line}\n{passes}\n")
    assert (endings(results), results.stray) == ({"m/a::TestA": "passed", **ends}, "")


def test_go_json_a_fail_that_nothing_shows() -> None:
    """The FAIL of the whole run without anything that failed is a cut off output."""
    with pytest.raises(InvalidResultsError, match="says FAIL, but shows nothing that fails"):
        parse('{"Action":"pass","Package":"m/a"}\nFAIL\n')


@pytest.mark.parametrize(
    ("printed", "package", "ending"),
    [
        ("x--- PASS: TestA (0.00s)", "pass", "passed"),
        ("x--- SKIP: TestA (0.00s)", "pass", "skipped"),
        ("x", "pass", "passed"),
        ("x--- FAIL: TestA (0.00s)", "pass", "passed"),
        ("x--- PASS: TestA (0.00s)", "fail", "passed"),
        ("x--- FAIL: TestA (0.00s)", "fail", "failed"),
        ("x", "fail", "failed"),
    ],
)
def test_go_json_a_test_without_an_end(printed: str, package: str, ending: str) -> None:
    """A test whose end is hidden behind what it printed ends as its package says, or as is printed."""
    events = [{"Action": "run", "Test": "TestA"}, {"Action": "output", "Test": "TestA", "Output": f"{printed}\n"},
              {"Action": package}]  # fmt: skip
    results = parse("\n".join(json.dumps({**event, "Package": "p"}) for event in events))
    assert results.cases[0].outcome == ending


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("# Subtest: p\n    ok 1 - a\n    not ok 2 - b\n    1..2\nok 1 - p\n1..1\n", {"p": "failed"}),
        ("    ok 1 - a\n    not ok 2 - b # TODO later\n    1..2\nok 1 - p\n1..1\n", {"p": "passed"}),
        ("    ok 1 - a\n    1..3\nok 1 - p\n1..1\n", {"p": "failed"}),
        ("    not ok 1 - a\n    1..1\nok 1 - p # TODO later\n1..1\n", {"p": "passed"}),
        ("ok 1 - p {\n    not ok 1 - a\n    1..1\n}\nok 2 - q {\n    ok 1 - a\n    1..1\n}\n1..2\n",
         {"p": "failed", "q": "passed"}),
        ("        not ok 1 - c\n        1..1\n    ok 1 - b\n    1..1\nok 1 - p\n1..1\n", {"p": "failed"}),
        ("not ok 1 - p\n  ---\n  wanted: |\n    not ok 1 - in YAML\n    1..7\n    Bail out!\n  ...\nok 2 - q\n1..2\n",
         {"p": "failed", "q": "passed"}),
        ("ok 1 - handles Bail out! lines\n# Bail out! is a word\n1..1\n", {"handles Bail out! lines": "passed"}),
        ("ok 1 - p\n1..1\n# tests 1\n# pass 1\n# fail 0\n", {"p": "passed"}),
    ],
)  # fmt: skip
def test_tap_subtests(text: str, ends: dict[str, str]) -> None:
    """A test whose subtests did not all pass, or come, has failed, whatever it says itself."""
    assert endings(parse(text, "tap")) == ends


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1..2\nok 1\nprogress 100%not ok 2 - a\n", "2 tests were planned, but 1 came"),
        ("1..2\nok 1\nprogress 100%Bail out! no database\nok 2\n", "the tests gave up"),
        ("ok 1\n1..1\n# fail 1\n", "says that 1 tests failed, but shows none"),
        ("ok 1\n1..1\n# Looks like your test exited with 2 just after 1.\n", "Looks like your test exited with 2"),
        ("1..1\nok 1\n    not ok 1 - a\n", "cut off behind subtests"),
        ("    1..1\n" * 2, "two plans"),
    ],
)
def test_tap_that_contradicts_itself(text: str, why: str) -> None:
    """A line that says that something did not pass is not passed over, wherever it stands."""
    with pytest.raises(InvalidResultsError, match=why):
        parse(text, "tap")


def test_go_json_the_worst_run_counts() -> None:
    """Of a test that runs more than once, in whatever order, the run that failed counts; one that never ended has."""
    event = '{"Action":"%s","Package":"p","Test":"%s","Elapsed":0.5}'
    runs = [("F", "fail"), ("F", "pass"), ("P", "pass"), ("P", "skip"), ("N", "pass"), ("N", None)]
    lines = [line for test, end in runs for line in (event % ("run", test), event % (end, test) if end else "")]
    results = parse("\n".join([*lines, '{"Action":"fail","Package":"p"}']))
    assert [(case.id, case.outcome, case.duration) for case in results.cases] == [
        ("p::F", "failed", 1.0), ("p::P", "passed", 1.0), ("p::N", "failed", 0.5),
    ]  # fmt: skip


@pytest.mark.parametrize("ending", ["pass", "fail"])
def test_go_json_benchmarks(ending: str) -> None:
    """A benchmark, of which no end is told, ends as its package does."""
    events = [
        {"Action": "start"},
        {"Action": "run", "Test": "BenchmarkSum"},
        {"Action": "output", "Test": "BenchmarkSum", "Output": "BenchmarkSum-2 \t1000\t 0.29 ns/op\n"},
        {"Action": ending},
    ]
    results = parse("\n".join(json.dumps({**event, "Package": "p"}) for event in events))
    assert [(case.id, case.outcome) for case in results.cases] == [("p::BenchmarkSum", f"{ending}ed")]
    assert not any("never ended" in case.output for case in results.cases)


def test_go_json_a_line_that_is_no_event() -> None:
    """A line that is no event is kept as one that may explain a failure, but for what `go` and `make` always write."""
    first, _, rest = GO_JSON.partition("\n")
    harmless = "go test -json ./...\ngo: downloading a v1\nmake: *** [test] Error 1"
    assert parse(f"{harmless}\n{first}\n{rest}") == parse(GO_JSON)
    strange = '{"level": "error", "msg": "no disk"}'
    assert parse(f"{first}\n{strange}\n{rest}").stray == strange
    assert parse(f'{first}\nno line break{{"Action":"pause","Package":"m/a"}}\n{rest}').stray == "no line break"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"Action":"fail","Package":"m/a","Te', "line 2: an event is cut off"),
        ('{"Action":"fail","Pack{"Action":"pass","Package":"m/a"}', "line 2: an event is cut off"),
        ('{"Action":"explode","Package":"m/a"}', "line 2: the action 'explode' is not known"),
    ],
)
def test_go_json_an_event_that_is_not_understood(line: str, why: str) -> None:
    """An event that is cut off, torn by another, or new is not passed over."""
    first, _, rest = GO_JSON.partition("\n")
    with pytest.raises(InvalidResultsError, match=why):
        parse(f"{first}\n{line}\n{rest}")


BUILD_FAILS = """{"ImportPath":"m/d [m/d.test]","Action":"build-output","Output":"d.go:3:1: syntax error\\n"}
{"ImportPath":"m/d [m/d.test]","Action":"build-fail"}
{"Action":"start","Package":"m/a"}
{"Action":"run","Package":"m/a","Test":"TestA"}
{"Action":"pass","Package":"m/a","Test":"TestA"}
{"Action":"pass","Package":"m/a"}
"""


@pytest.mark.parametrize(
    ("more", "failing"),
    [
        ("", {"m/d": "d.go:3:1: syntax error\n(it never ended)"}),
        ('{"Action":"fail","Package":"m/d"}', {"m/d": "d.go:3:1: syntax error"}),
        ('{"Action":"output","Package":"m/b","Output":"FAIL"}\n'
         '{"Action":"fail","Package":"m/b","FailedBuild":"m/d [m/d.test]"}', {"m/b": "FAIL"}),
    ],
    ids=["alone", "its package", "another"],
)  # fmt: skip
def test_go_json_a_build_that_fails(more: str, failing: dict[str, str]) -> None:
    """A build that fails is a failing package: the one that could not be tested for it, or else its own."""
    cases = parse(BUILD_FAILS + more).cases
    assert {case.id: case.output for case in cases if case.outcome == "failed"} == failing


def test_long_outputs_are_cut() -> None:
    """What a test said is kept from its end, up to a size."""
    text = f"<testsuite><testcase name='a'><failure>{'x' * 100_000}</failure></testcase></testsuite>"
    assert len(parse(text).cases[0].output) < 3000


def test_leaves() -> None:
    """A test whose subtest fails says nothing of its own; one whose name only begins alike does."""
    cases = [CaseResult("p", name, "failed", subtest="/" in name) for name in ("A", "A/b", "A/b/c", "AB")]
    assert [case.name for case in leaf_failures(cases)] == ["A/b/c", "AB"]


@pytest.mark.parametrize(
    "text",
    [
        '<testsuite><testcase classname="api" name="GET /users"><failure/></testcase>'
        '<testcase classname="api" name="GET /users/:id"><failure/></testcase></testsuite>',
        "1..2\nnot ok 1 - GET /users\nnot ok 2 - GET /users/:id\n",
    ],
    ids=["junit", "tap"],
)
def test_slashes_are_subtests_in_go_alone(text: str) -> None:
    """In formats that know no subtests a slash is a letter as any other: both tests fail."""
    assert [case.name for case in leaf_failures(parse(text).cases)] == ["GET /users", "GET /users/:id"]


TABLE = """# Quarantine

| test id | owner | reason | expires |
|---|---|---|---|
| `a::b[x]` | team | one \\| two | 2030-01-31 |
| pkg | me | slow | 2030-02-28 |

| other | table |
|---|---|
| 1 | 2 |
"""
YAML = """
- {test: "a::b[x]", owner: team, reason: one | two, expires: 2030-01-31}
- {test: pkg, owner: me, reason: slow, expires: "2030-02-28", issue: "412"}
"""


BARE = """test id | owner | reason | expires
--|:-:|--|--
a::b[x] | team | one \\| two | 2030-01-31
pkg | me | slow | 2030-02-28
"""
HIDDEN = """
<!--
| test | owner | reason | expires |
|---|---|---|---|
| old | me | gone | 2030-01-31 |
-->

```
| test | owner | reason | expires |
|---|---|---|---|
| example | me | shown | 2030-01-31 |
```
"""


@pytest.mark.parametrize(
    ("text", "name"),
    [(TABLE, "Q.md"), (TABLE + HIDDEN, "Q.md"), (BARE, "Q.md"), (YAML, "q.yml"), ("quarantine:" + YAML, "q.yaml")],
)
def test_quarantine(text: str, name: str) -> None:
    """A Markdown table, with or without outer bars, and a YAML list say the same; comments and code say nothing."""
    found = [(entry.test, entry.owner, entry.reason, entry.expires) for entry in parse_quarantine(text, name)]
    assert found == [("a::b[x]", "team", "one | two", date(2030, 1, 31)), ("pkg", "me", "slow", date(2030, 2, 28))]


@pytest.mark.parametrize(
    ("text", "name", "why"),
    [
        ("- {test: a, owner: b, reason: c}", "q.yml", "entry 1: key 'expires' is missing"),
        ("- {test: a, owner: '', reason: c, expires: 2030-01-31}", "q.yml", "entry 1: owner"),
        ("- {test: a, owner: b, reason: c, expires: soon}", "q.yml", "expected a day"),
        ("- {test: a, owner: b, reason: c, expires: 2030-01-31, x: 1}", "q.yml", "entry 1: unknown key 'x'"),
        (YAML + YAML, "q.yml", "stands twice"),
        ("a: [", "q.yml", "not valid YAML"),
        ("just text", "q.yml", "expected a list"),
        ("| test | owner | reason |\n|---|---|---|\n| a | b | c |", "q.md", "no column 'expires'"),
        (
            "| Name | Owner | Reason | Expires |\n|---|---|---|---|\n| a | b | c | 2030-01-31 |",
            "q.md",
            "no column 'test'",
        ),
        ("# Q\n\n| Name | Who |\n|---|---|\n| a | b |", "q.md", "line 3: no table has the columns test, owner"),
        ("tests:" + YAML, "q.yml", "expected the key 'quarantine' alone, got tests"),
        ("quarantine: []\nquarantine:" + YAML, "q.yml", "line 2: the key 'quarantine' stands twice"),
        (
            "- test: a\n  owner: b\n  reason: c\n  expires: 2030-01-31\n  expires: 2040-01-31",
            "q.yml",
            "line 5: the key 'expires' stands twice",
        ),
        (
            "| test | owner | reason | expires |\n|---|---|---|---|\n| a | | c | 2030-01-31 |",
            "q.md",
            "line 3: key 'owner' is missing",
        ),
    ],
)
def test_no_quarantine(text: str, name: str, why: str) -> None:
    """An entry without an owner, a reason or a day is refused, with its place."""
    with pytest.raises(InvalidQuarantineError, match=why):
        parse_quarantine(text, name)


def test_an_empty_quarantine() -> None:
    """No entry is no error."""
    assert parse_quarantine("", "q.yml") == []
    assert parse_quarantine("# Nothing here\n", "q.md") == []
