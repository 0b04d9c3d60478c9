"""The comment on a pull request: short, what blocks first, details folded, and never more than GitHub takes.

GitHub refuses a comment of more than 65,536 characters. It is cut by whole blocks, and says so.
"""

from __future__ import annotations

import re

from markupsafe import Markup

from gate.i18n.language import language
from gate.model import Report
from gate.render._jinja import markdown_page
from gate.render.summary import fit_blocks
from gate.report.diff import ItemDiff

LIMIT = 65_536
"""Characters of a comment. Bytes are counted here: there are never fewer of them."""
_CUT = Markup("\x1e")
_LINK = re.compile(r"https?://[\w.:-]+(?:/[\w.-]+)*", re.ASCII)


def render(report: Report, code: str, *, changes: ItemDiff | None = None, limit: int = LIMIT, link: str = "") -> str:
    """The comment in at most `limit` bytes. `changes` is what changed since the last run, where that is known."""
    words = language(code)
    url = link or report.source.url
    text = markdown_page(
        "comment.md.j2",
        report,
        words,
        changes=changes or ItemDiff(),
        link=Markup(url) if _LINK.fullmatch(url) else "",  # noqa: S704 - of harmless characters only
        cut=_CUT,
    )
    return fit_blocks([block.strip("\n") for block in text.split(_CUT)], words, limit)
