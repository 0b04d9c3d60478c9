"""How a check is asked: tries, time limits, evidence, and what becomes of a check that breaks or hangs."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest

from gate.checks.attempts import run_check, truncate_middle
from gate.checks.base import Check, CheckResult, ObservationError, failed, passed
from gate.checks.context import CheckContext, SingleFlightCache
from gate.checks.entry import CheckEntry
from gate.core.messages import msg
from gate.core.override import override
from gate.model import Outcome, Status
from gate.redaction.secrets import Redactor


class Scripted(Check[Any]):
    """A check whose observations are functions, one a try; the last one is used again."""

    kind: ClassVar[str] = "scripted"
    summary: ClassVar[str] = "for tests"
    time_limit: ClassVar[float | None] = 1.0
    script: tuple[Any, ...]
    count: list[int]

    @override
    def describe(self, context: CheckContext) -> str:
        return "the script"

    @override
    def reproduce_command(self, context: CheckContext) -> str:
        return "true"

    @override
    def observe(self, context: CheckContext) -> Any:
        self.count.append(1)
        return self.script[min(len(self.count), len(self.script)) - 1](context)

    @override
    def judge(self, observation: Any) -> CheckResult:
        return (
            passed(msg("seen"), response=str(observation))
            if observation
            else failed(msg("not seen"), response=str(observation))
        )


def context(**more: Any) -> CheckContext:
    """Return a context without targets, updated with the arguments."""
    given = {
        "root": Path(),
        "targets": {},
        "secrets": Redactor(),
        "deadline": float("inf"),
        "fresh_after": time.monotonic(),
    }
    return CheckContext(**{**given, **more})


def asking(*script: Any, around: CheckContext | None = None, **more: Any) -> Outcome:
    """Run a check with these observations and return its outcome."""
    check = Scripted(script=script, count=[])
    return run_check(CheckEntry(check=check, **more), around or context())


def no(context: CheckContext) -> bool:
    """Return an observation that fails."""
    return False


def yes(context: CheckContext) -> bool:
    """Return an observation that passes."""
    return True


def test_one_try() -> None:
    """Without `within` there is one try, and its evidence says what was asked and what came back."""
    outcome = asking(no, yes)
    assert (outcome.status, outcome.evidence.attempts, outcome.evidence.response) == (Status.FAIL, 1, "False")
    assert (outcome.evidence.request, outcome.evidence.reproduce_command) == ("the script", "true")


def test_within() -> None:
    """With `within` it is tried again until it passes."""
    outcome = asking(no, no, yes, within=20.0)
    assert (outcome.status, outcome.evidence.attempts) == (Status.PASS, 3)


def test_within_that_is_over() -> None:
    """When `within` is over, the last outcome stands, and says for how long it was so."""
    outcome = asking(no, within=0.6)
    assert (outcome.status, str(outcome.message)) == (Status.FAIL, "not seen (still so after 0.6 s)")


@pytest.mark.parametrize("error", [ZeroDivisionError("by zero"), SystemExit("by zero"), RuntimeError("by zero")])
def test_a_check_that_breaks(error: BaseException) -> None:
    """A check that raises, whatever it be, is an ERROR of its own, with the exception's name."""

    def breaks(context: CheckContext) -> None:
        raise error

    outcome = asking(breaks)
    assert str(outcome.message) == f"Internal error in the check: {type(error).__name__}: by zero"
    assert outcome.status is Status.ERROR


def test_a_retry_that_can_change_nothing() -> None:
    """What no retry can change is asked once, however long `within` is."""

    def refuse(context: CheckContext) -> None:
        raise ObservationError(msg("it does not parse"), final=True)

    outcome = asking(refuse, yes, within=60.0)
    assert (outcome.status, outcome.evidence.attempts, str(outcome.message)) == (Status.ERROR, 1, "it does not parse")


def test_the_end_of_within_hides_nothing() -> None:
    """An attempt that the end of `within` cuts short does not hide what came back before."""

    def slow(context: CheckContext) -> bool:
        time.sleep(max(0.0, context.deadline - time.monotonic()))
        raise TimeoutError

    outcome = asking(no, slow, within=1.0, timeout=20.0)
    assert (outcome.status, outcome.evidence.attempts) == (Status.FAIL, 2)
    assert str(outcome.message) == "not seen (still so after 1.0 s)"


