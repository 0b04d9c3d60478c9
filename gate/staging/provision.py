"""Puts files of the checkout into a container, and has it read them again."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gate.core.messages import Message, msg
from gate.http.client import HttpError
from gate.staging.asking import probe_status
from gate.staging.docker_client import DockerUnavailableError
from gate.staging.spec import Provision
from gate.staging.target import RunningTarget

if TYPE_CHECKING:
    from tarfile import TarInfo

_LIMIT = 64 * 2**20
_AGAIN = 0.2
_CLOSE = 0.02


def provision(
    entry: Provision, running: RunningTarget, root: Path, patience: float, cancelled: threading.Event
) -> None:
    """Copies and reloads. Raises NoEngine with the reason where that can't be done.

    A container that was just started does not answer yet: for `patience` seconds it is asked again.
    """
    from docker.errors import DockerException

    container = running.container
    assert container is not None
    try:
        container.handle.put_archive(entry.to, _archive(entry.source, root))
        if entry.signal:
            container.handle.kill(signal=entry.signal)
        if entry.restart:
            container.handle.restart()
    except (DockerException, OSError) as error:
        raise DockerUnavailableError(
            msg("{source} cannot be put into it: {why}", source=entry.source, why=str(error))
        ) from error
    if entry.post:
        _post(running.base_url, entry.post, patience, cancelled)


def _archive(name: str, root: Path) -> bytes:
    """A file, or what is in a folder, as a tar archive; owned by root, readable by all."""
    source = root / name
    if not source.resolve().is_relative_to(root.resolve()):
        raise DockerUnavailableError(msg("{path} leads out of the checkout", path=name))
    if not source.exists():
        raise DockerUnavailableError(msg("{source} does not exist in the checkout", source=name))
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entries = sorted(source.iterdir()) if source.is_dir() else [source]
        for path in entries:
            archive.add(path, arcname=path.name, filter=_plain)
            if buffer.tell() > _LIMIT:
                raise DockerUnavailableError(msg("{source} is larger than 64 MiB", source=name))
    return buffer.getvalue()


def _plain(info: TarInfo) -> TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = "root"
    info.mode |= 0o555 if info.isdir() else 0o444
    return info


def _post(url: str, path: str, patience: float, cancelled: threading.Event) -> None:
    """Asks once more as long as there is no answer, or one that says that the server is at fault (5xx)."""
    end = time.monotonic() + patience
    why: Message | None = None
    while True:
        final = False
        try:
            code = probe_status("POST", url.rstrip("/") + path, end)
            if code < 300:
                return
            why = msg("{path} answered the reload with {status}", path=path, status=code)
            final = code < 500
        except HttpError as error:
            if (
                why is None or time.monotonic() < end - _CLOSE
            ):  # cut short by the end, it says less than what came before
                why = msg("{path} cannot be asked to reload: {why}", path=path, why=error.message)
        if final or time.monotonic() + _AGAIN > end or cancelled.wait(_AGAIN):
            raise DockerUnavailableError(why)
