"""Draw a drill's timeline as inline SVG: the fault as a band, events as marks, and metric curves below.

The SVG has presentation attributes and classes only: the page's Content-Security-Policy forbids `style` attributes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from msgspec import Struct

from gate.i18n.language import Language
from gate.model import MetricSeries, Timeline, TimelineEvent
from gate.render import presenter
from gate.render.escape_markdown import replace_controls

WIDTH = 960
_LEFT, _RIGHT = 16, 896
_LANE_HEIGHT = 22
_CURVE_HEIGHT = 78
# The average width of a character, in pixels: an SVG cannot measure text.
_CHARACTER_WIDTH = 7.4
_MAX_EVENTS, _MAX_CURVES, _MAX_POINTS, _MAX_LABEL_LENGTH = 40, 4, 1000, 60
# The kinds of events for which the page has a style.
_KINDS = {"fault", "seen", "noticed", "missed", "alert", "pending", "firing", "restored", "recovered", "resolved"}
# Seconds between two ticks of the axis.
_TICK_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)


class _Scale(Struct, frozen=True):
    """Maps seconds to horizontal pixels; values outside of the range go to its ends."""

    start: float
    end: float

    def __call__(self, at: float) -> float:
        """Return the position of a time."""
        share = (at - self.start) / (self.end - self.start)
        return round(_LEFT + min(1.0, max(0.0, share)) * (_RIGHT - _LEFT), 1)


def svg(timeline: Timeline, title: str, words: Language) -> str:
    """Return the drawing. `title` is its text alternative; the page has a table of the events as well."""
    events = presenter.events(timeline, _MAX_EVENTS)
    curves = [curve for curve in timeline.curves if _finite_points(curve)][:_MAX_CURVES]
    scale = _scale(events, curves)
    lanes = _lanes(events, scale, words)
    depth = max(lanes, default=0) + 1
    axis = 26 + depth * _LANE_HEIGHT
    height = axis + 30 + len(curves) * (_CURVE_HEIGHT + 30)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{_escape(title, 200)}" class="timeline">',
        *_band(events, scale, axis, height),
        *_axis(scale, axis, height, words),
        *(part for event, lane in zip(events, lanes, strict=True) for part in _mark(event, lane, scale, axis, words)),
        *(part for number, curve in enumerate(curves) for part in _draw_curve(curve, number, scale, axis, words)),
        "</svg>",
    ]
    return "\n".join(parts)


def _escape(text: str, limit: int) -> str:
    line = replace_controls(text).replace("\n", " ")
    return escape(line if len(line) <= limit else line[: limit - 1] + "…")


def _finite_points(curve: MetricSeries) -> list[tuple[float, float]]:
    """Return the points that can be drawn, thinned out to about _MAX_POINTS."""
    points = [(at, value) for at, value in curve.points if math.isfinite(at) and math.isfinite(value)]
    step = -(-len(points) // _MAX_POINTS) or 1
    return points[::step]


def _scale(events: Sequence[TimelineEvent], curves: Sequence[MetricSeries]) -> _Scale:
    """Return the scale from the first to the last event, with a margin. Curves are cut to it."""
    times = [event.at for event in events] or [at for curve in curves for at, _ in _finite_points(curve)] or [0.0]
    first, last = min(0.0, *times), max(1.0, *times)
    margin = (last - first) * 0.04
    return _Scale(first - margin, last + margin)


def _label(event: TimelineEvent, words: Language) -> str:
    """Return the label of an event, without backticks: a drawing has no font for code."""
    return f"{words.seconds(event.at)}  {words.message(event.what).replace('`', '')}"[:_MAX_LABEL_LENGTH]


def _lanes(events: Sequence[TimelineEvent], scale: _Scale, words: Language) -> list[int]:
    """Return the lowest lane for each label in which it overlaps no other label, and no line of a mark."""
    placed: list[tuple[int, float, tuple[float, float]]] = []
    for event in reversed(events):
        at, span = scale(event.at), _span(event, scale, words)
        lanes = range(len(placed) + 1)
        lane = next(
            (lane for lane in lanes if not any(_overlaps(lane, at, span, *label) for label in placed)), lanes[-1]
        )
        placed.append((lane, at, span))
    return [lane for lane, _, _ in reversed(placed)]


def _overlaps(
    lane: int, at: float, span: tuple[float, float], other_lane: int, other_at: float, other_span: tuple[float, float]
) -> bool:
    """Return whether a label in a lane overlaps another label, or the line from a label to the axis."""
    if lane == other_lane:
        return span[0] < other_span[1] and other_span[0] < span[1]
    if lane < other_lane:
        return span[0] < other_at < span[1]
    return other_span[0] < at < other_span[1]


def _span(event: TimelineEvent, scale: _Scale, words: Language) -> tuple[float, float]:
    """Return the left and the right end of a label, which is left of its mark if there is no space on the right."""
    width = len(_label(event, words)) * _CHARACTER_WIDTH + 18
    at = scale(event.at)
    return (at - width, at + 6) if at + width > WIDTH else (at, at + width)


def _band(events: Sequence[TimelineEvent], scale: _Scale, axis: int, height: int) -> Iterator[str]:
    """Yield the band from the injection of the fault, at 0, until its revert."""
    if not events:
        return
    end = next((event.at for event in events if event.kind == "restored"), events[-1].at)
    left, right = scale(0.0), scale(end)
    yield f'<rect class="band" x="{left}" y="14" width="{max(1.0, round(right - left, 1))}" height="{height - 20}"/>'
    yield f'<rect class="down" x="{left}" y="{axis - 3}" width="{max(1.0, round(right - left, 1))}" height="6"/>'


def _axis(scale: _Scale, axis: int, height: int, words: Language) -> Iterator[str]:
    yield f'<line class="axis" x1="{_LEFT}" x2="{_RIGHT}" y1="{axis}" y2="{axis}"/>'
    span = scale.end - scale.start
    step = next((step for step in _TICK_STEPS if span / step <= 10), span / 8)
    tick = math.ceil(scale.start / step) * step
    while tick <= scale.end:
        at = scale(tick)
        yield f'<line class="grid" x1="{at}" x2="{at}" y1="{axis}" y2="{height - 8}"/>'
        label = words.number(round(tick, 1))
        yield f'<text class="tick" x="{at}" y="{axis + 18}" text-anchor="middle">{label} s</text>'
        tick += step


def _mark(event: TimelineEvent, lane: int, scale: _Scale, axis: int, words: Language) -> Iterator[str]:
    at = scale(event.at)
    y = axis - 14 - lane * _LANE_HEIGHT
    kind = event.kind if event.kind in _KINDS else "other"
    start, _ = _span(event, scale, words)
    is_left = start < at
    text = f'x="{at - 9}" text-anchor="end"' if is_left else f'x="{at + 9}"'
    yield f'<g class="moment {kind}">'
    yield f'<line x1="{at}" x2="{at}" y1="{y}" y2="{axis}"/><circle cx="{at}" cy="{y}" r="4.5"/>'
    yield f'<text {text} y="{y + 4}">{_escape(_label(event, words), _MAX_LABEL_LENGTH)}</text></g>'


def _draw_curve(curve: MetricSeries, number: int, scale: _Scale, axis: int, words: Language) -> Iterator[str]:
    """Yield a metric's curve, as steps: a sample is valid until the next one."""
    points = _finite_points(curve)
    top = axis + 56 + number * (_CURVE_HEIGHT + 30)
    low, high = min(value for _, value in points), max(value for _, value in points)
    span = high / 2 - low / 2  # halves, because the difference of two large floats may be infinite

    def y(value: float) -> float:
        share = 0.5 if span == 0 else (value / 2 - low / 2) / span
        return round(top + _CURVE_HEIGHT - 8 - share * (_CURVE_HEIGHT - 16), 1)

    path = f"M{scale(points[0][0])} {y(points[0][1])}"
    for at, value in points[1:]:
        path += f"H{scale(at)}V{y(value)}"
    yield f'<text class="name" x="{_LEFT}" y="{top - 8}">{_escape(curve.name, 100)}</text>'
    yield f'<rect class="plot" x="{_LEFT}" y="{top}" width="{_RIGHT - _LEFT}" height="{_CURVE_HEIGHT}" rx="4"/>'
    yield f'<path class="curve" d="{path}"/>'
    for value in {low, high}:
        yield f'<text class="value" x="{_RIGHT + 8}" y="{y(value) + 4}">{_number(value, words)}</text>'


def _number(value: float, words: Language) -> str:
    return words.number(int(value) if value.is_integer() and abs(value) < 1e12 else float(f"{value:.4g}"))
