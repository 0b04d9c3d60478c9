"""The container engine: reached through its socket, if there is one, with the SDK."""

from __future__ import annotations

import json
import os
import socket
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gate.core.messages import Message, msg
from gate.redaction.secrets import redacted_head

if TYPE_CHECKING:
    from docker import DockerClient

RUN_LABEL = "prodgate.run"
"""The label of everything that a run started, with the run's id."""
ENGINE_SETTLE_TIMEOUT = 2.0
"""Seconds that an engine takes at most for something that it does at once."""
_TIMEOUT = 30


class DockerUnavailableError(Exception):
    """There is no engine to ask, or it refused. `message` says why, and `advice` what to do, for a report."""

    def __init__(self, message: Message, *, advice: Message | None = None) -> None:
        super().__init__(str(message))
        self.message = message
        self.advice = advice


@cache
def docker_client() -> DockerClient:
    """The engine. Raises NoEngine where there is none."""
    from docker.errors import DockerException
    from docker.utils import kwargs_from_env

    from gate.staging.bounded_docker import BoundedDockerClient

    try:
        found = BoundedDockerClient(version="auto", timeout=_TIMEOUT, **kwargs_from_env())
        found.ping()
    except (DockerException, OSError, ValueError) as error:  # ValueError: a DOCKER_HOST that is no address
        raise DockerUnavailableError(
            msg("there is no container engine here: {why}", why=_short(error)),
            advice=msg("Run the gate where it can reach the engine's socket, or give the target a `url`"),
        ) from error
    return found


def _short(error: Exception) -> str:
    return redacted_head(str(error).split("\n", 1)[0], 200)


def hostname() -> str | None:
    """The name by which an engine knows the container that the gate runs in; None where it runs in none."""
    return socket.gethostname() if Path("/.dockerenv").exists() else None


@cache
def gate_container() -> Any | None:
    """The container that the gate itself runs in, or None: a container's hostname is its short id."""
    from docker.errors import APIError, NotFound

    name = hostname()
    if name is None:
        return None
    try:
        return docker_client().containers.get(name)
    except (NotFound, APIError):
        return None


def job_network() -> str | None:
    """The network that the gate shares with the service containers: the job's, or the one it was started on."""
    own = gate_container()
    if own is None:
        return os.environ.get("PRODGATE_NETWORK") or None
    names: list[str] = list(own.attrs["NetworkSettings"]["Networks"])
    ours = [name for name in names if name.startswith("github_network_")]
    others = [name for name in names if name not in ("bridge", "host", "none")]
    return next(iter(ours + others), None)


def gate_image() -> str | None:
    """The image that the gate itself runs from: what its proxies and stubs are started from."""
    own = gate_container()
    return os.environ.get("PRODGATE_IMAGE") or (str(own.attrs["Image"]) if own is not None else None)


def job_services() -> dict[str, str]:
    """The ids of the service containers by their name in the workflow, as the runner says (`job.services`)."""
    try:
        data = json.loads(os.environ.get("INPUT_SERVICES") or "{}")
    except ValueError:
        return {}
    if not isinstance(data, dict):
        return {}
    return {
        str(name): str(service["id"])
        for name, service in data.items()
        if isinstance(service, dict) and isinstance(service.get("id"), str)
    }
