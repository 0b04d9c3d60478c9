"""`pause`: freeze the dependency. Its ports still accept connections, but never respond."""

from __future__ import annotations

import threading
import time
from typing import ClassVar

from gate.core.messages import Message, msg
from gate.core.override import override
from gate.staging.container import Container
from gate.staging.docker_client import ENGINE_SETTLE_TIMEOUT
from gate.staging.faults.base import FaultSite, TargetFault
from gate.staging.faults.stop import verify_running

_PAUSE_TIMEOUT = 5.0
_RETRY_INTERVAL = 0.2


class Pause(TargetFault):
    """Pause a container through Docker; send SIGSTOP to a process and its descendants."""

    kind: ClassVar[str] = "pause"
    summary: ClassVar[str] = "the dependency hangs"
    needs_port: ClassVar[bool] = False

    @override
    def inject(self, site: FaultSite) -> None:
        if site.process:
            site.process.pause()
            return
        site.act_on_containers(
            "unpause_container",
            lambda container: _pause_container(container, site.cancelled),
            _PAUSE_TIMEOUT + ENGINE_SETTLE_TIMEOUT,
        )

    @override
    def verify_injected(self, site: FaultSite) -> Message | None:
        if site.process:
            stopped, total = site.process.count_paused()
            proof = msg("{target} is paused (stopped processes: {count})", target=self.target, count=total)
            return proof if total and stopped == total else None
        paused = all(container.state == "paused" for container in site.containers)
        return msg("{target} is paused", target=self.target) if paused else None

    @override
    def revert(self, site: FaultSite) -> None:
        if site.process:
            site.process.resume()
        site.revert_all()

    @override
    def verify_reverted(self, site: FaultSite) -> Message | None:
        return verify_running(site)


def _pause_container(container: Container, cancelled: threading.Event) -> None:
    """Pause a container, with retries on server errors."""
    # Under load, runc may not freeze all processes within its own time limit (cgroup v1).
    from docker.errors import APIError

    deadline = time.monotonic() + _PAUSE_TIMEOUT
    while True:
        try:
            container.handle.pause()
            return
        except APIError as error:
            if not error.is_server_error() or time.monotonic() > deadline or cancelled.wait(_RETRY_INTERVAL):
                raise
