"""Run a command in a one-off container of another image, with the workspace, on the targets' network."""

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
from gate.staging.docker_client import RUN_LABEL, docker_client, gate_container
from gate.staging.environment import StagingEnvironment
from gate.staging.errors import StagingError

# The path of the checkout in the container, the same as in every container action.
WORKSPACE = "/github/workspace"
_POLL_INTERVAL = 0.1
_DRAIN_TIMEOUT = 2.0


def run_one_off(
    command: Sequence[str],
    image: str,
    *,
    staging: StagingEnvironment,
    folder: Path,
    environment: Mapping[str, str],
    deadline: float,
    cancelled: threading.Event,
    limit: int,
) -> CompletedCommand:
    """Run a command until it exits, `deadline` (`time.monotonic()`) passes or `cancelled` is set; remove the container.

    `folder` is its working directory, inside the checkout. `limit` is the number of bytes to keep of each output.
    Raise StagingError if the container can't be run.
    """
    from docker.errors import DockerException

    client, name = docker_client(), f"prodgate-{staging.run_id}-command-{uuid.uuid4().hex[:8]}"
    action = staging.journal.record_intent("remove_container", container=name)
    handle = None
    try:
        pull_image(client, image, staging.log_progress)
        handle = client.containers.create(
            image,
            command=list(command),
            entrypoint=[],
            name=name,
            environment=dict(environment),
            labels={RUN_LABEL: staging.run_id},
            network=staging.network,
            volumes={_path_on_host(staging.root): {"bind": WORKSPACE, "mode": "rw"}},
            working_dir=str(Path(WORKSPACE) / folder.resolve().relative_to(staging.root.resolve())),
            init=True,
        )
        return _run(handle, deadline, cancelled, limit)
    except (DockerException, OSError) as error:
        raise StagingError(
            msg("cannot be run in {image}: {why}", image=image, why=redacted_head(str(error), 500))
        ) from error
    finally:
        if handle is not None:
            with contextlib.suppress(DockerException):
                handle.remove(force=True, v=True)
                staging.journal.record_reverted(action)


def _path_on_host(root: Path) -> str:
    """Return the path of the checkout on Docker's host, where bind mounts are resolved."""
    container = gate_container()
    path = root.resolve()
    # In the gate's own container the checkout is a mount of a folder with another path.
    for mount in container.attrs["Mounts"] if container is not None else ():
        mount_point = Path(mount["Destination"])
        if mount["Type"] == "bind" and path.is_relative_to(mount_point):
            return str(Path(mount["Source"]) / path.relative_to(mount_point))
    return str(path)


def _run(handle: Any, deadline: float, cancelled: threading.Event, limit: int) -> CompletedCommand:
    started_at = time.monotonic()
    stdout, stderr, output = BoundedOutput(limit), BoundedOutput(limit), BoundedOutput(limit)
    stream = handle.attach(stdout=True, stderr=True, stream=True, logs=True, demux=True)

    def read() -> None:
        for stdout_chunk, stderr_chunk in stream:
            for chunk, buffer in ((stdout_chunk, stdout), (stderr_chunk, stderr)):
                if chunk:
                    buffer.add(chunk)
                    output.add(chunk)

    reader = threading.Thread(target=read, daemon=True)
    handle.start()
    reader.start()
    end_reason = _wait(handle, deadline, cancelled)
    if end_reason != "exit":
        handle.kill()
    reader.join(_DRAIN_TIMEOUT)
    handle.reload()
    return CompletedCommand(
        int(handle.attrs["State"]["ExitCode"]), end_reason, stdout, stderr, output, time.monotonic() - started_at
    )


def _wait(handle: Any, deadline: float, cancelled: threading.Event) -> Ended:
    while True:
        handle.reload()
        if handle.attrs["State"]["Status"] in ("exited", "dead"):
            return "exit"
        if cancelled.is_set():
            return "cancelled"
        if time.monotonic() >= deadline:
            return "timeout"
        cancelled.wait(_POLL_INTERVAL)
