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
from gate.decode.types import listify
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
    PathList = list[str]
else:
    HttpUrl = custom_type(_http_url, {"type": "string"}, raw_type=str)
    CommandLine = custom_type(
        _split_command,
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]},
        target_type=Annotated[list[str], Meta(min_length=1)],
    )
    EnvValue = custom_type(_env_value, {"type": ["string", "number"]})
    PathList = custom_type(
        listify,
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]},
        target_type=Annotated[list[CheckoutPath], Meta(min_length=1)],
    )
Port = Annotated[int, Meta(ge=1, le=65535)]
# A port that the system assigns when the run starts.
AUTO_PORT = "auto"
AutoPort = Port | Literal["auto"]
StopSignal = Literal["TERM", "INT", "QUIT", "HUP", "USR1", "USR2"]
# A reference to a target's address, or to a target's own `pages`, in an environment variable or a command.
ADDRESS_REFERENCE = re.compile(r"\{([A-Za-z0-9][A-Za-z0-9._-]*)\.(host|port|address|config)\}")


class Ready(FrozenStruct):
    """When a target is ready: a request returns the expected status, or a port accepts a connection.

    With neither `path` nor `tcp`, a target that ends (`once`) is ready when it exits with 0, a Compose service when it
    is running and healthy, and any other target when its port accepts a connection.
    """

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
        if self.path is not None and self.tcp is not None:
            raise ValueError("expected one of 'path' and 'tcp', got both")


