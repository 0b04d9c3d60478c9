"""Define the checklist's types. The JSON Schema is generated from them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from gate.checks.entry import CheckEntry
from gate.core.strictness import stricter
from gate.decode.structs import ShortForm
from gate.decode.types import Date, DisplayText
from gate.drills.protocol import DrillCheck
from gate.model import FrozenStruct, NonNegativeInt, Severity
from gate.staging.spec import ComposeProject, Target

# Kinds of checks whose target is a Prometheus.
_OF_PROMETHEUS = ("alert", "loaded_rules", "promql", "scrape_target")
Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


class Item(CheckEntry, kw_only=True):
    """A line of the checklist: an id, a title, a severity, and exactly one check."""

    id: Annotated[
        Id, Meta(description="Stable: JUnit, waivers, comparisons and links use it.", examples=["health.readyz"])
    ]
    title: Annotated[DisplayText, Meta(description="What people read. `code` in backquotes is shown as code.")]
    severity: Annotated[Severity, Meta(description="Whether not passing stops the commit.")] = Severity.BLOCKING
    requires: Annotated[
        list[str], Meta(description="Targets that must be ready, else the item is skipped.", extra=stricter("more"))
    ] = []
    needs: Annotated[
        list[str],
        Meta(description="Items that must have passed before, else the item is skipped.", extra=stricter("more")),
    ] = []


class Section(FrozenStruct):
    """A part of the checklist."""

    id: Annotated[Id, Meta(description="Stable; `only` names it.")]
    title: Annotated[DisplayText, Meta(description="What people read.")]
    items: Annotated[list[ShortForm[Item]], Meta(min_length=1, description="Its items, in the order of the reports.")]


class WaiverSpec(FrozenStruct):
    """A named, dated permission for one item to fail."""

    item: Annotated[str, Meta(description="The id of the item.")]
    reason: Annotated[DisplayText, Meta(description="Why it may fail.")]
    owner: Annotated[DisplayText, Meta(description="Who answers for it.")]
    expires: Annotated[Date, Meta(description="The first day on which it counts for nothing any more.")]
    issue: Annotated[DisplayText | None, Meta(description="Where it is worked on.")] = None
    approved_by: Annotated[DisplayText | None, Meta(description="Who allowed it.")] = None


class WaiverPolicy(FrozenStruct):
    """How far waivers may go."""

    max: Annotated[NonNegativeInt | None, Meta(description="How many there may be.")] = None
    max_days: Annotated[
        Annotated[int, Meta(ge=1, le=36500)] | None, Meta(description="How many days from today one may reach.")
    ] = None


class Checklist(FrozenStruct, kw_only=True):
    """The whole file."""

    version: Annotated[Literal[1], Meta(description="The version of this language.")]
    service: Annotated[DisplayText, Meta(description="The service that is judged.", examples=["veza-backend-api"])]
    environment: Annotated[DisplayText, Meta(description="Where it runs.")] = "staging"
    language: Annotated[Literal["en", "fr"], Meta(description="The language of the reports.")] = "en"
    compose: Annotated[ComposeProject, Meta(description="The Compose project whose services are targets.")] = (
        ComposeProject()
    )
    targets: Annotated[dict[Id, Target], Meta(description="What the gate talks to, by name.")] = {}
    sections: Annotated[list[Section], Meta(min_length=1, description="The sections, in the order of the reports.")]
    waivers: Annotated[list[WaiverSpec], Meta(description="Permissions to fail.")] = []
    waiver_policy: Annotated[WaiverPolicy, Meta(description="How far waivers may go.")] = WaiverPolicy()

    @property
    def items(self) -> list[ShortForm[Item]]:
        """Return all items, in order."""
        return [item for section in self.sections for item in section.items]

    @property
    def prometheus_targets(self) -> tuple[str, ...]:
        """Return the targets that checks of a Prometheus query, those of drills included."""
        entries: list[CheckEntry] = [*self.items]
        for item in self.items:
            if isinstance(item.check, DrillCheck):
                entries += [entry for group in item.check.criteria().values() for entry in group]
        return tuple(dict.fromkeys(entry.check.target for entry in entries if entry.kind in _OF_PROMETHEUS))

    @property
    def scrape_jobs(self) -> tuple[tuple[str, str], ...]:
        """Return the configuration file and the job of each `scrape_config` item."""
        checks = [item.check for item in self.items if item.kind == "scrape_config"]
        if not checks:
            return ()
        from gate.checks.scrape_config import ScrapeConfig  # kinds of checks are loaded when they are needed

        return tuple((check.file, check.job) for check in checks if isinstance(check, ScrapeConfig))
