"""What a checklist says of a target: where it is or how it is started, and when it is ready."""

from __future__ import annotations

import re
import shlex
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from gate.matchers import Matcher
from gate.messages import Message, say
from gate.model import CheckoutPath, Model, TargetName
from gate.quantities import Duration, duration


def _http_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good:
        raise PydanticCustomError("url", "expected an address such as http://api:8080")
    return value


def _words(value: Any) -> Any:
    """A command line as words: a text is split as a shell would, and nothing of it is expanded."""
    try:
        return shlex.split(value) if isinstance(value, str) else value
    except ValueError as error:
        raise PydanticCustomError("words", "expected a command: {why}", {"why": str(error)}) from error


HttpUrl = Annotated[str, AfterValidator(_http_url)]
Words = Annotated[list[str], BeforeValidator(_words, json_schema_input_type=str | list[str]), Field(min_length=1)]
"""A command, as a list of words or as one text."""
Port = Annotated[int, Field(ge=1, le=65535)]
StopSignal = Literal["TERM", "INT", "QUIT", "HUP", "USR1", "USR2"]
REFERENCE = re.compile(r"\{([A-Za-z0-9._-]+)\.(host|port|address)\}")
"""Another target's address in an environment variable."""


class Ready(Model):
    """When a target counts as ready: a request is answered as expected, or a port accepts a connection."""

    path: str | None = Field(None, description="A path of the target's URL that has to answer.", examples=["/live"])
    status: Matcher = Field(Matcher([200, 204]), description="The status that `path` has to answer with.")
    tcp: Port | None = Field(None, description="A port that has to accept a connection.")
    within: Duration = Field(60.0, description="How long to wait for it.")

    @model_validator(mode="after")
    def _one_question(self) -> Ready:
        if (self.path is None) == (self.tcp is None):
            raise PydanticCustomError("ready", "expected exactly one of 'path' and 'tcp'")
        return self


class Start(Model):
    """How the gate starts a target itself: a process, a container of an image, or of an image that it builds."""

    command: Words | None = Field(None, description="The process, or what the container runs instead of its own.")
    image: str | None = Field(None, description="An image to run as a container on the job's network.")
    build: str | None = Field(None, description="A folder to build the image from.")
    dockerfile: str = Field("Dockerfile", description="The Dockerfile, relative to `build`.")
    args: dict[str, str] = Field({}, description="Build arguments.")
    build_network: str | None = Field(None, description="The network of the build's steps.", examples=["host"])
    environment: dict[str, str | int | float] = Field(
        {}, description="Environment variables. `{NAME.host}`, `{NAME.port}`, `{NAME.address}` stand for other targets."
    )
    stop_signal: StopSignal = Field("TERM", description="The signal that asks a process to end.", examples=["INT"])

    @model_validator(mode="after")
    def _one_way(self) -> Start:
        if self.image and self.build:
            raise PydanticCustomError("start", "expected one of 'image' and 'build', got both")
        if not (self.image or self.build or self.command):
            raise PydanticCustomError("start", "expected a 'command', an 'image' or a 'build'")
        return self

    @property
    def kind(self) -> Literal["image", "build", "command"]:
        """What it starts from."""
        return "image" if self.image else "build" if self.build else "command"


class Provision(Model):
    """Files of the checkout that a container gets, and how it is told to read them again."""

    source: CheckoutPath = Field(
        alias="copy", description="A file or folder of the checkout; of a folder, what is in it."
    )
    to: str = Field(description="The folder in the container where it goes.", pattern="^/")
    signal: str | None = Field(None, description="A signal sent to the container afterwards.", examples=["HUP"])
    post: str | None = Field(None, description="A path of the target's URL that is asked with POST afterwards.")
    restart: bool = Field(False, description="Whether the container is restarted afterwards.")

    @model_validator(mode="after")
    def _one_reload(self) -> Provision:
        if sum((self.signal is not None, self.post is not None, self.restart)) > 1:
            raise PydanticCustomError("provision", "expected at most one of 'signal', 'post' and 'restart'")
        return self


class Target(Model):
    """Something the gate talks to: by its address, found as a service container, or started by the gate."""

    url: HttpUrl | None = Field(None, description="Its address.", examples=["http://api:8080"])
    container: str | None = Field(None, description="The service container's name in the workflow.")
    start: Start | None = Field(None, description="How the gate starts it.")
    port: Port | None = Field(None, description="Its port, where it has no URL. Faults prove themselves on it.")
    listen: Port | None = Field(
        None, description="A port on loopback where the gate puts a proxy of its own in front of a process's `port`."
    )
    after: list[TargetName] = Field([], description="Targets that must be ready before this one is started.")
    provision: list[Provision] = Field([], description="Files to put into the container.")
    ready: Ready | None = Field(None, description="When it counts as ready; without it, it does at once.")

    @model_validator(mode="after")
    def _somewhere(self) -> Target:
        if not (self.url or self.container or self.start):
            raise PydanticCustomError("target", "expected a 'url', a 'container' or a 'start'")
        if self.container and self.start:
            raise PydanticCustomError("target", "expected one of 'container' and 'start', got both")
        if self.listen and not (self.start and self.start.kind == "command" and self.port):
            raise PydanticCustomError("target", "expected 'start: {command: ...}' and a 'port' beside 'listen'")
        if self.provision and not (self.container or (self.start and self.start.kind != "command")):
            raise PydanticCustomError("target", "expected a container beside 'provision'")
        return self

    @property
    def awaits(self) -> list[str]:
        """The targets that must be ready before this one is started: `after`, and those whose address it gets."""
        values = self.start.environment.values() if self.start else ()
        named = [found[1] for value in values for found in REFERENCE.finditer(str(value))]
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
        return bool(self.container) or self.is_fetched

    @property
    def patience(self) -> float:
        """Seconds that it may take to answer, as a whole service or to a reload."""
        return self.ready.within if self.ready else Ready(path="/").within

    @property
    def takes(self) -> float:
        """Seconds from its start until it is ready at most. Pulling and building have no end of their own."""
        reloads = sum(entry.post is not None for entry in self.provision)
        return reloads * self.patience + (self.ready.within if self.ready else 0.0)

    @property
    def is_fetched(self) -> bool:
        """Whether an image is pulled or built for it."""
        return self.start is not None and self.start.kind != "command"

    def plan(self) -> list[Message]:
        """What a run will do for it, and undo, in order."""
        found = [self._begins()]
        for entry in self.provision:
            found.append(say("{source} is copied into it, to {folder}", source=entry.source, folder=entry.to))
            found += _reload(entry)
        if self.ready:
            found.append(say("it is awaited, at most {within}", within=duration(self.ready.within)))
        return found

    def _begins(self) -> Message:
        start = self.start
        if start is None and self.container:
            return say("the service container {name} is looked for", name=self.container)
        if start is None:
            return say("it is asked at {url}", url=self.url or "")
        if start.kind == "command":
            return say("`{command}` is started, and ended at the end", command=shlex.join(start.command or []))
        if start.kind == "image":
            return say("a container of {image} is started, and removed at the end", image=start.image or "")
        return say("an image is built from {folder} and started; both are removed at the end", folder=start.build or "")


def _reload(entry: Provision) -> list[Message]:
    if entry.signal:
        return [say("it gets the signal {signal}", signal=entry.signal)]
    if entry.post:
        return [say("{path} is asked with POST", path=entry.post)]
    return [say("it is restarted")] if entry.restart else []