class Start(FrozenStruct):
    """How the gate starts a target: as a process, or as a container of an image that it pulls or builds."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        **{
            key: f"'{key}' beside 'start', not under it"
            for key in ("url", "port", "after", "ready", "provision", "listen", "once")
        },
        "env": "'environment'",
        "working_dir": "'cwd'",
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
    env_file: Annotated[
        PathList,
        Meta(description="Files with variables, one `NAME=value` a line. `environment` overrides them."),
    ] = []
    cwd: Annotated[
        CheckoutPath | None, Meta(description="The folder of the checkout in which a process runs; by default its top.")
    ] = None
    user: Annotated[
        NonEmptyStr | None, Meta(description="The user that it runs as. For a process, the gate must be root.")
    ] = None
    stop_signal: Annotated[
        StopSignal | None,
        Meta(description="The signal with which it is stopped: by default TERM, or the image's own.", examples=["INT"]),
    ] = None

    def __post_init__(self) -> None:
        if self.image and self.build:
            raise ValueError("expected one of 'image' and 'build', got both")
        if not (self.image or self.build or self.command):
            raise ValueError("expected a 'command', an 'image' or a 'build'")
        if self.cwd and self.kind != "command":
            raise ValueError("expected a process beside 'cwd': the image says in which folder its command runs")

    @property
    def texts(self) -> dict[str, list[str]]:
        """Return the texts that may refer to targets, by their key."""
        return {"command": self.command or [], "environment": list(map(str, self.environment.values()))}

    @property
    def kind(self) -> Literal["image", "build", "command"]:
        """Return whether it starts a process or a container, and where the image comes from."""
        return "image" if self.image else "build" if self.build else "command"


class ComposeProject(FrozenStruct):
    """The Compose project whose services are targets."""

    file: Annotated[
        PathList,
        Meta(description="Its Compose files; by default those that Compose finds in the checkout.",
             examples=["compose.yml"]),
    ] = []  # fmt: skip
    project: Annotated[
        Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9_-]*$")] | None,
        Meta(description="Its name; by default `COMPOSE_PROJECT_NAME`, or the `name` in its files."),
    ] = None  # fmt: skip


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
    service: Annotated[NonEmptyStr | None, Meta(description="The service's name in the Compose project.")] = None
    replica: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="The number of one container of a service; by default all of them."),
    ] = None
    start: Annotated[Start | None, Meta(description="How the gate starts it.")] = None
    once: Annotated[
        bool, Meta(description="Whether it ends, such as a migration: it is ready when it has exited with 0.")
    ] = False
    port: Annotated[
        AutoPort | None,
        Meta(description="Its port, if it has no URL. Faults are verified on it. `auto`: the system assigns one."),
    ] = None
    listen: Annotated[
        AutoPort | None,
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
        if not (self.url or self.found or self.start):
            raise ValueError("expected a 'url', a 'container', a 'service' or a 'start'")
        if len(both := [key for key in ("container", "service", "start") if getattr(self, key)]) > 1:
            raise ValueError(f"expected one of '{both[0]}' and '{both[1]}', got both")
        process = self.start is not None and self.start.kind == "command"
        if self.listen and not (process and self.port):
            raise ValueError("expected 'start: {command: ...}' and a 'port' beside 'listen'")
        if AUTO_PORT in (self.port, self.listen) and (not process or self.url):
            raise ValueError("expected 'start: {command: ...}' and no 'url' beside a port that is 'auto'")
        if self.provision and not (self.found or (self.start and not process)):
            raise ValueError("expected a container beside 'provision'")
        if self.replica and not self.service:
            raise ValueError("expected a 'service' beside 'replica'")
        self._validate_ready()
        self._validate_pages()

    def _validate_pages(self) -> None:
        if self.pages and not (self.found or self.start):
            raise ValueError("expected a 'container', a 'service' or a 'start' beside 'pages'")
        if self.pages and self.pages.to is None and not self.is_process:
            raise ValueError("expected 'pages: {to: ...}', the path in the container that Alertmanager reads")
        if self.pages and self.pages.to is not None and self.is_process:
            raise ValueError("expected no 'to' under 'pages': a process is given the path as '{NAME.config}'")

    def _validate_ready(self) -> None:
        probed = self.ready is not None and (self.ready.path is not None or self.ready.tcp is not None)
        if self.once and not (self.start or self.service):
            raise ValueError("expected a 'start' or a 'service' beside 'once'")
        if self.once and probed:
            raise ValueError(
                "expected no 'path' and no 'tcp' under 'ready' beside 'once': it is ready when it has exited"
            )
        if self.ready and not (probed or self.once or self.service or self.has_port):
            raise ValueError("expected a 'path' or a 'tcp' under 'ready', or a 'port'")

    @property
    def is_process(self) -> bool:
        """Return whether the gate starts it as a process."""
        return self.start is not None and self.start.kind == "command"

    @property
    def found(self) -> str | None:
        """Return the name of the container or service that somebody else started; None for any other target."""
        return self.container or self.service

    def dependencies(self, own_name: str) -> list[str]:
        """Return the targets that must be ready before this one starts: `after`, and those that its texts refer to."""
        texts = [text for entries in self.start.texts.values() for text in entries] if self.start else []
        matches = [match for text in texts for match in ADDRESS_REFERENCE.finditer(text)]
        # `{NAME.config}` is a file of the gate, which exists before the target that reads it.
        referenced = [match[1] for match in matches if match[2] != "config"]
        return [name for name in dict.fromkeys([*self.after, *referenced]) if name != own_name or name in self.after]

    @property
    def has_port(self) -> bool:
        """Return whether it has a port, known or not yet."""
        return bool(self.ports) or self.port == AUTO_PORT

    @property
    def ports(self) -> list[int]:
        """Return the known ports: `port`, that of `ready`, and that of `url`."""
        parts = urlsplit(self.url or "")
        from_url = (parts.port or (443 if parts.scheme == "https" else 80)) if self.url else None
        ports = [self.port, self.ready.tcp if self.ready else None, from_url]
        return list(dict.fromkeys(port for port in ports if isinstance(port, int)))

    @property
    def needs_docker(self) -> bool:
        """Return whether it needs a Docker engine."""
        return bool(self.found) or self.needs_pull_or_build

    @property
    def ready_timeout(self) -> float:
        """Return the seconds within which it must respond, after its start or to a reload request."""
        return self.ready.within if self.ready else Ready().within

    @property
    def readiness(self) -> Ready | None:
        """Return when it is ready; None if as soon as it has started."""
        return self.ready or (Ready() if self.once or self.service else None)

    @property
    def max_start_duration(self) -> float:
        """Return the seconds until it is ready at most, without pulling and building, which have no time limit."""
        reloads = sum(entry.post is not None for entry in self.provision)
        return reloads * self.ready_timeout + (self.readiness.within if self.readiness else 0.0)

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
        if self.readiness:
            within = format_duration(self.readiness.within)
            waiting = msg("wait until it has exited with 0, at most {within}", within=within)
            steps.append(waiting if self.once else msg("wait until it is ready, at most {within}", within=within))
        return steps

    def _first_step(self) -> Message:
        start = self.start
        if start is None and self.container:
            return msg("find the service container {name}", name=self.container)
        if start is None and self.service:
            return msg("find the service {name} of the Compose project", name=self.service)
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
