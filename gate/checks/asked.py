"""One check as a checklist writes it, `{within: 10s, http: {...}}`, and how it is asked: tries, limits, evidence."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from msgspec import structs

from gate import memory_budget
from gate.checks import CHECKS
from gate.checks._tries import Try
from gate.checks.base import CannotObserve, Check, Judgement, TargetDownError, failed, unobserved
from gate.evidence import as_bytes
from gate.messages import say
from gate.model import Artifact, Evidence, Model, Outcome, Status
from gate.quantities import PositiveDuration, duration
from gate.secrets import beginning_of, end_of
from gate.written import Mistake, Mistaken, Path_, convert, fields, of_model, one_of, read

if TYPE_CHECKING:
    from gate.checks.world import World

ANSWER_LIMIT = 8 * 1024
"""Characters of an answer that the evidence keeps."""
CUT_OFF = "ended"
"""The cause of whatever the end of the run has cut off."""
CHECK_REF = "x-check"
"""Stands in a JSON Schema where that of a check belongs, until `gate.checklist.schema` puts them all together."""
ONCE = "drill"
"""The check that is asked once: tried again until it passes, it would break staging again and again."""
_PAUSE = 0.25
_NO_TURN: AbstractContextManager[Any] = nullcontext()
_GRACE = 2.0
_CLOSE = 0.02
"""Seconds before its deadline at which an attempt has used up its time."""


class Asked(Model):
    """What an item and a criterion of a drill share: exactly one check, and how long to try.

    `within`: try again until it passes, for so long. `timeout`: how long one try may take. Both in seconds.
    """

    within: PositiveDuration | None = None
    timeout: PositiveDuration | None = None
    check: Any = None

    @classmethod
    def made_of(cls, value: Any) -> Self:
        """From a mapping in which the check stands under its own name."""
        kinds = _kinds(value)
        if len(kinds) != 1 or "check" in value or _against(kinds[0], value):
            raise ValueError("expected exactly one check")
        rest = {key: entry for key, entry in value.items() if key != kinds[0]}
        made: Self = convert({**rest, "check": _check(kinds[0], value[kinds[0]])}, cls)
        return made

    @classmethod
    def mistakes(cls, value: Any, path: Path_ = ()) -> Iterator[Mistake]:
        kinds = _kinds(value)
        rest = {key: entry for key, entry in value.items() if key not in kinds} if isinstance(value, dict) else value
        own = {key: field for key, field in fields(cls).items() if key != "check"}
        found = list(of_model(rest, own, path, also=CHECKS.names(), elsewhere=_keys_of_checks(kinds)))
        unknown = any(each.about == "key" and len(each.path) == len(path) + 1 for each in found)
        if len(kinds) > 1:
            text = f"expected exactly one check, got {' and '.join(kinds)}"
            found.append(Mistake((*path, kinds[1]), text, value[kinds[1]], "key"))
        elif isinstance(value, dict) and not kinds and not unknown:  # which is the check, misspelt
            text = f"no check stands here, expected exactly one of {one_of(CHECKS.names())}"
            found.append(Mistake(path, text, value, "whole"))
        for kind in kinds:
            found += _of_check(kind, value[kind], (*path, kind)) or _against(kind, value, path)
        yield from found

    @property
    def kind(self) -> str:
        """The name of the check."""
        return str(self.check.kind)

    @property
    def patience(self) -> float:
        """Seconds that asking takes at most, all tries together."""
        return self.within if self.within is not None else self.try_limit

    @property
    def try_limit(self) -> float:
        """Seconds that one try may take."""
        return self.timeout or self.check.time_limit or float("inf")


def _kinds(value: Any) -> list[str]:
    """The checks that stand in a mapping."""
    return [key for key in value if key in CHECKS.names()] if isinstance(value, dict) else []


def _keys_of_checks(kinds: list[str]) -> dict[str, str]:
    """The keys that are written inside these checks, with the place that is meant by one beside them."""
    return {key: f"'{key}' under '{kind}'" for kind in kinds for key in fields(CHECKS.load(kind))}


def _check(kind: str, value: Any) -> Check[Any]:
    """The check of what stands under its name. Raises ValueError or msgspec.ValidationError."""
    check: Check[Any] = CHECKS.load(kind).made_of(value)
    if why := check.simplest():
        raise ValueError(why)
    return check


def _of_check(kind: str, value: Any, path: Path_) -> list[Mistake]:
    """What is wrong with what stands under the name of a check."""
    try:
        why = read(value, CHECKS.load(kind)).simplest()
    except Mistaken as error:
        return [structs.replace(each, path=(*path, *each.path)) for each in error.mistakes]
    return [Mistake(path, why, value, "whole")] if why else []


def _against(kind: str, value: dict[str, Any], path: Path_ = ()) -> list[Mistake]:
    """What stands beside a check and must not."""
    if kind != ONCE or "within" not in value:
        return []
    text = "expected no 'within' beside a drill: it is done once, and its criteria have their own"
    return [Mistake((*path, "within"), text, value["within"])]


def ask(asked: Asked, world: World, turn: AbstractContextManager[Any] = _NO_TURN) -> Outcome:
    """Asks until it passes or `within` is over, and returns the last outcome with its evidence.

    Holds `turn` only while the check is running; evidence is written after releasing it, so the next item can start.
    Never raises for anything a check does: a check that crashes is an ERROR of its own.
    """
    with turn:
        began, started = time.monotonic(), datetime.now(UTC)
        judgement, tries = _judged(asked, world, began)
        took = time.monotonic() - began
    if judgement.status is Status.FAIL and world.cancelled.is_set() and took < (asked.within or 0.0):
        judgement = unobserved(say("The run ended before this check did"), answer=judgement.answer)
    if judgement.status is Status.ERROR and world.cancelled.is_set() and judgement.cause is None:
        judgement = structs.replace(judgement, cause=CUT_OFF)
    return _outcome(asked, world, judgement, tries, started, took)


def _judged(asked: Asked, world: World, began: float) -> tuple[Judgement, int]:
    """Return the judgement that tells most, and how many attempts were made."""
    judgement = unobserved(say("There was no time left to ask"))
    tries = 0
    for deadline, whole in _deadlines(asked, world, began):
        first = tries == 0
        tries += 1
        current = structs.replace(world.until(deadline), fresh=world.fresh if first else time.monotonic())
        found = _try(asked.check, current)
        # The end of `within` cut the attempt short: that it timed out says less than what came back before.
        if first or whole or found.status is Status.PASS or time.monotonic() < deadline - _CLOSE:
            judgement = found
        if found.status is Status.PASS or found.final or world.cancelled.is_set():
            break
    return judgement, tries


def _deadlines(asked: Asked, world: World, began: float) -> Iterator[tuple[float, bool]]:
    """Yield the deadline of each attempt, and whether it has its whole time limit until then.

    There is always a first one, unless the run itself is over.
    """
    end = min(world.deadline, began + asked.patience)
    if time.monotonic() >= world.deadline or world.cancelled.is_set():
        return
    while True:
        limit = time.monotonic() + asked.try_limit
        yield min(end, limit), limit <= end
        if asked.within is None or time.monotonic() + _PAUSE >= end or world.cancelled.wait(_PAUSE):
            return


def _try(check: Check[Any], world: World) -> Judgement:
    """One try, in a thread of its own, so that a check that hangs costs its time limit and no more."""
    lease = memory_budget.Lease()
    try:
        attempt = Try(lambda: _judge(check, world, lease))
        found = attempt.wait(_look_again(world))
        while not found and not _given_up(check, world, lease):
            found = attempt.wait(_look_again(world))
    except BaseException as error:  # noqa: BLE001 - whatever a thread raises, or none to be had, is an ERROR of this item
        return _broke(error)
    finally:
        lease.close()
    if found:
        return found[0]
    if world.cancelled.is_set():
        return unobserved(say("The run ended before this check did"))
    return unobserved(say("The check did not end within its time limit"))


def _look_again(world: World) -> float:
    """Seconds until it is time to see whether a try is still to be waited for."""
    return min(0.2, max(0.01, world.deadline + _GRACE - time.monotonic()))


def _given_up(check: Check[Any], world: World, lease: memory_budget.Lease) -> bool:
    """Whether a try that has not ended is no longer waited for. One that puts something back always is."""
    if check.ends_itself:
        return False
    return world.cancelled.is_set() or time.monotonic() >= world.deadline + lease.waited + _GRACE


def _judge(check: Check[Any], world: World, lease: memory_budget.Lease) -> Judgement:
    try:
        # a drill goes on for long: what it asks gives its room back after each question
        with nullcontext() if check.ends_itself else memory_budget.using(lease):
            return check.judge(check.observe(world))
    except CannotObserve as error:
        return unobserved(
            error.message, answer=error.answer, advice=error.advice, attachments=error.attachments, final=error.final
        )
    except TargetDownError as error:
        return failed(error.message, final=True)
    except TimeoutError:
        return unobserved(say("There was no answer within the time limit"))
    except MemoryError:
        return unobserved(say("The answer did not fit into memory"))


def _broke(error: BaseException) -> Judgement:
    return unobserved(say("The check itself broke: {error}", error=f"{type(error).__name__}: {error}"))


def _outcome(asked: Asked, world: World, judgement: Judgement, tries: int, started: datetime, took: float) -> Outcome:
    message = judgement.message
    over = asked.within is not None and took + _PAUSE >= asked.within
    if over and tries > 1 and judgement.status is not Status.PASS:
        message = say("{message} (still so after {within})", message=message, within=duration(asked.within or 0.0))
    question, command = described(asked.check, world)
    evidence = Evidence(
        asked=question,
        answer=cut(judgement.answer),
        reproduce=command,
        started=started,
        duration=round(took, 4),
        tries=tries,
        locations=judgement.locations,
        artifacts=_kept(world, question, command, judgement) if tries else (),
    )
    return Outcome(
        status=judgement.status,
        message=message,
        advice=judgement.advice,
        cause=judgement.cause,
        rows=judgement.rows,
        timeline=judgement.timeline,
        evidence=evidence,
    )


def _kept(world: World, question: str, command: str, judgement: Judgement) -> tuple[Artifact, ...]:
    """The raw evidence as files: what was asked, what came back, and what else the check has kept."""
    if world.evidence is None:
        return ()
    attached = {attachment.name: attachment.content for attachment in judgement.attachments}
    request = {} if "request.txt" in attached else {"request.txt": as_bytes(f"{question}\n\n$ {command}\n")}
    answer = {} if "answer.txt" in attached else {"answer.txt": as_bytes(judgement.answer)}
    return world.evidence.keep_all({**request, **answer, **attached})


def described(check: Check[Any], world: World) -> tuple[str, str]:
    """What a check asks, and the command that asks it by hand."""
    return _described(check.asked, world), _described(check.reproduce, world)


def _described(method: Any, world: World) -> str:
    try:
        return str(method(world))
    except Exception as error:  # noqa: BLE001 - what is said about a check must not change its outcome
        return f"({type(error).__name__}: {error})"


def cut(text: str, limit: int = ANSWER_LIMIT) -> str:
    """The text's two ends, when it is longer than `limit` characters, with a line between them that says so."""
    if len(text) <= limit:
        return text
    half = limit // 2
    gap = f"\n[... {len(text) - 2 * half} characters cut ...]\n"
    return beginning_of(text, half) + gap + end_of(text, half)
