"""`disconnect`: the network to the dependency is gone; the dependency itself does not notice."""

from __future__ import annotations

from typing import ClassVar, Literal

from gate.messages import Message, say
from gate.staging.engine import client
from gate.staging.faults.base import NoFault, Site, TargetFault, open_port
from gate.staging.faults.stop import up


class Disconnect(TargetFault):
    """Takes a container off the job's network, and puts it back with the names that it had."""

    kind: ClassVar[str] = "disconnect"
    summary: ClassVar[str] = "the network to the dependency is gone"
    of_process: ClassVar[Literal["yes", "behind", "no"]] = "no"

    def inject(self, site: Site) -> None:
        container = site.container
        if container.network is None:
            raise NoFault(say("{target} shares no network with the gate", target=self.target))
        with site.act("connect_container", **container.place):
            client().networks.get(container.network).disconnect(container.handle, force=True)

    def holds(self, site: Site) -> Message | None:
        if site.container.endpoint or open_port(site) is not None:
            return None
        return say("{target} is off the network and its port is out of reach", target=self.target)

    def gone(self, site: Site) -> Message | None:
        return up(site) if site.container.endpoint else None
