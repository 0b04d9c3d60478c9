"""Redact secrets in everything that leaves the gate: reports, logs, comments, errors.

Secrets are: the values of environment variables whose name says so, what the caller adds, the credentials in any
variable's connection string, and what a text shows to be one: credentials in a URL, the value of a header, parameter
or field whose name says so. A text is redacted before it is cut, because half a secret is still one.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import takewhile
from urllib.parse import unquote

from gate.redaction.escapes import unescape, views, without_cut_escape

MASK = "***"
# The end of a name of a secret, in an environment or a text. Keys of tables and caches are no secrets.
# `PRIMARY_KEY` alone, in a text, is one of a table; `COSMOS_PRIMARY_KEY` opens an account.
_NAME = (
    r"(?:TOKEN|PASSWORDS?|PASSWD|PASSPHRASES?|SECRETS?|CREDENTIALS?|(?:API|PRIVATE|ACCESS)_?KEYS?|SECRET_KEY_BASE"
    r"|(?<=_)(?<!PUBLIC_)(?<!\bPRIMARY_)(?<!FOREIGN_)(?<!UNIQUE_)(?<!PARTITION_)(?<!SORT_)(?<!CACHE_)KEYS?"
    r"|(?<=_)(?:PASS|PWD|PAT))"
)
_NAMES = re.compile(rf"(?i)(?:{_NAME}|^(?:PRIMARY_)?KEYS?|^PASS)$")
_SHORTEST = 4
_PLAIN = str.maketrans("-_", "+/")
# Both alphabets of base64 (RFC 4648, sections 4 and 5).
_IN_ADDRESSES = bytes.maketrans(b"+/", b"-_")
# Values that state whether there is a secret, and are none.
_WORDS = frozenset(("true", "false", "null", "none"))
# Values such as `test`, `5432` or `test1`, which ordinary texts hold in words, numbers, names and paths. They are
# redacted only where they can be a value: not as a part of a word or path (`tests/`, `test/x.py`, `test-db`).
_PLAIN_WORD = r"[a-z]{4,12}|[0-9]{4,12}|[A-Z][a-z]{3,11}|\w{4,6}"
_ALONE = rb"(?<![\w\x80-\xff/.-])%s(?![\w\x80-\xff/-]|\.\w)"
# Characters beyond a cut that are examined with it, because a secret may reach there.
OVERLAP = 4096

# What follows is compiled by `re` when it is needed first: most runs need few of these.
_URL = (
    r"(?<=[A-Za-z0-9])(:\\?/\\?/)"
    r"(?:[^\s/?#\"'<>:]{0,256}:[^\s/?#\"'<>]{1,1024}@|[^\s/:@\"'<>]{0,256}:(?!\d{1,5}[/?#])[^\s\"'<>@]{1,1024}@)"
)
_LOGIN_IN_URL = (
    r"(?<=[A-Za-z0-9]):\\?/\\?/(?:[^\s/?#\"'<>:]{0,256}:([^\s/?#\"'<>]{1,1024})@"
    r"|[^\s/:@\"'<>]{0,256}:(?!\d{1,5}[/?#])([^\s\"'<>@]{1,1024})@"
    r"|(?:(?<=(?i:http)://)|(?<=(?i:https)://))([^\s/?#\"'<>:]{1,1024})@)"
)
_URL_USER = r"(?i)(https?:\\?/\\?/)[^\s/?#\"'<>:]{1,1024}@"
# Logins of drivers whose addresses are no URLs: `scott/tiger@`, `root:pw@tcp(db:3306)`.
_DRIVER_LOGIN = (
    r"(?i)(jdbc:oracle:\w{1,8}:)[^\s/@\"']{1,128}/[^\s@\"']{1,256}@"
    r"|(?<![\w.-])[\w.-]{1,64}:(?!//)[^\s@\"'<>/]{1,256}@(?=(?:tcp|udp|unix)\()"
)
_URL_TORN = r"(?<=[A-Za-z0-9])(:\\?/\\?/)[^\s/@\"'<>]{1,1024}\Z"
_PARAMETER = (
    r"(?i)([?&;#](?:[\w.-]{0,64}?(?:token|secret|password|passwd|passphrase|signature|credential|(?:api|access|private)_?key)"
    r"|key|sig|pass|pwd|auth)=)[^&\s\"'`<>#;]+"
)
# A path or URL, whose end is no name: `.../access-token: 404` is no header, `/run/API_TOKEN: not found` no field.
_PATH = (
    r"(?:[A-Za-z][A-Za-z0-9+.-]{0,30}:\\?/\\?/[\w.~@:\[\]-]{1,256})?"
    r"[\w.~@+-]{0,256}(?:\\?/(?:[\w.~@+-]|%(?!0[aAdD]))*+)++"
)
_HEADER_NAME = r"""(?ix)
    ( (?: (?:\b|(?<=\\[nrt]))(?:authorization|api-?key|cookie)
        | [a-z0-9]-(?:token|secret|password|(?:api|auth|access|private|subscription)-key) )
      (?:\\*["'])? [ \t]* (?: :(?!:) | =>? ) [ \t]* (?:\r?\n[ \t]+)? )
    (?! [ \t] | (?:\\?\*){3} )  # what is hidden already ends there: behind it may stand what is ours
    """
_HEADER = (
    _HEADER_NAME
    + r"""
    (?: (\[) [^\]\r\n]*
      | (["']) (?: \\. | (?!\3)[^\\\r\n] )*
      | (\\+(["'])) (?: \\++(?!\5) | [^\\\r\n] )*+
      | (?: (?<==)\\*"[^"\r\n]*" | \\(?![nr"']) | [^\r\n'"\\] )+ )
    """
)
_FIELD_NAME = (
    r"""(?x)
    ( (?: (?P<flow>[{\[,][ \t]*) \w{0,64}? )?
      (?: """
    + _NAME
    + r""" (?:\\*["'])?
        | (?i: token|password|passwd|passphrase|secret|(?:api|private|access|secret)_?key )
          (?(flow) (?:\\*["'])? | \\*["'] ) (?=[ \t]*:[ \t]*\\*["']) )
      [ \t]* (?: :(?!:) | = ) [ \t]* )
    (?! [-?$ \t] | (?:\\?\*){3} )  # `${TOKEN:-default}` and `$TOKEN` are names
    """
)
_FIELD = (
    _FIELD_NAME
    + r"""
    (?: (?P<plain>["']) (?: \\. | '' | (?!(?P=plain))[^\\\r\n] )*  # YAML writes '' for '
      | (?P<inner>\\+(?P<mark>["'])) (?: \\++(?!(?P=mark)) | [^\\\r\n] )*+
      | (?<=:[ \t]) (?(flow) [^\r\n"'`\\,}\]]+ | [^\r\n"'`\\]+ )  # in a mapping of YAML up to what ends the value
      | [^\s"'`\\]+ )
    """
)
# A keyword of a connection string (libpq, ADO, ODBC, JDBC, Azure), an INI file, or an option such as `--password=`.
_KEYWORD = r"""(?xi)
    ( (?P<separated>;[ \t]*)?
      (?: (?: passw(?:or)?d | passphrase
            | (?:secret|client|session|account|access|api|private)[_ ]?(?:access[_ ]?)?(?:key|secret|token) )
          (?:\\*["'])? [ \t]* = [ \t]*
        | (?(separated) pwd | (?<![^\s"'{(,;&_-]) (?:secret|token) ) = )
    )
    (?! [=>~*\s] | \$[\w{(] | \\?\*\\?\* )
    (?: (?P<plain>["']) (?: \\. | '' | (?!(?P=plain))[^\\\r\n] )*
      | (?P<inner>\\+(?P<mark>["'])) (?: \\++(?!(?P=mark)) | [^\\\r\n] )*+
      | \{ [^{}\r\n]{0,256} \}
      | (?(separated) [^\s"'`\\;=][^"'`\\;=\r\n]{0,256}
          (?= ; (?: [ \t]*\w[\w ]{0,40}= | [\s"'`\\] | \Z ) | ["'`\\\r\n] | \Z ) | (?!) )
      | (?: [^\s"'`\\;&<>] | ; (?! [ \t]*\w[\w ]{0,40}= | [\s"'`\\] | \Z ) | & (?! [\w.%-]{1,64}= ) )+ )
    """
# Every text with a keyword contains one of these, in lower case.
_KEYWORDS = r"(?:passw(?:or)?d|passphrase|secret|token|key|pwd)[\\\"']{0,8}[ \t]{0,8}="
# An element of XML, as in AWS's responses.
_ELEMENT = (
    r"(?i)(<(?:[\w-]{1,32}:)?[\w.-]{0,48}?(?:password|passwd|passphrase|secret|token|(?:api|access|private|secret)_?key)"
    r"(?:[ \t][^<>\r\n]{0,256})?>)(?:[ \t\r\n]*<!\[CDATA\[[^\]]{0,4096}|(?![\s]*(?:<|\*\*\*))[^<]{1,4096})"
)
_BEARER = (
    r"(?i)(?:\b|(?<=\\[nrt]))(bearer[ \t]+)"
    r"(?!(?:tokens?|auth\w*|realm|errors?|schemes?|credentials?|headers?|required|missing|must)\b)[\w.~+/=-]{4,}"
)
_BASIC = r"(?i)(?:\b|(?<=\\[nrt]))(basic[ \t]+)([\w+/-]{4,}={0,2})"
_CURL = r"(?:\b|(?<=\\n))curl\b[^\r\n]*"
_LOGIN = r"([ \t](?:-[a-zA-Z]{0,8}[uU]|--(?:proxy-)?user)[ \t=]*)(?:\"[^\"\r\n]*\"|'[^'\r\n]*'|[^\s:\"']{0,256}:\S+)"
# Tokens and keys with a recognizable format: GitHub's, AWS's, JSON Web Tokens, and private keys in PEM.
_FORMATS = (
    r"\b(?:gh[opsur]_[A-Za-z0-9]{8,}|github_pat_\w{8,}|(?:AKIA|ASIA)[A-Z0-9]{16}\b|eyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?)"
    r"|(?<=PRIVATE KEY-----)(?:(?:(?!-----END)[\s\S]){1,8192}(?=-----END)|[\sA-Za-z0-9+/=\\]{4,})"
)
_MARKS = ("gh", "AKIA", "ASIA", "eyJ", "PRIVATE KEY-----")
# Every text with a header or a field contains one of these, in lower case.
_HINTS = ("authorization", "cookie", "token", "secret", "passw", "passp", "_pass", "key", "pwd", "_pat", "credential")


class Redactor:
    """Replaces secrets in text from outside, which leaves the gate only through `redact`."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values: set[bytes] = set()
        self._words: set[bytes] = set()
        self._arrange()
        self.add(*values)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Redactor:
        """Take the values of variables whose name ends in TOKEN, PASSWORD, SECRET, KEY and the like.

        Of any other variable take the credentials that a URL or connection string in it holds.
        """
        redactor = cls()
        redactor.add_variables(os.environ if environment is None else environment)
        return redactor

    def add_variables(self, variables: Mapping[str, str]) -> None:
        """Redact secret variables, and the credentials in the others."""
        for name, value in variables.items():
            if _is_secret(name):
                self._add(value)
            else:
                self._add_credentials(value)
        self._arrange()

    def add_credentials(self, text: str, name: str = "") -> None:
        """Redact the credentials in a text's URLs and connection strings wherever they occur, not only there.

        If the name says that the whole text is a secret, redact that. What is an ordinary word, such as `postgres`, is
        redacted in its place only: whoever writes it into a URL uses it as a name, too.
        """
        if _is_secret(name):
            self._add_unusual(text)
        self._add_credentials(text)
        self._arrange()

    def _add_credentials(self, text: str) -> None:
        self._add_unusual(*credentials(text))

    def _add_unusual(self, *values: str) -> None:
        for value in values:
            if not re.fullmatch(_PLAIN_WORD, value):
                self._add(value)

    def add(self, *values: str) -> None:
        """Redact more values, whole and line by line, however they are encoded. Shorter than 4 is ignored."""
        for value in values:
            self._add(value)
        self._arrange()

    def _add(self, value: str) -> None:
        for part in {value, *_secret_lines(value)}:
            self._add_part(part)
            self._add_part(part.strip())

    def _add_part(self, part: str) -> None:
        if len(part) < _SHORTEST or not part.strip() or part.strip().lower() in _WORDS:
            return
        if re.fullmatch(_PLAIN_WORD, part):
            self._words.add(part.encode())
        else:
            self._values |= _canonical(part)
        self._values |= _in_base64(part)

    def allow(self, *names: str) -> None:
        """Add names that may be published, such as a checklist's ids: an ordinary word in one is not a secret."""
        # If it were redacted, two of the names could look the same.
        text = "\n".join(names).encode("utf-8", "replace")
        self._words = {word for word in self._words if word not in text}
        self._arrange()

    def _arrange(self) -> None:
        self._needles = _Needles(self._values, self._words)
        self._short = any(len(value) < 8 for value in self._values | self._words)

    def redact(self, text: str) -> str:
        """Return the text with every secret redacted."""
        text = self._without_values(text)
        if "@" in text:
            text = re.sub(_URL_USER, rf"\1{MASK}@", re.sub(_URL, rf"\1{MASK}@", text)) if "/" in text else text
            text = re.sub(_DRIVER_LOGIN, rf"\1{MASK}@", text) if ":" in text else text
        small = text.lower()
        if "=" in text:
            text = _hidden(_KEYWORD, _KEYWORD, text) if re.search(_KEYWORDS, small) else text
            text = re.sub(_PARAMETER, rf"\1{MASK}", text)
        if any(map(text.__contains__, _MARKS)):
            text = re.sub(_FORMATS, MASK, text)
        if any(map(small.__contains__, _HINTS)):
            text = _hidden(_FIELD_NAME, _FIELD, _hidden(_HEADER_NAME, _HEADER, text))
            text = re.sub(_ELEMENT, rf"\1{MASK}", text) if "<" in text else text
        if "bearer" in small:
            text = re.sub(_BEARER, rf"\1{MASK}", text)
        if "basic" in small:
            text = re.sub(_BASIC, _without_login, text)
        if "curl" in small:
            text = re.sub(_CURL, lambda call: re.sub(_LOGIN, rf"\1{MASK}", call[0]), text)
        return text

    def are_in(self, name: str) -> bool:
        """Return whether a name holds a secret, even a common word that `redact` would accept in it."""
        raw, _ = _as_bytes(name)
        return self.redact(name) != name or any(word in raw for word in self._words)

    def _without_values(self, text: str) -> str:
        if not self._needles:
            return text
        raw, errors = _as_bytes(text)
        mask: bytearray | None = None
        for view in views(raw, self._short):
            for span in self._needles.spans(view.raw):
                mask = mask or bytearray(len(raw))
                start, end = view.source(*span)
                # The first byte has a mark of its own, so that two values side by side are shown as two.
                mask[start : start + 1] = b"\x02"
                mask[start + 1 : end] = b"\x01" * (end - start - 1)
        return text if mask is None else _as_text(_masked(raw, mask), errors)

    def redact_head(self, text: str) -> str:
        """Redact the beginning of a longer text, also a secret that the cut has torn."""
        text = self.redact(text)
        without = self._without_end(text) if self._needles else None
        return re.sub(_URL_TORN, rf"\1{MASK}", text) if without is None else without

    def split(self, text: str) -> tuple[str, str]:
        """Return what can be shown of a text that goes on, redacted, and what has to wait for the rest of it."""
        at = self._torn(text, 1) if self._needles else None
        if at is None or len(text) - at > self._reach:
            return self.redact(text), ""
        raw, errors = _as_bytes(text)
        return self.redact(_as_text(raw[:at], errors)), _as_text(raw[at:], errors)

    def _without_end(self, text: str) -> str | None:
        """Return the text without the beginning of a value at its end; None if there is none."""
        at = self._torn(text)
        raw, errors = _as_bytes(text)
        return None if at is None else _as_text(raw[:at], errors) + MASK

    def _torn(self, text: str, shortest: int = _SHORTEST) -> int | None:
        """Return at which byte a value begins whose end is missing; None if there is none."""
        raw, _ = _as_bytes(text)
        at = max(0, len(raw) - self._reach)
        torn = [
            view.source(position, position + 1)[0]
            for end in {raw[at:], raw[at:-1], raw[at:-2], without_cut_escape(raw[at:])}
            for view in views(end, short=True)
            if (position := self._needles.torn_at_end(view.raw.rstrip(b"\n"), shortest)) is not None
        ]
        return at + min(torn) if torn else None

    @property
    def _reach(self) -> int:
        """Return the bytes that the longest value may take if every character is escaped."""
        return OVERLAP + 8 * self._needles.longest

    def redact_tail(self, text: str, at: int) -> str:
        """Return the text from a position on, redacted, also without a secret that the position cuts in two."""
        # A secret that begins before the position is redacted in the whole text, but not in the rest alone: what the
        # two have in common at their end holds nothing of it.
        whole, rest = self._without_start(self.redact(text)), self.redact(text[at:])
        if whole.endswith(rest):
            return rest
        pairs = zip(reversed(whole), reversed(rest), strict=False)
        return MASK + rest[len(rest) - sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs)) :]

    def _without_start(self, text: str) -> str:
        """Return the text without the end of a value that is longer than what is before the cut."""
        if self._needles.longest <= OVERLAP // 8:
            return text
        raw, errors = _as_bytes(text)
        torn = [
            view.source(position - 1, position)[1]
            for view in views(raw[: self._reach], self._short)
            if (position := self._needles.torn_at_start(view.raw)) is not None
        ]
        return MASK + _as_text(raw[max(torn) :], errors) if torn else text

    def head(self, text: str, limit: int) -> str:
        """Return at most `limit` characters from the beginning of a text, redacted before it is cut."""
        if len(text) <= limit:
            return text
        window = text[: limit + OVERLAP]
        return (self.redact(text) if window == text else self.redact_head(window))[:limit]

    def tail(self, text: str, limit: int) -> str:
        """Return at most `limit` characters from the end of a text, redacted before it is cut."""
        if len(text) <= limit:
            return text
        return self.redact_tail(text[-limit - OVERLAP :], -limit)[-limit:]


@cache
def default_redactor() -> Redactor:
    """Return the redactor of this process, with the secrets of its environment."""
    return Redactor.from_environment()


def redacted_head(text: str, limit: int) -> str:
    """Return the first `limit` characters of a text, redacted so that the cut leaves no part of a secret."""
    return default_redactor().head(text, limit)


def redacted_tail(text: str, limit: int) -> str:
    """Return the last `limit` characters of a text, redacted so that the cut leaves no part of a secret."""
    return default_redactor().tail(text, limit)


def redacted_tail_bytes(raw: bytes | bytearray, limit: int) -> str:
    """Return the last `limit` bytes as redacted UTF-8. `raw` should have OVERLAP bytes more."""
    text, before = raw.decode("utf-8", "replace"), raw[:-limit].decode("utf-8", "replace")
    return default_redactor().redact_tail(text, len(before))


def drop_torn_secret(raw: bytes | bytearray) -> bytes:
    """Return truncated data without a secret that the truncation has torn."""
    end = default_redactor().redact_head(raw[-OVERLAP:].decode("utf-8", "surrogateescape"))
    return bytes(raw[:-OVERLAP]) + end.encode("utf-8", "surrogateescape")


class _Needles:
    """Values to search for in one view of a text."""

    def __init__(self, values: Iterable[bytes], words: Iterable[bytes] = ()) -> None:
        self._ordered = sorted({*values, *words}, key=len)
        self._lengths = [len(value) for value in self._ordered]
        self._words = frozenset(words)

    def __bool__(self) -> bool:
        return bool(self._ordered)

    @property
    def longest(self) -> int:
        """Return the length of the longest value."""
        return self._lengths[-1] if self._lengths else 0

    def spans(self, raw: bytes) -> Iterator[tuple[int, int]]:
        """Yield where values are, the shortest values first; spans may overlap."""
        for value in filter(raw.__contains__, self._ordered[: bisect_right(self._lengths, len(raw))]):
            if value in self._words:
                yield from (match.span() for match in re.finditer(_ALONE % value, raw))
                continue
            at = raw.find(value)
            while at >= 0:
                yield at, at + len(value)
                at = raw.find(value, at + len(value))

    def torn_at_end(self, raw: bytes, shortest: int = _SHORTEST) -> int | None:
        """Return where the beginning of a value is at the end of a text, of at least `shortest` bytes."""
        starts = [at for value in self._ordered if (at := _overlap(raw, value, shortest)) is not None]
        return min(starts, default=None)

    def torn_at_start(self, raw: bytes) -> int | None:
        """Return where the rest of a value ends that a text begins with, of at least four bytes."""
        turned = raw[::-1]
        starts = [at for value in self._ordered if (at := _overlap(turned, value[::-1])) is not None]
        return len(raw) - min(starts) if starts else None


def _overlap(raw: bytes, value: bytes, shortest: int = _SHORTEST) -> int | None:
    """Return where a text ends with the beginning of a value; None if fewer than `shortest` bytes of it are there."""
    start = value[:shortest]
    at = raw.find(start, max(0, len(raw) - len(value) + 1))
    while at >= 0 and not value.startswith(raw[at:]):
        at = raw.find(start, at + 1)
    return at if at >= 0 else None


def _is_secret(name: str) -> bool:
    return _NAMES.search(name.removeprefix("INPUT_").replace("-", "_")) is not None


def credentials(text: str) -> Iterator[str]:
    """Yield the secrets in a text's URLs and connection strings, as written and decoded."""
    values = [match[match.lastindex or 0] for match in re.finditer(_LOGIN_IN_URL, text)] if "@" in text else []
    if "=" in text:
        values += [_content(match) for match in re.finditer(_KEYWORD, text)]
        values += [match[0][len(match[1]) :] for match in re.finditer(_PARAMETER, text)]
    for value in values:
        if MASK not in value and not value.startswith("$"):
            yield from {value, unquote(value)}


def _content(match: re.Match[str]) -> str:
    """Return the value of a keyword without its quotes."""
    value = match[0][len(match[1]) :]
    mark = match["plain"] or match["inner"]
    if not mark:
        return value.strip("{}")
    value = value.removeprefix(mark).removesuffix(mark)
    return re.sub(r"\\(.)|''", lambda escape: escape[1] or "'", value)


def _secret_lines(value: str) -> Iterator[str]:
    """Yield the lines of a value that are secret by themselves.

    A line that every such file has is not: a key without a value, a word, the frame of a key in PEM.
    """
    lines = value.splitlines()
    if len(lines) < 2:
        return
    for line in lines:
        text = line.strip()
        if text.startswith("-----") or text.endswith((":", "{", "[")) or not re.search(r"\w{2}", text):
            continue
        if not re.fullmatch(r"(?:- )?\w{1,12}:[ ]\w{1,8}", text):
            yield line


def _encoded(value: str) -> set[bytes]:
    """Return a value in the encodings that programs write text in."""
    encodings = {value.encode("utf-8", "surrogateescape")}
    for name in ("utf-16-le", "utf-16-be", "latin-1"):
        try:
            encodings.add(value.encode(name))
        except UnicodeEncodeError:
            continue
    return encodings


def _canonical(value: str) -> set[bytes]:
    """Return what a value is in the views of a text: as it is, and with what looks like an escape in it decoded."""
    raw, shown = value.encode("utf-8", "surrogateescape"), _encoded(value)
    forms = {raw, raw.replace(b" ", b"+")}
    if not value.isascii():
        forms |= {form for form in shown if not form.count(0)}
        forms |= {form.decode("utf-8", "replace").encode() for form in forms}
    for _ in range(3):
        forms |= {unescape(form) for form in forms}
    forms |= {form for form in shown if form.count(0)}
    return {form for form in forms if len(form.strip()) >= _SHORTEST or form == raw}


def _in_base64(value: str) -> set[bytes]:
    """Return what base64 of a value always has in it, in both alphabets.

    Views decode long runs of base64 themselves; this finds what is short or cut.
    """
    cores = {core for raw in _encoded(value) for core in _cores(raw) if len(core) >= _SHORTEST}
    return cores | {core.translate(_IN_ADDRESSES) for core in cores}


def _cores(raw: bytes) -> Iterator[bytes]:
    """Yield what is always the same in base64 of some bytes, whatever is before and behind them."""
    for before in range(3):
        whole = base64.b64encode(bytes(before) + raw)
        yield whole[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]


def _as_bytes(text: str) -> tuple[bytes, str]:
    """Return a text in UTF-8, and how to decode it again whatever halves of characters it holds."""
    for errors in ("surrogateescape", "surrogatepass"):
        try:
            return text.encode("utf-8", errors), errors
        except UnicodeEncodeError:
            continue
    return text.encode("utf-8", "replace"), "replace"


def _as_text(raw: bytes, errors: str) -> str:
    try:
        return raw.decode("utf-8", errors)
    except UnicodeDecodeError:
        return raw.decode("utf-8", "replace")


def _masked(raw: bytes, mask: bytearray) -> bytes:
    """Return the bytes with each marked span replaced."""
    parts, end = [], 0
    for match in re.finditer(rb"\x02?\x01+|\x02", mask):
        parts += [raw[end : match.start()], MASK.encode()]
        end = match.end()
    return b"".join([*parts, raw[end:]])


def _hidden(name: str, pattern: str, text: str) -> str:
    """Replace the value of each header or field that the pattern finds; what is in quotes keeps them.

    `pattern` begins with `name`, which matches up to the value.
    """
    parts, end, at = [], 0, 0
    search_name, match = re.compile(name).search, re.compile(pattern).match
    # A value can reach to the end of its line. It is matched only behind a name that is one, or a line of paths would
    # be read to its end for each of them.
    while begun := search_name(text, at):
        if _ends_path(text, begun):
            at = begun.end(1)
            continue
        if not (field := match(text, begun.start())):
            at = begun.start() + 1
            continue
        at = max(field.end(), field.start() + 1)
        groups = field.groupdict() or {"list": field[2], "plain": field[3], "inner": field[4]}
        parts += [text[end : field.end(1)], next(filter(None, map(groups.get, ("list", "plain", "inner"))), ""), MASK]
        end = field.end()
    return "".join([*parts, text[end:]]) if parts else text


def _ends_path(text: str, match: re.Match[str]) -> bool:
    """Return whether an apparent name is the last part of a path or URL before a colon."""
    if not re.search(r"\w:[ \t]+\Z", match[1]):
        return False
    word = re.split(r"[\s\"'`(\[=,<>|]", text[max(0, match.start() - 512) : match.start()])[-1]
    return "/" in word and re.fullmatch(_PATH, word) is not None


def _without_login(match: re.Match[str]) -> str:
    """Check whether the text after `Basic` is a user and a password, even torn, and not a word."""
    encoded = match[2].rstrip("=").translate(_PLAIN)
    whole = encoded[:-1] if len(encoded) % 4 == 1 else encoded
    try:
        login = base64.b64decode(whole + "=" * (-len(whole) % 4))
    except (binascii.Error, ValueError):
        return match[0]
    return match[1] + MASK if b":" in login else match[0]
