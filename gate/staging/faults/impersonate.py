"""`impersonate`: somebody else answers in the dependency's place: with a status, late, or by closing the connection."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from gate.messages import Message, say
from gate.quantities import Duration
from gate.staging.faults.base import Site, TargetFault
from gate.staging.faults.behind import alone, away, connect, put, served, take_away
from gate.staging.faults.stop import runs
from gate.staging.proxy import Mode

_PROBE = 5.0


class Impersonate(TargetFault):
    """Puts a stub in its place."""

    kind: ClassVar[str] = "impersonate"
    summary: ClassVar[str] = "a stub answers in the dependency's place"
    of_process: ClassVar[Literal["yes", "behind", "no"]] = "behind"

    status: Annotated[
        Annotated[int, Meta(ge=100, le=599)] | None,
        Meta(description="The HTTP status that every request is answered with."),
    ] = None
    delay: Annotated[Duration, Meta(description="How long an answer takes.")] = 0.0
    close: Annotated[bool, Meta(description="Whether connections are closed without an answer.")] = False

    def __post_init__(self) -> None:
        if (self.status is None) != self.close:
            raise ValueError("expected exactly one of 'status' and 'close: true'")

    def inject(self, site: Site) -> None:
        put(site, Mode(status=self.status, delay=self.delay, close=self.close))

    def holds(self, site: Site) -> Message | None:
        if not alone(site):
            return None
        before = served(site)
        if not self._answers(site):
            return None
        after = served(site)
        if after <= before:
            return None
        return say("the stub has answered in the place of {target}, {count} times", target=self.target, count=after)

    def _answers(self, site: Site) -> bool:
        """Whether a request is answered as the stub would."""
        try:
            with connect(site, self.delay + _PROBE) as connection:
                connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                answer = connection.recv(1024)
        except OSError:
            return self.close
        return answer == b"" if self.close else answer.startswith(f"HTTP/1.1 {self.status} ".encode())

    def takes(self) -> float:
        return super().takes() + self.delay + _PROBE

    def undo(self, site: Site) -> None:
        take_away(site)

    def gone(self, site: Site) -> Message | None:
        return runs(site) if away(site) else None
