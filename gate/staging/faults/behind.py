"""A proxy or stub of ours in the place of a dependency: in front of a process's port, or with a container's name."""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack
from typing import Any, Literal

from msgspec import structs

from gate.messages import say
from gate.secrets import end_of
from gate.staging.container import names_on
from gate.staging.engine import RUN_LABEL, NoEngine, client, own_container, own_image
from gate.staging.faults.base import NoFault, Site
from gate.staging.proxy import PROBE, Mode

PYTHON = ("/opt/prodgate/bin/python", "-I", "-m")
"""How the image of the gate runs one of its modules."""
_SHOWN = 500
_LOOK = 0.2
BEHIND = "prodgate-behind"
"""The suffix of the name under which the real dependency is reached while ours has its name."""


def put(site: Site, mode: Mode) -> None:
    """Puts a proxy or stub in the target's place. Raises NoFault where that can't be done."""
    if site.staged.proxy is not None:
        site.staged.proxy.change(mode)
    else:
        _take_name(site, mode)


def take_away(site: Site) -> None:
    """Puts the target back in its place."""
    if site.staged.proxy is not None:
        site.staged.proxy.change(Mode())
    site.take_back()


def served(site: Site) -> int:
    """How many connections ours has handled."""
    return _count(site, "served")


def broken(site: Site) -> int:
    """How many connections ours has cut or reset."""
    return _count(site, "broken")


def _count(site: Site, what: Literal["served", "broken"]) -> int:
    if site.staged.proxy is not None:
        return int(getattr(site.staged.proxy.proxy, what))
    found = _ours(site)
    return 0 if found is None else bytes(found.logs()).count(f'"{what}"'.encode())


def probe(site: Site, timeout: float) -> float | None:
    """Seconds that a piece of data takes there and back through ours; None where the connection is cut or reset."""
    began = time.monotonic()
    try:
        with connect(site, timeout) as connection:
            connection.sendall(PROBE)
            answer = connection.recv(len(PROBE))
    except OSError:
        return None
    return time.monotonic() - began if answer == PROBE else None


def lifetime(site: Site, timeout: float) -> float | None:
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


def connect(site: Site, timeout: float) -> socket.socket:
    """A connection to whoever is in the target's place. Raises OSError."""
    return socket.create_connection((_address(site), site.staged.ports[0]), timeout)


def away(site: Site) -> bool:
    """Return whether the target has its place again, on each of its networks, and nothing else does."""
    if site.staged.proxy is not None:
        return site.staged.proxy.proxy.mode == Mode()
    return _ours(site) is None and site.is_back()


def alone(site: Site) -> bool:
    """Return whether the names of the target lead to the proxy, and to nothing else, on each of its networks."""
    if site.staged.proxy is not None:
        return True
    engine, ours = client(), _ours(site)
    if ours is None:
        return False
    for place in site.places:
        names = _taken(site, place)
        running = engine.containers.list(filters={"network": place["network"]}, ignore_removed=True)
        holders = {handle.id: names & names_on(handle, place["network"]) for handle in running}
        if {id for id, held in holders.items() if held} != {ours.id} or holders[ours.id] != names:
            return False
    return True


def _address(site: Site) -> str:
    """The target's own name where it is a process, or the gate is on its network; else the address of ours."""
    if site.staged.proxy is not None or own_container() is not None:
        return site.host
    ours = _ours(site)
    if ours is None:
        return site.host
    return str(ours.attrs["NetworkSettings"]["Networks"][site.container.network]["IPAddress"]) or site.host


def _name(site: Site) -> str:
    return f"prodgate-{site.journal.run_id}-instead-of-{site.staged.name}"


def _ours(site: Site) -> Any | None:
    from docker.errors import NotFound

    try:
        return client().containers.get(_name(site))
    except NotFound:
        return None


def _take_name(site: Site, mode: Mode) -> None:
    """Ours joins the network first, then takes the names: no moment has two under one name."""
    from docker.errors import DockerException

    image = own_image()
    if image is None:
        raise NoFault(say("no image of the gate is known to start a proxy from: set PRODGATE_IMAGE"))
    site.keep_places()
    _no_way_past(site)
    try:
        with ExitStack() as acts:
            for place in site.places:
                acts.enter_context(site.act("connect_container", **place))
            acts.enter_context(site.act("remove_container", container=_name(site)))
            _swap(site, image, mode)
    except (DockerException, NoEngine) as error:
        raise NoFault(
            say("ours cannot take the place of {target}: {why}", target=site.staged.name, why=str(error))
        ) from error


def _no_way_past(site: Site) -> None:
    """Raise NoFault if a way to the target would lead past the proxy."""
    container, target = site.container, site.staged.name
    if published := container.published:
        raise NoFault(say("{target} would still be reached past the proxy, by its published port {port}",
                          target=target, port=", ".join(published)))  # fmt: skip
    if default := [str(place["network"]) for place in site.places if place["network"] == "bridge"]:
        raise NoFault(say("{target} would still be reached past the proxy, on its network {network}",
                          target=target, network=", ".join(default)))  # fmt: skip
    if container.alias in _kept(site):
        raise NoFault(say("{target} would keep the name {name}: it is its hostname, or the container's own name",
                          target=target, name=container.alias))  # fmt: skip


def _kept(site: Site) -> set[str]:
    """Return the names for which the engine's DNS answers with the target, wherever else they are an alias, too."""
    return {str(site.container.handle.name), str(site.container.handle.attrs["Config"]["Hostname"])}


def _taken(site: Site, place: dict[str, Any]) -> set[str]:
    """Return the names that the proxy takes on a network."""
    return set(place["aliases"]) - _kept(site)


def _swap(site: Site, image: str, mode: Mode) -> None:
    """Put the proxy in the target's place on each network, with the target behind it under another name."""
    container, behind = site.container, f"{site.staged.name}-{BEHIND}"
    networks = {str(place["network"]): client().networks.get(place["network"]) for place in site.places}
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


def _break_open(site: Site, ours: Any, network: str, before: str) -> None:
    """Break the connections that were open: the proxy answers for the address that the target had."""
    if site.container.address(network) == before:
        raise NoFault(say("{target} kept its address: open connections would bypass ours", target=site.staged.name))
    own = ours.attrs["NetworkSettings"]["Networks"][network]["IPAddress"]
    if own != before:
        code, said = ours.exec_run([*PYTHON, "gate.staging.proxy", "claim", before, own])
        if code != 0:
            why = end_of(bytes(said).decode("utf-8", "replace"), _SHOWN)
            raise NoFault(say("open connections to {target} cannot be broken: {why}", target=site.staged.name, why=why))


def _create(site: Site, image: str, mode: Mode, behind: str) -> Any:
    engine, first = client(), site.places[0]
    network, names = str(first["network"]), sorted(_taken(site, first))
    return engine.containers.create(
        image,
        command=[
            *PYTHON[1:],
            "gate.staging.proxy",
            behind,
            ",".join(map(str, site.staged.ports)),
            json.dumps(structs.asdict(mode)),
        ],
        entrypoint=PYTHON[0],
        cap_add=["NET_ADMIN"],
        name=_name(site),
        labels={RUN_LABEL: site.journal.run_id},
        network=network,
        networking_config={network: engine.api.create_endpoint_config(aliases=names)},
    )
