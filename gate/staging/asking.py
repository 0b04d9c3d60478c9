"""Asks a target over HTTP whether it is there."""

from __future__ import annotations

import time

from gate.http.client import Request, open_stream

PROBE_TIMEOUT = 5.0
"""Seconds that one try may take."""


def probe_status(method: str, url: str, end: float) -> int:
    """The status that a request is answered with. Raises HttpFailure, at `end` (monotonic) or after 5 s at the latest.

    The body is left alone: a page that never ends is an answer, too.
    """
    with open_stream(Request(url=url, method=method), min(end, time.monotonic() + PROBE_TIMEOUT)) as stream:
        return stream.head.status
