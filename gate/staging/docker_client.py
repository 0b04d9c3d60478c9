"""Connect to Docker, and detect the container, network and image of the gate itself."""

from __future__ import annotations

import json
import os
import socket
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gate.core.messages import msg
from gate.redaction.secrets import redacted_head
from gate.staging.errors import StagingError

if TYPE_CHECKING:
    from docker import DockerClient

# The label, with the run's id, of every container, network and image that a run created.
RUN_LABEL = "prodgate.run"
# The labels of what Compose creates.
PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
REPLICA_LABEL = "com.docker.compose.container-number"
ONE_OFF_LABEL = "com.docker.compose.oneoff"
CONFIG_HASH_LABEL = "com.docker.compose.config-hash"
# Docker's own networks, on which containers have no aliases.
BUILTIN_NETWORKS = ("bridge", "host", "none")
# Docker completes a request even if its client has died. Seconds in which it surely has, unless the request waits.
ENGINE_SETTLE_TIMEOUT = 2.0
_REQUEST_TIMEOUT = 30


class DockerUnavailableError(StagingError):
    """No Docker engine can be reached."""


@cache
def docker_client() -> DockerClient:
    """Return the Docker client. Raise DockerUnavailableError if no engine can be reached."""
    from docker.errors import DockerException
    from docker.utils import kwargs_from_env

    from gate.staging.bounded_docker import BoundedDockerClient

    try:
        client = BoundedDockerClient(version="auto", timeout=_REQUEST_TIMEOUT, **kwargs_from_env())
        client.ping()
    except (DockerException, OSError, ValueError) as error:  # ValueError: DOCKER_HOST is not a valid address
        raise DockerUnavailableError(
            msg("there is no container engine here: {why}", why=_first_line(error)),
            advice=msg("Run the gate where it can reach the engine's socket, or give the target a `url`"),
        ) from error
    return client


def _first_line(error: Exception) -> str:
    return redacted_head(str(error).split("\n", 1)[0], 200)


def hostname() -> str | None:
    """Return the hostname of the gate's container, by default its short id; None outside a container."""
    return socket.gethostname() if Path("/.dockerenv").exists() else None


@cache
def gate_container() -> Any | None:
    """Return Docker's handle of the gate's own container; None outside a container, or if Docker does not know it."""
    from docker.errors import APIError, NotFound

    name = hostname()
    if name is None:
        return None
    try:
        return docker_client().containers.get(name)
    except (NotFound, APIError):
        return None


def gate_networks() -> list[str] | None:
    """Return the networks that the gate can reach; None if it can reach every network of the machine by address."""
    container = gate_container()
    if container is None or container.attrs["HostConfig"].get("NetworkMode") == "host":
        return None
    return list(container.attrs["NetworkSettings"]["Networks"])


def job_network() -> str | None:
    """Return the network shared with the service containers; None if there is none.

    In a container that is the job's network, else the first one it is on. Outside, PRODGATE_NETWORK names it.
    """
    return os.environ.get("PRODGATE_NETWORK") or None if gate_container() is None else _first_network()


@cache
def _first_network() -> str | None:
    # Cached: networks that the gate joins later are not the job's.
    names: list[str] = list(gate_container().attrs["NetworkSettings"]["Networks"])  # type: ignore[union-attr]
    # The runner names a job's network `github_network_ID`. Docker's own networks have no aliases.
    job_networks = [name for name in names if name.startswith("github_network_")]
    user_networks = [name for name in names if name not in BUILTIN_NETWORKS]
    return next(iter(job_networks + user_networks), None)


def gate_image() -> str | None:
    """Return the image to start fault proxies from: PRODGATE_IMAGE, else that of the gate's container, else None."""
    container = gate_container()
    return os.environ.get("PRODGATE_IMAGE") or (str(container.attrs["Image"]) if container is not None else None)


def job_services() -> dict[str, str]:
    """Return the ids of the service containers by their name in the workflow, from the input `services`."""
    try:
        services = json.loads(os.environ.get("INPUT_SERVICES") or "{}")
    except ValueError:
        return {}
    if not isinstance(services, dict):
        return {}
    return {
        str(name): str(service["id"])
        for name, service in services.items()
        if isinstance(service, dict) and isinstance(service.get("id"), str)
    }
