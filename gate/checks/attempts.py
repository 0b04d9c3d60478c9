"""Run one check of a checklist: retries, timeouts, cancellation and evidence.

A check observes and judges once. Everything that repeats or bounds that lives here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from msgspec import structs

from gate.checks.base import Check, CheckResult, ObservationError, TargetDownError, errored, failed
from gate.core.messages import msg
from gate.decode.quantities import format_duration
from gate.model import Artifact, Evidence, Outcome, Status
from gate.redaction.secrets import redacted_head, redacted_tail
from gate.runtime import memory_budget
from gate.runtime.evidence import as_bytes
from gate.runtime.threads import Attempt

if TYPE_CHECKING:
    from gate.checks.context import CheckContext
    from gate.checks.entry import CheckEntry

# Characters of a response that the report keeps.
RESPONSE_LIMIT = 8 * 1024
# Cause of every outcome that the end of the run cut off.
CAUSE_RUN_ENDED = "ended"
_NO_SLOT: AbstractContextManager[Any] = nullcontext()
_RETRY_INTERVAL = 0.25
# Seconds past its deadline for which an attempt is still awaited: its own timeout has the better message.
_GRACE = 2.0
# An attempt that ends so close to its deadline (in seconds) has used up its time.
_DEADLINE_MARGIN = 0.02
_MAX_POLL_INTERVAL, _MIN_POLL_INTERVAL = 0.2, 0.01


def run_check(entry: CheckEntry, context: CheckContext, worker_slot: AbstractContextManager[Any] = _NO_SLOT) -> Outcome:
    """Run a check until it passes or `within` is over, and return the last outcome with its evidence.

    Holds `worker_slot` only while the check is running; evidence is written after releasing it so the next item can
    start. Never raises: a check that crashes yields an ERROR outcome.
    """
    with worker_slot:
        start, started = time.monotonic(), datetime.now(UTC)
        result, attempts = _run_attempts(entry, context, start)
        duration = time.monotonic() - start
    if result.status is Status.FAIL and context.cancelled.is_set() and duration < (entry.within or 0.0):
        # it might have passed in the time that was left: a FAIL would claim more than was observed
        result = errored(msg("The run ended before this check finished"), response=result.response)
    if result.status is Status.ERROR and context.cancelled.is_set() and result.cause is None:
        result = structs.replace(result, cause=CAUSE_RUN_ENDED)
    return _outcome(entry, context, result, attempts, started, duration)


def _run_attempts(entry: CheckEntry, context: CheckContext, start: float) -> tuple[CheckResult, int]:
    """Return the most informative result, and the number of attempts."""
    result = errored(msg("Not run: the deadline had already passed"))
    attempts = 0
    for deadline, has_full_timeout in _attempt_deadlines(entry, context, start):
        is_first = attempts == 0
        attempts += 1
        attempt_context = structs.replace(
            context.with_deadline(deadline), fresh_after=context.fresh_after if is_first else time.monotonic()
        )
        latest = _run_attempt(entry.check, attempt_context)
        # An attempt that the end of `within` cut short reports a timeout, which says less than the result before it.
        was_cut_short = not has_full_timeout and time.monotonic() >= deadline - _DEADLINE_MARGIN
        if is_first or latest.status is Status.PASS or not was_cut_short:
            result = latest
        if latest.status is Status.PASS or latest.final or context.cancelled.is_set():
            break
    return result, attempts


def _attempt_deadlines(entry: CheckEntry, context: CheckContext, start: float) -> Iterator[tuple[float, bool]]:
    """Yield the deadline of each attempt, and whether the attempt has its full timeout until then.

    Yields at least one deadline, unless the run itself is over.
    """
    end = min(context.deadline, start + entry.total_timeout)
    if time.monotonic() >= context.deadline or context.cancelled.is_set():
        return
    while True:
        attempt_end = time.monotonic() + entry.attempt_timeout
        yield min(end, attempt_end), attempt_end <= end
        no_time_left = entry.within is None or time.monotonic() + _RETRY_INTERVAL >= end
        if no_time_left or context.cancelled.wait(_RETRY_INTERVAL):
            return


def _run_attempt(check: Check[Any], context: CheckContext) -> CheckResult:
    """Run a check once, in a thread, so that a check that hangs costs its timeout and no more."""
    lease = memory_budget.Lease()
    try:
        attempt = Attempt(lambda: _observe_and_judge(check, context, lease))
        results = attempt.wait(_poll_interval(context))
        while not results and not _is_abandoned(check, context, lease):
            results = attempt.wait(_poll_interval(context))
    except BaseException as error:  # noqa: BLE001 - whatever a thread raises, or none to be had, is an ERROR of this item
        return errored(msg("Internal error in the check: {error}", error=f"{type(error).__name__}: {error}"))
    finally:
        lease.close()
    if results:
        return results[0]
    if context.cancelled.is_set():
        return errored(msg("The run ended before this check finished"))
    return errored(msg("The check did not finish within its timeout"))


def _poll_interval(context: CheckContext) -> float:
    """Return the seconds to wait before checking again whether an attempt is abandoned."""
    return min(_MAX_POLL_INTERVAL, max(_MIN_POLL_INTERVAL, context.deadline + _GRACE - time.monotonic()))


def _is_abandoned(check: Check[Any], context: CheckContext, lease: memory_budget.Lease) -> bool:
    """Return whether an unfinished attempt is no longer awaited."""
    if check.needs_cleanup:
        return False
    return context.cancelled.is_set() or time.monotonic() >= context.deadline + lease.waited + _GRACE


def _observe_and_judge(check: Check[Any], context: CheckContext, lease: memory_budget.Lease) -> CheckResult:
    try:
        # a drill runs for long: each of its criteria returns its share of the memory budget after every request
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
        return errored(msg("No response within the timeout"))
    except MemoryError:
        return errored(msg("The response did not fit into memory"))


def _outcome(
    entry: CheckEntry, context: CheckContext, result: CheckResult, attempts: int, started: datetime, duration: float
) -> Outcome:
    message = result.message
    is_within_over = entry.within is not None and duration + _RETRY_INTERVAL >= entry.within
    if is_within_over and attempts > 1 and result.status is not Status.PASS:
        message = msg(
            "{message} (still so after {within})", message=message, within=format_duration(entry.within or 0.0)
        )
    request, command = describe_safely(entry.check, context)
    evidence = Evidence(
        request=request,
        response=truncate_middle(result.response),
        reproduce_command=command,
        started=started,
        duration=round(duration, 4),
        attempts=attempts,
        locations=result.locations,
        artifacts=_save_artifacts(context, request, command, result) if attempts else (),
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


def _save_artifacts(context: CheckContext, request: str, command: str, result: CheckResult) -> tuple[Artifact, ...]:
    """Save the request, the response and the check's attachments as files."""
    if context.evidence is None:
        return ()
    attachments = {attachment.name: attachment.content for attachment in result.attachments}
    defaults = {"request.txt": as_bytes(f"{request}\n\n$ {command}\n"), "answer.txt": as_bytes(result.response)}
    return context.evidence.save_all({**defaults, **attachments})


def describe_safely(check: Check[Any], context: CheckContext) -> tuple[str, str]:
    """Return what a check requests and the command that reproduces it. Never raises."""
    return _call_safely(check.describe, context), _call_safely(check.reproduce_command, context)


def _call_safely(method: Callable[[CheckContext], str], context: CheckContext) -> str:
    try:
        return str(method(context))
    except Exception as error:  # noqa: BLE001 - a description must not change the outcome of its check
        return f"({type(error).__name__}: {error})"


def truncate_middle(text: str, limit: int = RESPONSE_LIMIT) -> str:
    """Return a text of more than `limit` characters as its two ends with a note between them."""
    if len(text) <= limit:
        return text
    half = limit // 2
    gap = f"\n[... {len(text) - 2 * half} characters cut ...]\n"
    return redacted_head(text, half) + gap + redacted_tail(text, half)
