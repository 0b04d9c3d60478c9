"""Check that a port accepts a connection."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct

from gate.checks.base import Check, CheckResult, ObservationError, TargetName, failed, passed, require_target
from gate.checks.context import CheckContext
from gate.core.messages import msg
from gate.core.override import override
from gate.core.strictness import stricter
from gate.decode.quantities import format_duration
from gate.decode.structs import KeyPath, ValidationIssue
from gate.http import client, sockets
from gate.http.errors import HttpError, Phase, to_http_error
from gate.http.models import Timings
from gate.model import NonEmptyStr


class Observation(Struct, frozen=True):
    """Where the connection was accepted, or why not; seconds."""

    place: str
    duration: float
    failure: HttpError | None = None


class Tcp(Check[Observation]):
    """A port and whether it accepts a connection."""

    kind: ClassVar[str] = "tcp"
    summary: ClassVar[str] = "a port accepts a connection"

    target: Annotated[
        TargetName | None, Meta(description="The target whose port is asked.", extra=stricter("never"))
    ] = None
    host: Annotated[
        NonEmptyStr | None, Meta(description="The host to ask, instead of a target.", extra=stricter("never"))
    ] = None
    port: Annotated[
        Annotated[int, Meta(ge=1, le=65535)] | None,
        Meta(description="The port; without it, the target's own.", extra=stricter("never")),
    ] = None

    @classmethod
    @override
    def iter_issues(cls, value: Any, path: KeyPath = ()) -> Iterator[ValidationIssue]:
        host, colon, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
        if colon and port.isdecimal():
            text = f"expected a mapping: write {{host: {host}, port: {port}}}, or {{target: NAME}}"
            yield ValidationIssue(path, text, value)
            return
        for issue in super().iter_issues(value, path):
            port = issue.value.rpartition(":")[2] if isinstance(issue.value, str) else ""
            if issue.path == (*path, "port") and port.isdecimal():
                yield ValidationIssue(issue.path, f"expected the port alone: {port}", issue.value)
            else:
                yield issue

    def __post_init__(self) -> None:
        if (self.target is None) == (self.host is None):
            raise ValueError("expected exactly one of 'target' and 'host'")
        if self.host is not None and self.port is None:
            raise ValueError("expected a 'port' beside 'host'")

    @override
    def describe(self, context: CheckContext) -> str:
        host, port = self._place(context)
        return f"tcp://{host}:{port}"

    @override
    def reproduce_command(self, context: CheckContext) -> str:
        host, port = self._place(context)
        return f"timeout 5 bash -c {shlex.quote(f'</dev/tcp/{host}/{port}')}"

    @override
    def observe(self, context: CheckContext) -> Observation:
        if self.target is not None:
            require_target(context, self.target)
        host, port = self._place(context)
        place, began = f"{host}:{port}", time.monotonic()
        phase: Phase = "look-up"
        try:
            addresses = sockets.resolve(host, port, context.deadline)
            phase = "connect"
            sockets.connect(addresses, context.deadline).close()
        except (OSError, ValueError) as error:
            return Observation(place, time.monotonic() - began, to_http_error(phase, error, Timings()))
        return Observation(place, time.monotonic() - began)

    def _place(self, context: CheckContext) -> tuple[str, int]:
        if self.target is None:
            assert self.host is not None
            assert self.port is not None
            return self.host, self.port
        running = context.targets[self.target]
        port = (
            self.port
            or next(iter(running.ports), None)
            or (client.origin(running.base_url)[2] if running.base_url else None)
        )
        if not running.host or not port:
            why = running.failure or msg("the checklist gives none")
            raise ObservationError(msg("{target} has no address: {why}", target=self.target, why=why), final=True)
        return running.host, port

    @override
    def judge(self, observation: Observation) -> CheckResult:
        duration = format_duration(observation.duration)
        if observation.failure:
            return failed(
                msg("{place}: {why}", place=observation.place, why=observation.failure.message),
                response=f"after {duration}",
            )
        return passed(msg("{place} accepted a connection in {took}", place=observation.place, took=duration))
