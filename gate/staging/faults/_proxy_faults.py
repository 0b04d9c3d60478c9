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
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import PurePosixPath
from typing import Any, ClassVar, Literal, TypeVar

from msgspec import structs

from gate.core.messages import Message, msg
from gate.core.override import override
from gate.redaction.secrets import redacted_tail
from gate.staging.container import Container, compose_labels, names_on_network, reachable_addresses
from gate.staging.docker_client import PROJECT_LABEL, RUN_LABEL, docker_client, gate_image
from gate.staging.errors import StagingError
from gate.staging.faults.base import FaultError, FaultSite, TargetFault
from gate.staging.faults.stop import verify_running
from gate.staging.proxy import LATENCY_FILE, PROBE, ProxyBehaviour

# Runs a module of the gate in its own image.
IMAGE_PYTHON = ("/opt/prodgate/bin/python", "-I", "-m")
HIDDEN_ALIAS_SUFFIX = "prodgate-behind"
Result = TypeVar("Result")
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
    for container in site.running.service_containers:
        container.proxy_handle = None


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


def probe_every_network(site: FaultSite, probe: Callable[[str], Result | None]) -> list[Result] | None:
    """Return the result of a probe of the proxy's address on each network that the gate can reach, at the same time.

    Return None if one of them has none.
    """
    hosts = _probe_hosts(site)
    with ThreadPoolExecutor(len(hosts)) as pool:
        results = [result for result in pool.map(probe, hosts) if result is not None]
    return results if len(results) == len(hosts) else None


def measure_latency(site: FaultSite, host: str, timeout: float) -> float | None:
    """Return the round-trip time of a probe through the proxy, in seconds; None if the connection breaks."""
    started_at = time.monotonic()
    try:
        with connect(site, host, timeout) as connection:
            connection.sendall(PROBE)
            response = connection.recv(len(PROBE))
    except OSError:
        return None
    return time.monotonic() - started_at if response == PROBE else None


def measure_idle_lifetime(site: FaultSite, host: str, timeout: float) -> float | None:
    """Return the seconds after which an idle connection is closed; None if it outlives `timeout` or the run."""
    started_at = time.monotonic()
    try:
        with connect(site, host, timeout) as connection:
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


def connect(site: FaultSite, host: str, timeout: float) -> socket.socket:
    """Connect to the target's first port on a host. Raise OSError if that fails."""
    return socket.create_connection((host, site.running.ports[0]), timeout)


def is_removed(site: FaultSite) -> bool:
    """Return whether the proxy is gone and the target has its aliases again on each of its networks."""
    if site.running.proxy is not None:
        return site.running.proxy.proxy.behaviour == ProxyBehaviour()
    return _proxy_container(site) is None and site.with_all_replicas().networks_restored()


def proxy_owns_names(site: FaultSite) -> bool:
    """Return whether the target's aliases lead to the proxy, and to nothing else, on each of its networks."""
    if site.running.proxy is not None:
        return True
    client, proxy = docker_client(), _proxy_container(site)
    if proxy is None:
        return False
    for network, names in _proxy_aliases(site).items():
        running = client.containers.list(filters={"network": network}, ignore_removed=True)
        names_by_id = {handle.id: names & names_on_network(handle, network) for handle in running}
        owners = {container_id for container_id, owned_names in names_by_id.items() if owned_names}
        if owners != {proxy.id} or names_by_id[proxy.id] != names:
            return False
    return True


def _probe_hosts(site: FaultSite) -> list[str]:
    """Return the hosts to probe: the target's names that resolve here, and the addresses of the proxy's container."""
    if site.running.proxy is not None:
        return [site.running.host]
    proxy = _proxy_container(site)
    addresses = [] if proxy is None else list(reachable_addresses(proxy).values())
    return list(dict.fromkeys([*(container.host for container in site.containers), *addresses]))


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
    # The proxy takes the name of a service, which all its replicas answer to.
    site = site.with_all_replicas()
    site.record_networks()
    _reject_bypass(site)
    try:
        with ExitStack() as actions:
            for config in site.network_configs:
                actions.enter_context(site.journaled("connect_container", **config))
            actions.enter_context(site.journaled("remove_container", container=_proxy_container_name(site)))
            proxy = _replace_target(site, image, behaviour)
        for container in site.containers:
            container.proxy_handle = proxy
    except (DockerException, StagingError) as error:
        raise FaultError(
            msg("the proxy cannot take the place of {target}: {why}", target=site.running.name, why=str(error))
        ) from error


def _reject_bypass(site: FaultSite) -> None:
    """Raise FaultError if the target could still be reached without the proxy."""
    target = site.running.name
    if ports := sorted({port for container in site.containers for port in container.published_ports}, key=int):
        message = msg("{target} would bypass the proxy through its published port {port}",
                      target=target, port=", ".join(ports))  # fmt: skip
        if _in_project(site):
            message = msg("{why}; remove it with `ports: !reset []` in an override file", why=message)
        raise FaultError(message)
    # On the default network containers reach each other by address only: there is no alias to take.
    if any(config["network"] == "bridge" for config in site.network_configs):
        raise FaultError(msg("{target} would bypass the proxy on the network {network}",
                          target=target, network="bridge"))  # fmt: skip
    for container in site.containers:
        if container.alias in _permanent_names(site):
            raise FaultError(_kept_name(site, container))


