"""The report for a terminal or a log: every section, the table of all, the verdict with its reasons.

Where `colour` is off there is no escape sequence in it, and none that a service sent gets through in any case.
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
_SHOWN = 3
_LONGEST = 1000
_SPACE = re.compile("[ \t\n\x0b\x0c\u2028\u2029]+")


def render(report: Report, code: str, *, colour: bool = False, width: int | None = None) -> str:
    """The report as lines of text; wrapped where there is a width."""
    return _Page(language(code), colour, width).whole(report)


class _Page:
    def __init__(self, words: Language, colour: bool, width: int | None) -> None:
        self.words = words
        self.colour = colour
        self.width = max(40, width) if width else None

    def whole(self, report: Report) -> str:
        lines: list[str] = []
        for number, section in enumerate(report.sections, 1):
            lines += [*self.section(number, section), ""]
        lines += [*self.table(report), "", *self.verdict(report)]
        return "\n".join(lines) + "\n"

    def paint(self, text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self.colour else text

    def plain(self, text: str) -> str:
        """One line, with nothing in it that a terminal or the log of a runner would obey."""
        line = _SPACE.sub(" ", escape_markdown.replace_controls(text)).replace("##[", "## [")
        return line if len(line) <= _LONGEST else line[:_LONGEST] + "…"

    def wrapped(self, text: str, indent: int) -> list[str]:
        """The lines of a text; those after the first are indented."""
        if self.width is None:
            return [text]
        room = max(20, self.width - indent)
        lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
        return [lines[0], *(" " * indent + line for line in lines[1:])]

    def section(self, number: int, section: SectionResult) -> list[str]:
        counts = presenter.section_counts(section)
        title = self.plain(f"{number}. {section.title}")
        head = self.paint(title, "1") + f"  {counts.passed}/{counts.total} ({self.words.percent(counts.rate)})"
        lines = [head]
        for item in presenter.expanded_items(section):
            lines += self.item(item)
        for cause in presenter.collapsed_items(section):
            lines += self.folded(cause)
        return lines

    def item(self, item: ItemResult) -> list[str]:
        text = f"{item.title} - {self.words.message(item.outcome.message)}"
        if item.waiver and item.status is Status.WAIVED:
            until = self.words("waived until {day} by {owner}", day=str(item.waiver.expires), owner=item.waiver.owner)
            text += f" ({until})"
        return self.marked(item.status, text)

    def folded(self, cause: presenter.Cause) -> list[str]:
        """Items that were skipped for one reason, under it."""
        names = ", ".join(item.id for item in cause.items[:_SHOWN])
        rest = len(cause.items) - _SHOWN
        if rest > 0:
            names = self.words("{names} and {count} more", names=names, count=rest)
        return self.marked(Status.SKIP, f"{names} - {self.words.message(cause.message)}")

    def marked(self, status: Status, text: str) -> list[str]:
        mark = self.paint(status.value.upper().ljust(_MARK_WIDTH), _COLOURS[status])
        first, *rest = self.wrapped(self.plain(text), _MARK_WIDTH + 2)
        return [f"  {mark}{first}", *rest]

    def table(self, report: Report) -> list[str]:
        titles = [self.plain(f"{number}. {section.title}") for number, section in enumerate(report.sections, 1)]
        room = min(max([len(title) for title in titles] + [10]), 44 if self.width else 100)
        head = ["Items", "Pass", "Fail", "Error", "Skip", "Waived"]
        last = f"{self.words('Rate'):>7}"
        first = self.words("Section").ljust(room)
        lines = [self.paint("  ".join([first, *(f"{name:>6}" for name in head), last]), "1")]
        for title, section in zip(titles, report.sections, strict=True):
            lines.append(self.counts(title, presenter.section_counts(section), room))
        return [*lines, self.paint(self.counts("TOTAL", report.counts, room), "1")]

    def counts(self, title: str, counts: Counts, room: int) -> str:
        short = title if len(title) <= room else title[: room - 1] + "…"
        numbers = (counts.total, counts.passed, counts.failed, counts.errors, counts.skipped, counts.waived)
        rate = f"{self.words.percent(counts.rate):>7}"
        return "  ".join(
            [short.ljust(room), *(f"{number:>6}" for number in numbers), rate, presenter.progress_bar(counts.rate)]
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
            first, *rest = self.wrapped(self.plain(self.words.message(waiver)), 5)
            lines += [f"   - {first}", *rest]
        return ["", self.paint(self.words("Waivers"), "1"), *lines] if lines else []

    def reasons(self, title: str, reasons: tuple[VerdictReason, ...]) -> list[str]:
        if not reasons:
            return []
        lines = ["", self.paint(title, "1")]
        for number, reason in enumerate(reasons, 1):
            first, *rest = self.wrapped(self.plain(self.words.message(reason.message)), 5)
            lines += [f"{number:>3}. {first}", *rest]
            if reason.advice:
                first, *rest = self.wrapped(self.plain(self.words.message(reason.advice)), 7)
                lines += [self.paint(f"     → {first}", "36"), *rest]
        return lines
