"""A small service for drills: `/live` always, `/readyz` only while its database accepts connections."""

from __future__ import annotations

import os
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DATABASE = (os.environ.get("DATABASE_HOST", "127.0.0.1"), int(os.environ.get("DATABASE_PORT", "5432")))
# Whether it has the bug of not looking at its database.
BLIND = os.environ.get("BLIND") == "1"
# Whether it has the bug of never trying again once its database was gone.
FORGETFUL = os.environ.get("FORGETFUL") == "1"
LOST: list[bool] = []


def database_answers() -> bool:
    """Return True if the database answers a line within half a second."""
    if FORGETFUL and LOST:
        return False
    try:
        with socket.create_connection(DATABASE, 0.5) as connection:
            connection.settimeout(0.5)
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            if connection.recv(12).startswith(b"HTTP/1.0 200"):
                return True
    except OSError:
        pass
    LOST.append(True)
    return False


class Handler(BaseHTTPRequestHandler):
    """Answers the two paths."""

    def do_GET(self) -> None:
        """Serve `/live` and `/readyz`."""
        ready = self.path == "/live" or BLIND or database_answers()
        body = b'{"status":"ready"}' if ready else b'{"status":"not_ready","checks":{"database":{"status":"error"}}}'
        self.send_response(200 if ready else 503)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Log nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
