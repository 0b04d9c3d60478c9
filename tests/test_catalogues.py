"""Catalogues: every text of the code and the templates is translated, in step with them, and well formed."""

from __future__ import annotations

import ast
import re
import string

import pytest

from gate.i18n import extract as catalogues
from gate.i18n.language import LANGUAGES

OTHERS = LANGUAGES[1:]


def places(text: str) -> list[tuple[str, str, str]]:
    """The places of a template: name, form, conversion."""
    return sorted((name, form or "", how or "") for _, name, form, how in string.Formatter().parse(text) if name)


@pytest.mark.parametrize("code", OTHERS)
def test_every_text_is_translated(code: str) -> None:
    """Every text of the code and the templates has a translation that is not fuzzy."""
    known = catalogues.read(code)
    missing = [
        message.id
        for message in catalogues.extracted()
        if message.id and (message.id not in known or not known[message.id].string or known[message.id].fuzzy)
    ]
    assert missing == []


@pytest.mark.parametrize("code", OTHERS)
def test_translations_use_the_same_places(code: str) -> None:
    """A translation has exactly the places of its template."""
    wrong = [m.id for m in catalogues.read(code) if m.id and m.string and places(m.id) != places(m.string)]
    assert wrong == []


def test_places_are_plain_names() -> None:
    """A place of a template is a name, with no form and no conversion, which a translation could not keep."""
    wrong = [m.id for m in catalogues.extracted() if m.id and any(form or how for _, form, how in places(m.id))]
    assert wrong == []


@pytest.mark.parametrize("code", OTHERS)
def test_catalogues_hold_what_is_used(code: str) -> None:
    """The .po file is what extraction makes of it, and the .mo file is what it compiles to (`make catalogues`)."""
    path = catalogues.po(code)
    assert catalogues.written(catalogues.updated(code)) == path.read_bytes()
    assert catalogues.compiled(catalogues.read(code)) == path.with_suffix(".mo").read_bytes()


def test_french_has_its_spaces() -> None:
    """French puts a no-break space, and no other, before high punctuation and inside its quotation marks."""
    texts = [re.sub("`[^`]*`", "", message.string) for message in catalogues.read("fr") if message.id]
    assert [text for text in texts if re.search(r" [:;!?»%]|« |[^\s:/{]:(?=\s|$)", text)] == []


def test_every_template_is_a_literal() -> None:
    """Extraction finds only texts that stand in the code: nothing calls `say` with one that was put together."""
    wrong = [
        f"{path.name}:{node.lineno}"
        for path in sorted((catalogues.ROOT / "gate").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "say"
        if not (node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str))
    ]
    assert wrong == []
