"""A Docker client whose responses are bounded in size and time."""

from __future__ import annotations

import threading
import time
from typing import Any

import docker
import requests
from docker.api import APIClient

from gate.core.override import override

# The largest responses are the lists of an engine with thousands of containers.
_MAX_RESPONSE_SIZE = 16 * 2**20
_READ_SIZE = 64 * 1024


class BoundedAPIClient(APIClient):
    """An API client that reads at most 16 MiB of a response, for at most twice the request's timeout.

    Streamed responses are not bounded.
    """

    @override
    def send(self, request: Any, **options: Any) -> Any:
        """Send a request and read its response. Raise requests.RequestException if that exceeds a limit."""
        if options.get("stream"):
            return super().send(request, **options)
        # The timeout of `requests` only bounds the wait for the next byte: a trickling response never reaches it.
        timeout = options.get("timeout") or self.timeout
        seconds = 2 * (timeout[1] if isinstance(timeout, tuple) else timeout)
        result: list[Any] = []

        def run() -> None:
            try:
                result.append(self._send_and_read(request, options, time.monotonic() + seconds))
            except Exception as error:  # noqa: BLE001 - raised in the calling thread
                result.append(error)

        worker = threading.Thread(target=run, daemon=True)
        worker.start()
        worker.join(seconds)
        if not result:
            raise requests.Timeout(f"no complete response within {seconds:g} s")
        if isinstance(result[0], Exception):
            raise result[0]
        return result[0]

    def _send_and_read(self, request: Any, options: dict[str, Any], deadline: float) -> Any:
        response = super().send(request, **{**options, "stream": True})
        body = bytearray()
        for chunk in response.iter_content(_READ_SIZE):
            body += chunk
            if len(body) > _MAX_RESPONSE_SIZE or time.monotonic() > deadline:
                response.close()
                raise requests.exceptions.ContentDecodingError(
                    f"the response is larger than {_MAX_RESPONSE_SIZE // 2**20} MiB or does not end"
                )
        response._content = bytes(body)  # where `requests` itself keeps the body
        return response


class BoundedDockerClient(docker.DockerClient):
    """A DockerClient that uses BoundedAPIClient."""

    def __init__(self, **options: Any) -> None:
        self.api = BoundedAPIClient(**options)
