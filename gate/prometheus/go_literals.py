"""Parse the literals of Go that PromQL and templates share, and its URLs (https://go.dev/ref/spec#Literals)."""

from __future__ import annotations

import ipaddress
import math
import re

from msgspec import Struct

from gate.decode import regex

_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))|(\\)", re.DOTALL)
_WHOLE = re.compile(r"[+-]?(?:0[xX]_?[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*|0[bB]_?[01]+(?:_[01]+)*|0[oO]?_?[0-7]+(?:_[0-7]+)*"
                    r"|0|[1-9][0-9]*(?:_[0-9]+)*)")  # fmt: skip
_DIGITS = "[0-9]+(?:_[0-9]+)*"
_HEX = "[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*"
_FLOAT = re.compile(rf"[+-]?(?:{_DIGITS}\.?(?:{_DIGITS})?|\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?")
_HEX_FLOAT = re.compile(rf"[+-]?0[xX](?:_?{_HEX}\.?(?:{_HEX})?|\.{_HEX})[pP][+-]?{_DIGITS}")
_COMPLEX = re.compile(r"(.*[^eEpP])([+-].*)i")


def unquote(literal: str) -> str:
    r"""Return the text of a literal in double, single or back quotes.

    A byte that is not UTF-8 (`\xff`) becomes half a surrogate. Raise ValueError with an escape that Go does not know.
    """
    quote, inner = literal[0], literal[1:-1]
    if quote == "`" or "\\" not in inner:
        return inner
    decoded, at = bytearray(), 0
    for match in _ESCAPE.finditer(inner):
        decoded += inner[at : match.start()].encode("utf-8", "surrogatepass") + _escaped(match, quote)
        at = match.end()
    decoded += inner[at:].encode("utf-8", "surrogatepass")
    return decoded.decode("utf-8", "surrogateescape")


def _escaped(match: re.Match[str], quote: str) -> bytes:
    byte, short, long, octal, letter, _ = match.groups()
    if byte or octal:
        value = int(byte, 16) if byte else int(octal, 8)
        if value > 255:
            raise ValueError(match[0])
        return bytes([value])
    if short or long:
        value = int(short or long, 16)
        if value > 0x10FFFF or 0xD800 <= value <= 0xDFFF:
            raise ValueError(match[0])
        return chr(value).encode()
    if letter in _ESCAPES or letter == quote:
        return _ESCAPES.get(letter, letter).encode()
    raise ValueError(match[0])


def is_number(text: str) -> bool:
    """Return True if a Go template accepts this number: neither `08` nor 2^64."""
    if parts := _COMPLEX.fullmatch(text):
        return _is_float(parts[1]) and _is_float(parts[2])
    if text.endswith("i"):
        return _is_float(text[:-1])
    if _WHOLE.fullmatch(text):
        plain = text.replace("_", "").lstrip("+")
        octal = re.fullmatch(r"-?0[0-7]+", plain)
        value = int(plain, 8 if octal else 0)
        return -(2**63) <= value < 2**64
    return any(mark in text for mark in ".eEpP") and _is_float(text)


def _is_float(text: str) -> bool:
    if _HEX_FLOAT.fullmatch(text):
        try:
            float.fromhex(text.replace("_", ""))
        except OverflowError:
            return False
        return True
    return _FLOAT.fullmatch(text) is not None and math.isfinite(float(text))


class Url(Struct, frozen=True):
    """A URL as Go's `net/url` parses it. Missing parts are empty texts."""

    scheme: str
    host: str
    text: str


