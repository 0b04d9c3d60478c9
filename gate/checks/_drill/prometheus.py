"""What Prometheus says of a drill: alerts that have nothing to do with it, and the course of a metric."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator
from contextlib import suppress

from gate.checks import CHECKS
from gate.checks._drill.course import Seen
from gate.checks._drill.spec import Criterion, Curves, Named, Others
from gate.checks._prometheus import asking
from gate.checks.alert import Alert
from gate.checks.base import CannotObserve
from gate.checks.world import World
from gate.messages import say
from gate.model import Curve, Moment, Status
from gate.prometheus import expressions
from gate.prometheus.api import Course

_BEFORE = 10.0
_POINTS = 300
_STEP = 0.5
_CURVES = 4


def no_other_alert(others: Others, awaited: list[str], world: World) -> Criterion:
    """Holds while no alert fires but those awaited, allowed, or firing already. May raise CannotObserve."""
    with asking(world, others.target) as api:
        firing = [alert.name for alert in api.alerts() if alert.state == "firing"]
    known = "|".join(sorted({re.escape(name) for name in [*awaited, *others.allow, *firing]}))
    query = f'ALERTS{{alertstate="firing",alertname!~{json.dumps(known, ensure_ascii=False)}}}'
    check = CHECKS.load("promql")(target=others.target, query=query, empty=True)
    return Named(check=check, within=None, timeout=None, words=say("no other alert fires"))


def draw(curves: Curves, seen: Seen, world: World) -> None:
    """Adds the course of each query. One that can't be had is a row that says why; the drill's outcome is its own."""
    for name, query in curves.queries.items():
        try:
            found = _courses(curves.target, query, seen, world)
        except CannotObserve as error:
            seen.add("curve", say("{title}", title=name), Status.SKIP, error.message)
            continue
        if not found:
            seen.add("curve", say("{title}", title=name), Status.SKIP, say("the query has no series"))
        seen.curves += [Curve(name=name, points=_points(course, seen.wall)) for course in found[:1]]


def draw_alert(alert: Alert, seen: Seen, world: World, curves: bool) -> None:
    """Adds when an alert was pending and firing, as Prometheus knows it; with `curves`, what its rule looks at."""
    with suppress(CannotObserve):
        seen.moments += _states(alert, seen, world)
        for query in _looked_at(alert, world) if curves else ():
            drawn = {curve.name for curve in seen.curves}
            found = _courses(alert.target, query, seen, world)
            if query not in drawn and len(drawn) < _CURVES:
                seen.curves += [Curve(name=query, points=_points(course, seen.wall)) for course in found[:1]]


def _states(alert: Alert, seen: Seen, world: World) -> Iterator[Moment]:
    """The first evaluation after the fault at which it was in each state that the drill has not seen by itself."""
    known = {moment.kind for moment in seen.moments if moment.what.args.get("alert") == alert.name}
    courses = _courses(alert.target, f"timestamp(ALERTS{{alertname={json.dumps(alert.name)}}})", seen, world)
    for state in ("pending", "firing"):
        times = [
            time
            for course in courses
            if course.labels.get("alertstate") == state and alert.has_labels(course.labels)
            for _, time in course.points
            if time >= seen.wall
        ]
        if times and state not in known:
            what = say("{name} is {state}", name=alert.name, state=state)
            yield Moment(at=round(min(times) - seen.wall, 3), what=what, kind=state)


def _looked_at(alert: Alert, world: World) -> list[str]:
    """What the alert's rule compares with a number; where it does not, the metrics that it reads."""
    with asking(world, alert.target) as api:
        rules = [rule for group in api.rules() for rule in group.rules if rule.alerting and rule.name == alert.name]
    found = []
    for rule in rules:
        value = expressions.compared(rule.expr)
        found += [value] if value else [name for name in expressions.metrics(rule.expr) if not name.startswith("~")]
    return found


def _courses(target: str, query: str, seen: Seen, world: World) -> list[Course]:
    """The course of a query's series from 10 s before the fault until now. May raise CannotObserve."""
    start, end = seen.wall - _BEFORE, time.time()
    with asking(world, target) as api:
        return api.query_range(query, start, end, max(_STEP, (end - start) / _POINTS))


def _points(course: Course, wall: float) -> tuple[tuple[float, float], ...]:
    """The points in seconds since the fault."""
    points = course.points[: 2 * _POINTS]
    return tuple((round(at - wall, 3), value) for at, value in points if math.isfinite(value))
