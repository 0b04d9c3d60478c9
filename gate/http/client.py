"""HTTP client with one overall deadline per request and a bounded response body.

No cookies, no `.netrc`, no proxies from the environment: staging is requested directly.
"""

# Not built on requests, whose import would double the start of a short process (0.15 s against 0.02 s), nor on
# http.client, which accepts responses whose end is ambiguous.

from __future__ import annotations

import ipaddress
import json
import re
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, Literal, Self
from urllib.parse import quote, unquote, urljoin, urlsplit

from msgspec import Struct, field, structs

import gate
from gate.core.errors import GateError
from gate.core.messages import Message, msg
from gate.core.override import override
from gate.decode import charsets
from gate.decode.quantities import format_duration, format_size
from gate.http.codings import CodingError, UnknownCodingError, coding_names, decoded
from gate.http.http1 import NoResponseError, ProtocolError, ResponseReader
from gate.redaction.secrets import drop_torn_secret, redacted_head
from gate.runtime import memory_budget

Phase = Literal["request", "look-up", "connect", "tls", "first byte", "head", "body", "redirect"]
# Default limit of a response body, in bytes after decompression.
BODY_LIMIT = 1024 * 1024
# Setting a timeout costs a system call or two: a difference of less than this many seconds is not worth it.
_TIMEOUT_TOLERANCE = 0.01
# Seconds. A socket counts its timeout in 31 bits of milliseconds.
_MAX_TIMEOUT = 10.0**6
_REDIRECTS = (301, 302, 303, 307, 308)
_CROSS_ORIGIN_HEADERS = ("accept", "accept-language", "user-agent")
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_URL_SAFE = "%/:=&?~+!$,;'@()*[]|"


class HttpError(GateError):
    """A request without a complete response. `phase` is where it failed; `timings` has the phases that were reached."""

    def __init__(
        self, phase: Phase, message: Message, *, timings: Timings | None = None, timeout: bool = False
    ) -> None:
        super().__init__(_describe_phase(phase, message))
        self.phase = phase
        self.timings = timings or Timings()
        self.timeout = timeout


def _describe_phase(phase: Phase, why: Message) -> Message:
    sentences = {
        "request": msg("The request could not be made: {why}", why=why),
        "look-up": msg("The name look-up failed: {why}", why=why),
        "connect": msg("The connection failed: {why}", why=why),
        "tls": msg("The TLS handshake failed: {why}", why=why),
        "first byte": msg("The first byte of the answer did not come: {why}", why=why),
        "head": msg("The response is not valid HTTP: {why}", why=why),
        "body": msg("The body broke: {why}", why=why),
        "redirect": msg("The redirect was not followed: {why}", why=why),
    }
    return sentences[phase]


class BodyTooLargeError(HttpError):
    """A response body exceeds its limit after decompression. Nothing beyond the limit was kept."""

    def __init__(self, limit: int) -> None:
        super().__init__("body", msg("it is larger than the limit of {limit}", limit=format_size(limit)))
        self.limit = limit


class UnsupportedEncodingError(HttpError):
    """A response body has an unsupported content coding. None of it was read."""

    def __init__(self, why: Message) -> None:
        super().__init__("body", why)


class Timings(Struct):
    """Seconds that each phase took; None if a phase was not reached or not needed."""

    dns: float | None = None
    connect: float | None = None
    tls: float | None = None
    first_byte: float | None = None
    body: float | None = None

    @property
    def total(self) -> float:
        """Return the seconds of all phases together, like curl's `time_total`."""
        return sum(seconds or 0.0 for seconds in (self.dns, self.connect, self.tls, self.first_byte, self.body))


class TlsOptions(Struct, frozen=True):
    """How to verify a server. `ca` is a PEM file to trust instead of the system's certificates."""

    verify: bool = True
    ca: Path | None = None


class Request(Struct, frozen=True):
    """A request to send. `redirects` is how many to follow; `limit` is in bytes of the decompressed body."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    redirects: int = 0
    tls: TlsOptions = TlsOptions()
    limit: int = BODY_LIMIT
    # Memory that a body needs with the data parsed from it, as a multiple of its size.
    weight: int = 8


class Response(Struct, frozen=True):
    """A response. If `truncated`, the body exceeded the limit and `body` is its beginning.

    `unread` is why the body could not be read at all; `body` is empty then.
    """

    url: str
    status: int
    reason: str
    version: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    truncated: bool
    timings: Timings
    # As returned by ssl.SSLSocket.getpeercert(); empty without TLS or verification.
    certificate: Mapping[str, Any] = field(default_factory=dict)
    # The URLs that redirected here, in order.
    history: tuple[str, ...] = ()
    unread: Message | None = None

    def header(self, name: str) -> str | None:
        """Return the value of a header, or None. Several of one name are joined by commas (RFC 9110)."""
        return _header(self.headers, name)

    def text(self) -> str:
        """Return the body by the charset of its Content-Type, else UTF-8. What can't be decoded becomes U+FFFD."""
        return decode_text(self.body, self.header("content-type") or "")

    def text_problem(self) -> Message | None:
        """Return why the body cannot be read as text, None if it can."""
        charset = charsets.charset_of(self.header("content-type") or "")
        if self.unread is not None or charsets.decode(self.body, charset) is not None:
            return self.unread
        return msg("its charset is not one that clients know: {name}", name=redacted_head(charset, 100))


