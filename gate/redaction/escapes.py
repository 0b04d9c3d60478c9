"""Decode the ways in which programs escape text, and map what was decoded back to where it was written.

Redaction searches each decoded view of a text for its values. That finds a value however its characters are escaped,
which a list of written forms cannot: a URL may encode every byte, twice, and HTML may write each letter as a number.
"""

from __future__ import annotations

import binascii
import html
import re
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property

from gate.core.override import override

Index = tuple["array[int]", "array[int]", "array[int]", "array[int]"]
Decode = Callable[[bytes, int], bytes]
Replace = Callable[["re.Match[bytes]"], bytes]

# Every quantifier is bounded, possessive or followed by what it cannot match itself: hostile text takes linear time.
_ESCAPE = rb"""(?xs)
    % (?:25)* (?: u[0-9a-fA-F]{4} | [0-9a-fA-F]{2} )                 # URLs, also encoded several times
    | '"'"' | '\\''                                                  # an apostrophe in a shell's quotes
    | \\+ (?: u[dD][89abAB][0-9a-fA-F]{2} \\+ u[dD][c-fC-F][0-9a-fA-F]{2}
        | u[0-9a-fA-F]{4} | u\{[0-9a-fA-F]{1,6}\} | U[0-9a-fA-F]{8}
        | x[0-9a-fA-F]{2} | x\{[0-9a-fA-F]{1,6}\} | [0-3]?[0-7]{2} | [^\x00\x1b] )  # JSON, shells, C
    | & (?:amp;)* (?: \#0{0,16}[0-9]{1,7};? | \#[xX]0{0,16}[0-9a-fA-F]{1,6};? | [A-Za-z][A-Za-z0-9]{1,30}; )
    | (?: \x1b | \xc2\x9b ) (?: (?<=\x9b) | \[ ) [0-?]{0,64} [\ -/]{0,8} [@-~]?  # colours and other CSI sequences
    | \x1b \] [^\x07\x1b]{0,2048} (?: \x07 | \x1b\\ )?               # links and titles of a terminal
    | \x1b [ -/]{0,8} [0-~]?
    | \x00                                                           # UTF-16 and UTF-32, read as bytes
    | \xe2\x80[\x8b-\x8f] | \xe2\x81\xa0 | \xef\xbb\xbf | \xc2\xad   # characters without width
    """
_HINTS = (b"%", b"\\", b"&", b"\x1b", b"\x00", b"'\"'", b"\xc2", b"\xe2", b"\xef")
_CUT_ESCAPE = (
    rb"(?:%(?:25)*(?:2|u?[0-9a-fA-F]{0,3})|\\+(?:[uUx]\{?[0-9a-fA-F]{0,7}|[0-7]{0,2})"
    rb"|&(?:amp;)*(?:#[xX]?)?[0-9A-Za-z]{0,31}|\x1b\[?[0-?]{0,64})\Z"
)
_LETTERS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f", b"v": b"\v", b"a": b"\a", b"e": b"\x1b"}
_WRAP = rb"[\r\n][ \t\r\n]*+"
_BASE64 = rb"[A-Za-z0-9+/_-]{20,}"
_HEX = rb"(?:[0-9A-Fa-f]{2}(?:[\s:,;.-]|0[xX]|\\x){0,8}+){8,}+"
_HEX_SHORT = rb"(?:[0-9A-Fa-f]{2}(?:[\s:,;.-]|0[xX]|\\x){0,8}+){4,}+"
_HEX_GAPS = rb"[^0-9A-Fa-fxX]+|0?[xX]"
_QUOTED_PRINTABLE = rb"=(?:[0-9A-F]{2}|[ \t]{0,8}\r?\n)"
# Shows that a text is quoted-printable: `=20` alone may be the value of a field.
_OF_MIME = rb"=(?:\r?\n|3D|[0-9A-F]{2}=[0-9A-F]{2})"
_AS_BASE64 = bytes(65 if (chr(byte).isalnum() and byte < 128) or byte in b"+/-_" else 0 for byte in range(256))
_AS_HEX = bytes(65 if byte in b"0123456789abcdefABCDEF" else 0 for byte in range(256))
# Bytes that ASCII text does not have, in UTF-8 or UTF-16.
_NO_TEXT = bytes({*range(1, 9), *range(14, 32), *range(127, 256)} - {27})
# Maximum nesting of escapes and encodings.
_DEPTH = 6
# Maximum size of all views of a text, as a multiple of its size: bounds the time for hostile text.
_GROWTH = 10


