"""A target that the run knows how to reach: what a target of the checklist has become."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from msgspec import Struct

from gate.core.messages import Message

if TYPE_CHECKING:
    from gate.staging.container import Container
    from gate.staging.process import Process
    from gate.staging.proxy import ProxyThread


class RunningTarget(Struct, frozen=True):
    """A target with its address, and a handle on what can be stopped. `why_not` is None when it came up."""

    name: str
    kind: Literal["url", "container", "image", "build", "command"] = "url"
    base_url: str = ""
    """`http://api:8080`; empty where the target has no URL."""
    host: str = ""
    """Name or address under which its ports are reached from the gate."""
    ports: tuple[int, ...] = ()
    """The ports on which it is known to answer."""
    proxy: ProxyThread | None = None
    """Ours in front of it, where it has one."""
    backend_port: int | None = None
    """Its own port, where ours stands in front of it."""
    container: Container | None = None
    process: Process | None = None
    placed: bool = True
    """Whether it was found or started. What answers at the address of one that was not is something else."""
    failure: Message | None = None
    advice: Message | None = None
    """What to do where it is not ready."""
    root_cause: str = ""
    log: str = ""
    duration: float = 0.0

    @property
    def backend_ports(self) -> tuple[int, ...]:
        """The ports on which it answers itself, and nothing of ours in its place."""
        return self.ports if self.backend_port is None else (self.backend_port,)

    @property
    def ready(self) -> bool:
        """Whether it came up in time."""
        return self.failure is None


def host_of(url: str) -> str:
    """The host of a URL, without port and credentials."""
    return urlsplit(url).hostname or ""
