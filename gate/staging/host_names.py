"""Explain a host name that does not resolve: its container may be on a network that the gate does not share."""

from __future__ import annotations

import socket
from typing import Any

from gate.core.messages import Message, msg
from gate.staging.docker_client import DockerUnavailableError, docker_client


def resolves(host: str) -> bool:
    """Return whether a host name resolves to an address."""
    try:
        return bool(socket.getaddrinfo(host, None))
    except OSError:
        return False


def explain_unresolved(target: str, host: str) -> Message | None:
    """Return advice if `host` does not resolve here but names a container on another network, else None."""
    if not host or resolves(host):
        return None
    from docker.errors import DockerException

    try:
        matches = [
            (container, network)
            for container in docker_client().containers.list(ignore_removed=True)
            for network in _networks_with_name(container, host)
        ]
    except (DockerUnavailableError, DockerException, OSError):
        return None
    if not matches:
        return None
    container, network = matches[0]
    return msg(
        "Give {target} a `container: {name}` instead of its address: the container {name} is on the network {network}, "
        "which the gate does not share; or give a `url` to a port that it publishes",
        target=target,
        name=str(container.name),
        network=network,
    )


def _networks_with_name(container: Any, host: str) -> list[str]:
    """Return the networks on which a container has a name."""
    configs = container.attrs["NetworkSettings"]["Networks"]
    names_by_network = {
        network: [container.name, *(config.get("Aliases") or []), *(config.get("DNSNames") or [])]
        for network, config in configs.items()
    }
    return [network for network, names in names_by_network.items() if host in names]
