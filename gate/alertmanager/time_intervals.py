"""Parse the time intervals of Alertmanager, and decide whether a moment is inside of one.

https://prometheus.io/docs/alertmanager/latest/configuration/#time-interval-0
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from msgspec import Struct

from gate.core.messages import Message, msg
from gate.prometheus.goyaml import InvalidValueError

Range = tuple[int, int]
_DAYS = {name: number for number, name in enumerate(
    ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"))}  # fmt: skip
_MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_name) if name}
_TIME = re.compile(r"(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00)", re.ASCII)
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)


class TimeInterval(Struct, frozen=True):
    """A set of moments. None accepts every moment, an empty tuple none. Times are minutes of a day."""

    times: tuple[Range, ...] | None = None
    weekdays: tuple[Range, ...] | None = None
    days_of_month: tuple[Range, ...] | None = None
    months: tuple[Range, ...] | None = None
    years: tuple[Range, ...] | None = None
    location: str | None = None

    def contains(self, moment: datetime) -> bool:
        """Return whether a moment with a time zone is inside."""
        at = moment.astimezone(load_location(self.location) if self.location is not None else UTC)
        minute = at.hour * 60 + at.minute
        return (
            (self.times is None or any(start <= minute < end for start, end in self.times))
            and _within(self.weekdays, at.isoweekday() % 7)
            and (self.days_of_month is None or any(_has_day(days, at) for days in self.days_of_month))
            and _within(self.months, at.month)
            and _within(self.years, at.year)
        )


def _within(ranges: tuple[Range, ...] | None, number: int) -> bool:
    return ranges is None or any(first <= number <= last for first, last in ranges)


def _has_day(days: Range, at: datetime) -> bool:
    length = calendar.monthrange(at.year, at.month)[1]
    first, last = (day + length + 1 if day < 0 else day for day in days)
    return first <= length and max(first, -length) <= at.day <= min(last, length)


def any_contains(intervals: Mapping[str, tuple[TimeInterval, ...]], names: tuple[str, ...], at: datetime) -> str | None:
    """Return the first of some named intervals that contains a moment, else None."""
    return next((name for name in names if any(each.contains(at) for each in intervals.get(name, ()))), None)


def load_location(name: str) -> tzinfo:
    """Return a time zone by its name. Raise InvalidValueError if Go does not know it."""
    if name in ("", "UTC"):
        return UTC
    if name == "Local":
        local = datetime.now().astimezone().tzinfo
        assert local is not None
        return local
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise InvalidValueError(msg("{name} is not a time zone, such as Europe/Paris", name=name)) from None


def parse_time(text: str) -> int:
    """Return the minute of the day of a time such as `08:30`. Raise InvalidValueError."""
    if not _TIME.fullmatch(text):
        raise InvalidValueError(msg("{text} is not a time from 00:00 to 24:00, such as 08:30", text=text or '""'))
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def parse_weekdays(text: str) -> Range:
    """Parse a range such as `monday:friday`. Raise InvalidValueError."""
    first, last = _range(text, _DAYS, numbers=False, what=msg("weekday"))
    if first > last:
        raise InvalidValueError(msg("{text} ends before it starts; a week starts on Sunday", text=text))
    return first, last


def parse_days_of_month(text: str) -> Range:
    """Parse a range such as `1:5` or `-3:-1`. Raise InvalidValueError."""
    first, last = _range(text, {}, numbers=True, what=msg("day of the month"))
    for day in (first, last):
        if day == 0 or abs(day) > 31:
            raise InvalidValueError(msg("{day} is not a day of the month: 1 to 31, or -31 to -1", day=day))
    # A negative day counts from the end of the shortest month, which has 28 days.
    start, end = (day + 28 if day < 0 else day for day in (first, last))
    if (first < 0 < last) or start > end:
        raise InvalidValueError(msg("{text} ends before it starts", text=text))
    return first, last


def parse_months(text: str) -> Range:
    """Parse a range such as `may:august` or `1:3`. Raise InvalidValueError."""
    return _ascending(text, _range(text, _MONTHS, numbers=True, what=msg("month")))


def parse_years(text: str) -> Range:
    """Parse a range such as `2025:2027`. Raise InvalidValueError."""
    return _ascending(text, _range(text, {}, numbers=True, what=msg("year")))


def _ascending(text: str, found: Range) -> Range:
    if found[0] > found[1]:
        raise InvalidValueError(msg("{text} ends before it starts", text=text))
    return found


def _range(text: str, names: Mapping[str, int], *, numbers: bool, what: Message) -> Range:
    parts = text.lower().split(":")
    if len(parts) > 2:
        raise InvalidValueError(msg("{text} is not a range, such as {example}", text=text, example="1:5"))
    values = []
    for part in parts:
        if part not in names and not (numbers and _WHOLE.fullmatch(part)):
            raise InvalidValueError(msg("{text} is not a {what}", text=part or '""', what=what))
        values.append(names[part] if part in names else int(part))
    return values[0], values[-1]
