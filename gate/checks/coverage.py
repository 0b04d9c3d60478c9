"""Check that the drills of the checklist break every dependency."""

from __future__ import annotations

import shlex
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

from gate.checks.base import Check, CheckResult, TargetName, failed, passed
from gate.checks.context import CheckContext, DrilledFault
from gate.core.messages import Message, join_messages, msg
from gate.core.override import override
from gate.core.strictness import stricter
from gate.decode.quantities import ROUNDING, PositiveShare
from gate.model import CriterionResult, Status

# The faults that are done to a target; a test compares them with the modules.
FaultName = Literal["deploy", "disconnect", "impersonate", "kill", "pause", "restart", "slow", "starve", "stop"]


class Observation(Struct, frozen=True):
    """The dependencies, and what each drill breaks with the drill's status; None if it was not run."""

    targets: tuple[str, ...]
    drills: tuple[tuple[DrilledFault, Status | None], ...]


class Coverage(Check[Observation]):
    """Every dependency has a drill."""

    kind: ClassVar[str] = "coverage"
    summary: ClassVar[str] = "every dependency has a drill that passed, with each of some faults"
    phase: ClassVar[Literal["main", "drill", "after"]] = "after"

    dependencies: Annotated[
        PositiveShare,
        Meta(
            description="How many of the dependencies must have their drills, as a share of them.",
            examples=["100%"],
            extra=stricter("higher"),
        ),
    ]
    faults: Annotated[
        list[FaultName],
        Meta(
            min_length=1,
            description="The faults, with each of which a dependency must have a drill; by default, any drill will do.",
            examples=[["stop", "slow"]],
            extra=stricter("more"),
        ),
    ] = []
    targets: Annotated[
        list[TargetName],
        Meta(
            min_length=1,
            description="The dependencies; by default, they are derived from the targets and the drills.",
            extra=stricter("never"),
        ),
    ] = []

    @override
    def describe(self, context: CheckContext) -> str:
        return ", ".join(self._targets(context.dependencies)) or "-"

    @override
    def reproduce_command(self, context: CheckContext) -> str:
        # Alone, the item would have no drill that passed.
        targets = self._targets(context.dependencies)
        drills = dict.fromkeys(fault.item for fault in context.drilled_faults if fault.target in targets)
        return " ".join([context.rerun_command, *(f"--only {shlex.quote(item)}" for item in drills)])

    @property
    def _demanded(self) -> list[FaultName | None]:
        """Return the faults that each dependency must have a drill with; None stands for any."""
        return [*self.faults] or [None]

    def _targets(self, derived: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.targets)) or derived

    @override
    def observe(self, context: CheckContext) -> Observation:
        results = {name: result.status for name, result in context.results.items()}
        drills = tuple((fault, results.get(fault.item)) for fault in context.drilled_faults)
        return Observation(self._targets(context.dependencies), drills)

    def expected_observation(self, dependencies: tuple[str, ...], drilled: tuple[DrilledFault, ...]) -> Observation:
        """Return what is observed if all drills pass, for `prodgate plan`."""
        return Observation(self._targets(dependencies), tuple((fault, Status.PASS) for fault in drilled))

    @override
    def judge(self, observation: Observation) -> CheckResult:
        if not observation.targets:
            nothing = msg("No target is a dependency: there is nothing to cover")
            advice = msg("Name the dependencies under `targets`, or let the targets that use them come `after` them")
            return failed(nothing, advice=advice, final=True)
        gaps = {target: self._gaps(target, observation) for target in observation.targets}
        missing = {target: join_messages(reasons) for target, reasons in gaps.items() if reasons}
        covered, count = len(gaps) - len(missing), len(gaps)
        enough = covered >= self.dependencies * count - ROUNDING
        rows = tuple(self._row(target, missing.get(target), observation, enough) for target in gaps)
        by = ", ".join(self.faults)
        share = (
            msg("{covered} of {count} dependency is covered by drills with {faults}",
                "{covered} of {count} dependencies are covered by drills with {faults}",
                covered=covered, count=count, faults=by)
            if by
            else msg("{covered} of {count} dependency is covered by a drill",
                     "{covered} of {count} dependencies are covered by a drill", covered=covered, count=count)
        )  # fmt: skip
        if enough:
            return passed(share, rows=rows)
        least = msg("{share}, expected {least} %", share=share, least=f"{100 * self.dependencies:g}")
        reasons = [msg("{target}: {why}", target=target, why=why) for target, why in missing.items()]
        return failed(join_messages([*reasons, least]), rows=rows, final=True)

    def _gaps(self, target: str, observation: Observation) -> list[Message]:
        """Return why a target is not covered: a reason for each fault that is missing."""
        reasons = []
        for fault in self._demanded:
            drills = _drills_of(target, fault, observation)
            if any(status is Status.PASS for _, status in drills):
                continue
            absent = msg("no drill with {fault}", fault=fault) if fault else msg("no drill")
            tried = [_not_in_force(item, status) for item, status in drills]
            reasons.append(msg("{gap} passed: {why}", gap=absent, why=join_messages(tried)) if tried else absent)
        return reasons

    def _row(self, target: str, missing: Message | None, observation: Observation, enough: bool) -> CriterionResult:
        """Return the row of a dependency. One that the demanded share allows to be without drills was not drilled."""
        names = [
            item
            for fault in self._demanded
            for item, status in _drills_of(target, fault, observation)
            if status is Status.PASS
        ]
        covered = msg("covered by {drills}", drills=", ".join(dict.fromkeys(names)))
        allowed = msg("{why} (the demanded share allows it)", why=missing) if missing and enough else missing
        status = Status.PASS if missing is None else Status.SKIP if enough else Status.FAIL
        return CriterionResult(title=msg("{target}", target=target), status=status, message=allowed or covered)


def _drills_of(target: str, fault: str | None, observation: Observation) -> list[tuple[str, Status | None]]:
    """Return the drills that break a target with a fault, or with any, and their status."""
    return [
        (drilled.item, status)
        for drilled, status in observation.drills
        if drilled.target == target and fault in (None, drilled.fault)
    ]


def _not_in_force(item: str, status: Status | None) -> Message:
    """Return why a drill that did not pass has shown nothing."""
    if status is None:
        return msg("{item} was not run", item=item)
    if status is Status.SKIP:
        return msg("{item} was skipped", item=item)
    if status is Status.WAIVED:
        return msg("{item} did not pass, and is waived", item=item)
    return msg("{item} did not pass", item=item)
