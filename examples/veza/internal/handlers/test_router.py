"""The routes, with a mock of the track service behind them."""

import json
import time
from typing import Any

import pytest

from internal import tokens
from internal.breaker import Breaker
from internal.cache import Cache
from internal.database import Pool
from internal.handlers.health import HealthHandler
from internal.handlers.router import Request, Router
from internal.metrics import Metrics
from internal.testutils.servicemocks import MockTrackService
from internal.tracks import Catalogue
from internal.workers.playback_analytics import PlaybackAnalyticsWorker
from internal.workers.uploads import UploadWorker, checked

SECRET = "a secret of the tests"


@pytest.fixture
def router() -> Router:
    """Return the routes with one track, and without a database."""
    metrics = Metrics()
    tracks = MockTrackService()
    tracks.create("Nuit blanche")
    return Router(
        metrics=metrics,
        health=HealthHandler(Pool("postgresql://veza@127.0.0.1:1/veza", metrics), Cache()),
        tracks=tracks,
        catalogue=Catalogue("http://127.0.0.1:1", Breaker("catalogue", metrics), metrics),
        uploads=UploadWorker(checked, metrics),
        plays=PlaybackAnalyticsWorker(tracks.play),
        jwt_secret=SECRET,
    )


def ask(router: Router, method: str, path: str, body: bytes = b"", token: str = "") -> tuple[int, Any]:
    """Send a request and return status and JSON."""
    response = router.answer(Request(method, path, f"Bearer {token}", body))
    return int(response.status), json.loads(response.body)


def test_lists_tracks(router: Router) -> None:
    """GET /api/v1/tracks shows every track."""
    assert ask(router, "GET", "/api/v1/tracks") == (
        200,
        {"tracks": [{"id": 1, "title": "Nuit blanche", "seconds": 0, "plays": 0}]},
    )


def test_writing_needs_a_token(router: Router) -> None:
    """A track is created only by someone with a token of ours."""
    assert ask(router, "POST", "/api/v1/tracks", b'{"title": "x"}')[0] == 401


def test_refuses_what_is_no_track(router: Router) -> None:
    """A body without a title is the caller's mistake."""
    token = tokens.signed({"exp": time.time() + 60}, SECRET)
    assert ask(router, "POST", "/api/v1/tracks", b"[]", token)[0] == 400


def test_unknown_paths_share_one_label(router: Router) -> None:
    """A scanner that tries many paths does not make as many series."""
    ask(router, "GET", "/wp-admin")
    ask(router, "GET", "/.env")
    found = router.metrics.registry.get_sample_value(
        "veza_gin_http_requests_total", {"method": "GET", "path": "other", "status": "404"}
    )
    assert found == 2


def test_upload_is_polled(router: Router) -> None:
    """An upload is pending until the worker has looked at it."""
    token = tokens.signed({"exp": time.time() + 60}, SECRET)
    number = ask(router, "POST", "/api/v1/uploads", b"ID3 sound", token)[1]["id"]
    before = ask(router, "GET", f"/api/v1/uploads/{number}")[1]["status"]
    router.uploads.work()
    assert (before, ask(router, "GET", f"/api/v1/uploads/{number}")[1]["status"]) == ("pending", "done")


def test_the_breaker_opens_after_five_failures(router: Router) -> None:
    """Five calls fail at the catalogue, the sixth is not made."""
    assert [ask(router, "GET", "/api/v1/tracks/enrich")[0] for _ in range(6)] == [502] * 5 + [503]