def _header(headers: tuple[tuple[str, str], ...], name: str) -> str | None:
    values = [value for key, value in headers if key.lower() == name.lower()]
    return ", ".join(values) if values else None


def decode_text(body: bytes, content_type: str) -> str:
    """Decode a body as text, also one in an unknown charset: as UTF-8 then."""
    found = charsets.decode(body, charsets.charset_of(content_type))
    return body.decode("utf-8", "replace") if found is None else found


def parse_json(body: bytes | str) -> Any:
    """Parse JSON (RFC 8259), without NaN. Raise ValueError with the reason if it is not valid.

    Integers too long for Python become floats, and may become infinite.
    """

    def refuse(name: str) -> Any:
        raise ValueError(f"{name} is no JSON value")

    def whole(digits: str) -> int | float:
        return int(digits) if len(digits) < 400 else float(digits)

    try:
        return json.loads(body, parse_constant=refuse, parse_int=whole)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


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
            addresses = resolve(host, port, self.deadline)
        self.timings.dns = time.monotonic() - began
        began = time.monotonic()
        with self.phase("connect"):
            sock = connect(addresses, self.deadline)
        self.timings.connect = time.monotonic() - began
        return sock

    def _secure(self, sock: socket.socket, host: str) -> _DeadlineTlsSocket:
        began = time.monotonic()
        with self.phase("tls"):
            context = _trusting(self.request.tls)
            sock.settimeout(_remaining(self.deadline))
            # without a close_notify, nobody can know whether a body that ends with the connection is complete
            secured = context.wrap_socket(sock, server_hostname=host, suppress_ragged_eofs=False)
            assert isinstance(secured, _DeadlineTlsSocket)
            secured.deadline = self.deadline
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
        return _remaining(self.deadline)

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


def to_http_error(phase: Phase, error: Exception, timings: Timings) -> HttpError:
    """Convert an exception of a phase to an HttpError."""
    if isinstance(error, TimeoutError):
        return HttpError(phase, msg("there was no time left"), timings=timings, timeout=True)
    return HttpError(phase, _describe_os_error(error), timings=timings)


def _describe_os_error(error: Exception) -> Message:
    if isinstance(error, ssl.SSLCertVerificationError):
        return msg("the certificate is not trusted: {why}", why=error.verify_message)
    if isinstance(error, ssl.SSLEOFError):
        return msg("the connection was cut off: TLS was not ended in order")
    text = error.strerror if isinstance(error, OSError) else str(error)
    return msg("{why}", why=redacted_head(text or type(error).__name__, 300))


def _remaining(deadline: float) -> float:
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

    def ask() -> None:
        try:
            box.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, ValueError) as error:
            box.append(error)

    thread = threading.Thread(target=ask, name="look-up", daemon=True)
    thread.start()
    thread.join(_remaining(deadline))
    if not box:
        raise TimeoutError
    if isinstance(box[0], Exception):
        raise box[0]
    found: list[Any] = box[0]
    return found


def connect(addresses: list[Any], deadline: float) -> socket.socket:
    """Connect to the first address that accepts; each gets its share of the time. Raise OSError if none does."""
    error: OSError = OSError("the name has no address")
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        sock = _DeadlineSocket(family, kind, protocol)
        try:
            sock.settimeout(_remaining(deadline) / (len(addresses) - number))
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
    left = _remaining(sock.deadline)
    if abs((sock.gettimeout() or 0.0) - left) > _TIMEOUT_TOLERANCE:
        sock.settimeout(left)


def _trusting(tls: TlsOptions) -> ssl.SSLContext:
    """Return what to trust now: a file of authorities that was written anew is read anew."""
    found = tls.ca.stat() if tls.ca else None
    return _context(tls.verify, tls.ca, (found.st_mtime_ns, found.st_size, found.st_ino) if found else None)


@cache
def _context(verify: bool, ca: Path | None, written: tuple[int, ...] | None) -> ssl.SSLContext:
    """Load what to trust. Made once: reading the system's certificates takes 20 ms."""
    context = ssl.create_default_context(cafile=ca)
    context.sslsocket_class = _DeadlineTlsSocket
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def describe_timings(timings: Timings) -> str:
    """Format the phases with their times: `look-up 1 ms, connect 0 ms, first byte 12 ms, body 0 ms`."""
    pairs = (
        ("look-up", timings.dns),
        ("connect", timings.connect),
        ("tls", timings.tls),
        ("first byte", timings.first_byte),
        ("body", timings.body),
    )
    return ", ".join(f"{name} {format_duration(duration)}" for name, duration in pairs if duration is not None)
