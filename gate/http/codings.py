"""Undo content and transfer codings (RFC 9110, section 8.4.1): gzip and deflate, piece by piece and bounded."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

from gate.core.errors import GateError
from gate.core.messages import msg
from gate.redaction.secrets import redacted_head

_PIECE = 64 * 1024
# Maximum number of codings of a body.
_MOST = 3
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


class CodingError(GateError):
    """A body is not in the coding that its header names."""


class UnknownCodingError(CodingError):
    """A body has a coding that is not supported. None of it was read."""


def coding_names(values: str) -> list[str]:
    """Return the codings of a header's value in lower case, without those that change nothing."""
    return [name for name in (part.strip(" \t").lower() for part in values.split(",")) if name not in ("", "identity")]


def decoded(chunks: Iterator[bytes], names: list[str], header: str, tick: Callable[[], object]) -> Iterator[bytes]:
    """Return the chunks without their codings, the last one undone first. Raises UnknownCodingError.

    Reading from the result raises CodingError if a body is not in its coding, or is cut short. `tick` is called for
    each piece that any of the codings unpacks, and may raise: nested codings can unpack for hours without a result.
    """
    if len(names) > _MOST or not set(names) <= {"gzip", "x-gzip", "deflate"}:
        shown = redacted_head(", ".join(names), 100)
        raise UnknownCodingError(msg("its {header} can't be undone here: {name}", header=header, name=shown))
    for name in reversed(names):
        coding = _Coding(header, tick)
        chunks = coding.deflated(chunks) if name == "deflate" else coding.gzipped(chunks)
    return chunks


class _Coding:
    """One coding of a body. `header` is the name of the header that declared it."""

    def __init__(self, header: str, tick: Callable[[], object]) -> None:
        self.header = header
        self.tick = tick

    def gzipped(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Unpack any number of gzip members; NUL bytes may pad each of them. Nothing stays nothing."""
        unpack = None
        for chunk in chunks:
            while chunk:
                if unpack is None or unpack.eof:
                    chunk = chunk.lstrip(b"\0") if unpack else chunk
                    if not chunk:
                        break
                    unpack = zlib.decompressobj(_GZIP_OR_ZLIB)
                yield self._piece(unpack, chunk)
                chunk = unpack.unconsumed_tail or unpack.unused_data
        yield from self._rest(unpack)

    def deflated(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Unpack a zlib stream, or the raw deflate that some servers send instead. Nothing stays nothing."""
        unpack, begun = None, b""
        for chunk in chunks:
            if unpack is None:
                begun += chunk
                if len(begun) < 2:
                    continue
                unpack = zlib.decompressobj(zlib.MAX_WBITS if _is_zlib(begun) else -zlib.MAX_WBITS)
                chunk = begun
            while chunk:
                if unpack.eof:
                    raise self._broken("there is data after its end")
                yield self._piece(unpack, chunk)
                chunk = unpack.unconsumed_tail or unpack.unused_data
        if begun and unpack is None:
            raise self._broken("it ends too early")
        yield from self._rest(unpack)

    def _piece(self, unpack: zlib._Decompress, packed: bytes) -> bytes:
        """Unpack a piece of bounded size, however well it was packed."""
        self.tick()
        try:
            return unpack.decompress(packed, _PIECE)
        except zlib.error as error:
            raise self._broken(str(error)) from None

    def _rest(self, unpack: zlib._Decompress | None) -> Iterator[bytes]:
        """Unpack what zlib still holds after the last chunk, and check that the stream has ended."""
        while unpack is not None and not unpack.eof:
            piece = self._piece(unpack, b"")
            if not piece and not unpack.eof:
                raise self._broken("it ends too early")
            yield piece

    def _broken(self, why: str) -> CodingError:
        return CodingError(msg("it is not what its {header} says: {why}", header=self.header, why=why))


def _is_zlib(begun: bytes) -> bool:
    """Check the two bytes of a zlib header (RFC 1950, section 2.2)."""
    return begun[0] & 0x0F == 8 and begun[0] >> 4 <= 7 and int.from_bytes(begun[:2], "big") % 31 == 0
