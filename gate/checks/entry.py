"""One check as a checklist writes it, `{within: 10s, http: {...}}`, and how it is asked: tries, limits, evidence."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from msgspec import structs

from gate.checks import CHECKS
from gate.checks.base import Check, CheckResult, ObservationError, TargetDownError, errored, failed
from gate.core.messages import msg
from gate.decode.quantities import PositiveDurationSeconds, format_duration
from gate.decode.structs import (
    KeyPath,
    ValidationErrors,
    ValidationIssue,
    convert,
    decode_all_errors,
    fields_by_key,
    quote_choices,
    struct_issues,
)
from gate.model import Artifact, Evidence, FrozenStruct, Outcome, Status
from gate.redaction.secrets import redacted_head, redacted_tail
from gate.runtime import memory_budget
from gate.runtime.evidence import as_bytes
from gate.runtime.threads import Attempt

if TYPE_CHECKING:
    from gate.checks.context import CheckContext

ANSWER_LIMIT = 8 * 1024
"""Characters of an answer that the evidence keeps."""
CAUSE_RUN_ENDED = "ended"
"""The cause of whatever the end of the run has cut off."""
SCHEMA_CHECK_PLACEHOLDER = "x-check"
"""Stands in a JSON Schema where that of a check belongs, until `gate.checklist.schema` puts them all together."""
DRILL_KIND = "drill"
"""The check that is asked once: tried again until it passes, it would break staging again and again."""
_PAUSE = 0.25
_NO_SLOT: AbstractContextManager[Any] = nullcontext()
_GRACE = 2.0
_CLOSE = 0.02
"""Seconds before its deadline at which an attempt has used up its time."""


class CheckEntry(FrozenStruct):
    """What an item and a criterion of a drill share: exactly one check, and how long to try.

    `within`: try again until it passes, for so long. `timeout`: how long one try may take. Both in seconds.
    """

    within: PositiveDurationSeconds | None = None
    timeout: PositiveDurationSeconds | None = None
    check: Any = None

    @classmethod
    def decode(cls, value: Any) -> Self:
        """From a mapping in which the check stands under its own name."""
        kinds = _kinds(value)
        if len(kinds) != 1 or "check" in value or _against(kinds[0], value):
            raise ValueError("expected exactly one check")
        rest = {key: entry for key, entry in value.items() if key != kinds[0]}
        made: Self = convert({**rest, "check": _check(kinds[0], value[kinds[0]])}, cls)
        return made

    @classmethod
    def iter_issues(cls, value: Any, path: KeyPath = ()) -> Iterator[ValidationIssue]:
        kinds = _kinds(value)
        rest = {key: entry for key, entry in value.items() if key not in kinds} if isinstance(value, dict) else value
        own = {key: field for key, field in fields_by_key(cls).items() if key != "check"}
        found = list(struct_issues(rest, own, path, also=CHECKS.kinds(), elsewhere=_keys_of_checks(kinds)))
        unknown = any(each.scope == "key" and len(each.path) == len(path) + 1 for each in found)
        if len(kinds) > 1:
            text = f"expected exactly one check, got {' and '.join(kinds)}"
            found.append(ValidationIssue((*path, kinds[1]), text, value[kinds[1]], "key"))
        elif isinstance(value, dict) and not kinds and not unknown:  # which is the check, misspelt
            text = f"no check stands here, expected exactly one of {quote_choices(CHECKS.kinds())}"
            found.append(ValidationIssue(path, text, value, "whole"))
        for kind in kinds:
            found += _of_check(kind, value[kind], (*path, kind)) or _against(kind, value, path)
        yield from found

    @property
    def kind(self) -> str:
        """The name of the check."""
        return str(self.check.kind)

    @property
    def total_timeout(self) -> float:
        """Seconds that asking takes at most, all tries together."""
        return self.within if self.within is not None else self.attempt_timeout

    @property
    def attempt_timeout(self) -> float:
        """Seconds that one try may take."""
        return self.timeout or self.check.time_limit or float("inf")


def _kinds(value: Any) -> list[str]:
    """The checks that stand in a mapping."""
    return [key for key in value if key in CHECKS.kinds()] if isinstance(value, dict) else []


def _keys_of_checks(kinds: list[str]) -> dict[str, str]:
    """The keys that are written inside these checks, with the place that is meant by one beside them."""
    return {key: f"'{key}' under '{kind}'" for kind in kinds for key in fields_by_key(CHECKS.get_class(kind))}


def _check(kind: str, value: Any) -> Check[Any]:
    """The check of what stands under its name. Raises ValueError or msgspec.ValidationError."""
    check: Check[Any] = CHECKS.get_class(kind).decode(value)
    if why := check.missing_expectation():
        raise ValueError(why)
    return check


def _of_check(kind: str, value: Any, path: KeyPath) -> list[ValidationIssue]:
    """What is wrong with what stands under the name of a check."""
    try:
        why = decode_all_errors(value, CHECKS.get_class(kind)).missing_expectation()
    except ValidationErrors as error:
        return [structs.replace(each, path=(*path, *each.path)) for each in error.issues]
    return [ValidationIssue(path, why, value, "whole")] if why else []


def _against(kind: str, value: dict[str, Any], path: KeyPath = ()) -> list[ValidationIssue]:
    """What stands beside a check and must not."""
    if kind != DRILL_KIND or "within" not in value:
        return []
    text = "expected no 'within' beside a drill: it is done once, and its criteria have their own"
    return [ValidationIssue((*path, "within"), text, value["within"])]


def run_check(asked: CheckEntry, context: CheckContext, turn: AbstractContextManager[Any] = _NO_SLOT) -> Outcome:
    """Asks until it passes or `within` is over, and returns the last outcome with its evidence.

    Holds `turn` only while the check is running; evidence is written after releasing it, so the next item can start.
    Never raises for anything a check does: a check that crashes is an ERROR of its own.
    """
    with turn:
        began, started = time.monotonic(), datetime.now(UTC)
        result, attempts = _judged(asked, context, began)
        duration = time.monotonic() - began
    if result.status is Status.FAIL and context.cancelled.is_set() and duration < (asked.within or 0.0):
        result = errored(msg("The run ended before this check did"), response=result.response)
    if result.status is Status.ERROR and context.cancelled.is_set() and result.cause is None:
        result = structs.replace(result, cause=CAUSE_RUN_ENDED)
    return _outcome(asked, context, result, attempts, started, duration)


def _judged(asked: CheckEntry, context: CheckContext, began: float) -> tuple[CheckResult, int]:
    """Return the judgement that tells most, and how many attempts were made."""
    result = errored(msg("There was no time left to ask"))
    attempts = 0
    for deadline, whole in _deadlines(asked, context, began):
        first = attempts == 0
        attempts += 1
        current = structs.replace(
            context.with_deadline(deadline), fresh_after=context.fresh_after if first else time.monotonic()
        )
        found = _try(asked.check, current)
        # The end of `within` cut the attempt short: that it timed out says less than what came back before.
        if first or whole or found.status is Status.PASS or time.monotonic() < deadline - _CLOSE:
            result = found
        if found.status is Status.PASS or found.final or context.cancelled.is_set():
            break
    return result, attempts


def _deadlines(asked: CheckEntry, context: CheckContext, began: float) -> Iterator[tuple[float, bool]]:
    """Yield the deadline of each attempt, and whether it has its whole time limit until then.

    There is always a first one, unless the run itself is over.
    """
    end = min(context.deadline, began + asked.total_timeout)
    if time.monotonic() >= context.deadline or context.cancelled.is_set():
        return
    while True:
        limit = time.monotonic() + asked.attempt_timeout
        yield min(end, limit), limit <= end
        if asked.within is None or time.monotonic() + _PAUSE >= end or context.cancelled.wait(_PAUSE):
            return


def _try(check: Check[Any], context: CheckContext) -> CheckResult:
    """One try, in a thread of its own, so that a check that hangs costs its time limit and no more."""
    lease = memory_budget.Lease()
    try:
        attempt = Attempt(lambda: _judge(check, context, lease))
        found = attempt.wait(_look_again(context))
        while not found and not _given_up(check, context, lease):
            found = attempt.wait(_look_again(context))
    except BaseException as error:  # noqa: BLE001 - whatever a thread raises, or none to be had, is an ERROR of this item
        return _broke(error)
    finally:
        lease.close()
    if found:
        return found[0]
    if context.cancelled.is_set():
        return errored(msg("The run ended before this check did"))
    return errored(msg("The check did not end within its time limit"))


def _look_again(context: CheckContext) -> float:
    """Seconds until it is time to see whether a try is still to be waited for."""
    return min(0.2, max(0.01, context.deadline + _GRACE - time.monotonic()))


def _given_up(check: Check[Any], context: CheckContext, lease: memory_budget.Lease) -> bool:
    """Whether a try that has not ended is no longer waited for. One that puts something back always is."""
    if check.needs_cleanup:
        return False
    return context.cancelled.is_set() or time.monotonic() >= context.deadline + lease.waited + _GRACE


def _judge(check: Check[Any], context: CheckContext, lease: memory_budget.Lease) -> CheckResult:
    try:
        # a drill goes on for long: what it asks gives its room back after each question
        with nullcontext() if check.needs_cleanup else memory_budget.using(lease):
            return check.judge(check.observe(context))
    except ObservationError as error:
        return errored(
            error.message,
            response=error.response,
            advice=error.advice,
            attachments=error.attachments,
            final=error.final,
        )
    except TargetDownError as error:
        return failed(error.message, final=True)
    except TimeoutError:
        return errored(msg("There was no answer within the time limit"))
    except MemoryError:
        return errored(msg("The answer did not fit into memory"))


def _broke(error: BaseException) -> CheckResult:
    return errored(msg("The check itself broke: {error}", error=f"{type(error).__name__}: {error}"))


def _outcome(
    asked: CheckEntry, context: CheckContext, result: CheckResult, attempts: int, started: datetime, duration: float
) -> Outcome:
    message = result.message
    over = asked.within is not None and duration + _PAUSE >= asked.within
    if over and attempts > 1 and result.status is not Status.PASS:
        message = msg(
            "{message} (still so after {within})", message=message, within=format_duration(asked.within or 0.0)
        )
    question, command = describe_safely(asked.check, context)
    evidence = Evidence(
        request=question,
        response=truncate_middle(result.response),
        reproduce_command=command,
        started=started,
        duration=round(duration, 4),
        attempts=attempts,
        locations=result.locations,
        artifacts=_kept(context, question, command, result) if attempts else (),
    )
    return Outcome(
        status=result.status,
        message=message,
        advice=result.advice,
        cause=result.cause,
        rows=result.rows,
        timeline=result.timeline,
        evidence=evidence,
    )


def _kept(context: CheckContext, question: str, command: str, result: CheckResult) -> tuple[Artifact, ...]:
    """The raw evidence as files: what was asked, what came back, and what else the check has kept."""
    if context.evidence is None:
        return ()
    attached = {attachment.name: attachment.content for attachment in result.attachments}
    request = {} if "request.txt" in attached else {"request.txt": as_bytes(f"{question}\n\n$ {command}\n")}
    response = {} if "answer.txt" in attached else {"answer.txt": as_bytes(result.response)}
    return context.evidence.save_all({**request, **response, **attached})


def describe_safely(check: Check[Any], context: CheckContext) -> tuple[str, str]:
    """What a check asks, and the command that asks it by hand."""
    return _described(check.describe, context), _described(check.reproduce_command, context)


def _described(method: Any, context: CheckContext) -> str:
    try:
        return str(method(context))
    except Exception as error:  # noqa: BLE001 - what is said about a check must not change its outcome
        return f"({type(error).__name__}: {error})"


def truncate_middle(text: str, limit: int = ANSWER_LIMIT) -> str:
    """The text's two ends, when it is longer than `limit` characters, with a line between them that says so."""
    if len(text) <= limit:
        return text
    half = limit // 2
    gap = f"\n[... {len(text) - 2 * half} characters cut ...]\n"
    return redacted_head(text, half) + gap + redacted_tail(text, half)
