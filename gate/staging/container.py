"""Containers of staging: find service containers, start and lock containers, build images."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from gate.core.messages import msg
from gate.redaction.secrets import redacted_head, redacted_tail
from gate.staging.docker_client import (
    BUILTIN_NETWORKS,
    CONFIG_HASH_LABEL,
    RUN_LABEL,
    docker_client,
    gate_networks,
    job_network,
    job_services,
)
from gate.staging.errors import StagingError
from gate.staging.spec import Start

# Characters of a container's short id, which Docker uses as hostname and, in older engines, as an alias.
SHORT_ID_LENGTH = 12
_LOG_TAIL_LINES = 40


class Container:
    """A container. `network` is the network that it shares with the gate, `alias` its name there.

    Properties are queried from Docker on each access.
    """

    def __init__(
        self, handle: Any, alias: str, network: str | None, *, started: bool = False, alias_is_unique: bool = True
    ) -> None:
        self.handle = handle
        self.alias = alias
        self.network = network
        self.started = started
        # The container itself, while another one runs in its place.
        self.replaced: Any | None = None
        # Whether the alias leads to this container on all networks of the gate.
        self.alias_is_unique = alias_is_unique
        # The container of the proxy that has taken the place of this one.
        self.proxy_handle: Any | None = None

    @property
    def id(self) -> str:
        """Return the full id."""
        return str(self.handle.id)

    @property
    def state(self) -> str:
        """Return the status: `running`, `paused`, `exited`, ..."""
        self.handle.reload()
        return str(self.handle.attrs["State"]["Status"])

    @property
    def exit_code(self) -> int | None:
        """Return the exit code; None while it has not exited."""
        return int(self.handle.attrs["State"]["ExitCode"]) if self.state in ("exited", "dead") else None

    @property
    def health(self) -> str:
        """Return the status of its health check, such as `healthy`; empty if it has none."""
        self.handle.reload()
        return str((self.handle.attrs["State"].get("Health") or {}).get("Status") or "")

    @property
    def name(self) -> str:
        """Return the own name."""
        return str(self.handle.name)

    @property
    def host(self) -> str:
        """Return the name or address at which the gate reaches it, or the proxy in its place.

        It is the alias if the gate is on the same network.
        """
        networks = gate_networks()
        shared = networks is not None and self.network in networks and self.network not in BUILTIN_NETWORKS
        if shared and self.alias_is_unique:
            return self.alias
        handle = self.proxy_handle or self.handle
        handle.reload()
        addresses = reachable_addresses(handle)
        return (
            addresses.get(self.network or "") or next(iter(addresses.values()), "") or self._any_address or self.alias
        )

    @property
    def _any_address(self) -> str:
        networks = self.handle.attrs["NetworkSettings"]["Networks"]
        return str((networks.get(self.network) or {}).get("IPAddress") or "")

    @property
    def addresses_by_network(self) -> dict[str, str]:
        """Its address on each network that the gate can reach; empty while it is stopped."""
        self.handle.reload()
        return reachable_addresses(self.handle)

    @property
    def addresses(self) -> list[str]:
        """Its addresses on all networks that the gate can reach; empty while it is stopped."""
        return list(self.addresses_by_network.values())

    @property
    def network_configs(self) -> list[dict[str, Any]]:
        """Return one entry for each of its networks: the arguments of `gate.staging.revert.connect_container`."""
        self.handle.reload()
        return [
            {
                "container": self.id,
                "network": network,
                "aliases": [alias for alias in endpoint.get("Aliases") or [] if alias != self.id[:SHORT_ID_LENGTH]],
                "address": (endpoint.get("IPAMConfig") or {}).get("IPv4Address") or None,
                "address6": (endpoint.get("IPAMConfig") or {}).get("IPv6Address") or None,
            }
            for network, endpoint in self.handle.attrs["NetworkSettings"]["Networks"].items()
        ]

    def ip_address(self, network: str) -> str:
        """Return its IP address on a network; empty if it has none."""
        self.handle.reload()
        endpoint = self.handle.attrs["NetworkSettings"]["Networks"].get(network) or {}
        return str(endpoint.get("IPAddress") or "")

    @property
    def published_ports(self) -> list[str]:
        """Return the ports of the host that are forwarded to it, such as `5432`."""
        self.handle.reload()
        ports = self.handle.attrs["NetworkSettings"].get("Ports") or {}
        return sorted({str(binding["HostPort"]) for bindings in ports.values() for binding in bindings or ()}, key=int)

    def alias_conflicts(self, replicas: Collection[str]) -> list[str]:
        """Return the names of other running containers that share one of its names on one of its networks.

        `replicas` are the ids of the containers of the same service, which may. A container that the checklist names by
        its own name is one of several on purpose, such as a replica.
        """
        if self.alias == self.handle.name or self.id.startswith(self.alias):
            return []
        client, conflicts = docker_client(), set[str]()
        for config in self.network_configs:
            names = {*config["aliases"], self.alias}
            conflicts |= {
                str(handle.name)
                for handle in client.containers.list(filters={"network": config["network"]}, ignore_removed=True)
                if handle.id not in replicas and names & names_on_network(handle, config["network"])
            }
        return sorted(conflicts)

    def network_sharers(self) -> list[str]:
        """Return the names of running containers that share its network interfaces (`--network container:NAME`)."""
        mode = f"container:{self.id}"
        rows = docker_client().api.containers()
        return sorted(row["Names"][0].lstrip("/") for row in rows if row["HostConfig"].get("NetworkMode") == mode)

    def remove(self) -> None:
        """Remove the container and its anonymous volumes."""
        from docker.errors import NotFound

        with contextlib.suppress(NotFound):
            self.handle.remove(force=True, v=True)

    @property
    def lock_name(self) -> str:
        """Return the name of the lock container (see `acquire_lock`)."""
        return f"prodgate-drills-{self.id[:SHORT_ID_LENGTH]}"

    @property
    def log_tail(self) -> str:
        """Return the last lines of its log, redacted."""
        try:
            output = self.handle.logs(tail=_LOG_TAIL_LINES)
        except Exception as error:  # noqa: BLE001 - a log that can't be read must not change an outcome
            return f"(its log cannot be read: {error})"
        return redacted_tail(bytes(output).decode("utf-8", "replace"), 8192)


def reachable_addresses(handle: Any) -> dict[str, str]:
    """Return a container's address on each network that the gate can reach."""
    reachable = gate_networks()
    networks = handle.attrs["NetworkSettings"]["Networks"]
    if reachable is None and "host" in networks:
        return {"host": "127.0.0.1"} if handle.attrs["State"]["Running"] else {}
    addresses = {name: str(endpoint.get("IPAddress") or endpoint.get("GlobalIPv6Address") or "")
                 for name, endpoint in networks.items() if reachable is None or name in reachable}  # fmt: skip
    return {name: address for name, address in addresses.items() if address}


