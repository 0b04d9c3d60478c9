"""The checklist as types: what a file may say (DESIGN, section 3). The JSON Schema is generated from these."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from gate.checks.asked import Asked
from gate.model import Model, Severity
from gate.staging.spec import Target

Text = Annotated[str, StringConstraints(min_length=1, max_length=2000, strip_whitespace=True)]
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


def _day(value: Any) -> Any:
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value) if isinstance(value, str) and len(value) == 10 else _no_day()
    except ValueError:
        return _no_day()


def _no_day() -> Any:
    raise PydanticCustomError("day", "expected a day such as 2026-03-31")


Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]


class Item(Asked):
    """A line of the checklist: an id, a title, a severity, and exactly one check."""

    id: Id = Field(description="Stable: JUnit, waivers, comparisons and links use it.", examples=["health.readyz"])
    title: Text = Field(description="What people read. `code` in backquotes is shown as code.")
    severity: Severity = Field(Severity.BLOCKING, description="Whether not passing stops the commit.")
    requires: list[str] = Field([], description="Targets that must be ready, else the item is skipped.")
    needs: list[str] = Field([], description="Items that must have passed before, else the item is skipped.")


class Section(Model):
    """A part of the checklist."""

    id: Id = Field(description="Stable; `only` names it.")
    title: Text = Field(description="What people read.")
    items: list[Item] = Field(min_length=1, description="Its items, in the order of the reports.")


class WaiverSpec(Model):
    """A named, dated permission for one item to fail."""

    item: str = Field(description="The id of the item.")
    reason: Text = Field(description="Why it may fail.")
    owner: Text = Field(description="Who answers for it.")
    expires: Day = Field(description="The first day on which it counts for nothing any more.")
    issue: Text | None = Field(None, description="Where it is worked on.")
    approved_by: Text | None = Field(None, description="Who allowed it.")


class WaiverPolicy(Model):
    """How far waivers may go."""

    max: int | None = Field(None, ge=0, description="How many there may be.")
    max_days: int | None = Field(None, ge=1, le=36500, description="How many days from today one may reach.")


class Checklist(Model):
    """The whole file."""

    version: Literal[1] = Field(description="The version of this language.")
    service: Text = Field(description="The service that is judged.", examples=["veza-backend-api"])
    environment: Text = Field("staging", description="Where it runs.")
    language: Literal["en", "fr"] = Field("en", description="The language of the reports.")
    targets: dict[Id, Target] = Field({}, description="What the gate talks to, by name.")
    sections: list[Section] = Field(min_length=1, description="The sections, in the order of the reports.")
    waivers: list[WaiverSpec] = Field([], description="Permissions to fail.")
    waiver_policy: WaiverPolicy = Field(WaiverPolicy(), description="How far waivers may go.")

    @property
    def items(self) -> list[Item]:
        """All items, in order."""
        return [item for section in self.sections for item in section.items]
