"""Worlds for tests of checks: a checkout, targets by URL, and a time limit."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from gate.checks import CHECKS
from gate.checks.base import Check
from gate.checks.world import World
from gate.secrets import Secrets
from gate.staging.staged import Staged, host_of
from gate.written import read


def world(root: Path = Path(), *, limit: float = 10.0, cancelled: threading.Event | None = None, **urls: str) -> World:
    """A world for one try of `limit` seconds, with a target for each URL."""
    now = time.monotonic()
    targets = {name: Staged(name, base_url=url, host=host_of(url)) for name, url in urls.items()}
    return World(root, targets, Secrets(), now + limit, now, cancelled or threading.Event())


def check(kind: str, **fields: Any) -> Check[Any]:
    """A check as a checklist would load it."""
    made: Check[Any] = read(fields, CHECKS.load(kind))
    return made
