"""What a checklist says of a target: where it is, and when it is ready."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from gate.matchers import Matcher
from gate.model import Model
from gate.quantities import Duration


def _http_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good:
        raise PydanticCustomError("url", "expected an address such as http://api:8080")
    return value


HttpUrl = Annotated[str, AfterValidator(_http_url)]


class Ready(Model):
    """When a target counts as ready: a request is answered as expected, or a port accepts a connection."""

    path: str | None = Field(None, description="A path of the target's URL that has to answer.", examples=["/live"])
    status: Matcher = Field(Matcher([200, 204]), description="The status that `path` has to answer with.")
    tcp: int | None = Field(None, ge=1, le=65535, description="A port that has to accept a connection.")
    within: Duration = Field(60.0, description="How long to wait for it.")

    @model_validator(mode="after")
    def _one_question(self) -> Ready:
        if (self.path is None) == (self.tcp is None):
            raise PydanticCustomError("ready", "expected exactly one of 'path' and 'tcp'")
        return self


class Target(Model):
    """Something the gate talks to: by its address, or found as a service container by its name in the workflow."""

    url: HttpUrl | None = Field(None, description="Its address.", examples=["http://api:8080"])
    container: str | None = Field(None, description="The service container's name in the workflow.")
    ready: Ready | None = Field(None, description="When it counts as ready; without it, it does at once.")

    @model_validator(mode="before")
    @classmethod
    def _somewhere(cls, value: Any) -> Any:
        if isinstance(value, dict) and not {"url", "container", "start"} & value.keys():
            raise PydanticCustomError("target", "expected a 'url', a 'container' or a 'start'")
        return value
