"""Define the functions of PromQL: arguments, results, versions and feature flags.

From `promql/parser/functions.go` of Prometheus 2.42 to 3.14.
https://prometheus.io/docs/prometheus/latest/querying/functions/
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from gate.prometheus.releases import Release

Type = Literal["vector", "matrix", "scalar", "string"]
_TYPES: dict[str, Type] = {"v": "vector", "m": "matrix", "s": "scalar", "t": "string"}


class Function(Struct, frozen=True):
    """A function. `optional` counts the last arguments that may be left out; -1: they may also be repeated."""

    arguments: tuple[Type, ...]
    result: Type = "vector"
    optional: int = 0
    since: tuple[int, int] = (0, 0)
    until: tuple[int, int] = (1000, 0)
    # The version since which it needs no feature flag; None if it still does.
    stable: tuple[int, int] | None = (0, 0)

    def known(self, release: Release) -> bool:
        """Return True if a release has it."""
        return self.since <= release.version < self.until

    def experimental(self, release: Release) -> bool:
        """Return True if a release has it only with its feature flag."""
        return self.stable is None or release.version < self.stable


def _all(arguments: str, names: str, result: Type = "vector", optional: int = 0) -> dict[str, Function]:
    types = tuple(_TYPES[letter] for letter in arguments)
    return {name: Function(types, result, optional) for name in names.split()}


def _new(arguments: str, result: Type, since: tuple[int, int], optional: int = 0,
         stable: tuple[int, int] | None = None) -> Function:  # fmt: skip
    return Function(tuple(_TYPES[letter] for letter in arguments), result, optional, since, stable=stable)


FUNCTIONS: dict[str, Function] = {
    **_all(
        "v", "abs absent acos acosh asin asinh atan atanh ceil cos cosh deg exp floor histogram_count histogram_sum"
    ),
    **_all("v", "ln log10 log2 rad sgn sin sinh sort sort_desc sqrt tan tanh timestamp"),
    **_all("v", "day_of_month day_of_week day_of_year days_in_month hour minute month year", optional=1),
    **_all("m", "absent_over_time avg_over_time changes count_over_time delta deriv idelta increase irate"),
    **_all("m", "last_over_time max_over_time min_over_time present_over_time rate resets stddev_over_time"),
    **_all("m", "stdvar_over_time sum_over_time"),
    **_all("vs", "clamp_max clamp_min"),
    **_all("vss", "clamp"),
    **_all("ssv", "histogram_fraction"),
    **_all("sv", "histogram_quantile"),
    **_all("sm", "quantile_over_time"),
    **_all("ms", "predict_linear"),
    **_all("vs", "round", optional=1),
    **_all("v", "scalar", "scalar"),
    **_all("", "pi time", "scalar"),
    **_all("s", "vector"),
    **_all("vttt", "label_join", optional=-1),
    **_all("vtttt", "label_replace"),
    "holt_winters": Function(("matrix", "scalar", "scalar"), until=(3, 0)),
    **{name: _new("v", "vector", (2, 48), stable=(0, 0)) for name in ("histogram_stddev", "histogram_stdvar")},
    "histogram_avg": _new("v", "vector", (2, 51), stable=(0, 0)),
    "mad_over_time": _new("m", "vector", (2, 50)),
    **{name: _new("vt", "vector", (2, 50), -1) for name in ("sort_by_label", "sort_by_label_desc")},
    "info": _new("vv", "vector", (2, 55), 1),
    "double_exponential_smoothing": _new("mss", "vector", (3, 0)),
    **{f"ts_of_{name}_over_time": _new("m", "vector", (3, 5)) for name in ("last", "max", "min")},
    "ts_of_first_over_time": _new("m", "vector", (3, 7)),
    "first_over_time": _new("m", "vector", (3, 7), stable=(3, 14)),
    "histogram_quantiles": _new("vtss", "vector", (3, 11), 9),
    **{name: _new("", "scalar", (3, 12)) for name in ("start", "end", "step", "range")},
    **{name: _new("ss", "scalar", (3, 13)) for name in ("max_of", "min_of")},
    "start_timestamp": _new("v", "vector", (3, 14)),
}