def _kept_name(site: FaultSite, container: Container) -> Message:
    """Return why a container keeps its alias, with the key of the Compose file that has to go."""
    message = msg("{target} would keep the name {name}: it is the container's own name or hostname",
                  target=site.running.name, name=container.alias)  # fmt: skip
    if not _in_project(site):
        return message
    key = "container_name" if container.name == container.alias else "hostname"
    return msg("{why}; remove `{key}: {name}` from the Compose file", why=message, key=key, name=container.alias)


def _in_project(site: FaultSite) -> bool:
    """Return whether the target belongs to a Compose project."""
    return PROJECT_LABEL in site.containers[0].handle.labels


def _permanent_names(site: FaultSite) -> set[str]:
    """Return the names for which Docker's DNS returns the target even if another container has them as an alias."""
    handles = [container.handle for container in site.containers]
    return {str(name) for handle in handles for name in (handle.name, handle.attrs["Config"]["Hostname"])}


def _proxy_aliases(site: FaultSite) -> dict[str, set[str]]:
    """Return the aliases that the proxy takes, by network."""
    permanent = _permanent_names(site.with_all_replicas())
    aliases: dict[str, set[str]] = {}
    for config in site.network_configs:
        aliases.setdefault(str(config["network"]), set()).update(set(config["aliases"]) - permanent)
    return aliases


def _replace_target(site: FaultSite, image: str, behaviour: ProxyBehaviour) -> Any:
    """Put the proxy in the target's place on each network, and reconnect the target under its hidden alias.

    Return Docker's handle of the proxy.
    """
    hidden_alias, aliases = f"{site.running.name}-{HIDDEN_ALIAS_SUFFIX}", _proxy_aliases(site)
    networks = {name: docker_client().networks.get(name) for name in aliases}
    by_id = {container.id: container for container in site.containers}
    places = [(by_id[config["container"]], str(config["network"])) for config in site.network_configs]
    old_addresses = [container.ip_address(name) for container, name in places]
    # The proxy joins before the target leaves, but starts after: two running containers never share an alias.
    proxy = _create_container(site, image, behaviour, hidden_alias, aliases)
    for name in list(aliases)[1:]:
        networks[name].connect(proxy, aliases=sorted(aliases[name]))
    for container, name in places:
        networks[name].disconnect(container.handle, force=True)
    proxy.start()
    for (container, name), address in zip(places, old_addresses, strict=True):
        networks[name].connect(container.handle, aliases=[hidden_alias])
        if container.ip_address(name) == address:
            _swap_addresses(networks[name], container, hidden_alias, proxy, sorted(aliases[name]))
    proxy.reload()
    for (container, name), address in zip(places, old_addresses, strict=True):
        _break_open_connections(site, container, proxy, name, address)
    return proxy


def _swap_addresses(network: Any, container: Container, hidden_alias: str, proxy: Any, aliases: list[str]) -> None:
    """Give a container that has kept its address that of the proxy, or another one."""
    # Docker assigns a free address of its own choice: which one depends on who comes first.
    kept = container.ip_address(network.name)
    network.disconnect(container.handle, force=True)
    network.disconnect(proxy, force=True)
    network.connect(container.handle, aliases=[hidden_alias])
    if container.ip_address(network.name) != kept:
        network.connect(proxy, aliases=aliases)
        return
    network.disconnect(container.handle, force=True)
    network.connect(proxy, aliases=aliases)
    network.connect(container.handle, aliases=[hidden_alias])


def _break_open_connections(site: FaultSite, container: Container, proxy: Any, network: str, old_address: str) -> None:
    """Break the connections that were open before the fault: the proxy claims the target's former address."""
    # Connection pools would otherwise keep talking to the target itself.
    if container.ip_address(network) == old_address:
        raise FaultError(
            msg("{target} kept its address: open connections would bypass the proxy", target=site.running.name)
        )
    # Another replica that got the address resets connections that it does not know.
    replicas = [replica.ip_address(network) for replica in site.containers]
    proxy_address = proxy.attrs["NetworkSettings"]["Networks"][network]["IPAddress"]
    if old_address not in (proxy_address, *replicas):
        code, output = proxy.exec_run([*IMAGE_PYTHON, "gate.staging.proxy", "claim", old_address, proxy_address])
        if code != 0:
            why = redacted_tail(bytes(output).decode("utf-8", "replace"), _OUTPUT_EXCERPT_LENGTH)
            raise FaultError(
                msg("open connections to {target} cannot be broken: {why}", target=site.running.name, why=why)
            )


def _create_container(
    site: FaultSite, image: str, behaviour: ProxyBehaviour, hidden_alias: str, aliases: dict[str, set[str]]
) -> Any:
    client, network = docker_client(), next(iter(aliases))
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
        labels={**compose_labels(site.containers[0].handle), RUN_LABEL: site.journal.run_id},
        network=network,
        networking_config={network: client.api.create_endpoint_config(aliases=sorted(aliases[network]))},
    )
