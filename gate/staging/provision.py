"""Copy files of the checkout into a container and make it reload them."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gate.core.messages import Message, msg
from gate.http.errors import HttpError
from gate.staging.errors import StagingError
from gate.staging.readiness import is_cut_short, probe_status
from gate.staging.spec import Provision
from gate.staging.target import RunningTarget

if TYPE_CHECKING:
    from tarfile import TarInfo

_MAX_ARCHIVE_SIZE = 64 * 2**20
_RETRY_INTERVAL = 0.2


def provision(entry: Provision, running: RunningTarget, root: Path, timeout: float, cancelled: threading.Event) -> None:
    """Copy files into a container and make it reload them. Raise StagingError if that fails.

    A reload request is retried for `timeout` seconds: a container that was just started may not respond yet.
    """
    from docker.errors import DockerException

    try:
        for container in running.containers:
            container.handle.put_archive(entry.to, _archive(entry.source, root))
            if entry.signal:
                container.handle.kill(signal=entry.signal)
            if entry.restart:
                container.handle.restart()
    except (DockerException, OSError) as error:
        raise StagingError(
            msg("{source} cannot be copied into the container: {why}", source=entry.source, why=str(error))
        ) from error
    if entry.post:
        request_reload(running.base_url, entry.post, timeout, cancelled)


def _archive(name: str, root: Path) -> bytes:
    """Return a tar archive of a file or of the files in a folder, owned by root and readable by all."""
    source = root / name
    if not source.resolve().is_relative_to(root.resolve()):
        raise StagingError(msg("{path} leads out of the checkout", path=name))
    if not source.exists():
        raise StagingError(msg("{source} does not exist in the checkout", source=name))
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entries = sorted(source.iterdir()) if source.is_dir() else [source]
        for path in entries:
            archive.add(path, arcname=path.name, filter=_normalize_owner)
            if buffer.tell() > _MAX_ARCHIVE_SIZE:
                raise StagingError(msg("{source} is larger than 64 MiB", source=name))
    return buffer.getvalue()


def _normalize_owner(info: TarInfo) -> TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = "root"
    info.mode |= 0o555 if info.isdir() else 0o444
    return info


def request_reload(url: str, path: str, timeout: float, cancelled: threading.Event) -> None:
    """Send POST to a path until it succeeds. Raise StagingError on a 4xx status, or when `timeout` seconds are over."""
    deadline = time.monotonic() + timeout
    failure: Message | None = None
    while True:
        retryable = True
        try:
            status = probe_status("POST", url.rstrip("/") + path, deadline)
            if status < 300:
                return
            failure = msg("reload request to {path} returned status {status}", path=path, status=status)
            retryable = status >= 500
        except HttpError as error:
            # An attempt that the deadline cut short explains less than the failure before it.
            if failure is None or not is_cut_short(deadline):
                failure = msg("reload request to {path} failed: {why}", path=path, why=error.message)
        if not retryable or time.monotonic() + _RETRY_INTERVAL > deadline or cancelled.wait(_RETRY_INTERVAL):
            raise StagingError(failure)
