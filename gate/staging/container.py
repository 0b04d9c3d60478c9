"""A container of staging: found by its alias on the job's network, or started by the gate."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gate.core.messages import msg
from gate.redaction.secrets import redacted_head, redacted_tail
from gate.staging.docker_client import (
    RUN_LABEL,
    DockerUnavailableError,
    docker_client,
    gate_container,
    job_network,
    job_services,
)
from gate.staging.spec import Start

_TAIL = 40
SHORT_ID_LENGTH = 12
"""Characters of an id as the engine shows it."""


class Container:
    """One container. `network` is the one it shares with the gate, `alias` its name there."""

    def __init__(self, handle: Any, alias: str, network: str | None, *, started: bool = False) -> None:
        self.handle = handle
        self.alias = alias
        self.network = network
        self.started = started

    @property
    def id(self) -> str:
        """The engine's id of it."""
        return str(self.handle.id)

    @property
    def state(self) -> str:
        """`running`, `paused`, `exited` and so on, asked anew."""
        self.handle.reload()
        return str(self.handle.attrs["State"]["Status"])

    @property
    def exit_code(self) -> int | None:
        """What it exited with; None while it has not, asked anew."""
        return int(self.handle.attrs["State"]["ExitCode"]) if self.state in ("exited", "dead") else None

    @property
    def network_endpoint(self) -> dict[str, Any]:
        """Its place on the shared network, asked anew; empty where it is not on it."""
        self.handle.reload()
        networks = self.handle.attrs["NetworkSettings"]["Networks"]
        return dict(networks.get(self.network) or {}) if self.network else dict(next(iter(networks.values()), {}))

    @property
    def host(self) -> str:
        """The name or address under which the gate reaches it: its alias where the gate is on its network."""
        if gate_container() is not None and self.network == job_network():
            return self.alias
        if self.network == "host" and gate_container() is None:
            return "127.0.0.1"
        return str(self.network_endpoint.get("IPAddress") or self.alias)

    @property
    def places(self) -> list[dict[str, Any]]:
        """Return its place on each of its networks, asked anew, as `gate.staging.revert.connect_container` wants it."""
        self.handle.reload()
        return [
            {
                "container": self.id,
                "network": network,
                "aliases": [name for name in place.get("Aliases") or [] if name != self.id[:SHORT_ID_LENGTH]],
                "address": (place.get("IPAMConfig") or {}).get("IPv4Address") or None,
                "address6": (place.get("IPAMConfig") or {}).get("IPv6Address") or None,
            }
            for network, place in self.handle.attrs["NetworkSettings"]["Networks"].items()
        ]

    def address(self, network: str) -> str:
        """Return its address on a network, asked anew; empty if it has none."""
        self.handle.reload()
        place = self.handle.attrs["NetworkSettings"]["Networks"].get(network) or {}
        return str(place.get("IPAddress") or "")

    @property
    def published(self) -> list[str]:
        """Return the ports of the machine that lead to it, asked anew, such as `5432`."""
        self.handle.reload()
        found = self.handle.attrs["NetworkSettings"].get("Ports") or {}
        return sorted({str(entry["HostPort"]) for entries in found.values() for entry in entries or ()}, key=int)

    def twins(self) -> list[str]:
        """Return the running containers that are found under one of its names, too."""
        engine, found = docker_client(), set[str]()
        for place in self.places:
            names = {*place["aliases"], self.alias}
            found |= {
                str(handle.name)
                for handle in engine.containers.list(filters={"network": place["network"]}, ignore_removed=True)
                if handle.id != self.id and names & names_on(handle, place["network"])
            }
        return sorted(found)

    def sharing(self) -> list[str]:
        """Return the running containers that use its network interfaces: to them it is `localhost`."""
        mode = f"container:{self.id}"
        rows = docker_client().api.containers()
        return sorted(row["Names"][0].lstrip("/") for row in rows if row["HostConfig"].get("NetworkMode") == mode)

    def remove(self) -> None:
        """Removes it, with what it kept."""
        from docker.errors import NotFound

        with contextlib.suppress(NotFound):
            self.handle.remove(force=True, v=True)

    @property
    def lock_name(self) -> str:
        """The name of the container by which one run holds this one for itself: an engine gives a name once."""
        return f"prodgate-drills-{self.id[:12]}"

    @property
    def tail(self) -> str:
        """The last lines of what it wrote."""
        try:
            raw = self.handle.logs(tail=_TAIL)
        except Exception as error:  # noqa: BLE001 - a log that can't be read must not change an outcome
            return f"(its log cannot be read: {error})"
        return redacted_tail(bytes(raw).decode("utf-8", "replace"), 8192)


