"""Revert what dead runs left behind: for `prodgate restore`, the post step and the start of the next run."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from msgspec import Struct

from gate.runtime.process_tree import is_local_process
from gate.staging.docker_client import DockerUnavailableError
from gate.staging.journal import DeadRun, LiveRun, scan_journals
from gate.staging.process import kill_leader
from gate.staging.revert import REVERT_FUNCTIONS, ContainerGoneError, find_container, revert

# Seconds to wait at most for Docker requests that a dead run left under way.
_MAX_SETTLE_WAIT = 15.0
_POLL_INTERVAL = 0.2
# Seconds within which a run is dead after SIGKILL.
_KILL_GRACE = 5.0


class RecoveryResult(Struct, frozen=True):
    """The result of a recovery: one line for each action, and the ids of the runs that are still alive.

    `failed` actions stay in the journal and can be tried again; `lost` ones can never be reverted.
    """

    done: list[str]
    failed: list[str]
    lost: list[str]
    alive: list[str]


def recover_dead_runs(journals: Path | None = None, end_after: float | None = None) -> RecoveryResult:
    """Revert every open action of the dead runs whose journals are in a folder.

    Live runs are left alone. With `end_after`, wait that many seconds for them to end, then kill them.
    """
    done: list[str] = []
    failed: list[str] = []
    lost: list[str] = []
    if end_after is not None:
        _end_live_runs(journals, end_after, done)
    with scan_journals(journals) as (dead_runs, live_runs):
        for run in dead_runs:
            failures = _revert_run(run, done, lost)
            if not failures:
                run.path.unlink(missing_ok=True)
            failed += failures
    return RecoveryResult(done, failed, lost, [run.run_id for run in live_runs])


def _end_live_runs(journals: Path | None, timeout: float, done: list[str]) -> None:
    """Wait for the live runs to end, then kill the remaining ones and add a line for each to `done`."""
    # A run that is being cancelled reverts its own faults: give it the time.
    remaining = _live_runs_after(journals, timeout)
    for run in remaining:
        with contextlib.suppress(DockerUnavailableError):
            _kill_run(run)
        done.append(f"run {run.run_id}: still alive, killed")
    if remaining:
        _live_runs_after(journals, _KILL_GRACE)


def _live_runs_after(journals: Path | None, timeout: float) -> list[LiveRun]:
    """Wait until no run is alive, at most `timeout` seconds; return the runs that are."""
    deadline = time.monotonic() + timeout
    while True:
        with scan_journals(journals) as (_, live_runs):
            pass
        if not live_runs or time.monotonic() > deadline:
            return live_runs
        time.sleep(_POLL_INTERVAL)


def _kill_run(run: LiveRun) -> None:
    """Kill the gate of a run with SIGKILL; if it runs in another container, kill that container."""
    if is_local_process(run.gate):
        kill_leader(run.gate)
        return
    container = find_container(run.container) if run.container else None
    if container is not None:
        container.kill()


def _revert_run(run: DeadRun, done: list[str], lost: list[str]) -> list[str]:
    """Revert the open actions of a dead run, the latest first. Add to `done` and `lost`; return the failures."""
    failures, settled_at = [], min(run.settled_at, time.time() + _MAX_SETTLE_WAIT)
    for action in run.actions:
        # A user's script may still be sending requests to Docker: end it first, then wait until its last request
        # has settled before anything else is reverted.
        if action.revert != "end_group":
            time.sleep(max(0.0, settled_at - time.time()))
        name = getattr(REVERT_FUNCTIONS.get(action.revert), "__name__", action.revert)
        line = f"run {run.run_id}: {name} {next(iter(action.arguments.values()))}"
        try:
            revert(action)
            done.append(line)
        except ContainerGoneError as error:
            lost.append(f"{line}: {error}")
        except Exception as error:  # noqa: BLE001 - the other actions must be reverted all the same
            failures.append(f"{line}: {error}")
    return failures
