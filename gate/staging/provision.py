"""Puts files of the checkout into a container, and has it read them again."""

from __future__ import annotations

import http.client
import io
import tarfile
from pathlib import Path
from urllib.parse import urlsplit

from gate.messages import say
from gate.staging.engine import NoEngine
from gate.staging.spec import Provision
from gate.staging.staged import Staged

_LIMIT = 64 * 2**20
_TRY = 10.0


def provision(entry: Provision, staged: Staged, root: Path) -> None:
    """Copies and reloads. Raises NoEngine with the reason where that can't be done."""
    from docker.errors import DockerException

    container = staged.container
    assert container is not None
    try:
        container.handle.put_archive(entry.to, _archive(root / entry.source))
        if entry.signal:
            container.handle.kill(signal=entry.signal)
        if entry.restart:
            container.handle.restart()
    except (DockerException, OSError) as error:
        raise NoEngine(say("{source} cannot be put into it: {why}", source=entry.source, why=str(error))) from error
    if entry.post:
        _post(staged.base_url, entry.post)


def _archive(source: Path) -> bytes:
    """A file, or what is in a folder, as a tar archive; owned by root, readable by all."""
    if not source.exists():
        raise NoEngine(say("{source} does not exist in the checkout", source=str(source)))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entries = sorted(source.iterdir()) if source.is_dir() else [source]
        for path in entries:
            archive.add(path, arcname=path.name, filter=_plain)
            if buffer.tell() > _LIMIT:
                raise NoEngine(say("{source} is larger than 64 MiB", source=str(source)))
    return buffer.getvalue()


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = "root"
    info.mode |= 0o555 if info.isdir() else 0o444
    return info


def _post(url: str, path: str) -> None:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=_TRY)
    try:
        connection.request("POST", path)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise NoEngine(say("{path} cannot be asked to reload: {why}", path=path, why=str(error))) from error
    finally:
        connection.close()
    if status >= 300:
        raise NoEngine(say("{path} answered the reload with {status}", path=path, status=status))
