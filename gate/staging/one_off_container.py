"""Runs a command in an image of its own, in a container beside the gate's: with the workspace, on the job's network."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gate.core.messages import msg
from gate.redaction.secrets import redacted_head
from gate.runtime.processes import BoundedOutput, CompletedCommand, Ended
from gate.staging.container import pull_image
from gate.staging.docker_client import RUN_LABEL, DockerUnavailableError, docker_client, gate_container
from gate.staging.environment import StagingEnvironment

WORKSPACE = "/github/workspace"
"""Where the checkout is in the container, as in every container that a workflow runs."""
_POLL = 0.1
_DRAIN = 2.0


def run_one_off(
    command: Sequence[str],
    image: str,
    *,
    stage: StagingEnvironment,
    folder: Path,
    environment: Mapping[str, str],
    deadline: float,
    cancelled: threading.Event,
    limit: int,
) -> CompletedCommand:
    """Runs it until it ends, `deadline` (`time.monotonic()` seconds) comes, or `cancelled` is set; then removes it.

    `folder` is the one below the checkout that it runs in. Raises NoEngine with the reason where it can't be run.
    """
    from docker.errors import DockerException

    engine, name = docker_client(), f"prodgate-{stage.run_id}-command-{uuid.uuid4().hex[:8]}"
    act = stage.journal.record_intent("remove_container", container=name)
    handle = None
    try:
        pull_image(engine, image, stage.note)
        handle = engine.containers.create(
            image,
            command=list(command),
            entrypoint=[],
            name=name,
            environment=dict(environment),
            labels={RUN_LABEL: stage.run_id},
            network=stage.network,
            volumes={_on_the_host(stage.root): {"bind": WORKSPACE, "mode": "rw"}},
            working_dir=str(Path(WORKSPACE) / folder.resolve().relative_to(stage.root.resolve())),
            init=True,
        )
        return _watched(handle, deadline, cancelled, limit)
    except (DockerException, OSError) as error:
        raise DockerUnavailableError(
            msg("it can't be run in {image}: {why}", image=image, why=redacted_head(str(error), 500))
        ) from error
    finally:
        if handle is not None:
            with contextlib.suppress(DockerException):
                handle.remove(force=True, v=True)
                stage.journal.record_reverted(act)


def _on_the_host(root: Path) -> str:
    """The checkout as the engine's machine has it: the gate's own container may have it mounted from elsewhere."""
    own = gate_container()
    path = root.resolve()
    for mount in own.attrs["Mounts"] if own is not None else ():
        inside = Path(mount["Destination"])
        if mount["Type"] == "bind" and path.is_relative_to(inside):
            return str(Path(mount["Source"]) / path.relative_to(inside))
    return str(path)


def _watched(handle: Any, deadline: float, cancelled: threading.Event, limit: int) -> CompletedCommand:
    began = time.monotonic()
    stdout, stderr, output = BoundedOutput(limit), BoundedOutput(limit), BoundedOutput(limit)
    stream = handle.attach(stdout=True, stderr=True, stream=True, logs=True, demux=True)

    def read() -> None:
        for out, err in stream:
            for data, kept in ((out, stdout), (err, stderr)):
                if data:
                    kept.add(data)
                    output.add(data)

    reader = threading.Thread(target=read, daemon=True)
    handle.start()
    reader.start()
    ended = _until(handle, deadline, cancelled)
    if ended != "exit":
        handle.kill()
    reader.join(_DRAIN)
    handle.reload()
    return CompletedCommand(
        int(handle.attrs["State"]["ExitCode"]), ended, stdout, stderr, output, time.monotonic() - began
    )


def _until(handle: Any, deadline: float, cancelled: threading.Event) -> Ended:
    while True:
        handle.reload()
        if handle.attrs["State"]["Status"] in ("exited", "dead"):
            return "exit"
        if cancelled.is_set():
            return "cancelled"
        if time.monotonic() >= deadline:
            return "timeout"
        cancelled.wait(_POLL)
