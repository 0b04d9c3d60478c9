"""Render `junit.xml`: a suite per section, and a last suite `verdict` that fails exactly if the verdict is NO-GO.

The format is the one that Jenkins, GitLab and the reporters for GitHub read: https://github.com/testmoapp/junitxml.
But for `file` and `line` of a case it is valid under Jenkins' schema `junit-10.xsd`. Sentences are in the report's
language.
"""

from __future__ import annotations

import re
from datetime import UTC
from typing import TYPE_CHECKING

from gate.i18n.language import Language, language
from gate.model import Decision, ItemResult, Location, Report, SectionResult, Severity, Status
from gate.render.presenter import DECISIONS, expiry_note, main_reason, waivers

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from junit_xml import TestCase, TestSuite

_OUTPUT_LIMIT = 256 * 1024
_MESSAGE_LIMIT = 4096
_ILLEGAL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufdd0-\ufddf\ufffe\uffff\U0010fffe\U0010ffff]"
)


def render(report: Report, code: str) -> str:
    """Return the JUnit XML document of a report."""
    from xml.etree import ElementTree

    words = language(code)
    suites = [_suite_element(section, report, words) for section in report.sections]
    suites.append(_verdict_element(report, words))
    root = ElementTree.Element("testsuites", name=clean(report.service))
    for key in ("tests", "failures", "errors"):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in suites)))
    # Items run at the same time: the suites' times add up to more than the run took.
    root.set("time", _seconds((report.finished - report.started).total_seconds()))
    root.extend(suites)
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _seconds(duration: float) -> str:
    """Return seconds as a decimal with milliseconds: readers reject an exponent."""
    return f"{max(duration, 0):.3f}"


def clean(text: str, limit: int = _OUTPUT_LIMIT) -> str:
    """Return a text with U+FFFD for characters that XML 1.0 excludes, without its middle if it is longer than `limit`.

    https://www.w3.org/TR/xml/#charsets
    """
    if len(text) > limit:
        half = limit // 2
        text = f"{text[:half]}\n[...]\n{text[-half:]}"
    return _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n").replace("\r", "\n"))


def _suite_element(section: SectionResult, report: Report, words: Language) -> Element:
    """Return the suite of a section. Its time is the sum of its cases' times, as in other tools' files."""
    suite = _suite(section.title, [_case(item, section, words) for item in section.items], report)
    return _element(suite, [item.outcome.evidence.duration for item in section.items])


def _suite(title: str, cases: list[TestCase], report: Report) -> TestSuite:
    from junit_xml import TestSuite

    timestamp = report.started.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return TestSuite(clean(title), cases, package=clean(report.service), timestamp=timestamp)


def _element(suite: TestSuite, durations: list[float]) -> Element:
    """Return the element of a suite with the durations of its cases, in seconds.

    junit-xml omits a time of 0, writes all digits of a sum, and an attribute `disabled` that no schema has.
    """
    element: Element = suite.build_xml_doc()
    element.attrib.pop("disabled")
    element.set("time", _seconds(sum(durations)))
    for case, duration in zip(element.iter("testcase"), durations, strict=True):
        case.set("time", _seconds(duration))
    return element


def _case(item: ItemResult, section: SectionResult, words: Language) -> TestCase:
    from junit_xml import TestCase

    location = _location(item)
    case = TestCase(
        clean(f"{item.id}: {item.title}"),
        classname=clean(section.id),
        stdout=clean(_output(item, words)),
        file=clean(location.file) if location else None,
        line=location.line if location else None,
    )
    _set_result(case, item, words)
    return case


def _set_result(case: TestCase, item: ItemResult, words: Language) -> None:
    """Add the element of an outcome that is no pass. Only an item that can make the verdict NO-GO is red."""
    message = clean(words.message(item.outcome.message), _MESSAGE_LIMIT) or item.status.value
    detail = clean(_detail(item, words))
    if item.status is Status.SKIP:
        case.add_skipped_info(message, detail)
    elif item.status is Status.WAIVED and item.waiver:
        case.add_skipped_info(clean(_waiver_text(item, words), _MESSAGE_LIMIT), detail)
    elif item.status in (Status.FAIL, Status.ERROR) and item.severity is Severity.ADVISORY:
        case.add_skipped_info(clean(_advisory_text(item, words), _MESSAGE_LIMIT), detail)
    elif item.status is Status.FAIL:
        case.add_failure_info(message, detail, item.severity.value)
    elif item.status is Status.ERROR:
        case.add_error_info(message, detail, item.severity.value)


