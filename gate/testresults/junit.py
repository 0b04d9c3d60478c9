"""JUnit XML, as test programs of many languages write it (https://github.com/testmoapp/junitxml).

It is read by expat's events and without a document type: entities can't expand, and nothing is fetched.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from xml.parsers import expat

from gate.secrets import known
from gate.testresults.results import OUTPUT_LIMIT, Case, Ending, NotResults, Results, ending_of

_BROKEN = ("failure", "error")
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


class _Reader:
    """Makes cases of elements."""

    def __init__(self) -> None:
        self.cases: list[Case] = []
        self.is_junit = False
        self.written: datetime | None = None
        self.path: list[str] = []
        self.case: dict[str, str] | None = None
        self.ending: Ending = "passed"
        self.said: list[str] = []
        self.said_size = 0
        self.suites: list[tuple[str, int, int]] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        self.path.append(name)
        if len(self.path) > _DEPTH:
            raise NotResults("its elements are nested too deeply")
        if name in ("testsuite", "testsuites"):
            self.is_junit = True
        if name == "testsuite":
            self._suite(attributes)
        elif name == "testcase":
            self.case, self.ending, self.said, self.said_size = attributes, "passed", [], 0
        elif self.case is not None and name in (*_BROKEN, "skipped"):
            self.ending = "failed" if name in _BROKEN or self.ending == "failed" else "skipped"
            self._say(attributes.get("message", "") + "\n")

    def text(self, data: str) -> None:
        if self.case is not None and self.path[-1] in _TEXTS:
            self._say(data)

    def end(self, name: str) -> None:
        name = self.path.pop()
        if name == "testcase" and self.case is not None:
            self._finish(self.case)
            self.case = None
        elif name == "testsuite" and self.suites:
            title, said, before = self.suites.pop()
            failing = sum(1 for case in self.cases[before:] if case.ending == "failed")
            if said > failing:
                raise NotResults(f"suite '{title}' says that {said} tests failed, but shows {failing}")

    def _say(self, text: str) -> None:
        if self.said_size < _SAID_LIMIT:
            self.said.append(text)
            self.said_size += len(text)

    def _suite(self, attributes: dict[str, str]) -> None:
        failed = sum(_whole(attributes.get(key, "0")) for key in ("failures", "errors"))
        self.suites.append((attributes.get("name", ""), failed, len(self.cases)))
        found = _time(attributes.get("timestamp", ""))
        if found and (self.written is None or found > self.written):
            self.written = found

    def _output(self) -> str:
        said = "".join(self.said)
        return known().beginning(said) if self.said_size >= _SAID_LIMIT else said

    def _finish(self, attributes: dict[str, str]) -> None:
        name = attributes.get("name", "")
        if not name:
            raise NotResults("a <testcase> has no name")
        self.cases.append(
            Case(
                group=attributes.get("classname", ""),
                name=name,
                ending=self.ending,
                took=_seconds(attributes.get("time", "")),
                output=ending_of(self._output()) if self.ending == "failed" else "",
                file=attributes.get("file", ""),
                line=_whole(attributes.get("line", "")) or None,
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
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
