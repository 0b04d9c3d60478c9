"""A Docker engine for the tests: the one that answers, or one that is installed, started and later ended here.

Run as a program: `python3 -m tests.support.engine [up|down]`. Needs nothing but Python's own library.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from tests.support.paths import ROOT

STATE = ROOT / ".cache" / "parts"
PID = STATE / "dockerd.pid"
LOG = STATE / "dockerd.log"
PACKAGES = ("docker.io", "iptables")
_STARTS_WITHIN = 60.0
# Debian's unit raises the limit of open files for the daemon; some machines refuse that to containers.
_COMMANDS = (("dockerd", "--default-ulimit", "nofile=1024:1024"), ("dockerd",))


class EngineError(RuntimeError):
    """There is no engine, and none could be brought up: what was tried, and what to do."""


@cache
def up() -> None:
    """Start an engine unless one answers. Raise EngineError."""
    with locked("engine"):
        if answers():
            return
        _install()
        tried = [_start(command) for command in _COMMANDS if not answers()]
        if not answers():
            raise EngineError("no Docker engine could be started:\n" + "\n".join(tried))


def down() -> None:
    """End the engine that was started here; one that was running before is left alone."""
    if not PID.exists():
        return
    pid = int(PID.read_text())
    PID.unlink()
    if not _is_dockerd(pid):
        return
    os.kill(pid, signal.SIGTERM)
    _wait(lambda: not _is_dockerd(pid), 30)


def answers() -> bool:
    """Return True if an engine answers at the usual socket, or at DOCKER_HOST."""
    if not shutil.which("docker"):
        return False
    done = subprocess.run(["docker", "version", "--format", "{{.Server.Version}}"], capture_output=True, check=False)
    return done.returncode == 0


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold a lock that one process of this machine can have, such as one of several test workers."""
    STATE.mkdir(parents=True, exist_ok=True)
    with (STATE / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _install() -> None:
    if shutil.which("docker") and shutil.which("dockerd"):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise EngineError(f"no Docker engine answers. Install {' and '.join(PACKAGES)}, or run `make parts` as root")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], env=environment, check=True)
    subprocess.run(
        ["apt-get", "install", "-qq", "-y", "--no-install-recommends", *PACKAGES], env=environment, check=True
    )


def _start(command: tuple[str, ...]) -> str:
    """Start a daemon; return the end of its log if it did not come up, else nothing."""
    with LOG.open("wb") as log:
        daemon = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
        )
    _wait(lambda: answers() or daemon.poll() is not None, _STARTS_WITHIN)
    if daemon.poll() is None and answers():
        PID.write_text(str(daemon.pid))
        daemon.returncode = 0  # it outlives this process on purpose, and is ended by its recorded pid
        return ""
    if daemon.poll() is None:
        daemon.terminate()
        daemon.wait(30)
    return f"{' '.join(command)}:\n{LOG.read_text(errors='replace')[-2000:]}"


def _is_dockerd(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return "(dockerd)" in stat and ") Z " not in stat


def _wait(until: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not until() and time.monotonic() < end:
        time.sleep(0.2)


def main(words: list[str]) -> int:
    """Run `up` (the default) or `down`."""
    try:
        down() if words == ["down"] else up()
    except (EngineError, subprocess.CalledProcessError) as error:
        print(f"prodgate: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
