"""`stop`: the dependency is shut down in order, as in a deployment or a planned restart."""

from __future__ import annotations

from typing import ClassVar

from gate.messages import Message, say
from gate.staging.faults.base import Site, TargetFault, open_port, ports

_GRACE = 5


class Stop(TargetFault):
    """Ends it with its own stop signal; SIGKILL after 5 s."""

    kind: ClassVar[str] = "stop"
    summary: ClassVar[str] = "the dependency is shut down"

    def inject(self, site: Site) -> None:
        ports(site)
        if site.process:
            site.process.stop(patience=_GRACE)
            return
        with site.act("start_container", container=site.container.id):
            site.container.handle.stop(timeout=_GRACE)

    def holds(self, site: Site) -> Message | None:
        return down(site)

    def undo(self, site: Site) -> None:
        if site.process:
            site.process.start()
        site.take_back()

    def gone(self, site: Site) -> Message | None:
        return up(site)


def down(site: Site) -> Message | None:
    """The proof that it has ended, and that its ports refuse."""
    running = site.process.running if site.process else site.container.state == "running"
    if running or open_port(site) is not None:
        return None
    return say("{target} has exited and its port {port} refuses", target=site.staged.name, port=ports(site))


def up(site: Site) -> Message | None:
    """The proof that it runs, and that one of its ports accepts connections."""
    running = site.process.running if site.process else site.container.state == "running"
    port = open_port(site) if running else None
    return say("{target} runs and port {port} accepts", target=site.staged.name, port=port) if port else None
