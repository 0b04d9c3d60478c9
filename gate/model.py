"""Domain types: statuses, evidence, outcomes, the verdict and the report.

Everything here is immutable. `Report` is the content of `report.json`, from which every format is rendered. Its JSON
Schema is generated from these definitions.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, dataclass_transform

from msgspec import Meta, Struct, StructMeta, field, structs

from gate.core.messages import Message
from gate.decode.structs import (
    KeyPath,
    ValidationIssue,
    convert,
    custom_type,
    fields_by_key,
    post_init_issues,
    struct_issues,
)

REPORT_VERSION: Literal["prodgate.report/1"] = "prodgate.report/1"


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class _FrozenStructMeta(StructMeta):
    """Metaclass that makes every subclass frozen, keyword-only and strict about unknown keys."""

    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> Any:
        # msgspec does not inherit these options.
        options |= {"frozen": True, "kw_only": True, "forbid_unknown_fields": True}
        return super().__new__(mcls, name, bases, namespace, **options)


class FrozenStruct(Struct, metaclass=_FrozenStructMeta):
    """An immutable struct."""

    # Keys that are often written here by mistake, with where they belong, for errors.
    elsewhere: ClassVar[Mapping[str, str]] = {}

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed."""
        return structs.replace(self, **changes)

    @classmethod
    def decode(cls, value: Any) -> Self:
        """Decode a value. Raise msgspec.ValidationError or ValueError if it is not valid: see `decode_all_errors`."""
        decoded: Self = convert(value, cls)
        return decoded

    @classmethod
    def iter_issues(cls, value: Any, path: KeyPath = ()) -> Iterator[ValidationIssue]:
        """Yield every validation error of a value."""
        issues = list(struct_issues(value, fields_by_key(cls), path, elsewhere=cls.elsewhere))
        yield from issues or post_init_issues(value, cls, path)


class TargetRef:
    """Marks a field that holds the name of a target, so that the checklist can check the reference."""


AwareDatetime = Annotated[datetime, Meta(tz=True)]
NonEmptyStr = Annotated[str, Meta(min_length=1)]
# The name of a target of the checklist; an unknown name is an error.
TargetName = Annotated[NonEmptyStr, TargetRef()]
SomeTexts = Annotated[list[NonEmptyStr], Meta(min_length=1)]
NonNegativeInt = Annotated[int, Meta(ge=0)]


