"""A drill's timeline as inline SVG: the fault as a band, what happened as marks, and the metric's own curve beneath.

Only presentation attributes and classes are used, no `style`, so that a strict Content-Security-Policy holds.
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
_LANE = 22
_CURVE = 78
_LETTER = 7.4
_MOMENTS, _CURVES, _POINTS, _LABEL = 40, 4, 1000, 60
_KINDS = {"fault", "seen", "noticed", "missed", "alert", "pending", "firing", "restored", "recovered", "resolved"}
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)


class _Scale(Struct, frozen=True):
    start: float
    end: float

    def __call__(self, at: float) -> float:
        share = (at - self.start) / (self.end - self.start)
        return round(_LEFT + min(1.0, max(0.0, share)) * (_RIGHT - _LEFT), 1)


def svg(timeline: Timeline, title: str, words: Language) -> str:
    """The picture; its words for those who do not see it are in its title, and in the table beneath it."""
    moments = presenter.moments(timeline, _MOMENTS)
    curves = [curve for curve in timeline.curves if _finite(curve)][:_CURVES]
    scale = _scale(moments, curves)
    lanes = _lanes(moments, scale, words)
    depth = max(lanes, default=0) + 1
    axis = 26 + depth * _LANE
    height = axis + 30 + len(curves) * (_CURVE + 30)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{_safe(title, 200)}" class="timeline">',
        *_band(moments, scale, axis, height),
        *_axis(scale, axis, height, words),
        *(
            part
            for moment, lane in zip(moments, lanes, strict=True)
            for part in _mark(moment, lane, scale, axis, words)
        ),
        *(part for number, curve in enumerate(curves) for part in _drawn(curve, number, scale, axis, words)),
        "</svg>",
    ]
    return "\n".join(parts)


def _safe(text: str, limit: int) -> str:
    line = replace_controls(text).replace("\n", " ")
    return escape(line if len(line) <= limit else line[: limit - 1] + "…")


def _finite(curve: MetricSeries) -> list[tuple[float, float]]:
    found = [(at, value) for at, value in curve.points if math.isfinite(at) and math.isfinite(value)]
    step = -(-len(found) // _POINTS) or 1
    return found[::step]


def _scale(moments: Sequence[TimelineEvent], curves: Sequence[MetricSeries]) -> _Scale:
    """From the first to the last moment, with a little air: curves are cut to what happened."""
    times = [moment.at for moment in moments] or [at for curve in curves for at, _ in _finite(curve)] or [0.0]
    first, last = min(0.0, *times), max(1.0, *times)
    air = (last - first) * 0.04
    return _Scale(first - air, last + air)


def _label(moment: TimelineEvent, words: Language) -> str:
    """Without the marks of code, which a drawing has no other letters for."""
    return f"{words.seconds(moment.at)}  {words.message(moment.what).replace('`', '')}"[:_LABEL]


def _lanes(moments: Sequence[TimelineEvent], scale: _Scale, words: Language) -> list[int]:
    """A lane for each label, as low as may be, so that no label lies on another, or under the line of a mark."""
    placed: list[tuple[int, float, tuple[float, float]]] = []
    for moment in reversed(moments):
        at, span = scale(moment.at), _span(moment, scale, words)
        lanes = range(len(placed) + 1)
        lane = next(
            (lane for lane in lanes if not any(_crosses(lane, at, span, *other) for other in placed)), lanes[-1]
        )
        placed.append((lane, at, span))
    return [lane for lane, _, _ in reversed(placed)]


def _crosses(
    lane: int, at: float, span: tuple[float, float], other: int, other_at: float, other_span: tuple[float, float]
) -> bool:
    if lane == other:
        return span[0] < other_span[1] and other_span[0] < span[1]
    if lane < other:
        return span[0] < other_at < span[1]
    return other_span[0] < at < other_span[1]


def _span(moment: TimelineEvent, scale: _Scale, words: Language) -> tuple[float, float]:
    width = len(_label(moment, words)) * _LETTER + 18
    at = scale(moment.at)
    return (at - width, at + 6) if at + width > WIDTH else (at, at + width)


def _band(moments: Sequence[TimelineEvent], scale: _Scale, axis: int, height: int) -> Iterator[str]:
    """Where the fault was in: from 0 until it was taken back."""
    if not moments:
        return
    end = next((moment.at for moment in moments if moment.kind == "restored"), moments[-1].at)
    left, right = scale(0.0), scale(end)
    yield f'<rect class="band" x="{left}" y="14" width="{max(1.0, round(right - left, 1))}" height="{height - 20}"/>'
    yield f'<rect class="down" x="{left}" y="{axis - 3}" width="{max(1.0, round(right - left, 1))}" height="6"/>'


def _axis(scale: _Scale, axis: int, height: int, words: Language) -> Iterator[str]:
    yield f'<line class="axis" x1="{_LEFT}" x2="{_RIGHT}" y1="{axis}" y2="{axis}"/>'
    span = scale.end - scale.start
    step = next((step for step in _STEPS if span / step <= 10), span / 8)
    tick = math.ceil(scale.start / step) * step
    while tick <= scale.end:
        at = scale(tick)
        yield f'<line class="grid" x1="{at}" x2="{at}" y1="{axis}" y2="{height - 8}"/>'
        label = words.number(round(tick, 1))
        yield f'<text class="tick" x="{at}" y="{axis + 18}" text-anchor="middle">{label} s</text>'
        tick += step


def _mark(moment: TimelineEvent, lane: int, scale: _Scale, axis: int, words: Language) -> Iterator[str]:
    at = scale(moment.at)
    y = axis - 14 - lane * _LANE
    kind = moment.kind if moment.kind in _KINDS else "other"
    start, _ = _span(moment, scale, words)
    left = start < at
    text = f'x="{at - 9}" text-anchor="end"' if left else f'x="{at + 9}"'
    yield f'<g class="moment {kind}">'
    yield f'<line x1="{at}" x2="{at}" y1="{y}" y2="{axis}"/><circle cx="{at}" cy="{y}" r="4.5"/>'
    yield f'<text {text} y="{y + 4}">{_safe(_label(moment, words), _LABEL)}</text></g>'


def _drawn(curve: MetricSeries, number: int, scale: _Scale, axis: int, words: Language) -> Iterator[str]:
    """One metric's course, as steps: a sample holds until the next one."""
    points = _finite(curve)
    top = axis + 56 + number * (_CURVE + 30)
    low, high = min(value for _, value in points), max(value for _, value in points)
    span = high / 2 - low / 2

    def y(value: float) -> float:
        share = 0.5 if span == 0 else (value / 2 - low / 2) / span
        return round(top + _CURVE - 8 - share * (_CURVE - 16), 1)

    path = f"M{scale(points[0][0])} {y(points[0][1])}"
    for at, value in points[1:]:
        path += f"H{scale(at)}V{y(value)}"
    yield f'<text class="name" x="{_LEFT}" y="{top - 8}">{_safe(curve.name, 100)}</text>'
    yield f'<rect class="plot" x="{_LEFT}" y="{top}" width="{_RIGHT - _LEFT}" height="{_CURVE}" rx="4"/>'
    yield f'<path class="curve" d="{path}"/>'
    for value in {low, high}:
        yield f'<text class="value" x="{_RIGHT + 8}" y="{y(value) + 4}">{_number(value, words)}</text>'


def _number(value: float, words: Language) -> str:
    return words.number(int(value) if value.is_integer() and abs(value) < 1e12 else float(f"{value:.4g}"))
