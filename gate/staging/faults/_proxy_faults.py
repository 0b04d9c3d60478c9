"""A proxy or stub of ours in the place of a dependency: in front of a process's port, or with a container's name."""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack
from typing import Any, Literal

from msgspec import structs

from gate.core.messages import msg
from gate.redaction.secrets import redacted_tail
from gate.staging.container import names_on
from gate.staging.docker_client import RUN_LABEL, DockerUnavailableError, docker_client, gate_container, gate_image
from gate.staging.faults.base import FaultError, FaultSite
from gate.staging.proxy import PROBE, ProxyBehaviour

IMAGE_PYTHON = ("/opt/prodgate/bin/python", "-I", "-m")
"""How the image of the gate runs one of its modules."""
_SHOWN = 500
_LOOK = 0.2
HIDDEN_ALIAS_SUFFIX = "prodgate-behind"
"""The suffix of the name under which the real dependency is reached while ours has its name."""


def install_proxy(site: FaultSite, mode: ProxyBehaviour) -> None:
    """Puts a proxy or stub in the target's place. Raises NoFault where that can't be done."""
    if site.running.proxy is not None:
        site.running.proxy.set_behaviour(mode)
    else:
        _take_name(site, mode)


def remove_proxy(site: FaultSite) -> None:
    """Puts the target back in its place."""
    if site.running.proxy is not None:
        site.running.proxy.set_behaviour(ProxyBehaviour())
    site.revert_all()


def handled_count(site: FaultSite) -> int:
    """How many connections ours has handled."""
    return _count(site, "served")


def broken_count(site: FaultSite) -> int:
    """How many connections ours has cut or reset."""
    return _count(site, "broken")


def _count(site: FaultSite, what: Literal["served", "broken"]) -> int:
    if site.running.proxy is not None:
        return int(getattr(site.running.proxy.proxy, what))
    found = _ours(site)
    return 0 if found is None else bytes(found.logs()).count(f'"{what}"'.encode())


def measure_latency(site: FaultSite, timeout: float) -> float | None:
    """Seconds that a piece of data takes there and back through ours; None where the connection is cut or reset."""
    began = time.monotonic()
    try:
        with connect(site, timeout) as connection:
            connection.sendall(PROBE)
            response = connection.recv(len(PROBE))
    except OSError:
        return None
    return time.monotonic() - began if response == PROBE else None


def measure_idle_lifetime(site: FaultSite, timeout: float) -> float | None:
    """Seconds after which an idle connection is ended from there; None where it outlives `timeout`, or the run."""
    began = time.monotonic()
    try:
        with connect(site, timeout) as connection:
            connection.settimeout(_LOOK)
            while not _is_ended(connection):
                if time.monotonic() - began > timeout or site.cancelled.is_set():
                    return None
    except OSError:
        pass
    return time.monotonic() - began


def _is_ended(connection: socket.socket) -> bool:
    """Whether it has come to its end; what the other side says, such as a greeting, is passed over."""
    try:
        return connection.recv(_SHOWN) == b""
    except TimeoutError:
        return False


def connect(site: FaultSite, timeout: float) -> socket.socket:
    """A connection to whoever is in the target's place. Raises OSError."""
    return socket.create_connection((_address(site), site.running.ports[0]), timeout)


def is_removed(site: FaultSite) -> bool:
    """Return whether the target has its place again, on each of its networks, and nothing else does."""
    if site.running.proxy is not None:
        return site.running.proxy.proxy.mode == ProxyBehaviour()
    return _ours(site) is None and site.is_back()


def alone(site: FaultSite) -> bool:
    """Return whether the names of the target lead to the proxy, and to nothing else, on each of its networks."""
    if site.running.proxy is not None:
        return True
    engine, ours = docker_client(), _ours(site)
    if ours is None:
        return False
    for place in site.places:
        names = _taken(site, place)
        running = engine.containers.list(filters={"network": place["network"]}, ignore_removed=True)
        holders = {handle.id: names & names_on(handle, place["network"]) for handle in running}
        if {id for id, held in holders.items() if held} != {ours.id} or holders[ours.id] != names:
            return False
    return True


def _address(site: FaultSite) -> str:
    """The target's own name where it is a process, or the gate is on its network; else the address of ours."""
    if site.running.proxy is not None or gate_container() is not None:
        return site.host
    ours = _ours(site)
    if ours is None:
        return site.host
    return str(ours.attrs["NetworkSettings"]["Networks"][site.container.network]["IPAddress"]) or site.host


