"""Receive the notifications of an Alertmanager in the place of people.

The gate writes Alertmanager's configuration from the production file, with each receiver replaced by an endpoint of
its own, and keeps what arrives there.
"""

from __future__ import annotations

import base64
import io
import json
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gate.alertmanager.config import Config, parse_config
from gate.alertmanager.replacement import replaced
from gate.core.messages import msg
from gate.prometheus.config import InvalidConfigError
from gate.prometheus.yaml_tree import FILE_LIMIT
from gate.staging.docker_client import ENGINE_SETTLE_TIMEOUT
from gate.staging.errors import StagingError
from gate.staging.provision import request_reload

if TYPE_CHECKING:
    from gate.staging.journal import Journal
    from gate.staging.target import RunningTarget

# Bytes of one notification, and the number of notifications that are kept.
_BODY_LIMIT = 4 * 2**20
_KEPT = 500
# Notifications that may be received at once, and seconds that one may take.
_AT_ONCE = 16
_TIMEOUT = 10.0


class PagedAlert(Struct, frozen=True):
    """An alert of a notification."""

    status: str
    labels: dict[str, str]
    annotations: dict[str, str]
    fingerprint: str = ""


class Notification(Struct, frozen=True):
    """A notification as it arrived. `receiver` and `integration` are those of production; `at` is monotonic."""

    receiver: str
    integration: str
    at: float
    at_unix: float
    alerts: tuple[PagedAlert, ...]
    raw: bytes


class _Server(ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64
    take: Callable[[str, bytes], bool]
    slots: threading.Semaphore


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _TIMEOUT

    def do_POST(self) -> None:
        """Take one notification."""
        with self.server.slots:
            self.send_response(200 if self._take() else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _take(self) -> bool:
        try:
            length = int(self.headers.get("Content-Length") or -1)
        except ValueError:
            return False
        if not 0 <= length <= _BODY_LIMIT:
            return False
        body = self.rfile.read(length)
        return len(body) == length and self.server.take(self.path, body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the notifications are evidence of their own."""


class PageInbox:
    """The endpoint that receives the notifications of one Alertmanager, and what arrived so far."""

    def __init__(self, config: Config, file: str, host: str) -> None:
        """Listen on an address of this machine. Raise OSError if that fails."""
        self.config = config
        self.file = file
        # Nobody else who reaches the port can fake a page: the path is a secret.
        self._token = secrets.token_urlsafe(16)
        self._lock = threading.Lock()
        self._received: deque[Notification] = deque(maxlen=_KEPT)
        self._server = _Server((host, 0), _Handler)
        self._server.take = self._take
        self._server.slots = threading.Semaphore(_AT_ONCE)
        self.url = f"http://{host}:{self._server.server_address[1]}/{self._token}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True).start()

    @property
    def document(self) -> bytes:
        """Return the configuration for the Alertmanager."""
        return replaced(self.config, self.url)

    @property
    def received(self) -> tuple[Notification, ...]:
        """Return the notifications so far, the oldest first."""
        with self._lock:
            return tuple(self._received)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def _take(self, path: str, body: bytes) -> bool:
        """Keep a notification; return False if it is not one."""
        token, _, rest = path.removeprefix("/").partition("/")
        number, _, kind = rest.partition("/")
        if not secrets.compare_digest(token.encode(), self._token.encode()):
            return False
        try:
            receiver = self.config.receivers[int(number)]
            alerts = tuple(_alert(entry) for entry in json.loads(body)["alerts"])
        except (ValueError, LookupError, TypeError, RecursionError):
            return False
        notification = Notification(receiver.name, kind, time.monotonic(), time.time(), alerts, body)
        with self._lock:
            self._received.append(notification)
        return True


def _alert(entry: dict[str, Any]) -> PagedAlert:
    return PagedAlert(
        status=str(entry["status"]),
        labels={str(name): str(value) for name, value in entry["labels"].items()},
        annotations={str(name): str(value) for name, value in (entry.get("annotations") or {}).items()},
        fingerprint=str(entry.get("fingerprint", "")),
    )


def open_inbox(file: str, root: Path, host: str) -> PageInbox:
    """Read the production configuration and listen. Raise StagingError if one of both fails."""
    path = root / file
    if not path.resolve().is_relative_to(root.resolve()):
        raise StagingError(msg("{path} leads out of the checkout", path=file))
    try:
        with path.open("rb") as stream:
            config = parse_config(stream.read(FILE_LIMIT + 1))
        return PageInbox(config, file, host)
    except InvalidConfigError as bad:
        place = f"{file}:{bad.line}:{bad.column}"
        raise StagingError(msg("{place}: {reason}", place=place, reason=bad.message)) from None
    except FileNotFoundError:
        raise StagingError(msg("{source} does not exist in the checkout", source=file)) from None
    except OSError as error:
        why = error.strerror or str(error)
        raise StagingError(msg("the endpoint for the pages of {file} cannot listen on {host}: {why}", file=file,
                               host=host, why=why)) from error  # fmt: skip


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only this user can read."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)


def load_into_container(
    inbox: PageInbox, path: str, running: RunningTarget, journal: Journal, timeout: float, cancelled: threading.Event
) -> None:
    """Put the configuration into the container and have Alertmanager load it. Raise StagingError if that fails.

    A container that is not the run's own gets its file back: what it holds is in the journal first.
    """
    from docker.errors import DockerException

    container = running.container
    assert container is not None
    folder, _, name = path.rpartition("/")
    try:
        if not container.started:
            original = b"".join(container.handle.get_archive(path)[0])
            journal.record_intent(
                "restore_file",
                settle_timeout=ENGINE_SETTLE_TIMEOUT,
                container=container.id,
                folder=folder or "/",
                archive=base64.b64encode(original).decode(),
                signal="HUP",
            )
        container.handle.put_archive(folder or "/", _archive(name, inbox.document))
    except (DockerException, OSError) as error:
        raise StagingError(
            msg("{source} cannot be copied into the container: {why}", source=inbox.file, why=str(error))
        ) from error
    request_reload(running.base_url, "/-/reload", timeout, cancelled)


def _archive(name: str, content: bytes) -> bytes:
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(content), 0o444
        archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()
