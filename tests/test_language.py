"""Languages: their forms, what is translated, and safety with whatever a message holds."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from gate.core.messages import Message, msg
from gate.i18n.language import LANGUAGES, language, translate


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
