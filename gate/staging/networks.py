"""The network that the gate shares with its targets, and the host's address from inside a container."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from gate.core.messages import msg
from gate.redaction.secrets import redacted_head
from gate.staging.docker_client import (
    ENGINE_SETTLE_TIMEOUT,
    RUN_LABEL,
    DockerUnavailableError,
    docker_client,
    gate_container,
    gate_networks,
    hostname,
    job_network,
)
from gate.staging.errors import StagingError
from gate.staging.host_names import resolves
from gate.staging.journal import Journal
from gate.staging.target import host_of


class SharedNetwork:
    """The job's network; if the job has none, one that is created for the run when a container first needs it."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._created: str | None = None
        self._lock = threading.Lock()

    @property
    def name(self) -> str | None:
        """Return the name of the network; None if the job has none and none was created yet."""
        return self._created or job_network()

    def ensure(self) -> str:
        """Return the name of the network; create it and connect the gate's container if there is none."""
        with self._lock:
            name = self.name
            if name is None:
                name = self._created = self._create()
            return name

    def _create(self) -> str:
        # `remove_labelled` finds the network by its label and removes it at the end of the run.
        name = f"prodgate-{self._run_id}"
        network = docker_client().networks.create(name, labels={RUN_LABEL: self._run_id})
        container = gate_container()
        if container is not None:
            network.connect(container)
            container.reload()  # `gate_networks` reads the networks from this cached handle
        return name


def gate_address(network: str | None) -> str:
    """Return an address of the gate that the containers on a network reach. Raise StagingError without one."""
    if network == "host":
        return "127.0.0.1"
    container = gate_container()
    if container is not None:
        container.reload()
        endpoint = container.attrs["NetworkSettings"]["Networks"].get(network or "") or {}
        address = endpoint.get("IPAddress")
    else:
        # On the machine of the engine, the gate has the network's own address.
        configs = (docker_client().networks.get(network).attrs["IPAM"]["Config"] or []) if network else []
        address = next((config["Gateway"] for config in configs if config.get("Gateway")), None)
    if not address:
        raise StagingError(msg("the gate has no address on the network {network}", network=network or "-"))
    return str(address)


def join_networks(names: Iterable[str], journal: Callable[[], Journal]) -> None:
    """Connect the gate's container to networks, unless it is on them or reaches them by address.

    Raise StagingError if that fails.
    """
    from docker.errors import DockerException

    container = gate_container()
    if container is None or gate_networks() is None:
        return
    for name in names:
        if name in (gate_networks() or ()) or name in ("host", "none"):
            continue
        action = journal().record_intent(
            "leave_network", settle_timeout=ENGINE_SETTLE_TIMEOUT, network=name, container=container.id
        )
        try:
            docker_client().networks.get(name).connect(container)
            container.reload()  # `gate_networks` reads the networks from this cached handle
        except (DockerException, OSError) as error:
            why = redacted_head(str(error), 500)
            raise StagingError(
                msg("the gate cannot join the network {network}: {why}", network=name, why=why)
            ) from error
        journal().record_done(action)


def resolve_host_gateway(url: str) -> str:
    """Replace `host.docker.internal` in a URL with the host's address, unless that name resolves.

    The address is the default gateway in a container, else 127.0.0.1.
    """
    host = host_of(url)
    if host != "host.docker.internal" or resolves(host):
        return url
    address = _default_gateway() if _in_container() else "127.0.0.1"
    return url.replace(host, address, 1) if address else url


def _in_container() -> bool:
    try:
        return gate_container() is not None
    except DockerUnavailableError:
        return hostname() is not None


def _default_gateway() -> str | None:
    """Return the default gateway: on a container's network, that is its host."""
    try:
        rows = Path("/proc/net/route").read_text().splitlines()[1:]
    except OSError:
        return None
    gateways = [row.split()[2] for row in rows if row.split()[1] == "00000000"]
    # proc_net_route(5) prints addresses in hexadecimal, little-endian.
    return socket.inet_ntoa(bytes.fromhex(gateways[0])[::-1]) if gateways else None
