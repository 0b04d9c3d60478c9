"""Define requests, responses and the durations of their phases."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from gate.core.messages import Message, msg
from gate.decode import charsets
from gate.decode.quantities import format_duration
from gate.http.content import decode_text
from gate.redaction.secrets import redacted_head

# Default limit of a response body, in bytes after decompression.
BODY_LIMIT = 1024 * 1024


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
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(values) if values else None

    def text(self) -> str:
        """Return the body by the charset of its Content-Type, else UTF-8. What can't be decoded becomes U+FFFD."""
        return decode_text(self.body, self.header("content-type") or "")

    def text_problem(self) -> Message | None:
        """Return why the body cannot be read as text, None if it can."""
        charset = charsets.charset_of(self.header("content-type") or "")
        if self.unread is not None or charsets.decode(self.body, charset) is not None:
            return self.unread
        return msg("its charset is not one that clients know: {name}", name=redacted_head(charset, 100))
