"""Resolve names, and open connections with one deadline for all their operations."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any

from gate.core.override import override
from gate.http.models import TlsOptions

# Setting a timeout costs a system call or two: a difference of less than this many seconds is not worth it.
_TIMEOUT_TOLERANCE = 0.01
# Seconds. A socket counts its timeout in 31 bits of milliseconds.
_MAX_TIMEOUT = 10.0**6


def remaining(deadline: float) -> float:
    """Return the seconds until the deadline. Raise TimeoutError if it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return min(left, _MAX_TIMEOUT)


def resolve(host: str, port: int, deadline: float) -> list[Any]:
    """Resolve a name like `socket.getaddrinfo`. Raise OSError, or TimeoutError at the deadline."""
    try:
        ipaddress.ip_address(host)
        return socket.getaddrinfo(host.encode(), port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except ValueError:
        return _resolve_name(host, port, deadline)


def _resolve_name(host: str, port: int, deadline: float) -> list[Any]:
    """Resolve a name in a thread."""
    # getaddrinfo has no timeout: a look-up that hangs can only be left behind.
    box: list[Any] = []

    def look_up() -> None:
        try:
            box.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, ValueError) as error:
            box.append(error)

    thread = threading.Thread(target=look_up, name="look-up", daemon=True)
    thread.start()
    thread.join(remaining(deadline))
    if not box:
        raise TimeoutError
    if isinstance(box[0], Exception):
        raise box[0]
    addresses: list[Any] = box[0]
    return addresses


def connect(addresses: list[Any], deadline: float) -> socket.socket:
    """Connect to the first address that accepts; each gets its share of the time. Raise OSError if none does."""
    error: OSError = OSError("the name has no address")
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        sock = _DeadlineSocket(family, kind, protocol)
        try:
            sock.settimeout(remaining(deadline) / (len(addresses) - number))
            sock.connect(address)
        except OSError as failed:
            sock.close()
            error = failed
            continue
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.deadline = deadline
        return sock
    raise error


class _DeadlineSocket(socket.socket):
    """A socket with one deadline for all operations."""

    deadline = float("inf")

    @override
    def recv_into(self, *arguments: Any) -> int:
        _apply_deadline(self)
        return super().recv_into(*arguments)

    @override
    def sendall(self, *arguments: Any) -> None:
        _apply_deadline(self)
        super().sendall(*arguments)


class _DeadlineTlsSocket(ssl.SSLSocket):
    """A TLS socket with one deadline for all operations."""

    deadline = float("inf")

    @override
    def recv_into(self, *arguments: Any, **named: Any) -> int:
        _apply_deadline(self)
        return super().recv_into(*arguments, **named)

    @override
    def send(self, *arguments: Any) -> int:
        _apply_deadline(self)
        return super().send(*arguments)


def _apply_deadline(sock: _DeadlineSocket | _DeadlineTlsSocket) -> None:
    """Set the timeout of the next operation to the time until the deadline."""
    left = remaining(sock.deadline)
    if abs((sock.gettimeout() or 0.0) - left) > _TIMEOUT_TOLERANCE:
        sock.settimeout(left)


def secure(sock: socket.socket, host: str, tls: TlsOptions, deadline: float) -> ssl.SSLSocket:
    """Do the TLS handshake on a connection. Raises OSError, and TimeoutError at the deadline."""
    sock.settimeout(remaining(deadline))
    # Without a close_notify, nobody can know whether a body that ends with the connection is complete.
    secured = _tls_context(tls).wrap_socket(sock, server_hostname=host, suppress_ragged_eofs=False)
    assert isinstance(secured, _DeadlineTlsSocket)
    secured.deadline = deadline
    return secured


def _tls_context(tls: TlsOptions) -> ssl.SSLContext:
    """Return the context for these options. A CA file that changed is loaded again."""
    stat = tls.ca.stat() if tls.ca else None
    return _load_context(tls.verify, tls.ca, (stat.st_mtime_ns, stat.st_size, stat.st_ino) if stat else None)


@cache
def _load_context(verify: bool, ca: Path | None, version: tuple[int, ...] | None) -> ssl.SSLContext:
    """Create a context. `version` identifies the contents of the CA file."""
    # Cached: loading the system's certificates takes 20 ms.
    context = ssl.create_default_context(cafile=ca)
    context.sslsocket_class = _DeadlineTlsSocket
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
