"""Render a report for a terminal or a log: every section, a summary table, the verdict with its reasons.

Without `colour` the text has no escape sequences. Those that a service sent are never passed on.
"""

from __future__ import annotations

import re
import textwrap

from gate.i18n.language import Language, language
from gate.model import Counts, Decision, ItemResult, Report, SectionResult, Status, VerdictReason
from gate.render import escape_markdown, presenter

_COLOURS = {
    Status.PASS: "32",
    Status.FAIL: "1;31",
    Status.ERROR: "1;35",
    Status.SKIP: "33",
    Status.WAIVED: "1;33",
}
_VERDICTS = {Decision.GO: "1;30;42", Decision.GO_WITH_RESERVATIONS: "1;30;43", Decision.NO_GO: "1;37;41"}
_MARK_WIDTH = 8
# Items that are named for one cause.
_MAX_NAMES = 3
_MAX_LINE_LENGTH = 1000
_SPACE = re.compile("[ \t\n\x0b\x0c\u2028\u2029]+")


def render(report: Report, code: str, *, colour: bool = False, width: int | None = None) -> str:
    """Return the report as text, wrapped at `width` columns if it is given."""
    return _Page(language(code), colour, width).render(report)


class _Page:
    def __init__(self, words: Language, colour: bool, width: int | None) -> None:
        self.words = words
        self.colour = colour
        self.width = max(40, width) if width else None

    def render(self, report: Report) -> str:
        lines: list[str] = []
        for number, section in enumerate(report.sections, 1):
            lines += [*self.section(number, section), ""]
        lines += [*self.table(report), "", *self.verdict(report)]
        return "\n".join(lines) + "\n"

    def paint(self, text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self.colour else text

    def plain(self, text: str) -> str:
        """Return a text as one line that neither a terminal nor a runner's log interprets."""
        line = _SPACE.sub(" ", escape_markdown.replace_controls(text)).replace("##[", "## [")
        return line if len(line) <= _MAX_LINE_LENGTH else line[:_MAX_LINE_LENGTH] + "…"

    def wrap(self, text: str, indent: int) -> list[str]:
        """Return the lines of a text, indented from the second on."""
        if self.width is None:
            return [text]
        room = max(20, self.width - indent)
        lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
        return [lines[0], *(" " * indent + line for line in lines[1:])]

    def section(self, number: int, section: SectionResult) -> list[str]:
        counts = presenter.section_counts(section)
        title = self.plain(f"{number}. {section.title}")
        heading = self.paint(title, "1") + f"  {counts.passed}/{counts.total} ({self.words.percent(counts.rate)})"
        lines = [heading]
        for item in presenter.expanded_items(section):
            lines += self.item(item)
        for cause in presenter.collapsed_items(section):
            lines += self.collapsed(cause)
        return lines

    def item(self, item: ItemResult) -> list[str]:
        text = f"{item.title} - {self.words.message(item.outcome.message)}"
        if item.waiver and item.status is Status.WAIVED:
            until = self.words("waived until {day} by {owner}", day=str(item.waiver.expires), owner=item.waiver.owner)
            text += f" ({until})"
        return self.status_line(item.status, text)

    def collapsed(self, cause: presenter.Cause) -> list[str]:
        """Return one line for the items that were skipped for one cause."""
        names = ", ".join(item.id for item in cause.items[:_MAX_NAMES])
        rest = len(cause.items) - _MAX_NAMES
        if rest > 0:
            names = self.words("{names} and {count} more", names=names, count=rest)
        return self.status_line(Status.SKIP, f"{names} - {self.words.message(cause.message)}")

    def status_line(self, status: Status, text: str) -> list[str]:
        mark = self.paint(status.value.upper().ljust(_MARK_WIDTH), _COLOURS[status])
        first, *rest = self.wrap(self.plain(text), _MARK_WIDTH + 2)
        return [f"  {mark}{first}", *rest]

    def table(self, report: Report) -> list[str]:
        titles = [self.plain(f"{number}. {section.title}") for number, section in enumerate(report.sections, 1)]
        width = min(max([len(title) for title in titles] + [10]), 44 if self.width else 100)
        headings = ["Items", "Pass", "Fail", "Error", "Skip", "Waived"]
        last = f"{self.words('Rate'):>7}"
        first = self.words("Section").ljust(width)
        lines = [self.paint("  ".join([first, *(f"{name:>6}" for name in headings), last]), "1")]
        for title, section in zip(titles, report.sections, strict=True):
            lines.append(self.counts(title, presenter.section_counts(section), width))
        return [*lines, self.paint(self.counts("TOTAL", report.counts, width), "1")]

    def counts(self, title: str, counts: Counts, width: int) -> str:
        label = title if len(title) <= width else title[: width - 1] + "…"
        numbers = (counts.total, counts.passed, counts.failed, counts.errors, counts.skipped, counts.waived)
        rate = f"{self.words.percent(counts.rate):>7}"
        return "  ".join(
            [label.ljust(width), *(f"{number:>6}" for number in numbers), rate, presenter.progress_bar(counts.rate)]
        )

    def verdict(self, report: Report) -> list[str]:
        decision = report.verdict.decision
        name = self.words.message(presenter.DECISIONS[decision])
        lines = [f"{self.words('Verdict')}{self.words.colon} {self.paint(name, _VERDICTS[decision])}"]
        if report.ended != "complete":
            lines.append(self.words.message(presenter.ENDINGS[report.ended]))
        lines += self.reasons(self.words("Reasons"), report.verdict.reasons)
        lines += self.reasons(self.words("Reservations"), report.verdict.reservations)
        until = presenter.expiry_note(report)
        lines += [self.plain(self.words.message(until))] if until else []
        lines += [self.plain(self.words.message(note)) for note in report.notes]
        return lines + self.waivers(report)

    def waivers(self, report: Report) -> list[str]:
        lines = []
        for waiver in presenter.waivers(report):
            first, *rest = self.wrap(self.plain(self.words.message(waiver)), 5)
            lines += [f"   - {first}", *rest]
        return ["", self.paint(self.words("Waivers"), "1"), *lines] if lines else []

    def reasons(self, title: str, reasons: tuple[VerdictReason, ...]) -> list[str]:
        if not reasons:
            return []
        lines = ["", self.paint(title, "1")]
        for number, reason in enumerate(reasons, 1):
            first, *rest = self.wrap(self.plain(self.words.message(reason.message)), 5)
            lines += [f"{number:>3}. {first}", *rest]
            if reason.advice:
                first, *rest = self.wrap(self.plain(self.words.message(reason.advice)), 7)
                lines += [self.paint(f"     → {first}", "36"), *rest]
        return lines
