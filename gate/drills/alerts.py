"""What Prometheus says of a drill: alerts that have nothing to do with it, and the course of a metric."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator
from contextlib import suppress

from gate.checks import CHECKS
from gate.checks.alert import Alert
from gate.checks.base import ObservationError
from gate.checks.context import CheckContext
from gate.checks.prometheus_queries import prometheus_client
from gate.core.messages import msg
from gate.drills.execution import DrillObservation
from gate.drills.spec import BuiltinCriterion, Criterion, MetricCurves, OtherAlerts
from gate.model import MetricSeries, Status, TimelineEvent
from gate.prometheus import expressions
from gate.prometheus.client import RangeSeries

_BEFORE = 10.0
_POINTS = 300
_STEP = 0.5
_CURVES = 4


def no_other_alert(others: OtherAlerts, awaited: list[str], context: CheckContext) -> Criterion:
    """Holds while no alert fires but those awaited, allowed, or firing already. May raise CannotObserve."""
    with prometheus_client(context, others.target) as api:
        firing = [alert.name for alert in api.alerts() if alert.state == "firing"]
    known = "|".join(sorted({re.escape(name) for name in [*awaited, *others.allow, *firing]}))
    query = f'ALERTS{{alertstate="firing",alertname!~{json.dumps(known, ensure_ascii=False)}}}'
    check = CHECKS.get_class("promql")(target=others.target, query=query, empty=True)
    return BuiltinCriterion(check=check, within=None, timeout=None, words=msg("no other alert fires"))


def add_curves(curves: MetricCurves, observation: DrillObservation, context: CheckContext) -> None:
    """Adds the course of each query. One that can't be had is a row that says why; the drill's outcome is its own."""
    for name, query in curves.queries.items():
        try:
            found = _courses(curves.target, query, observation, context)
        except ObservationError as error:
            observation.add("curve", msg("{title}", title=name), Status.SKIP, error.message)
            continue
        if not found:
            observation.add("curve", msg("{title}", title=name), Status.SKIP, msg("the query has no series"))
        observation.curves += [
            MetricSeries(name=name, points=_points(course, observation.wall)) for course in found[:1]
        ]


def add_alert_transitions(alert: Alert, observation: DrillObservation, context: CheckContext, curves: bool) -> None:
    """Adds when an alert was pending and firing, as Prometheus knows it; with `curves`, what its rule looks at."""
    with suppress(ObservationError):
        observation.moments += _states(alert, observation, context)
        for query in _looked_at(alert, context) if curves else ():
            drawn = {curve.name for curve in observation.curves}
            found = _courses(alert.target, query, observation, context)
            if query not in drawn and len(drawn) < _CURVES:
                observation.curves += [
                    MetricSeries(name=query, points=_points(course, observation.wall)) for course in found[:1]
                ]


def _states(alert: Alert, observation: DrillObservation, context: CheckContext) -> Iterator[TimelineEvent]:
    """The first evaluation after the fault at which it was in each state that the drill has not seen by itself."""
    known = {moment.kind for moment in observation.moments if moment.what.args.get("alert") == alert.name}
    courses = _courses(alert.target, f"timestamp(ALERTS{{alertname={json.dumps(alert.name)}}})", observation, context)
    for state in ("pending", "firing"):
        times = [
            time
            for course in courses
            if course.labels.get("alertstate") == state and alert.has_labels(course.labels)
            for _, time in course.points
            if time >= observation.wall
        ]
        if times and state not in known:
            what = msg("{name} is {state}", name=alert.name, state=state)
            yield TimelineEvent(at=round(min(times) - observation.wall, 3), what=what, kind=state)


def _looked_at(alert: Alert, context: CheckContext) -> list[str]:
    """What the alert's rule compares with a number; where it does not, the metrics that it reads."""
    with prometheus_client(context, alert.target) as api:
        rules = [rule for group in api.rules() for rule in group.rules if rule.alerting and rule.name == alert.name]
    found = []
    for rule in rules:
        value = expressions.compared_operand(rule.expr)
        found += [value] if value else [name for name in expressions.metrics(rule.expr) if not name.startswith("~")]
    return found


def _courses(target: str, query: str, observation: DrillObservation, context: CheckContext) -> list[RangeSeries]:
    """The course of a query's series from 10 s before the fault until now. May raise CannotObserve."""
    start, end = observation.wall - _BEFORE, time.time()
    with prometheus_client(context, target) as api:
        return api.query_range(query, start, end, max(_STEP, (end - start) / _POINTS))


def _points(course: RangeSeries, wall: float) -> tuple[tuple[float, float], ...]:
    """The points in seconds since the fault."""
    points = course.points[: 2 * _POINTS]
    return tuple((round(at - wall, 3), value) for at, value in points if math.isfinite(value))
