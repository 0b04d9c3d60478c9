"""HTTP client with one overall deadline per request and a bounded response body.

No cookies, no `.netrc`, no proxies from the environment: staging is requested directly.
"""

# Not built on requests, whose import would double the start of a short process (0.15 s against 0.02 s), nor on
# http.client, which accepts responses whose end is ambiguous.

from __future__ import annotations

import re
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from typing import IO, Any, Self
from urllib.parse import quote, unquote, urljoin, urlsplit

from msgspec import structs

import gate
from gate.core.messages import msg
from gate.http import sockets
from gate.http.codings import CodingError, UnknownCodingError, coding_names, decoded
from gate.http.errors import BodyTooLargeError, HttpError, Phase, UnsupportedEncodingError, to_http_error
from gate.http.http1 import NoResponseError, ProtocolError, ResponseReader
from gate.http.models import Request, Response, Timings
from gate.redaction.secrets import drop_torn_secret, redacted_head
from gate.runtime import memory_budget

_REDIRECTS = (301, 302, 303, 307, 308)
_CROSS_ORIGIN_HEADERS = ("accept", "accept-language", "user-agent")
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_URL_SAFE = "%/:=&?~+!$,;'@()*[]|"


def send(request: Request, deadline: float) -> Response:
    """Send a request and read the body up to the limit. `deadline` is a `time.monotonic()` timestamp. Raise HttpError.

    A large body is kept on disk until there is room for it in the memory that all attempts share.
    """
    with memory_budget.current() as lease, open_stream(request, deadline + lease.waited) as stream, _Spool() as spool:
        truncated, unread = False, None
        try:
            for chunk in stream.chunks():
                spool.write(chunk)
        except BodyTooLargeError:
            truncated = True
        except UnsupportedEncodingError as failure:
            unread = failure.message
        except OSError as error:
            raise to_http_error("body", error, stream.head.timings) from error
        body = spool.content(lease, request.weight)
        return structs.replace(
            stream.head, body=drop_torn_secret(body) if truncated else body, truncated=truncated, unread=unread
        )


class _Spool:
    """A body being read: in memory while it is small, else in an unnamed temporary file."""

    def __init__(self) -> None:
        self._begun = bytearray()
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, chunk: bytes) -> None:
        """Add a piece."""
        if self._file is not None:
            self._file.write(chunk)
            return
        self._begun += chunk
        if len(self._begun) > memory_budget.SMALL:
            from tempfile import TemporaryFile  # few bodies need it

            self._file = TemporaryFile()  # noqa: SIM115 - closed with the spool
            self._file.write(self._begun)
            self._begun.clear()

    def content(self, lease: memory_budget.Lease, weight: int) -> bytes:
        """Return the body once there is room for so many times its size. Raise HttpError if there is none."""
        if self._file is None:
            return bytes(self._begun)
        try:
            lease.reserve(self._file.tell() * weight)
        except TimeoutError:
            why = msg("there was no room for it in memory: other checks read large bodies, too")
            raise HttpError("body", why, timeout=True) from None
        self._file.seek(0)
        return self._file.read()


@contextmanager
def open_stream(request: Request, deadline: float) -> Iterator[Stream]:
    """Send a request and yield the response head; `chunks()` reads the body. Raise HttpError."""
    history: tuple[str, ...] = ()
    while True:
        exchange = _Connection(request, deadline)
        try:
            stream = exchange.start(history)
            location = stream.head.header("location")
            if not request.redirects or stream.head.status not in _REDIRECTS or location is None:
                yield stream
                return
            history = (*history, request.url)
            request = _redirected(request, stream.head.status, location)
        finally:
            exchange.close()


class Stream:
    """A response whose body is being read."""

    def __init__(self, head: Response, exchange: _Connection, response: ResponseReader, limit: int) -> None:
        self.head = head
        self.limit = limit
        self._exchange = exchange
        self._response = response

    def chunks(self) -> Iterator[bytes]:
        """Yield the decompressed body in chunks. Raise BodyTooLargeError beyond the limit, HttpError if it fails."""
        began, count = time.monotonic(), 0
        timings = self.head.timings
        try:
            for chunk in self._decoded():
                count += len(chunk)
                if count > self.limit:
                    yield chunk[: len(chunk) - (count - self.limit)]
                    raise BodyTooLargeError(self.limit)
                yield chunk
        finally:
            timings.body = time.monotonic() - began

    def _decoded(self) -> Iterator[bytes]:
        """Yield the body without its transfer and content codings."""
        content = coding_names(self.head.header("content-encoding") or "")
        if not self._response.has_body:
            return
        with self._exchange.phase("body"):
            pieces = self._response.pieces()
            try:
                pieces = decoded(pieces, self._response.transfer_codings, "Transfer-Encoding", self._exchange.left)
                pieces = decoded(pieces, content, "Content-Encoding", self._exchange.left)
            except UnknownCodingError as error:
                raise UnsupportedEncodingError(error.message) from None
            yield from pieces


