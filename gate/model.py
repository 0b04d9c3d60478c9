"""The gate's words as types: statuses, evidence, outcomes, the verdict and the report (DESIGN, sections 2, 4 and 7).

Everything here is frozen data. `Report` is the document that `report.json` holds and every format is rendered from;
its JSON Schema is generated from these definitions.
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
    """Makes every model frozen, strict about keys, and made by keywords: msgspec asks each class for it anew."""

    def __new__(mcls, name: str, bases: tuple[type, ...], inside: dict[str, Any], **options: Any) -> Any:
        options |= {"frozen": True, "kw_only": True, "forbid_unknown_fields": True}
        return super().__new__(mcls, name, bases, inside, **options)


class FrozenStruct(Struct, metaclass=_FrozenStructMeta):
    """Data that can't be changed."""

    elsewhere: ClassVar[Mapping[str, str]] = {}
    """Keys that are often written here and belong elsewhere, with the place that is meant, for errors."""

    def replace(self, **changes: Any) -> Self:
        """The same with some fields otherwise."""
        return structs.replace(self, **changes)

    @classmethod
    def decode(cls, value: Any) -> Self:
        """The model of what somebody wrote. Raises msgspec.ValidationError or ValueError: see `decode_all_errors`."""
        made: Self = convert(value, cls)
        return made

    @classmethod
    def iter_issues(cls, value: Any, path: KeyPath = ()) -> Iterator[ValidationIssue]:
        """Everything that is wrong with what somebody wrote."""
        found = list(struct_issues(value, fields_by_key(cls), path, elsewhere=cls.elsewhere))
        yield from found or post_init_issues(value, cls, path)


class TargetRef:
    """Marks a field that holds the name of a target, for the checklist to look up."""


AwareDatetime = Annotated[datetime, Meta(tz=True)]
"""A time with its zone."""
NonEmptyStr = Annotated[str, Meta(min_length=1)]
TargetName = Annotated[NonEmptyStr, TargetRef()]
"""The name of a target of the checklist. One that does not exist is an error of the checklist."""
SomeTexts = Annotated[list[NonEmptyStr], Meta(min_length=1)]
NonNegativeInt = Annotated[int, Meta(ge=0)]
"""A whole number from 0."""