def compose_labels(handle: Any) -> dict[str, str]:
    """Return the labels with which `docker compose down` removes a container together with its project.

    They are those of a container of the project, with another hash of its configuration: `docker compose up` takes the
    container for an outdated one and removes it before any other.
    """
    labels = {key: value for key, value in handle.labels.items() if key.startswith("com.docker.compose.")}
    return {**labels, CONFIG_HASH_LABEL: "prodgate"} if labels else {}


def find_service_container(name: str) -> Container:
    """Return a container by its service name in the job, its alias on the gate's network, or its own name or id.

    Raise StagingError if there is none, or more than one.
    """
    client, network = docker_client(), job_network()
    service_id = job_services().get(name)
    if service_id:
        return Container(client.containers.get(service_id), name, network)
    on_network = _containers_on(client, network) if network else []
    matches = [handle for handle in on_network if network and name in names_on_network(handle, network)]
    # An alias on another network may be that of another project's container: there, only the own name counts.
    matches = matches or _find_by_own_name(client, name)
    if len(matches) > 1:
        names = ", ".join(sorted(handle.name for handle in matches))
        raise StagingError(
            msg("several containers are named {name}: {names}", name=name, names=names),
            advice=msg("Write the own name of one of them under `container`"),
        )
    if matches:
        networks = list(matches[0].attrs["NetworkSettings"]["Networks"])
        return Container(matches[0], name, network if network in networks else next(iter(networks), None))
    if network:
        raise StagingError(msg("no container is named {name} on the network {network}", name=name, network=network))
    raise StagingError(
        msg("no container on this machine has the own name {name}", name=name),
        advice=msg(
            "Write its own name, or set `PRODGATE_NETWORK` to the network on which {name} is an alias", name=name
        ),
    )


def _containers_on(client: Any, network: str) -> list[Any]:
    """Return the containers on a network, without those that a run started."""
    handles = client.containers.list(all=True, filters={"network": network}, ignore_removed=True)
    return [handle for handle in handles if RUN_LABEL not in handle.labels]


def _find_by_own_name(client: Any, name: str) -> list[Any]:
    from docker.errors import NotFound

    try:
        handle = client.containers.get(name)
    except NotFound:
        return []
    # Docker accepts any unique prefix of an id: a short name must not match one by accident.
    is_id = len(name) >= SHORT_ID_LENGTH and handle.id.startswith(name)
    return [handle] if (handle.name == name or is_id) and RUN_LABEL not in handle.labels else []


