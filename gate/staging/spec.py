"""Define the targets of a checklist: their address, how they are started, and when they are ready."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from msgspec import Meta, field

from gate.core.messages import Message, msg
from gate.core.strictness import stricter
from gate.decode.quantities import DurationSeconds, format_duration
from gate.decode.structs import custom_type, fields_by_key
from gate.matchers import StatusMatcher
from gate.model import CheckoutPath, FrozenStruct, NonEmptyStr, TargetName


def _http_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("expected an address such as http://api:8080")
    return value


def _split_command(value: Any) -> Any:
    """Split a command line into a list of words, with the quoting rules of a shell but without expansion."""
    try:
        return shlex.split(value) if isinstance(value, str) else value
    except ValueError as error:
        raise ValueError(f"expected a command: {error}") from error


def _env_value(value: Any) -> str:
    """Return the text of an environment variable; a number keeps its spelling in the file, such as `1.10`."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("expected text or a number")
    return str(getattr(value, "text", value))


if TYPE_CHECKING:
    HttpUrl = str
    CommandLine = list[str]
    EnvValue = str
else:
    HttpUrl = custom_type(_http_url, {"type": "string"}, raw_type=str)
    CommandLine = custom_type(
        _split_command,
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]},
        target_type=Annotated[list[str], Meta(min_length=1)],
    )
    EnvValue = custom_type(_env_value, {"type": ["string", "number"]})
Port = Annotated[int, Meta(ge=1, le=65535)]
StopSignal = Literal["TERM", "INT", "QUIT", "HUP", "USR1", "USR2"]
# A reference to another target's address, or to a target's own `pages`, in an environment variable or a command.
ADDRESS_REFERENCE = re.compile(r"\{([A-Za-z0-9._-]+)\.(host|port|address|config)\}")


class Ready(FrozenStruct):
    """When a target is ready: a request returns the expected status, or a port accepts a connection."""

    path: Annotated[
        NonEmptyStr | None, Meta(description="A path of the target's URL to request.", examples=["/live"])
    ] = None
    status: Annotated[
        StatusMatcher, Meta(description="The expected status of the response.", extra=stricter("narrower"))
    ] = field(default_factory=lambda: StatusMatcher([200, 204]))
    tcp: Annotated[Port | None, Meta(description="A port that must accept a connection.")] = None
    within: Annotated[
        DurationSeconds, Meta(description="How long to wait until it is ready.", extra=stricter("lower"))
    ] = 60.0

    def __post_init__(self) -> None:
        if (self.path is None) == (self.tcp is None):
            raise ValueError("expected exactly one of 'path' and 'tcp'")