def _inside(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError("expected a path inside the checkout, without '..'")
    if "\0" in value:
        raise ValueError("expected a path without NUL")
    return value


if TYPE_CHECKING:
    CheckoutPath = str
else:
    CheckoutPath = custom_type(_inside, {"type": "string", "minLength": 1}, raw_type=NonEmptyStr)
"""A path relative to the checkout. It may not lead out of it: neither absolute, nor by `..`, nor by a symbolic link."""


class Severity(StrEnum):
    """Whether an item that does not pass stops the commit."""

    BLOCKING = "blocking"
    ADVISORY = "advisory"


class Status(StrEnum):
    """What became of an item. A check says one of the first four; a waiver in force makes the last."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    ERROR = "error"
    SKIP = "skip"
    WAIVED = "waived"


class Decision(StrEnum):
    """The verdict in one word or three."""

    GO = "GO"
    GO_WITH_RESERVATIONS = "GO with reservations"
    NO_GO = "NO-GO"


class Location(FrozenStruct):
    """A place in a file of the repository under test, as annotations and editors want it. Lines and columns from 1."""

    file: str
    line: int | None = None
    column: int | None = None
    text: str = ""

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)


class Artifact(FrozenStruct):
    """A raw file of evidence beside the report: its path below the output folder, size in bytes, and SHA-256 in hex."""

    path: str
    size: int
    sha256: str


class Evidence(
    FrozenStruct,
    rename={"request": "asked", "response": "answer", "reproduce_command": "reproduce", "attempts": "tries"},
):
    """The proof of one outcome: what was asked, what came back, when, how long, and how to do it by hand."""

    request: str = ""
    response: str = ""
    reproduce_command: str = ""
    started: AwareDatetime | None = None
    duration: float = 0.0
    attempts: int = 0
    locations: tuple[Location, ...] = ()
    artifacts: tuple[Artifact, ...] = ()


ChainLinkName = Literal["loaded", "exposed", "fired", "annotation", "runbook", "sections"]
"""The links of the chain from an alert's rule to its runbook, in order."""


class ChainLink(FrozenStruct):
    """A link of an alert's chain, and whether it holds."""

    name: ChainLinkName
    holds: bool


class CriterionResult(FrozenStruct):
    """One criterion inside an outcome, such as an observation of a drill. `at`: seconds since the fault, when seen.

    A WAIVED row is a reservation of an item that passes; `expires` is the day from which it would not pass any more.
    Of an alert, `severity` is what its rule says, and `links` are those of its chain, in order.
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
    """Something that happened during a drill. `at`: seconds since the fault went in, negative before it."""

    at: float
    what: Message
    kind: str = ""


class MetricSeries(FrozenStruct):
    """A metric's own course during a drill, for the timeline. Points are (seconds since the fault, value)."""

    name: str
    points: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        """A gap of the curve is a gap: JSON has no NaN."""
        structs.force_setattr(self, "points", tuple(point for point in self.points if all(map(math.isfinite, point))))


class Timeline(FrozenStruct, rename={"events": "moments", "detected_after": "detect", "recovered_after": "recover"}):
    """A drill in time: `detect` and `recover` are seconds from the fault, and from its undoing."""

    events: tuple[TimelineEvent, ...] = ()
    curves: tuple[MetricSeries, ...] = ()
    detected_after: float | None = None
    recovered_after: float | None = None


class Outcome(FrozenStruct):
    """What became of one check, with its proof. `cause` is the same for all outcomes that have one root cause."""

    status: Status
    message: Message
    advice: Message | None = None
    cause: str | None = None
    cause_message: Message | None = None
    rows: tuple[CriterionResult, ...] = ()
    timeline: Timeline | None = None
    evidence: Evidence = Evidence()


class ExemptionFile(FrozenStruct):
    """A file that a checklist names and that says what may fail. It is a part of the checklist, as its items are."""

    file: Annotated[CheckoutPath, Meta(description="Its path in the checkout.")]

    def entries(self, text: str) -> list[Any]:
        """Return what the file says, as the checklist could have said it. Raise ValueError if it is something else."""
        raise NotImplementedError


class Waiver(FrozenStruct):
    """A named, dated permission for one item to fail. In force up to and including the day before `expires`."""

    item: str
    reason: str
    owner: str
    expires: date
    issue: str | None = None
    approved_by: str | None = None


class ItemResult(FrozenStruct):
    """An item of the checklist with what became of it. `location` is where it stands in the checklist."""

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
        """The outcome's status, or WAIVED where a waiver in force covers a fail or an error."""
        if self.waiver and self.outcome.status in (Status.FAIL, Status.ERROR):
            return Status.WAIVED
        return self.outcome.status


class SectionResult(FrozenStruct):
    """A section of the checklist with its items, in the checklist's order."""

    id: str
    title: str
    items: tuple[ItemResult, ...]


class TargetResult(FrozenStruct, kw_only=True):
    """What the gate talked to, whether it came up, and its own last words where it did not."""

    name: str
    address: str = ""
    kind: Literal["url", "container", "image", "build", "command"] = "url"
    ready: bool
    message: Message
    duration: float = 0.0
    log: str = ""
    artifacts: tuple[Artifact, ...] = ()


class VerdictReason(FrozenStruct):
    """Something that stands against a GO, or a reservation; with the items it speaks of, and what to do about it."""

    message: Message
    items: tuple[str, ...] = ()
    advice: Message | None = None


class Verdict(FrozenStruct):
    """The decision and what it rests on.

    `until`: the day on which a GO ends, because waivers of items do, or the quarantine of parts of them.
    """

    decision: Decision
    reasons: tuple[VerdictReason, ...] = ()
    reservations: tuple[VerdictReason, ...] = ()
    until: date | None = None
    until_waivers: tuple[str, ...] = ()
    until_quarantines: tuple[str, ...] = ()


class Counts(FrozenStruct):
    """How many items came out how. `rate` is passed / total, in whole percent, halves up; None of nothing is 0."""

    total: int = 0
    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0
    waived: int = 0

    @property
    def rate(self) -> int:
        return int(100 * self.passed / self.total + 0.5) if self.total else 0


def count_statuses(items: tuple[ItemResult, ...] | list[ItemResult]) -> Counts:
    """The counts of some items."""
    by = Counter(item.status for item in items)
    return Counts(
        total=len(items),
        passed=by[Status.PASS],
        failed=by[Status.FAIL],
        errors=by[Status.ERROR],
        skipped=by[Status.SKIP],
        waived=by[Status.WAIVED],
    )


class Provenance(FrozenStruct):
    """What was judged: the commit, images (`name@sha256:...`), and where it ran. `url` leads to the run.

    `context` is the name of the commit status, which tells the gates of one commit apart. `changed` are the files of
    the checkout that are not as the commit has them. All empty where it is not known.
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
    """A drill's times now and before, in seconds; None where it was not seen."""

    item: str
    detect: float | None = None
    detect_before: float | None = None
    recover: float | None = None
    recover_before: float | None = None


class Commit(FrozenStruct):
    """A commit between the baseline and this run."""

    id: str
    subject: str


class ReportDiff(FrozenStruct, kw_only=True):
    """What is different from an earlier report, the baseline: items by id, rates in percent, drill times, commits."""

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
    commits_unknown: Message | None = None
    """Why the commits between the two could not be found."""


class Report(FrozenStruct, kw_only=True, rename={"unselected_items": "left_out"}):
    """The whole result as one document."""

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
    """Items of the checklist that were not chosen to run."""
    sections_left_out: tuple[str, ...] = ()
    """Sections of which no item was chosen to run."""
    waivers: tuple[Waiver, ...] = ()
    notes: tuple[Message, ...] = ()
    """What people should know and the verdict does not rest on."""
    verdict: Verdict
    changes: ReportDiff | None = None

    @property
    def items(self) -> tuple[ItemResult, ...]:
        return tuple(item for section in self.sections for item in section.items)

    @property
    def counts(self) -> Counts:
        return count_statuses(self.items)
