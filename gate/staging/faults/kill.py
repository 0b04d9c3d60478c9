"""`kill`: kill the dependency, as in a crash or when it runs out of memory."""

from __future__ import annotations

from typing import ClassVar

from gate.core.messages import Message
from gate.core.override import override
from gate.staging.faults.base import FaultSite, TargetFault
from gate.staging.faults.stop import reject_auto_remove, restart_and_verify, verify_down


class Kill(TargetFault):
    """Send SIGKILL."""

    kind: ClassVar[str] = "kill"
    summary: ClassVar[str] = "the dependency dies at once"

    @override
    def inject(self, site: FaultSite) -> None:
        if site.process:
            site.process.kill()
            return
        reject_auto_remove(site)
        with site.journaled("start_container", container=site.container.id):
            site.container.handle.kill()

    @override
    def verify_injected(self, site: FaultSite) -> Message | None:
        return verify_down(site)

    @override
    def revert(self, site: FaultSite) -> None:
        if site.process:
            site.process.start()
        site.revert_all()

    @override
    def verify_reverted(self, site: FaultSite) -> Message | None:
        return restart_and_verify(site)
