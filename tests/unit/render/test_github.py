"""Markdown as GitHub's own parser reads it: no text from outside means anything in a comment, a summary or a report."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from cmarkgfm import github_flavored_markdown_to_html
from cmarkgfm.cmark import Options
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gate.core.messages import msg
from gate.core.override import override
from gate.model import Artifact, Decision, DrillTimesDiff, ItemResult, Report, ReportDiff, VerdictReason
from gate.render import comment, markdown_report, summary
from gate.report.diff import ItemDiff
from tests.support import reports

PAGES: dict[str, Callable[[Report], str]] = {
    "comment": lambda report: comment.render(report, "en", changes=since(report)),
    "summary": lambda report: summary.render(report, "en"),
    "report": lambda report: markdown_report.render(report, "en"),
}
PARTS = [
    "www.evil.example", "WWW.", "www.a.b<img src=//evil.example/x.png>", "<a href=//evil.example>", "<!--", "-->",
    "<b>", "</summary>", "</details>", "<script>", "<textarea>", "<?", "<![CDATA[", "&lt;", "&#60;", "&commat;",
    "http://", "https://evil.example/", "ftp://e.example", "mailto:a@evil.example", "xmpp:a@e.example/b",
    "a.b@evil.example", "@all", "@", "#1", "GH-1", "a/b#2", "[x](//e.example)", "![x](//e.example)",
    "[x]: //e.example", "[^1]", "[ ]", "- [x] ", "|", "\\", "\\|", "`", "``", "```", "~~~", "$", "$$", "$`", "*",
    "**", "_", "__", "~", "~~", "# ", "- ", "+ ", "1. ", "1) ", "> ", "---", "===", ": ", " ", "\t", "\n", "\n\n",
    "\r", "\x0b", "\u2028", "\x00", "\u200b", "x", "é", "9",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PARTS) | st.characters(), min_size=1, max_size=8).map("".join).filter(str.strip)
BAIT = re.compile(r"(?<!\w)@\w|(?<![&\w])#\d|GH-\d|https?://|ftp://|www\.|\w@\w", re.IGNORECASE)


def hostile(text: str) -> Report:
    """Return a report with the text in every place for text, ids and differences included."""
    made = reports.hostile(text=text, name=text)
    ids = (text, f"{text} two")
    changes = ReportDiff(
        baseline=text, baseline_decision=Decision.GO, newly_failing=ids, newly_skipped=ids, fixed=ids, added=ids,
        removed=ids, drills=(DrillTimesDiff(item=text, detect=1.0, detect_before=2.0),),
    )  # fmt: skip
    message = msg("{text}", text=text)
    reasons = (VerdictReason(message=message, items=ids, advice=message),)
    verdict = made.verdict.replace(reasons=reasons, reservations=reasons)
    artifacts = (Artifact(path=text, size=1, sha256=text),)
    items = tuple(with_files(item, artifacts) for item in made.sections[0].items)
    sections = (made.sections[0].replace(items=items),)
    update = {"changes": changes, "notes": (message,), "files": ids, "verdict": verdict, "sections": sections}
    return made.replace(**update)


def with_files(item: ItemResult, artifacts: tuple[Artifact, ...]) -> ItemResult:
    """Return the item with these files as evidence."""
    evidence = item.outcome.evidence.replace(artifacts=artifacts)
    return item.replace(outcome=item.outcome.replace(evidence=evidence))


def since(report: Report) -> ItemDiff:
    """Return every item as changed in every way."""
    items = tuple(report.items)
    return ItemDiff(items, items, items, items, items, tuple(item.id for item in items))


class Reader(HTMLParser):
    """The tags of a page, and its text outside of code, where GitHub looks for mentions and references."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.prose = ""
        self.code = 0
        self.feed(page)
        self.close()

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.code += tag in ("code", "pre")
        self.prose += "\n"
        if tag != "code":
            self.tags.append(self.get_starttag_text() or "")

    @override
    def handle_endtag(self, tag: str) -> None:
        self.code -= tag in ("code", "pre")
        self.prose += "\n"
        if tag != "code":
            self.tags.append(f"</{tag}>")

    @override
    def handle_comment(self, data: str) -> None:
        self.tags.append("<!-- -->")

    @override
    def handle_data(self, data: str) -> None:
        self.prose += "" if self.code else data


def read(page: str) -> Reader:
    """Parse a page as GitHub renders it, before it removes dangerous tags."""
    return Reader(github_flavored_markdown_to_html(page, options=Options.CMARK_OPT_UNSAFE))


PLAIN = {name: read(page(hostile("plain"))).tags for name, page in PAGES.items()}


@pytest.mark.parametrize("name", PAGES)
@settings(max_examples=50)
@given(text=TEXTS)
@example(text="www.a.b<img src=//evil.example/x.png>")
@example(text="www.a.b<a href=//evil.example>click")
@example(text="see www.evil.example/login")
@example(text="a\\|b")
@example(text="1. one")
@example(text=reports.HOSTILE)
def test_a_text_means_nothing(name: str, text: str) -> None:
    """Whatever a text holds, a page has the tags that it has with a plain word: no link, image, cell or line more."""
    observation = read(PAGES[name](hostile(text)))
    assert observation.tags == PLAIN[name]
    assert BAIT.findall(observation.prose) == []


UNKNOWN = msg("git is not installed")
NO_COMMITS = reports.changed().changes.replace(commits=())
REPORTS = {
    **{name: getattr(reports, name)("en") for name in ("all_down", "go", "reserved", "changed", "traced")},
    "no commits": reports.changed().replace(changes=NO_COMMITS),
    "commits unknown": reports.changed().replace(changes=NO_COMMITS.replace(commits_unknown=UNKNOWN)),
}


@pytest.mark.parametrize("name", REPORTS)
def test_no_rule_makes_a_heading(name: str) -> None:
    """A rule of the report is one: no text above it becomes a heading."""
    text = markdown_report.render(REPORTS[name], "en")
    html = github_flavored_markdown_to_html(text, options=Options.CMARK_OPT_UNSAFE)
    assert html.count("<h2>") == len(re.findall(r"(?m)^## ", text))
    assert html.count("<hr") == len(re.findall(r"(?m)^---$", text)) > 0