class View:
    """A text, or what one decoder makes of another view. `source` maps a span back to the text."""

    def __init__(self, raw: bytes, parent: View | None = None) -> None:
        self.raw = raw
        self.depth: int = parent.depth + 1 if parent else 0
        self.pattern = b""
        self._parent = parent

    def source(self, start: int, end: int) -> tuple[int, int]:
        """Return the span of the text that the bytes from `start` to `end` were decoded from."""
        if self._parent is None:
            return start, end
        return self._parent.source(self._before(start)[0], self._before(end - 1)[1])

    def _before(self, at: int) -> tuple[int, int]:
        """Return the span of the parent that one byte was decoded from."""
        decoded, lengths, starts, ends = self._index
        number = bisect_right(decoded, at) - 1
        if number < 0:
            return at, at + 1
        beyond = at - decoded[number] - lengths[number]
        if beyond < 0:
            return starts[number], ends[number]
        return ends[number] + beyond, ends[number] + beyond + 1

    @cached_property
    def _index(self) -> Index:
        """Of each part that was decoded: its place and length here, and its span in the parent."""
        raise NotImplementedError


class Replaced(View):
    """A view in which everything that a pattern matches is replaced."""

    def __init__(self, raw: bytes, parent: View, pattern: bytes, replace: Replace) -> None:
        super().__init__(raw, parent)
        self.pattern = pattern
        self._matches = re.finditer(pattern, parent.raw)
        self._replace = replace

    @cached_property
    @override
    def _index(self) -> Index:
        # Arrays instead of lists: a text of 4 MiB may hold a million escapes. Made only when a value was found.
        decoded, lengths, starts, ends, shift = array("Q"), array("Q"), array("Q"), array("Q"), 0
        for match in self._matches:
            length = len(self._replace(match))
            decoded.append(match.start() - shift)
            lengths.append(length)
            starts.append(match.start())
            ends.append(match.end())
            shift += match.end() - match.start() - length
        return decoded, lengths, starts, ends


class Extracted(View):
    """A view of decoded runs only, one a line. A value in a run comes from the whole run."""

    def __init__(self, runs: Sequence[tuple[bytes, int, int]], parent: View) -> None:
        super().__init__(b"\n".join(run for run, _, _ in runs), parent)
        self._runs = runs

    @cached_property
    @override
    def _index(self) -> Index:
        decoded, lengths, starts, ends, at = array("Q"), array("Q"), array("Q"), array("Q"), 0
        for run, start, end in self._runs:
            decoded.append(at)
            lengths.append(len(run) + 1)
            starts.append(start)
            ends.append(end)
            at += len(run) + 1
        return decoded, lengths, starts, ends


def views(raw: bytes, short: bool = False) -> Iterator[View]:
    """Yield the text, then every view that a decoder makes of it or of another view, until nothing is left to decode.

    `short`: also take four bytes in hexadecimal for a run of them, instead of eight.
    """
    waiting, left = deque([View(raw)]), _GROWTH * (len(raw) + 1024)
    while waiting:
        view = waiting.popleft()
        yield view
        # Counted when they are made: views that wait take memory, too.
        for derived in _derived(view, short) if view.depth < _DEPTH and left > 0 else ():
            left -= len(derived.raw)
            waiting.append(derived)
            if left <= 0:
                break


def _derived(view: View, short: bool) -> Iterator[View]:
    """Yield what each decoder makes of a view, if anything."""
    raw = view.raw
    if view.pattern != _WRAP:  # a text that was joined is not a text any more: only runs in it mean something
        if any(map(raw.__contains__, _HINTS)):
            yield from _replaced(view, _ESCAPE, _unescaped)
        if b"\n" in raw:
            yield from _replaced(view, _WRAP, _nothing)
        if view.pattern != _QUOTED_PRINTABLE and b"=" in raw and re.search(_OF_MIME, raw):
            yield from _replaced(view, _QUOTED_PRINTABLE, _of_mime)
    # Most texts hold no run: counting in C is 50 times as fast as a search with the pattern.
    if b"A" * 20 in raw.translate(_AS_BASE64):
        yield from _extracted(view, _BASE64, _of_base64, range(4))
    if b"A" * (8 if short else 16) in raw.translate(_AS_HEX, b" \t\r\n:,;.-xX\\"):
        yield from _extracted(view, _HEX_SHORT if short else _HEX, _of_hex, range(2))


