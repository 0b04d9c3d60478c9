"""Tracks: listed, created, played, and enriched from an external catalogue behind a circuit breaker."""

from __future__ import annotations

import http.client
import json
from dataclasses import asdict, dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from internal.breaker import Breaker
from internal.cache import Cache
from internal.database import Pool
from internal.metrics import Metrics

_KEY = "veza:tracks"


@dataclass(frozen=True)
class Track:
    """A track, as the API shows it."""

    id: int
    title: str
    seconds: int
    plays: int = 0


class Tracks(Protocol):
    """What handlers and workers need of a track service."""

    def listed(self) -> list[Track]:
        """Return the first tracks."""

    def found(self, track: int) -> Track | None:
        """Return a track; None if there is none with this number."""

    def create(self, title: str, seconds: int = 0) -> Track:
        """Add a track and return it."""

    def play(self, track: int, plays: int) -> None:
        """Add plays to a track."""


class TrackService:
    """Tracks in PostgreSQL, with a cache in front of the list."""

    def __init__(self, pool: Pool, cache: Cache) -> None:
        self.pool = pool
        self.cache = cache

    def listed(self) -> list[Track]:
        """Return the first 100 tracks, at most five seconds old."""
        kept = self.cache.get(_KEY)
        if isinstance(kept, list):
            return [Track(**entry) for entry in kept]
        rows = self.pool.query("SELECT id, title, seconds, plays FROM tracks ORDER BY id LIMIT 100")
        tracks = [Track(*row) for row in rows]
        self.cache.put(_KEY, [asdict(track) for track in tracks], 5)
        return tracks

    def found(self, track: int) -> Track | None:
        """Return a track; None if there is none with this number."""
        rows = self.pool.query("SELECT id, title, seconds, plays FROM tracks WHERE id = %s", (track,))
        return Track(*rows[0]) if rows else None

    def create(self, title: str, seconds: int = 0) -> Track:
        """Insert a track and return it."""
        text = "INSERT INTO tracks (title, seconds) VALUES (%s, %s) RETURNING id, title, seconds, plays"
        row = self.pool.query(text, (title, seconds))[0]
        self.cache.drop(_KEY)
        return Track(*row)

    def play(self, track: int, plays: int) -> None:
        """Add plays to a track."""
        self.pool.query("UPDATE tracks SET plays = plays + %s WHERE id = %s", (plays, track))
        self.cache.drop(_KEY)


class CatalogueError(Exception):
    """The external catalogue answered with an error, or not at all."""


class Catalogue:
    """The external catalogue, called through the breaker."""

    def __init__(self, url: str, breaker: Breaker, metrics: Metrics, *, timeout: float = 1.0) -> None:
        self.url = url
        self.breaker = breaker
        self.metrics = metrics
        self.timeout = timeout

    def enrich(self) -> Any:
        """Request the catalogue's data. Raises CircuitOpenError or CatalogueError."""
        return self.breaker.call(self._get)

    def _get(self) -> Any:
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=self.timeout)
        try:
            with self.metrics.external_seconds.time():
                connection.request("GET", f"{parts.path}/catalogue")
                response = connection.getresponse()
                body = response.read(65536)
            if response.status != 200:
                raise CatalogueError(f"the catalogue answered {response.status}")
            return json.loads(body)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise CatalogueError(f"the catalogue did not answer: {error or type(error).__name__}") from error
        finally:
            connection.close()
