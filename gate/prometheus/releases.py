"""Describe releases of Prometheus: their version and feature flags decide which files are valid."""

from __future__ import annotations

import re
from typing import Literal, get_args

from msgspec import Struct

from gate.core.messages import msg

# The newest version whose syntax is supported, and the default.
NEWEST = (3, 14)
OLDEST = (2, 42)
_VERSION = re.compile(r"v?(\d{1,3})\.(\d{1,3})(?:[.+~-].*)?")

# The feature flags that change what is valid. `agent` is an option of its own since Prometheus 3.
# https://prometheus.io/docs/prometheus/latest/feature_flags/
Flag = Literal[
    "promql-experimental-functions",
    "promql-duration-expr",
    "promql-extended-range-selectors",
    "promql-binop-fill-modifiers",
    "utf8-names",
    "metadata-wal-records",
    "no-default-scrape-port",
    "agent",
]
FUNCTIONS: Flag = "promql-experimental-functions"
DURATIONS: Flag = "promql-duration-expr"
RANGE_SELECTORS: Flag = "promql-extended-range-selectors"
FILL: Flag = "promql-binop-fill-modifiers"
UTF8_NAMES: Flag = "utf8-names"
METADATA: Flag = "metadata-wal-records"
NO_DEFAULT_PORT: Flag = "no-default-scrape-port"
AGENT: Flag = "agent"
FLAGS: tuple[Flag, ...] = get_args(Flag)
# The flags that only add to what is valid in expressions.
PROMQL_FLAGS: tuple[Flag, ...] = (FUNCTIONS, DURATIONS, RANGE_SELECTORS, FILL)
# The version since which a flag has no effect, because every Prometheus behaves as if it were set.
_PERMANENT: dict[str, tuple[int, int]] = {DURATIONS: (3, 14), NO_DEFAULT_PORT: (3, 0), METADATA: (3, 3)}


class Release(Struct, frozen=True):
    """A version of Prometheus with its feature flags."""

    version: tuple[int, int] = NEWEST
    flags: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return ".".join(map(str, self.version))

    @property
    def utf8(self) -> bool:
        """Return True if names of metrics and labels may be any UTF-8 text."""
        return self.version >= (3, 0) or (self.version >= (2, 55) and UTF8_NAMES in self.flags)

    def enables(self, flag: Flag) -> bool:
        """Return True if it behaves as with a feature flag: the flag is set, or has become permanent."""
        return flag in self.flags or self.version >= _PERMANENT.get(flag, (1000, 0))


def version(text: str) -> tuple[int, int]:
    """Return (major, minor) of a version such as `3.5` or `v2.53.1`.

    Raise ValueError with the text of a Message.
    """
    match = _VERSION.fullmatch(text)
    if not match:
        raise ValueError(str(msg("expected a version of Prometheus such as 3.5")))
    parsed = (int(match[1]), int(match[2]))
    if parsed < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise ValueError(str(msg("expected Prometheus {oldest} or newer", oldest=oldest)))
    return parsed
