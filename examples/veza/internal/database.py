"""PostgreSQL through a pool of connections that comes back after an outage and never waits for long."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg

from internal.metrics import Metrics

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS tracks (id serial PRIMARY KEY, title text NOT NULL, seconds integer NOT NULL,"
    " plays integer NOT NULL DEFAULT 0)",
)


class DatabaseError(OSError):
    """The database did not answer."""


class Pool:
    """At most `size` connections; a query gets `timeout` seconds, and so does the wait for a connection."""

    def __init__(self, url: str, metrics: Metrics, *, size: int = 8, timeout: float = 1.5) -> None:
        self.url = url
        self.size = size
        self.timeout = timeout
        self._metrics = metrics
        self._changed = threading.Condition()
        self._idle: list[psycopg.Connection[Any]] = []
        self._in_use = 0
        metrics.db_max.set(size)

    def query(self, text: str, values: Sequence[Any] = ()) -> list[Any]:
        """Commit one statement and return its rows. Raises DatabaseError if the database does not respond."""
        with self._connection() as connection:
            cursor = connection.execute(text, values)
            return cursor.fetchall() if cursor.description else []

    def ping(self) -> float:
        """Run a trivial query and return the seconds that it took."""
        began = time.monotonic()
        self.query("SELECT 1")
        return time.monotonic() - began

    def migrate(self) -> None:
        """Create missing tables."""
        for statement in _SCHEMA:
            self.query(statement)

    def close(self) -> None:
        """Close idle connections."""
        with self._changed:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        self._measure()

    @contextlib.contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[Any]]:
        connection = self._take()
        late = threading.Event()
        try:
            with _limit(connection, self.timeout, late):
                yield connection
        except psycopg.OperationalError as error:
            self._metrics.db_errors.inc()
            why = f"no answer within {self.timeout:g} s" if late.is_set() else _sentence(error)
            raise DatabaseError(why) from error
        finally:
            self._give_back(connection)

    def _take(self) -> psycopg.Connection[Any]:
        with self._changed:
            if self._in_use >= self.size:
                self._metrics.db_waits.inc()
                if not self._changed.wait_for(lambda: self._in_use < self.size, self.timeout):
                    raise DatabaseError(f"all {self.size} connections are in use")
            self._in_use += 1
            idle = self._idle.pop() if self._idle else None
        self._measure()
        return idle or self._connect()

    def _connect(self) -> psycopg.Connection[Any]:
        try:
            return psycopg.connect(
                self.url,
                autocommit=True,
                connect_timeout=2,
                tcp_user_timeout=3000,
                application_name="veza-backend-api",
            )
        except psycopg.Error as error:
            self._metrics.db_errors.inc()
            self._release()
            raise DatabaseError(_sentence(error)) from error

    def _give_back(self, connection: psycopg.Connection[Any]) -> None:
        if connection.closed:
            self.close()  # the others are as old as this one, and lead to the same server
        else:
            with self._changed:
                self._idle.append(connection)
        self._release()

    def _release(self) -> None:
        with self._changed:
            self._in_use -= 1
            self._changed.notify()
        self._measure()

    def _measure(self) -> None:
        self._metrics.db_in_use.set(self._in_use)
        self._metrics.db_open.set(self._in_use + len(self._idle))


@contextlib.contextmanager
def _limit(connection: psycopg.Connection[Any], seconds: float, late: threading.Event) -> Iterator[None]:
    """Shut the socket down if a query takes longer: a server that hangs ignores a cancel request."""
    timer = threading.Timer(seconds, _shut_down, [connection, late])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _shut_down(connection: psycopg.Connection[Any], late: threading.Event) -> None:
    late.set()
    with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=_duplicate(connection)) as shared:
        shared.shutdown(socket.SHUT_RDWR)


def _duplicate(connection: psycopg.Connection[Any]) -> int:
    return os.dup(connection.fileno())


def _sentence(error: Exception) -> str:
    """Return the first line of the driver's error: it names host and port, never the password."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
