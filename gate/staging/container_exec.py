"""Run a command in a running container, with a folder of files that exists only while it runs."""

from __future__ import annotations

import contextlib
import io
import socket
import tarfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from gate.core.messages import msg
from gate.redaction.secrets import redacted_head
from gate.runtime.processes import BoundedOutput
from gate.staging.container import Container
from gate.staging.docker_client import docker_client
from gate.staging.errors import StagingError

_SHORTEST = 0.01
_CHUNK = 64 * 1024
# The shell removes the folder itself, so that nothing stays behind even if the gate is killed meanwhile.
_SCRIPT = """
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
tar -xf - -C "$folder"
cd "$folder"
"$@" 2>&1
"""


class ExecResult(Struct, frozen=True):
    """Exit code and output of a command, both streams together."""

    returncode: int
    output: BoundedOutput


def run_with_files(
    container: Container, command: Sequence[str], files: Mapping[str, bytes], *, deadline: float, limit: int
) -> ExecResult:
    """Run a command in a container, in a temporary folder with some files, by their relative paths.

    The container needs `sh`, `mktemp` and `tar`. Raise StagingError if the command can't be run, or not by `deadline`.
    """
    from docker.errors import DockerException

    api = docker_client().api
    try:
        call = api.exec_create(container.id, ["sh", "-c", _SCRIPT, "sh", *command], stdin=True)["Id"]
        stream: Any = api.exec_start(call, socket=True)
        # The client keeps the response and its connection open together with the stream.
        sock: socket.socket = getattr(stream, "_sock", stream)
        with sock, contextlib.closing(stream), contextlib.closing(getattr(stream, "_response", stream)):
            output = _communicate(sock, _archive(files), deadline, limit)
        returncode = api.exec_inspect(call)["ExitCode"]
    except (DockerException, OSError) as error:
        why = redacted_head(str(error), 500)
        raise StagingError(msg("cannot be run in {target}: {why}", target=container.alias, why=why)) from error
    if returncode is None:
        raise StagingError(msg("cannot be run in {target}: {why}", target=container.alias, why=msg("timed out")))
    return ExecResult(int(returncode), output)


def _archive(files: Mapping[str, bytes]) -> bytes:
    """Return a tar archive of files that any user may read."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for path, text in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(text), 0o644
            archive.addfile(entry, io.BytesIO(text))
    return content.getvalue()


def _communicate(sock: socket.socket, content: bytes, deadline: float, limit: int) -> BoundedOutput:
    """Send the input of a command and return its output. Raise OSError at the deadline."""
    sock.settimeout(max(_SHORTEST, deadline - time.monotonic()))
    sock.sendall(content)
    output = BoundedOutput(limit)
    # Each frame has a header of eight bytes, the last four of which are its length.
    while len(header := _receive(sock, 8, deadline)) == 8:
        output.add(_receive(sock, int.from_bytes(header[4:], "big"), deadline))
    return output


def _receive(sock: socket.socket, length: int, deadline: float) -> bytes:
    """Return that many bytes, or fewer at the end of the stream."""
    content = bytearray()
    while len(content) < length:
        sock.settimeout(max(_SHORTEST, deadline - time.monotonic()))
        part = sock.recv(min(length - len(content), _CHUNK))
        if not part:
            break
        content += part
    return bytes(content)
