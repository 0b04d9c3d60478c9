"""Catalogues: every text of the code and the templates is translated, in step with them, and well formed."""

from __future__ import annotations

import ast
import re
import string
from typing import Any

import pytest

from gate.i18n import extract
from gate.i18n.language import LANGUAGES

TRANSLATED = LANGUAGES[1:]


def placeholders(text: str) -> list[tuple[str, str, str]]:
    """Return the placeholders of a template: name, format, conversion."""
    return sorted((name, form or "", how or "") for _, name, form, how in string.Formatter().parse(text) if name)


def templates(message: Any) -> tuple[str, ...]:
    """Return the English template of a message, or its singular and plural."""
    return message.id if isinstance(message.id, tuple) else (message.id,)


@pytest.mark.parametrize("code", TRANSLATED)
def test_every_text_is_translated(code: str) -> None:
    """Every text of the code and the templates has a translation, in all its plural forms, that is not fuzzy."""
    catalog = extract.update_catalog(code)
    assert [message.id for message in extract.untranslated(catalog)] == []
    assert [message.id for message in extract.read_catalog(code) if message.id and message.fuzzy] == []


def test_extraction_finds_code_and_templates() -> None:
    """Texts of the code and of the templates are extracted, with the file that uses them."""
    catalog = extract.extract_catalog()
    assert [place for place, _ in catalog["PROD GATE report"].locations] == ["gate/templates/report.md.j2"]
    assert "gate/core/messages.py" in [place for place, _ in catalog["{one}; {other}"].locations]


@pytest.mark.parametrize(
    ("source", "texts"),
    [
        ('msg("{count} file", "{count} files", count=n)', [("{count} file", "{count} files")]),
        ('msg("{a}", a="not a plural")', ["{a}"]),
        ('language.words("a" "b")', ["ab"]),
        ('msg("outer", x=msg("inner"))', ["outer", "inner"]),
        ('msg(name); msg(); msg(""); other("x")', []),
    ],
)
def test_extraction_from_python(source: str, texts: list[Any]) -> None:
    """A second positional literal is the plural form; keyword arguments and other functions are not texts."""
    assert list(extract.extract_python(source)) == texts


@pytest.mark.parametrize(
    ("source", "texts"),
    [
        ('{{ _("{count} file", "{count} files", count=n) }}', [("{count} file", "{count} files")]),
        ('{{ _("{a}", a="not a plural") }}{% if x %}{{ _("b")|cell }}{% endif %}', ["{a}", "b"]),
        ("{{ _(name) }}{{ _() }}", []),
    ],
)
def test_extraction_from_templates(source: str, texts: list[Any]) -> None:
    """Templates follow the same rule as code."""
    assert list(extract.extract_template(source)) == texts


def test_plurals_in_a_po_file() -> None:
    """A text with a plural form has a `msgid_plural` and, once compiled, a translation for each form."""
    catalog = extract.update_catalog("fr")
    catalog.add(("{count} file", "{count} files"))
    assert [message.id for message in extract.untranslated(catalog)][-1:] == [("{count} file", "{count} files")]
    text = extract.format_catalog(catalog).decode()
    assert 'msgid "{count} file"\nmsgid_plural "{count} files"\nmsgstr[0] ""\nmsgstr[1] ""\n' in text


@pytest.mark.parametrize("code", TRANSLATED)
def test_translations_use_the_same_placeholders(code: str) -> None:
    """A translation has exactly the placeholders of its template; a singular form may leave out `{count}`."""

    def required(text: str, *, singular: bool) -> list[tuple[str, str, str]]:
        return [entry for entry in placeholders(text) if not (singular and entry[0] == "count")]

    wrong = [
        (message.id, form)
        for message in extract.read_catalog(code)
        for number, form in enumerate(extract.translations(message))
        if message.id and form
        for singular in [message.pluralizable and number == 0]
        if required(templates(message)[-1], singular=singular) != required(form, singular=singular)
    ]
    assert wrong == []


def test_placeholders_are_plain_names() -> None:
    """A placeholder is a name, with no format and no conversion, which a translation could not keep."""
    wrong = [
        text
        for message in extract.extract_catalog()
        if message.id
        for text in templates(message)
        if any(form or how for _, form, how in placeholders(text))
    ]
    assert wrong == []


@pytest.mark.parametrize("code", TRANSLATED)
def test_catalogues_are_up_to_date(code: str) -> None:
    """The .po file equals the result of the extraction, and the .mo file that of compiling it (`make catalogues`)."""
    path = extract.po_path(code)
    assert extract.format_catalog(extract.update_catalog(code)) == path.read_bytes()
    assert extract.compile_catalog(extract.read_catalog(code)) == path.with_suffix(".mo").read_bytes()


def test_french_has_its_spaces() -> None:
    """French puts a no-break space, and no other, before high punctuation and inside its quotation marks."""
    texts = [
        re.sub("`[^`]*`", "", form)
        for message in extract.read_catalog("fr")
        if message.id
        for form in extract.translations(message)
    ]
    assert [text for text in texts if re.search(r" [:;!?»%]|« |[^\s:/{]:(?=\s|$)", text)] == []


def _calls(name: str) -> list[tuple[str, ast.Call]]:
    """Return the calls of a function in the code, each with its place."""
    return [
        (f"{path.name}:{node.lineno}", node)
        for path in sorted(extract.PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name
    ]


def test_every_template_is_a_literal() -> None:
    """Extraction finds only literals: no call of `msg` has a template that was put together."""
    calls = _calls("msg")
    wrong = [
        place
        for place, call in calls
        if not call.args
        or not all(isinstance(argument, ast.Constant) and isinstance(argument.value, str) for argument in call.args)
    ]
    assert len(calls) > 100
    assert wrong == []


def test_a_plural_has_a_count() -> None:
    """A call of `msg` with a plural form passes `count`, which chooses the form."""
    wrong = [
        place
        for place, call in _calls("msg")
        if len(call.args) > 1 and "count" not in [keyword.arg for keyword in call.keywords]
    ]
    assert wrong == []
