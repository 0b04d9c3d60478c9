"""A proxy or stub of ours in the place of a dependency: in front of a process's port, or with a container's name."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import asdict
from typing import Any

from gate.messages import say
from gate.staging.engine import RUN_LABEL, NoEngine, client, own_image
from gate.staging.faults.base import NoFault, Site, ports
from gate.staging.proxy import PROBE, Mode

BEHIND = "prodgate-behind"
"""The suffix of the name under which the real dependency is reached while ours has its name."""


def put(site: Site, mode: Mode) -> None:
    """Puts a proxy or stub in the target's place. Raises NoFault where that can't be done."""
    ports(site)
    if site.staged.proxy is not None:
        site.staged.proxy.change(mode)
    elif site.process:
        raise NoFault(say("{target} has no `listen`: nothing of ours stands in front of it", target=site.staged.name))
    else:
        _take_name(site, mode)


def take_away(site: Site) -> None:
    """Puts the target back in its place."""
    if site.staged.proxy is not None:
        site.staged.proxy.change(Mode())
    site.take_back()


def served(site: Site) -> int:
    """How many connections ours has handled."""
    if site.staged.proxy is not None:
        return site.staged.proxy.proxy.served
    found = _ours(site)
    return 0 if found is None else bytes(found.logs()).count(b'"served"')


def probe(site: Site, timeout: float) -> float | None:
    """Seconds that a piece of data takes there and back through ours; None where the connection is cut or reset."""
    began = time.monotonic()
    try:
        with socket.create_connection((site.staged.host, site.staged.ports[0]), timeout) as connection:
            connection.settimeout(timeout)
            connection.sendall(PROBE)
            answer = connection.recv(len(PROBE))
    except OSError:
        return None
    return time.monotonic() - began if answer == PROBE else None


def lifetime(site: Site, timeout: float) -> float | None:
    """Seconds after which an idle connection is ended from there; None where it outlives `timeout`."""
    began = time.monotonic()
    try:
        with socket.create_connection((site.staged.host, site.staged.ports[0]), timeout) as connection:
            connection.settimeout(timeout)
            connection.recv(1)
    except TimeoutError:
        return None
    except OSError:
        return time.monotonic() - began
    return time.monotonic() - began


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

    container, image = site.container, own_image()
    if container.network is None:
        raise NoFault(say("{target} shares no network with the gate", target=site.staged.name))
    if image is None:
        raise NoFault(say("no image of the gate is known to start a proxy from: set PRODGATE_IMAGE"))
    names, behind = container.aliases, f"{site.staged.name}-{BEHIND}"
    network = client().networks.get(container.network)
    try:
        with site.act("connect_container", container=container.id, network=container.network, aliases=names):
            before = container.endpoint.get("IPAddress")
        with site.act("remove_container", container=_name(site)):
            ours = _create(site, image, mode, behind, names)
        network.disconnect(container.handle, force=True)
        ours.start()
        network.connect(container.handle, aliases=[behind])
        if container.endpoint.get("IPAddress") == before:
            raise NoFault(say("{target} kept its address: open connections would bypass ours", target=site.staged.name))
    except (DockerException, NoEngine) as error:
        raise NoFault(
            say("ours cannot take the place of {target}: {why}", target=site.staged.name, why=str(error))
        ) from error


def _create(site: Site, image: str, mode: Mode, behind: str, names: list[str]) -> Any:
    engine, network = client(), site.container.network
    return engine.containers.create(
        image,
        command=["-m", "gate.staging.proxy", behind, ",".join(map(str, site.staged.ports)), json.dumps(asdict(mode))],
        entrypoint="/opt/prodgate/bin/python",
        name=_name(site),
        labels={RUN_LABEL: site.journal.run_id},
        network=network,
        networking_config={str(network): engine.api.create_endpoint_config(aliases=names)},
    )
