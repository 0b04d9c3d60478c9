"""Query Prometheus about a drill: other alerts that fire, states of awaited alerts, and curves of metrics."""

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

# Seconds of a curve before the fault, and between two of its points at least.
_BEFORE_FAULT = 10.0
_MIN_STEP = 0.5
_MAX_POINTS = 300
_MAX_CURVES = 4


def other_alerts_criterion(other_alerts: OtherAlerts, awaited: list[str], context: CheckContext) -> Criterion:
    """Return a criterion that holds while no alert fires except those awaited, allowed, or firing already.

    Raises ObservationError.
    """
    with prometheus_client(context, other_alerts.target) as api:
        firing = [alert.name for alert in api.alerts() if alert.state == "firing"]
    expected = "|".join(sorted({re.escape(name) for name in [*awaited, *other_alerts.allow, *firing]}))
    query = f'ALERTS{{alertstate="firing",alertname!~{json.dumps(expected, ensure_ascii=False)}}}'
    check = CHECKS.get_class("promql")(target=other_alerts.target, query=query, empty=True)
    return BuiltinCriterion(check=check, within=None, timeout=None, message_title=msg("no other alert fires"))


def add_curves(curves: MetricCurves, observation: DrillObservation, context: CheckContext) -> None:
    """Add the curve of each query. A curve without data yields a SKIP row; the outcome of the drill stays as it is."""
    for name, query in curves.queries.items():
        try:
            series = _query_drill_range(curves.target, query, observation, context)
        except ObservationError as error:
            observation.add_row("curve", msg("{title}", title=name), Status.SKIP, error.message)
            continue
        if not series:
            observation.add_row("curve", msg("{title}", title=name), Status.SKIP, msg("the query returned no series"))
        _add_first(name, series, observation)


def add_alert_transitions(
    alert: Alert, observation: DrillObservation, context: CheckContext, *, with_curves: bool
) -> None:
    """Add when Prometheus saw an alert pending and firing. `with_curves`: also what its rule compares."""
    with suppress(ObservationError):
        observation.events += _state_events(alert, observation, context)
        for query in _rule_operands(alert, context) if with_curves else ():
            drawn = {curve.name for curve in observation.curves}
            series = _query_drill_range(alert.target, query, observation, context)
            if query not in drawn and len(drawn) < _MAX_CURVES:
                _add_first(query, series, observation)


def _add_first(name: str, series: list[RangeSeries], observation: DrillObservation) -> None:
    observation.curves += [
        MetricSeries(name=name, points=_points_since_fault(first, observation.fault_unix_time)) for first in series[:1]
    ]


def _state_events(alert: Alert, observation: DrillObservation, context: CheckContext) -> Iterator[TimelineEvent]:
    """Yield the first evaluation after the fault in each state that the drill did not observe itself."""
    observed_states = {event.kind for event in observation.events if event.what.args.get("alert") == alert.name}
    query = f"timestamp(ALERTS{{alertname={json.dumps(alert.name)}}})"
    series = _query_drill_range(alert.target, query, observation, context)
    for state in ("pending", "firing"):
        times = [
            evaluated_at
            for instance in series
            if instance.labels.get("alertstate") == state and alert.has_labels(instance.labels)
            for _, evaluated_at in instance.points
            if evaluated_at >= observation.fault_unix_time
        ]
        if times and state not in observed_states:
            what = msg("{name} is {state}", name=alert.name, state=state)
            yield TimelineEvent(at=round(min(times) - observation.fault_unix_time, 3), what=what, kind=state)


def _rule_operands(alert: Alert, context: CheckContext) -> list[str]:
    """Return what the alert's rule compares with a number; without a comparison, the metrics that it reads."""
    with prometheus_client(context, alert.target) as api:
        rules = [rule for group in api.rules() for rule in group.rules if rule.alerting and rule.name == alert.name]
    operands = []
    for rule in rules:
        operand = expressions.compared_operand(rule.expr)
        metrics = (name for name in expressions.metrics(rule.expr) if not name.startswith("~"))
        operands += [operand] if operand else list(metrics)
    return operands


def _query_drill_range(
    target: str, query: str, observation: DrillObservation, context: CheckContext
) -> list[RangeSeries]:
    """Query the series from 10 s before the fault until now. Raises ObservationError."""
    start, end = observation.fault_unix_time - _BEFORE_FAULT, time.time()
    with prometheus_client(context, target) as api:
        return api.query_range(query, start, end, max(_MIN_STEP, (end - start) / _MAX_POINTS))


def _points_since_fault(series: RangeSeries, fault_unix_time: float) -> tuple[tuple[float, float], ...]:
    """Return the finite points, their times in seconds since the fault."""
    # a Prometheus that ignores the step must not fill the report
    points = series.points[: 2 * _MAX_POINTS]
    return tuple((round(at - fault_unix_time, 3), value) for at, value in points if math.isfinite(value))
