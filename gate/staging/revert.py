"""How each kind of act is undone, by the run itself or after its death. Each way may be gone any number of times."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import Struct

from gate.runtime.process_tree import ProcessGroup, ProcessInfo, is_local_process
from gate.runtime.processes import ProcessGroupHook
from gate.staging import user_commands
from gate.staging.docker_client import RUN_LABEL, DockerUnavailableError, docker_client
from gate.staging.journal import DeadRun, FaultAction, LiveRun, scan_journals
from gate.staging.process import end_run, kill_leader
from gate.staging.process import kill_process_group as end_members

_LONGEST = 15.0
_AGAIN = 0.2
_DIES = 5.0
"""Seconds in which a run is dead after SIGKILL."""


class ContainerGoneError(Exception):
    """The container is there no more: nothing can be put back, now or later."""


def revert(act: FaultAction, born: ProcessGroupHook | None = None) -> None:
    """Undoes an act. Raises whatever keeps it from being undone, Gone among it. `born` is told of a user's command."""
    more = {"born": born} if act.revert == run_command.__name__ else {}
    REVERT_FUNCTIONS[act.revert](**act.arguments, **more)


def _container(name: str) -> Any | None:
    from docker.errors import NotFound

    try:
        return docker_client().containers.get(name)
    except NotFound:
        return None


def _needed(name: str) -> Any:
    found = _container(name)
    if found is None:
        raise ContainerGoneError(f"container {name} is there no more")
    return found


def start_container(container: str) -> None:
    """Starts a container again that was stopped or killed."""
    found = _needed(container)
    if found.attrs["State"]["Status"] != "running":
        found.start()


def unpause_container(container: str) -> None:
    """Lets a paused container go on."""
    found = _needed(container)
    if found.attrs["State"]["Status"] == "paused":
        found.unpause()


def connect_container(
    container: str, network: str, aliases: list[str], address: str | None = None, address6: str | None = None
) -> None:
    """Gives a container its place on a network back, with the names it had there and no others.

    `address` and `address6` are those that it was given when it was created; None where the engine chose one.
    """
    found = _needed(container)
    place = found.attrs["NetworkSettings"]["Networks"].get(network)
    short = found.id[:12]
    if place is not None:
        if sorted(set(place.get("Aliases") or []) - {short}) == sorted(set(aliases) - {short}):
            return
        docker_client().networks.get(network).disconnect(found, force=True)
    docker_client().networks.get(network).connect(found, aliases=aliases, ipv4_address=address, ipv6_address=address6)


def remove_container(container: str) -> None:
    """Removes a container of ours, by its name."""
    found = _container(container)
    if found is not None:
        found.remove(force=True, v=True)


def release_lock(container: str, run_id: str) -> None:
    """Removes the container by which a run held another one for itself; one of that name may be another run's."""
    found = _container(container)
    if found is not None and found.labels.get(RUN_LABEL) == run_id:
        found.remove(force=True, v=True)


def run_command(command: list[str], folder: str, timeout: float, born: ProcessGroupHook | None = None) -> None:
    """Runs a user's own way back; a service that it brings back outlives it. Raises RuntimeError where it fails."""
    done = user_commands.start_command(command, root=Path(folder), timeout=timeout, born=born, leaves=True).wait()
    why = user_commands.describe_failure(command[0], done)
    if why is not None:
        raise RuntimeError(str(why))


def end_group(group: int, started: str, machine: str) -> None:
    """Ends what is left of a process group that a run started. Raises RuntimeError where one is left."""
    _none_left(end_members(ProcessGroup(group=group, started=started, machine=machine)))


def end_processes(run_id: str) -> None:
    """Ends every process that a run started. Raises RuntimeError where one is left."""
    _none_left(end_run(run_id))


def _none_left(left: list[ProcessInfo]) -> None:
    if left:
        raise RuntimeError(f"processes {', '.join(str(process.pid) for process in left)} do not end")


def remove_labelled(run_id: str) -> None:
    """Removes every container, network and image that a run started or built."""
    wanted: dict[str, str | list[str] | bool] = {"label": f"{RUN_LABEL}={run_id}"}
    for container in docker_client().containers.list(all=True, filters=wanted, ignore_removed=True):
        container.remove(force=True, v=True)
    for network in docker_client().networks.list(filters=wanted, greedy=True):
        for container in network.containers:
            network.disconnect(container, force=True)
        network.remove()
    for image in docker_client().images.list(filters=wanted):
        docker_client().images.remove(str(image.id), force=True)


# The names are stored in journals on disk: a run of another version may have written them, so they never change.
REVERT_FUNCTIONS: dict[str, Callable[..., None]] = {
    "start_container": start_container,
    "unpause_container": unpause_container,
    "connect_container": connect_container,
    "remove_container": remove_container,
    "let_go": release_lock,
    "run_command": run_command,
    "end_group": end_group,
    "end_processes": end_processes,
    "remove_labelled": remove_labelled,
}


class RecoveryResult(Struct, frozen=True):
    """What was done, what could not be, what never can be, in words, and the runs that are still alive."""

    done: list[str]
    failed: list[str]
    lost: list[str]
    alive: list[str]


def recover_dead_runs(where: Path | None = None, patience: float | None = None) -> RecoveryResult:
    """Undoes what dead runs left. Runs that live are let be, or with `patience` are ended after so many seconds."""
    done: list[str] = []
    failed: list[str] = []
    lost: list[str] = []
    if patience is not None:
        _await_end(where, patience, done)
    with scan_journals(where) as (dead, alive):
        for run in dead:
            problems = _undo_all(run, done, lost)
            if not problems:
                run.path.unlink(missing_ok=True)
            failed += problems
    return RecoveryResult(done, failed, lost, [each.run_id for each in alive])


def _await_end(where: Path | None, patience: float, done: list[str]) -> None:
    """Waits for the runs that are alive: one that is being cancelled restores by itself. Then ends them."""
    left = _alive_after(where, patience)
    for run in left:
        with contextlib.suppress(DockerUnavailableError):
            _end(run)
        done.append(f"run {run.run_id}: still alive, ended")
    if left:
        _alive_after(where, _DIES)


def _alive_after(where: Path | None, patience: float) -> list[LiveRun]:
    end = time.monotonic() + patience
    while True:
        with scan_journals(where) as (_, alive):
            pass
        if not alive or time.monotonic() > end:
            return alive
        time.sleep(_AGAIN)


def _end(run: LiveRun) -> None:
    """Ends a run by SIGKILL; with its container, and all that is in there, where that is another than this one."""
    if is_local_process(run.gate):
        kill_leader(run.gate)
        return
    found = _container(run.container) if run.container else None
    if found is not None:
        found.kill()


def _undo_all(run: DeadRun, done: list[str], lost: list[str]) -> list[str]:
    """Undoes all acts of a dead run, the latest first; adds to what was done and what is lost, and returns the rest.

    A script that was under way is the latest act: once it has ended, nothing more is asked of the engine, which is
    waited for before anything else is undone.
    """
    problems, settled = [], min(run.settled, time.time() + _LONGEST)
    for act in run.actions:
        if act.revert != end_group.__name__:
            time.sleep(max(0.0, settled - time.time()))
        words = f"run {run.run_id}: {act.revert} {next(iter(act.arguments.values()))}"
        try:
            revert(act)
            done.append(words)
        except ContainerGoneError as error:
            lost.append(f"{words}: {error}")
        except Exception as error:  # noqa: BLE001 - the rest must be undone all the same
            problems.append(f"{words}: {error}")
    return problems
