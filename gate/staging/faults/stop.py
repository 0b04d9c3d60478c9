"""`stop`: the dependency is shut down in order, as in a deployment or a planned restart."""

from __future__ import annotations

from typing import ClassVar

from gate.messages import Message, say
from gate.staging.engine import SETTLES
from gate.staging.faults.base import NoFault, Site, TargetFault, open_port, ports

_GRACE = 5


class Stop(TargetFault):
    """Ends it with its own stop signal; SIGKILL after 5 s."""

    kind: ClassVar[str] = "stop"
    summary: ClassVar[str] = "the dependency is shut down"

    def inject(self, site: Site) -> None:
        if site.process:
            site.process.stop(patience=_GRACE)
            return
        stays(site)
        with site.act("start_container", settles=_GRACE + SETTLES, container=site.container.id):
            site.container.handle.stop(timeout=_GRACE)

    def holds(self, site: Site) -> Message | None:
        return down(site)

    def undo(self, site: Site) -> None:
        if site.process:
            site.process.start()
        site.take_back()

    def gone(self, site: Site) -> Message | None:
        return runs_again(site)


def stays(site: Site) -> None:
    """Raises NoFault for a container that the engine removes as soon as it stops: nothing could bring it back."""
    if site.container.handle.attrs["HostConfig"].get("AutoRemove"):
        raise NoFault(
            say("{target} is removed when it stops (--rm): it could not be put back", target=site.staged.name)
        )


def down(site: Site) -> Message | None:
    """Return the proof that it has ended, with everything that it started, and that its ports refuse."""
    running = bool(site.process.members) if site.process else site.container.state == "running"
    if running or open_port(site) is not None:
        return None
    return say("{target} has exited and its port {port} refuses", target=site.staged.name, port=ports(site))


def runs(site: Site) -> Message | None:
    """Return the proof that it runs and is not paused. Whether it answers yet is another matter."""
    process = site.process
    running = process.running and not process.paused()[0] if process else site.container.state == "running"
    return say("{target} runs", target=site.staged.name) if running else None


def runs_again(site: Site) -> Message | None:
    """Return `runs`. A process that did not stay up, as after a crash, is started once more."""
    if site.process:
        site.process.revive()
    return runs(site)


def up(site: Site) -> Message | None:
    """Return the proof that it runs and is not paused, and that one of its ports, if any is known, accepts."""
    running = runs(site)
    if running is None or not site.staged.ports:
        return running
    port = open_port(site)
    return say("{target} runs and port {port} accepts", target=site.staged.name, port=port) if port else None


def up_again(site: Site) -> Message | None:
    """Return `up`. A process that did not stay up is started once more."""
    return up(site) if runs_again(site) else None
