"""`stop`: the dependency is shut down in order, as in a deployment or a planned restart."""

from __future__ import annotations

from typing import ClassVar

from gate.core.messages import Message, msg
from gate.staging.docker_client import ENGINE_SETTLE_TIMEOUT
from gate.staging.faults.base import FaultError, FaultSite, TargetFault, first_open_port, port_list

_GRACE = 5


class Stop(TargetFault):
    """Ends it with its own stop signal; SIGKILL after 5 s."""

    kind: ClassVar[str] = "stop"
    summary: ClassVar[str] = "the dependency is shut down"

    def inject(self, site: FaultSite) -> None:
        if site.process:
            site.process.stop(grace=_GRACE)
            return
        reject_auto_remove(site)
        with site.journaled(
            "start_container", settle_timeout=_GRACE + ENGINE_SETTLE_TIMEOUT, container=site.container.id
        ):
            site.container.handle.stop(timeout=_GRACE)

    def verify_injected(self, site: FaultSite) -> Message | None:
        return verify_down(site)

    def revert(self, site: FaultSite) -> None:
        if site.process:
            site.process.start()
        site.revert_all()

    def verify_reverted(self, site: FaultSite) -> Message | None:
        return runs_again(site)


def reject_auto_remove(site: FaultSite) -> None:
    """Raises NoFault for a container that the engine removes as soon as it stops: nothing could bring it back."""
    if site.container.handle.attrs["HostConfig"].get("AutoRemove"):
        raise FaultError(
            msg("{target} is removed when it stops (--rm): it could not be put back", target=site.running.name)
        )


def verify_down(site: FaultSite) -> Message | None:
    """Return the proof that it has ended, with everything that it started, and that its ports refuse."""
    running = bool(site.process.members) if site.process else site.container.state == "running"
    if running or first_open_port(site) is not None:
        return None
    return msg("{target} has exited and its port {port} refuses", target=site.running.name, port=port_list(site))


def runs(site: FaultSite) -> Message | None:
    """Return the proof that it runs and is not paused. Whether it answers yet is another matter."""
    process = site.process
    running = process.running and not process.count_paused()[0] if process else site.container.state == "running"
    return msg("{target} runs", target=site.running.name) if running else None


def runs_again(site: FaultSite) -> Message | None:
    """Return `runs`. A process that did not stay up, as after a crash, is started once more."""
    if site.process:
        site.process.restart_if_dead()
    return runs(site)


def verify_up(site: FaultSite) -> Message | None:
    """Return the proof that it runs and is not paused, and that one of its ports, if any is known, accepts."""
    running = runs(site)
    if running is None or not site.running.ports:
        return running
    port = first_open_port(site)
    return msg("{target} runs and port {port} accepts", target=site.running.name, port=port) if port else None


def verify_restarted(site: FaultSite) -> Message | None:
    """Return `up`. A process that did not stay up is started once more."""
    return verify_up(site) if runs_again(site) else None
