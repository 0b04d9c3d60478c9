"""A web server for tests: it answers what a test says, and fails it for an unexpected request or one that never came.

What can't be said as an answer (a header without end, a body of one byte a second) is a `Raw`: it writes to the socket.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_WAIT = 10.0


@dataclass(frozen=True)
class Request:
    """A request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


# Writes an answer by itself; the connection is closed when it returns.
Raw = Callable[[socket.socket], None]


@dataclass(frozen=True)
class Reply:
    """An answer: with its Content-Length, and after `delay` seconds."""

    status: int = 200
    body: bytes | str = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0


class Web:
    """A server on a free port of the loopback. Every path of `routes` must be asked, and no other."""

    def __init__(self, routes: Mapping[str, Reply | Raw], *, tls: ssl.SSLContext | None = None) -> None:
        self.routes = dict(routes)
        self.tls = tls
        self.requests: list[Request] = []
        self.unexpected: list[Request] = []
        self.over = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = int(self.listener.getsockname()[1])
        self.threads: list[threading.Thread] = []
        self.connections: list[socket.socket] = []

    @property
    def url(self) -> str:
        """Return its base URL."""
        return f"{'https' if self.tls else 'http'}://{'localhost' if self.tls else '127.0.0.1'}:{self.port}"

    def start(self) -> None:
        """Listen in the background."""
        thread = threading.Thread(target=self._accept, daemon=True)
        self.threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """Stop listening, and end all responses in progress."""
        self.over.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in list(self.connections):
            # A thread that reads from or writes to a client that keeps the connection open ends at once.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(_WAIT)

    def check(self) -> None:
        """Fail if an unexpected request came, or an expected one did not."""
        assert [f"{got.method} {got.path}" for got in self.unexpected] == []
        asked = {got.path.split("?")[0] for got in self.requests}
        assert [path for path in self.routes if path not in asked] == []

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(_WAIT)
        with contextlib.suppress(OSError, ssl.SSLError, ValueError):
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
                self.connections.append(connection)
                connection.do_handshake()
            got = _read(connection)
            if got:
                self._answer(connection, got)
        with contextlib.suppress(OSError):
            connection.close()

    def _answer(self, connection: socket.socket, got: Request) -> None:
        self.requests.append(got)
        route = self.routes.get(got.path.split("?")[0])
        if route is None:
            self.unexpected.append(got)
            route = Reply(500, f"unexpected: {got.method} {got.path}")
        if not isinstance(route, Reply):
            route(connection)
            return
        self.over.wait(route.delay)
        body = route.body.encode() if isinstance(route.body, str) else route.body
        head = {"Content-Length": str(len(body)), **route.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        content = b"" if got.method == "HEAD" else body
        connection.sendall(f"HTTP/1.1 {route.status} Because\r\n{lines}\r\n".encode("latin-1") + content)


def _read(connection: socket.socket) -> Request | None:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return None
        data += piece
        if not data[:1].isalpha():
            connection.sendall(b"HTTP/1.1 400 Because\r\n\r\n")
            return None
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        body += connection.recv(65536)
    return Request(method, path, headers, body)


@contextmanager
def serving(routes: Mapping[str, Reply | Raw], *, tls: ssl.SSLContext | None = None) -> Iterator[Web]:
    """Provide a server for the length of a test, which it fails where requests and routes do not agree."""
    web = Web(routes, tls=tls)
    web.start()
    try:
        yield web
    finally:
        web.stop()
    web.check()


def trickle(head: bytes, piece: bytes = b"x", every: float = 0.05, times: int = 10_000) -> Raw:
    """Send `head`, then `piece` again and again, with pauses of `every` seconds."""

    def response(connection: socket.socket) -> None:
        connection.sendall(head)
        pause = threading.Event()
        for _ in range(times):
            connection.sendall(piece)
            pause.wait(every)

    return response


def send(data: bytes) -> Raw:
    """Send exactly these bytes, and close."""
    return lambda connection: connection.sendall(data)


def reset(data: bytes = b"") -> Raw:
    """Send these bytes, and reset the connection."""

    def response(connection: socket.socket) -> None:
        connection.sendall(data)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    return response


@dataclass(frozen=True)
class Authority:
    """A certificate authority made for the tests, in PEM files."""

    ca: Path
    server: Path
    expired: Path
    other: Path

    def context(self, chain: Path | None = None) -> ssl.SSLContext:
        """Return a server's side of TLS with one of the chains, the good one by default."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain or self.server)
        return context


Signer = tuple[x509.Name, ec.EllipticCurvePrivateKey]


def make_authority(folder: Path) -> Authority:
    """Return an authority and three certificates: for localhost, one that has expired, and one for another host."""
    ca, _, signer = _certificate("prodgate tests", None, 365)
    (folder / "ca.pem").write_bytes(ca)
    for name, host, days in (("server", "localhost", 90), ("expired", "localhost", -1), ("other", "other.example", 90)):
        pem, secret, _ = _certificate(host, signer, days)
        (folder / f"{name}.pem").write_bytes(pem + secret)
    return Authority(*(folder / f"{name}.pem" for name in ("ca", "server", "expired", "other")))


def _certificate(name: str, issuer: Signer | None, days: int) -> tuple[bytes, bytes, Signer]:
    now = datetime.now(UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    by, signer = issuer or (subject, key)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .sign(signer, hashes.SHA256())
    )
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return built.public_bytes(encoding), key.private_bytes(encoding, form, serialization.NoEncryption()), (subject, key)
