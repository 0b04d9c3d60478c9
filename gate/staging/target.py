"""A target during a run: its address, and the handles with which it is stopped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit, urlunsplit

from msgspec import Struct, structs

from gate.core.messages import Message
from gate.staging.spec import ADDRESS_REFERENCE

if TYPE_CHECKING:
    from gate.staging.container import Container
    from gate.staging.pages import PageInbox
    from gate.staging.process import Process
    from gate.staging.proxy import ProxyThread


class RunningTarget(Struct, frozen=True):
    """A target of this run. `failure` says why it is not ready; it is None if it is.

    `host` is the name or address at which the gate reaches its `ports`; `base_url` is empty if it has no URL. Both
    change with the container's address: `refreshed` returns the current ones.
    `located` is False if it was neither found nor started: whatever responds at its address is something else.
    """

    name: str
    kind: Literal["url", "container", "service", "image", "build", "command"] = "url"
    base_url: str = ""
    host: str = ""
    ports: tuple[int, ...] = ()
    proxy: ProxyThread | None = None
    # The port of the process itself, if the proxy listens on the port in `ports`.
    backend_port: int | None = None
    # The containers that it consists of: several if a Compose service has replicas.
    containers: tuple[Container, ...] = ()
    # All replicas of its service, if `containers` are only some of them.
    replicas: tuple[Container, ...] = ()
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
    def container(self) -> Container | None:
        """Return the first of its containers; None if it has none."""
        return next(iter(self.containers), None)

    @property
    def service_containers(self) -> tuple[Container, ...]:
        """Return the containers that answer to its name."""
        return self.replicas or self.containers

    @property
    def backend_ports(self) -> tuple[int, ...]:
        """Return the ports on which the target itself listens, not the proxy in front of it."""
        return self.ports if self.backend_port is None else (self.backend_port,)

    def refreshed(self) -> RunningTarget:
        """Return the target with the current address of its container."""
        container = self.container
        if container is None:
            return self
        host, parts = container.host, urlsplit(self.base_url)
        # Another host, such as `localhost`, stays. A certificate is for a name, so the host of an https URL stays, too.
        if parts.scheme != "http" or parts.hostname not in (self.host.lower(), container.alias.lower()):
            return structs.replace(self, host=host)
        address = f"[{host}]" if ":" in host else host
        netloc = parts.netloc.rpartition("@")[0] + ("@" if "@" in parts.netloc else "") + address
        netloc += f":{parts.port}" if parts.port else ""
        return structs.replace(self, host=host, base_url=urlunsplit(parts._replace(netloc=netloc)))

    def address_part(self, part: str, *, in_container: bool) -> str:
        """Return its `host`, `port` or `address`, as seen from another container or from the gate's place."""
        host = self.container.alias if self.container and in_container else self.host
        port = next(iter(self.ports), 0)
        return {"host": host, "port": str(port)}.get(part, f"{host}:{port}")

    @property
    def ready(self) -> bool:
        """Return whether it became ready in time."""
        return self.failure is None


def fill_addresses(text: str, targets: Mapping[str, RunningTarget], *, in_container: bool = False) -> str:
    """Replace `{NAME.host}`, `{NAME.port}` and `{NAME.address}` of targets in a text; other braces stay.

    `in_container`: the text is for another container, which resolves aliases on its network.
    """

    def replacement(reference: re.Match[str]) -> str:
        target = targets.get(reference[1])
        if target is None or reference[2] == "config":
            return reference[0]
        return target.address_part(reference[2], in_container=in_container)

    return ADDRESS_REFERENCE.sub(replacement, text)


def host_of(url: str) -> str:
    """Return the host of a URL, without port and credentials."""
    return urlsplit(url).hostname or ""
