"""`slow`: delay, cut or reset the connections to the dependency with a proxy."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from gate.core.messages import Message, join_messages, msg
from gate.core.override import override
from gate.decode.quantities import DurationSeconds, PositiveDurationSeconds, format_duration
from gate.staging.faults._proxy_faults import (
    broken_count,
    handled_count,
    install_proxy,
    is_removed,
    measure_idle_lifetime,
    measure_latency,
    proxy_owns_names,
    remove_proxy,
)
from gate.staging.faults.base import FaultSite, TargetFault
from gate.staging.faults.stop import verify_running
from gate.staging.proxy import ProxyBehaviour

# Seconds that a probe may take beyond the expected duration.
_PROBE_MARGIN = 3.0


class Slow(TargetFault):
    """Install a proxy in front of the dependency that delays, cuts or resets connections."""

    kind: ClassVar[str] = "slow"
    summary: ClassVar[str] = "connections to the dependency are slow, or break"
    process_support: ClassVar[Literal["yes", "behind_proxy", "no"]] = "behind_proxy"

    latency: Annotated[DurationSeconds, Meta(description="The delay in each direction.")] = 0.0
    jitter: Annotated[DurationSeconds, Meta(description="The random variation of the delay, plus or minus.")] = 0.0
    cut: Annotated[PositiveDurationSeconds | None, Meta(description="The time after which a connection is cut.")] = None
    reset: Annotated[bool, Meta(description="Whether connections are reset immediately.")] = False

    def __post_init__(self) -> None:
        if not (self.latency or self.cut or self.reset):
            raise ValueError("expected at least one of 'latency', 'cut' and 'reset'")
        if self.reset and (self.latency or self.cut):
            raise ValueError(
                "expected 'reset' alone: a connection that is reset immediately has no 'latency' and no 'cut'"
            )
        if self.jitter and self.jitter >= self.latency:
            raise ValueError("expected 'jitter' below 'latency', else there may be no delay")
        if self.cut and self.cut <= self.latency + self.jitter:
            raise ValueError("expected 'cut' above 'latency' plus 'jitter', else no delay can be observed")

    @override
    def inject(self, site: FaultSite) -> None:
        install_proxy(site, ProxyBehaviour(latency=self.latency, jitter=self.jitter, cut=self.cut, reset=self.reset))

    @override
    def verify_injected(self, site: FaultSite) -> Message | None:
        if not proxy_owns_names(site):
            return None
        proofs = [self._verify_delayed] if self.latency else []
        proofs += [self._verify_broken] if self.reset or self.cut else []
        messages = [message for message in (proof(site) for proof in proofs) if message]
        return join_messages(messages) if len(messages) == len(proofs) else None

    def _verify_broken(self, site: FaultSite) -> Message | None:
        """Return the proof that an idle connection lasted until `cut` and was ended by the proxy."""
        # The proxy counts the connections that it ends: one that somebody else ended proves nothing.
        before, cut = broken_count(site), self.cut or 0.0
        lifetime = measure_idle_lifetime(site, cut + _PROBE_MARGIN)
        if lifetime is None or lifetime < cut or broken_count(site) <= before:
            return None
        return msg(
            "a connection to {target} was broken after {lasted}", target=self.target, lasted=format_duration(lifetime)
        )

    def _verify_delayed(self, site: FaultSite) -> Message | None:
        """Return the proof that data is delayed by the proxy."""
        before = handled_count(site)
        duration = measure_latency(site, self.latency + self.jitter + _PROBE_MARGIN)
        if duration is None or duration < self.latency - self.jitter or handled_count(site) <= before:
            return None
        return msg("a probe through the proxy took {took}", took=format_duration(duration))

    @override
    def max_duration(self) -> float:
        return super().max_duration() + self.latency + self.jitter + (self.cut or 0.0) + 2 * _PROBE_MARGIN

    @override
    def revert(self, site: FaultSite) -> None:
        remove_proxy(site)

    @override
    def verify_reverted(self, site: FaultSite) -> Message | None:
        return verify_running(site) if is_removed(site) else None
