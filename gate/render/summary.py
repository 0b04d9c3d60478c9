"""The job summary: what matters first, in Markdown, and never more than GitHub takes.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#step-isolation-and-limits: 1 MiB;
a larger one is dropped whole. It is cut by whole blocks, and says so.
"""

from __future__ import annotations

import re

from markupsafe import Markup

from gate.i18n.language import Language, language
from gate.model import ItemResult, Report, TimelineEvent
from gate.render import presenter
from gate.render._jinja import markdown_page

LIMIT = 1024 * 1024 - 1024
"""Bytes of a summary, with some room for what a step has written itself."""
_CUT = Markup("\x1e")
_LABEL = re.compile(r"[^\w .,/()+=-]")
_MOMENTS = 40


def render(report: Report, code: str, limit: int = LIMIT) -> str:
    """The summary in at most `limit` bytes."""
    words = language(code)
    text = markdown_page(
        "summary.md.j2",
        report,
        words,
        drills=[item for item in presenter.drills(report) if item.outcome.timeline],
        chart=lambda item: gantt(item, words),
        cut=_CUT,
    )
    return fit_blocks([block.strip("\n") for block in text.split(_CUT)], words, limit)


def fit_blocks(blocks: list[str], words: Language, limit: int) -> str:
    """The blocks, in order, that fit into so many bytes; the last line says how many did not."""
    kept: list[str] = []
    left_out = 0
    room = limit - len(_note(words, len(blocks)).encode()) - 2
    for block in filter(None, blocks):
        size = len(block.encode("utf-8", "replace")) + 2
        if size <= room and not left_out:
            kept.append(block)
            room -= size
        else:
            left_out += 1
    return "\n\n".join([*kept, _note(words, left_out)] if left_out else kept) + "\n"


def _note(words: Language, count: int) -> str:
    return words("{count} parts are left out here for their size; report.md has everything.", count=count)


def gantt(item: ItemResult, words: Language) -> str:
    """A drill's timeline as a Mermaid chart, in milliseconds: https://mermaid.js.org/syntax/gantt.html."""
    assert item.outcome.timeline is not None
    moments = presenter.moments(item.outcome.timeline, _MOMENTS)
    start = min([0.0, *(moment.at for moment in moments)])
    lines = ["gantt", f"    title {_label(item.title)}", "    dateFormat x", "    axisFormat %M:%S"]
    lines += _fault(presenter.moments(item.outcome.timeline, 10**6), start, words)
    for moment in moments:
        at = round((moment.at - start) * 1000)
        label = _label(f"{words.seconds(moment.at)} {words.message(moment.what)}")
        lines.append(f"    {label} :milestone, {at}, {at}")
    return "\n".join(lines)


def _fault(moments: list[TimelineEvent], start: float, words: Language) -> list[str]:
    """How long the fault was in, as a bar."""
    ends = [moment.at for moment in moments if moment.kind == "restored" and moment.at > 0]
    if not ends:
        return []
    return [f"    {_label(words('Fault'))} :crit, {round(-start * 1000)}, {round((ends[0] - start) * 1000)}"]


def _label(text: str) -> str:
    return " ".join(_LABEL.sub(" ", text).split())[:80] or "-"
