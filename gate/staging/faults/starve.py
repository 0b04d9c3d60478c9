"""`starve`: limit the CPU time of the target, as on a crowded machine."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from msgspec import Meta

from gate.core.messages import Message, msg
from gate.core.override import override
from gate.decode.quantities import SHARE_SCHEMA, format_share, parse_share
from gate.decode.structs import custom_type
from gate.staging.container import Container
from gate.staging.docker_client import docker_client
from gate.staging.faults.base import FaultError, FaultSite, TargetFault
from gate.staging.faults.stop import verify_running
from gate.staging.revert import UNLIMITED_CPU

# Microseconds: the kernel's default period, and the smallest quota that it accepts.
_DEFAULT_PERIOD = 100_000
_MIN_QUOTA = 1000


def _parse_cpu(value: Any) -> float:
    share = parse_share(value)
    if share * _DEFAULT_PERIOD < _MIN_QUOTA:
        raise ValueError("expected a share of a CPU of at least 1%")
    return share


if TYPE_CHECKING:
    CpuShare = float
else:
    CpuShare = custom_type(_parse_cpu, SHARE_SCHEMA)


class Starve(TargetFault):
    """Set the CPU quota of a container."""

    kind: ClassVar[str] = "starve"
    summary: ClassVar[str] = "the dependency gets only a share of a CPU"
    needs_port: ClassVar[bool] = False
    # Only root may create a control group for a process, and in the action's container it is read-only.
    process_support: ClassVar[Literal["yes", "behind_proxy", "no"]] = "no"

    cpu: Annotated[CpuShare, Meta(description="The share of one CPU that all its processes may use together.")]

    @override
    def inject(self, site: FaultSite) -> None:
        for container in site.containers:
            self._limit(site, container)

    def _limit(self, site: FaultSite, container: Container) -> None:
        container.handle.reload()
        config = container.handle.attrs["HostConfig"]
        if config.get("NanoCpus"):
            raise FaultError(
                msg("{target} has a limit of `--cpus`, beside which Docker accepts no quota; limit it with "
                    "`--cpu-quota` instead", target=self.target)
            )  # fmt: skip
        old, new = _quota(config), self._new_quota(config)
        if old != UNLIMITED_CPU and old <= new:
            raise FaultError(
                msg("{target} already has only {cpu} of a CPU; expected a smaller share under `cpu`",
                    target=self.target, cpu=format_share(min(1.0, old / _period(config))))
            )  # fmt: skip
        with site.journaled("set_cpu_quota", container=container.id, quota=old):
            container.handle.update(cpu_quota=new)

    @override
    def verify_injected(self, site: FaultSite) -> Message | None:
        counts = [self._periods_after_limit(container) for container in site.containers]
        if not all(counts):
            return None
        return msg("{target} gets {cpu} of a CPU; the kernel counts its periods ({count})", target=self.target,
                   cpu=format_share(self.cpu), count=min(counts))  # fmt: skip

    def _periods_after_limit(self, container: Container) -> int:
        """Return the number of periods in which the kernel has enforced the quota; 0 if it is not in place."""
        container.handle.reload()
        config = container.handle.attrs["HostConfig"]
        before = _counted_periods(container.id)
        # The kernel counts the periods of a quota in which a process of the control group runs: let one run.
        with contextlib.suppress(Exception):
            container.handle.exec_run(["true"])
        after = _counted_periods(container.id)
        in_place = _quota(config) == self._new_quota(config) and after > before
        return after if in_place else 0

    @override
    def verify_reverted(self, site: FaultSite) -> Message | None:
        return verify_running(site) if not site.actions else None

    @override
    def describe(self) -> Message:
        return msg("limit {target} to {cpu} of a CPU, then revert it", target=self.target, cpu=format_share(self.cpu))

    def _new_quota(self, config: dict[str, Any]) -> int:
        """Return the quota in microseconds for each period of the container."""
        return max(_MIN_QUOTA, round(self.cpu * _period(config)))


def _period(config: dict[str, Any]) -> int:
    return int(config.get("CpuPeriod") or _DEFAULT_PERIOD)


def _quota(config: dict[str, Any]) -> int:
    """Return the quota of a container, or UNLIMITED_CPU."""
    quota = int(config.get("CpuQuota") or 0)
    return quota if quota > 0 else UNLIMITED_CPU


def _counted_periods(container: str) -> int:
    """Return for how many periods the kernel has enforced a quota on a container; 0 if it does not report that."""
    stats = docker_client().api.stats(container, stream=False, one_shot=True)
    return int(stats.get("cpu_stats", {}).get("throttling_data", {}).get("periods") or 0)
