"""`disconnect`: disconnect the dependency from its networks while it keeps running."""

from __future__ import annotations

from contextlib import ExitStack
from typing import ClassVar, Literal

from gate.core.messages import Message, msg
from gate.core.override import override
from gate.staging.docker_client import docker_client
from gate.staging.faults.base import FaultSite, TargetFault, first_open_port
from gate.staging.faults.stop import verify_running


class Disconnect(TargetFault):
    """Disconnect a container from all its networks; the revert restores its aliases."""

    kind: ClassVar[str] = "disconnect"
    summary: ClassVar[str] = "the network to the dependency is gone"
    process_support: ClassVar[Literal["yes", "behind_proxy", "no"]] = "no"

    @override
    def inject(self, site: FaultSite) -> None:
        site.record_networks()
        with ExitStack() as actions:
            for config in site.network_configs:
                actions.enter_context(site.journaled("connect_container", **config))
            for config in site.network_configs:
                docker_client().networks.get(config["network"]).disconnect(config["container"], force=True)

    @override
    def verify_injected(self, site: FaultSite) -> Message | None:
        # Without a network no published port should lead to it either: check both, and connect.
        published = any(container.published_ports for container in site.containers)
        if published or site.current_network_configs() or first_open_port(site) is not None:
            return None
        networks = ", ".join(dict.fromkeys(str(config["network"]) for config in site.network_configs))
        return msg(
            "{target} is disconnected from {networks} and its port cannot be reached",
            target=self.target,
            networks=networks,
        )

    @override
    def verify_reverted(self, site: FaultSite) -> Message | None:
        return verify_running(site) if site.networks_restored() else None
