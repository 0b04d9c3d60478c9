"""What Prometheus says of a drill: alerts that have nothing to do with it, and the course of a metric."""

from __future__ import annotations

import math
import re
import time

from gate.checks import CHECKS
from gate.checks._drill.course import Seen
from gate.checks._drill.spec import Criterion, Curves, Named, Others
from gate.checks._prometheus import asking
from gate.checks.base import CannotObserve
from gate.checks.world import World
from gate.messages import say
from gate.model import Curve

_BEFORE = 10.0
_POINTS = 300
_STEP = 0.5


def no_other_alert(others: Others, awaited: list[str], world: World) -> Criterion:
    """Holds while no alert fires but those awaited, allowed, or firing already. May raise CannotObserve."""
    with asking(world, others.target) as api:
        firing = [alert.name for alert in api.alerts() if alert.state == "firing"]
    known = "|".join(sorted({re.escape(name) for name in [*awaited, *others.allow, *firing]}))
    query = f'ALERTS{{alertstate="firing",alertname!~"{known}"}}'.replace("\\", "\\\\")
    check = CHECKS.load("promql")(target=others.target, query=query, empty=True)
    return Named.model_construct(check=check, within=None, timeout=None, words=say("no other alert fires"))


def draw(curves: Curves, seen: Seen, world: World) -> list[Curve]:
    """The course of each query from 10 s before the fault until now. One that can't be had is left out."""
    start, end = seen.wall - _BEFORE, time.time()
    step = max(_STEP, (end - start) / _POINTS)
    found = []
    for name, query in curves.queries.items():
        try:
            with asking(world, curves.target) as api:
                series = api.query_range(query, start, end, step)
        except CannotObserve:
            continue
        found += [Curve(name=name, points=_points(points, seen.wall)) for points in series[:1]]
    return found


def _points(points: list[tuple[float, float]], wall: float) -> tuple[tuple[float, float], ...]:
    return tuple((round(at - wall, 3), value) for at, value in points[: 2 * _POINTS] if math.isfinite(value))