def _replaced(view: View, pattern: bytes, replace: Replace) -> Iterator[View]:
    raw, count = re.subn(pattern, replace, view.raw)
    if count and len(raw) >= 4:
        yield Replaced(raw, view, pattern, replace)


def _extracted(view: View, pattern: bytes, decode: Decode, skipped: Iterable[int]) -> Iterator[View]:
    """Yield one view for each place at which a run's first group may begin, if anything decoded there can be text."""
    spans = [match.span() for match in re.finditer(pattern, view.raw)]
    for skip in skipped if spans else ():
        runs = [(decode(view.raw[start:end], skip), start, end) for start, end in spans]
        texts = [run for run in runs if _is_text(run[0])]
        if texts:
            yield Extracted(texts, view)


def unescape(raw: bytes) -> bytes:
    """Decode the escapes of a text once."""
    return re.sub(_ESCAPE, _unescaped, raw)


def without_cut_escape(raw: bytes) -> bytes:
    """Return a text without the escape that its end cuts off."""
    at = max(0, len(raw) - 256)
    return raw[:at] + re.sub(_CUT_ESCAPE, b"", raw[at:])


def _nothing(_: re.Match[bytes]) -> bytes:
    return b""


def _of_mime(match: re.Match[bytes]) -> bytes:
    digits = match[0][1:].strip()
    return bytes.fromhex(digits.decode()) if digits else b""


def _is_text(raw: bytes) -> bool:
    if len(raw.translate(None, _NO_TEXT)) * 4 >= len(raw) * 3:
        return True
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _of_base64(run: bytes, skip: int) -> bytes:
    digits = run[skip:].translate(_STANDARD)
    digits = digits[: len(digits) - (len(digits) % 4 == 1)]
    return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4))


def _of_hex(run: bytes, skip: int) -> bytes:
    digits = re.sub(_HEX_GAPS, b"", run)[skip:]
    return binascii.a2b_hex(digits[: len(digits) // 2 * 2])


_STANDARD = bytes.maketrans(b"-_", b"+/")


def _unescaped(match: re.Match[bytes]) -> bytes:
    written = match[0]
    decoded = _KNOWN.get(written)
    if decoded is None:
        decoded = _decoded(written)
        if len(_KNOWN) < 4096 and len(written) <= 16:
            _KNOWN[written] = decoded
    return decoded


# Cache of decoded escapes: most texts repeat a few.
_KNOWN: dict[bytes, bytes] = {}


def _decoded(written: bytes) -> bytes:
    first = written[:1]
    if first == b"%":
        return _byte(written.lstrip(b"%25") if b"u" in written else written[-2:])
    if first == b"&":
        entity = b"&" + re.sub(rb"^&(?:amp;)*(?=.)", b"", written)
        return _character(html.unescape(entity.decode()))
    if first == b"'":
        return b"'"
    return _of_backslash(written.lstrip(b"\\") or b"\\") if first == b"\\" else b""


def _byte(digits: bytes) -> bytes:
    return _character(chr(int(digits[1:], 16))) if digits[:1] == b"u" else bytes.fromhex(digits.decode())


def _of_backslash(name: bytes) -> bytes:
    kind, digits = name[:1], name[1:].strip(b"{}")
    if kind in (b"u", b"U", b"x") and digits:
        if kind == b"x" and len(name) == 3:
            return bytes.fromhex(digits.decode())
        if b"\\" in digits:
            high, low = digits[:4], digits[-4:]
            return _character((bytes.fromhex(high.decode()) + bytes.fromhex(low.decode())).decode("utf-16-be"))
        return _character(chr(min(int(digits, 16), 0x10FFFF)))
    if len(name) > 1:
        return bytes([int(name, 8)])
    return _LETTERS.get(name, name)


def _character(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
