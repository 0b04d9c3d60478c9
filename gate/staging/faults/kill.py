"""`kill`: the dependency dies at once, as in a crash or for want of memory."""

from __future__ import annotations

from typing import ClassVar

from gate.core.messages import Message
from gate.staging.faults.base import FaultSite, TargetFault
from gate.staging.faults.stop import reject_auto_remove, runs_again, verify_down


class Kill(TargetFault):
    """Ends it with SIGKILL."""

    kind: ClassVar[str] = "kill"
    summary: ClassVar[str] = "the dependency dies at once"

    def inject(self, site: FaultSite) -> None:
        if site.process:
            site.process.kill()
            return
        reject_auto_remove(site)
        with site.journaled("start_container", container=site.container.id):
            site.container.handle.kill()

    def verify_injected(self, site: FaultSite) -> Message | None:
        return verify_down(site)

    def revert(self, site: FaultSite) -> None:
        if site.process:
            site.process.start()
        site.revert_all()

    def verify_reverted(self, site: FaultSite) -> Message | None:
        return runs_again(site)
