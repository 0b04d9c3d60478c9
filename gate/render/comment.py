"""Render the comment on a pull request: blockers first, details collapsed, within GitHub's limit.

GitHub refuses a comment of more than 65,536 characters. Whole blocks are left out, and the last line counts them.
"""

from __future__ import annotations

import re

from markupsafe import Markup

from gate.i18n.language import language
from gate.model import Report
from gate.render._jinja import markdown_page
from gate.render.summary import fit_blocks
from gate.report.diff import ItemDiff

# Bytes of a comment. GitHub counts characters, of which there are never more.
LIMIT = 65_536
# Separates the blocks in the template's output; escaping removes it from everything else.
_BLOCK_SEPARATOR = Markup("\x1e")
_LINK = re.compile(r"https?://[\w.:-]+(?:/[\w.-]+)*", re.ASCII)


def render(report: Report, code: str, *, changes: ItemDiff | None = None, limit: int = LIMIT, link: str = "") -> str:
    """Return the comment in at most `limit` bytes. `changes` are those since the last run, if known."""
    words = language(code)
    url = link or report.source.url
    text = markdown_page(
        "comment.md.j2",
        report,
        words,
        changes=changes or ItemDiff(),
        link=Markup(url) if _LINK.fullmatch(url) else "",  # noqa: S704 - the pattern allows no markup
        cut=_BLOCK_SEPARATOR,
    )
    return fit_blocks([block.strip("\n") for block in text.split(_BLOCK_SEPARATOR)], words, limit)
