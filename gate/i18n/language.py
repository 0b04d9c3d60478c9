"""Translate messages and format dates, numbers and durations in the language of a report.

The templates are in English; `gate/i18n/locale/` has gettext catalogues for the other languages. Arguments of a message
are observed values and stay unchanged, except that dates, numbers, durations and sizes are formatted.
"""

from __future__ import annotations

import gettext
import re
from datetime import UTC, date, datetime
from functools import cache, lru_cache
from pathlib import Path

from msgspec import UNSET, UnsetType

from gate.core.messages import Message, format_template, plural_number
from gate.decode.quantities import format_duration

LOCALES = Path(__file__).parent / "locale"
DOMAIN = "prodgate"
# The languages of reports. The first is the language of the templates.
LANGUAGES = ("en", "fr")

_LOCALES = {"en": "en_GB", "fr": "fr_FR"}
_MOMENTS = {"en": "d MMMM y 'at' HH:mm:ss 'UTC'", "fr": "d MMMM y 'à' HH:mm:ss 'UTC'"}
_QUANTITY = re.compile(r"[-+]?[0-9]+(?:\.[0-9]+)? (?:ms|s|min|B|KiB|MiB|GiB)|[0-9]+ min [0-9]+ s")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_UNITS = {"fr": {"B": "o", "KiB": "Kio", "MiB": "Mio", "GiB": "Gio"}}
# Seconds beyond which a point in time is not worth printing: a report may hold any number.
_MAX_OFFSET = 1e9
NO_BREAK = "\N{NO-BREAK SPACE}"


class Language:
    """A language of reports: its catalogue and its formats."""

    def __init__(self, code: str, catalogue: gettext.NullTranslations) -> None:
        self.code = code
        self._catalogue = catalogue

    def __call__(self, text: str, plural: str | None = None, /, **args: str | int | float | Message) -> str:
        """Translate a literal text of the code or a template. With a `plural`, `count` chooses the form."""
        return self._format(text, UNSET if plural is None else plural, args)

    def message(self, message: Message) -> str:
        """Translate a message and the messages among its arguments. Never raises, whatever they contain."""
        return self._format(message.text, message.plural, message.args)

    def _format(self, text: str, plural: str | UnsetType, args: dict[str, str | int | float | Message]) -> str:
        if plural is not UNSET:
            template = self._catalogue.ngettext(text, str(plural), plural_number(args))
        else:
            # gettext("") returns the header of the catalogue.
            template = self._catalogue.gettext(text) if text else ""
        return format_template(template, args, self._argument)

    def _argument(self, value: str | int | float | Message) -> str:
        if isinstance(value, Message):
            return self.message(value)
        if not isinstance(value, str):
            return self.number(value)
        if self.code == "en":
            return value
        if _DAY.fullmatch(value):
            return self._iso_day(value)
        return self._quantity(value) if _QUANTITY.fullmatch(value) else value

    def _iso_day(self, text: str) -> str:
        try:
            return self.day(date.fromisoformat(text))
        except ValueError:
            return text

    def _quantity(self, text: str) -> str:
        if self.code == "en":
            return text
        units = _UNITS.get(self.code, {})
        return NO_BREAK.join(units.get(word, word.replace(".", ",")) for word in text.split(" "))

    def number(self, value: float) -> str:
        """Format a number without grouping, because it may be a port or a line: `2.1`, in French `2,1`."""
        return str(value) if self.code == "en" else str(value).replace(".", ",")

    def percent(self, whole: int) -> str:
        """Format whole percent: `17%`, in French `17 %` with a no-break space."""
        return f"{whole}%" if self.code == "en" else f"{whole}{NO_BREAK}%"

    def duration(self, seconds: float) -> str:
        """Format a duration: `2.1 s`, in French `2,1 s`."""
        return self._quantity(format_duration(seconds))

    @property
    def colon(self) -> str:
        """Return a colon, in French with a no-break space before it."""
        return ":" if self.code == "en" else f"{NO_BREAK}:"

    def seconds(self, at: float) -> str:
        """Format seconds since a fault: `+0.9 s`, in French `+0,9 s`."""
        return self._quantity(f"{at:+.1f} s") if abs(at) < _MAX_OFFSET else "?"

    def moment(self, when: datetime) -> str:
        """Format a date and time in UTC: `15 December 2025 at 09:36:54 UTC`."""
        return _moment(when.astimezone(UTC).replace(microsecond=0), self.code)

    def day(self, day: date) -> str:
        """Format a date: `31 March 2026`."""
        from babel.dates import format_date

        return str(format_date(day, "long", locale=_LOCALES[self.code]))


@lru_cache(maxsize=4096)
def _moment(when: datetime, code: str) -> str:
    # Cached, because many items start in the same second.
    from babel.dates import format_datetime

    return str(format_datetime(when, _MOMENTS[code], locale=_LOCALES[code]))


def _load_catalogue(code: str) -> gettext.NullTranslations:
    path = LOCALES / code / "LC_MESSAGES" / f"{DOMAIN}.mo"
    if not path.is_file():
        return gettext.NullTranslations()
    with path.open("rb") as file:
        return gettext.GNUTranslations(file)


@cache
def language(code: str) -> Language:
    """Return the language of a code, such as `fr` for `fr-CA`; English if there is no catalogue for it."""
    short = code.replace("_", "-").split("-")[0].lower()
    supported = short if short in LANGUAGES else LANGUAGES[0]
    return Language(supported, _load_catalogue(supported))


def translate(message: Message, code: str) -> str:
    """Translate a message."""
    return language(code).message(message)