def find_service_container(name: str) -> Container:
    """Return the container of that name: a service of the job, an alias on the gate's network, or its own name or id.

    Raise NoEngine with the reason if there is none, or more than one. A container on a network that the gate does not
    share may be somebody else's: it is found by its own name or id only.
    """
    engine, network = docker_client(), job_network()
    known = job_services().get(name)
    if known:
        return Container(engine.containers.get(known), name, network)
    found = [handle for handle in _on(engine, network) if name in names_on(handle, network)] if network else []
    found = found or _of_its_own_name(engine, name)
    if len(found) > 1:
        names = ", ".join(sorted(handle.name for handle in found))
        raise DockerUnavailableError(
            msg("several containers are called {name}: {names}", name=name, names=names),
            advice=msg("Choose one: write its own name under `container`"),
        )
    if found:
        networks = list(found[0].attrs["NetworkSettings"]["Networks"])
        return Container(found[0], name, network if network in networks else next(iter(networks), None))
    if network:
        raise DockerUnavailableError(
            msg("no container is called {name} on the network {network}", name=name, network=network)
        )
    raise DockerUnavailableError(
        msg("no container of this machine has the own name {name}", name=name),
        advice=msg("Write its own name, or set `PRODGATE_NETWORK` to the network where {name} is an alias", name=name),
    )


def _on(engine: Any, network: str) -> list[Any]:
    """Return all containers on a network that no run has started."""
    listed = engine.containers.list(all=True, filters={"network": network}, ignore_removed=True)
    return [handle for handle in listed if RUN_LABEL not in handle.labels]


def _of_its_own_name(engine: Any, name: str) -> list[Any]:
    from docker.errors import NotFound

    try:
        found = engine.containers.get(name)
    except NotFound:
        return []
    by_id = len(name) >= SHORT_ID_LENGTH and found.id.startswith(name)
    return [found] if (found.name == name or by_id) and RUN_LABEL not in found.labels else []


def names_on(handle: Any, network: str) -> set[str]:
    """Return the names by which a container is found on a network, its own name among them."""
    place = handle.attrs["NetworkSettings"]["Networks"].get(network)
    if place is None:
        return set()
    return {handle.name, *(place.get("Aliases") or []), *(place.get("DNSNames") or [])}


def acquire_lock(container: Container, run_id: str) -> None:
    """Makes the container, never started, by which a run holds another for itself. Raises NoEngine where one does."""
    from docker.errors import APIError, DockerException

    image, labels = container.handle.attrs["Image"], {RUN_LABEL: run_id}
    try:
        docker_client().containers.create(
            image, ["never"], name=container.lock_name, labels=labels, network_mode="none"
        )
    except (DockerException, OSError) as error:
        if not isinstance(error, APIError) or error.status_code != 409:
            why = redacted_head(str(error), 500)
            raise DockerUnavailableError(
                msg("{target} cannot be held for this run: {why}", target=container.alias, why=why)
            ) from error
        raise DockerUnavailableError(
            msg(
                "another run drills {target} just now; where that one is dead, `prodgate restore` on its machine frees "
                "it, or `docker rm {name}` once it is as it should be",
                target=container.alias,
                name=container.lock_name,
            )
        ) from error


def start_container(
    name: str,
    start: Start,
    *,
    root: Path,
    run_id: str,
    network: str,
    note: Callable[[str], None],
    cancelled: threading.Event,
) -> Container:
    """Starts a container on the network under the target's name, labelled with the run. Raises NoEngine."""
    from docker.errors import DockerException

    engine = docker_client()
    try:
        image = start.image or _build(name, start, root, run_id, note)
        if start.image:
            pull_image(engine, image, note)
        if cancelled.is_set():
            raise DockerUnavailableError(msg("the run ended before it was started"))
        handle = engine.containers.create(
            image,
            command=start.command,
            name=f"prodgate-{run_id}-{name}",
            environment={key: str(value) for key, value in start.environment.items()},
            labels={RUN_LABEL: run_id, "prodgate.target": name},
            network=network,
            networking_config={network: _alias(engine, name)},
        )
        handle.start()
    except (DockerException, OSError) as error:
        raise DockerUnavailableError(msg("it cannot be started: {why}", why=redacted_head(str(error), 2000))) from error
    return Container(handle, name, network, started=True)


def _alias(engine: Any, name: str) -> Any:
    return engine.api.create_endpoint_config(aliases=[name])


def pull_image(engine: Any, image: str, note: Callable[[str], None]) -> None:
    """Pulls an image that is not there yet. Raises DockerException where that can't be done."""
    from docker.errors import ImageNotFound

    try:
        engine.images.get(image)
    except ImageNotFound:
        note(f"pulling {image}")
        engine.images.pull(image)


def _build(name: str, start: Start, root: Path, run_id: str, note: Callable[[str], None]) -> str:
    """Builds an image, with its progress; the image carries the run's label and goes with it."""
    folder = root / (start.build or ".")
    if not folder.is_dir():
        raise DockerUnavailableError(msg("{path} is no folder of the checkout", path=start.build or ""))
    tag = f"prodgate-{run_id}-{name}".lower()
    steps = docker_client().api.build(
        path=str(folder),
        dockerfile=start.dockerfile,
        tag=tag,
        buildargs=start.args,
        labels={RUN_LABEL: run_id},
        network_mode=start.build_network,
        nocache=True,  # what a run that ends has just removed, another one may have found there
        rm=True,
        forcerm=True,
        decode=True,
    )
    last: list[str] = []
    for step in steps:
        text = str(step.get("stream") or step.get("error") or "").rstrip()
        last = [*last[-19:], text] if text else last
        if text.startswith("Step "):
            note(f"{name}: {text}")
        if "error" in step:
            raise DockerUnavailableError(msg("its image cannot be built: {why}", why="\n".join(last)))
    return tag
