"""What Prometheus says of a drill: alerts that have nothing to do with it, and the course of a metric."""

from __future__ import annotations

import re
import time
from typing import Any

from gate.checks import CHECKS
from gate.checks._drill.course import Seen
from gate.checks._drill.spec import Criterion, Curves, Others
from gate.checks._prometheus import ask_prometheus
from gate.checks.base import CannotObserve
from gate.checks.world import World
from gate.model import Curve
from gate.prometheus.api import number, objects

_BEFORE = 10.0
_POINTS = 300
_STEP = 0.5


def no_other_alert(others: Others, awaited: list[str], world: World) -> Criterion:
    """Holds while no alert fires but those awaited, allowed, or firing already. May raise CannotObserve."""
    alerts = objects(ask_prometheus(world, others.target, "alerts"), "alerts")
    firing = [_name(alert) for alert in alerts if alert.get("state") == "firing"]
    known = "|".join(sorted({re.escape(name) for name in [*awaited, *others.allow, *firing]}))
    query = f'ALERTS{{alertstate="firing",alertname!~"{known}"}}'.replace("\\", "\\\\")
    check = CHECKS.load("promql")(target=others.target, query=query, empty=True)
    return Criterion.model_construct(check=check, within=None, timeout=None, title="no other alert fires")


def _name(alert: dict[str, Any]) -> str:
    labels = alert.get("labels")
    return str(labels.get("alertname", "")) if isinstance(labels, dict) else ""


def draw(curves: Curves, seen: Seen, world: World) -> list[Curve]:
    """The course of each query from 10 s before the fault until now. One that can't be had is left out."""
    start, end = seen.wall - _BEFORE, time.time()
    step = max(_STEP, (end - start) / _POINTS)
    found = []
    for name, query in curves.queries.items():
        parameters = {"query": query, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
        try:
            data = ask_prometheus(world, curves.target, "query_range", parameters)
            found += [Curve(name=name, points=_points(series, seen.wall)) for series in objects(data, "result")[:1]]
        except (CannotObserve, KeyError, TypeError, ValueError, IndexError):
            continue
    return found


def _points(series: dict[str, Any], wall: float) -> tuple[tuple[float, float], ...]:
    points = ((round(float(moment) - wall, 3), number(value)) for moment, value in series["values"][: 2 * _POINTS])
    return tuple((at, value) for at, value in points if value == value and abs(value) != float("inf"))
