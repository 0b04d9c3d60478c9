"""Define why a request has no complete response: the phase that failed, and the reason."""

from __future__ import annotations

import ssl
from typing import Literal

from gate.core.errors import GateError
from gate.core.messages import Message, msg
from gate.decode.quantities import format_size
from gate.http.models import Timings
from gate.redaction.secrets import redacted_head

Phase = Literal["request", "look-up", "connect", "tls", "first byte", "head", "body", "redirect"]


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
