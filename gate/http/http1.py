"""Read HTTP/1.1 responses (RFC 9112): interim responses, header fields, and the framing of the body.

A response whose end cannot be known for sure is refused: two intermediaries could understand it differently.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BufferedReader

from msgspec import Struct

from gate.core.errors import GateError
from gate.core.messages import msg
from gate.decode.quantities import format_size
from gate.http.codings import coding_names
from gate.redaction.secrets import redacted_head

# Maximum bytes of all heads of a response: interim responses, its own and trailers.
HEAD_LIMIT = 256 * 1024
_PIECE = 64 * 1024
_STATUS_LINE = re.compile(rb"(HTTP/1\.[0-9])[ \t]+([1-9][0-9]{2})(?:[ \t]+(.*))?")
_OTHER_VERSION = re.compile(rb"(HTTP/[0-9.]+)[ \t]+[0-9]{3}\b")
_FIELD_NAME = re.compile(rb"[^\0-\x20\x7f:][^\0-\x1f\x7f:]*")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")
_LENGTH = re.compile(r"[0-9]{1,18}")
_SWITCHING_PROTOCOLS, _NO_CONTENT, _NOT_MODIFIED = 101, 204, 304


class ProtocolError(GateError):
    """A response is not valid HTTP/1.1, or is cut short."""


class NoResponseError(ProtocolError):
    """The connection was closed before the first byte of a response."""

    def __init__(self) -> None:
        super().__init__(msg("the connection was closed without an answer"))


class Head(Struct, frozen=True):
    """The status line and the header fields of a final response."""

    version: str
    status: int
    reason: str
    fields: tuple[tuple[str, str], ...]

    def values(self, name: str) -> list[str]:
        """Return the values of a field, one for each line that it has."""
        return [value for key, value in self.fields if key.lower() == name]


class ResponseReader:
    """Reads one final response from a connection, after the interim ones before it."""

    def __init__(self, file: BufferedReader, method: str) -> None:
        self._file = file
        self._left = HEAD_LIMIT
        self.head = self._final_head()
        self.transfer_codings: list[str] = []
        """The codings of the body beside chunked, the first one applied first."""
        self._chunked = False
        self._length: int | None = None
        """Bytes of the body; None if only the end of the connection or of the chunks ends it."""
        self._find_framing(method)

    def _final_head(self) -> Head:
        while True:
            head = self._head()
            if head.status >= 200 or head.status == _SWITCHING_PROTOCOLS:
                return head

    def _head(self) -> Head:
        line = self._line(first=True)
        match = _STATUS_LINE.fullmatch(line)
        if match is None:
            other_version = _OTHER_VERSION.match(line)
            if other_version:
                raise ProtocolError(
                    msg("the answer is in {version}, expected HTTP/1", version=_shown(other_version[1]))
                )
            raise ProtocolError(msg("it begins with {line}", line=_shown(line) or '""'))
        reason = _clean(match[3] or b"").decode("latin-1").strip()
        return Head(match[1].decode(), int(match[2]), reason, self._fields())

    def _fields(self) -> tuple[tuple[str, str], ...]:
        """Read header fields up to the empty line. A folded one is joined with spaces."""
        fields: list[tuple[str, bytes]] = []
        while line := _clean(self._line()):
            if line[:1] in (b" ", b"\t"):
                if not fields:
                    raise ProtocolError(msg("there is a blank before the first header: {line}", line=_shown(line)))
                name, value = fields.pop()
                fields.append((name, value + b" " + line.strip(b" \t")))
                continue
            raw, colon, value = line.partition(b":")
            raw = raw.rstrip(b" \t")
            if not colon or not _FIELD_NAME.fullmatch(raw):
                raise ProtocolError(msg("not a valid header: {line}", line=_shown(line)))
            fields.append((raw.decode("latin-1"), value.strip(b" \t")))
        return tuple((name, value.strip(b" \t").decode("latin-1")) for name, value in fields)

    def _line(self, *, first: bool = False) -> bytes:
        """Read a line without its end, which is CRLF or LF."""
        line = self._file.readline(self._left + 1)
        self._left -= len(line)
        if self._left < 0:
            raise ProtocolError(msg("its headers are larger than the limit of {limit}", limit=format_size(HEAD_LIMIT)))
        if not line and first and self._left == HEAD_LIMIT:
            raise NoResponseError
        if not line.endswith(b"\n"):
            raise ProtocolError(msg("the connection was closed in the middle of its headers"))
        return line[:-1].removesuffix(b"\r")

    def _find_framing(self, method: str) -> None:
        """Find out where the body ends (RFC 9112, section 6.3)."""
        codings = coding_names(", ".join(self.head.values("transfer-encoding")))
        if codings and codings[-1] == "chunked":
            self._chunked = True
            codings.pop()
        self.transfer_codings = codings
        framed = self._chunked or codings  # they override a Content-Length
        self._length = None if framed else _content_length(self.head.values("content-length"))
        no_body = (_SWITCHING_PROTOCOLS, _NO_CONTENT, _NOT_MODIFIED)
        self.has_body = method != "HEAD" and self.head.status not in no_body

    def pieces(self) -> Iterator[bytes]:
        """Read the body, without its chunks. Raises ProtocolError if it is cut short."""
        if not self.has_body:
            return
        if self._chunked:
            yield from self._chunks()
        elif self._length is not None:
            yield from self._exactly(self._length)
        else:
            while piece := self._some(_PIECE):
                yield piece

    def _some(self, most: int) -> bytes:
        """Read what is there, at most so much; nothing at the end of the connection."""
        return self._file.read1(min(most, _PIECE))

    def _exactly(self, length: int) -> Iterator[bytes]:
        count = 0
        while count < length:
            piece = self._some(length - count)
            if not piece:
                why = msg("the connection was closed after {got} of {wanted} bytes", got=count, wanted=length)
                raise ProtocolError(why)
            count += len(piece)
            yield piece

    def _chunks(self) -> Iterator[bytes]:
        while length := self._chunk_size():
            yield from self._exactly(length)
            if self._chunk_line():
                raise ProtocolError(msg("a chunk is longer than its size"))
        self._left = HEAD_LIMIT
        if self._file.peek(1):
            self._fields()  # trailers are dropped: none of them may count as a header

    def _chunk_size(self) -> int:
        line = self._chunk_line()
        match = _CHUNK_SIZE.fullmatch(line)
        if match is None:
            raise ProtocolError(msg("not a valid chunk size: {line}", line=_shown(line)))
        return int(match[1], 16)

    def _chunk_line(self) -> bytes:
        """Read the line before or after the data of a chunk."""
        line = self._file.readline(_PIECE)
        if not line.endswith(b"\n"):
            cut = msg("the connection was closed in the middle of it")
            raise ProtocolError(msg("a chunk has no end") if len(line) == _PIECE else cut)
        return line[:-1].removesuffix(b"\r")


def _content_length(values: list[str]) -> int | None:
    """Return the length that all values agree on, None if there are none. Raises ProtocolError."""
    lengths = [part.strip(" \t") for value in values for part in value.split(",")]
    for length in lengths:
        if not _LENGTH.fullmatch(length):
            raise ProtocolError(msg("not a valid Content-Length: {value}", value=redacted_head(length, 100) or '""'))
    if len({int(length) for length in lengths}) > 1:
        shown = redacted_head(", ".join(lengths), 100)
        raise ProtocolError(msg("its Content-Length is given twice, and differs: {values}", values=shown))
    return int(lengths[0]) if lengths else None


def _clean(line: bytes) -> bytes:
    """Return a line of a head. Raises ProtocolError if it has bytes that recipients understand differently."""
    if b"\r" in line or b"\0" in line:
        raise ProtocolError(msg("there is a bare CR or a NUL in its headers: {line}", line=_shown(line)))
    return line


def _shown(line: bytes) -> str:
    return redacted_head(line[:4096].decode("latin-1"), 100)
