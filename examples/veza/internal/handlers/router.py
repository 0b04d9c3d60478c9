"""Leads a request to what answers it, counts it, and turns errors into answers."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any

from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from internal import tokens
from internal.breaker import CircuitOpenError
from internal.database import DatabaseError
from internal.handlers.health import Answer, HealthHandler
from internal.metrics import Metrics
from internal.tracks import Catalogue, CatalogueError, Tracks
from internal.workers.playback_analytics import PlaybackAnalyticsWorker
from internal.workers.uploads import UploadWorker


@dataclass(frozen=True)
class Request:
    """What came in."""

    method: str
    path: str
    authorization: str = ""
    body: bytes = b""


@dataclass(frozen=True)
class Response:
    """What goes out."""

    status: int
    content_type: str
    body: bytes


class RequestError(Exception):
    """The request is not one that can be answered as it is."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


class Router:
    """The API's routes."""

    def __init__(
        self,
        *,
        metrics: Metrics,
        health: HealthHandler,
        tracks: Tracks,
        catalogue: Catalogue,
        uploads: UploadWorker,
        plays: PlaybackAnalyticsWorker,
        jwt_secret: str,
    ) -> None:
        self.metrics = metrics
        self.health = health
        self.tracks = tracks
        self.catalogue = catalogue
        self.uploads = uploads
        self.plays = plays
        self.jwt_secret = jwt_secret

    def answer(self, request: Request) -> Response:
        """Return the response, counted under its route. Never raises."""
        began = time.monotonic()
        route, handler = self._find(request)
        response = self._exposition() if route == "/metrics" else _as_json(*self._handled(request, handler))
        self.metrics.requests.labels(request.method, route, str(response.status)).inc()
        self.metrics.seconds.labels(request.method, route).observe(time.monotonic() - began)
        return response

    def _routes(self) -> dict[tuple[str, str], Callable[[Request], Answer]]:
        return {
            ("GET", "/health"): lambda request: self.health.health(),
            ("GET", "/readyz"): lambda request: self.health.readiness(),
            ("GET", "/live"): lambda request: self.health.liveness(),
            ("GET", "/metrics"): lambda request: (HTTPStatus.OK, {}),
            ("GET", "/api/v1/tracks"): self._list,
            ("POST", "/api/v1/tracks"): self._create,
            ("GET", "/api/v1/tracks/enrich"): self._enrich,
            ("GET", "/api/v1/tracks/:id"): self._track,
            ("POST", "/api/v1/tracks/:id/play"): self._play,
            ("POST", "/api/v1/uploads"): self._upload,
            ("GET", "/api/v1/uploads/:id"): self._upload_state,
        }

    def _find(self, request: Request) -> tuple[str, Callable[[Request], Answer]]:
        route = re.sub(r"/[0-9]{1,18}(?=/|$)", "/:id", request.path)
        handler = self._routes().get((request.method, route))
        return (route, handler) if handler else ("other", _not_found)

    def _handled(self, request: Request, handler: Callable[[Request], Answer]) -> Answer:
        try:
            return handler(request)
        except RequestError as error:
            return error.status, {"error": str(error)}
        except (DatabaseError, CircuitOpenError) as error:
            return HTTPStatus.SERVICE_UNAVAILABLE, {"error": str(error)}
        except CatalogueError as error:
            return HTTPStatus.BAD_GATEWAY, {"error": str(error)}

    def _exposition(self) -> Response:
        self.uploads.measure()
        return Response(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(self.metrics.registry))

    def _list(self, request: Request) -> Answer:
        return HTTPStatus.OK, {"tracks": [asdict(track) for track in self.tracks.listed()]}

    def _track(self, request: Request) -> Answer:
        number = _number(request.path)
        track = self.tracks.found(number)
        if track is None:
            raise RequestError(HTTPStatus.NOT_FOUND, f"there is no track {number}")
        return HTTPStatus.OK, asdict(track)

    def _create(self, request: Request) -> Answer:
        self._authorize(request)
        try:
            wanted = json.loads(request.body)
            title, seconds = str(wanted["title"])[:200], int(wanted.get("seconds", 0))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RequestError(HTTPStatus.BAD_REQUEST, "expected a JSON object with a title") from error
        return HTTPStatus.CREATED, asdict(self.tracks.create(title, seconds))

    def _enrich(self, request: Request) -> Answer:
        return HTTPStatus.OK, {"catalogue": self.catalogue.enrich()}

    def _play(self, request: Request) -> Answer:
        self.plays.played(_number(request.path))
        return HTTPStatus.ACCEPTED, {"status": "counted"}

    def _upload(self, request: Request) -> Answer:
        self._authorize(request)
        return HTTPStatus.ACCEPTED, {"id": self.uploads.submit(request.body), "status": "pending"}

    def _upload_state(self, request: Request) -> Answer:
        number = _number(request.path)
        state = self.uploads.state(number)
        if state is None:
            raise RequestError(HTTPStatus.NOT_FOUND, f"there is no upload {number}")
        return HTTPStatus.OK, {"id": number, "status": state}

    def _authorize(self, request: Request) -> None:
        try:
            tokens.verified(request.authorization.removeprefix("Bearer "), self.jwt_secret)
        except tokens.InvalidTokenError as error:
            raise RequestError(HTTPStatus.UNAUTHORIZED, str(error)) from error


def _number(path: str) -> int:
    return int(next(part for part in path.split("/") if part.isdecimal()))


def _not_found(request: Request) -> Answer:
    raise RequestError(HTTPStatus.NOT_FOUND, "there is nothing here")


def _as_json(status: HTTPStatus, value: dict[str, Any]) -> Response:
    return Response(status, "application/json", json.dumps(value).encode() + b"\n")
