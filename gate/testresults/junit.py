"""JUnit XML, as test programs of many languages write it (https://github.com/testmoapp/junitxml).

It is read by expat's events and without a document type: entities can't expand, and nothing is fetched.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from xml.parsers import expat

from msgspec import Struct, field

from gate.secrets import known
from gate.testresults.results import OUTPUT_LIMIT, Case, Ending, NotResults, Results, ending_of

_SUITES = ("testsuite", "testsuites")
_BROKEN = ("failure", "error")
_SAID: dict[str, Ending] = {
    **dict.fromkeys(("notrun", "disabled", "suppressed", "skipped", "ignored"), "skipped"),
    **dict.fromkeys(("fail", "failed", "failure", "error", "errored", "broken"), "failed"),
}  # fmt: skip
"""What `status` and `result` of a case may say beside its elements."""
_TEXTS = (*_BROKEN, "system-out", "system-err")
_DEPTH = 200
_SAID_LIMIT = 8 * OUTPUT_LIMIT


def looks_like(text: str) -> bool:
    """Whether it begins as XML does."""
    head = text.lstrip("\ufeff \t\r\n")[:200]
    return head.startswith(("<?xml", "<testsuite"))


def parse(text: str) -> Results:
    """The cases of all suites. Raises NotResults."""
    reader = _Reader()
    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = _no_document_type
    try:
        parser.Parse(text.lstrip("\ufeff").encode("utf-8", "replace"), True)
    except expat.ExpatError as error:
        raise NotResults(f"line {error.lineno}: it is no XML: {expat.ErrorString(error.code)}") from None
    if not reader.is_junit:
        raise NotResults("it is XML, but no JUnit report: there is no <testsuite>")
    return Results(tuple(reader.cases), reader.written)


def _no_document_type(*declared: Any) -> None:
    raise NotResults("it has a document type, which no JUnit report needs")


class _Open(Struct):
    """A case whose element has not ended: its attributes, how it ends as far as is known, and what it said.

    `broken` is how often it says that it broke: some tools count that, and not the cases.
    """

    attributes: dict[str, str]
    ending: Ending = "passed"
    error: bool = False
    broken: int = 0
    said: list[str] = field(default_factory=list)
    size: int = 0

    def add(self, text: str) -> None:
        """More of its output, up to a size."""
        if self.size < _SAID_LIMIT:
            self.said.append(text)
            self.size += len(text)

    @property
    def output(self) -> str:
        """What it said; where it was cut, without the part of a secret at its end."""
        said = "".join(self.said)
        return known().beginning(said) if self.size >= _SAID_LIMIT else said

    def ends(self, ending: Ending) -> None:
        """What an element or an attribute says of its end; failed is not taken back."""
        self.ending = "failed" if "failed" in (self.ending, ending) else ending


class _Suite(Struct, frozen=True):
    """A suite that has not ended: what it says of itself, and how many cases and failures came before it."""

    title: str
    tests: int
    failed: int
    before: int
    failed_before: int


class _Reader:
    """Makes cases of elements."""

    def __init__(self) -> None:
        self.cases: list[Case] = []
        self.failed = 0
        self.is_junit = False
        self.written: datetime | None = None
        self.path: list[str] = []
        self.open: list[_Open] = []
        self.suites: list[_Suite] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        self.path.append(name)
        if len(self.path) > _DEPTH:
            raise NotResults("its elements are nested too deeply")
        if name in _SUITES:
            self.is_junit = True
            self._suite(attributes)
        elif name == "testcase":
            self._case(attributes)
        elif name in (*_BROKEN, "skipped"):
            self._ending(name, attributes)

    def text(self, data: str) -> None:
        if self.open and self.path[-1] in _TEXTS:
            self.open[-1].add(data)

    def end(self, name: str) -> None:
        name = self.path.pop()
        if name == "testcase" or (name in _BROKEN and self.open and self.path[-1] in _SUITES):
            self._finish(self.open.pop())
        elif name in _SUITES:
            self._end_suite(self.suites.pop())

    def _suite(self, attributes: dict[str, str]) -> None:
        failed = sum(_whole(attributes.get(key, "0")) for key in ("failures", "errors"))
        tests = _whole(attributes.get("tests", "0"))
        self.suites.append(_Suite(attributes.get("name", ""), tests, failed, len(self.cases), self.failed))
        found = _time(attributes.get("timestamp", ""))
        if found and (self.written is None or found > self.written):
            self.written = found

    def _end_suite(self, suite: _Suite) -> None:
        """A suite that says of itself that more failed than it shows has failed, or is not whole where it shows none.

        How many tests it says it has is no measure: tools count assertions and subtests there.
        """
        shown, count = self.failed - suite.failed_before, len(self.cases) - suite.before
        told = f"suite '{suite.title}' says that {suite.failed} tests failed, but shows {shown}"
        if suite.failed and not shown:
            raise NotResults(told)
        if suite.tests and not count:
            raise NotResults(f"suite '{suite.title}' says that it has {suite.tests} tests, but shows none")
        if suite.failed > shown:
            self.cases.append(Case(suite.title or "testsuite", "", "failed", output=told))
            self.failed += suite.failed - shown

    def _case(self, attributes: dict[str, str]) -> None:
        """A case. One without a name is all of its class, or else of its suite: tools say so that a class broke."""
        if not attributes.get("name") and not attributes.get("classname"):
            title = next((suite.title for suite in reversed(self.suites) if suite.title), "")
            if not title:
                raise NotResults("a <testcase> has no name")
            attributes = {**attributes, "classname": title}
        made = _Open(attributes)
        for key in ("status", "result"):
            made.ends(_SAID.get(attributes.get(key, "").lower(), made.ending))
        self.open.append(made)

    def _ending(self, name: str, attributes: dict[str, str]) -> None:
        """A case's end, or that of a suite that broke outside of its cases: it is a case of its own."""
        if name in _BROKEN and self.path[-2:-1] and self.path[-2] in _SUITES:
            self.open.append(_Open({"classname": self.suites[-1].title or "testsuite"}))
        if self.open:
            self.open[-1].ends("failed" if name in _BROKEN else "skipped")
            self.open[-1].error |= name == "error"
            self.open[-1].broken += name in _BROKEN
            self.open[-1].add(attributes.get("message", "") + "\n")

    def _finish(self, case: _Open) -> None:
        """Ends a case. One with an error and without a class is a group: pytest's module that can't be imported."""
        group, name = case.attributes.get("classname", ""), case.attributes.get("name", "")
        if case.error and not group:
            group, name = name, ""
        self.failed += max(case.broken, case.ending == "failed")
        self.cases.append(
            Case(
                group=group,
                name=name,
                ending=case.ending,
                took=_seconds(case.attributes.get("time", "")),
                output=ending_of(case.output) if case.ending == "failed" else "",
                file=case.attributes.get("file", ""),
                line=_whole(case.attributes.get("line", "")) or None,
            )
        )


def _whole(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else 0


def _seconds(text: str) -> float:
    try:
        value = float(text.replace(",", ""))
    except ValueError:
        return 0.0
    return value if 0 <= value < 1e9 else 0.0


def _time(text: str) -> datetime | None:
    """A time that a suite tells. The beginning of 1970 is none: tools write it where a suite never began."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return found if found.timestamp() else None
