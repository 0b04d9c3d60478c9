"""Worlds for tests of checks: a checkout, targets by URL, and a time limit."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from gate.checks import CHECKS
from gate.checks.base import Check
from gate.checks.context import CheckContext
from gate.decode.structs import decode_all_errors
from gate.redaction.secrets import Redactor
from gate.staging.target import RunningTarget, host_of


def context(
    root: Path = Path(), *, limit: float = 10.0, cancelled: threading.Event | None = None, **urls: str
) -> CheckContext:
    """Return a world for one attempt of `limit` seconds, with a target for each URL."""
    now = time.monotonic()
    targets = {name: RunningTarget(name, base_url=url, host=host_of(url)) for name, url in urls.items()}
    return CheckContext(root, targets, Redactor(), now + limit, now, cancelled or threading.Event())


def check(kind: str, **fields: Any) -> Check[Any]:
    """Return a check as a checklist would load it."""
    made: Check[Any] = decode_all_errors(fields, CHECKS.get_class(kind))
    return made
