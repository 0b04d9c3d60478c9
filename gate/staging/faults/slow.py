"""`slow`: the way to the dependency is slow, or breaks: a proxy of ours delays, cuts or resets its connections."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from gate.messages import Message, say, together
from gate.quantities import Duration, PositiveDuration, duration
from gate.staging.faults.base import Site, TargetFault
from gate.staging.faults.behind import alone, away, broken, lifetime, probe, put, served, take_away
from gate.staging.faults.stop import runs
from gate.staging.proxy import Mode

_MORE = 3.0
"""Seconds that a probe may take beyond what is expected."""


class Slow(TargetFault):
    """Puts a proxy in front of it."""

    kind: ClassVar[str] = "slow"
    summary: ClassVar[str] = "the way to the dependency is slow, or breaks"
    of_process: ClassVar[Literal["yes", "behind", "no"]] = "behind"

    latency: Annotated[Duration, Meta(description="How much later everything arrives, each way.")] = 0.0
    jitter: Annotated[Duration, Meta(description="How much more or less than that it may be.")] = 0.0
    cut: Annotated[PositiveDuration | None, Meta(description="How long a connection lasts before it is cut.")] = None
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

    def inject(self, site: Site) -> None:
        put(site, Mode(latency=self.latency, jitter=self.jitter, cut=self.cut, reset=self.reset))

    def holds(self, site: Site) -> Message | None:
        if not alone(site):
            return None
        proofs = [self._late] if self.latency else []
        proofs += [self._broken] if self.reset or self.cut else []
        found = [message for message in (proof(site) for proof in proofs) if message]
        return together(found) if len(found) == len(proofs) else None

    def _broken(self, site: Site) -> Message | None:
        """An idle connection lasts as long as it should, and ours has counted that it has ended it."""
        before, cut = broken(site), self.cut or 0.0
        lasted = lifetime(site, cut + _MORE)
        if lasted is None or lasted < cut or broken(site) <= before:
            return None
        return say("a connection to {target} was broken after {lasted}", target=self.target, lasted=duration(lasted))

    def _late(self, site: Site) -> Message | None:
        before = served(site)
        took = probe(site, self.latency + self.jitter + _MORE)
        if took is None or took < self.latency - self.jitter or served(site) <= before:
            return None
        return say("a probe through the proxy took {took}", took=duration(took))

    def takes(self) -> float:
        return super().takes() + self.latency + self.jitter + (self.cut or 0.0) + 2 * _MORE

    def undo(self, site: Site) -> None:
        take_away(site)

    def gone(self, site: Site) -> Message | None:
        return runs(site) if away(site) else None
