"""The order of a run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from gate.checklist.dependencies import group_by_phase
from gate.run.cancellation import Over
from gate.run.scheduler import Work, run_items


def item(name: str, *needs: str, phase: str = "main", needs_cleanup: bool = False) -> Any:
    """Return the fields of an item that the scheduler reads."""
    check = SimpleNamespace(phase=phase, needs_cleanup=needs_cleanup)
    return SimpleNamespace(id=name, needs=list(needs), check=check, total_timeout=0.5)


def result(entry: Any, why: str = "") -> Any:
    """Return the result of an item."""
    return SimpleNamespace(id=entry.id, why=why)


def run(
    items: list[Any],
    workers: int = 8,
    *,
    ask: Callable[[Any, float], Any] = lambda entry, since: result(entry),
    tell: Callable[[Any], None] | None = None,
    over: threading.Event | None = None,
) -> list[Any]:
    """Run the items, and return their results in the order in which they were told."""
    told: list[Any] = []
    run_items(items, Work(ask, tell or told.append, result, over or threading.Event()), workers)
    return told


def order(items: list[Any], workers: int = 8) -> list[str]:
    """Return the ids in the order in which they were told."""
    return [each.id for each in run(items, workers)]


def test_needs_come_first() -> None:
    """An item is asked after those that it needs, however deep."""
    assert order([item("c", "b"), item("b", "a"), item("a")]) == ["a", "b", "c"]


def test_drills_come_last_and_one_at_a_time() -> None:
    """Drills run after all else and never two together; what follows them waits."""
    running, most, lock = [0], [0], threading.Lock()

    def ask(entry: Any, since: float) -> Any:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        threading.Event().wait(0.05)
        with lock:
            running[0] -= 1
        return result(entry)

    items = [item("z", phase="after"), item("d1", phase="drill"), item("d2", phase="drill"), item("a")]
    assert ([each.id for each in run(items, ask=ask)], most[0]) == (["a", "d1", "d2", "z"], 1)


def test_what_needs_a_drill_runs_with_the_drills() -> None:
    """An item that needs a drill moves to the drills' phase, behind it."""
    items = [item("a", "d"), item("b"), item("d", phase="drill")]
    assert {name: [entry.id for entry in group] for name, group in group_by_phase(items).items()} == {
        "main": ["b"],
        "drill": ["a", "d"],
        "after": [],
    }
    assert order(items) == ["b", "d", "a"]


def test_in_parallel() -> None:
    """Items without needs are under way together: here all wait for each other."""
    barrier = threading.Barrier(8, timeout=20)

    def ask(entry: Any, since: float) -> Any:
        barrier.wait()
        return result(entry)

    told = run([item(str(number)) for number in range(8)], ask=ask)
    assert sorted((each.id, each.why) for each in told) == [(str(number), "") for number in range(8)]


def test_a_need_that_was_not_chosen() -> None:
    """A needed item outside the selection does not hold the run up."""
    assert order([item("a", "gone")]) == ["a"]


def test_what_a_drill_leaves_is_known_to_the_next() -> None:
    """The next drill is asked only after the result of the one before it was told."""
    told: list[str] = []

    def ask(entry: Any, since: float) -> Any:
        return SimpleNamespace(id=entry.id, known=list(told))

    results: list[Any] = []

    def tell(result: Any) -> None:
        threading.Event().wait(0.05)
        told.append(result.id)
        results.append(result.known)

    run([item(name, phase="drill") for name in "abc"], ask=ask, tell=tell)
    assert results == [[], ["a"], ["a", "b"]]


def test_a_long_chain() -> None:
    """Thousands of items that each need the one before them run in order."""
    items = [item(str(number), *([str(number - 1)] if number else [])) for number in range(3000)]
    assert order(items) == [str(number) for number in range(3000)]


def test_an_item_is_handed_over_after_what_it_needs() -> None:
    """The moment from which an item may see things is not before the end of anything that it needs, in any phase."""
    ended: dict[str, float] = {}
    handed: dict[str, float] = {}

    def ask(entry: Any, since: float) -> Any:
        handed[entry.id] = since
        time.sleep(0.02)
        ended[entry.id] = time.monotonic()
        return result(entry)

    chain = [
        item("a"),
        item("b"),
        item("c", "a", "b"),
        item("d", phase="drill"),
        item("e", "d"),
        item("f", phase="after"),
    ]
    run(chain, ask=ask)
    before = {"c": "ab", "d": "abc", "e": "abcd", "f": "abcde"}
    assert [(late, early) for late in before for early in before[late] if handed[late] < ended[early]] == []


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("can't start new thread"), SystemExit(0), KeyboardInterrupt()]
)
def test_whatever_a_worker_raises(error: BaseException) -> None:
    """Whatever an item's worker raises, the item has a result that says so, and the others are asked."""

    def ask(entry: Any, since: float) -> Any:
        if entry.id == "bad":
            raise error
        return result(entry)

    told = {each.id: each.why for each in run([item("bad"), item("good"), item("after", "bad")], 1, ask=ask)}
    assert told == {"bad": f"{type(error).__name__}: {error}", "good": "", "after": ""}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_that_dies_without_a_word() -> None:
    """An item whose worker is gone is not waited for, and a new worker asks the others."""
    died: list[str] = []

    def broken(entry: Any, why: str) -> Any:
        if threading.current_thread() is not threading.main_thread():
            raise MemoryError
        died.append(entry.id)
        return result(entry, why)

    def ask(entry: Any, since: float) -> Any:
        if entry.id == "bad":
            raise MemoryError
        return result(entry)

    told: list[Any] = []
    run_items([item("bad"), item("good")], Work(ask, told.append, broken, threading.Event()), 1)
    assert (died, sorted(each.id for each in told)) == (["bad"], ["bad", "good"])


@pytest.mark.parametrize("phase", ["main", "drill"])
def test_an_item_that_never_ends(phase: str) -> None:
    """Once the run is over, an item that does not end is left without a result; a drill has time to put back."""
    stuck, over = threading.Event(), Over()
    over.deadline = time.monotonic() + 0.2

    def ask(entry: Any, since: float) -> Any:
        stuck.wait(60)
        return result(entry)

    try:
        assert run([item("a", phase=phase, needs_cleanup=phase == "drill")], ask=ask, over=over) == []
    finally:
        stuck.set()
