"""What answers on the engine's socket can fill neither the gate's memory nor its time."""

from __future__ import annotations

import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests

from gate.staging.bounded_docker import BoundedDockerClient
from tests.support.folder import Folder

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
# The beginning of each, its endless continuation, and the seconds in between.
ENDLESS: dict[str, tuple[bytes, bytes, float]] = {
    "body": (HEAD + b"\r\n", b"[" * 65536, 0.0),
    "chunks": (CHUNKED, b"10000\r\n" + b"[" * 65536 + b"\r\n", 0.0),
    "length": (HEAD + b"Content-Length: 99999999999\r\n\r\n", b"[" * 65536, 0.0),
    "slow body": (HEAD + b"\r\n", b"[", 0.3),
    "slow head": (HEAD + b"X-Slow: ", b"x", 0.3),
    "head": (HEAD, b"X-More: x\r\n", 0.0),
}


# Maximum bytes of a gate's data, its threads' stacks included.
LIMIT = 512 * 2**20


@contextmanager
def engine(path: Path, kind: str) -> Iterator[str]:
    """Something on a socket that is no engine; its address."""
    head, again, pause = ENDLESS[kind]
    over = threading.Event()

    def response(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65536)
            connection.sendall(head)
            while not over.wait(pause) if pause else not over.is_set():
                connection.sendall(again)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=response, args=(listener.accept()[0],), daemon=True).start()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"unix://{path}"
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("kind", ENDLESS)
@pytest.mark.parametrize("ask", [lambda client: client.ping(), lambda client: client.containers.list(all=True)])
def test_a_response_without_end(tmp_path: Path, kind: str, ask: Callable[[BoundedDockerClient], object]) -> None:
    """A response that does not end is an error, in time."""
    began = time.monotonic()
    with engine(tmp_path / "socket", kind) as address, pytest.raises((requests.RequestException, OSError)):
        ask(BoundedDockerClient(base_url=address, version="1.41", timeout=1))
    assert time.monotonic() - began < 20


def test_the_memory_of_a_run(tmp_path: Path) -> None:
    """A run that finds no engine behind the socket ends with the reason, within half a GiB of data."""
    folder = Folder(tmp_path)
    item = {"id": "i", "title": "I", "requires": ["database"], "command": {"run": "true"}}
    folder.write(item, database={"container": "database"})
    with engine(tmp_path / "socket", "body") as address:
        folder.environment["DOCKER_HOST"] = address
        gate = folder.start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT)))
        said, _ = gate.communicate(timeout=120)
    (outcome,) = folder.outcomes()
    assert (gate.returncode, outcome["status"]) == (1, "skip"), said
    assert "no container engine" in str(outcome["message"])
