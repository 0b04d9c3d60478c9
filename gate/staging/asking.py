"""Asks a target over HTTP whether it is there, in the one way that needs nothing to be loaded first."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

_TRY = 5.0


class NoAnswer(Exception):
    """There was no answer. Its text says why."""


def status(method: str, url: str) -> int:
    """The status that a request is answered with. Raises NoAnswer, after 5 s at most of silence."""
    try:
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=_TRY)
        try:
            connection.request(method, parts.path)
            return connection.getresponse().status
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoAnswer(str(error) or type(error).__name__) from error
