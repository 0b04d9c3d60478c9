"""`kill`: the dependency dies at once, as in a crash or for want of memory."""

from __future__ import annotations

from typing import ClassVar

from gate.messages import Message
from gate.staging.faults.base import Site, TargetFault
from gate.staging.faults.stop import down, runs_again, stays


class Kill(TargetFault):
    """Ends it with SIGKILL."""

    kind: ClassVar[str] = "kill"
    summary: ClassVar[str] = "the dependency dies at once"

    def inject(self, site: Site) -> None:
        if site.process:
            site.process.kill()
            return
        stays(site)
        with site.act("start_container", container=site.container.id):
            site.container.handle.kill()

    def holds(self, site: Site) -> Message | None:
        return down(site)

    def undo(self, site: Site) -> None:
        if site.process:
            site.process.start()
        site.take_back()

    def gone(self, site: Site) -> Message | None:
        return runs_again(site)
