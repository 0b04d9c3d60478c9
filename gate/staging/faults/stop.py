"""`stop`: shut the dependency down in an orderly way, as in a deployment or a planned restart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from gate.core.messages import Message, msg
from gate.core.override import override
from gate.staging.container import Container
from gate.staging.docker_client import ENGINE_SETTLE_TIMEOUT
from gate.staging.faults.base import (
    FaultError,
    FaultSite,
    TargetFault,
    accepts_connections,
    first_open_port,
    port_list,
)

_STOP_GRACE = 5


class DownFault(TargetFault):
    """A fault that ends the target's processes; its revert starts the target again."""

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


class Stop(DownFault):
    """Send its stop signal, and SIGKILL after 5 s."""

    kind: ClassVar[str] = "stop"
    summary: ClassVar[str] = "the dependency is shut down"

    @override
    def inject(self, site: FaultSite) -> None:
        if site.process:
            site.process.stop(grace=_STOP_GRACE)
            return
        reject_auto_remove(site)
        settle_timeout = _STOP_GRACE + ENGINE_SETTLE_TIMEOUT
        site.act_on_containers(
            "start_container", lambda container: container.handle.stop(timeout=_STOP_GRACE), settle_timeout
        )


def reject_auto_remove(site: FaultSite) -> None:
    """Raise FaultError if Docker removes the container when it stops: it could not be started again."""
    if any(container.handle.attrs["HostConfig"].get("AutoRemove") for container in site.containers):
        raise FaultError(
            msg(
                "{target} was started with --rm: Docker would remove it when it stops, and it could not be restarted",
                target=site.running.name,
            )
        )


def verify_down(site: FaultSite) -> Message | None:
    """Return the proof that the target and its descendants have exited and that its ports refuse connections."""
    running = bool(site.process.members) if site.process else any(map(is_running, site.containers))
    if running or first_open_port(site) is not None:
        return None
    if not site.process and any(container.published_ports for container in site.containers):
        return None
    return msg(
        "{target} has exited and its port {port} refuses connections", target=site.running.name, port=port_list(site)
    )


def verify_running(site: FaultSite) -> Message | None:
    """Return the proof that the target is running and not paused. It need not be ready yet."""
    process = site.process
    running = process.running and not process.count_paused()[0] if process else all(map(is_running, site.containers))
    return msg("{target} is running", target=site.running.name) if running else None


def is_running(container: Container) -> bool:
    """Return whether a container is running and not paused."""
    return container.state == "running"


def restart_and_verify(site: FaultSite) -> Message | None:
    """Start a process that has exited, then return the proof that the target is running."""
    # After a crash a process may exit once more, for instance while its port is still in use.
    if site.process:
        site.process.restart_if_dead()
    return verify_running(site)


def verify_up(site: FaultSite) -> Message | None:
    """Return the proof that the target is running and that one of its ports, if it has any, accepts connections.

    Each container of the target must accept connections.
    """
    running = verify_running(site)
    if running is None or not site.running.ports:
        return running
    port = first_open_port(site)
    if port is None or not all(
        _is_open(container, site.running.backend_ports) for container in site.running.containers
    ):
        return None
    return msg("{target} is running and port {port} accepts connections", target=site.running.name, port=port)


def _is_open(container: Container, ports: Iterable[int]) -> bool:
    hosts = container.addresses or [container.host]
    return any(accepts_connections(host, port) for host in hosts for port in ports)


def verify_restarted(site: FaultSite) -> Message | None:
    """Start a process that has exited, then return the result of `verify_up`."""
    return verify_up(site) if restart_and_verify(site) else None