def _advisory_text(item: ItemResult, words: Language) -> str:
    return words("Advisory {status}: {message}", status=item.status.value.upper(), message=item.outcome.message)


def _waiver_text(item: ItemResult, words: Language) -> str:
    assert item.waiver is not None
    return words(
        "Waived until {day} by {owner}: {reason}. {message}",
        day=item.waiver.expires.isoformat(),
        owner=item.waiver.owner,
        reason=item.waiver.reason,
        message=item.outcome.message,
    )


def _detail(item: ItemResult, words: Language) -> str:
    """Return the text of a failure: the message, the advice, the locations and the command to reproduce it."""
    parts = [words.message(item.outcome.message)]
    if item.outcome.advice:
        parts.append(words.message(item.outcome.advice))
    parts += [str(location) for location in item.outcome.evidence.locations]
    if item.outcome.evidence.reproduce_command:
        parts.append("$ " + item.outcome.evidence.reproduce_command)
    return "\n".join(parts)


def _output(item: ItemResult, words: Language) -> str:
    evidence = item.outcome.evidence
    lines = [f"{item.status.value.upper()}: {words.message(item.outcome.message)}"]
    if evidence.request:
        lines.append(words("Request: {request}", request=evidence.request))
    if evidence.started:
        lines.append(
            words(
                "On {when}, in {duration}, attempts: {attempts}",
                when=words.moment(evidence.started),
                duration=words.duration(evidence.duration),
                attempts=evidence.attempts,
            )
        )
    for row in item.outcome.rows:
        lines.append(f"{row.status.value.upper()} {words.message(row.title)}: {words.message(row.message)}")
    lines += [f"{location}: {location.text}" for location in evidence.locations]
    if evidence.reproduce_command:
        lines.append("$ " + evidence.reproduce_command)
    return "\n".join([*lines, evidence.response])


def _verdict_element(report: Report, words: Language) -> Element:
    """Return the suite of the verdict. Its case takes no time, or a reader would count the run twice."""
    from junit_xml import TestCase

    case = TestCase("verdict", classname="verdict", stdout=clean(_verdict_text(report, words)))
    if report.verdict.decision is Decision.NO_GO:
        location = _cause_location(report)
        case.file, case.line = (clean(location.file), location.line) if location else (None, None)
        reasons = "\n".join(words.message(reason.message) for reason in report.verdict.reasons)
        message = clean(f"NO-GO: {words.message(main_reason(report))}", _MESSAGE_LIMIT)
        case.add_failure_info(message, clean(reasons), "verdict")
    suite = _suite("verdict", [case], report)
    suite.properties = {name: clean(value) for name, value in _properties(report).items()}
    return _element(suite, [0])


def _cause_location(report: Report) -> Location | None:
    """Return the location of the first item of the first reason that has one."""
    items = {item.id: item for section in report.sections for item in section.items}
    named = (items.get(item_id) for reason in report.verdict.reasons for item_id in reason.items)
    return next((location for item in named if item and (location := _location(item))), None)


def _location(item: ItemResult) -> Location | None:
    """Return the location that the check found, or else the item's own in the checklist."""
    return next(iter(item.outcome.evidence.locations), item.location)


def _verdict_text(report: Report, words: Language) -> str:
    lines = [words.message(DECISIONS[report.verdict.decision])]
    lines += [words.message(reason.message) for reason in (*report.verdict.reasons, *report.verdict.reservations)]
    end = expiry_note(report)
    lines += [words.message(end)] if end else []
    lines += [words("Waiver: {waiver}", waiver=waiver) for waiver in waivers(report)]
    return "\n".join(lines)


def _properties(report: Report) -> dict[str, str]:
    return {
        "verdict": report.verdict.decision.value,
        "service": report.service,
        "environment": report.environment,
        "commit": report.source.commit,
        "gate": report.gate,
    }
