"""A container of staging: found by its alias on the job's network, or started by the gate."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from gate.messages import say
from gate.secrets import beginning_of, end_of
from gate.staging.engine import RUN_LABEL, NoEngine, client, job_network, job_services, own_container
from gate.staging.spec import Start

_TAIL = 40


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
    def endpoint(self) -> dict[str, Any]:
        """Its place on the shared network, asked anew; empty where it is not on it."""
        self.handle.reload()
        networks = self.handle.attrs["NetworkSettings"]["Networks"]
        return dict(networks.get(self.network) or {}) if self.network else dict(next(iter(networks.values()), {}))

    @property
    def host(self) -> str:
        """The name or address under which the gate reaches it: its alias where the gate is on its network."""
        if own_container() is not None and self.network:
            return self.alias
        return str(self.endpoint.get("IPAddress") or self.alias)

    @property
    def aliases(self) -> list[str]:
        """Its names on the network, without the short id that the engine adds."""
        given = self.endpoint.get("Aliases") or []
        return [name for name in given if name != self.id[:12]]

    @property
    def place(self) -> dict[str, Any]:
        """How it stands on the network, as `gate.staging.undo.connect_container` wants it."""
        given = self.endpoint.get("IPAMConfig") or {}
        return {
            "container": self.id,
            "network": self.network,
            "aliases": self.aliases,
            "address": given.get("IPv4Address") or None,
            "address6": given.get("IPv6Address") or None,
        }

    def remove(self) -> None:
        """Removes it, with what it kept."""
        from docker.errors import NotFound

        with contextlib.suppress(NotFound):
            self.handle.remove(force=True, v=True)

    @property
    def hold(self) -> str:
        """The name of the container by which one run holds this one for itself: an engine gives a name once."""
        return f"prodgate-drills-{self.id[:12]}"

    @property
    def log(self) -> str:
        """The last lines of what it wrote."""
        try:
            raw = self.handle.logs(tail=_TAIL)
        except Exception as error:  # noqa: BLE001 - a log that can't be read must not change an outcome
            return f"(its log cannot be read: {error})"
        return end_of(bytes(raw).decode("utf-8", "replace"), 8192)


def find(name: str) -> Container:
    """The service container of that name in the workflow. Raises NoEngine with the reason where there isn't one."""
    engine, network = client(), job_network()
    known = job_services().get(name)
    if known:
        return Container(engine.containers.get(known), name, network)
    found = [handle for handle in _neighbours(engine, network) if _called(handle, name, network)]
    if len(found) == 1:
        return Container(found[0], name, network or _its_network(found[0], name))
    if not found:
        if network:
            raise NoEngine(say("no container is called {name} on the network {network}", name=name, network=network))
        raise NoEngine(say("no container of this machine is called {name}", name=name))
    names = ", ".join(sorted(handle.name for handle in found))
    raise NoEngine(
        say("several containers are called {name}: {names}", name=name, names=names),
        advice=say("Choose one: write its own name under `container`"),
    )


def _neighbours(engine: Any, network: str | None) -> Iterable[Any]:
    filters = {"network": network} if network else {}
    listed = engine.containers.list(all=True, filters=filters, ignore_removed=True)
    return [handle for handle in listed if RUN_LABEL not in handle.labels]


def _called(handle: Any, name: str, network: str | None) -> bool:
    networks = handle.attrs["NetworkSettings"]["Networks"]
    chosen = [networks.get(network)] if network else list(networks.values())
    names = [
        alias for place in chosen if place for alias in (place.get("Aliases") or []) + (place.get("DNSNames") or [])
    ]
    return name in names or handle.name == name


def _its_network(handle: Any, name: str) -> str | None:
    networks = handle.attrs["NetworkSettings"]["Networks"]
    return next((key for key, place in networks.items() if name in (place.get("Aliases") or [])), None)


def hold(container: Container, run_id: str) -> None:
    """Makes the container, never started, by which a run holds another for itself. Raises NoEngine where one does."""
    from docker.errors import APIError, DockerException

    image, labels = container.handle.attrs["Image"], {RUN_LABEL: run_id}
    try:
        client().containers.create(image, ["never"], name=container.hold, labels=labels, network_mode="none")
    except (DockerException, OSError) as error:
        if not isinstance(error, APIError) or error.status_code != 409:
            why = beginning_of(str(error), 500)
            raise NoEngine(
                say("{target} cannot be held for this run: {why}", target=container.alias, why=why)
            ) from error
        raise NoEngine(
            say(
                "another run drills {target} just now; where that one is dead, `prodgate restore` on its machine frees "
                "it, or `docker rm {name}` once it is as it should be",
                target=container.alias,
                name=container.hold,
            )
        ) from error


def launch(
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

    engine = client()
    try:
        image = start.image or _build(name, start, root, run_id, note)
        if start.image:
            pulled(engine, image, note)
        if cancelled.is_set():
            raise NoEngine(say("the run ended before it was started"))
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
        raise NoEngine(say("it cannot be started: {why}", why=beginning_of(str(error), 2000))) from error
    return Container(handle, name, network, started=True)


def _alias(engine: Any, name: str) -> Any:
    return engine.api.create_endpoint_config(aliases=[name])


def pulled(engine: Any, image: str, note: Callable[[str], None]) -> None:
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
        raise NoEngine(say("{path} is no folder of the checkout", path=start.build or ""))
    tag = f"prodgate-{run_id}-{name}".lower()
    steps = client().api.build(
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
            raise NoEngine(say("its image cannot be built: {why}", why="\n".join(last)))
    return tag
