"""`disconnect`: the network to the dependency is gone; the dependency itself does not notice."""

from __future__ import annotations

from contextlib import ExitStack
from typing import ClassVar, Literal

from gate.messages import Message, say
from gate.staging.engine import client
from gate.staging.faults.base import Site, TargetFault, open_port
from gate.staging.faults.stop import runs


class Disconnect(TargetFault):
    """Take a container off all its networks, and put it back with the names that it had."""

    kind: ClassVar[str] = "disconnect"
    summary: ClassVar[str] = "the network to the dependency is gone"
    of_process: ClassVar[Literal["yes", "behind", "no"]] = "no"

    def inject(self, site: Site) -> None:
        site.keep_places()
        with ExitStack() as acts:
            for place in site.places:
                acts.enter_context(site.act("connect_container", **place))
            for place in site.places:
                client().networks.get(place["network"]).disconnect(site.container.handle, force=True)

    def holds(self, site: Site) -> Message | None:
        # Without a network no published port leads to it either; the engine is asked for both all the same.
        container = site.container
        if container.places or container.published or open_port(site) is not None:
            return None
        networks = ", ".join(str(place["network"]) for place in site.places)
        return say("{target} is off {networks} and its port is out of reach", target=self.target, networks=networks)

    def gone(self, site: Site) -> Message | None:
        return runs(site) if site.is_back() else None
