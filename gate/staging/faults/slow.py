"""`slow`: the way to the dependency is slow, or breaks: a proxy of ours delays, cuts or resets its connections."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from gate.core.messages import Message, join_messages, msg
from gate.decode.quantities import DurationSeconds, PositiveDurationSeconds, format_duration
from gate.staging.faults._proxy_faults import (
    alone,
    broken_count,
    handled_count,
    install_proxy,
    is_removed,
    measure_idle_lifetime,
    measure_latency,
    remove_proxy,
)
from gate.staging.faults.base import FaultSite, TargetFault
from gate.staging.faults.stop import runs
from gate.staging.proxy import ProxyBehaviour

_MORE = 3.0
"""Seconds that a probe may take beyond what is expected."""


class Slow(TargetFault):
    """Puts a proxy in front of it."""

    kind: ClassVar[str] = "slow"
    summary: ClassVar[str] = "the way to the dependency is slow, or breaks"
    process_support: ClassVar[Literal["yes", "behind", "no"]] = "behind"

    latency: Annotated[DurationSeconds, Meta(description="How much later everything arrives, each way.")] = 0.0
    jitter: Annotated[DurationSeconds, Meta(description="How much more or less than that it may be.")] = 0.0
    cut: Annotated[
        PositiveDurationSeconds | None, Meta(description="How long a connection lasts before it is cut.")
    ] = None
    reset: Annotated[bool, Meta(description="Whether connections are reset at once.")] = False

    def __post_init__(self) -> None:
        if not (self.latency or self.cut or self.reset):
            raise ValueError("expected at least one of 'latency', 'cut' and 'reset'")
        if self.reset and (self.latency or self.cut):
            raise ValueError("expected 'reset' alone: what is reset at once is not late, nor cut")
        if self.jitter and self.jitter >= self.latency:
            raise ValueError("expected 'jitter' below 'latency', else nothing need be late")
        if self.cut and self.cut <= self.latency + self.jitter:
            raise ValueError("expected 'cut' above 'latency' and 'jitter', else nothing is late")

    def inject(self, site: FaultSite) -> None:
        install_proxy(site, ProxyBehaviour(latency=self.latency, jitter=self.jitter, cut=self.cut, reset=self.reset))

    def verify_injected(self, site: FaultSite) -> Message | None:
        if not alone(site):
            return None
        proofs = [self._late] if self.latency else []
        proofs += [self._broken] if self.reset or self.cut else []
        found = [message for message in (proof(site) for proof in proofs) if message]
        return join_messages(found) if len(found) == len(proofs) else None

    def _broken(self, site: FaultSite) -> Message | None:
        """An idle connection lasts as long as it should, and ours has counted that it has ended it."""
        before, cut = broken_count(site), self.cut or 0.0
        lasted = measure_idle_lifetime(site, cut + _MORE)
        if lasted is None or lasted < cut or broken_count(site) <= before:
            return None
        return msg(
            "a connection to {target} was broken after {lasted}", target=self.target, lasted=format_duration(lasted)
        )

    def _late(self, site: FaultSite) -> Message | None:
        before = handled_count(site)
        duration = measure_latency(site, self.latency + self.jitter + _MORE)
        if duration is None or duration < self.latency - self.jitter or handled_count(site) <= before:
            return None
        return msg("a probe through the proxy took {took}", took=format_duration(duration))

    def max_duration(self) -> float:
        return super().max_duration() + self.latency + self.jitter + (self.cut or 0.0) + 2 * _MORE

    def revert(self, site: FaultSite) -> None:
        remove_proxy(site)

    def verify_reverted(self, site: FaultSite) -> Message | None:
        return runs(site) if is_removed(site) else None
