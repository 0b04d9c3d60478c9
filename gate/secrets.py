"""Keeps secrets out of everything that leaves the gate: reports, logs, comments, errors.

Secret is what stands in an environment variable whose name says so, what the caller adds, credentials in an address or
a call of curl, and the value of a header, parameter, variable or field whose name says so. A text is hidden before it
is cut: half a secret is one, too.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
import os
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import takewhile
from urllib.parse import quote, quote_plus

MASK = "***"
_NAME = (
    r"(?:TOKEN|PASSWORDS?|PASSWD|PASSPHRASES?|SECRETS?|CREDENTIALS?|(?:API|PRIVATE|ACCESS)_?KEYS?|SECRET_KEY_BASE"
    r"|(?<=_)(?<!PUBLIC_)(?<!\bPRIMARY_)(?<!FOREIGN_)(?<!UNIQUE_)(?<!PARTITION_)(?<!SORT_)(?<!CACHE_)KEYS?"
    r"|(?<=_)(?:PASS|PWD|PAT))"
)
"""How the names of what is secret end, in an environment as in a text. The keys of tables and caches are none.

`PRIMARY_KEY` is one of a table only in a text and by itself: `COSMOS_PRIMARY_KEY` opens an account.
"""
_NAMES = re.compile(rf"(?i)(?:{_NAME}|^(?:PRIMARY_)?KEYS?|^PASS)$")
_SHORTEST = 4
_PLAIN = str.maketrans("-_", "+/")
_IN_ADDRESSES = str.maketrans("+/", "-_")
"""The two alphabets of base64 (RFC 4648, sections 4 and 5)."""
_APOSTROPHES = ("'", "&#x27;", "&#39;", "&apos;")
_WORDS = frozenset(("true", "false", "null", "none"))
"""Values that say that there is a secret, or none, and are not one."""
_PLAIN_WORD = r"[a-z]{4,12}|[0-9]{4,12}"
"""What ordinary texts have in the middle of words and numbers: as a value, it is hidden where it stands alone."""
_BESIDE = r"(?:(?<!\w)|(?<=\\[nrt])|(?<=\\u[0-9a-fA-F]{4})|(?<=%[0-9a-fA-F]{2})|(?<=\dm))"
"""Where a word begins, also behind what JSON, an address or a terminal's colour ends with a letter or a digit."""
REACH = 4096
"""Characters on the far side of a cut that are hidden with it, because a secret may reach there."""

# What follows is compiled by `re` when it is needed first: most runs need few of these.
_URL = (
    r"(?<=[A-Za-z0-9])(:\\?/\\?/)"
    r"(?:[^\s/?#\"'<>:]{0,256}:[^\s/?#\"'<>]{1,1024}@|[^\s/:@\"'<>]{0,256}:(?!\d{1,5}[/?#])[^\s\"'<>@]{1,1024}@)"
)
_URL_USER = r"(?i)(https?:\\?/\\?/)[^\s/?#\"'<>:]{1,1024}@"
_URL_TORN = r"(?<=[A-Za-z0-9])(:\\?/\\?/)[^\s/@\"'<>]{1,1024}\Z"
_PARAMETER = (
    r"(?i)([?&;#](?:[\w.-]{0,64}?(?:token|secret|password|passwd|passphrase|signature|credential|(?:api|access|private)_?key)"
    r"|key|sig|pass|pwd|auth)=)[^&\s\"'`<>#;]+"
)
_HEADER = r"""(?ix)
    ( (?: (?:\b|(?<=\\[nrt]))(?:authorization|api-?key|cookie)
        | [a-z0-9]-(?:token|secret|password|(?:api|auth|access|private|subscription)-key) )
      (?:\\*["'])? [ \t]* (?: :(?!:) | =>? ) [ \t]* (?:\r?\n[ \t]+)? )
    (?! [ \t] | (?:\\?\*){3} )  # what is hidden already ends there: behind it may stand what is ours
    (?: (\[) [^\]\r\n]*
      | (["']) (?: \\. | (?!\3)[^\\\r\n] )*
      | (\\+(["'])) (?: (?!\\+\5)[^\r\n] )*
      | (?: (?<==)\\*"[^"\r\n]*" | \\(?![nr"']) | [^\r\n'"\\] )+ )
    """
