"""`disconnect`: the network to the dependency is gone; the dependency itself does not notice."""

from __future__ import annotations

from contextlib import ExitStack
from typing import ClassVar, Literal

from gate.core.messages import Message, msg
from gate.staging.docker_client import docker_client
from gate.staging.faults.base import FaultSite, TargetFault, first_open_port
from gate.staging.faults.stop import runs


class Disconnect(TargetFault):
    """Take a container off all its networks, and put it back with the names that it had."""

    kind: ClassVar[str] = "disconnect"
    summary: ClassVar[str] = "the network to the dependency is gone"
    process_support: ClassVar[Literal["yes", "behind", "no"]] = "no"

    def inject(self, site: FaultSite) -> None:
        site.keep_places()
        with ExitStack() as acts:
            for place in site.places:
                acts.enter_context(site.journaled("connect_container", **place))
            for place in site.places:
                docker_client().networks.get(place["network"]).disconnect(site.container.handle, force=True)

    def verify_injected(self, site: FaultSite) -> Message | None:
        # Without a network no published port leads to it either; the engine is asked for both all the same.
        container = site.container
        if container.places or container.published or first_open_port(site) is not None:
            return None
        networks = ", ".join(str(place["network"]) for place in site.places)
        return msg("{target} is off {networks} and its port is out of reach", target=self.target, networks=networks)

    def verify_reverted(self, site: FaultSite) -> Message | None:
        return runs(site) if site.is_back() else None
