"""Languages: their forms, what is translated, and safety with whatever a message holds."""

from __future__ import annotations

import gettext
import io
from datetime import UTC, date, datetime

import msgspec
import pytest

from gate.core.messages import Message, msg
from gate.i18n import extract
from gate.i18n.language import LANGUAGES, Language, language, translate


def test_arguments_are_never_translated() -> None:
    """What was observed stays as it is, also when it reads like one of our texts or like a place."""
    observation = msg("{item}: {message}", item="NO-GO {message}", message="Nothing")
    assert translate(observation, "fr") == "NO-GO {message}\N{NO-BREAK SPACE}: Nothing"


def test_messages_in_messages_are_translated() -> None:
    """A message that is an argument is put into the language, too."""
    inner = msg("expected {wanted}, got {got}", wanted=200, got=503)
    text = translate(msg("{place}: expected {wanted}, got {got}", place="status", wanted=inner, got=1), "fr")
    assert text == "status\N{NO-BREAK SPACE}: attendu attendu 200, obtenu 503, obtenu 1"


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("text", ["{", "}", "{0}", "{a.b}", "{missing}", "{a:>99999999999}", "{a!r}", "", "{{a}}"])
def test_no_template_breaks(text: str, code: str) -> None:
    """A template from a report that somebody else wrote costs neither an exception nor memory."""
    message = Message(text=text, args={"a": "x"})
    assert len(translate(message, code)) < 100
    assert len(str(message)) < 100


FORMS = {
    "en": ("2.1", "17%", "2.1 s", "90 ms", "1 min 30 s", "8.0 KiB", "8080", ":"),
    "fr": ("2,1", "17_%", "2,1_s", "90_ms", "1_min_30_s", "8,0_Kio", "8080", "_:"),
}


@pytest.mark.parametrize("code", LANGUAGES)
def test_forms_of_a_language(code: str) -> None:
    """Numbers, percent, durations and sizes have the language's form; a port is not grouped."""
    words = language(code)
    made = (
        words.number(2.1),
        words.percent(17),
        words.duration(2.1),
        words.duration(0.09),
        words.duration(90),
        words.message(msg("{size}", size="8.0 KiB")),
        words.message(msg("{port}", port=8080)),
        words.colon,
    )
    assert tuple(form.replace("_", "\N{NO-BREAK SPACE}") for form in FORMS[code]) == made


DAYS = {
    "en": ("15 December 2025 at 14:36:54 UTC", "31 March 2026", "2026-03-31"),
    "fr": ("15 décembre 2025 à 14:36:54 UTC", "31 mars 2026", "31 mars 2026"),
}


@pytest.mark.parametrize("code", LANGUAGES)
def test_dates_of_a_language(code: str) -> None:
    """Dates have the language's form; a French message has no ISO date in it."""
    words = language(code)
    moment = words.moment(datetime(2025, 12, 15, 14, 36, 54, tzinfo=UTC))
    assert DAYS[code] == (moment, words.day(date(2026, 3, 31)), words.message(msg("{day}", day="2026-03-31")))


def test_an_unknown_language_is_english() -> None:
    """A language without a catalogue is English; a regional one is its own language."""
    assert (language("xx").code, language("fr-CA").code, language("fr_FR").code) == ("en", "fr", "fr")


def targets(count: int) -> Message:
    """Return a message with a plural form."""
    return msg("{count} target is active", "{count} targets are active", count=count)


@pytest.mark.parametrize(
    ("count", "english", "french"),
    [
        (0, "0 targets are active", "0 cible active"),
        (1, "1 target is active", "1 cible active"),
        (2, "2 targets are active", "2 cibles actives"),
    ],
)
def test_the_count_chooses_the_plural_form(count: int, english: str, french: str) -> None:
    """Each language has its own rule: 0 is plural in English and singular in French. Nested messages follow it, too."""
    catalog = extract.read_catalog("fr")
    catalog.add((targets(1).text, str(targets(1).plural)), ("{count} cible active", "{count} cibles actives"))
    translations = gettext.GNUTranslations(io.BytesIO(extract.compile_catalog(catalog)))
    assert str(targets(count)) == english
    assert translate(targets(count), "en") == english
    assert Language("fr", translations).message(targets(count)) == french
    assert Language("fr", translations)(targets(1).text, str(targets(1).plural), count=count) == french
    assert Language("fr", translations).message(msg("{inner}", inner=targets(count))) == french


def test_a_plural_without_a_translation_is_english() -> None:
    """A report of a later version may hold a text that this version's catalogue lacks."""
    assert translate(msg("{count} unicorn", "{count} unicorns", count=3), "fr") == "3 unicorns"
    assert translate(msg("{count} unicorn", "{count} unicorns", count=1), "fr") == "1 unicorn"


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("args", [{}, {"count": "1"}, {"count": 1.5}, {"count": msg("a")}, {"count": -(10**30)}])
def test_no_count_breaks_a_plural(args: dict[str, str | int | float | Message], code: str) -> None:
    """A count that chooses no form takes the plural, and costs no exception."""
    message = Message(text="one", args=args, plural="many")
    assert translate(message, code) == str(message) == "many"


def test_a_plural_is_an_optional_key() -> None:
    """A message without plural forms is written as ever; one with them is read back the same."""
    assert msgspec.json.encode(msg("a {b}", b=1)) == b'{"text":"a {b}","args":{"b":1}}'
    assert msgspec.json.decode(b'{"text":"a {b}","args":{"b":1}}', type=Message) == msg("a {b}", b=1)
    written = msgspec.json.encode(targets(2))
    assert msgspec.json.decode(written) == {
        "text": "{count} target is active",
        "args": {"count": 2},
        "plural": "{count} targets are active",
    }
    assert msgspec.json.decode(written, type=Message) == targets(2)
