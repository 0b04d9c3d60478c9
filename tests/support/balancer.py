"""A load balancer for drills: forwards each GET to one of its backends in turn.

Usage: `python balancer.py PORT RETRIES HOST:PORT...`. It asks another backend at most RETRIES times if one refuses.
"""

from __future__ import annotations

import http.client
import itertools
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

RETRIES = int(sys.argv[2]) if len(sys.argv) > 2 else 0
BACKENDS = sys.argv[3:]
TURNS = itertools.count()


class Handler(BaseHTTPRequestHandler):
    """Forwards requests."""

    def do_GET(self) -> None:
        """Answer with the status of the first backend that responds, else with 502."""
        turn = next(TURNS)
        for attempt in range(RETRIES + 1):
            connection = http.client.HTTPConnection(BACKENDS[(turn + attempt) % len(BACKENDS)], timeout=1)
            try:
                connection.request("GET", self.path)
                self._send(connection.getresponse().status)
                return
            except OSError:
                continue
            finally:
                connection.close()
        self._send(502)

    def _send(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Log nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
