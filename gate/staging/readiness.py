"""Wait until a target is ready: its HTTP path returns the expected status, or its port accepts a connection."""

from __future__ import annotations

import socket
import threading
import time
from urllib.parse import urlsplit

from gate.core.messages import Message, msg
from gate.decode.quantities import format_duration
from gate.http.client import open_stream
from gate.http.errors import HttpError
from gate.http.models import Request
from gate.staging.docker_client import DockerUnavailableError
from gate.staging.spec import Ready, Target
from gate.staging.target import RunningTarget, host_of

# Seconds that one attempt may take.
PROBE_TIMEOUT = 5.0
_RETRY_INTERVAL = 0.2
# Seconds before the deadline at which an attempt counts as cut short by it.
_DEADLINE_MARGIN = 0.02
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def probe_status(method: str, url: str, deadline: float) -> int:
    """Return the status of the response to a request. Raise HttpError if none arrives in time.

    An attempt ends at `deadline` (`time.monotonic()`), at most PROBE_TIMEOUT seconds from now.
    """
    # The body is not read: a response that never ends is a response, too.
    with open_stream(Request(url=url, method=method), min(deadline, time.monotonic() + PROBE_TIMEOUT)) as stream:
        return stream.head.status


def wait_until_ready(
    ready: Ready | None, running: RunningTarget, cancelled: threading.Event, *, once: bool = False
) -> Message | None:
    """Probe a target until it is ready; return why it is not, None if it is. With `once`, wait until it exits with 0.

    The wait ends early if the target exits or the run is cancelled.
    """
    if ready is None:
        return None
    deadline = time.monotonic() + ready.within
    last_failure: Message | None = None
    while True:
        failure = msg("it has not ended") if once else _probe(ready, running, deadline)
        code = exit_code(running)
        if code is not None:
            return None if once and code == 0 else msg("it has exited with {code}", code=str(code))
        if failure is None:
            return None
        # The deadline cuts the last attempt short: its timeout explains less than the failure before it.
        if last_failure is None or not is_cut_short(deadline):
            last_failure = failure
        retry_in_time = time.monotonic() + _RETRY_INTERVAL <= deadline
        if not retry_in_time or cancelled.wait(_RETRY_INTERVAL) or is_cut_short(deadline):
            return msg("{why} (for {within})", why=last_failure, within=format_duration(ready.within))


def is_cut_short(deadline: float) -> bool:
    """Return whether an attempt that has just ended was cut short by its deadline."""
    return time.monotonic() >= deadline - _DEADLINE_MARGIN


def _probe(ready: Ready, running: RunningTarget, deadline: float) -> Message | None:
    """Make one attempt; return why the target is not ready, None if it is."""
    base_url = running.base_url or f"http://{running.host}"
    parts = urlsplit(base_url)
    tcp = ready.tcp or (next(iter(running.ports), None) if ready.path is None else None)
    port = tcp or parts.port or (443 if parts.scheme == "https" else 80)
    host = (running.host if tcp else parts.hostname) or running.host
    why: Message | str
    if ready.path is None and ready.tcp is None and running.kind == "service":
        return _probe_health(running)
    try:
        if ready.path is None:
            timeout = max(_RETRY_INTERVAL, min(PROBE_TIMEOUT, deadline - time.monotonic()))
            socket.create_connection((host, port), timeout=timeout).close()
            return None
        status = probe_status("GET", base_url.rstrip("/") + ready.path, deadline)
    except HttpError as error:
        why = error.message
    except OSError as error:
        why = str(error) or type(error).__name__
    else:
        mismatch = ready.status.mismatch(status)
        return msg("{path} has an unexpected status: {why}", path=ready.path, why=mismatch) if mismatch else None
    return msg("{host}:{port} does not answer: {why}", host=host, port=port, why=why)


def _probe_health(running: RunningTarget) -> Message | None:
    """Return why a Compose service is not running, or not healthy if it has a health check; None if it is."""
    for container in running.containers:
        state, health = container.state, container.health
        if state != "running":
            return msg("container {name} is {state}", name=container.name, state=state)
        if health not in ("", "healthy"):
            return msg("container {name} is {state}", name=container.name, state=health)
    return None


def exit_code(running: RunningTarget) -> int | None:
    """Return the exit code of a target that the gate or Compose started; None while it is running.

    Of several containers, one that is running or failed counts before one that exited with 0.
    """
    if running.process:
        return None if running.process.running else running.process.exit_code
    if running.kind == "container":
        return None
    codes = [container.exit_code for container in running.containers]
    failed = [code for code in codes if code]
    return next(iter(failed), None) if None in codes or failed else next(iter(codes), None)


def has_exited(running: RunningTarget) -> bool:
    """Return whether a target that the gate or Compose started has exited; False if Docker does not respond."""
    try:
        return exit_code(running) is not None
    except Exception:  # noqa: BLE001 - the answer only changes the wording of a reason
        return False


def require_free_ports(target: Target) -> None:
    """Raise DockerUnavailableError if another program already listens on a port of a process target."""
    # Its responses would be taken for those of the process.
    host = host_of(target.url or "") or "127.0.0.1"
    for port in [target.port] if target.listen else target.ports:
        if isinstance(port, int) and host in _LOOPBACK and _accepts_connections(host, port):
            raise DockerUnavailableError(msg("port {port} is already in use by another program", port=port))


def _accepts_connections(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=PROBE_TIMEOUT).close()
    except OSError:
        return False
    return True
