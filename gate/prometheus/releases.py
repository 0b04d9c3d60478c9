"""Releases of Prometheus: what a file may contain depends on the version and on its feature flags."""

from __future__ import annotations

import re
from typing import Literal, get_args

from msgspec import Struct

from gate.core.messages import msg

NEWEST = (3, 14)
"""The newest version whose rules are known: the default."""
OLDEST = (2, 42)
_VERSION = re.compile(r"v?(\d{1,3})\.(\d{1,3})(?:[.+~-].*)?")

Flag = Literal[
    "promql-experimental-functions",
    "promql-duration-expr",
    "promql-extended-range-selectors",
    "promql-binop-fill-modifiers",
]
"""The feature flags that change which expressions are valid.

https://prometheus.io/docs/prometheus/latest/feature_flags/
"""
FUNCTIONS: Flag = "promql-experimental-functions"
DURATIONS: Flag = "promql-duration-expr"
RANGE_SELECTORS: Flag = "promql-extended-range-selectors"
FILL: Flag = "promql-binop-fill-modifiers"
FLAGS: tuple[Flag, ...] = get_args(Flag)


class Release(Struct, frozen=True):
    """A version of Prometheus, and the feature flags that it is started with."""

    version: tuple[int, int] = NEWEST
    flags: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return ".".join(map(str, self.version))

    @property
    def utf8(self) -> bool:
        """Whether names of metrics and labels may be any UTF-8 text."""
        return self.version >= (3, 0)


def version(text: str) -> tuple[int, int]:
    """Return major and minor of a version such as `3.5` or `v2.53.1`. Raises ValueError with a Message's text."""
    found = _VERSION.fullmatch(text)
    if not found:
        raise ValueError(str(msg("expected a version of Prometheus such as 3.5")))
    parsed = (int(found[1]), int(found[2]))
    if parsed < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise ValueError(str(msg("expected Prometheus {oldest} or newer", oldest=oldest)))
    return parsed
