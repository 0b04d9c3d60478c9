"""What a checklist says of a drill's parts."""

from __future__ import annotations

from typing import Any

from pydantic import Field, GetJsonSchemaHandler, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError

from gate.checks.asked import Asked, line_error
from gate.checks.world import World
from gate.messages import Message, say
from gate.model import Model, TargetName
from gate.quantities import Duration
from gate.staging.faults import FAULTS
from gate.staging.spec import Words


class Criterion(Asked):
    """Something that a drill looks at, with a name of its own for the report."""

    title: str = Field("", description="What people read; without it, what is asked.")

    def heading(self, world: World) -> Message:
        """What people read of it."""
        return say("{title}", title=self.title or self.check.asked(world))


class Named(Criterion):
    """A criterion of the gate's own, whose name is a sentence of ours."""

    words: Message

    def heading(self, world: World) -> Message:
        return self.words


class FaultSpec(Model):
    """Exactly one fault: `stop: database`, or `slow: {target: database, latency: 2s}`."""

    fault: Any = None

    @model_validator(mode="wrap")
    @classmethod
    def _one_fault(cls, value: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in FAULTS.names():
            names = ", ".join(FAULTS.names())
            raise PydanticCustomError("no_expectation", "expected exactly one fault of {names}", {"names": names})
        ((kind, given),) = value.items()
        errors: list[InitErrorDetails] = []
        try:
            return handler({"fault": FAULTS.load(kind).model_validate(given)})
        except ValidationError as error:
            errors = [line_error(each, (kind,)) for each in error.errors(include_url=False)]
        raise ValidationError.from_exception_data(cls.__name__, errors)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        kinds: dict[str, Any] = {}
        for name in FAULTS.names():
            made = FAULTS.load(name).model_json_schema()
            made.pop("$defs", None)
            kinds[name] = made if name == "run" else {"anyOf": [{"type": "string"}, made]}
        return {
            "type": "object",
            "properties": kinds,
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": False,
        }


class Traffic(Model):
    """Requests that are sent while the fault is in place, so that there is something to notice it."""

    target: TargetName = Field(description="The target they are sent to.")
    path: str = Field("/", description="The path.")
    method: str = Field("GET", description="The method.", pattern="^[A-Z]{1,20}$")
    rate: float = Field(5.0, gt=0, le=200, description="How many a second.")


class Others(Model):
    """No alert may begin to fire during the drill but those that it awaits and those that are allowed here."""

    target: TargetName = Field(description="The Prometheus that knows.")
    allow: list[str] = Field([], description="Alerts that may fire all the same.")


class Curves(Model):
    """Metrics to draw below the drill's timeline."""

    target: TargetName = Field(description="The Prometheus that knows.")
    queries: dict[str, str] = Field(description="PromQL, by the name of the curve.", min_length=1, max_length=6)


class Script(Model):
    """A drill script of the user's own, with the gate's guarantees around it."""

    command: Words = Field(description="The command; it has to exit with 0.")
    timeout: Duration = Field(300.0, description="How long it may take.")
    touches: list[TargetName] = Field([], description="The targets that it breaks: put back as they were.")
