"""What integration tests need: a real PostgreSQL and a real Redis, whose addresses the environment says."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from internal.cache import Cache
from internal.database import Pool
from internal.metrics import Metrics


@pytest.fixture
def pool() -> Iterator[Pool]:
    """Return a pool on the database, with its tables."""
    made = Pool(os.environ["DATABASE_URL"], Metrics())
    made.migrate()
    yield made
    made.close()


@pytest.fixture
def cache() -> Iterator[Cache]:
    """Return a cache on Redis."""
    made = Cache(os.environ["REDIS_URL"])
    yield made
    if made.client:
        made.client.close()
