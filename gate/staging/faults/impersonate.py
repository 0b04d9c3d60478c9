"""`impersonate`: somebody else answers in the dependency's place: with a status, late, or by closing the connection."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from gate.core.messages import Message, msg
from gate.decode.quantities import DurationSeconds
from gate.staging.faults._proxy_faults import alone, connect, handled_count, install_proxy, is_removed, remove_proxy
from gate.staging.faults.base import FaultSite, TargetFault
from gate.staging.faults.stop import runs
from gate.staging.proxy import ProxyBehaviour

_PROBE = 5.0


class Impersonate(TargetFault):
    """Puts a stub in its place."""

    kind: ClassVar[str] = "impersonate"
    summary: ClassVar[str] = "a stub answers in the dependency's place"
    process_support: ClassVar[Literal["yes", "behind", "no"]] = "behind"

    status: Annotated[
        Annotated[int, Meta(ge=100, le=599)] | None,
        Meta(description="The HTTP status that every request is answered with."),
    ] = None
    delay: Annotated[DurationSeconds, Meta(description="How long an answer takes.")] = 0.0
    close: Annotated[bool, Meta(description="Whether connections are closed without an answer.")] = False

    def __post_init__(self) -> None:
        if (self.status is None) != self.close:
            raise ValueError("expected exactly one of 'status' and 'close: true'")

    def inject(self, site: FaultSite) -> None:
        install_proxy(site, ProxyBehaviour(status=self.status, delay=self.delay, close=self.close))

    def verify_injected(self, site: FaultSite) -> Message | None:
        if not alone(site):
            return None
        before = handled_count(site)
        if not self._answers(site):
            return None
        after = handled_count(site)
        if after <= before:
            return None
        return msg("the stub has answered in the place of {target}, {count} times", target=self.target, count=after)

    def _answers(self, site: FaultSite) -> bool:
        """Whether a request is answered as the stub would."""
        try:
            with connect(site, self.delay + _PROBE) as connection:
                connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                response = connection.recv(1024)
        except OSError:
            return self.close
        return response == b"" if self.close else response.startswith(f"HTTP/1.1 {self.status} ".encode())

    def max_duration(self) -> float:
        return super().max_duration() + self.delay + _PROBE

    def revert(self, site: FaultSite) -> None:
        remove_proxy(site)

    def verify_reverted(self, site: FaultSite) -> Message | None:
        return runs(site) if is_removed(site) else None
