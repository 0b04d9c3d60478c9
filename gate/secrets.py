"""Keeps secrets out of everything that leaves the gate: reports, logs, comments, errors.

Secret is what stands in an environment variable whose name says so, what the caller adds, credentials in a URL, and
the value of an authorization header.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote

MASK = "***"
_NAMES = re.compile(r"(?i)(?:^|_)(?:TOKEN|PASSWORD|PASSWD|SECRET|PASSPHRASE|API_?KEY|PRIVATE_?KEY|CREDENTIALS?)$")
_URL = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)([^/\s:@\"'<>]*):([^@\s/\"'<>]+)@")
_HEADER = re.compile(
    r"(?im)\b((?:proxy-)?authorization|x-api-key|api-key|private-token|cookie|set-cookie)(\s*[:=]\s*)([^\r\n'\"]+)"
)
_SHORTEST = 4


class Secrets:
    """What must not be shown. `hide` is the only way out for text that came from outside."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self.add(*values)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Secrets:
        """The values of all variables whose name ends in TOKEN, PASSWORD, SECRET and the like."""
        known = os.environ if environment is None else environment
        return cls(
            value for name, value in known.items() if _NAMES.search(name.removeprefix("INPUT_").replace("-", "_"))
        )

    def add(self, *values: str) -> None:
        """More to hide, whole and line by line, plain, URL-quoted and in base64. Shorter than 4 is ignored."""
        for value in values:
            for part in {value, *value.splitlines()}:
                if len(part.strip()) >= _SHORTEST:
                    self._values |= {part, quote(part, safe=""), base64.b64encode(part.encode()).decode().rstrip("=")}
        ordered = sorted(self._values, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def hide(self, text: str) -> str:
        """The text without any secret in it."""
        if self._pattern:
            text = self._pattern.sub(MASK, text)
        if "://" in text:
            text = _URL.sub(rf"\1{MASK}@", text)
        if ":" in text or "=" in text:
            text = _HEADER.sub(rf"\1\2{MASK}", text)
        return text
