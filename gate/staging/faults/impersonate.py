"""`impersonate`: replace the dependency with a stub that returns a status, delays, or closes connections."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta

from gate.core.messages import Message, msg
from gate.core.override import override
from gate.decode.quantities import DurationSeconds
from gate.staging.faults._proxy_faults import (
    ProxyFault,
    connect,
    handled_count,
    install_proxy,
    probe_every_network,
    proxy_owns_names,
)
from gate.staging.faults.base import FaultSite
from gate.staging.proxy import ProxyBehaviour

# Seconds that a probe may take beyond `delay`.
_PROBE_MARGIN = 5.0


class Impersonate(ProxyFault):
    """Install a stub in the dependency's place."""

    kind: ClassVar[str] = "impersonate"
    summary: ClassVar[str] = "a stub responds in the dependency's place"

    status: Annotated[
        Annotated[int, Meta(ge=100, le=599)] | None,
        Meta(description="The HTTP status of every response."),
    ] = None
    delay: Annotated[DurationSeconds, Meta(description="The delay of each response.")] = 0.0
    close: Annotated[bool, Meta(description="Whether connections are closed without a response.")] = False

    def __post_init__(self) -> None:
        if (self.status is None) != self.close:
            raise ValueError("expected exactly one of 'status' and 'close: true'")

    @override
    def inject(self, site: FaultSite) -> None:
        install_proxy(site, ProxyBehaviour(status=self.status, delay=self.delay, close=self.close))

    @override
    def verify_injected(self, site: FaultSite) -> Message | None:
        if not proxy_owns_names(site):
            return None
        before = handled_count(site)
        responses = probe_every_network(site, lambda host: self._stub_responds(site, host) or None)
        after = handled_count(site)
        if not responses or after < before + len(responses):
            return None
        return msg("the stub responds in place of {target} (connections: {count})", target=self.target, count=after)

    def _stub_responds(self, site: FaultSite, host: str) -> bool:
        """Return whether a request gets the stub's response."""
        try:
            with connect(site, host, self.delay + _PROBE_MARGIN) as connection:
                connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                response = connection.recv(1024)
        except OSError:
            return self.close
        return response == b"" if self.close else response.startswith(f"HTTP/1.1 {self.status} ".encode())

    @override
    def max_duration(self) -> float:
        return super().max_duration() + self.delay + _PROBE_MARGIN