_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*")
_USER = re.compile(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*")
_PERCENT = re.compile(r"%(?![0-9a-fA-F]{2})")
# Characters that a host must not have. Those beyond ASCII are valid.
_HOST_REFUSED = re.compile(r"[\x00-\x20\\^`{|}\x7f]")
_PORT = re.compile(r"(?::[0-9]*)?")


def url(text: str) -> Url:
    """Return the parts of a URL. Raise ValueError with the reason if Go's `url.Parse` fails."""
    if any(letter < " " or letter == "\x7f" for letter in text):
        raise ValueError("it has a control character")
    body, _, fragment = text.partition("#")
    _check_escapes(fragment)
    if text == "*":
        return Url("", "", text)
    scheme, rest = _scheme(body)
    rest = rest.partition("?")[0]
    host = ""
    if not rest.startswith("/"):
        if scheme:
            return Url(scheme, "", text)
        if ":" in rest.split("/", 1)[0]:
            raise ValueError("the part before its first colon is not a valid scheme")
    if rest.startswith("//") and (scheme or not rest.startswith("///")):
        authority, slash, path = rest[2:].partition("/")
        host, rest = _host(authority), slash + path
    _check_escapes(rest)
    return Url(scheme, host, text)


def _scheme(text: str) -> tuple[str, str]:
    if text.startswith(":"):
        raise ValueError("its scheme is missing")
    match = _SCHEME.match(text)
    if match and text[match.end() : match.end() + 1] == ":":
        return match[0].lower(), text[match.end() + 1 :]
    return "", text


def _check_escapes(text: str) -> None:
    if match := _PERCENT.search(text):
        raise ValueError(f"invalid escape {text[match.start() : match.start() + 3]}")


def _host(authority: str) -> str:
    """Return the host of `user:password@host:port`. Raise ValueError."""
    user, at, host = authority.rpartition("@")
    if at:
        if not _USER.fullmatch(user):
            raise ValueError("its user or password has a character that must be escaped")
        _check_escapes(user)
    if host.startswith("["):
        end = host.rfind("]")
        if end < 0:
            raise ValueError("its host has no ]")
        address, zone, _ = host[1:end].partition("%25")
        try:
            if ipaddress.ip_address(address).version == 4:
                raise ValueError
        except ValueError:
            raise ValueError(f"{host[: end + 1]} is not an address") from None
        port = host[end + 1 :]
        if zone:
            host = host[: end + 1]
    else:
        port = host[host.rfind(":") :] if ":" in host else ""
        _check_escapes(host)
        if any(int(code, 16) < 0x80 and code not in ("25",) for code in re.findall(r"%([0-9a-fA-F]{2})", host)):
            raise ValueError("its host has an escape of an ASCII character")
        if match := _HOST_REFUSED.search(host):
            raise ValueError(f"its host has the character {match[0]!r}")
    if not _PORT.fullmatch(port):
        raise ValueError(f"its port {port} is not a number")
    return host


# RE2 has this escape, Go's own engine does not.
_ANY_BYTE = re.compile(r"(?<!\\)(?:\\\\)*\\C")
_NAMED = re.compile(r"(?<!\\)(?:\\\\)*\(\?P?<(\w+)>")


def check_regex(pattern: str) -> str:
    """Return a regular expression as Prometheus compiles it: anchored to the whole text.

    Raise ValueError if Go does not compile it.
    """
    if _ANY_BYTE.search(pattern):
        raise ValueError("invalid escape sequence: \\C")
    names = _NAMED.findall(pattern)
    if len(names) > len(set(names)):
        raise ValueError("duplicate capture group name")
    whole = f"^(?s:{pattern})$"
    try:
        regex.validate(whole)
    except regex.InvalidPatternError as error:
        raise ValueError(str(error)) from None
    return whole


def number(text: str) -> float | None:
    """Return an unsigned number as `strconv.ParseInt` or `ParseFloat` reads it, None if neither does."""
    if _WHOLE.fullmatch(text):
        plain = text.replace("_", "")
        integer = int(plain, 8 if re.fullmatch(r"0[0-7]+", plain) else 0)
        if integer < 2**63:
            return float(integer)
    if not _FLOAT.fullmatch(text):
        return None
    value = float(text.replace("_", ""))
    return value if math.isfinite(value) else None
