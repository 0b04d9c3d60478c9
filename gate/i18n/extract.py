"""Extract the translatable texts of code and templates, update the catalogues and compile them (`make catalogues`).

A text is the literal first argument of `msg(...)`, `words(...)` or, in a template, `_(...)`. A literal second argument
is its plural form, and becomes `msgid_plural`.
"""

from __future__ import annotations

import ast
import io
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from jinja2 import Environment
from jinja2.ext import extract_from_ast

from gate.i18n.language import DOMAIN, LANGUAGES, LOCALES

PACKAGE = LOCALES.parents[1]
# Functions that take a text, in code and in templates.
FUNCTIONS = ("msg", "words", "_")
# Babel stamps catalogues with the current time; a fixed one keeps them equal from run to run.
_FIXED_DATE = datetime(2026, 1, 1, tzinfo=UTC)

# A text, or its singular and plural.
Text = str | tuple[str, str]


@cache
def extract_catalog() -> Catalog:
    """Return a catalogue without translations: every text of the code and the templates, with the files that use it."""
    catalog = _empty_catalog(None)
    # In a checkout the templates are a symbolic link, which rglob does not follow.
    for path in [*sorted(PACKAGE.rglob("*.py")), *sorted((PACKAGE / "templates").glob("*.j2"))]:
        source = path.read_text(encoding="utf-8")
        for text in extract_python(source) if path.suffix == ".py" else extract_template(source):
            catalog.add(text, locations=[(path.relative_to(PACKAGE.parent).as_posix(), 0)])
    return catalog


def extract_python(source: str) -> Iterator[Text]:
    """Yield the texts of Python source in the order of its calls."""
    # Babel's own extractor reads tokens: it can't tell a plural form from a keyword argument with a literal value.
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    for call in sorted(calls, key=lambda call: (call.lineno, call.col_offset)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if name in FUNCTIONS:
            yield from _text([argument.value if isinstance(argument, ast.Constant) else None for argument in call.args])


def extract_template(source: str) -> Iterator[Text]:
    """Yield the texts of a Jinja template in the order of its calls."""
    for _, _, arguments in extract_from_ast(Environment().parse(source), FUNCTIONS):  # noqa: S701 - only parsed
        yield from _text([arguments] if isinstance(arguments, str) else list(arguments or ()))


def _text(arguments: list[Any]) -> Iterator[Text]:
    """Yield the text of a call from its positional arguments, if they are literals."""
    match arguments:
        case [str(singular), str(plural), *_] if singular:
            yield singular, plural
        case [str(text), *_] if text:
            yield text


def update_catalog(code: str) -> Catalog:
    """Return a language's catalogue with the current texts: new ones untranslated, unused ones dropped."""
    translated = read_catalog(code)
    catalog = _empty_catalog(code)
    for message in extract_catalog():
        if message.id:
            previous = translated.get(message.id)
            # A text that gained or lost its plural form needs a new translation.
            kept = previous and previous.id == message.id
            catalog.add(message.id, previous.string if previous and kept else "", locations=message.locations)
    return catalog


def untranslated(catalog: Catalog) -> list[Any]:
    """Return the messages of a catalogue that lack a translation, or one of their plural forms."""
    return [message for message in catalog if message.id and not all(translations(message))]


def translations(message: Any) -> tuple[str, ...]:
    """Return the translation of a message, or all its plural forms; empty strings if there is none."""
    return tuple(message.string) if isinstance(message.string, tuple | list) else (message.string or "",)


def read_catalog(code: str) -> Catalog:
    """Return a language's catalogue from its `.po` file, or an empty one if there is no file."""
    path = po_path(code)
    if not path.is_file():
        return _empty_catalog(code)
    with path.open("rb") as file:
        return read_po(file, locale=code, domain=DOMAIN)


def compile_catalog(catalog: Catalog) -> bytes:
    """Return the content of a catalogue's `.mo` file."""
    file = io.BytesIO()
    write_mo(file, catalog)
    return file.getvalue()


def format_catalog(catalog: Catalog) -> bytes:
    """Return the content of a catalogue's `.po` file."""
    file = io.BytesIO()
    write_po(file, catalog, width=120, sort_output=True, include_lineno=False)
    return file.getvalue()


def po_path(code: str) -> Path:
    """Return the path of a language's `.po` file."""
    return LOCALES / code / "LC_MESSAGES" / f"{DOMAIN}.po"


def _empty_catalog(code: str | None) -> Catalog:
    header = "# The texts of prodgate. Kept by `make catalogues`."
    dates: dict[str, Any] = {"creation_date": _FIXED_DATE, "revision_date": _FIXED_DATE}
    return Catalog(
        locale=code, domain=DOMAIN, header_comment=header, project="prodgate", fuzzy=False, charset="utf-8", **dates
    )


def main() -> int:
    """Update and compile every catalogue. Return 1 if a text has no translation yet, else 0."""
    missing = 0
    for code in LANGUAGES[1:]:
        catalog = update_catalog(code)
        po_path(code).parent.mkdir(parents=True, exist_ok=True)
        po_path(code).write_bytes(format_catalog(catalog))
        po_path(code).with_suffix(".mo").write_bytes(compile_catalog(read_catalog(code)))
        to_translate = len(untranslated(catalog))
        missing += to_translate
        print(f"{code}: texts: {len(catalog)}, untranslated: {to_translate} ({po_path(code)})")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
