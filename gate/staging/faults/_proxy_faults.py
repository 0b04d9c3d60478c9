"""Install the fault proxy in front of a process's port, or under a container's aliases.

On a container's networks, the proxy gets the aliases of the target and answers for its former addresses. The target
itself is reached by the proxy under another alias, which ends in HIDDEN_ALIAS_SUFFIX.
"""

from __future__ import annotations

import io
import json
import socket
import tarfile
import time
from contextlib import ExitStack
from pathlib import PurePosixPath
from typing import Any, ClassVar, Literal

from msgspec import structs

from gate.core.messages import Message, msg
from gate.core.override import override
from gate.redaction.secrets import redacted_tail
from gate.staging.container import names_on_network
from gate.staging.docker_client import RUN_LABEL, docker_client, gate_container, gate_image
from gate.staging.errors import StagingError
from gate.staging.faults.base import FaultError, FaultSite, TargetFault
from gate.staging.faults.stop import verify_running
from gate.staging.proxy import LATENCY_FILE, PROBE, ProxyBehaviour

# Runs a module of the gate in its own image.
IMAGE_PYTHON = ("/opt/prodgate/bin/python", "-I", "-m")
HIDDEN_ALIAS_SUFFIX = "prodgate-behind"
_OUTPUT_EXCERPT_LENGTH = 500
_POLL_INTERVAL = 0.2


class ProxyFault(TargetFault):
    """A fault of a proxy or a stub in the target's place; its revert removes the proxy."""

    process_support: ClassVar[Literal["yes", "behind_proxy", "no"]] = "behind_proxy"

    @override
    def revert(self, site: FaultSite) -> None:
        remove_proxy(site)

    @override
    def verify_reverted(self, site: FaultSite) -> Message | None:
        return verify_running(site) if is_removed(site) else None


def install_proxy(site: FaultSite, behaviour: ProxyBehaviour) -> None:
    """Install a proxy or stub in the target's place. Raise FaultError if that fails."""
    if site.running.proxy is not None:
        site.running.proxy.set_behaviour(behaviour)
    else:
        _install_container(site, behaviour)


def change_latency(site: FaultSite, behaviour: ProxyBehaviour) -> None:
    """Change the latency of an installed proxy, also of its open connections. Raise FaultError if that fails."""
    from docker.errors import DockerException

    if site.running.proxy is not None:
        site.running.proxy.set_latency(behaviour)
        return
    proxy = _proxy_container(site)
    if proxy is None:
        raise FaultError(msg("the proxy in front of {target} is gone", target=site.running.name))
    try:
        proxy.put_archive(str(PurePosixPath(LATENCY_FILE).parent), _latency_archive(behaviour))
        proxy.kill(signal="HUP")
    except DockerException as error:
        raise FaultError(msg("the latency of the proxy cannot be changed: {why}", why=str(error))) from error


