"""What a checklist says of a target: where it is or how it is started, and when it is ready."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from msgspec import Meta, field

from gate.core.messages import Message, msg
from gate.decode.quantities import DurationSeconds, format_duration
from gate.decode.structs import custom_type, fields_by_key
from gate.matchers import StatusMatcher
from gate.model import CheckoutPath, FrozenStruct, NonEmptyStr, TargetName


def _http_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good:
        raise ValueError("expected an address such as http://api:8080")
    return value


def _words(value: Any) -> Any:
    """A command line as words: a text is split as a shell would, and nothing of it is expanded."""
    try:
        return shlex.split(value) if isinstance(value, str) else value
    except ValueError as error:
        raise ValueError(f"expected a command: {error}") from error


def _variable(value: Any) -> str:
    """The text of an environment variable: numbers stand for themselves, as they are written."""
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
        _words,
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]},
        target_type=Annotated[list[str], Meta(min_length=1)],
    )
    EnvValue = custom_type(_variable, {"type": ["string", "number"]})
"""A command, as a list of words or as one text."""
Port = Annotated[int, Meta(ge=1, le=65535)]
StopSignal = Literal["TERM", "INT", "QUIT", "HUP", "USR1", "USR2"]
ADDRESS_REFERENCE = re.compile(r"\{([A-Za-z0-9._-]+)\.(host|port|address)\}")
"""Another target's address in an environment variable."""


class Ready(FrozenStruct):
    """When a target counts as ready: a request is answered as expected, or a port accepts a connection."""

    path: Annotated[
        NonEmptyStr | None, Meta(description="A path of the target's URL that has to answer.", examples=["/live"])
    ] = None
    status: Annotated[StatusMatcher, Meta(description="The status that `path` has to answer with.")] = field(
        default_factory=lambda: StatusMatcher([200, 204])
    )
    tcp: Annotated[Port | None, Meta(description="A port that has to accept a connection.")] = None
    within: Annotated[DurationSeconds, Meta(description="How long to wait for it.")] = 60.0

    def __post_init__(self) -> None:
        if (self.path is None) == (self.tcp is None):
            raise ValueError("expected exactly one of 'path' and 'tcp'")


class Start(FrozenStruct):
    """How the gate starts a target itself: a process, a container of an image, or of an image that it builds."""

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
        CommandLine | None, Meta(description="The process, or what the container runs instead of its own.")
    ] = None
    image: Annotated[NonEmptyStr | None, Meta(description="An image to run as a container on the job's network.")] = (
        None
    )
    build: Annotated[NonEmptyStr | None, Meta(description="A folder to build the image from.")] = None
    dockerfile: Annotated[NonEmptyStr, Meta(description="The Dockerfile, relative to `build`.")] = "Dockerfile"
    args: Annotated[dict[str, str], Meta(description="Build arguments.")] = {}
    build_network: Annotated[
        NonEmptyStr | None, Meta(description="The network of the build's steps.", examples=["host"])
    ] = None
    environment: Annotated[
        dict[str, EnvValue],
        Meta(
            description="Environment variables. `{NAME.host}`, `{NAME.port}`, `{NAME.address}` stand for other targets."
        ),
    ] = {}
    stop_signal: Annotated[StopSignal, Meta(description="The signal that asks a process to end.", examples=["INT"])] = (
        "TERM"
    )

    def __post_init__(self) -> None:
        if self.image and self.build:
            raise ValueError("expected one of 'image' and 'build', got both")
        if not (self.image or self.build or self.command):
            raise ValueError("expected a 'command', an 'image' or a 'build'")

    @property
    def kind(self) -> Literal["image", "build", "command"]:
        """What it starts from."""
        return "image" if self.image else "build" if self.build else "command"


class Provision(FrozenStruct):
    """Files of the checkout that a container gets, and how it is told to read them again."""

    source: Annotated[
        CheckoutPath, Meta(description="A file or folder of the checkout; of a folder, what is in it.")
    ] = field(name="copy")
    to: Annotated[str, Meta(pattern="^/", description="The folder in the container where it goes.")]
    signal: Annotated[
        NonEmptyStr | None, Meta(description="A signal sent to the container afterwards.", examples=["HUP"])
    ] = None
    post: Annotated[
        NonEmptyStr | None, Meta(description="A path of the target's URL that is asked with POST afterwards.")
    ] = None
    restart: Annotated[bool, Meta(description="Whether the container is restarted afterwards.")] = False

    def __post_init__(self) -> None:
        if sum((self.signal is not None, self.post is not None, self.restart)) > 1:
            raise ValueError("expected at most one of 'signal', 'post' and 'restart'")