def _name(site: FaultSite) -> str:
    return f"prodgate-{site.journal.run_id}-instead-of-{site.running.name}"


def _ours(site: FaultSite) -> Any | None:
    from docker.errors import NotFound

    try:
        return docker_client().containers.get(_name(site))
    except NotFound:
        return None


def _take_name(site: FaultSite, mode: ProxyBehaviour) -> None:
    """Ours joins the network first, then takes the names: no moment has two under one name."""
    from docker.errors import DockerException

    image = gate_image()
    if image is None:
        raise FaultError(msg("no image of the gate is known to start a proxy from: set PRODGATE_IMAGE"))
    site.keep_places()
    _no_way_past(site)
    try:
        with ExitStack() as acts:
            for place in site.places:
                acts.enter_context(site.journaled("connect_container", **place))
            acts.enter_context(site.journaled("remove_container", container=_name(site)))
            _swap(site, image, mode)
    except (DockerException, DockerUnavailableError) as error:
        raise FaultError(
            msg("ours cannot take the place of {target}: {why}", target=site.running.name, why=str(error))
        ) from error


def _no_way_past(site: FaultSite) -> None:
    """Raise NoFault if a way to the target would lead past the proxy."""
    container, target = site.container, site.running.name
    if published := container.published:
        raise FaultError(msg("{target} would still be reached past the proxy, by its published port {port}",
                          target=target, port=", ".join(published)))  # fmt: skip
    if default := [str(place["network"]) for place in site.places if place["network"] == "bridge"]:
        raise FaultError(msg("{target} would still be reached past the proxy, on its network {network}",
                          target=target, network=", ".join(default)))  # fmt: skip
    if container.alias in _kept(site):
        raise FaultError(msg("{target} would keep the name {name}: it is its hostname, or the container's own name",
                          target=target, name=container.alias))  # fmt: skip


def _kept(site: FaultSite) -> set[str]:
    """Return the names for which the engine's DNS answers with the target, wherever else they are an alias, too."""
    return {str(site.container.handle.name), str(site.container.handle.attrs["Config"]["Hostname"])}


def _taken(site: FaultSite, place: dict[str, Any]) -> set[str]:
    """Return the names that the proxy takes on a network."""
    return set(place["aliases"]) - _kept(site)


def _swap(site: FaultSite, image: str, mode: ProxyBehaviour) -> None:
    """Put the proxy in the target's place on each network, with the target behind it under another name."""
    container, behind = site.container, f"{site.running.name}-{HIDDEN_ALIAS_SUFFIX}"
    networks = {str(place["network"]): docker_client().networks.get(place["network"]) for place in site.places}
    before = {name: container.address(name) for name in networks}
    ours = _create(site, image, mode, behind)
    for place in site.places[1:]:
        networks[place["network"]].connect(ours, aliases=sorted(_taken(site, place)))
    for network in networks.values():
        network.disconnect(container.handle, force=True)
    ours.start()
    for network in networks.values():
        network.connect(container.handle, aliases=[behind])
    ours.reload()
    for name, address in before.items():
        _break_open(site, ours, name, address)


def _break_open(site: FaultSite, ours: Any, network: str, before: str) -> None:
    """Break the connections that were open: the proxy answers for the address that the target had."""
    if site.container.address(network) == before:
        raise FaultError(msg("{target} kept its address: open connections would bypass ours", target=site.running.name))
    own = ours.attrs["NetworkSettings"]["Networks"][network]["IPAddress"]
    if own != before:
        code, said = ours.exec_run([*IMAGE_PYTHON, "gate.staging.proxy", "claim", before, own])
        if code != 0:
            why = redacted_tail(bytes(said).decode("utf-8", "replace"), _SHOWN)
            raise FaultError(
                msg("open connections to {target} cannot be broken: {why}", target=site.running.name, why=why)
            )


def _create(site: FaultSite, image: str, mode: ProxyBehaviour, behind: str) -> Any:
    engine, first = docker_client(), site.places[0]
    network, names = str(first["network"]), sorted(_taken(site, first))
    return engine.containers.create(
        image,
        command=[
            *IMAGE_PYTHON[1:],
            "gate.staging.proxy",
            behind,
            ",".join(map(str, site.running.ports)),
            json.dumps(structs.asdict(mode)),
        ],
        entrypoint=IMAGE_PYTHON[0],
        cap_add=["NET_ADMIN"],
        name=_name(site),
        labels={RUN_LABEL: site.journal.run_id},
        network=network,
        networking_config={network: engine.api.create_endpoint_config(aliases=names)},
    )