def _redirected(request: Request, status: int, location: str) -> Request:
    """Return the request that follows a redirect. No potential secret is sent to another origin."""
    try:
        url = urljoin(request.url, location)
        web = bool(origin(url)[1]) and urlsplit(url).scheme in ("http", "https")
    except ValueError:
        url, web = location, False
    if not web:
        raise HttpError("redirect", msg("{url} is no address of the web", url=redacted_head(url, 200)))
    method, body, headers = request.method, request.body, dict(request.headers)
    if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
        method, body = "GET", None
        headers = {name: value for name, value in headers.items() if not name.lower().startswith("content-")}
    if origin(url) != origin(request.url):
        if body is not None:
            raise HttpError(
                "redirect", msg("it would send the body to another place: {url}", url=redacted_head(url, 200))
            )
        headers = {name: value for name, value in headers.items() if name.lower() in _CROSS_ORIGIN_HEADERS}
    return structs.replace(request, url=url, method=method, body=body, headers=headers, redirects=request.redirects - 1)


def origin(url: str) -> tuple[str, str, int]:
    """Return the scheme, host and port of a URL."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)


class _Connection:
    """A connection for one request.

    Connections are not reused: a kept one could respond for a service that is gone.
    """

    def __init__(self, request: Request, deadline: float) -> None:
        self.request = request
        self.deadline = deadline
        self.timings = Timings()
        self.sock: socket.socket | None = None
        self.file: BufferedReader | None = None

    def start(self, history: tuple[str, ...]) -> Stream:
        """Connect, send the request and read the head of the response."""
        with self.phase("request"):
            scheme, host, port = origin(self.request.url)
        self.sock = self._connect(host, port)
        certificate: Mapping[str, Any] = {}
        if scheme == "https":
            self.sock = secured = self._secure(self.sock, host)
            certificate = secured.getpeercert() or {}
        began = time.monotonic()
        with self.phase("first byte"):
            response = self._exchanged()
        self.timings.first_byte = time.monotonic() - began
        head = Response(
            url=self.request.url,
            status=response.head.status,
            reason=response.head.reason,
            version=response.head.version,
            headers=response.head.fields,
            body=b"",
            truncated=False,
            timings=self.timings,
            certificate=certificate,
            history=history,
        )
        return Stream(head, self, response, self.request.limit)

    def close(self) -> None:
        """Close the connection in any state."""
        if self.file is not None:
            self.file.close()
        if self.sock is not None:
            self.sock.close()

    def _connect(self, host: str, port: int) -> socket.socket:
        began = time.monotonic()
        with self.phase("look-up"):
            addresses = sockets.resolve(host, port, self.deadline)
        self.timings.dns = time.monotonic() - began
        began = time.monotonic()
        with self.phase("connect"):
            sock = sockets.connect(addresses, self.deadline)
        self.timings.connect = time.monotonic() - began
        return sock

    def _secure(self, sock: socket.socket, host: str) -> ssl.SSLSocket:
        began = time.monotonic()
        with self.phase("tls"):
            secured = sockets.secure(sock, host, self.request.tls, self.deadline)
        self.timings.tls = time.monotonic() - began
        return secured

    def _exchanged(self) -> ResponseReader:
        """Send the request, and read the head of the response."""
        with self.phase("request"):
            message = _message(self.request)
        assert self.sock is not None
        self.file = self.sock.makefile("rb")
        try:
            self.sock.sendall(message)
        except (BrokenPipeError, ConnectionResetError):
            # a server may answer, and close, before it has read a large body: the answer says why
            if not self._has_answered():
                raise
        return ResponseReader(self.file, self.request.method)

    def _has_answered(self) -> bool:
        assert self.file is not None
        try:
            return bool(self.file.peek(1))
        except OSError:
            return False

    def left(self) -> float:
        """Return the seconds until the deadline. Raises TimeoutError when there are none."""
        return sockets.remaining(self.deadline)

    @contextmanager
    def phase(self, name: Phase) -> Iterator[None]:
        """Convert any failure inside the context to an HttpError of this phase."""
        try:
            yield
        except HttpError as failure:
            failure.timings = self.timings
            raise
        except (ProtocolError, CodingError) as error:
            malformed = name == "first byte" and not isinstance(error, NoResponseError)
            raise HttpError("head" if malformed else name, error.message, timings=self.timings) from error
        except (OSError, ValueError) as error:
            raise to_http_error(name, error, self.timings) from error


def _path(url: str) -> str:
    parts = urlsplit(url)
    path = quote(parts.path or "/", safe=_URL_SAFE)
    return f"{path}?{quote(parts.query, safe=_URL_SAFE)}" if parts.query else path


def _message(request: Request) -> bytes:
    """Return the bytes of a request. Raise ValueError if its method or a header is not valid."""
    if not _METHOD.fullmatch(request.method):
        raise ValueError(f"not a valid method: {request.method!r}")
    lines = [f"{request.method} {_path(request.url)} HTTP/1.1"]
    for name, value in _headers(request).items():
        if not _METHOD.fullmatch(name) or re.search(r"[\r\n\0]", value):
            raise ValueError(f"not a valid header: {name!r}")
        lines.append(f"{name}: {value}")
    return "\r\n".join([*lines, "", ""]).encode() + (request.body or b"")


def _headers(request: Request) -> dict[str, str]:
    """Return the headers to send: the caller's and the required ones."""
    parts = urlsplit(request.url)
    headers = {
        "Host": parts.netloc.rpartition("@")[2],
        "User-Agent": f"prodgate/{gate.__version__}",
        "Accept": "*/*",
        "Connection": "close",
    }
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    if request.body is not None:
        headers["Content-Length"] = str(len(request.body))
    given = {name.lower() for name in request.headers}
    return {name: value for name, value in headers.items() if name.lower() not in given} | dict(request.headers)
