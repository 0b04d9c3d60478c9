"""`pause`: the dependency hangs. Its ports still accept connections, and nothing ever answers."""

from __future__ import annotations

import time
from typing import ClassVar

from gate.core.messages import Message, msg
from gate.staging.docker_client import ENGINE_SETTLE_TIMEOUT
from gate.staging.faults.base import FaultSite, TargetFault
from gate.staging.faults.stop import runs

_PATIENCE = 5.0
_AGAIN = 0.2


class Pause(TargetFault):
    """Freeze it: a container by the engine, a process and everything that it started by SIGSTOP."""

    kind: ClassVar[str] = "pause"
    summary: ClassVar[str] = "the dependency hangs"
    needs_port: ClassVar[bool] = False

    def inject(self, site: FaultSite) -> None:
        if site.process:
            site.process.pause()
            return
        with site.journaled(
            "unpause_container", settle_timeout=_PATIENCE + ENGINE_SETTLE_TIMEOUT, container=site.container.id
        ):
            _freeze(site)

    def verify_injected(self, site: FaultSite) -> Message | None:
        if site.process:
            stopped, count = site.process.count_paused()
            all_stopped = msg(
                "{target} is paused: all its {count} processes are stopped", target=self.target, count=count
            )
            return all_stopped if count and stopped == count else None
        return msg("{target} is paused", target=self.target) if site.container.state == "paused" else None

    def revert(self, site: FaultSite) -> None:
        if site.process:
            site.process.resume()
        site.revert_all()

    def verify_reverted(self, site: FaultSite) -> Message | None:
        return runs(site)


def _freeze(site: FaultSite) -> None:
    """Under load, processes may not be frozen in the time that runc gives them (cgroup v1): it is asked again."""
    from docker.errors import APIError

    end = time.monotonic() + _PATIENCE
    while True:
        try:
            site.container.handle.pause()
            return
        except APIError as error:
            if not error.is_server_error() or time.monotonic() > end or site.cancelled.wait(_AGAIN):
                raise
