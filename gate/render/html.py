"""Render `report.html`, a self-contained page without network access, under a strict Content-Security-Policy."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from functools import cache, partial
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from gate.i18n.language import Language, language
from gate.model import ItemResult, Report
from gate.render import presenter
from gate.render._jinja import FOLDER, environment, localize, render_inline_code
from gate.render._timeline import svg
from gate.render.escape_markdown import replace_controls

_LINK = re.compile(r"https?://[^\s\"'<>\\]+")
_FILE = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9_.@+/-]*")


def render(report: Report, code: str) -> str:
    """Return the page. The policy allows only the page's own style and script, by their hashes."""
    words = language(code)
    style, script = ((FOLDER / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    return (
        _environment(words)
        .get_template("report.html.j2")
        .render(
            report=report,
            style=Markup(style),  # noqa: S704 - files of this package
            script_text=Markup(script),  # noqa: S704
            policy=_policy(style, script),
            drills=[item for item in presenter.drills(report) if item.outcome.timeline],
            picture=partial(_render_timeline, words),
            **_page_data(report),
        )
    )


@cache
def _environment(words: Language) -> Environment:
    env = environment(words, escaped)
    env.filters["rich"] = lambda value: Markup(render_inline_code(localize(value, words), outside=escaped, code=_code))  # noqa: S704
    env.filters["link"] = lambda url: url if _LINK.fullmatch(url) else ""
    env.filters["file"] = lambda path: path if _FILE.fullmatch(path) else ""
    return env


def _page_data(report: Report) -> dict[str, Any]:
    """Return what only the page needs: titles by item id, and the counts for the filter."""
    counts = report.counts
    return {
        "titles": {item.id: item.title for item in report.items},
        "chips": [
            ("pass", counts.passed),
            ("fail", counts.failed),
            ("error", counts.errors),
            ("skip", counts.skipped),
            ("waived", counts.waived),
        ],
    }


def escaped(text: str) -> str:
    """Return a text escaped for an HTML element or a quoted attribute."""
    return html.escape(replace_controls(text))


def _code(text: str) -> str:
    return f"<code>{escaped(text)}</code>"


def _render_timeline(words: Language, item: ItemResult) -> Markup:
    assert item.outcome.timeline is not None
    return Markup(svg(item.outcome.timeline, item.title, words))  # noqa: S704 - svg() escapes its texts


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