_FIELD = (
    r"""(?x)
    ( (?: (?P<flow>[{\[,][ \t]*) \w{0,64}? )?
      (?: """
    + _NAME
    + r""" (?:\\*["'])?
        | (?i: token|password|passwd|passphrase|secret|(?:api|private|access|secret)_?key )
          (?(flow) (?:\\*["'])? | \\*["'] ) (?=[ \t]*:[ \t]*\\*["']) )
      [ \t]* (?: :(?!:) | = ) [ \t]* )
    (?! [-?$ \t] | (?:\\?\*){3} )  # `${TOKEN:-default}` and `$TOKEN` are names
    (?: (?P<plain>["']) (?: \\. | '' | (?!(?P=plain))[^\\\r\n] )*  # YAML writes '' for '
      | (?P<inner>\\+(?P<mark>["'])) (?: (?!\\+(?P=mark))[^\r\n] )*
      | (?<=:[ \t]) (?(flow) [^\r\n"'`\\,}\]]+ | [^\r\n"'`\\]+ )  # in a mapping of YAML up to what ends the value
      | [^\s"'`\\]+ )
    """
)
_BEARER = (
    r"(?i)(?:\b|(?<=\\[nrt]))(bearer[ \t]+)"
    r"(?!(?:tokens?|auth\w*|realm|errors?|schemes?|credentials?|headers?|required|missing|must)\b)[\w.~+/=-]{4,}"
)
_BASIC = r"(?i)(?:\b|(?<=\\[nrt]))(basic[ \t]+)([\w+/-]{4,}={0,2})"
_CURL = r"(?:\b|(?<=\\n))curl\b[^\r\n]*"
_LOGIN = r"([ \t](?:-[a-zA-Z]{0,8}[uU]|--(?:proxy-)?user)[ \t=]*)(?:\"[^\"\r\n]*\"|'[^'\r\n]*'|[^\s:\"']{0,256}:\S+)"
_FORMATS = (
    r"\b(?:gh[opsur]_[A-Za-z0-9]{8,}|github_pat_\w{8,}|(?:AKIA|ASIA)[A-Z0-9]{16}\b|eyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?)"
    r"|(?<=PRIVATE KEY-----)(?:(?:(?!-----END)[\s\S]){1,8192}(?=-----END)|[\sA-Za-z0-9+/=\\]{4,})"
)
"""Tokens and keys that are known by how they look: of GitHub and AWS, JSON Web Tokens, and private keys in PEM."""
_MARKS = ("gh", "AKIA", "ASIA", "eyJ", "PRIVATE KEY-----")
_HINTS = ("authorization", "cookie", "token", "secret", "passw", "passp", "_pass", "key", "pwd", "_pat", "credential")
"""What stands, in small letters, in every text in which a header or a field is found."""