def test_an_attempt_with_all_its_time_counts() -> None:
    """An attempt that had its whole time limit says what is so now."""

    def slow(context: CheckContext) -> bool:
        time.sleep(max(0.0, context.deadline - time.monotonic()))
        raise TimeoutError

    outcome = asking(no, slow, within=1.5, timeout=0.6)
    assert outcome.status is Status.ERROR


def test_a_check_that_cannot_observe() -> None:
    """What could not be observed is an ERROR with its reason, neither PASS nor FAIL."""

    def refuse(context: CheckContext) -> None:
        raise ObservationError(msg("no answer"), response="503")

    outcome = asking(refuse)
    assert (outcome.status, str(outcome.message), outcome.evidence.response) == (Status.ERROR, "no answer", "503")


def test_a_check_that_hangs() -> None:
    """A check that hangs costs its time limit and a grace, no more, and is an ERROR."""
    stuck = threading.Event()
    outcome = asking(lambda context: stuck.wait(60), timeout=0.1)
    stuck.set()
    assert (outcome.status, str(outcome.message)) == (
        Status.ERROR,
        "The check did not finish within its timeout",
    )


def test_a_run_that_ends() -> None:
    """When the run ends, a check that is under way is left, and is an ERROR."""
    cancelled, stuck = threading.Event(), threading.Event()
    threading.Timer(0.2, cancelled.set).start()
    outcome = asking(lambda context: stuck.wait(60), timeout=50.0, around=context(cancelled=cancelled))
    stuck.set()
    assert (outcome.status, str(outcome.message)) == (Status.ERROR, "The run ended before this check finished")


def test_a_run_that_ends_between_tries() -> None:
    """What was still being tried when the run ended did not fail, and does not say that its time was over."""
    cancelled = threading.Event()
    threading.Timer(0.6, cancelled.set).start()
    outcome = asking(no, within=60.0, around=context(cancelled=cancelled))
    assert (outcome.status, str(outcome.message)) == (Status.ERROR, "The run ended before this check finished")


def test_no_time_left() -> None:
    """Without time left nothing is asked, and that is no pass."""
    outcome = asking(yes, around=context(deadline=time.monotonic() - 1))
    assert (outcome.status, outcome.evidence.attempts) == (Status.ERROR, 0)


def test_a_check_that_puts_something_back_is_waited_for() -> None:
    """A check that ends itself is waited for, also when the run has ended: its own outcome counts."""

    class Restoring(Scripted):
        needs_cleanup: ClassVar[bool] = True

    cancelled = threading.Event()

    def restore(context: CheckContext) -> bool:
        cancelled.set()
        time.sleep(0.5)
        return True

    asked = CheckEntry(check=Restoring(script=(restore,), count=[]), timeout=0.1)
    assert run_check(asked, context(cancelled=cancelled)).status is Status.PASS


@pytest.mark.parametrize("length", [0, 10, 100, 101, 1000])
def test_cut(length: int) -> None:
    """A long text keeps both ends, and says how much is gone; a short one is untouched."""
    text = "a" * (length // 2) + "b" * (length - length // 2)
    made = truncate_middle(text, 100)
    if length <= 100:
        assert made == text
    else:
        assert made == f"{'a' * 50}\n[... {length - 100} characters cut ...]\n{'b' * 50}"


def test_memo_makes_once() -> None:
    """Several that ask for one thing at a time get one making; a later moment gets a new one."""
    made: list[int] = []
    memo = SingleFlightCache()

    def make() -> int:
        made.append(1)
        time.sleep(0.1)
        return len(made)

    begun = time.monotonic()
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(memo.get("k", make, not_before=begun, remaining=10)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1] * 8
    assert memo.get("k", make, not_before=time.monotonic(), remaining=10) == 2


def test_memo_tells_all_of_an_error() -> None:
    """An error in the making reaches everyone who waits, and the next one tries again."""
    memo = SingleFlightCache()

    def refuse() -> int:
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            memo.get("k", refuse, not_before=time.monotonic(), remaining=1)