class Target(FrozenStruct):
    """Something the gate talks to: by its address, found as a service container, or started by the gate."""

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
    port: Annotated[Port | None, Meta(description="Its port, where it has no URL. Faults prove themselves on it.")] = (
        None
    )
    listen: Annotated[
        Port | None,
        Meta(description="A port on loopback where the gate puts a proxy of its own in front of a process's `port`."),
    ] = None
    after: Annotated[list[TargetName], Meta(description="Targets that must be ready before this one is started.")] = []
    provision: Annotated[list[Provision], Meta(description="Files to put into the container.")] = []
    ready: Annotated[Ready | None, Meta(description="When it counts as ready; without it, it does at once.")] = None

    def __post_init__(self) -> None:
        if not (self.url or self.container or self.start):
            raise ValueError("expected a 'url', a 'container' or a 'start'")
        if self.container and self.start:
            raise ValueError("expected one of 'container' and 'start', got both")
        if self.listen and not (self.start and self.start.kind == "command" and self.port):
            raise ValueError("expected 'start: {command: ...}' and a 'port' beside 'listen'")
        if self.provision and not (self.container or (self.start and self.start.kind != "command")):
            raise ValueError("expected a container beside 'provision'")

    @property
    def depends_on(self) -> list[str]:
        """The targets that must be ready before this one is started: `after`, and those whose address it gets."""
        values = self.start.environment.values() if self.start else ()
        named = [found[1] for value in values for found in ADDRESS_REFERENCE.finditer(str(value))]
        return list(dict.fromkeys([*self.after, *named]))

    @property
    def ports(self) -> list[int]:
        """The ports on which it is known to answer: its own, that of its readiness, that of its URL."""
        parts = urlsplit(self.url or "")
        from_url = (parts.port or (443 if parts.scheme == "https" else 80)) if self.url else None
        found = [self.port, self.ready.tcp if self.ready else None, from_url]
        return list(dict.fromkeys(port for port in found if port))

    @property
    def needs_engine(self) -> bool:
        """Whether it can't be had without a container engine."""
        return bool(self.container) or self.needs_pull_or_build

    @property
    def ready_timeout(self) -> float:
        """Seconds that it may take to answer, as a whole service or to a reload."""
        return self.ready.within if self.ready else Ready(path="/").within

    @property
    def max_start_duration(self) -> float:
        """Seconds from its start until it is ready at most. Pulling and building have no end of their own."""
        reloads = sum(entry.post is not None for entry in self.provision)
        return reloads * self.ready_timeout + (self.ready.within if self.ready else 0.0)

    @property
    def needs_pull_or_build(self) -> bool:
        """Whether an image is pulled or built for it."""
        return self.start is not None and self.start.kind != "command"

    def planned_steps(self) -> list[Message]:
        """What a run will do for it, and undo, in order."""
        found = [self._begins()]
        for entry in self.provision:
            found.append(msg("{source} is copied into it, to {folder}", source=entry.source, folder=entry.to))
            found += _reload(entry)
        if self.ready:
            found.append(msg("it is awaited, at most {within}", within=format_duration(self.ready.within)))
        return found

    def _begins(self) -> Message:
        start = self.start
        if start is None and self.container:
            return msg("the service container {name} is looked for", name=self.container)
        if start is None:
            return msg("it is asked at {url}", url=self.url or "")
        if start.kind == "command":
            return msg("`{command}` is started, and ended at the end", command=shlex.join(start.command or []))
        if start.kind == "image":
            return msg("a container of {image} is started, and removed at the end", image=start.image or "")
        return msg("an image is built from {folder} and started; both are removed at the end", folder=start.build or "")


def _reload(entry: Provision) -> list[Message]:
    if entry.signal:
        return [msg("it gets the signal {signal}", signal=entry.signal)]
    if entry.post:
        return [msg("{path} is asked with POST", path=entry.post)]
    return [msg("it is restarted")] if entry.restart else []
