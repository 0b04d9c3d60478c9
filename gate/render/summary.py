"""Render the job summary in Markdown: the verdict first, within GitHub's limit.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#step-isolation-and-limits: 1 MiB;
a larger summary is dropped entirely. Whole blocks are left out, and the last line counts them.
"""

from __future__ import annotations

import re

from markupsafe import Markup

from gate.i18n.language import Language, language
from gate.model import ItemResult, Report, TimelineEvent
from gate.render import presenter
from gate.render._jinja import markdown_page

# Bytes of a summary, with some room for what the step has written itself.
LIMIT = 1024 * 1024 - 1024
# Separates the blocks in the template's output; escaping removes it from everything else.
_BLOCK_SEPARATOR = Markup("\x1e")
_LABEL = re.compile(r"[^\w .,/()+=-]")
_MAX_EVENTS = 40


def render(report: Report, code: str, limit: int = LIMIT) -> str:
    """Return the summary in at most `limit` bytes."""
    words = language(code)
    text = markdown_page(
        "summary.md.j2",
        report,
        words,
        drills=[item for item in presenter.drills(report) if item.outcome.timeline],
        chart=lambda item: gantt(item, words),
        cut=_BLOCK_SEPARATOR,
    )
    return fit_blocks([block.strip("\n") for block in text.split(_BLOCK_SEPARATOR)], words, limit)


def fit_blocks(blocks: list[str], words: Language, limit: int) -> str:
    """Join blocks, in order, up to `limit` bytes. If some do not fit, a last line counts them."""
    included: list[str] = []
    left_out = 0
    room = limit - len(_left_out_note(words, len(blocks)).encode()) - 2
    for block in filter(None, blocks):
        size = len(block.encode("utf-8", "replace")) + 2
        if size <= room and not left_out:
            included.append(block)
            room -= size
        else:
            left_out += 1
    return "\n\n".join([*included, _left_out_note(words, left_out)] if left_out else included) + "\n"


def _left_out_note(words: Language, count: int) -> str:
    return words("Parts left out because of their size: {count}; report.md is complete.", count=count)


def gantt(item: ItemResult, words: Language) -> str:
    """Return a drill's timeline as a Mermaid chart in milliseconds: https://mermaid.js.org/syntax/gantt.html."""
    assert item.outcome.timeline is not None
    events = presenter.events(item.outcome.timeline, _MAX_EVENTS)
    start = min([0.0, *(event.at for event in events)])
    lines = ["gantt", f"    title {_label(item.title)}", "    dateFormat x", "    axisFormat %M:%S"]
    lines += _fault_bar(presenter.events(item.outcome.timeline, 10**6), start, words)
    for event in events:
        at = round((event.at - start) * 1000)
        label = _label(f"{words.seconds(event.at)} {words.message(event.what)}")
        lines.append(f"    {label} :milestone, {at}, {at}")
    return "\n".join(lines)


def _fault_bar(events: list[TimelineEvent], start: float, words: Language) -> list[str]:
    """Return a bar from the injection of the fault to its revert; nothing if it was not reverted."""
    ends = [event.at for event in events if event.kind == "restored" and event.at > 0]
    if not ends:
        return []
    return [f"    {_label(words('Fault'))} :crit, {round(-start * 1000)}, {round((ends[0] - start) * 1000)}"]


def _label(text: str) -> str:
    return " ".join(_LABEL.sub(" ", text).split())[:80] or "-"
