"""Brings the targets of a checklist up, all at once, and waits until each is ready."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from gate.messages import Message, say
from gate.quantities import duration
from gate.secrets import Secrets
from gate.staging.spec import Target
from gate.staging.staged import Staged, host_of

_PAUSE = 0.2
_TRY = 5.0


class Stage:
    """The targets of one run. Use as a context: what it started is gone when it ends."""

    def __init__(
        self,
        targets: Mapping[str, Target],
        *,
        root: Path,
        run_id: str,
        secrets: Secrets,
        cancelled: threading.Event,
        note: Callable[[str], None],
    ) -> None:
        self.targets = targets
        self.root = root
        self.run_id = run_id
        self.secrets = secrets
        self.cancelled = cancelled
        self.note = note

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Removes what was started."""

    def up(self) -> dict[str, Staged]:
        """Every target, each ready or with the reason why it is not. Takes as long as the slowest `within`."""
        found: dict[str, Staged] = {}

        def one(name: str, target: Target) -> None:
            found[name] = self._one(name, target)

        threads = [threading.Thread(target=one, args=pair, daemon=True) for pair in self.targets.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return {name: found[name] for name in self.targets}

    def _one(self, name: str, target: Target) -> Staged:
        began = time.monotonic()
        why = self._why_not(target)
        return Staged(
            name=name,
            base_url=target.url or "",
            host=host_of(target.url or ""),
            why_not=why,
            cause=f"target:{name}",
            duration=time.monotonic() - began,
        )

    def _why_not(self, target: Target) -> Message | None:
        if target.url is None:
            return say("there is no engine here to find it with")
        if target.ready is None:
            return None
        end = time.monotonic() + target.ready.within
        while True:
            why = _asked(target.url, target)
            if why is None:
                return None
            if time.monotonic() + _PAUSE > end or self.cancelled.wait(_PAUSE):
                return say("{why} (for {within})", why=why, within=duration(target.ready.within))


def _asked(url: str, target: Target) -> Message | None:
    ready, parts = target.ready, urlsplit(url)
    assert ready is not None
    port = ready.tcp or parts.port or (443 if parts.scheme == "https" else 80)
    try:
        if ready.path is None:
            socket.create_connection((parts.hostname or "", port), timeout=_TRY).close()
            return None
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", port, timeout=_TRY)
        connection.request("GET", parts.path.rstrip("/") + ready.path)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = str(error) or type(error).__name__
        return say("{host}:{port} does not answer: {why}", host=parts.hostname or "", port=port, why=why)
    mismatch = ready.status.mismatch(status)
    return (mismatch and say("{path} answers with another status: {why}", path=ready.path, why=mismatch)) or None
