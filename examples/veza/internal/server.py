"""The HTTP server: one thread for each connection, and a thread beside them that watches the database."""

from __future__ import annotations

import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from internal.breaker import Breaker
from internal.cache import Cache
from internal.config import Config
from internal.database import DatabaseError, Pool
from internal.handlers.health import HealthHandler
from internal.handlers.router import Request, Router
from internal.metrics import Metrics
from internal.tracks import Catalogue, TrackService
from internal.workers.playback_analytics import PlaybackAnalyticsWorker
from internal.workers.uploads import UploadWorker, checked

_BODY_LIMIT = 10 * 1024 * 1024


class Api:
    """Everything that makes the API, put together."""

    def __init__(self, config: Config) -> None:
        self.metrics = Metrics()
        self.pool = Pool(config.database_url, self.metrics, size=config.pool_size, timeout=config.query_timeout)
        cache = Cache(config.redis_url)
        tracks = TrackService(self.pool, cache)
        breaker = Breaker("catalogue", self.metrics, failures=config.breaker_failures, open_for=config.breaker_open)
        self.uploads = UploadWorker(checked, self.metrics)
        self.plays = PlaybackAnalyticsWorker(tracks.play)
        self.router = Router(
            metrics=self.metrics,
            health=HealthHandler(self.pool, cache),
            tracks=tracks,
            catalogue=Catalogue(config.external_url, breaker, self.metrics, timeout=config.external_timeout),
            uploads=self.uploads,
            plays=self.plays,
            jwt_secret=config.jwt_secret,
        )
        self.stopping = threading.Event()
        self._migrated = False
        self._up: bool | None = None
        self.server = ThreadingHTTPServer(("", config.port), _handler(self.router))
        self.server.daemon_threads = True

    def serve(self) -> None:
        """Serve requests until `stop` is called. The database is checked first, so that the first scrape is true."""
        self._look_at_database()
        for loop in (self._watch_database, self._work):
            threading.Thread(target=loop, name=loop.__name__, daemon=True).start()
        log(f"listening on port {self.server.server_port}")
        self.server.serve_forever(poll_interval=0.1)
        self.server.server_close()
        self.plays.flush()
        self.pool.close()
        log("stopped")

    def stop(self) -> None:
        """End `serve`. Call it from another thread."""
        self.stopping.set()
        self.server.shutdown()

    def _watch_database(self) -> None:
        while not self.stopping.wait(0.5):
            self._look_at_database()

    def _look_at_database(self) -> None:
        """Check the database; update the metrics, and log a change."""
        try:
            if not self._migrated:
                self.pool.migrate()
                self._migrated = True
            self.pool.ping()
            up, why = True, ""
        except DatabaseError as error:
            up, why = False, str(error)
        if up is not self._up:
            log("the database answers" if up else f"the database does not answer: {why}")
        self._up = up
        self.metrics.db_up.set(up)

    def _work(self) -> None:
        while not self.stopping.wait(0.5):
            self.uploads.work()
            self.plays.retry_failed_jobs()
            self.plays.flush()


def _handler(router: Router) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def do_GET(self) -> None:
            self._answer()

        do_POST = do_GET

        def _answer(self) -> None:
            length = self.headers.get("Content-Length", "0")
            if not length.isdecimal() or int(length) > _BODY_LIMIT:
                self.send_error(413)
                return
            body = self.rfile.read(int(length))
            path = urlsplit(self.path).path
            response = router.answer(Request(self.command, path, self.headers.get("Authorization", ""), body))
            self.send_response(response.status)
            self.send_header("Content-Type", response.content_type)
            self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            self.wfile.write(response.body)

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing: requests are counted."""

    return Handler


def log(text: str) -> None:
    """Write a line to stderr."""
    print(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), text, file=sys.stderr, flush=True)
