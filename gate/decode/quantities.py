"""Parse and format durations, sizes and shares with a unit: `500ms`, `30s`, `1m30s`, `8KiB`, `1%`.

Units: Go durations as Prometheus writes them (https://prometheus.io/docs/prometheus/latest/querying/basics/), and
IEC 80000-13 binary or SI decimal sizes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from gate.decode.structs import custom_type

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_BYTES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_DURATION = r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d|w))+"
_SHARE = r"[0-9]+(?:\.[0-9]+)?\s*%"
_SIZE = r"[0-9]+(?:\.[0-9]+)?\s*(?:B|KB|MB|GB|KiB|MiB|GiB)"

# In seconds. A longer duration is a typo, and system timers overflow.
MAX_DURATION = 3650 * _SECONDS["d"]
# What a share of a count may be off: 0.07 of 100 is more than 7.
ROUNDING = 1e-9
# In bytes.
MAX_SIZE = 2**60


def parse_duration(value: Any) -> float:
    """Return the seconds of `500ms`, `30s` or `1m30s`. Raise ValueError for anything else, such as a bare number."""
    if not isinstance(value, str) or not re.fullmatch(_DURATION, value):
        raise ValueError("expected a duration with its unit, such as 500ms, 30s or 2m")
    parts = re.findall(r"([0-9.]+)(ms|s|m|h|d|w)", value)
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if seconds > MAX_DURATION:
        raise ValueError("expected a duration of at most 3650d")
    return seconds


def parse_size(value: Any) -> int:
    """Return the bytes of `512B`, `8KiB` or `10MB`. Raise ValueError for anything else, such as a bare number."""
    match = re.fullmatch(r"([0-9.]+)\s*([A-Za-z]+)", value) if isinstance(value, str) else None
    if not match or not re.fullmatch(_SIZE, str(value)):
        raise ValueError("expected a size with its unit, such as 512B, 8KiB or 64MiB")
    count = float(match[1]) * _BYTES[match[2]]
    if count > MAX_SIZE:
        raise ValueError(f"expected a size of at most {MAX_SIZE // 2**30}GiB")
    return int(count)


def parse_share(value: Any) -> float:
    """Return the share of `1%` or `0.5%`, such as 0.01. Raise ValueError for anything else, such as a bare number."""
    if not isinstance(value, str) or not re.fullmatch(_SHARE, value):
        raise ValueError("expected a share with its unit, such as 1% or 0.5%")
    share = float(value.rstrip("% \t")) / 100
    if share > 1:
        raise ValueError("expected a share of at most 100%")
    return share


def _parse_positive_duration(value: Any) -> float:
    seconds = parse_duration(value)
    if not seconds:
        raise ValueError("expected a duration of more than 0s")
    return seconds


def _parse_positive_size(value: Any) -> int:
    count = parse_size(value)
    if not count:
        raise ValueError("expected a size of more than 0B")
    return count


def _parse_positive_share(value: Any) -> float:
    share = parse_share(value)
    if not share:
        raise ValueError("expected a share of more than 0%")
    return share


DURATION_SCHEMA: dict[str, Any] = {
    "type": "string",
    "pattern": f"^{_DURATION}$",
    "examples": ["500ms", "30s", "2m"],
}
SHARE_SCHEMA: dict[str, Any] = {"type": "string", "pattern": f"^{_SHARE}$", "examples": ["1%", "0.5%"]}
SIZE_SCHEMA: dict[str, Any] = {"type": "string", "pattern": f"^{_SIZE}$", "examples": ["512B", "8KiB", "64MiB"]}


if TYPE_CHECKING:
    DurationSeconds = float
    PositiveDurationSeconds = float
    ByteSize = int
    PositiveShare = float
else:
    # Written with a unit; decoded to seconds or bytes.
    DurationSeconds = custom_type(parse_duration, DURATION_SCHEMA)
    PositiveDurationSeconds = custom_type(_parse_positive_duration, DURATION_SCHEMA)
    ByteSize = custom_type(_parse_positive_size, SIZE_SCHEMA)
    # Decoded to a number up to 1.
    PositiveShare = custom_type(_parse_positive_share, SHARE_SCHEMA)


def format_duration(seconds: float) -> str:
    """Format a duration for people: `3 ms`, `2.1 s`, `1 min 30 s`."""
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole >= 2 * 86400:
        return f"{whole // 86400} d"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def format_size(count: int) -> str:
    """Format a size for people: `512 B`, `8.0 KiB`."""
    number = float(count)
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} GiB"


def format_share(share: float) -> str:
    """Format a share for people: `0%`, `0.4%`, `98.3%`. Only 1 is `100%`, and only 0 is `0%`."""
    if 0 < share < 1:
        share = min(0.999, max(0.001, share))
    return f"{100 * share:.1f}".removesuffix(".0") + "%"


class Quantity(float):
    """A number with a text for people, such as its value with a unit."""

    display: str

    def __new__(cls, value: float, display: str) -> Quantity:
        """Create the number with its text."""
        quantity = super().__new__(cls, value)
        quantity.display = display
        return quantity
