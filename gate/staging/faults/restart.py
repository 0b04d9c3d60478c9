"""`restart`: stop the target in an orderly way and start it again, as in a rolling update."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, structs

from gate.core.messages import Message, msg
from gate.core.override import override
from gate.decode.quantities import PositiveDurationSeconds
from gate.staging.container import Container
from gate.staging.docker_client import ENGINE_SETTLE_TIMEOUT
from gate.staging.faults.base import FaultSite, OperationFailedError, TargetFault
from gate.staging.faults.stop import reject_auto_remove, restart_and_verify, verify_up
from gate.staging.logs import find_error_line
from gate.staging.readiness import wait_until_ready
from gate.staging.spec import Ready

STOP_GRACE = 5


class Restart(TargetFault):
    """Send its stop signal, SIGKILL after 5 s, start it again, and wait until it is ready."""

    kind: ClassVar[str] = "restart"
    summary: ClassVar[str] = "the target is stopped and started again"
    needs_port: ClassVar[bool] = False

    within: Annotated[
        PositiveDurationSeconds, Meta(description="How long it may take until the target is ready again.")
    ] = 30.0

    @property
    @override
    def needs_detection(self) -> bool:
        return False

    @override
    def inject(self, site: FaultSite) -> None:
        site.instances_before = site.instances
        if site.process:
            stop_process(site)
            site.process.start()
        else:
            reject_auto_remove(site)
            site.act_on_containers("start_container", _restart_container, STOP_GRACE + ENGINE_SETTLE_TIMEOUT)
        await_ready(site, self.within)

    @override
    def verify_injected(self, site: FaultSite) -> Message | None:
        instances = site.instances
        if not instances or instances & site.instances_before:
            return None
        return msg("{target} was stopped, started again, and is ready", target=self.target)

    @override
    def revert(self, site: FaultSite) -> None:
        if site.process:
            site.process.start()
        site.revert_all()

    @override
    def verify_reverted(self, site: FaultSite) -> Message | None:
        return restart_and_verify(site)

    @override
    def max_duration(self) -> float:
        return super().max_duration() + STOP_GRACE + self.within

    @override
    def describe(self) -> Message:
        return msg("restart {target}, and wait until it is ready", target=self.target)


def _restart_container(container: Container) -> None:
    container.handle.stop(timeout=STOP_GRACE)
    container.handle.start()


def stop_process(site: FaultSite) -> None:
    """Stop a process with all its descendants. Raise OperationFailedError if one survives."""
    assert site.process is not None
    site.process.stop(grace=STOP_GRACE)
    if site.process.members:
        raise OperationFailedError(
            msg("a process of {target} is still running after SIGKILL", target=site.running.name)
        )


def await_ready(site: FaultSite, within: float) -> None:
    """Wait until the target is ready as the checklist says, or its port accepts connections.

    Raise OperationFailedError with the error line of its log if it is not.
    """
    ready = site.ready
    if ready is None and site.running.ports and verify_up(site) is None:
        ready = Ready(tcp=site.running.backend_ports[0])
    if ready is None:
        return
    failure = wait_until_ready(structs.replace(ready, within=within), site.running, site.cancelled)
    if failure is None or site.cancelled.is_set():
        return
    log = site.process.log if site.process else "\n".join(container.log_tail for container in site.containers)
    line = find_error_line(log, exited=not site.instances)
    failure = msg("{why}: {line}", why=failure, line=line) if line else failure
    raise OperationFailedError(msg("{target} is not ready: {why}", target=site.running.name, why=failure))
