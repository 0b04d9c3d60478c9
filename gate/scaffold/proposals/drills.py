"""Propose a drill for each database, cache and broker: it stops, and what should notice that.

A drill is active if something says that an endpoint reports the dependency: the handler's code, a readiness probe, or
the endpoint's name. Otherwise it is a comment with the question that decides it.
"""

from __future__ import annotations

import math
import re

from msgspec import Struct

from gate.scaffold.model import CACHES, DATABASES, Endpoint, Kind, Service
from gate.scaffold.proposals.wiring import Wiring, services_behind
from gate.scaffold.readers.alertmanager import Receiver, receiver_of
from gate.scaffold.readers.handlers import handler_body, looks_at
from gate.scaffold.readers.prometheus import Alert
from gate.scaffold.scan import ScanResult

_ENOUGH = 2
_UNKNOWN = Endpoint("/path", "", 0)
_SHORTEST = 10
_USUAL = 30
_RECOVERY = 60
#: What a scrape and an evaluation may be late by, on top of their intervals.
_ALERT_MARGIN = 15
_UP: dict[Kind, str] = {
    "mssql": r"mssql_up", "database": r"(?:clickhouse|cassandra|influxdb|neo4j|couchdb)\w*_up",
    "postgres": r"pg_up|postgres\w*_up", "mysql": r"mysql_up", "mongo": r"mongodb_up", "redis": r"redis_up",
    "rabbitmq": r"rabbitmq_up", "memcached": r"memcached_up", "nats": r"gnatsd?_\w*up", "kafka": r"kafka_brokers",
    "elasticsearch": r"elasticsearch_up|elasticsearch_cluster_health_up",
}  # fmt: skip


class AlertDeadline(Struct, frozen=True):
    """An alert that must fire, within so many seconds, and how they add up; then the receiver of its page."""

    name: str
    within: int
    because: str
    receiver: Receiver | None = None


class Drill(Struct, frozen=True):
    """A dependency that stops, and the endpoint of an application that should report it.

    `question` is empty if the drill is active. `because` says what the proposal rests on.
    """

    store: Service
    application: Service
    endpoint: Endpoint
    live: Endpoint | None
    within: int
    recovery: int
    because: str
    question: str = ""
    alert: AlertDeadline | None = None


def propose_drills(found: ScanResult, wiring: Wiring) -> list[Drill]:
    """Return a drill for each database, cache and broker that an application with a health endpoint uses."""
    return [drill for store in wiring.stores if (drill := _drill(found, wiring, store))]


def undrilled(wiring: Wiring, drills: list[Drill]) -> list[Service]:
    """Return the databases, caches and brokers without a drill: no application with a health endpoint uses them."""
    drilled = {drill.store.name for drill in drills}
    return [store for store in wiring.stores if store.name not in drilled]


def _drill(found: ScanResult, wiring: Wiring, store: Service) -> Drill | None:
    assert store.store
    kind = store.store[0]
    applications = [
        service for service in wiring.started.values() if service.port and not service.store and not service.once
    ]
    users = [service for service in applications if store.name in service.depends_on]
    candidates = users or (applications if len(applications) == 1 else [])
    judged = [
        (*_evidence(found, endpoint, kind), application, endpoint)
        for application in candidates
        for endpoint in wiring.paths_of(application)
        if not endpoint.is_metrics
    ]
    if judged:
        rank, because, application, endpoint = max(judged, key=lambda each: each[0])
        question = (
            "" if rank > _ENOUGH else f"Does {endpoint.path} of {application.name} fail when {store.name} is down?"
        )
    elif candidates:
        application, endpoint = candidates[0], _UNKNOWN
        because = "no health endpoint was found"
        question = f"Which path of {application.name} fails when {store.name} is down? Write it for {_UNKNOWN.path}."
    else:
        return None
    others = [
        other for other in wiring.paths_of(application) if other.declares_liveness and other.path != endpoint.path
    ]
    return Drill(
        store,
        application,
        endpoint,
        next(iter(others), None),
        max(_SHORTEST, endpoint.notices_after or application.notices_after or _USUAL),
        max(_RECOVERY, application.notices_after + store.notices_after),
        because,
        question,
        _alert(found, wiring, store, kind),
    )


def _evidence(found: ScanResult, endpoint: Endpoint, kind: Kind) -> tuple[int, str]:
    """Return how likely an endpoint reports a dependency of a kind, and why. A drill takes more than _ENOUGH."""
    where = f"{endpoint.file}:{endpoint.line}"
    body = handler_body(found.files, endpoint)
    ready = endpoint.declares_readiness
    if body and looks_at(body, kind):
        rank = _ENOUGH + 3 if ready else _ENOUGH + 2
        return rank, f"its handler ({where}) uses the {_noun(kind)}"
    if body:
        return (2 if ready else 1), f"its handler ({where}) does not mention the {_noun(kind)}"
    if ready and kind in DATABASES:
        return _ENOUGH + 1, f"{where} declares it as readiness"
    return (2 if ready else 1 if endpoint.role else 0), f"{where} does not say what it looks at"


def _noun(kind: Kind) -> str:
    return "database" if kind in DATABASES else "cache" if kind in CACHES else "broker"


def _alert(found: ScanResult, wiring: Wiring, store: Service, kind: Kind) -> AlertDeadline | None:
    """Return the alert of loaded rules that fires when the dependency is down, if its exporter comes up, too."""
    prometheus = wiring.prometheus
    if prometheus is None:
        return None
    setup = found.scraping[prometheus.config]
    metric = re.compile(rf"\b(?:{_UP[kind]})\b(?:\{{[^}}]*\}})?\s*(?:==\s*0|!=\s*1|<\s*1)|absent\((?:{_UP[kind]})\b")
    scraped = [
        job for job in setup.jobs if services_behind(wiring, job.addresses) and "exporter" in " ".join(job.addresses)
    ]
    exporters = [
        job
        for job in scraped
        if re.search(rf"{kind[:5]}|{re.escape(store.name)}|\bpg", " ".join((job.name, *job.addresses)))
    ]
    alerts = [alert for file in prometheus.rules for alert in found.rules[file] if metric.search(alert.expression)]
    if not alerts or not exporters:
        return None
    alert = min(alerts, key=lambda alert: alert.wait)
    config = found.alertmanagers[wiring.alertmanager.config] if wiring.alertmanager else None
    receiver = receiver_of(config, {"alertname": alert.name, **dict(alert.labels)}) if config else None
    return _deadline(alert, exporters[0].interval, setup.evaluation_interval, receiver)


def _deadline(alert: Alert, scrape: float, evaluation: float, receiver: Receiver | None) -> AlertDeadline:
    evaluation = alert.interval or evaluation
    total = math.ceil(scrape + evaluation + alert.wait + _ALERT_MARGIN)
    parts = f"scrape {scrape:g}s + evaluation {evaluation:g}s + for {alert.wait:g}s + {_ALERT_MARGIN}s"
    return AlertDeadline(alert.name, total, parts, receiver)