def _latency_archive(behaviour: ProxyBehaviour) -> bytes:
    """Return LATENCY_FILE in a tar archive."""
    content, buffer = json.dumps(structs.asdict(behaviour)).encode(), io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo(PurePosixPath(LATENCY_FILE).name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def remove_proxy(site: FaultSite) -> None:
    """Remove the proxy and restore the target's place."""
    if site.running.proxy is not None:
        site.running.proxy.set_behaviour(ProxyBehaviour())
    site.revert_all()


def handled_count(site: FaultSite) -> int:
    """Return how many connections the proxy has handled."""
    return _count(site, "served")


def broken_count(site: FaultSite) -> int:
    """Return how many connections the proxy has cut or reset."""
    return _count(site, "broken")


def _count(site: FaultSite, counter: Literal["served", "broken"]) -> int:
    if site.running.proxy is not None:
        return int(getattr(site.running.proxy.proxy, counter))
    # In a container, the proxy writes one line to its log each time it increments a counter.
    container = _proxy_container(site)
    return 0 if container is None else bytes(container.logs()).count(f'"{counter}"'.encode())


def measure_latency(site: FaultSite, timeout: float) -> float | None:
    """Return the round-trip time of a probe through the proxy, in seconds; None if the connection breaks."""
    started_at = time.monotonic()
    try:
        with connect(site, timeout) as connection:
            connection.sendall(PROBE)
            response = connection.recv(len(PROBE))
    except OSError:
        return None
    return time.monotonic() - started_at if response == PROBE else None


def measure_idle_lifetime(site: FaultSite, timeout: float) -> float | None:
    """Return the seconds after which an idle connection is closed; None if it outlives `timeout` or the run."""
    started_at = time.monotonic()
    try:
        with connect(site, timeout) as connection:
            connection.settimeout(_POLL_INTERVAL)
            while not _is_closed(connection):
                if time.monotonic() - started_at > timeout or site.cancelled.is_set():
                    return None
    except OSError:
        pass
    return time.monotonic() - started_at


def _is_closed(connection: socket.socket) -> bool:
    """Return whether the peer has closed a connection."""
    try:
        # Data, such as a greeting, means that it is open.
        return connection.recv(_OUTPUT_EXCERPT_LENGTH) == b""
    except TimeoutError:
        return False


def connect(site: FaultSite, timeout: float) -> socket.socket:
    """Connect to the proxy or target at the target's address. Raise OSError if that fails."""
    return socket.create_connection((_probe_host(site), site.running.ports[0]), timeout)


def is_removed(site: FaultSite) -> bool:
    """Return whether the proxy is gone and the target has its aliases again on each of its networks."""
    if site.running.proxy is not None:
        return site.running.proxy.proxy.behaviour == ProxyBehaviour()
    return _proxy_container(site) is None and site.networks_restored()


def proxy_owns_names(site: FaultSite) -> bool:
    """Return whether the target's aliases lead to the proxy, and to nothing else, on each of its networks."""
    if site.running.proxy is not None:
        return True
    client, proxy = docker_client(), _proxy_container(site)
    if proxy is None:
        return False
    for config in site.network_configs:
        names = _proxy_aliases(site, config)
        running = client.containers.list(filters={"network": config["network"]}, ignore_removed=True)
        names_by_id = {handle.id: names & names_on_network(handle, config["network"]) for handle in running}
        owners = {container_id for container_id, owned_names in names_by_id.items() if owned_names}
        if owners != {proxy.id} or names_by_id[proxy.id] != names:
            return False
    return True


def _probe_host(site: FaultSite) -> str:
    """Return the host to probe: the target's, if its name resolves here, else the address of the proxy's container."""
    if site.running.proxy is not None or gate_container() is not None:
        return site.host
    proxy = _proxy_container(site)
    if proxy is None:
        return site.host
    return str(proxy.attrs["NetworkSettings"]["Networks"][site.container.network]["IPAddress"]) or site.host


def _proxy_container_name(site: FaultSite) -> str:
    return f"prodgate-{site.journal.run_id}-instead-of-{site.running.name}"


def _proxy_container(site: FaultSite) -> Any | None:
    from docker.errors import NotFound

    try:
        return docker_client().containers.get(_proxy_container_name(site))
    except NotFound:
        return None


def _install_container(site: FaultSite, behaviour: ProxyBehaviour) -> None:
    """Start a proxy container and move the target's aliases to it. Raise FaultError if that fails."""
    from docker.errors import DockerException

    image = gate_image()
    if image is None:
        raise FaultError(msg("no image to start the proxy from is known; set PRODGATE_IMAGE"))
    site.record_networks()
    _reject_bypass(site)
    try:
        with ExitStack() as actions:
            for config in site.network_configs:
                actions.enter_context(site.journaled("connect_container", **config))
            actions.enter_context(site.journaled("remove_container", container=_proxy_container_name(site)))
            _replace_target(site, image, behaviour)
    except (DockerException, StagingError) as error:
        raise FaultError(
            msg("the proxy cannot take the place of {target}: {why}", target=site.running.name, why=str(error))
        ) from error


def _reject_bypass(site: FaultSite) -> None:
    """Raise FaultError if the target could still be reached without the proxy."""
    container, target = site.container, site.running.name
    if ports := container.published_ports:
        raise FaultError(msg("{target} would bypass the proxy through its published port {port}",
                          target=target, port=", ".join(ports)))  # fmt: skip
    # On the default network containers reach each other by address only: there is no alias to take.
    if any(config["network"] == "bridge" for config in site.network_configs):
        raise FaultError(msg("{target} would bypass the proxy on the network {network}",
                          target=target, network="bridge"))  # fmt: skip
    if container.alias in _permanent_names(site):
        raise FaultError(msg("{target} would keep the name {name}: it is the container's own name or hostname",
                          target=target, name=container.alias))  # fmt: skip


def _permanent_names(site: FaultSite) -> set[str]:
    """Return the names for which Docker's DNS returns the target even if another container has them as an alias."""
    return {str(site.container.handle.name), str(site.container.handle.attrs["Config"]["Hostname"])}


def _proxy_aliases(site: FaultSite, config: dict[str, Any]) -> set[str]:
    """Return the aliases that the proxy takes on a network."""
    return set(config["aliases"]) - _permanent_names(site)


def _replace_target(site: FaultSite, image: str, behaviour: ProxyBehaviour) -> None:
    """Put the proxy in the target's place on each network, and reconnect the target under its hidden alias."""
    container, hidden_alias = site.container, f"{site.running.name}-{HIDDEN_ALIAS_SUFFIX}"
    networks = {str(config["network"]): docker_client().networks.get(config["network"])
                for config in site.network_configs}  # fmt: skip
    old_addresses = {name: container.ip_address(name) for name in networks}
    # The proxy joins before the target leaves, but starts after: two running containers never share an alias.
    proxy = _create_container(site, image, behaviour, hidden_alias)
    for config in site.network_configs[1:]:
        networks[config["network"]].connect(proxy, aliases=sorted(_proxy_aliases(site, config)))
    for network in networks.values():
        network.disconnect(container.handle, force=True)
    proxy.start()
    for network in networks.values():
        network.connect(container.handle, aliases=[hidden_alias])
    proxy.reload()
    for name, address in old_addresses.items():
        _break_open_connections(site, proxy, name, address)


def _break_open_connections(site: FaultSite, proxy: Any, network: str, old_address: str) -> None:
    """Break the connections that were open before the fault: the proxy claims the target's former address."""
    # Connection pools would otherwise keep talking to the target itself.
    if site.container.ip_address(network) == old_address:
        raise FaultError(
            msg("{target} kept its address: open connections would bypass the proxy", target=site.running.name)
        )
    proxy_address = proxy.attrs["NetworkSettings"]["Networks"][network]["IPAddress"]
    if proxy_address != old_address:
        code, output = proxy.exec_run([*IMAGE_PYTHON, "gate.staging.proxy", "claim", old_address, proxy_address])
        if code != 0:
            why = redacted_tail(bytes(output).decode("utf-8", "replace"), _OUTPUT_EXCERPT_LENGTH)
            raise FaultError(
                msg("open connections to {target} cannot be broken: {why}", target=site.running.name, why=why)
            )


def _create_container(site: FaultSite, image: str, behaviour: ProxyBehaviour, hidden_alias: str) -> Any:
    client, config = docker_client(), site.network_configs[0]
    network, aliases = str(config["network"]), sorted(_proxy_aliases(site, config))
    return client.containers.create(
        image,
        command=[
            *IMAGE_PYTHON[1:],
            "gate.staging.proxy",
            hidden_alias,
            ",".join(map(str, site.running.ports)),
            json.dumps(structs.asdict(behaviour)),
        ],
        entrypoint=IMAGE_PYTHON[0],
        cap_add=["NET_ADMIN"],
        name=_proxy_container_name(site),
        labels={RUN_LABEL: site.journal.run_id},
        network=network,
        networking_config={network: client.api.create_endpoint_config(aliases=aliases)},
    )
