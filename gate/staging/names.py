"""Explain a name that does not resolve: a container has it on a network that the gate does not share."""

from __future__ import annotations

import socket
from typing import Any

from gate.core.messages import Message, msg
from gate.staging.docker_client import DockerUnavailableError, docker_client


def resolves(host: str) -> bool:
    """Return whether a name leads to an address."""
    try:
        return bool(socket.getaddrinfo(host, None))
    except OSError:
        return False


def elsewhere(target: str, host: str) -> Message | None:
    """Return what to do if `host` does not resolve here and is the name of a container that runs elsewhere."""
    if not host or resolves(host):
        return None
    from docker.errors import DockerException

    try:
        found = [
            (handle, network) for handle in docker_client().containers.list() for network in _networks(handle, host)
        ]
    except (DockerUnavailableError, DockerException, OSError):
        return None
    if not found:
        return None
    handle, network = found[0]
    return msg(
        "Give {target} a `container: {name}` instead of its address: the container {name} is on the network {network}, "
        "which the gate does not share; or give a `url` to a port that it publishes",
        target=target,
        name=str(handle.name),
        network=network,
    )


def _networks(handle: Any, host: str) -> list[str]:
    """Return the networks on which a container has a name."""
    places = handle.attrs["NetworkSettings"]["Networks"]
    named = {name: [handle.name, *(place.get("Aliases") or []), *(place.get("DNSNames") or [])]
             for name, place in places.items()}  # fmt: skip
    return [name for name, names in named.items() if host in names]
