"""The course of a curve in Markdown, where nothing can be drawn."""

from __future__ import annotations

import pytest

from gate.model import MetricSeries
from gate.render.presenter import lowest_and_highest, sparkline


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], ""),
        ([5.0], "▁"),
        ([0.0, 0.0, 0.0], "▁▁▁"),
        ([0.0, 50.0, 100.0, 0.0], "▁▅█▁"),
        ([-1.7e308, 1.7e308], "▁█"),
    ],
)
def test_course_goes_from_the_lowest_to_the_highest(values: list[float], expected: str) -> None:
    """Each column shows its share of the range, without overflow."""
    assert sparkline(MetricSeries(name="c", points=tuple(enumerate(values)))) == expected


def test_short_peak_is_not_lost_between_columns() -> None:
    """A column shows its highest value."""
    values = [0.0] * 1000
    values[333] = 7.12345
    series = MetricSeries(name="c", points=tuple(enumerate(values)))
    assert sparkline(series).count("█") == 1
    assert len(sparkline(series)) == 40
    assert lowest_and_highest(series) == (0.0, 7.123)