def names_on_network(handle: Any, network: str) -> set[str]:
    """Return the names to which a container answers on a network, its own name included."""
    endpoint = handle.attrs["NetworkSettings"]["Networks"].get(network)
    if endpoint is None:
        return set()
    return {handle.name, *(endpoint.get("Aliases") or []), *(endpoint.get("DNSNames") or [])}


def acquire_lock(container: Container, run_id: str) -> None:
    """Lock a container for a run, across all runs on its engine. Raise StagingError if another run holds the lock."""
    from docker.errors import APIError, DockerException

    image, labels = container.handle.attrs["Image"], {**compose_labels(container.handle), RUN_LABEL: run_id}
    try:
        # The lock is a container that never starts: Docker gives a name to one container only.
        docker_client().containers.create(
            image, ["never"], name=container.lock_name, labels=labels, network_mode="none"
        )
    except (DockerException, OSError) as error:
        if not isinstance(error, APIError) or error.status_code != 409:
            why = redacted_head(str(error), 500)
            raise StagingError(
                msg("{target} cannot be locked for this run: {why}", target=container.alias, why=why)
            ) from error
        raise StagingError(
            msg(
                "another run is drilling {target}; if that run is dead, run `prodgate restore` on its machine, or "
                "`docker rm {name}` after checking the container",
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
    dependencies: Collection[Container],
    log_progress: Callable[[str], None],
    cancelled: threading.Event,
) -> Container:
    """Start a container with the target's name as its alias on a network, and on those of the services that it uses.

    Raise StagingError if that fails.
    """
    from docker.errors import DockerException

    client = docker_client()
    try:
        image = start.image or build_image(name, start, root, run_id, log_progress)
        if start.image:
            pull_image(client, image, log_progress)
        if cancelled.is_set():
            raise StagingError(msg("the run ended before it was started"))
        handle = client.containers.create(
            image,
            command=start.command,
            name=f"prodgate-{run_id}-{name}",
            environment={key: str(value) for key, value in start.environment.items()},
            labels={**_dependency_labels(dependencies), RUN_LABEL: run_id, "prodgate.target": name},
            network=network,
            networking_config={network: client.api.create_endpoint_config(aliases=[name])},
            user=start.user,
            stop_signal=f"SIG{start.stop_signal}" if start.stop_signal else None,
        )
        used = {config["network"] for container in dependencies for config in container.network_configs}
        for other in sorted(used - {network}):
            client.networks.get(other).connect(handle, aliases=[name])
        handle.start()
    except (DockerException, OSError) as error:
        raise StagingError(msg("it cannot be started: {why}", why=redacted_head(str(error), 2000))) from error
    return Container(handle, name, network, started=True)


def _dependency_labels(dependencies: Iterable[Container]) -> dict[str, str]:
    """Return the labels of a Compose project: its networks can be removed only if this container is removed, too."""
    labels = (compose_labels(container.handle) for container in dependencies)
    return next((found for found in labels if found), {})


def pull_image(client: Any, image: str, log_progress: Callable[[str], None]) -> None:
    """Pull an image unless it exists locally. Raise DockerException if that fails."""
    from docker.errors import ImageNotFound

    try:
        client.images.get(image)
    except ImageNotFound:
        log_progress(f"pulling {image}")
        client.images.pull(image)


def build_image(name: str, start: Start, root: Path, run_id: str, log_progress: Callable[[str], None]) -> str:
    """Build an image with the run's label, log each step, and return its tag. Raise StagingError if that fails."""
    folder = root / (start.build or ".")
    if not folder.is_dir():
        raise StagingError(msg("{path} is not a folder of the checkout", path=start.build or ""))
    tag = f"prodgate-{run_id}-{name}".lower()
    steps = docker_client().api.build(
        path=str(folder),
        dockerfile=start.dockerfile,
        tag=tag,
        buildargs=start.args,
        labels={RUN_LABEL: run_id},
        network_mode=start.build_network,
        nocache=True,  # another run may remove the cached layers while this build uses them
        rm=True,
        forcerm=True,
        decode=True,
    )
    last_lines: list[str] = []
    for step in steps:
        text = str(step.get("stream") or step.get("error") or "").rstrip()
        last_lines = [*last_lines[-19:], text] if text else last_lines
        if text.startswith("Step "):
            log_progress(f"{name}: {text}")
        if "error" in step:
            raise StagingError(msg("its image cannot be built: {why}", why="\n".join(last_lines)))
    return tag
