"""JSON Web Tokens signed with HS256 (https://www.rfc-editor.org/rfc/rfc7519): who may write."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any


class InvalidTokenError(Exception):
    """A token that is not ours, or no longer good."""


def signed(claims: dict[str, Any], secret: str) -> str:
    """Return a signed token with these claims."""
    head = f"{_encoded({'alg': 'HS256', 'typ': 'JWT'})}.{_encoded(claims)}"
    return f"{head}.{_text(_signature(head, secret))}"


def verified(token: str, secret: str, now: float | None = None) -> dict[str, Any]:
    """Return the claims of a token. Raises InvalidTokenError."""
    head, _, signature = token.rpartition(".")
    if not hmac.compare_digest(_text(_signature(head, secret)).encode(), signature.encode("utf-8", "replace")):
        raise InvalidTokenError("the signature is not ours")
    try:
        first, second = (
            json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in head.split(".")
        )
        if first["alg"] != "HS256" or float(second["exp"]) <= (time.time() if now is None else now):
            raise InvalidTokenError("the token has expired")
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidTokenError("this is no token") from error
    claims: dict[str, Any] = second
    return claims


def _signature(head: str, secret: str) -> bytes:
    return hmac.new(secret.encode(), head.encode("utf-8", "replace"), hashlib.sha256).digest()


def _encoded(value: dict[str, Any]) -> str:
    return _text(json.dumps(value, separators=(",", ":")).encode())


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
