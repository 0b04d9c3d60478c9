"""Loads the templates of `templates/`, beside the package both in a checkout and when installed.

What a template puts out is escaped for the place it goes to, unless a filter has done so: text can't be forgotten.
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
from gate.i18n.language import Language
from gate.model import ItemResult, Report
from gate.render import escape_markdown, presenter

FOLDER = Path(__file__).parents[1] / "templates"
_SPAN = re.compile(r"`([^`\n]+)`")
_ANSWER_LIMIT = 2000
_marked: Callable[[str], Markup] = partial(str.__new__, Markup)
"""What is escaped, as Jinja knows it. A report has tens of thousands, and what `Markup` itself does costs more."""


class _Compiled(BytecodeCache):
    """Templates as Python's bytecode, kept where Python keeps that of this module: compiling them is half of a start.

    A language is part of the key, because constants are put out when a template is compiled.
    """

    def __init__(self, code: str) -> None:
        self.code = code

    def get_cache_key(self, name: str, filename: str | None = None) -> str:
        return f"{name}.{self.code}"

    def load_bytecode(self, bucket: Bucket) -> None:
        try:
            with self._path(bucket).open("rb") as file:
                bucket.load_bytecode(file)
        except (OSError, EOFError, ValueError, TypeError):
            bucket.reset()

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Writes it whole or not at all. A folder that cannot be written costs time, and nothing else."""
        path = self._path(bucket)
        if sys.dont_write_bytecode:
            return
        with suppress(OSError), tempfile.TemporaryDirectory(prefix=".templates-", dir=path.parent) as folder:
            made = Path(folder, path.name)
            with made.open("wb") as file:
                bucket.write_bytecode(file)
            made.replace(path)

    @staticmethod
    def _path(bucket: Bucket) -> Path:
        return Path(cache_from_source(__file__)).parent / f"{bucket.key}.{sys.implementation.cache_tag}.bin"


def environment(words: Language, escape: Callable[[str], str]) -> Environment:
    """A Jinja environment in which everything that is put out goes through `escape`, once."""

    def finalize(value: Any) -> Any:
        return value if isinstance(value, Markup) else _marked(escape(localize(value, words)))

    @cache
    def own(text: str) -> str:
        return _marked(escape(words(text)))

    def phrase(text: str, plural: str | None = None, /, **args: Any) -> str:
        return words(text, plural, **args) if args else own(text)

    made = Environment(
        autoescape=True,  # never at work, because finalize has escaped before it, but it keeps macros as they are
        loader=FileSystemLoader(FOLDER),
        bytecode_cache=_Compiled(words.code),
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals.update(_=phrase, words=words, view=presenter, script=partial(reproduce_script, words))
    made.filters["say"] = lambda value: localize(value, words)
    made.filters["clipped"] = truncate
    made.filters["shortened"] = partial(truncate_middle, words=words)
    return made


def localize(value: Any, words: Language) -> str:
    """A message in the language; anything else as text."""
    return words.message(value) if isinstance(value, Message) else str(value)


def truncate(text: str, limit: int) -> str:
    """The beginning of a text that is longer than `limit` characters, with an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def truncate_middle(text: str, limit: int = _ANSWER_LIMIT, *, words: Language) -> str:
    """The two ends of a text that is longer than `limit` characters, with a line between them that says so."""
    if len(text) <= limit:
        return text
    half = limit // 2
    note = words("[... {count} characters cut ...]", count=len(text) - 2 * half)
    return f"{text[:half]}\n{note}\n{text[-half:]}"


def reproduce_script(words: Language, items: Iterable[ItemResult]) -> str:
    """The commands that ask the same by hand, each under the item's id and what the gate saw."""
    blocks = []
    for item in items:
        observation = escape_markdown.replace_controls(
            f"{presenter.MARKS[item.status]} {words.message(item.outcome.message)}"
        )
        head = [f"# {item.id}", *(f"# {line}" for line in observation.splitlines())]
        blocks.append("\n".join([*head, item.outcome.evidence.reproduce_command]))
    return "\n\n".join(blocks)


def markdown_page(name: str, report: Report, words: Language, **more: Any) -> str:
    """A template of Markdown, with a report in it."""
    return _for_markdown(words).get_template(name).render(report=report, **more)


@cache
def _for_markdown(words: Language) -> Environment:
    made = environment(words, partial(render_inline_code, outside=escape_markdown.escape, code=escape_markdown.code))
    made.filters["cell"] = lambda value: _marked(
        render_inline_code(localize(value, words), outside=escape_markdown.escape_cell, code=_code_cell)
    )
    made.filters["code"] = lambda value: _marked(escape_markdown.code(str(value)))
    made.filters["code_cell"] = lambda value: _marked(_code_cell(str(value)))
    made.filters["fence"] = lambda value, language="": _marked(escape_markdown.code_block(str(value), language))
    made.filters["html"] = lambda value: _marked(escape_markdown.html_text(str(value)))
    return made


def render_inline_code(text: str, *, outside: Callable[[str], str], code: Callable[[str], str]) -> str:
    """A text in which only `spans of code` mean something, escaped part by part."""
    if "`" not in text:
        return _padded(text, outside)
    parts = _SPAN.split(text)
    return "".join(code(part) if number % 2 else _padded(part, outside) for number, part in enumerate(parts))


def _padded(part: str, outside: Callable[[str], str]) -> str:
    """A part between two spans keeps the space that stands between it and them."""
    before = " " if part.startswith(" ") else ""
    after = " " if part.endswith(" ") and part.strip() else ""
    return before + outside(part) + after


def _code_cell(text: str) -> str:
    return escape_markdown.code(text).replace("|", "\\|")
