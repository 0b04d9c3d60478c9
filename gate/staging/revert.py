"""Revert journaled actions, during the run or after it crashed. Every function in `REVERT_FUNCTIONS` is idempotent."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from gate.core.errors import GateError
from gate.core.messages import msg
from gate.runtime.process_tree import ProcessGroup, ProcessInfo
from gate.runtime.processes import ProcessGroupHook
from gate.staging import user_commands
from gate.staging.container import SHORT_ID_LENGTH
from gate.staging.docker_client import PROJECT_LABEL, RUN_LABEL, docker_client
from gate.staging.journal import FaultAction, RevertName
from gate.staging.process import terminate_process_group, terminate_run

# A quota of Docker that is none; 0 would leave the quota as it is.
UNLIMITED_CPU = -1


class RevertError(GateError):
    """An action could not be reverted."""


class ContainerGoneError(RevertError):
    """The container no longer exists: nothing can be reverted, now or later."""


def revert(action: FaultAction, on_group_created: ProcessGroupHook | None = None) -> None:
    """Revert an action. Raise RevertError, or whatever Docker raises, if that fails.

    `on_group_created` is called with the process group of a user's command, so that it can be journaled.
    """
    hook = {"on_group_created": on_group_created} if action.revert == "run_command" else {}
    REVERT_FUNCTIONS[action.revert](**action.arguments, **hook)


def find_container(name: str) -> Any | None:
    """Return Docker's handle of a container by name or id; None if it does not exist."""
    from docker.errors import NotFound

    try:
        return docker_client().containers.get(name)
    except NotFound:
        return None


def _existing_container(name: str) -> Any:
    container = find_container(name)
    if container is None:
        raise ContainerGoneError(msg("container {name} no longer exists", name=name))
    return container


# The parameters of the functions below are the arguments in the journal: their names are stored on disk, too.


def start_container(container: str) -> None:
    """Start a stopped container."""
    handle = _existing_container(container)
    if handle.attrs["State"]["Status"] != "running":
        handle.start()


def unpause_container(container: str) -> None:
    """Unpause a paused container."""
    handle = _existing_container(container)
    if handle.attrs["State"]["Status"] == "paused":
        handle.unpause()


def set_cpu_quota(container: str, quota: int) -> None:
    """Set the CPU quota of a container, in microseconds for each period; UNLIMITED_CPU removes it."""
    handle = _existing_container(container)
    current = int(handle.attrs["HostConfig"].get("CpuQuota") or 0)
    if (current if current > 0 else UNLIMITED_CPU) != quota:
        handle.update(cpu_quota=quota)
    handle.reload()
    if int(handle.attrs["HostConfig"].get("CpuQuota") or UNLIMITED_CPU) != quota:
        raise RevertError(msg("the CPU quota of container {name} was not restored", name=container))


def connect_container(
    container: str, network: str, aliases: list[str], address: str | None = None, address6: str | None = None
) -> None:
    """Connect a container to a network with exactly these aliases.

    `address` and `address6` are the fixed addresses it was created with; None if Docker chose them.
    """
    handle = _existing_container(container)
    config = handle.attrs["NetworkSettings"]["Networks"].get(network)
    # Older engines list the short id as an alias.
    short_id = handle.id[:SHORT_ID_LENGTH]
    if config is not None:
        if sorted(set(config.get("Aliases") or []) - {short_id}) == sorted(set(aliases) - {short_id}):
            return
        docker_client().networks.get(network).disconnect(handle, force=True)
    docker_client().networks.get(network).connect(handle, aliases=aliases, ipv4_address=address, ipv6_address=address6)


def remove_container(container: str) -> None:
    """Remove a container that the gate created."""
    handle = find_container(container)
    if handle is not None:
        handle.remove(force=True, v=True)


def release_lock(container: str, run_id: str) -> None:
    """Remove the lock container of a run."""
    handle = find_container(container)
    # Another run may have taken the lock since: its lock container has the same name.
    if handle is not None and handle.labels.get(RUN_LABEL) == run_id:
        handle.remove(force=True, v=True)


