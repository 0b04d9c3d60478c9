"""`slow`: delay, cut or reset the connections to the dependency with a proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from msgspec import Meta

from gate.core.messages import Message, join_messages, msg
from gate.core.override import override
from gate.decode.quantities import (
    DURATION_SCHEMA,
    DurationSeconds,
    PositiveDurationSeconds,
    format_duration,
    parse_duration,
)
from gate.decode.structs import custom_type
from gate.staging.faults._proxy_faults import (
    ProxyFault,
    broken_count,
    change_latency,
    handled_count,
    install_proxy,
    measure_idle_lifetime,
    measure_latency,
    probe_every_network,
    proxy_owns_names,
)
from gate.staging.faults.base import FaultSite, FaultStep
from gate.staging.proxy import ProxyBehaviour


def _parse_latencies(value: Any) -> tuple[float, ...]:
    """Return the latencies in seconds: none for 0, one, or a list in ascending order."""
    if not isinstance(value, list):
        latency = parse_duration(value)
        return (latency,) if latency else ()
    latencies = tuple(parse_duration(entry) for entry in value)
    if len(latencies) < 2 or not latencies[0] or sorted(set(latencies)) != list(latencies):
        raise ValueError("expected at least two latencies of more than 0s, in ascending order")
    return latencies


if TYPE_CHECKING:
    Latencies = tuple[float, ...]
else:
    Latencies = custom_type(
        _parse_latencies,
        {"anyOf": [DURATION_SCHEMA, {"type": "array", "items": DURATION_SCHEMA, "minItems": 2}]},
    )
# Seconds that a probe may take beyond the expected duration.
_PROBE_MARGIN = 3.0


class Slow(ProxyFault):
    """Install a proxy in front of the dependency that delays, cuts or resets connections."""

    kind: ClassVar[str] = "slow"
    summary: ClassVar[str] = "connections to the dependency are slow, or break"

    latency: Annotated[
        Latencies,
        Meta(description="The delay in each direction; a list is tried step by step until an observation fails."),
    ] = ()
    withstand: Annotated[
        DurationSeconds | None,
        Meta(description="With a list: the latency that must be withstood; by default the first."),
    ] = None
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
        if self.jitter and self.jitter >= self._delay:
            raise ValueError("expected 'jitter' below 'latency', else there may be no delay")
        if self.cut and self.cut <= max(self.latency, default=0.0) + self.jitter:
            raise ValueError("expected 'cut' above 'latency' plus 'jitter', else no delay can be observed")
        if self.withstand is not None and (not self.is_sweep or self.withstand not in self.latency):
            raise ValueError("expected 'withstand' to be one of several latencies")

    @property
    def is_sweep(self) -> bool:
        """Return whether the latency is raised step by step."""
        return len(self.latency) > 1

    @property
    def _delay(self) -> float:
        """Return the first latency, or 0."""
        return next(iter(self.latency), 0.0)

    @property
    @override
    def needs_detection(self) -> bool:
        return not self.is_sweep

    @override
    def steps(self) -> list[FaultStep]:
        if not self.is_sweep:
            return []
        required = self.latency[0] if self.withstand is None else self.withstand
        return [
            FaultStep(self.replace(latency=(latency,), withstand=None), format_duration(latency), latency <= required)
            for latency in self.latency
        ]

    @override
    def change(self, site: FaultSite) -> None:
        change_latency(site, ProxyBehaviour(latency=self._delay, jitter=self.jitter))

    @override
    def inject(self, site: FaultSite) -> None:
        install_proxy(site, ProxyBehaviour(latency=self._delay, jitter=self.jitter, cut=self.cut, reset=self.reset))

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
        lifetimes = probe_every_network(site, lambda host: measure_idle_lifetime(site, host, cut + _PROBE_MARGIN))
        if not lifetimes or min(lifetimes) < cut or broken_count(site) < before + len(lifetimes):
            return None
        lasted = format_duration(max(lifetimes))
        return msg("a connection to {target} was broken after {lasted}", target=self.target, lasted=lasted)

    def _verify_delayed(self, site: FaultSite) -> Message | None:
        """Return the proof that data is delayed by the proxy."""
        before = handled_count(site)
        timeout = self._delay + self.jitter + _PROBE_MARGIN
        durations = probe_every_network(site, lambda host: measure_latency(site, host, timeout))
        if not durations or min(durations) < self._delay - self.jitter:
            return None
        if handled_count(site) < before + len(durations):
            return None
        return msg("a probe through the proxy took {took}", took=format_duration(min(durations)))

    @override
    def max_duration(self) -> float:
        return super().max_duration() + sum(self.latency) + self.jitter + (self.cut or 0.0) + 2 * _PROBE_MARGIN
