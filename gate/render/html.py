"""The report as one HTML file that opens anywhere: no network, no inline handlers, a strict Content-Security-Policy."""

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
    """The page. All text in it is escaped; style and script are allowed by their hashes alone."""
    words = language(code)
    style, script = ((FOLDER / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    return (
        _environment(words)
        .get_template("report.html.j2")
        .render(
            report=report,
            style=Markup(style),  # noqa: S704 - our own files
            script_text=Markup(script),  # noqa: S704
            policy=_policy(style, script),
            drills=[item for item in presenter.drills(report) if item.outcome.timeline],
            picture=partial(_picture, words),
            **_parts(report),
        )
    )


@cache
def _environment(words: Language) -> Environment:
    made = environment(words, escaped)
    made.filters["rich"] = lambda value: Markup(render_inline_code(localize(value, words), outside=escaped, code=_code))  # noqa: S704
    made.filters["link"] = lambda url: url if _LINK.fullmatch(url) else ""
    made.filters["file"] = lambda path: path if _FILE.fullmatch(path) else ""
    return made


def _parts(report: Report) -> dict[str, Any]:
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
    """A text for HTML, in an element or in a quoted attribute."""
    return html.escape(replace_controls(text))


def _code(text: str) -> str:
    return f"<code>{escaped(text)}</code>"


def _picture(words: Language, item: ItemResult) -> Markup:
    assert item.outcome.timeline is not None
    return Markup(svg(item.outcome.timeline, item.title, words))  # noqa: S704 - escapes its texts itself


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
