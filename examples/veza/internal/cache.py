"""Redis, which the API can do without."""

from __future__ import annotations

import json
from typing import Any

import redis


class Cache:
    """Values as JSON under a key, for some seconds. Without an address it keeps nothing."""

    def __init__(self, url: str = "") -> None:
        self.client = (
            redis.Redis.from_url(url, socket_timeout=0.5, socket_connect_timeout=0.5, decode_responses=True)
            if url
            else None
        )

    def ping(self) -> None:
        """Raise redis.RedisError if Redis does not respond."""
        if self.client:
            self.client.ping()

    def get(self, key: str) -> Any:
        """Return the value, or None: without Redis every lookup is a miss."""
        try:
            text = self.client.get(key) if self.client else None
            return json.loads(str(text)) if text is not None else None
        except (redis.RedisError, ValueError):
            return None

    def put(self, key: str, value: Any, seconds: int) -> None:
        """Store a value; without Redis do nothing."""
        try:
            if self.client:
                self.client.set(key, json.dumps(value), ex=seconds)
        except redis.RedisError:
            return

    def drop(self, key: str) -> None:
        """Delete a value."""
        try:
            if self.client:
                self.client.delete(key)
        except redis.RedisError:
            return