class Start(FrozenStruct):
    """How the gate starts a target: as a process, or as a container of an image that it pulls or builds."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        **{
            key: f"'{key}' beside 'start', not under it"
            for key in ("url", "port", "after", "ready", "provision", "listen")
        },
        "env": "'environment'",
        "ports": "'port' beside 'start'",
        "depends_on": "'after' beside 'start'",
        "healthcheck": "'ready' beside 'start'",
    }

    command: Annotated[
        CommandLine | None,
        Meta(description="The command of the process, or of the container instead of the image's own."),
    ] = None
    image: Annotated[NonEmptyStr | None, Meta(description="An image to run as a container on the job's network.")] = (
        None
    )
    build: Annotated[NonEmptyStr | None, Meta(description="A folder to build the image from.")] = None
    dockerfile: Annotated[NonEmptyStr, Meta(description="The Dockerfile, relative to `build`.")] = "Dockerfile"
    args: Annotated[dict[str, str], Meta(description="Build arguments.")] = {}
    build_network: Annotated[
        NonEmptyStr | None, Meta(description="The network during the build.", examples=["host"])
    ] = None
    environment: Annotated[
        dict[str, EnvValue],
        Meta(description="Variables. `{NAME.host}`, `{NAME.port}`, `{NAME.address}` refer to targets."),
    ] = {}
    stop_signal: Annotated[
        StopSignal, Meta(description="The signal with which a process is stopped.", examples=["INT"])
    ] = "TERM"

    def __post_init__(self) -> None:
        if self.image and self.build:
            raise ValueError("expected one of 'image' and 'build', got both")
        if not (self.image or self.build or self.command):
            raise ValueError("expected a 'command', an 'image' or a 'build'")

    @property
    def kind(self) -> Literal["image", "build", "command"]:
        """Return whether it starts a process or a container, and where the image comes from."""
        return "image" if self.image else "build" if self.build else "command"


class Provision(FrozenStruct):
    """Files of the checkout to copy into a container, and how it reloads them."""

    source: Annotated[
        CheckoutPath, Meta(description="A file of the checkout, or a folder whose content is copied.")
    ] = field(name="copy")
    to: Annotated[str, Meta(pattern="^/", description="The destination folder in the container.")]
    signal: Annotated[
        NonEmptyStr | None, Meta(description="A signal to send to the container afterwards.", examples=["HUP"])
    ] = None
    post: Annotated[
        NonEmptyStr | None, Meta(description="A path of the target's URL to send a POST request to afterwards.")
    ] = None
    restart: Annotated[bool, Meta(description="Whether to restart the container afterwards.")] = False

    def __post_init__(self) -> None:
        if sum((self.signal is not None, self.post is not None, self.restart)) > 1:
            raise ValueError("expected at most one of 'signal', 'post' and 'restart'")


class Pages(FrozenStruct):
    """The production configuration of an Alertmanager, which the gate loads with its own endpoint as every receiver."""

    config: Annotated[
        CheckoutPath,
        Meta(description="The alertmanager.yml of production.", examples=["ops/alertmanager/alertmanager.yml"]),
    ]
    to: Annotated[
        Annotated[str, Meta(pattern="^/.*[^/]$")] | None,
        Meta(
            description="The path in the container that Alertmanager reads; a process is given `{NAME.config}`.",
            examples=["/etc/alertmanager/alertmanager.yml"],
        ),
    ] = None


class Target(FrozenStruct):
    """A system that checks send requests to: at a URL, found as a service container, or started by the gate."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        **{key: f"'{key}' under 'start:'" for key in fields_by_key(Start)},
        "env": "'environment' under 'start:'",
        "ports": "'port'",
        "depends_on": "'after'",
        "healthcheck": "'ready'",
    }

    url: Annotated[HttpUrl | None, Meta(description="Its address.", examples=["http://api:8080"])] = None
    container: Annotated[NonEmptyStr | None, Meta(description="The service container's name in the workflow.")] = None
    start: Annotated[Start | None, Meta(description="How the gate starts it.")] = None
    port: Annotated[Port | None, Meta(description="Its port, if it has no URL. Faults are verified on it.")] = None
    listen: Annotated[
        Port | None,
        Meta(description="A loopback port on which the gate starts a proxy in front of a process's `port`."),
    ] = None
    after: Annotated[list[TargetName], Meta(description="Targets that must be ready before this one is started.")] = []
    provision: Annotated[list[Provision], Meta(description="Files to put into the container.")] = []
    pages: Annotated[
        Pages | None, Meta(description="An Alertmanager whose notifications the gate receives in the place of people.")
    ] = None
    ready: Annotated[
        Ready | None, Meta(description="When it is ready; by default as soon as it has started.", extra=stricter("set"))
    ] = None

    def __post_init__(self) -> None:
        if not (self.url or self.container or self.start):
            raise ValueError("expected a 'url', a 'container' or a 'start'")
        if self.container and self.start:
            raise ValueError("expected one of 'container' and 'start', got both")
        if self.listen and not (self.start and self.start.kind == "command" and self.port):
            raise ValueError("expected 'start: {command: ...}' and a 'port' beside 'listen'")
        if self.provision and not (self.container or (self.start and self.start.kind != "command")):
            raise ValueError("expected a container beside 'provision'")
        if self.pages and not (self.container or self.start):
            raise ValueError("expected a 'container' or a 'start' beside 'pages'")
        if self.pages and self.pages.to is None and not self.is_process:
            raise ValueError("expected 'pages: {to: ...}', the path in the container that Alertmanager reads")
        if self.pages and self.pages.to is not None and self.is_process:
            raise ValueError("expected no 'to' under 'pages': a process is given the path as '{NAME.config}'")

    @property
    def is_process(self) -> bool:
        """Return whether the gate starts it as a process."""
        return self.start is not None and self.start.kind == "command"

    @property
    def depends_on(self) -> list[str]:
        """Return the targets that must be ready before this one starts: `after`, and those in `environment`."""
        values = [*self.start.environment.values(), *(self.start.command or [])] if self.start else []
        found = [match for value in values for match in ADDRESS_REFERENCE.finditer(str(value))]
        # `{NAME.config}` is a file of the gate, which exists before the target that reads it.
        referenced = [match[1] for match in found if match[2] != "config"]
        return list(dict.fromkeys([*self.after, *referenced]))

    @property
    def ports(self) -> list[int]:
        """Return the known ports: `port`, that of `ready`, and that of `url`."""
        parts = urlsplit(self.url or "")
        from_url = (parts.port or (443 if parts.scheme == "https" else 80)) if self.url else None
        ports = [self.port, self.ready.tcp if self.ready else None, from_url]
        return list(dict.fromkeys(port for port in ports if port))

    @property
    def needs_docker(self) -> bool:
        """Return whether it needs a Docker engine."""
        return bool(self.container) or self.needs_pull_or_build

    @property
    def ready_timeout(self) -> float:
        """Return the seconds within which it must respond, after its start or to a reload request."""
        return self.ready.within if self.ready else Ready(path="/").within

    @property
    def max_start_duration(self) -> float:
        """Return the seconds until it is ready at most, without pulling and building, which have no time limit."""
        reloads = sum(entry.post is not None for entry in self.provision)
        return reloads * self.ready_timeout + (self.ready.within if self.ready else 0.0)

    @property
    def needs_pull_or_build(self) -> bool:
        """Return whether an image may be pulled or built for it."""
        return self.start is not None and self.start.kind != "command"

    def planned_steps(self) -> list[Message]:
        """Return the steps of a run for this target, in order."""
        steps = [self._first_step()]
        for entry in self.provision:
            steps.append(msg("copy {source} to {folder} in the container", source=entry.source, folder=entry.to))
            steps += _reload_steps(entry)
        if self.pages:
            steps.append(msg("load {config} with the gate as every receiver", config=self.pages.config))
        if self.ready:
            steps.append(msg("wait until it is ready, at most {within}", within=format_duration(self.ready.within)))
        return steps

    def _first_step(self) -> Message:
        start = self.start
        if start is None and self.container:
            return msg("find the service container {name}", name=self.container)
        if start is None:
            return msg("send requests to {url}", url=self.url or "")
        if start.kind == "command":
            return msg("start `{command}`; end it after the run", command=shlex.join(start.command or []))
        if start.kind == "image":
            return msg("start a container of {image}; remove it after the run", image=start.image or "")
        return msg("build an image from {folder} and start it; remove both after the run", folder=start.build or "")


def _reload_steps(entry: Provision) -> list[Message]:
    if entry.signal:
        return [msg("send it the signal {signal}", signal=entry.signal)]
    if entry.post:
        return [msg("send a POST request to {path}", path=entry.post)]
    return [msg("restart it")] if entry.restart else []
