"""Extracts all texts from the code and the templates, updates the catalogues, and compiles them (`make catalogues`)."""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from gate.i18n.language import DOMAIN, LANGUAGES, LOCALES

ROOT = LOCALES.parents[2]
_METHODS = [("**.py", "python"), ("**.j2", "jinja2.ext:babel_extract")]
_OPTIONS = {"**.j2": {"silent": "false", "trim_blocks": "true", "extensions": "jinja2.ext.do"}}
_KEYWORDS = {"msg": None, "_": None, "words": None}
_LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def _ours(folder: str) -> bool:
    """Whether a folder is looked into. Babel passes over those with an underscore in front, and ours have texts."""
    return Path(folder).name != "__pycache__"


def extracted() -> Catalog:
    """Every text of `msg("...")` and `words("...")` in the code and of `_("...")` in the templates, with its files."""
    catalogue = _empty(None)
    for folder in ("gate", "templates"):
        found = extract_from_dir(ROOT / folder, _METHODS, _OPTIONS, keywords=_KEYWORDS, directory_filter=_ours)
        for name, _, text, _, _ in sorted(found, key=lambda entry: (entry[0], entry[1])):
            if text:
                catalogue.add(text, locations=[(f"{folder}/{name}", 0)])
    return catalogue


def updated(code: str) -> Catalog:
    """The catalogue of a language with the texts of today: new ones untranslated, those no longer used dropped."""
    known = read(code)
    fresh = _empty(code)
    for message in extracted():
        if message.id:
            kept = known.get(message.id)
            fresh.add(message.id, kept.string if kept else "", locations=message.locations)
    return fresh


def read(code: str) -> Catalog:
    """The catalogue of a language as its `.po` file has it."""
    path = po(code)
    if not path.is_file():
        return _empty(code)
    with path.open("rb") as file:
        return read_po(file, locale=code, domain=DOMAIN)


def compiled(catalogue: Catalog) -> bytes:
    """What the `.mo` file of a catalogue has to be."""
    file = io.BytesIO()
    write_mo(file, catalogue)
    return file.getvalue()


def written(catalogue: Catalog) -> bytes:
    """What the `.po` file of a catalogue has to be."""
    file = io.BytesIO()
    write_po(file, catalogue, width=120, sort_output=True, include_lineno=False)
    return file.getvalue()


def po(code: str) -> Path:
    """The file with the translations of a language."""
    return LOCALES / code / "LC_MESSAGES" / f"{DOMAIN}.po"


def _empty(code: str | None) -> Catalog:
    header = "# The texts of prodgate. Kept by `make catalogues`."
    times: dict[str, Any] = {"creation_date": _LONG_AGO, "revision_date": _LONG_AGO}
    return Catalog(
        locale=code, domain=DOMAIN, header_comment=header, project="prodgate", fuzzy=False, charset="utf-8", **times
    )


def main() -> int:
    """Updates and compiles every catalogue; 1 where a text has no translation yet."""
    missing = 0
    for code in LANGUAGES[1:]:
        catalogue = updated(code)
        po(code).parent.mkdir(parents=True, exist_ok=True)
        po(code).write_bytes(written(catalogue))
        po(code).with_suffix(".mo").write_bytes(compiled(read(code)))
        untranslated = [message for message in catalogue if message.id and not message.string]
        missing += len(untranslated)
        print(f"{code}: {len(catalogue)} texts, {len(untranslated)} of them to translate in {po(code)}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
