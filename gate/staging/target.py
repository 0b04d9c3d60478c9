"""A target during a run: its address, and the handles with which it is stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from msgspec import Struct

from gate.core.messages import Message

if TYPE_CHECKING:
    from gate.staging.container import Container
    from gate.staging.pages import PageInbox
    from gate.staging.process import Process
    from gate.staging.proxy import ProxyThread


class RunningTarget(Struct, frozen=True):
    """A target of this run. `failure` says why it is not ready; it is None if it is.

    `host` is the name or address at which the gate reaches its `ports`; `base_url` is empty if it has no URL.
    `located` is False if it was neither found nor started: whatever responds at its address is something else.
    """

    name: str
    kind: Literal["url", "container", "image", "build", "command"] = "url"
    base_url: str = ""
    host: str = ""
    ports: tuple[int, ...] = ()
    proxy: ProxyThread | None = None
    # The port of the process itself, if the proxy listens on the port in `ports`.
    backend_port: int | None = None
    container: Container | None = None
    process: Process | None = None
    # What arrives in the place of the receivers, if it is an Alertmanager with `pages`.
    inbox: PageInbox | None = None
    located: bool = True
    failure: Message | None = None
    advice: Message | None = None
    root_cause: str = ""
    log: str = ""
    duration: float = 0.0

    @property
    def backend_ports(self) -> tuple[int, ...]:
        """Return the ports on which the target itself listens, not the proxy in front of it."""
        return self.ports if self.backend_port is None else (self.backend_port,)

    @property
    def ready(self) -> bool:
        """Return whether it became ready in time."""
        return self.failure is None


def host_of(url: str) -> str:
    """Return the host of a URL, without port and credentials."""
    return urlsplit(url).hostname or ""
