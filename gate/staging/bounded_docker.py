"""A Docker client whose responses are bounded in size and time, whatever answers on the engine's socket."""

from __future__ import annotations

import threading
import time
from typing import Any

import docker
import requests
from docker.api import APIClient

_LIMIT = 16 * 2**20
"""Bytes of one response. The largest that is asked for are the lists of an engine with thousands of containers."""
_CHUNK = 64 * 1024


class BoundedAPIClient(APIClient):
    """Reads at most 16 MiB of a response that is not streamed, and not for longer than twice the request's timeout.

    The timeout of `requests` bounds the wait for the next byte only.
    """

    def send(self, request: Any, **options: Any) -> Any:
        """Send a request and read its response. Raise requests.RequestException if that is not over in time."""
        if options.get("stream"):
            return super().send(request, **options)
        timeout = options.get("timeout") or self.timeout
        seconds = 2 * (timeout[1] if isinstance(timeout, tuple) else timeout)
        done: list[Any] = []

        def work() -> None:
            try:
                done.append(self._whole(request, options, time.monotonic() + seconds))
            except Exception as error:  # noqa: BLE001 - raised to whoever waits
                done.append(error)

        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        worker.join(seconds)
        if not done:
            raise requests.Timeout(f"no complete response within {seconds:g} s")
        if isinstance(done[0], Exception):
            raise done[0]
        return done[0]

    def _whole(self, request: Any, options: dict[str, Any], deadline: float) -> Any:
        response = super().send(request, **{**options, "stream": True})
        body = bytearray()
        for chunk in response.iter_content(_CHUNK):
            body += chunk
            if len(body) > _LIMIT or time.monotonic() > deadline:
                response.close()
                raise requests.exceptions.ContentDecodingError(
                    f"the response is larger than {_LIMIT // 2**20} MiB or does not end"
                )
        response._content = bytes(body)  # where `requests` keeps what it has read itself
        return response


class BoundedDockerClient(docker.DockerClient):
    """A DockerClient on a BoundedAPIClient."""

    def __init__(self, **options: Any) -> None:
        self.api = BoundedAPIClient(**options)