def run_command(
    command: list[str], folder: str, timeout: float, on_group_created: ProcessGroupHook | None = None
) -> None:
    """Run a user's revert command. Raise RevertError if it fails.

    A service that it starts in the background outlives it.
    """
    completed = user_commands.start_command(
        command,
        root=Path(folder),
        timeout=timeout,
        on_group_created=on_group_created,
        keep_background_processes=True,
    ).wait()
    failure = user_commands.describe_failure(command[0], completed)
    if failure is not None:
        raise RevertError(failure)


def end_group(group: int, started: str, machine: str) -> None:
    """Terminate the processes of a group that a run started. Raise RevertError if one survives."""
    _require_none(terminate_process_group(ProcessGroup(group=group, started=started, machine=machine)))


def end_processes(run_id: str) -> None:
    """Terminate every process that a run started. Raise RevertError if one survives."""
    _require_none(terminate_run(run_id))


def _require_none(survivors: list[ProcessInfo]) -> None:
    if survivors:
        pids = ", ".join(str(process.pid) for process in survivors)
        raise RevertError(msg("processes still running after SIGKILL: {pids}", pids=pids))


def remove_labelled(run_id: str) -> None:
    """Remove every container, network and image that a run started or built."""
    filters: dict[str, str | list[str] | bool] = {"label": f"{RUN_LABEL}={run_id}"}
    for container in docker_client().containers.list(all=True, filters=filters, ignore_removed=True):
        container.remove(force=True, v=True)
    for network in docker_client().networks.list(filters=filters, greedy=True):
        for container in network.containers:
            network.disconnect(container, force=True)
        network.remove()
    for image in docker_client().images.list(filters=filters):
        docker_client().images.remove(str(image.id), force=True)


def remove_file(path: str) -> None:
    """Remove a file that the gate wrote."""
    Path(path).unlink(missing_ok=True)


def restore_file(container: str, folder: str, archive: str, signal: str) -> None:
    """Put the files of an archive back into a container, and have it read them again."""
    handle = _existing_container(container)
    handle.put_archive(folder, base64.b64decode(archive))
    handle.reload()
    if handle.attrs["State"]["Status"] == "running":
        handle.kill(signal=signal)


def leave_network(network: str, container: str) -> None:
    """Disconnect the gate's container from a network that it joined."""
    handle = find_container(container)
    if handle is not None and network in handle.attrs["NetworkSettings"]["Networks"]:
        docker_client().networks.get(network).disconnect(handle, force=True)


def take_down_project(project: str, volumes: list[str]) -> None:
    """Remove the containers, networks and volumes of a Compose project that the gate brought up.

    `volumes` are the ones that existed before: they stay.
    """
    filters: dict[str, str | list[str] | bool] = {"label": f"{PROJECT_LABEL}={project}"}
    containers = docker_client().containers.list(all=True, filters=filters, ignore_removed=True)
    # A database that keeps its files elsewhere must be able to close them.
    with ThreadPoolExecutor(max(1, len(containers))) as pool:
        list(pool.map(_stop, containers))
    for container in containers:
        container.remove(force=True, v=True)
    for network in docker_client().networks.list(filters=filters):
        network.remove()
    for volume in docker_client().volumes.list(filters=filters):
        if volume.name not in volumes:
            volume.remove(force=True)


def _stop(container: Any) -> None:
    from docker.errors import DockerException

    # What does not stop is killed when it is removed.
    with contextlib.suppress(DockerException, OSError):
        container.stop()


# The names are stored in journals on disk: a run of another version may have written them, so they never change.
REVERT_FUNCTIONS: dict[RevertName, Callable[..., None]] = {
    "start_container": start_container,
    "unpause_container": unpause_container,
    "connect_container": connect_container,
    "remove_container": remove_container,
    "let_go": release_lock,
    "run_command": run_command,
    "end_group": end_group,
    "end_processes": end_processes,
    "remove_labelled": remove_labelled,
    "remove_file": remove_file,
    "restore_file": restore_file,
    "set_cpu_quota": set_cpu_quota,
    "leave_network": leave_network,
    "take_down_project": take_down_project,
}
