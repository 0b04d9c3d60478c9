"""Three questions that are asked from outside: does it answer, should it get traffic, should it be restarted."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import redis

from internal.cache import Cache
from internal.database import DatabaseError, Pool

Answer = tuple[HTTPStatus, dict[str, Any]]


@dataclass(frozen=True)
class HealthHandler:
    """Answers `/health`, `/readyz` and `/live`, as internal/handlers/health.go has it for the service in Go."""

    pool: Pool
    cache: Cache

    def health(self) -> Answer:
        """Report that the process responds."""
        return HTTPStatus.OK, {"status": "ok", "service": "veza-backend-api"}

    def readiness(self) -> Answer:
        """Report ready only while the database responds; without Redis the API is degraded, but ready."""
        database, cache = self._database(), self._redis()
        checks = {"database": database, "redis": cache}
        if database["status"] == "error":
            return HTTPStatus.SERVICE_UNAVAILABLE, {"status": "not_ready", "checks": checks}
        return HTTPStatus.OK, {"status": "degraded" if cache["status"] == "error" else "ready", "checks": checks}

    def liveness(self) -> Answer:
        """Report that the process is alive. A restart does not help a dependency, so none is checked."""
        return HTTPStatus.OK, {"status": "alive"}

    def _database(self) -> dict[str, Any]:
        try:
            return {"status": "ok", "milliseconds": round(self.pool.ping() * 1000, 1)}
        except DatabaseError as error:
            return {"status": "error", "message": str(error)}

    def _redis(self) -> dict[str, Any]:
        if self.cache.client is None:
            return {"status": "disabled"}
        try:
            self.cache.ping()
        except redis.RedisError as error:
            return {"status": "error", "message": str(error)[:200]}
        return {"status": "ok"}