class Secrets:
    """What must not be shown. `hide` is the only way out for text that came from outside."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values: set[str] = set()
        self._ordered: list[str] = []
        self._lengths: list[int] = []
        self._pattern = re.compile("")
        self.add(*values)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Secrets:
        """The values of all variables whose name ends in TOKEN, PASSWORD, SECRET, KEY and the like."""
        known = os.environ if environment is None else environment
        return cls(
            value for name, value in known.items() if _NAMES.search(name.removeprefix("INPUT_").replace("-", "_"))
        )

    def add(self, *values: str) -> None:
        """More to hide, whole and line by line, in every form in which it may be written. Shorter than 4 is ignored."""
        for value in values:
            for part in {value, *value.splitlines()}:
                if len(part.strip()) >= _SHORTEST and part.strip().lower() not in _WORDS:
                    self._values |= _forms(part) | _forms(part.strip())
        self._arrange()

    def show(self, *names: str) -> None:
        """Names that everybody may read, such as a checklist's ids: an ordinary word that stands in one is no secret.

        Where it was hidden, two of them could not be told apart.
        """
        text = "\n".join(names)
        self._values = {value for value in self._values if value not in text or not re.fullmatch(_PLAIN_WORD, value)}
        self._arrange()

    def _arrange(self) -> None:
        self._ordered = sorted(self._values, key=len)
        self._lengths = [len(value) for value in self._ordered]
        self._pattern = re.compile("|".join(map(_pattern_of, reversed(self._ordered))))

    def hide(self, text: str) -> str:
        """The text without any secret in it."""
        if any(map(text.__contains__, self._ordered[: bisect_right(self._lengths, len(text))])):
            text = self._pattern.sub(MASK, text)
        if "@" in text and "/" in text:
            text = re.sub(_URL_USER, rf"\1{MASK}@", re.sub(_URL, rf"\1{MASK}@", text))
        if "=" in text:
            text = re.sub(_PARAMETER, rf"\1{MASK}", text)
        if any(map(text.__contains__, _MARKS)):
            text = re.sub(_FORMATS, MASK, text)
        small = text.lower()
        if any(map(small.__contains__, _HINTS)):
            text = re.sub(_FIELD, _without_text, re.sub(_HEADER, _without_value, text))
        if "bearer" in small:
            text = re.sub(_BEARER, rf"\1{MASK}", text)
        if "basic" in small:
            text = re.sub(_BASIC, _without_login, text)
        if "curl" in small:
            text = re.sub(_CURL, lambda call: re.sub(_LOGIN, rf"\1{MASK}", call[0]), text)
        return text

    def beginning(self, text: str) -> str:
        """What came first of something longer, without any secret in it, also without the one that its end has torn."""
        text = self.hide(text)
        torn = min((_torn(text, value) for value in self._ordered), default=len(text))
        if torn < len(text):
            return text[:torn] + MASK
        return re.sub(_URL_TORN, rf"\1{MASK}", text)

    def ending(self, text: str, at: int) -> str:
        """What stands from a place on, without any secret in it, also without the one that is torn there.

        What stands before it is only asked: a secret that begins there is hidden in the whole text and not in its rest,
        so that what both end with has nothing of it.
        """
        whole, rest = self.hide(text), self.hide(text[at:])
        if whole.endswith(rest):
            return rest
        pairs = zip(reversed(whole), reversed(rest), strict=False)
        return MASK + rest[len(rest) - sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs)) :]

    def first(self, text: str, limit: int) -> str:
        """At most `limit` characters from the beginning of a text, hidden before it is cut."""
        if len(text) <= limit:
            return text
        window = text[: limit + REACH]
        return (self.hide(text) if window == text else self.beginning(window))[:limit]

    def last(self, text: str, limit: int) -> str:
        """At most `limit` characters from the end of a text, likewise."""
        if len(text) <= limit:
            return text
        return self.ending(text[-limit - REACH :], -limit)[-limit:]


@cache
def known() -> Secrets:
    """The secrets of this process: those of its environment."""
    return Secrets.from_environment()


def beginning_of(text: str, limit: int) -> str:
    """A text from outside in at most `limit` characters, cut so that no part of a secret is left."""
    return known().first(text, limit)


def end_of(text: str, limit: int) -> str:
    """The end of a text from outside, cut likewise."""
    return known().last(text, limit)


def end_of_bytes(raw: bytes | bytearray, limit: int) -> str:
    """The last `limit` bytes of something from outside, as UTF-8, cut likewise: it should have REACH bytes more."""
    text, before = raw.decode("utf-8", "replace"), raw[:-limit].decode("utf-8", "replace")
    return known().ending(text, len(before))


def torn(raw: bytes | bytearray) -> bytes:
    """Bytes from outside that are only the beginning of what came, without the secret that their end has torn."""
    end = known().beginning(raw[-REACH:].decode("utf-8", "surrogateescape"))
    return bytes(raw[:-REACH]) + end.encode("utf-8", "surrogateescape")


def _forms(value: str) -> set[str]:
    """A value as it stands in an address, HTML or XML, a program's text, a shell and base64; and in JSON in JSON."""
    page = html.escape(value, quote=False)
    shown = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    found = {value, shown, repr(value)[1:-1], quote(value, safe="", errors="surrogateescape")}
    found |= {put(value, errors="surrogateescape") for put in (quote, quote_plus)}
    found |= {re.sub("%..", lambda byte: byte[0].lower(), form) for form in found if "%" in form and form != value}
    found |= {value.replace("'", mark) for mark in ("'\"'\"'", "'\\''")}
    found |= {
        page.replace('"', double).replace("'", single) for double in ('"', "&quot;", "&#34;") for single in _APOSTROPHES
    }
    once = {form for plain in found for form in _in_json(plain)}
    twice = {json.dumps(form, ensure_ascii=False)[1:-1] for form in once}
    encoded = {_in_base64(value, before) for before in range(3)}
    return found | once | twice | encoded | {form.translate(_IN_ADDRESSES) for form in encoded}


def _pattern_of(value: str) -> str:
    return rf"{_BESIDE}{value}(?!\w)" if re.fullmatch(_PLAIN_WORD, value) else re.escape(value)


def _in_json(value: str) -> Iterator[str]:
    """A text as the libraries of several languages write it in JSON."""
    for written in (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]):
        yield from (written, written.replace("/", "\\/"))
        yield re.sub("[<>&]", lambda found: f"\\u{ord(found[0]):04x}", written)


def _in_base64(value: str, before: int) -> str:
    """What is always the same in base64 of a value with so many bytes before it and whatever behind."""
    raw = value.encode("utf-8", "surrogateescape")
    whole = base64.b64encode(bytes(before) + raw).decode()
    return whole[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]


def _torn(text: str, value: str) -> int:
    """Where a value begins that the end of the text has torn; the text's length where too little of any is left."""
    start = value[:_SHORTEST]
    at = text.find(start, max(0, len(text) - len(value) + 1))
    while at >= 0 and not value.startswith(text[at:]):
        at = text.find(start, at + 1)
    return at if at >= 0 else len(text)


def _without_value(found: re.Match[str]) -> str:
    return found[1] + (found[2] or found[3] or found[4] or "") + MASK


def _without_text(found: re.Match[str]) -> str:
    return found[1] + (found["plain"] or found["inner"] or "") + MASK


def _without_login(found: re.Match[str]) -> str:
    """Whether it is a user and a password that stand behind `Basic`, torn or not, and not a word."""
    given = found[2].rstrip("=").translate(_PLAIN)
    whole = given[:-1] if len(given) % 4 == 1 else given
    try:
        login = base64.b64decode(whole + "=" * (-len(whole) % 4))
    except (binascii.Error, ValueError):
        return found[0]
    return found[1] + MASK if b":" in login else found[0]
