"""Load the templates and escape everything that they output.

A value is escaped for the format unless a filter has escaped it already, so a template cannot forget to.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache, partial
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

from jinja2 import BytecodeCache, Environment, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket
from markupsafe import Markup

from gate.core.messages import Message
from gate.core.override import override
from gate.i18n.language import Language
from gate.model import ItemResult, Report
from gate.render import escape_markdown, presenter

FOLDER = Path(__file__).parents[1] / "templates"
_SPAN = re.compile(r"`([^`\n]+)`")
_RESPONSE_LIMIT = 2000
# Mark a text as escaped. A report has tens of thousands of texts, and the constructor of `Markup` costs more.
_mark_escaped: Callable[[str], Markup] = partial(str.__new__, Markup)


class _TemplateCache(BytecodeCache):
    """A cache of compiled templates beside this module's own bytecode.

    Compiling the templates takes half of the time of a start. The language is part of the key, because Jinja translates
    constants when it compiles a template.
    """

    def __init__(self, code: str) -> None:
        self.code = code

    @override
    def get_cache_key(self, name: str, filename: str | None = None) -> str:
        """Return the key of a template."""
        return f"{name}.{self.code}"

    @override
    def load_bytecode(self, bucket: Bucket) -> None:
        """Load a compiled template; leave the bucket empty if there is none that can be read."""
        try:
            with self._path(bucket).open("rb") as file:
                bucket.load_bytecode(file)
        except (OSError, EOFError, ValueError, TypeError):
            bucket.reset()

    @override
    def dump_bytecode(self, bucket: Bucket) -> None:
        """Save a compiled template, if the folder can be written."""
        path = self._path(bucket)
        if sys.dont_write_bytecode:
            return
        with suppress(OSError), tempfile.TemporaryDirectory(prefix=".templates-", dir=path.parent) as folder:
            # Another process may read the file at the same time: replace it in one step.
            complete = Path(folder, path.name)
            with complete.open("wb") as file:
                bucket.write_bytecode(file)
            complete.replace(path)

    @staticmethod
    def _path(bucket: Bucket) -> Path:
        return Path(cache_from_source(__file__)).parent / f"{bucket.key}.{sys.implementation.cache_tag}.bin"


def environment(words: Language, escape: Callable[[str], str]) -> Environment:
    """Return a Jinja environment that applies `escape` once to everything that a template outputs."""

    def finalize(value: Any) -> Any:
        return value if isinstance(value, Markup) else _mark_escaped(escape(localize(value, words)))

    @cache
    def constant_phrase(text: str) -> str:
        return _mark_escaped(escape(words(text)))

    def phrase(text: str, plural: str | None = None, /, **args: Any) -> str:
        return words(text, plural, **args) if args else constant_phrase(text)

    env = Environment(
        # Without effect on values, which finalize has escaped already. It marks the output of macros as escaped.
        autoescape=True,
        loader=FileSystemLoader(FOLDER),
        bytecode_cache=_TemplateCache(words.code),
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    env.globals.update(_=phrase, words=words, view=presenter, script=partial(reproduce_script, words))
    env.filters["say"] = lambda value: localize(value, words)
    env.filters["clipped"] = truncate
    env.filters["shortened"] = partial(truncate_middle, words=words)
    return env


def localize(value: Any, words: Language) -> str:
    """Return a message translated, and anything else as text."""
    return words.message(value) if isinstance(value, Message) else str(value)


def truncate(text: str, limit: int) -> str:
    """Return a text with at most `limit` characters, the last an ellipsis if it was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def truncate_middle(text: str, limit: int = _RESPONSE_LIMIT, *, words: Language) -> str:
    """Return a text with a line in place of its middle if it is longer than `limit` characters."""
    if len(text) <= limit:
        return text
    half = limit // 2
    note = words("[... {count} characters cut ...]", count=len(text) - 2 * half)
    return f"{text[:half]}\n{note}\n{text[-half:]}"


def reproduce_script(words: Language, items: Iterable[ItemResult]) -> str:
    """Return a shell script with the command of each item, under comments with its id and outcome."""
    blocks = []
    for item in items:
        observation = escape_markdown.replace_controls(
            f"{presenter.MARKS[item.status]} {words.message(item.outcome.message)}"
        )
        comments = [f"# {item.id}", *(f"# {line}" for line in observation.splitlines())]
        blocks.append("\n".join([*comments, item.outcome.evidence.reproduce_command]))
    return "\n\n".join(blocks)


def markdown_page(name: str, report: Report, words: Language, **variables: Any) -> str:
    """Render a Markdown template with a report and further variables."""
    return _markdown_environment(words).get_template(name).render(report=report, **variables)


@cache
def _markdown_environment(words: Language) -> Environment:
    env = environment(words, partial(render_inline_code, outside=escape_markdown.escape, code=escape_markdown.code))
    env.filters["cell"] = lambda value: _mark_escaped(
        render_inline_code(localize(value, words), outside=escape_markdown.escape_cell, code=_code_cell)
    )
    env.filters["code"] = lambda value: _mark_escaped(escape_markdown.code(str(value)))
    env.filters["code_cell"] = lambda value: _mark_escaped(_code_cell(str(value)))
    env.filters["fence"] = lambda value, language="": _mark_escaped(escape_markdown.code_block(str(value), language))
    env.filters["html"] = lambda value: _mark_escaped(escape_markdown.html_text(str(value)))
    return env


def render_inline_code(text: str, *, outside: Callable[[str], str], code: Callable[[str], str]) -> str:
    """Return a text with its `code spans` rendered by `code` and everything else escaped by `outside`."""
    if "`" not in text:
        return _escape_padded(text, outside)
    parts = _SPAN.split(text)
    return "".join(code(part) if number % 2 else _escape_padded(part, outside) for number, part in enumerate(parts))


def _escape_padded(part: str, outside: Callable[[str], str]) -> str:
    """Escape the text beside a code span, and keep the spaces between the two."""
    before = " " if part.startswith(" ") else ""
    after = " " if part.endswith(" ") and part.strip() else ""
    return before + outside(part) + after


def _code_cell(text: str) -> str:
    return escape_markdown.code(text).replace("|", "\\|")
