"""Render `junit.xml`: a suite per section, and a last suite `verdict` that fails exactly if the verdict is NO-GO.

The format is the one that Jenkins, GitLab and the reporters for GitHub read: https://github.com/testmoapp/junitxml.
Names and numbers are for machines; sentences are in the report's language.
"""

from __future__ import annotations

import re
from datetime import UTC
from typing import TYPE_CHECKING

from gate.i18n.language import Language, language
from gate.model import Decision, ItemResult, Report, SectionResult, Status
from gate.render.presenter import DECISIONS, expiry_note, main_reason, waivers

if TYPE_CHECKING:
    from junit_xml import TestCase, TestSuite

_OUTPUT_LIMIT = 256 * 1024
_MESSAGE_LIMIT = 4096
# Seconds. junit-xml omits a time of exactly 0, and writes smaller ones with an exponent, which readers reject.
_MIN_DURATION = 0.0001
_ILLEGAL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufdd0-\ufddf\ufffe\uffff\U0010fffe\U0010ffff]"
)


def render(report: Report, code: str) -> str:
    """Return the JUnit XML document of a report."""
    from junit_xml import to_xml_report_string

    words = language(code)
    suites = [_suite(section, report, words) for section in report.sections]
    suites.append(_verdict_suite(report, words))
    body = to_xml_report_string(suites, prettyprint=False)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def clean(text: str, limit: int = _OUTPUT_LIMIT) -> str:
    """Return a text with U+FFFD for characters that XML 1.0 excludes, without its middle if it is longer than `limit`.

    https://www.w3.org/TR/xml/#charsets
    """
    if len(text) > limit:
        half = limit // 2
        text = f"{text[:half]}\n[...]\n{text[-half:]}"
    return _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n").replace("\r", "\n"))


def _suite(section: SectionResult, report: Report, words: Language) -> TestSuite:
    from junit_xml import TestSuite

    cases = [_case(item, section, words) for item in section.items]
    return TestSuite(clean(section.id), cases, package=clean(report.service), timestamp=_timestamp(report))


def _timestamp(report: Report) -> str:
    return report.started.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _case(item: ItemResult, section: SectionResult, words: Language) -> TestCase:
    from junit_xml import TestCase

    evidence = item.outcome.evidence
    location = evidence.locations[0] if evidence.locations else item.location
    case = TestCase(
        clean(item.id),
        classname=clean(section.id),
        elapsed_sec=max(evidence.duration, _MIN_DURATION),
        stdout=clean(_output(item, words)),
        file=clean(location.file) if location else None,
        line=location.line if location else None,
    )
    _set_result(case, item, words)
    return case


def _set_result(case: TestCase, item: ItemResult, words: Language) -> None:
    message = clean(words.message(item.outcome.message), _MESSAGE_LIMIT) or item.status.value
    detail = clean(_detail(item, words))
    if item.status is Status.FAIL:
        case.add_failure_info(message, detail, item.severity.value)
    elif item.status is Status.ERROR:
        case.add_error_info(message, detail, item.severity.value)
    elif item.status is Status.SKIP:
        case.add_skipped_info(message, detail)
    elif item.status is Status.WAIVED and item.waiver:
        case.add_skipped_info(clean(_waiver_text(item, words), _MESSAGE_LIMIT), detail)


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
    lines = [item.title, f"{item.status.value.upper()}: {words.message(item.outcome.message)}"]
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


def _verdict_suite(report: Report, words: Language) -> TestSuite:
    from junit_xml import TestCase, TestSuite

    duration = max((report.finished - report.started).total_seconds(), _MIN_DURATION)
    case = TestCase("verdict", classname="verdict", elapsed_sec=duration, stdout=clean(_verdict_text(report, words)))
    if report.verdict.decision is Decision.NO_GO:
        reasons = "\n".join(words.message(reason.message) for reason in report.verdict.reasons)
        message = clean(f"NO-GO: {words.message(main_reason(report))}", _MESSAGE_LIMIT)
        case.add_failure_info(message, clean(reasons), "verdict")
    suite = TestSuite("verdict", [case], package=clean(report.service), timestamp=_timestamp(report))
    suite.properties = {name: clean(value) for name, value in _properties(report).items()}
    return suite


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
