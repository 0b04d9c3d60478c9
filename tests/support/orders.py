"""A small service for drills: `POST /orders/KEY` writes to PostgreSQL, `GET /orders/KEY` reads, `GET /live` answers.

Usage: `python orders.py PORT DSN`. Each request has a connection of its own, so nothing has to reconnect.
"""

from __future__ import annotations

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg

DSN = sys.argv[2] if len(sys.argv) > 2 else ""


def prepare() -> None:
    """Create the table, durably, once PostgreSQL answers."""
    while True:
        try:
            with psycopg.connect(DSN, autocommit=True, connect_timeout=2) as connection:
                connection.execute("SET synchronous_commit = on")
                connection.execute("CREATE TABLE IF NOT EXISTS orders (id serial, key text)")
                return
        except psycopg.OperationalError:
            time.sleep(0.2)


class Handler(BaseHTTPRequestHandler):
    """Answers orders with their id and key."""

    def do_POST(self) -> None:
        """Write an order."""
        self._answer("INSERT INTO orders (key) VALUES (%s) RETURNING id, key", 201)

    def do_GET(self) -> None:
        """Read an order by its key, or say that the service is alive."""
        if self.path == "/live":
            self._send(200, {})
        else:
            self._answer("SELECT id, key FROM orders WHERE key = %s", 200)

    def _answer(self, query: str, status: int) -> None:
        try:
            with psycopg.connect(DSN, autocommit=True, connect_timeout=2) as connection:
                row = connection.execute(query, (self.path.rpartition("/")[2],)).fetchone()
        except psycopg.Error as error:
            self._send(503, {"error": str(error)})
            return
        self._send(*((status, {"order": {"id": row[0], "key": row[1]}}) if row else (404, {})))

    def _send(self, status: int, value: dict[str, object]) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Log nothing."""


if __name__ == "__main__":
    prepare()
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
