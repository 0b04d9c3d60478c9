"""`kill`: kill the dependency, as in a crash or when it runs out of memory."""

from __future__ import annotations

from typing import ClassVar

from gate.core.override import override
from gate.staging.faults.base import FaultSite
from gate.staging.faults.stop import DownFault, reject_auto_remove


class Kill(DownFault):
    """Send SIGKILL."""

    kind: ClassVar[str] = "kill"
    summary: ClassVar[str] = "the dependency dies at once"

    @override
    def inject(self, site: FaultSite) -> None:
        if site.process:
            site.process.kill()
            return
        reject_auto_remove(site)
        site.act_on_containers("start_container", lambda container: container.handle.kill())
