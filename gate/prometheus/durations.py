"""Convert Prometheus durations such as `1h30m` (https://prometheus.io/docs/prometheus/latest/querying/basics/)."""

from __future__ import annotations

import re

_DURATION = re.compile(
    r"(?:([0-9]+)y)?(?:([0-9]+)w)?(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?(?:([0-9]+)ms)?"
)
_SECONDS = (365 * 86400.0, 7 * 86400.0, 86400.0, 3600.0, 60.0, 1.0, 0.001)
_LONGEST = (2**63 - 1) / 1e9


def seconds(text: str) -> float | None:
    """Return the seconds of a duration, or None if the text is not a duration. `0` needs no unit."""
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text) if text else None
    if not match:
        return None
    total = sum(float(part) * unit for part, unit in zip(match.groups(), _SECONDS, strict=True) if part)
    return total if total <= _LONGEST else None


def text(number: float) -> str:
    """Return a number of seconds as Prometheus writes it, such as `1m30s`."""
    rest, written = round(number * 1000), ""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        written += f"{rest // size}{unit}" if rest >= size else ""
        rest %= size
    return written or "0s"
