"""The health endpoints without a database: nothing listens at the address."""

import pytest

from internal.cache import Cache
from internal.database import Pool
from internal.handlers.health import HealthHandler
from internal.metrics import Metrics


@pytest.fixture
def handler() -> HealthHandler:
    """Return a handler whose database can't be reached."""
    pool = Pool("postgresql://veza@127.0.0.1:1/veza", Metrics())
    return HealthHandler(pool, Cache())


def test_not_ready_without_a_database(handler: HealthHandler) -> None:
    """`/readyz` says 503, not_ready, and which dependency is in error."""
    status, body = handler.readiness()
    seen = (int(status), body["status"], body["checks"]["database"]["status"], body["checks"]["redis"])
    assert seen == (503, "not_ready", "error", {"status": "disabled"})


def test_alive_without_a_database(handler: HealthHandler) -> None:
    """`/live` does not ask the database: restarting the API would not bring it back."""
    assert handler.liveness() == (200, {"status": "alive"})


def test_health_without_a_database(handler: HealthHandler) -> None:
    """`/health` says that the process answers."""
    assert handler.health()[0] == 200
