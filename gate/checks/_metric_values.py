"""Compare values of metrics with matchers. NaN is no data, and matches only if the matcher expects it."""

from __future__ import annotations

import math
from typing import Any

from gate.core.messages import Message, msg
from gate.matchers import Matcher, describe


def mismatch_of_number(matcher: Matcher | None, value: float, at: str) -> Message | None:
    """Return how a metric's value differs from the matcher; None if it matches or there is no matcher."""
    if matcher is None:
        return None
    if math.isnan(value) and not _asks_for_nan(matcher.spec):
        return msg("{place}: expected {wanted}, got NaN, which is no data", place=at, wanted=describe(matcher.spec))
    return matcher.mismatch(value, at)


def _asks_for_nan(spec: Any) -> bool:
    if isinstance(spec, list):
        return any(map(_asks_for_nan, spec))
    if isinstance(spec, dict):
        return "equals" in spec and _asks_for_nan(spec["equals"])
    return isinstance(spec, float) and math.isnan(spec)
