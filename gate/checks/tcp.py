"""The check `tcp`: a port accepts a connection."""

from __future__ import annotations

import shlex
import time
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from gate import http
from gate.checks.base import CannotObserve, Check, Judgement, TargetName, failed, must_be_there, passed
from gate.checks.world import World
from gate.messages import say
from gate.model import SomeText
from gate.quantities import duration


class Seen(Struct, frozen=True):
    """Where the connection was accepted, or why not; seconds."""

    place: str
    took: float
    failure: http.HttpFailure | None = None


class Tcp(Check[Seen]):
    """A port and whether it accepts a connection."""

    kind: ClassVar[str] = "tcp"
    summary: ClassVar[str] = "a port accepts a connection"

    target: Annotated[TargetName | None, Meta(description="The target whose port is asked.")] = None
    host: Annotated[SomeText | None, Meta(description="The host to ask, instead of a target.")] = None
    port: Annotated[
        Annotated[int, Meta(ge=1, le=65535)] | None, Meta(description="The port; without it, the target's own.")
    ] = None

    def __post_init__(self) -> None:
        if (self.target is None) == (self.host is None):
            raise ValueError("expected exactly one of 'target' and 'host'")
        if self.host is not None and self.port is None:
            raise ValueError("expected a 'port' beside 'host'")

    def asked(self, world: World) -> str:
        host, port = self._place(world)
        return f"tcp://{host}:{port}"

    def reproduce(self, world: World) -> str:
        host, port = self._place(world)
        return f"timeout 5 bash -c {shlex.quote(f'</dev/tcp/{host}/{port}')}"

    def observe(self, world: World) -> Seen:
        if self.target is not None:
            must_be_there(world, self.target)
        host, port = self._place(world)
        place, began = f"{host}:{port}", time.monotonic()
        phase: http.Phase = "look-up"
        try:
            addresses = http.look_up(host, port, world.deadline)
            phase = "connect"
            http.connect(addresses, world.deadline).close()
        except (OSError, ValueError) as error:
            return Seen(place, time.monotonic() - began, http.failure_of(phase, error, http.Timings()))
        return Seen(place, time.monotonic() - began)

    def _place(self, world: World) -> tuple[str, int]:
        if self.target is None:
            assert self.host is not None
            assert self.port is not None
            return self.host, self.port
        staged = world.targets[self.target]
        port = (
            self.port
            or next(iter(staged.ports), None)
            or (http.origin(staged.base_url)[2] if staged.base_url else None)
        )
        if not staged.host or not port:
            why = staged.why_not or say("the checklist gives it none")
            raise CannotObserve(say("{target} has no address: {why}", target=self.target, why=why), final=True)
        return staged.host, port

    def judge(self, seen: Seen) -> Judgement:
        took = duration(seen.took)
        if seen.failure:
            return failed(say("{place}: {why}", place=seen.place, why=seen.failure.message), answer=f"after {took}")
        return passed(say("{place} accepted a connection in {took}", place=seen.place, took=took))
