"""`pause`: the dependency hangs. Its ports still accept connections, and nothing ever answers."""

from __future__ import annotations

import signal
from typing import ClassVar

from gate.messages import Message, say
from gate.staging.faults.base import Site, TargetFault
from gate.staging.faults.stop import up


class Pause(TargetFault):
    """Freezes it: a container by the engine, a process and its group by SIGSTOP."""

    kind: ClassVar[str] = "pause"
    summary: ClassVar[str] = "the dependency hangs"
    needs_port: ClassVar[bool] = False

    def inject(self, site: Site) -> None:
        if site.process:
            site.process.send(signal.SIGSTOP)
            return
        with site.act("unpause_container", container=site.container.id):
            site.container.handle.pause()

    def holds(self, site: Site) -> Message | None:
        paused = site.process.paused if site.process else site.container.state == "paused"
        return say("{target} is paused", target=site.staged.name) if paused else None

    def undo(self, site: Site) -> None:
        if site.process:
            site.process.send(signal.SIGCONT)
        site.take_back()

    def gone(self, site: Site) -> Message | None:
        return up(site)
