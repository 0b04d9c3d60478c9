"""The metrics that the API exposes. The names are those of the service in production."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

disable_created_metrics()

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """One registry, so that two APIs in one process do not share counters."""

    def __init__(self) -> None:
        self.registry = made = CollectorRegistry()
        ProcessCollector(registry=made)
        self.db_up = Gauge("veza_db_up", "1 while the database answers", registry=made)
        self.db_open = Gauge("veza_db_pool_open_connections", "Connections of the pool", registry=made)
        self.db_in_use = Gauge("veza_db_pool_in_use", "Connections that a request holds", registry=made)
        self.db_max = Gauge("veza_db_pool_max_open_connections", "How many connections there may be", registry=made)
        self.db_waits = Counter("veza_db_pool_wait_count", "Requests that waited for a connection", registry=made)
        self.db_errors = Counter("veza_db_errors", "Connections lost, refused or given up", registry=made)
        self.breaker_state = Gauge(
            "veza_circuit_breaker_state", "0 closed, 1 half-open, 2 open", ["name"], registry=made
        )
        self.breaker_requests = Counter(
            "veza_circuit_breaker_requests", "Calls through the breaker", ["name", "result"], registry=made
        )
        self.requests = Counter(
            "veza_gin_http_requests", "Requests answered", ["method", "path", "status"], registry=made
        )
        self.seconds = Histogram(
            "veza_gin_http_request_duration_seconds",
            "How long requests took",
            ["method", "path"],
            buckets=_SECONDS,
            registry=made,
        )
        self.external_seconds = Histogram(
            "veza_external_request_duration_seconds", "How long the catalogue took", buckets=_SECONDS, registry=made
        )
        self.uploads_pending = Gauge("veza_uploads_pending", "Uploads that are not processed yet", registry=made)
        self.uploads_oldest = Gauge(
            "veza_upload_oldest_pending_seconds", "Age of the oldest upload not processed yet", registry=made
        )
        self.upload_failures = Counter("veza_upload_failures", "Uploads that could not be processed", registry=made)
