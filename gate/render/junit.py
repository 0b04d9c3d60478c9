"""The report as JUnit XML: a suite for each section in order, and last a suite `verdict` that is red when the gate is.

The form is the one that Jenkins, GitLab and the GitHub reporters read: https://github.com/testmoapp/junitxml. Numbers
and names are written for machines; sentences are in the report's language.
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
_NEVER_NOTHING = 0.0001
"""junit-xml leaves out a time of exactly 0, and writes smaller ones with an exponent."""
_ILLEGAL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufdd0-\ufddf\ufffe\uffff\U0010fffe\U0010ffff]"
)


def render(report: Report, code: str) -> str:
    """The JUnit XML document of a report."""
    from junit_xml import to_xml_report_string

    words = language(code)
    suites = [_suite(section, report, words) for section in report.sections]
    suites.append(_verdict_suite(report, words))
    body = to_xml_report_string(suites, prettyprint=False)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def clean(text: str, limit: int = _OUTPUT_LIMIT) -> str:
    """The text with U+FFFD for what XML 1.0 cannot hold (https://www.w3.org/TR/xml/#charsets), cut to a size."""
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
    place = evidence.locations[0] if evidence.locations else item.location
    case = TestCase(
        clean(item.id),
        classname=clean(section.id),
        elapsed_sec=max(evidence.duration, _NEVER_NOTHING),
        stdout=clean(_output(item, words)),
        file=clean(place.file) if place else None,
        line=place.line if place else None,
    )
    _mark(case, item, words)
    return case


def _mark(case: TestCase, item: ItemResult, words: Language) -> None:
    message = clean(words.message(item.outcome.message), _MESSAGE_LIMIT) or item.status.value
    detail = clean(_detail(item, words))
    if item.status is Status.FAIL:
        case.add_failure_info(message, detail, item.severity.value)
    elif item.status is Status.ERROR:
        case.add_error_info(message, detail, item.severity.value)
    elif item.status is Status.SKIP:
        case.add_skipped_info(message, detail)
    elif item.status is Status.WAIVED and item.waiver:
        case.add_skipped_info(clean(_waiver(item, words), _MESSAGE_LIMIT), detail)


def _waiver(item: ItemResult, words: Language) -> str:
    assert item.waiver is not None
    return words(
        "Waived until {day} by {owner}: {reason}. {message}",
        day=item.waiver.expires.isoformat(),
        owner=item.waiver.owner,
        reason=item.waiver.reason,
        message=item.outcome.message,
    )


def _detail(item: ItemResult, words: Language) -> str:
    """What a reader of a failure wants to see at once: what to do, what came back, how to see it by hand."""
    parts = [words.message(item.outcome.message)]
    if item.outcome.advice:
        parts.append(words.message(item.outcome.advice))
    parts += [str(place) for place in item.outcome.evidence.locations]
    if item.outcome.evidence.reproduce_command:
        parts.append("$ " + item.outcome.evidence.reproduce_command)
    return "\n".join(parts)


def _output(item: ItemResult, words: Language) -> str:
    evidence = item.outcome.evidence
    lines = [item.title, f"{item.status.value.upper()}: {words.message(item.outcome.message)}"]
    if evidence.request:
        lines.append(words("Asked: {asked}", asked=evidence.request))
    if evidence.started:
        lines.append(
            words(
                "On {when}, for {duration}, tries: {tries}",
                when=words.moment(evidence.started),
                duration=words.duration(evidence.duration),
                tries=evidence.attempts,
            )
        )
    for row in item.outcome.rows:
        lines.append(f"{row.status.value.upper()} {words.message(row.title)}: {words.message(row.message)}")
    lines += [f"{place}: {place.text}" for place in evidence.locations]
    if evidence.reproduce_command:
        lines.append("$ " + evidence.reproduce_command)
    return "\n".join([*lines, evidence.response])


def _verdict_suite(report: Report, words: Language) -> TestSuite:
    from junit_xml import TestCase, TestSuite

    duration = max((report.finished - report.started).total_seconds(), _NEVER_NOTHING)
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
