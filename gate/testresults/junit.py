"""Parse JUnit XML, as test programs of many languages write it (https://github.com/testmoapp/junitxml).

A document type is accepted only without declarations of its own: entities cannot expand, and nothing is fetched.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, NoReturn
from xml.parsers import expat

from msgspec import Struct, field

from gate.redaction.secrets import default_redactor, redacted_head
from gate.testresults.base import (
    OUTPUT_LIMIT,
    CaseOutcome,
    CaseResult,
    InvalidResultsError,
    Results,
    StillTime,
    output_tail,
)

_SEVERITY: tuple[CaseOutcome, ...] = ("passed", "skipped", "failed")
_SUITES = ("testsuite", "testsuites")
_BROKEN = ("failure", "error")
# Attempts besides the one that counts: Surefire and Gradle may count them in `failures`, too.
_RERUNS = frozenset({"flakyfailure", "flakyerror", "rerunfailure", "rerunerror", "rerun"})
# The outcome of a case or a suite, by the words of GoogleTest, Bazel, CTest, Qt Test, Ginkgo, behave, Pester, TestNG,
# NUnit, MSTest, Allure, Jenkins, Katalon and others: small letters, without spaces, hyphens and underscores.
# GoogleTest's `run` and `completed` say only that it ran; the elements inside say how it ended.
_WORDS: dict[str, CaseOutcome] = {
    **dict.fromkeys((
        "", "run", "ran", "executed", "completed", "complete", "finished", "done", "pass", "passed", "passing", "ok",
        "success", "successful", "succeeded", "true", "yes", "fixed", "flaky", "bpass",
    ), "passed"),
    **dict.fromkeys((
        "skip", "skipped", "notrun", "notexecuted", "disabled", "suppressed", "ignore", "ignored", "pending", "todo",
        "filtered", "excluded", "explicit", "untested", "deselected", "notapplicable", "unsupported", "inconclusive",
        "expectedfail", "expectedfailure", "xfail", "xfailed", "knownissue", "warning", "pendingwarn",
        "bskip", "bxfail", "assumptionfailed", "assumptionviolated",
    ), "skipped"),
    **dict.fromkeys((
        "fail", "failed", "failure", "failing", "error", "errored", "broken", "false", "no", "timeout", "timedout",
        "abort", "aborted", "interrupted", "cancelled", "canceled", "panic", "panicked", "crash", "crashed", "killed",
        "hung", "stopped", "terminated", "undefined", "ambiguous", "unknown", "invalid", "notrunnable", "xpass",
        "xpassed", "unexpectedpass", "unexpectedsuccess", "upass", "bfail", "bxpass", "risky", "regression", "unstable",
        "incomplete", "started", "running", "inprogress", "executing", "created", "blocked", "disconnected",
        "unresolved", "unsuccessful", "passedbutrunaborted", "successpercentagefailure", "lost", "exception",
    ), "failed"),
}  # fmt: skip
_BAD_STEMS = re.compile(r"fail|error|abort|time[d]?out|crash|panic|interrupt|exception|broken|cancel|kill")
# Attributes that hold one of these words.
_VERDICTS = ("status", "result", "outcome", "state")
# Attributes with yes, no or a number, and the outcome if the value is not that of a test that passed.
_FLAGS: dict[str, CaseOutcome] = {
    **dict.fromkeys(("success", "successful", "passed", "failed", "errored", "broken", "aborted", "crashed", "timedout",
                     "interrupted", "cancelled", "canceled"), "failed"),
    **dict.fromkeys(("executed", "skipped", "ignored", "disabled"), "skipped"),
}  # fmt: skip
_GOOD_FLAGS = ("success", "successful", "passed", "executed")
_YES, _NO = ("true", "yes"), ("false", "no")
# Attributes of a suite that count what did not pass. Each group may count the same cases again.
_COUNTS = (
    ("failures", "errors"),
    ("failed",),
    ("aborted", "crashed", "timedout", "timeouts", "interrupted", "panicked", "cancelled", "unsuccessful", "invalid"),
)
_NUMBER = re.compile(r"\+?([0-9]{1,9})(?:\.0+)?")
# A document type without declarations of its own, and the text before it.
_DOCTYPE = re.compile(r"((?:(?><\?.*?\?>)|(?><!--.*?-->)|\s)*+)(<!DOCTYPE\s[^\[\]<>]*>)", re.DOTALL)
_CHUNK = 1024 * 1024
_TEXTS = (*_BROKEN, "system-out", "system-err")
_DEPTH = 200
_SAID_LIMIT = 8 * OUTPUT_LIMIT


def looks_like(text: str) -> bool:
    """Return True if the text begins like XML."""
    head = text.lstrip("\ufeff \t\r\n")[:200]
    return head.startswith(("<?xml", "<!DOCTYPE", "<!--", "<testsuite"))


def parse(text: str, still_time: StillTime = lambda: None) -> Results:
    """Return the cases of all suites. Raise InvalidResultsError if a case has an unknown outcome."""
    reader = _Reader()
    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = _refuse_document_type
    # Without the declaration an entity that it would have named is an error, also in an attribute.
    text = text.lstrip("\ufeff \t\r\n")
    if declared := _DOCTYPE.match(text):
        text = declared[1] + "\n" * declared[2].count("\n") + text[declared.end() :]
    try:
        for start in range(0, len(text), _CHUNK):
            still_time()
            parser.Parse(text[start : start + _CHUNK].encode("utf-8", "replace"), False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise InvalidResultsError(f"line {error.lineno}: not valid XML: {expat.ErrorString(error.code)}") from None
    if not reader.is_junit:
        raise InvalidResultsError("it is XML, but not a JUnit report: there is no <testsuite>")
    return Results(tuple(reader.cases), reader.timestamp)


def _refuse_document_type(*declared: Any) -> NoReturn:
    raise InvalidResultsError("its document type has declarations; remove them")


def _verdict(attributes: dict[str, str], subject: str, *, counts: bool) -> CaseOutcome:
    """Return the outcome that the attributes of a case or a suite state.

    `counts`: a number in a flag counts attempts, as in a case. In a suite it counts cases. Raise InvalidResultsError
    for an unknown word.
    """
    outcomes: list[CaseOutcome] = ["passed"]
    for name, value in attributes.items():
        key = _word(name.rpartition(":")[2])
        if key in _VERDICTS:
            outcomes.append(_outcome_of_word(value, f"{subject} has {name}='{redacted_head(value, 50)}'"))
        elif key in _FLAGS and _is_against(key, _word(value), counts=counts):
            outcomes.append(_FLAGS[key])
    return max(outcomes, key=_SEVERITY.index)


def _is_against(key: str, value: str, *, counts: bool) -> bool:
    """Return True if a flag states that the test did not pass."""
    count = int(value) if counts and value.isdecimal() and len(value) < 10 else None
    if key in _GOOD_FLAGS:
        return value in _NO or count == 0
    return value in _YES or bool(count)


def _outcome_of_word(value: str, what: str) -> CaseOutcome:
    word = _word(value)
    if word in _WORDS:
        return _WORDS[word]
    if _BAD_STEMS.search(word):
        return "failed"
    raise InvalidResultsError(f"{what}, which says neither that it passed nor that it did not")


def _word(text: str) -> str:
    return "".join(text.lower().split()).replace("-", "").replace("_", "")


class _PendingCase(Struct):
    """A case whose element has not ended: its attributes, its outcome so far, and its output.

    `broken` counts its failures and errors: some tools count those instead of cases.
    """

    attributes: dict[str, str]
    outcome: CaseOutcome = "passed"
    error: bool = False
    broken: int = 0
    output_parts: list[str] = field(default_factory=list)
    size: int = 0

    def add(self, text: str) -> None:
        """Add more of its output, up to a size."""
        if self.size < _SAID_LIMIT:
            self.output_parts.append(text)
            self.size += len(text)

    @property
    def output(self) -> str:
        """Return its output; if it was cut, without the part of a secret at its end."""
        output = "".join(self.output_parts)
        return default_redactor().redact_head(output) if self.size >= _SAID_LIMIT else output

    def add_outcome(self, outcome: CaseOutcome) -> None:
        """Take in an outcome: the worst counts."""
        self.outcome = max(self.outcome, outcome, key=_SEVERITY.index)


class _Suite(Struct):
    """A suite whose element has not ended, with the numbers of cases, failures and reruns before it."""

    title: str
    attributes: dict[str, str]
    before: int
    failed_before: int
    reruns_before: int
    broke: bool
    counts_messages: bool = False

    @property
    def failed(self) -> int:
        """Return how many cases failed according to its attributes."""
        # Qt Test counts the messages that it logged as `errors`.
        skipped = ("errors",) if self.counts_messages else ()
        return max(sum(self.count(key) for key in group if key not in skipped) for group in _COUNTS)

    def count(self, key: str) -> int:
        """Return the number in an attribute. Raise InvalidResultsError if it is not a number."""
        text = self.attributes.get(key, "").strip()
        match = _NUMBER.fullmatch(text)
        if not match and text and text.lower() not in (*_YES, *_NO):
            raise InvalidResultsError(f"suite '{self.title}' has {key}='{redacted_head(text, 50)}', expected a number")
        return int(match[1]) if match else int(text.lower() in _YES)


class _Reader:
    """A handler of XML elements that collects cases."""

    def __init__(self) -> None:
        self.cases: list[CaseResult] = []
        self.failed = 0
        self.reruns = 0
        self.is_junit = False
        self.timestamp: datetime | None = None
        self.path: list[str] = []
        self.open: list[_PendingCase] = []
        self.suites: list[_Suite] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        self.path.append(name)
        if len(self.path) > _DEPTH:
            raise InvalidResultsError("its elements are nested too deeply")
        if name in _SUITES:
            self.is_junit = True
            self._suite(attributes)
        elif name == "testcase":
            self._case(attributes)
        elif name == "property" and self.suites and not self.open:
            self._property(attributes)
        else:
            self._outcome(name, attributes)

    def text(self, data: str) -> None:
        if self.open and (self.path[-1] in _TEXTS or self._outcome_of_element(self.path[-1]) == "failed"):
            self.open[-1].add(data)

    def end(self, name: str) -> None:
        name = self.path.pop()
        if name == "testcase" or (name in _BROKEN and self.open and self.path[-1] in _SUITES):
            self._finish(self.open.pop())
        elif name in _SUITES:
            self._end_suite(self.suites.pop())

    def _suite(self, attributes: dict[str, str]) -> None:
        title = attributes.get("name", "")
        failed = _verdict(attributes, f"suite '{title}'", counts=False) == "failed"
        self.suites.append(_Suite(title, attributes, len(self.cases), self.failed, self.reruns, failed))
        timestamp = _time(attributes.get("timestamp", ""))
        if timestamp and (self.timestamp is None or timestamp > self.timestamp):
            self.timestamp = timestamp

    def _property(self, attributes: dict[str, str]) -> None:
        """Read the properties in which Qt Test and Ginkgo describe a suite."""
        name, value = attributes.get("name"), attributes.get("value", "")
        self.suites[-1].counts_messages |= name == "QTestVersion"
        self.suites[-1].broke |= name == "SuiteSucceeded" and _word(value) in _NO

    def _end_suite(self, suite: _Suite) -> None:
        """Add a failing case if a suite states more failures than it shows; reject it if it shows none."""
        # `tests` is not compared with the number of cases: tools count assertions and subtests there.
        shown = self.failed - suite.failed_before
        explained = shown + self.reruns - suite.reruns_before
        mismatch = f"suite '{suite.title}' says that {suite.failed} tests failed, but shows {shown}"
        if suite.failed and not explained:
            raise InvalidResultsError(mismatch)
        if suite.broke and not shown:
            raise InvalidResultsError(f"suite '{suite.title}' says that it failed, but shows nothing that does")
        if (tests := suite.count("tests")) and len(self.cases) == suite.before:
            raise InvalidResultsError(f"suite '{suite.title}' says that it has {tests} tests, but shows none")
        if suite.failed > explained:
            self.cases.append(CaseResult(suite.title or "testsuite", "", "failed", output=mismatch))
            self.failed += suite.failed - explained

    def _case(self, attributes: dict[str, str]) -> None:
        """Begin a case. A case without a name stands for its class or its suite as a whole."""
        if not attributes.get("name") and not attributes.get("classname"):
            title = next((suite.title for suite in reversed(self.suites) if suite.title), "")
            if not title:
                raise InvalidResultsError("a <testcase> has no name")
            attributes = {**attributes, "classname": title}
        name = attributes.get("name") or attributes["classname"]
        self.open.append(
            _PendingCase(attributes, _verdict(attributes, f"test '{redacted_head(name, 100)}'", counts=True))
        )

    def _outcome_of_element(self, name: str) -> CaseOutcome | None:
        """Return the outcome of a case with such an element; None if the element states none."""
        word = _word(name)
        if name in (*_BROKEN, "skipped"):
            return "skipped" if name == "skipped" else "failed"
        if word in _RERUNS or self.path[-2:-1] != ["testcase"]:
            return None
        return _WORDS.get(word) or ("failed" if _BAD_STEMS.search(word) else None)

    def _outcome(self, name: str, attributes: dict[str, str]) -> None:
        """Read the outcome that an element states. A failure outside of the cases becomes a case."""
        self.reruns += _word(name) in _RERUNS
        outcome = self._outcome_of_element(name)
        if outcome is None:
            return
        if name in _BROKEN and self.path[-2:-1] and self.path[-2] in _SUITES:
            self.open.append(_PendingCase({"classname": self.suites[-1].title or "testsuite"}))
        if self.open:
            self.open[-1].add_outcome(outcome)
            self.open[-1].error |= name == "error"
            self.open[-1].broken += name in _BROKEN
            self.open[-1].add(attributes.get("message", "") + "\n")

    def _finish(self, case: _PendingCase) -> None:
        """End a case. An error without a class is a group: pytest's module that cannot be imported."""
        group, name = case.attributes.get("classname", ""), case.attributes.get("name", "")
        if case.error and not group:
            group, name = name, ""
        self.failed += max(case.broken, case.outcome == "failed")
        self.cases.append(
            CaseResult(
                group=group,
                name=name,
                outcome=case.outcome,
                duration=_seconds(case.attributes.get("time", "")),
                output=output_tail(case.output) if case.outcome == "failed" else "",
                file=case.attributes.get("file", ""),
                line=_line(case.attributes.get("line", "")),
            )
        )


def _line(text: str) -> int | None:
    return int(text) or None if text.isdecimal() and len(text) < 10 else None


def _seconds(text: str) -> float:
    try:
        value = float(text.replace(",", ""))
    except ValueError:
        return 0.0
    return value if 0 <= value < 1e9 else 0.0


def _time(text: str) -> datetime | None:
    """Return the time in an attribute, or None."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    # Tools write the beginning of 1970 for a suite that never began.
    return time if time.timestamp() else None