def _relative_path(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError("expected a path inside the checkout, without '..'")
    if "\0" in value:
        raise ValueError("expected a path without NUL")
    return value


# A path relative to the checkout, which it may not leave: no absolute path, no `..`, no symbolic link out of it.
if TYPE_CHECKING:
    CheckoutPath = str
else:
    CheckoutPath = custom_type(_relative_path, {"type": "string", "minLength": 1}, raw_type=NonEmptyStr)


class Severity(StrEnum):
    """How much an item counts: `blocking` makes a NO-GO if it does not pass, `advisory` a reservation."""

    BLOCKING = "blocking"
    ADVISORY = "advisory"


class Status(StrEnum):
    """The status of an item. A check yields one of the first four; an active waiver turns FAIL or ERROR into WAIVED."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    ERROR = "error"
    SKIP = "skip"
    WAIVED = "waived"


class Decision(StrEnum):
    """The decision of a verdict."""

    GO = "GO"
    GO_WITH_RESERVATIONS = "GO with reservations"
    NO_GO = "NO-GO"


class Location(FrozenStruct):
    """A position in a file of the repository under test, for annotations and editors. Lines and columns from 1."""

    file: str
    line: int | None = None
    column: int | None = None
    text: str = ""

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)


class Artifact(FrozenStruct):
    """A file of raw evidence: its path below the output folder, its size in bytes, and its SHA-256 in hex."""

    path: str
    size: int
    sha256: str


class Evidence(
    FrozenStruct,
    rename={"request": "asked", "response": "answer", "reproduce_command": "reproduce", "attempts": "tries"},
):
    """The evidence of an outcome: request, response, start time, duration, and a command that reproduces it."""

    request: str = ""
    response: str = ""
    reproduce_command: str = ""
    started: AwareDatetime | None = None
    duration: float = 0.0
    attempts: int = 0
    locations: tuple[Location, ...] = ()
    artifacts: tuple[Artifact, ...] = ()


# The links of the chain from an alert's rule to its runbook, in order.
ChainLinkName = Literal["loaded", "exposed", "tested", "fired", "routed", "paged", "annotation", "runbook", "sections"]


class ChainLink(FrozenStruct):
    """A link of an alert's traceability chain, and whether it holds."""

    name: ChainLinkName
    holds: bool


class CriterionResult(FrozenStruct):
    """The result of one criterion of an item, such as an observation of a drill.

    `at` is when it was met, in seconds since the fault. A WAIVED criterion is a reservation of an item that passes;
    from the day `expires` on, the item would no longer pass. For an alert, `severity` is the label of its rule, and
    `links` are the links of its chain, in order.
    """

    title: Message
    status: Status
    message: Message
    phase: str = ""
    at: float | None = None
    within: float | None = None
    expires: date | None = None
    severity: str = ""
    links: tuple[ChainLink, ...] = ()
    evidence: Evidence = Evidence()


class TimelineEvent(FrozenStruct):
    """An event of a drill. `at` is in seconds since the fault was injected, negative before it."""

    at: float
    what: Message
    kind: str = ""


class MetricSeries(FrozenStruct):
    """The values of a metric during a drill, for the timeline. Points are (seconds since the fault, value)."""

    name: str
    points: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        """Drop points that are not finite, which JSON cannot hold."""
        structs.force_setattr(self, "points", tuple(point for point in self.points if all(map(math.isfinite, point))))


class SweepResult(FrozenStruct):
    """How far a fault was raised: the last step at which the service held, and the one at which it broke, if any."""

    holds: str | None = None
    breaks: str | None = None


class Timeline(FrozenStruct, rename={"events": "moments", "detected_after": "detect", "recovered_after": "recover"}):
    """The timeline of a drill: seconds from the fault to detection, and from its revert to recovery.

    `sweep` is the result of a fault that was raised step by step.
    """

    events: tuple[TimelineEvent, ...] = ()
    curves: tuple[MetricSeries, ...] = ()
    detected_after: float | None = None
    recovered_after: float | None = None
    sweep: SweepResult | None = None


class Outcome(FrozenStruct):
    """The outcome of a check, with its evidence. Outcomes with the same root cause have the same `cause`."""

    status: Status
    message: Message
    advice: Message | None = None
    cause: str | None = None
    cause_message: Message | None = None
    rows: tuple[CriterionResult, ...] = ()
    timeline: Timeline | None = None
    evidence: Evidence = Evidence()


class ExemptionFile(FrozenStruct):
    """A file named by the checklist that lists permitted failures. It is part of the checklist."""

    file: Annotated[CheckoutPath, Meta(description="Its path in the checkout.")]

    def entries(self, text: str) -> list[Any]:
        """Return the entries of the file, in the form of the checklist. Raise ValueError if it is not valid."""
        raise NotImplementedError


class Waiver(FrozenStruct):
    """A permission for one item to fail, with an owner. Active until the day before `expires`."""

    item: str
    reason: str
    owner: str
    expires: date
    issue: str | None = None
    approved_by: str | None = None


class ItemResult(FrozenStruct):
    """An item of the checklist and its outcome. `location` is its position in the checklist."""

    id: str
    title: str
    severity: Severity
    check: str
    outcome: Outcome
    waiver: Waiver | None = None
    within: float | None = None
    needs: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    location: Location | None = None

    @property
    def status(self) -> Status:
        """Return the status of the outcome, or WAIVED if a waiver covers its FAIL or ERROR."""
        if self.waiver and self.outcome.status in (Status.FAIL, Status.ERROR):
            return Status.WAIVED
        return self.outcome.status


class SectionResult(FrozenStruct):
    """A section of the checklist and the results of its items, in order."""

    id: str
    title: str
    items: tuple[ItemResult, ...]


class TargetResult(FrozenStruct, kw_only=True):
    """A target, whether it became ready, and the end of its log if it did not."""

    name: str
    address: str = ""
    kind: Literal["url", "container", "service", "image", "build", "command"] = "url"
    ready: bool
    message: Message
    duration: float = 0.0
    log: str = ""
    artifacts: tuple[Artifact, ...] = ()


class VerdictReason(FrozenStruct):
    """A reason for a NO-GO, or a reservation: the items that it concerns, and advice."""

    message: Message
    items: tuple[str, ...] = ()
    advice: Message | None = None


class Verdict(FrozenStruct):
    """The decision, its reasons and reservations.

    `until` is the day on which a GO expires, because a waiver of an item or a quarantine of a part of it expires.
    """

    decision: Decision
    reasons: tuple[VerdictReason, ...] = ()
    reservations: tuple[VerdictReason, ...] = ()
    until: date | None = None
    until_waivers: tuple[str, ...] = ()
    until_quarantines: tuple[str, ...] = ()


class Counts(FrozenStruct):
    """The number of items by status."""

    total: int = 0
    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0
    waived: int = 0

    @property
    def rate(self) -> int:
        """Return the share of passed items in whole percent, rounded half up; 0 if there are no items."""
        return int(100 * self.passed / self.total + 0.5) if self.total else 0


def count_statuses(items: tuple[ItemResult, ...] | list[ItemResult]) -> Counts:
    """Count items by status."""
    count = Counter(item.status for item in items)
    return Counts(
        total=len(items),
        passed=count[Status.PASS],
        failed=count[Status.FAIL],
        errors=count[Status.ERROR],
        skipped=count[Status.SKIP],
        waived=count[Status.WAIVED],
    )


class Provenance(FrozenStruct):
    """The commit and images (`name@sha256:...`) that were judged, and the workflow run; `url` is the page of the run.

    `context` is the name of the commit status, which distinguishes several gates of one commit. `changed` are the files
    of the checkout that differ from the commit. An unknown value is empty.
    """

    commit: str = ""
    changed: tuple[str, ...] = ()
    ref: str = ""
    repository: str = ""
    event: str = ""
    run_id: str = ""
    run_attempt: str = ""
    url: str = ""
    context: str = ""
    images: tuple[str, ...] = ()


class DrillTimesDiff(FrozenStruct):
    """Times and sweeps of a drill in this report and the baseline, in seconds; None if not observed."""

    item: str
    detect: float | None = None
    detect_before: float | None = None
    recover: float | None = None
    recover_before: float | None = None
    sweep: SweepResult | None = None
    sweep_before: SweepResult | None = None


class Commit(FrozenStruct):
    """A commit between the baseline and this run."""

    id: str
    subject: str


class ReportDiff(FrozenStruct, kw_only=True):
    """The difference from an earlier report, the baseline: item ids, rates in percent, drill times, commits."""

    baseline: str = ""
    baseline_decision: Decision
    newly_failing: tuple[str, ...] = ()
    newly_skipped: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    rate: int = 0
    rate_before: int = 0
    drills: tuple[DrillTimesDiff, ...] = ()
    commits: tuple[Commit, ...] = ()
    # Why the commits between the two reports could not be found.
    commits_unknown: Message | None = None


class Report(FrozenStruct, kw_only=True, rename={"unselected_items": "left_out"}):
    """The result of a run as one document."""

    version: Literal["prodgate.report/1"] = REPORT_VERSION
    gate: str
    service: str
    environment: str
    language: str = "en"
    started: AwareDatetime
    finished: AwareDatetime
    ended: Literal["complete", "deadline", "cancelled", "broken"] = "complete"
    source: Provenance = Provenance()
    files: tuple[str, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    targets: tuple[TargetResult, ...] = ()
    sections: tuple[SectionResult, ...] = ()
    unselected_items: tuple[str, ...] = ()
    # Sections without a selected item.
    sections_left_out: tuple[str, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    # Information that has no influence on the verdict.
    notes: tuple[Message, ...] = ()
    verdict: Verdict
    changes: ReportDiff | None = None

    @property
    def items(self) -> tuple[ItemResult, ...]:
        """Return the items of all sections."""
        return tuple(item for section in self.sections for item in section.items)

    @property
    def counts(self) -> Counts:
        """Return the number of items by status."""
        return count_statuses(self.items)
