"""One check as a checklist writes it, `{within: 10s, http: {...}}`, and how it is asked: tries, limits, evidence."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import Field, GetJsonSchemaHandler, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError

from gate.checks import CHECKS
from gate.checks._tries import Try
from gate.checks.base import CannotObserve, Check, Judgement, unobserved
from gate.evidence import as_bytes
from gate.messages import say
from gate.model import Artifact, Evidence, Model, Outcome, Status
from gate.quantities import Duration, duration
from gate.secrets import beginning_of, end_of

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
_GRACE = 2.0


class Asked(Model):
    """What an item and a criterion of a drill share: exactly one check, and how long to try.

    `within`: try again until it passes, for so long. `timeout`: how long one try may take. Both in seconds.
    """

    within: Duration | None = Field(None, gt=0)
    timeout: Duration | None = Field(None, gt=0)
    check: Any = None

    @model_validator(mode="wrap")
    @classmethod
    def _one_check(cls, value: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        if not isinstance(value, dict):
            return handler(value)
        kinds = [key for key in value if key in CHECKS.names()]
        rest = {key: entry for key, entry in value.items() if key not in kinds}
        made, errors = _made(lambda: handler(rest), ())
        if "check" in rest:
            errors.append(InitErrorDetails(type="extra_forbidden", loc=("check",), input=rest["check"]))
        if len(kinds) != 1:
            errors += [] if not kinds and _unknown(errors) else [_count_error(kinds)]
            errors += [error for kind in kinds for error in _load(kind, value[kind])[1]]
            raise ValidationError.from_exception_data(cls.__name__, errors)
        check, found = _load(kinds[0], value[kinds[0]])
        if kinds[0] == ONCE and "within" in rest:
            found.append(_repeated(rest["within"]))
        if errors or found:
            raise ValidationError.from_exception_data(cls.__name__, errors + found)
        return made.model_copy(update={"check": check})

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        made = handler(schema)
        resolved = handler.resolve_ref_schema(made)
        resolved["properties"].pop("check", None)
        for name in CHECKS.names():
            resolved["properties"][name] = {CHECK_REF: name}
        once = {"required": [ONCE], "properties": {"within": False}}
        resolved["oneOf"] = [once if name == ONCE else {"required": [name]} for name in CHECKS.names()]
        return made

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


def _made(make: Callable[[], Any], prefix: tuple[Any, ...]) -> tuple[Any, list[InitErrorDetails]]:
    """What is made; or nothing, and the errors, one level further in."""
    try:
        return make(), []
    except ValidationError as error:
        return None, [line_error(each, prefix) for each in error.errors(include_url=False)]


def _unknown(errors: list[InitErrorDetails]) -> bool:
    """Whether there is an unknown key, which says enough where the check is missing: it is the check, misspelt."""
    return any(error["type"] == "extra_forbidden" and len(error.get("loc", ())) == 1 for error in errors)


def line_error(error: Any, prefix: tuple[Any, ...]) -> InitErrorDetails:
    """An error of pydantic's, one level further in: custom, so that its text stays as it is."""
    if error["type"] in ("extra_forbidden", "missing"):
        return InitErrorDetails(type=error["type"], loc=(*prefix, *error["loc"]), input=error["input"])
    text = error["msg"].removeprefix("Value error, ").replace("{", "{{").replace("}", "}}")
    kind = PydanticCustomError(error["type"], text, error.get("ctx"))
    return InitErrorDetails(type=kind, loc=(*prefix, *error["loc"]), input=error["input"])


def _count_error(kinds: list[str]) -> InitErrorDetails:
    if not kinds:
        return InitErrorDetails(type=PydanticCustomError("no_check", "expected a check"), loc=(), input=None)
    text = "expected exactly one check, got {kinds}"
    kind = PydanticCustomError("two_checks", text, {"kinds": " and ".join(kinds)})
    return InitErrorDetails(type=kind, loc=(kinds[1],), input=None)


def _repeated(within: Any) -> InitErrorDetails:
    text = "expected no 'within' beside a drill: it is done once, and its criteria have their own"
    return InitErrorDetails(type=PydanticCustomError("repeated", text), loc=("within",), input=within)


def _load(kind: str, value: Any) -> tuple[Check[Any] | None, list[InitErrorDetails]]:
    check, errors = _made(lambda: CHECKS.load(kind).model_validate(value), (kind,))
    if errors:
        return None, errors
    why = check.simplest()
    if why:
        error = PydanticCustomError("no_expectation", why.replace("{", "{{").replace("}", "}}"))
        return None, [InitErrorDetails(type=error, loc=(kind,), input=value)]
    return check, []


def ask(asked: Asked, world: World) -> Outcome:
    """Asks until it passes or `within` is over, and returns the last outcome with its evidence.

    Never raises for anything a check does: a check that breaks is an ERROR of its own.
    """
    began, started = time.monotonic(), datetime.now(UTC)
    judgement = unobserved(say("There was no time left to ask"))
    tries = 0
    for deadline in _deadlines(asked, world, began):
        first = tries == 0
        tries += 1
        current = replace(world.until(deadline), fresh=world.fresh if first else time.monotonic())
        judgement = _try(asked.check, current)
        if judgement.status is Status.PASS or world.cancelled.is_set():
            break
    took = time.monotonic() - began
    if judgement.status is Status.FAIL and world.cancelled.is_set() and took < (asked.within or 0.0):
        judgement = unobserved(say("The run ended before this check did"), answer=judgement.answer)
    if judgement.status is Status.ERROR and world.cancelled.is_set() and judgement.cause is None:
        judgement = replace(judgement, cause=CUT_OFF)
    return _outcome(asked, world, judgement, tries, started, took)


def _deadlines(asked: Asked, world: World, began: float) -> Iterator[float]:
    """The deadline of each try. There is always a first one, unless the run itself is over."""
    end = min(world.deadline, began + asked.patience)
    if time.monotonic() >= world.deadline or world.cancelled.is_set():
        return
    while True:
        yield min(end, time.monotonic() + asked.try_limit)
        if asked.within is None or time.monotonic() + _PAUSE >= end or world.cancelled.wait(_PAUSE):
            return


def _try(check: Check[Any], world: World) -> Judgement:
    """One try, in a thread of its own, so that a check that hangs costs its time limit and no more."""
    attempt = Try(lambda: _judge(check, world))
    found = attempt.wait(_look_again(world))
    while not found and not _given_up(check, world):
        found = attempt.wait(_look_again(world))
    if found:
        return found[0]
    if world.cancelled.is_set():
        return unobserved(say("The run ended before this check did"))
    return unobserved(say("The check did not end within its time limit"))


def _look_again(world: World) -> float:
    """Seconds until it is time to see whether a try is still to be waited for."""
    return min(0.2, max(0.01, world.deadline + _GRACE - time.monotonic()))


def _given_up(check: Check[Any], world: World) -> bool:
    """Whether a try that has not ended is no longer waited for. One that puts something back always is."""
    if check.ends_itself:
        return False
    return world.cancelled.is_set() or time.monotonic() >= world.deadline + _GRACE


def _judge(check: Check[Any], world: World) -> Judgement:
    try:
        return check.judge(check.observe(world))
    except CannotObserve as error:
        return unobserved(error.message, answer=error.answer, advice=error.advice, attachments=error.attachments)
    except TimeoutError:
        return unobserved(say("There was no answer within the time limit"))
    except MemoryError:
        return unobserved(say("The answer did not fit into memory"))
    except Exception as error:  # noqa: BLE001 - a check that breaks must not end the run
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
